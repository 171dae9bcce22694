//! Samples that are years old, on a broker that deletes what is older than a week, as brokers do by default: what was made
//! of them stays, and is there once, also across kill -9 with the broker's looks in between.
//!
//! How old is too old is Kafka's default; only its looks come sooner than every five minutes.

use std::slice::from_ref;

use serde_json::Value;
use thalweg::topic::{Output, record::Record};

use crate::{
    SETTINGS, Scene,
    broker::Broker,
    broker_client::{now, proved},
};

const LOOKS_OFTEN: &[&str] = &["log.retention.check.interval.ms=500"];

/// In 2013.
const OLD: i64 = 1_357_034_400_000;

const YEAR: i64 = 365 * 24 * 3_600_000;

/// Every tenth cannot be used.
fn values(count: i64) -> Vec<Option<Vec<u8>>> {
    let value = |i: i64| match i % 10 {
        9 => Some(b"no".to_vec()),
        _ => Some(format!(r#"{{"x":{i},"y":{},"at":{}}}"#, i % 7, OLD + i).into_bytes()),
    };
    (0..count).map(value).collect()
}

impl Scene {
    /// On a broker that looks often for what is too old.
    fn of_old(name: &str, settings: &[&str]) -> Self {
        let (broker, turn) = Broker::with(LOOKS_OFTEN);
        Self::at(name, settings, broker, turn, &broker.address())
    }

    /// Awaits that the broker has looked for what is too old, once more from here on.
    fn until_looked(&self, name: &str) {
        let control = format!("{}.{name}", self.names.samples);
        self.bus.create(&control, 1);
        self.bus.produce_at(&control, 0, b"old", OLD, values(10));
        self.bus.until("the broker's look for what is old", || self.bus.start(&control, 0) == 10);
    }

    fn kept(&self, output: Output) -> (Vec<Record>, i64) {
        let topic = &self.names.outputs[output as usize];
        (self.bus.read(topic, 0), self.bus.start(topic, 0))
    }
}

/// Kills the daemon after 2,000 samples, lets the broker look, and catches up: all is there, and once.
fn kept_across_a_kill(scene: &Scene, settings: &[&str]) {
    let mut daemon = scene.site.start(&["run"]);
    scene.until_published(&mut daemon, 2000);
    daemon.kill();
    scene.until_looked("first");
    scene.caught_up();
    scene.until_looked("second");

    let (predictions, first) = scene.kept(Output::Predictions);
    assert_eq!((predictions.len(), first), (1800, 0));
    let (letters, first) = scene.kept(Output::DeadLetters);
    assert_eq!((letters.len(), first), (200, 0));
    for record in predictions.iter().chain(&letters) {
        assert!(record.timestamp > now() - 3_600_000, "the clock's time, not {}", record.timestamp);
    }
    let settings = [&SETTINGS, settings].concat();
    let proof = proved(&scene.bus, &scene.names, &scene.site, from_ref(&(0..2000)), "earliest", &settings);
    proof.hold();
}

#[test]
fn what_is_made_of_samples_with_old_times_in_their_fields_stays_and_is_there_once() {
    let settings = ["generator.enabled=false", "state.every=1h", "schema.timestamp=at"];
    let scene = Scene::of_old("fields", &settings);
    scene.bus.produce(&scene.names.samples, 0, crate::FOREIGN, values(2000));
    kept_across_a_kill(&scene, &settings);
    let (predictions, _) = scene.kept(Output::Predictions);
    let value: Value = serde_json::from_slice(predictions[7].value.as_deref().expect("a value")).expect("JSON");
    assert_eq!(value["timestamp"], OLD + 7);
}

#[test]
fn what_is_made_of_records_with_old_times_stays_and_dead_letters_say_them() {
    let settings = ["generator.enabled=false", "state.every=1h"];
    let scene = Scene::of_old("records", &settings);
    // Somebody keeps samples for ever.
    scene.broker.set(&scene.names.samples, "retention.ms=-1");
    scene.bus.produce_at(&scene.names.samples, 0, crate::FOREIGN, OLD, values(2000));
    kept_across_a_kill(&scene, &settings);
    let (letters, _) = scene.kept(Output::DeadLetters);
    assert_eq!(letters[3].headers.get("thalweg.timestamp"), Some(OLD.to_string().as_bytes()));

    // Sent back, it is not deleted before it is read, and is of its own time all the same.
    let sent = scene.site.run(&["dead-letters", "retry", "--offset", "0"]);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let samples = scene.bus.read(&scene.names.samples, 0);
    let back = samples.last().expect("a sample");
    assert!(back.timestamp > now() - 3_600_000, "{}", back.timestamp);
    scene.caught_up();
    let (letters, _) = scene.kept(Output::DeadLetters);
    let again = letters.last().expect("a letter");
    assert_eq!(again.headers.get("thalweg.timestamp"), Some(OLD.to_string().as_bytes()));
}

#[test]
fn the_time_of_samples_is_given_to_predictions_where_it_is_wanted_with_a_warning() {
    let settings = ["generator.enabled=false", "schema.timestamp=at", "output.timestamp=sample"];
    let scene = Scene::of_old("wanted", &settings);
    scene.bus.produce(&scene.names.samples, 0, crate::FOREIGN, values(500));
    let mut daemon = scene.site.start(&["run"]);
    let line = daemon.event("older_than_retention");
    assert_eq!((&line["topic"], &line["level"]), (&scene.names.outputs[0].clone().into(), &"WARN".into()));
    assert_eq!((&line["retention_ms"], &line["oldest"]), (&604_800_000.into(), &OLD.into()), "{line}");
    scene.until_published(&mut daemon, 500);
    assert!(daemon.stop().success());
    let predictions = &scene.names.outputs[Output::Predictions as usize];
    scene.bus.until("the predictions to go", || scene.bus.start(predictions, 0) == 450);
    // Dead letters are for people, who may take a while.
    scene.until_looked("after");
    assert_eq!(scene.kept(Output::DeadLetters).0.len(), 50);
}

#[test]
fn what_the_topic_keeps_long_enough_is_given_its_time_without_a_warning() {
    let settings = ["generator.enabled=false", "schema.timestamp=at", "output.timestamp=sample"];
    let scene = Scene::of_old("longer", &settings);
    let predictions = &scene.names.outputs[Output::Predictions as usize];
    scene.bus.create(predictions, 1);
    scene.broker.set(predictions, &format!("retention.ms={}", 100 * YEAR));
    scene.bus.produce(&scene.names.samples, 0, crate::FOREIGN, values(500));
    let mut daemon = scene.site.start(&["run"]);
    scene.until_published(&mut daemon, 500);
    assert!(daemon.stop().success());
    assert!(daemon.lines_of("older_than_retention").is_empty(), "{}", daemon.story());
    assert_eq!(scene.bus.read(predictions, 0)[5].timestamp, OLD + 5);
}
