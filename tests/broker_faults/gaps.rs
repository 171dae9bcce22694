//! Records that are not there any more: dropped by retention, or gone with their topic, which was made anew.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg::topic::Output;

use crate::{
    Scene,
    proxy::Proxy,
    support::{daemon::Daemon, kill_loop::Ground, proof::source},
};

const STOP: &[&str] = &["generator.enabled=false"];
const CONTINUE: &[&str] = &["generator.enabled=false", "transport.on_gap=continue"];

/// What a gap must be called in the log and on the events topic.
struct Expected {
    reason: &'static str,
    requested: i64,
    first: i64,
    end: i64,
    missed: Option<i64>,
}

impl Expected {
    /// The daemon ends with an error from which a person knows what to do.
    fn stops(&self, scene: &Scene) {
        let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
        self.stopped(scene, &mut daemon);
    }

    fn stopped(&self, scene: &Scene, daemon: &mut Daemon) {
        let error = daemon.event("failed")["error"].as_str().expect("a text").to_owned();
        assert_eq!(daemon.wait().code(), Some(1));
        let numbers = [Some(self.requested), Some(self.first), Some(self.end), self.missed].into_iter().flatten();
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        for part in
            [&scene.names.samples, "/0", "transport.on_gap"].into_iter().chain(numbers.iter().map(String::as_str))
        {
            assert!(error.contains(part), "`{part}` in: {error}");
        }
    }

    /// The log line, the event, and that the models went on with what they had learned.
    fn told(&self, scene: &Scene, daemon: &Daemon) {
        let lines = daemon.lines_of("gap");
        assert_eq!(lines.len(), 1, "{}", daemon.story());
        let expected = json!({"level": "WARN", "partition": 0, "requested": self.requested, "first": self.first,
            "end": self.end, "missed": self.missed, "reason": self.reason});
        for (field, value) in expected.as_object().expect("fields") {
            // A line's field that is unknown may be left out.
            assert_eq!(lines[0].get(field).unwrap_or(&Value::Null), value, "{field} in {}", lines[0]);
        }
        let last = daemon.lines_of("report").last().copied().expect("a report").clone();
        assert_eq!(last["missed"], self.missed.unwrap_or(0), "{last}");

        let events = scene.bus.read(&scene.names.outputs[Output::Events as usize], 0);
        let events = events.iter().map(|event| serde_json::from_slice(event.value.as_deref().expect("a value")));
        let gaps: Vec<Value> =
            events.map(|event| event.expect("JSON")).filter(|e: &Value| e["event"] == "gap").collect();
        let first = scene.bus.read(&scene.names.samples, 0).remove(0);
        assert_eq!(
            gaps,
            [json!({"event": "gap", "reason": self.reason, "requested": self.requested, "resumed": self.first,
                "missed": self.missed, "timestamp": first.timestamp,
                "source": {"topic": scene.names.samples, "partition": 0, "offset": self.first}})]
        );

        let predictions = scene.bus.read(&scene.names.outputs[Output::Predictions as usize], 0);
        let sources: Vec<i64> = predictions.iter().map(|record| source(Output::Predictions, record)).collect();
        assert_eq!(sources, (0..self.requested).chain(self.first..self.end).collect::<Vec<_>>());
        let after: Value =
            serde_json::from_slice(predictions[self.requested as usize].value.as_deref().expect("a value"))
                .expect("JSON");
        assert_eq!(after["version"], self.requested, "models keep what they learned: {after}");
    }

    fn continues(&self, scene: &Scene) {
        let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
        assert!(daemon.wait().success(), "{}", daemon.story());
        self.told(scene, &daemon);
    }
}

/// A scene that has processed 3000 samples and stopped.
fn processed(name: &str, settings: &[&str]) -> Scene {
    let scene = Scene::new(name, settings);
    scene.bus.create(&scene.names.samples, 1);
    scene.produce(0..3000);
    scene.caught_up();
    scene
}

/// The same, running and with nothing to do.
fn processing(name: &str, settings: &[&str]) -> (Scene, Daemon) {
    let scene = processed(name, settings);
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("nothing left to do", |line| line["records"] == 3000 && line["lag"] == 0);
    (scene, daemon)
}

fn overtaken(scene: &Scene) -> Expected {
    scene.produce(3000..5000);
    scene.bus.delete_records(&scene.names.samples, 0, 4000);
    Expected { reason: "retention", requested: 3000, first: 4000, end: 5000, missed: Some(1000) }
}

