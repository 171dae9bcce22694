//! Hundreds of partitions at once: few connections, however many there are, and nothing left out.

use std::fs;

use serde_json::Value;
use thalweg::topic::Output;

use crate::{Scene, support::proof::source};

const PARTITIONS: i32 = 300;
const EACH: i64 = 20;

/// Descriptors that are open.
fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("a process").count()
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
