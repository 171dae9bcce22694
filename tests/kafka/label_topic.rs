//! A topic of labels on a real broker: missing, too small, in order of time, and sent back to.

use serde_json::{Value, json};
use thalweg::topic::Topics;

use crate::support::{
    broker::{all, create, produce, site, topics},
    daemon::{Workspace, stdout},
};

/// A samples topic with so many partitions, the name of one for labels, and settings that say so.
fn with_labels(name: &str, partitions: i32) -> (Topics, String, Workspace) {
    let topics = topics(name);
    create(&topics.samples, partitions);
    let labels = format!("{}.labels", topics.samples);
    let named = format!("topics.labels={labels}");
    let settings = [
        "generator.enabled=false",
        "labels.mode=topic",
        "labels.by=id",
        "metrics.report_every=20ms",
        r#"models=[{kind="mean"},{kind="last"}]"#,
        &named,
    ];
    let site = site(&topics, &settings);
    (topics, labels, site)
}

fn values(records: impl IntoIterator<Item = Value>) -> Vec<Option<Vec<u8>>> {
    records.into_iter().map(|record| Some(record.to_string().into_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_labels_topic_that_is_missing_is_waited_for_and_one_with_too_few_partitions_refused() {
    let (_, labels, site) = with_labels("few", 2);
    let mut daemon = site.start(&[]);
    let told = daemon.event("topic_missing");
    assert_eq!(told["topic"], labels.as_str(), "{told}");
    assert!(told["message"].as_str().is_some_and(|message| message.contains("topics.labels")), "{told}");
    create(&labels, 1);
    assert!(!daemon.wait().success());
    let story = daemon.story();
    assert!(story.contains("it has 1 partitions and") && story.contains("kafka-topics.sh --alter"), "{story}");
    let checked = site.run(&["check", "--connect"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("it has 1 partitions and"), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_both_topics_hold_is_joined_and_a_label_that_is_no_one_s_goes_back_as_one() {
    let (topics, labels, site) = with_labels("joined", 1);
    create(&labels, 1);
    produce(&labels, values([json!({"id": 100, "y": 7, "x": 3})])).await;
    produce(&topics.samples, values((0..50).map(|i| json!({"id": i, "x": i % 3})))).await;
    produce(&labels, values((0..50).map(|i| json!({"id": i, "y": 2 * i, "x": 9, "who": "somebody"})))).await;
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(all(&topics.predictions).await.len(), 50);
    let letters = all(&topics.dead_letters).await;
    assert_eq!(letters.len(), 1, "it came before all samples");
    assert_eq!(letters[0].record.headers["thalweg.topic"], labels.as_bytes());
    produce(&topics.samples, values([json!({"id": 100, "x": 1})])).await;
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let sent = stdout(&site.run(&["dead-letters", "retry", "--all"]));
    assert!(sent.contains("1 of 1"), "{sent}");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let state: Value = serde_json::from_str(&stdout(&site.run(&["model", "export"]))).expect("JSON");
    assert_eq!(state["partitions"][0]["version"], 51, "{state}");
    assert_eq!((all(&topics.predictions).await.len(), all(&topics.dead_letters).await.len()), (51, 1));
    let known = all(&topics.predictions).await.pop().expect("one").record.headers["thalweg.labels"].clone();
    assert_eq!(known, b"51");
}
