//! A broker that holds this client back, because it is over a quota: nothing is lost, doubled, or taken for a failure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use thalweg::topic::Output;

use crate::{
    Scene,
    proxy::Proxy,
    support::{
        daemon::{Daemon, read, stdout},
        kill_loop::Ground,
        proof::source,
    },
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
    let scene = limited("fetch-quota", "consumer_byte_rate=18000", 12_000);
    let begun = Instant::now();
    let daemon = works_off(&scene);
    let throttle = said(&daemon, "consumer_byte_rate");
    println!("fetch quota: throttled {throttle:?} at first, done in {:?}", begun.elapsed());
    assert!(throttle > REQUEST_TIMEOUT, "the quota does not bite");
    once(&scene, 12_000);
    // A start within the wait is no failure either, though it reads back what was published.
    scene.broker.limit(&client_id("fetch-quota"), "consumer_byte_rate=200000");
    works_off(&scene);
    once(&scene, 12_000);
}

/// Kafka 2.8 and 3.0 fetch by name, where the topic has to be looked at after each wait.
#[test]
fn what_comes_after_a_wait_is_not_fetched_again_where_topics_are_fetched_by_name() {
    const ROUNDS: i64 = 3;
    const EACH: i64 = 200;
    let client_id = client_id("named-quota");
    let client = format!("transport.kafka.client_id={client_id}");
    let scene = Scene::behind_proxy("named-quota", &["generator.enabled=false", "schema.ignore=[\"pad\"]", &client]);
    let proxy = Proxy::by_name(scene.broker.proxy_port(), scene.broker.proxied_port());
    let pad = "x".repeat(200);
    let sample = |i: i64| Some(format!(r#"{{"x":{i},"y":{},"pad":"{pad}"}}"#, i % 7).into_bytes());
    scene.broker.limit(&client_id, "consumer_byte_rate=6000");
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("worker_started");
    let (before, begun) = (proxy.fetched(), Instant::now());
    for round in 1..=ROUNDS {
        scene.bus.produce(&scene.names.samples, 0, b"k", (0..EACH).map(sample));
        daemon.line("all of it", |line| line["records"] == round * EACH && line["lag"] == 0);
    }
    let (brought, held) = (proxy.fetched() - before, (ROUNDS * EACH) as usize * (pad.len() + 40));
    assert!(daemon.stop().success(), "{}", daemon.story());
    println!("{brought} bytes fetched of {held} in {:?}", begun.elapsed());
    // Eight seconds for each round, but for those that the quota's window has room for.
    assert!(begun.elapsed() > Duration::from_secs(10), "the quota does not bite: {:?}", begun.elapsed());
    assert!(brought < held * 5 / 4, "{brought} bytes were fetched of {held}");
    once(&scene, ROUNDS * EACH);
}

#[test]
fn a_comparison_of_a_topic_waits_for_a_fetch_quota() {
    let scene = limited("compare-quota", "consumer_byte_rate=18000", 12_000);
    let begun = Instant::now();
    stdout(&scene.site.run(&["compare", "--topic", &scene.names.samples, "--offsets", "..12000"]));
    println!("comparison: done in {:?}", begun.elapsed());
    assert!(begun.elapsed() > 2 * REQUEST_TIMEOUT, "the quota does not bite");
    let compared: Value = serde_json::from_str(&read(&scene.site.path("compare/compare.json"))).expect("JSON");
    assert_eq!(compared["streams"][0]["records"], 12_000);
}

#[test]
fn dead_letters_are_shown_and_sent_back_once_under_quotas() {
    const COUNT: i64 = 1000;
    let client_id = client_id("letters-quota");
    let client = format!("transport.kafka.client_id={client_id}");
    let timeout = format!("transport.kafka.request_timeout={REQUEST_TIMEOUT:?}");
    let scene = Scene::new("letters-quota", &["generator.enabled=false", &client, &timeout]);
    let bad: Vec<_> = (0..COUNT).map(|i| Some(format!("{i} {}", "x".repeat(200)).into_bytes())).collect();
    scene.mix_in(&bad);
    scene.caught_up();
    scene.broker.limit(&client_id, "consumer_byte_rate=60000,producer_byte_rate=60000");
    let begun = Instant::now();
    let shown = stdout(&scene.site.run(&["dead-letters", "show", "--limit", "0", "--json"]));
    assert_eq!(shown.lines().count() as i64, COUNT);
    let said = stdout(&scene.site.run(&["dead-letters", "retry", "--all"]));
    println!("dead letters: done in {:?}", begun.elapsed());
    assert!(begun.elapsed() > 2 * REQUEST_TIMEOUT, "the quotas do not bite");
    assert!(said.starts_with(&format!("{COUNT} of {COUNT} ")), "{said}");
    assert_eq!(scene.bus.end(&scene.names.samples, 0), 2 * COUNT);
    let again = stdout(&scene.site.run(&["dead-letters", "retry", "--all"]));
    assert!(again.starts_with(&format!("0 of {COUNT} ")), "{again}");
}

#[test]
fn a_produce_quota_is_waited_for_and_all_samples_are_predicted_once() {
    let scene = limited("produce-quota", "producer_byte_rate=150000", 12_000);
    let begun = Instant::now();
    let daemon = works_off(&scene);
    let throttle = said(&daemon, "producer_byte_rate");
    println!("produce quota: throttled {throttle:?} at first, done in {:?}", begun.elapsed());
    assert!(begun.elapsed() > REQUEST_TIMEOUT, "the quota does not bite");
    once(&scene, 12_000);
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
