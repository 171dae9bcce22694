//! Hundreds of partitions at once: few connections, however many there are, and nothing left out.

use std::fs;

use serde_json::Value;
use thalweg::topic::Output;

use crate::{
    Scene,
    outages::resident,
    proxy::{Proxy, Trap},
    support::proof::source,
};

const PARTITIONS: i32 = 300;
const EACH: i64 = 20;

/// Descriptors that are open.
fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("a process").count()
}

#[test]
fn a_soft_limit_of_descriptors_is_raised_to_the_hard_one_and_a_hard_one_that_is_too_low_is_told() {
    let scene = Scene::new("limits", &["generator.enabled=false"]);
    let mut daemon = scene.site.start_under("-Sn 64", &["run"]);
    daemon.event("ready");
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("a process");
    let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the limit of descriptors");
    let [soft, hard, ..] = open.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{open}") };
    assert!(soft == hard && soft != "64", "{open}");
    assert!(daemon.stop().success(), "{}", daemon.story());

    let mut daemon = scene.site.start_under("-n 34", &["run"]);
    let failed = daemon.event("failed");
    let said = failed["error"].as_str().expect("an error");
    for part in ["LimitNOFILE", "35", "34"] {
        assert!(said.contains(part), "`{part}` in {said}");
    }
    assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.story());
}

/// Samples in every partition; not in turn, so that a fetch finds some of them empty.
fn fill(scene: &Scene, range: std::ops::Range<i64>) {
    for partition in 0..PARTITIONS {
        let sample = |i: i64| Some(format!(r#"{{"x":{i},"y":{}}}"#, (i + i64::from(partition)) % 7).into_bytes());
        scene.bus.produce(&scene.names.samples, partition, b"k", range.clone().map(sample));
    }
}

/// Each sample of each partition has one prediction, in order.
fn once(scene: &Scene, count: i64) {
    for partition in 0..PARTITIONS {
        let predictions = scene.bus.read(&scene.names.outputs[Output::Predictions as usize], partition);
        let sources: Vec<i64> = predictions.iter().map(|record| source(Output::Predictions, record)).collect();
        assert_eq!(sources, (0..count).collect::<Vec<_>>(), "partition {partition}");
    }
}

#[test]
fn hundreds_of_partitions_share_a_few_connections_and_miss_nothing() {
    let models = r#"models=[{kind="mean"},{kind="linear"}]"#;
    let scene = Scene::new("many", &["generator.enabled=false", "transport.kafka.request_timeout=10s", models]);
    scene.broker.grow(&scene.names.samples, PARTITIONS);
    scene.bus.forget();
    fill(&scene, 0..EACH);
    let mut daemon = scene.site.start(&["run"]);
    let all = i64::from(PARTITIONS) * EACH;
    daemon.line("all of it", |line| line["records"] == all && line["lag"] == 0);
    let open = descriptors(daemon.id());
    assert!(open <= 40, "{open} descriptors");

    // At rest all wait in one fetch, and what comes to any of them is not held up by the others.
    fill(&scene, EACH..EACH + 5);
    let all = i64::from(PARTITIONS) * (EACH + 5);
    daemon.line("what came later", |line| line["records"] == all && line["lag"] == 0);
    for trouble in ["worker_interrupted", "stalled", "failed"] {
        assert_eq!(daemon.lines_of(trouble), Vec::<&Value>::new());
    }

    // A broker that goes away and comes back.
    scene.broker.kill();
    daemon.event("broker_unreachable");
    scene.broker.start();
    scene.bus.forget();
    fill(&scene, EACH + 5..EACH + 10);
    let all = i64::from(PARTITIONS) * (EACH + 10);
    daemon.line("what came after the outage", |line| line["records"] == all && line["lag"] == 0);
    assert!(daemon.stop().success(), "{}", daemon.story());
    once(&scene, EACH + 10);
}

/// Samples of about four kilobytes, in each of so many partitions, and the memory in kB that they may take while nothing can be
/// published.
const LARGE: (i32, i64) = (100, 700);
const MEMORY: u64 = 160_000;
/// Samples in a batch.
const BATCH: usize = 35;

#[test]
fn memory_is_bounded_in_sum_while_outputs_take_nothing() {
    let (partitions, each) = LARGE;
    let settings = ["generator.enabled=false", "transport.kafka.request_timeout=50s", r#"models=[{kind="mean"}]"#];
    let scene = Scene::behind_proxy(
        "held",
        &[&settings[..], &["schema.ignore=[\"pad\"]", "transport.kafka.fetch_bytes=1048576"]].concat(),
    );
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    scene.broker.grow(&scene.names.samples, partitions);
    scene.bus.forget();
    let pad = "x".repeat(4000);
    let sample = |i: i64| Some(format!(r#"{{"x":{i},"y":{},"pad":"{pad}"}}"#, i % 7).into_bytes());
    let fill = |range: std::ops::Range<i64>| {
        scene.bus.produce_to_each(&scene.names.samples, partitions, range.map(sample).collect());
    };
    fill(0..1);
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("the first of each", |line| line["records"] == partitions && line["lag"] == 0);
    // All batches go over one connection, so none passes this one.
    proxy.lay(&scene.names.outputs[Output::Predictions as usize], Trap::HoldRequest);
    let before = proxy.fetched();
    // A broker brings a batch in full, so those are smaller than a fetch.
    for first in (1..each).step_by(BATCH) {
        fill(first..each.min(first + BATCH as i64));
    }
    let mut seen = 0;
    scene.bus.until("that nothing more is fetched", || {
        daemon.watch(std::time::Duration::from_secs(2));
        let now = proxy.fetched() - before;
        // Fetches that bring nothing go on.
        proxy.sprung() == 1 && now - std::mem::replace(&mut seen, now) < 500_000
    });
    let taken = resident(&daemon);
    println!("{} MB resident while nothing is published, {} MB fetched", taken / 1000, seen / 1_000_000);
    assert!(taken < MEMORY, "{taken} kB resident");
    proxy.release();
    let all = i64::from(partitions) * each;
    daemon.line("all of it", |line| line["records"] == all && line["lag"] == 0);
    assert!(daemon.stop().success(), "{}", daemon.story());
    assert_eq!(daemon.lines_of("worker_interrupted"), Vec::<&Value>::new());
}
