//! A user who has exactly the rights that docs/operations.md lists, on a broker that gives no others.

use std::slice::from_ref;

use crate::{
    SETTINGS, Scene,
    broker::Broker,
    broker_client::proved,
    secure::{LOGIN, login},
    support::daemon::Daemon,
};

/// Rules that are there for one test.
pub(crate) struct Rules<'a> {
    scene: &'a Scene,
}

impl<'a> Rules<'a> {
    /// Lets the test do everything, and so nobody else anything.
    pub(crate) fn of(scene: &'a Scene) -> Self {
        let names = &scene.names;
        let topics = [&names.samples, &names.outputs[0], &names.outputs[1], &names.outputs[2]];
        let topics = topics.into_iter().flat_map(|topic| ["--topic", topic]);
        let all = ["--add", "--allow-principal", "User:ANONYMOUS", "--operation", "All", "--cluster"];
        scene.broker.acl(&all.into_iter().chain(topics).collect::<Vec<_>>());
        Self { scene }
    }

    fn one(&self, change: &str, operation: &str, topic: &str) {
        let user = ["--allow-principal", "User:thalweg", "--operation", operation, "--topic", topic];
        let force: &[&str] = if change == "--remove" { &["--force"] } else { &[] };
        self.scene.broker.acl(&[&[change], &user[..], force].concat());
    }
}

impl Drop for Rules<'_> {
    fn drop(&mut self) {
        self.scene.broker.acl(&["--remove", "--force", "--cluster"]);
    }
}

/// The error with which it ends.
fn refused(mut daemon: Daemon) -> String {
    let error = daemon.event("failed")["error"].as_str().expect("a text").to_owned();
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.story());
    error
}

/// The rights that an error says are lacking.
fn lacking(error: &str) -> &str {
    let rest = error.split_once("User:thalweg lacks rights: ").unwrap_or_else(|| panic!("no rights in {error}")).1;
    rest.split_once(". Whoever").unwrap_or_else(|| panic!("no way out in {error}")).0
}

#[test]
fn every_right_that_lacks_is_named_at_once_with_the_command_that_grants_it_and_no_other_is_needed() {
    let (broker, turn) = Broker::ours();
    let login = login("plain", "right");
    let settings = [login.as_str(), "generator.enabled=false"];
    let scene = Scene::at("rights", &settings, broker, turn, &broker.secure(LOGIN));
    let (samples, outputs) = (&scene.names.samples, &scene.names.outputs);
    let rules = Rules::of(&scene);

    let error = refused(scene.site.start(&["run"]));
    let on_outputs = outputs.iter().map(|output| format!(", Write and Create on topic `{output}`"));
    assert_eq!(lacking(&error), format!("Read on topic `{samples}`{}", on_outputs.collect::<String>()));
    // The commands that it names are all that is needed.
    let commands: Vec<&str> = error.split("kafka-acls.sh ").skip(1).collect();
    assert_eq!(commands.len(), 4, "{error}");
    for command in commands {
        let command = command.split(['(', ';']).next().unwrap_or_default().replace('"', "");
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "--bootstrap-server");
        broker.acl(&words[2..]);
    }
    scene.produce(0..3000);
    let mut daemon = scene.site.start(&["run", "--set", "state.every=1h"]);
    scene.until_published(&mut daemon, 3000);
    assert!(!daemon.lines_of("settings_unknown").is_empty(), "{}", daemon.story());
    assert!(daemon.stop().success(), "{}", daemon.story());
    // Whoever has stopped in order need not read what it has published.
    scene.produce(3000..3100);
    let mut daemon = scene.site.start(&["run", "--set", "state.every=1h"]);
    scene.until_published(&mut daemon, 3100);
    daemon.kill();
    let error = refused(scene.site.start(&["run"]));
    assert_eq!(lacking(&error), format!("Read on topic `{}`", outputs[0]));
    outputs.iter().for_each(|output| rules.one("--add", "Read", output));
    scene.caught_up();

    // A topic that takes less, which this user may not ask for.
    scene.broker.set(&outputs[0], "max.message.bytes=5000");
    scene.produce(3100..6000);
    let mut daemon = scene.site.start(&["run"]);
    let line = daemon.event("batch_limit");
    assert_ne!(line["bytes"], crate::limits::within(5000));
    scene.until_published(&mut daemon, 6000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    let settings = [&SETTINGS[..], &["generator.enabled=false"]].concat();
    proved(&scene.bus, &scene.names, &scene.site, from_ref(&(0..6000)), "earliest", &settings).hold();

    // Each alone.
    let each = [(samples, "Read")].into_iter().chain(outputs.iter().map(|it| (it, "Write")));
    for (topic, operation) in each {
        rules.one("--remove", operation, topic);
        let error = refused(scene.site.start(&["run"]));
        assert_eq!(lacking(&error), format!("{operation} on topic `{topic}`"));
        rules.one("--add", operation, topic);
    }
    let events = &outputs[2];
    scene.bus.delete(events);
    rules.one("--remove", "Create", events);
    let error = refused(scene.site.start(&["run"]));
    assert_eq!(lacking(&error), format!("Create on topic `{events}`"));
    assert!(!scene.bus.topics().contains_key(events), "asking made it");
    rules.one("--add", "Create", events);
    scene.caught_up();
}
