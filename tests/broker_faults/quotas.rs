//! A broker that holds this client back, because it is over a quota: nothing is lost, doubled, or taken for a failure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use thalweg::topic::Output;

use crate::{
    Scene,
    support::{daemon::Daemon, proof::source},
};

/// The time that a request may take, which waits for a quota are not part of.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// A client id of one's own, since quotas are kept for each.
fn client_id(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// A scene whose daemon `quota` holds back, with so many samples to read.
fn limited(name: &str, quota: &str, count: i64) -> Scene {
    let client_id = client_id(name);
    let client = format!("transport.kafka.client_id={client_id}");
    let timeout = format!("transport.kafka.request_timeout={REQUEST_TIMEOUT:?}");
    let scene = Scene::new(name, &["generator.enabled=false", &client, &timeout]);
    let sample = |i: i64| Some(format!(r#"{{"x":{i},"y":{}}}"#, i % 7).into_bytes());
    scene.bus.produce(&scene.names.samples, 0, b"k", (0..count).map(sample));
    scene.broker.limit(&client_id, quota);
    scene
}

/// Works off what is there and ends in order; nothing on the way was a failure.
fn works_off(scene: &Scene) -> Daemon {
    let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success(), "{}", daemon.story());
    for trouble in ["worker_interrupted", "broker_unreachable", "stalled", "failed"] {
        assert_eq!(daemon.lines_of(trouble), Vec::<&Value>::new());
    }
    daemon
}

/// Every sample has one prediction.
fn once(scene: &Scene, count: i64) {
    let mut sources: BTreeMap<i64, u32> = BTreeMap::new();
    for prediction in scene.bus.read(&scene.names.outputs[Output::Predictions as usize], 0) {
        *sources.entry(source(Output::Predictions, &prediction)).or_default() += 1;
    }
    assert!(sources.into_iter().eq((0..count).map(|offset| (offset, 1))));
}

/// A line about the quota: one, that names it and tells how long.
fn said(daemon: &Daemon, quota: &str) -> Duration {
    let said = daemon.lines_of("throttled");
    let about: Vec<_> =
        said.iter().filter(|line| line["quota"].as_str().is_some_and(|it| it.contains(quota))).collect();
    assert_eq!(about.len(), 1, "{said:?}");
    Duration::from_millis(about[0]["throttle_ms"].as_u64().expect("milliseconds"))
}

#[test]
fn a_fetch_quota_is_waited_for_and_all_samples_are_predicted_once() {
    let scene = limited("fetch-quota", "consumer_byte_rate=25000", 20_000);
    let begun = Instant::now();
    let daemon = works_off(&scene);
    let throttle = said(&daemon, "consumer_byte_rate");
    println!("fetch quota: throttled {throttle:?} at first, done in {:?}", begun.elapsed());
    assert!(throttle > REQUEST_TIMEOUT, "the quota does not bite");
    once(&scene, 20_000);
    // A start within the wait is no failure either, though it reads back what was published.
    scene.broker.limit(&client_id("fetch-quota"), "consumer_byte_rate=200000");
    works_off(&scene);
    once(&scene, 20_000);
}

#[test]
fn a_produce_quota_is_waited_for_and_all_samples_are_predicted_once() {
    let scene = limited("produce-quota", "producer_byte_rate=150000", 20_000);
    let begun = Instant::now();
    let daemon = works_off(&scene);
    let throttle = said(&daemon, "producer_byte_rate");
    println!("produce quota: throttled {throttle:?} at first, done in {:?}", begun.elapsed());
    assert!(begun.elapsed() > REQUEST_TIMEOUT, "the quota does not bite");
    once(&scene, 20_000);
}

#[test]
fn a_stop_under_a_produce_quota_leaves_what_waits_to_the_next_start() {
    // Each request brings a wait of minutes.
    let scene = limited("stop-quota", "producer_byte_rate=2000", 20_000);
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("throttled");
    let report = daemon.line("report", |line| line["event"] == "report" && line["throttled"] == true);
    assert_eq!(report["outage"], Value::Null, "a broker that says when it will answer is not away");
    let begun = Instant::now();
    assert!(daemon.stop().success(), "{}", daemon.story());
    println!("stopped in {:?}", begun.elapsed());
    assert_eq!(daemon.lines_of("unpublished").len(), 1);
    scene.broker.limit(&client_id("stop-quota"), "producer_byte_rate=100000000");
    works_off(&scene);
    once(&scene, 20_000);
}

#[test]
fn a_request_quota_is_waited_for_and_all_samples_are_predicted_once() {
    let scene = limited("request-quota", "request_percentage=0.5", 20_000);
    let begun = Instant::now();
    let daemon = works_off(&scene);
    println!("request quota: done in {:?}", begun.elapsed());
    assert!(!daemon.lines_of("throttled").is_empty(), "the quota does not bite");
    once(&scene, 20_000);
    works_off(&scene);
}