/// Other samples than before, so many of them.
fn recreated(scene: &Scene, count: i64) -> Expected {
    scene.bus.delete(&scene.names.samples);
    scene.bus.create(&scene.names.samples, 1);
    scene.produce(10_000..10_000 + count as usize);
    Expected { reason: "recreated", requested: 3000, first: 0, end: count, missed: None }
}

#[test]
fn what_retention_dropped_before_it_was_read_stops_the_daemon() {
    let scene = processed("retention-stop", STOP);
    overtaken(&scene).stops(&scene);
}

#[test]
fn what_retention_dropped_before_it_was_read_is_counted_and_passed_over_where_settings_say_so() {
    let scene = processed("retention-continue", CONTINUE);
    overtaken(&scene).continues(&scene);
}

#[test]
fn retention_that_overtakes_a_running_daemon_is_a_gap_too() {
    let (scene, mut daemon) = processing("retention-running", CONTINUE);
    daemon.signal("STOP");
    // The fetch that waits at the broker comes back empty and finds nobody to read it.
    scene.bus.pause(Duration::from_millis(600));
    let gap = overtaken(&scene);
    daemon.signal("CONT");
    scene.until_published(&mut daemon, 4000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    gap.told(&scene, &daemon);
}

#[test]
fn a_samples_topic_made_anew_with_fewer_records_stops_the_daemon() {
    let scene = processed("fewer-stop", STOP);
    recreated(&scene, 1000).stops(&scene);
}

#[test]
fn a_samples_topic_made_anew_with_more_records_stops_the_daemon() {
    let scene = processed("more-stop", STOP);
    recreated(&scene, 4000).stops(&scene);
}

#[test]
fn a_samples_topic_made_anew_with_fewer_records_is_begun_anew_where_settings_say_so() {
    let scene = processed("fewer-continue", CONTINUE);
    recreated(&scene, 1000).continues(&scene);
}

#[test]
fn a_samples_topic_made_anew_with_more_records_is_begun_anew_where_settings_say_so() {
    let scene = processed("more-continue", CONTINUE);
    recreated(&scene, 4000).continues(&scene);
}

#[test]
fn a_samples_topic_made_anew_under_a_running_daemon_stops_it() {
    let (scene, mut daemon) = processing("running-stop", STOP);
    let gap = recreated(&scene, 4000);
    // How much the topic holds by then depends on when the daemon looks.
    Expected { first: 0, end: 0, ..gap }.stopped(&scene, &mut daemon);
}

#[test]
fn a_samples_topic_made_anew_under_a_running_daemon_is_begun_anew_where_settings_say_so() {
    let (scene, mut daemon) = processing("running-continue", CONTINUE);
    recreated(&scene, 4000);
    scene.until_published(&mut daemon, 7000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    let line = daemon.lines_of("gap").first().copied().expect("a gap").clone();
    let end = line["end"].as_i64().expect("an offset");
    assert!((0..=4000).contains(&end), "{line}");
    let predictions = scene.bus.read(&scene.names.outputs[Output::Predictions as usize], 0);
    let sources: Vec<i64> = predictions.iter().map(|record| source(Output::Predictions, record)).collect();
    assert_eq!(sources, (0..3000).chain(0..4000).collect::<Vec<_>>());
}

/// Time that a daemon is frozen before its topic goes: its last fetch has been answered by then. The short one is no pause
/// from which it could tell.
const LONG: Duration = Duration::from_millis(1500);
const SHORT: Duration = Duration::from_millis(400);

/// The topic is another one, longer than the one before, when the daemon goes on with a fetch that nothing has interrupted.
fn recreated_while_frozen(scene: &Scene, daemon: &Daemon, pause: Duration) -> Expected {
    daemon.signal("STOP");
    scene.bus.pause(pause);
    let gap = recreated(scene, 5000);
    daemon.signal("CONT");
    gap
}

#[test]
fn a_samples_topic_made_anew_while_the_daemon_was_frozen_stops_it() {
    let (scene, mut daemon) = processing("frozen-stop", STOP);
    recreated_while_frozen(&scene, &daemon, LONG).stopped(&scene, &mut daemon);
}

#[test]
fn a_samples_topic_made_anew_while_the_daemon_was_frozen_is_begun_anew_where_settings_say_so() {
    let (scene, mut daemon) = processing("frozen-continue", CONTINUE);
    let gap = recreated_while_frozen(&scene, &daemon, LONG);
    scene.until_published(&mut daemon, 8000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    gap.told(&scene, &daemon);
}

/// As on Kafka 2.8 and 3.0, whose fetches name the topic alone, which `tests/kafka/matrix` tries.
#[test]
fn a_samples_topic_made_anew_while_the_daemon_was_frozen_is_noticed_where_it_is_fetched_by_name() {
    let scene = Scene::behind_proxy("frozen-named", CONTINUE);
    let _proxy = Proxy::by_name(scene.broker.proxy_port(), scene.broker.proxied_port());
    scene.produce(0..3000);
    scene.caught_up();
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("nothing left to do", |line| line["records"] == 3000 && line["lag"] == 0);
    let gap = recreated_while_frozen(&scene, &daemon, SHORT);
    scene.until_published(&mut daemon, 8000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    gap.told(&scene, &daemon);
}

#[test]
fn a_samples_topic_made_anew_while_its_broker_is_away_is_noticed() {
    let (scene, mut daemon) = processing("away-continue", CONTINUE);
    daemon.signal("STOP");
    let gap = recreated(&scene, 5000);
    scene.broker.kill();
    daemon.signal("CONT");
    daemon.event("broker_unreachable");
    scene.broker.start();
    scene.until_published(&mut daemon, 8000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    gap.told(&scene, &daemon);
}

#[test]
fn outputs_made_anew_while_the_daemon_was_frozen_are_told_and_written_on() {
    let (scene, mut daemon) = processing("frozen-outputs", STOP);
    daemon.signal("STOP");
    let predictions = &scene.names.outputs[Output::Predictions as usize];
    scene.bus.delete(predictions);
    scene.bus.create(predictions, 1);
    scene.produce(3000..3100);
    daemon.signal("CONT");
    assert_eq!(daemon.event("output_cut")["topic"], **predictions);
    daemon.line("all of it", |line| line["records"] == 3100 && line["lag"] == 0);
    assert!(daemon.stop().success(), "{}", daemon.story());
    let sources = scene.bus.read(predictions, 0);
    let sources: Vec<i64> = sources.iter().map(|record| source(Output::Predictions, record)).collect();
    let first = *sources.first().expect("a prediction");
    assert!(first <= 3000, "{first}");
    assert_eq!(sources, (first..3100).collect::<Vec<_>>());
}

#[test]
fn a_samples_topic_that_does_not_come_back_is_created_by_the_daemon() {
    let scene = Scene::new("gone", &["transport.on_gap=continue"]);
    let mut daemon = scene.under_load(5000, 2000);
    scene.bus.delete(&scene.names.samples);
    let samples = &scene.names.samples;
    daemon.line("a new topic", |line| line["event"] == "topic_created" && line["topic"] == **samples);
    assert_eq!(daemon.event("gap")["reason"], "recreated");
    scene.bus.forget();
    let goal = scene.published() + 2000;
    scene.until_published(&mut daemon, goal);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();
    let end = scene.bus.end(&scene.names.samples, 0);
    let predictions = scene.bus.read(&scene.names.outputs[Output::Predictions as usize], 0);
    let sources: Vec<i64> = predictions.iter().map(|record| source(Output::Predictions, record)).collect();
    let again = sources.iter().rposition(|source| *source == 0).expect("a beginning");
    assert_eq!(sources[again..], (0..end).collect::<Vec<_>>());
    assert_eq!(sources[..again], (0..again as i64).collect::<Vec<_>>());
}

/// The last record that was read is gone with those before it, so that none of it tells that this is another topic.
#[test]
fn a_topic_made_anew_is_another_one_though_the_record_that_would_tell_is_not_there() {
    let scene = processed("nameless", &["generator.enabled=false"]);
    scene.bus.delete(&scene.names.samples);
    scene.bus.create(&scene.names.samples, 1);
    scene.produce(0..4000);
    scene.bus.delete_records(&scene.names.samples, 0, 3000);
    let mut stopped = scene.site.start(&["run"]);
    let error = stopped.event("failed")["error"].as_str().expect("a text").to_owned();
    assert!(error.contains("has been made anew"), "{error}");
    assert!(!stopped.wait().success());
    let on = scene.site.run(&["run", "--until-caught-up", "--set", "transport.on_gap=continue"]);
    assert!(on.status.success(), "{}", String::from_utf8_lossy(&on.stderr));
    assert_eq!(scene.published(), 4000);
    // It is known by then.
    scene.caught_up();
}
