//! A running Apache Kafka (THALWEG_TEST_BROKERS), topics of one's own on it, and a daemon that works on them.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::{Record, RecordAndOffset},
};
use serde_json::Value;
use thalweg_topic::Topics;

use super::daemon::Workspace;

/// Its `host:port`.
pub fn broker() -> String {
    #[expect(clippy::disallowed_methods, reason = "where the broker is, is no setting of the daemon")]
    let broker = std::env::var("THALWEG_TEST_BROKERS");
    broker.expect("THALWEG_TEST_BROKERS names no broker; start one with `tests/kafka/kafka start`")
}

/// The clock's time: brokers delete what is old.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    std::time::SystemTime::now().into()
}

/// Names of one's own, since all tests share the broker.
fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{name}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Topics that nobody else uses.
pub fn topics(name: &str) -> Topics {
    let prefix = unique(name);
    Topics {
        samples: format!("{prefix}.samples"),
        labels: None,
        predictions: format!("{prefix}.predictions"),
        dead_letters: format!("{prefix}.dead-letters"),
        events: format!("{prefix}.events"),
        partitions: 1,
    }
}

pub async fn client() -> Client {
    ClientBuilder::new(vec![broker()]).build().await.expect("the broker answers")
}

/// Partition 0 of a topic.
pub async fn partition(topic: &str) -> PartitionClient {
    client().await.partition_client(topic, 0, UnknownTopicHandling::Retry).await.expect("a partition")
}

/// Makes a topic, unless it is there; from within a runtime or without.
pub fn create(topic: &str, partitions: i32) {
    let topic = topic.to_owned();
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = client().await;
            let there = async || client.list_topics().await.expect("topics").iter().any(|other| other.name == topic);
            if !there().await {
                let controller = client.controller_client().expect("a controller");
                controller.create_topic(&topic, partitions, 1, 10_000).await.expect("a new topic");
            }
            while !there().await {
                tokio::task::yield_now().await;
            }
        });
    });
    made.join().expect("made");
}

/// Appends a batch for each value.
pub async fn produce(topic: &str, values: Vec<Option<Vec<u8>>>) {
    let partition = partition(topic).await;
    let record = |value| Record { key: None, value, headers: Default::default(), timestamp: now() };
    for value in values {
        partition.produce(vec![record(value)], Compression::NoCompression).await.expect("produce");
    }
}

/// Sets `key=value` of a topic.
pub fn set(topic: &str, setting: &str) {
    let broker = broker();
    let (_, port) = broker.rsplit_once(':').expect("host:port");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka");
    let done = Command::new(script).args(["topic", "set", topic, setting, "--port", port]).status();
    assert!(done.expect("the script runs").success());
}

/// Appends lines of headers, key and value with Kafka's own producer, since the client of these tests has no header
/// without a value: see `produce` of tests/kafka/kafka.
pub fn produce_lines(topic: &str, compression: &str, lines: &str) {
    let broker = broker();
    let (_, port) = broker.rsplit_once(':').expect("host:port");
    let mut producer = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka"))
        .args(["produce", topic, compression, "--port", port])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the script runs");
    producer.stdin.take().expect("its input").write_all(lines.as_bytes()).expect("written");
    assert!(producer.wait().expect("it ends").success());
}

/// Every record of a topic.
pub async fn all(topic: &str) -> Vec<RecordAndOffset> {
    let partition = partition(topic).await;
    let end = partition.get_offset(OffsetAt::Latest).await.expect("an offset");
    let (mut records, mut offset) = (Vec::new(), 0);
    while offset < end {
        let (batch, _) = partition.fetch_records(offset, 1..16 << 20, 500).await.expect("fetch");
        offset = batch.last().expect("a record").offset + 1;
        records.extend(batch);
    }
    records
}

/// A daemon's folder and settings for topics of one's own.
pub fn site(topics: &Topics, more: &[&str]) -> Workspace {
    let mut site = Workspace::new(&[&["generator.enabled=true"], more].concat());
    if more.contains(&"generator.enabled=false") {
        create(&topics.samples, 1);
    }
    site.settings.extend([
        "transport.kind=kafka".to_owned(),
        format!("transport.kafka.brokers=[\"{}\"]", broker()),
        format!("topics.samples={}", topics.samples),
        format!("topics.predictions={}", topics.predictions),
        format!("topics.dead_letters={}", topics.dead_letters),
        format!("topics.events={}", topics.events),
    ]);
    site
}

/// Of what predictions were made.
pub fn source_offsets(records: &[RecordAndOffset]) -> Vec<i64> {
    let offset = |record: &RecordAndOffset| {
        let value: Value = serde_json::from_slice(record.record.value.as_deref().expect("a value")).expect("JSON");
        value["source"]["offset"].as_i64().expect("an offset")
    };
    records.iter().map(offset).collect()
}
