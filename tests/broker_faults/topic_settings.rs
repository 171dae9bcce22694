//! Settings of topics that will hurt are said at the start, and those of topics that the daemon makes do not.

use std::{collections::BTreeSet, time::Duration};

use thalweg::topic::Output;

use crate::Scene;

#[test]
fn a_start_says_which_settings_of_the_topics_will_hurt() {
    let scene = Scene::new("hurt", &["generator.enabled=false"]);
    let names = &scene.names;
    let [predictions, letters, events] = [Output::Predictions, Output::DeadLetters, Output::Events]
        .map(|output| names.outputs[output as usize].as_str());
    let bad = [
        (&*names.samples, "retention.ms=1999"),
        (predictions, "retention.ms=1000"),
        (letters, "max.message.bytes=100000"),
        (letters, "min.insync.replicas=2"),
        (events, "max.message.bytes=200"),
        (events, "cleanup.policy=compact"),
    ];
    for output in &names.outputs {
        scene.bus.create(output, 1);
    }
    for (topic, setting) in bad {
        scene.broker.set(topic, setting);
    }
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("three topics that hurt", |line| line["event"] == "worker_started");
    let lines = daemon.lines_of("topic_settings");
    let told = lines.iter().map(|line| {
        assert_eq!(line["level"], "WARN");
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name} in {line}"));
        (text("topic").to_owned(), format!("{}={}", text("setting"), text("value")))
    });
    let expected = bad.map(|(topic, setting)| (topic.to_owned(), setting.to_owned()));
    assert_eq!(told.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    assert!(daemon.stop().success(), "{}", daemon.story());
}

#[test]
fn outputs_are_made_with_the_retention_that_people_ask_for_and_nothing_is_said_of_them() {
    let scene = Scene::new("made", &["generator.count=1000", "transport.kafka.retention=30d"]);
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=0"]);
    scene.until_published(&mut daemon, 1000);
    assert!(daemon.lines_of("topic_settings").is_empty(), "{}", daemon.story());
    assert!(daemon.stop().success(), "{}", daemon.story());
    let kept = format!("retention.ms={}", Duration::from_secs(30 * 86_400).as_millis());
    for output in &scene.names.outputs {
        let described = scene.broker.describe(output);
        assert!(described.contains(&kept), "{described}");
    }
}
