//! How fast a backlog is worked off, beside the fastest thing that could be done with it: a plain rskafka loop that
//! copies as many bytes per record as a prediction has, and learns nothing.
//!
//! Needs a running Apache Kafka: `tests/kafka/kafka start`, then
//! `THALWEG_TEST_BROKERS=127.0.0.1:19092 cargo bench --features kafka-tests --bench pipeline`.
//! `THALWEG_BENCH_RECORDS` (default 1,000,000) and `THALWEG_BENCH_RUNS` (default 3) change the size. The two take
//! turns in one run, since only their ratio means something from machine to machine.

use std::{
    collections::{BTreeMap, VecDeque},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use serde_json::Value;
use thalweg::generator::{self, Function, Stream, encode};
use tokio::sync::mpsc;

/// Bytes asked for in one fetch, and put into one produce request.
const FETCH: std::ops::Range<i32> = 1..4 << 20;
const BATCH_BYTES: usize = 900 << 10;
/// Produce requests in flight.
const IN_FLIGHT: usize = 5;

const MODELS: [(&str, &str); 2] = [
    ("linear + mean", r#"models=[{kind="mean"},{kind="linear"}]"#),
    ("hoeffding_tree + linear + mean", r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree",scale=true}]"#),
];

fn number(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark's size is no setting of the daemon")]
    let text = std::env::var(name);
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    #[expect(clippy::disallowed_methods, reason = "where the broker is, is no setting of the daemon")]
    let brokers = std::env::var("THALWEG_TEST_BROKERS")
        .expect("THALWEG_TEST_BROKERS names no broker; start one with `tests/kafka/kafka start`");
    let (records, runs) = (number("THALWEG_BENCH_RECORDS", 1_000_000), number("THALWEG_BENCH_RUNS", 3));
    let client = Arc::new(ClientBuilder::new(vec![brokers.clone()]).build().await.expect("the broker answers"));
    let id = std::process::id();
    let samples = format!("bench-samples-{id}");
    create(&client, &samples).await;
    let bytes = fill(&client, &samples, records).await;
    println!("{records} samples of {} B in {samples}", bytes / records);

    // One run decides how many bytes a prediction has, so that the copy moves as many.
    for (label, models) in MODELS {
        let (_, size) =
            learn(&client, &brokers, &samples, &format!("bench-{id}-size-{}", label.len()), models, records).await;
        let mut rates: [Vec<f64>; 2] = Default::default();
        for run in 0..runs {
            let copy = format!("bench-copy-{id}-{}-{run}", label.len());
            rates[0].push(passthrough(&client, &samples, &copy, records, size).await);
            let prefix = format!("bench-{id}-{}-{run}", label.len());
            rates[1].push(learn(&client, &brokers, &samples, &prefix, models, records).await.0);
        }
        let [copy, learned] = rates.map(median);
        println!(
            "{label}: {learned:.0} records/s, predictions of {size} B; passthrough {copy:.0}; ratio {:.2}",
            learned / copy
        );
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn create(client: &Client, topic: &str) {
    let controller = client.controller_client().expect("a controller");
    controller.create_topic(topic, 1, 1, 10_000).await.expect("a topic");
}

async fn partition(client: &Client, topic: &str) -> Arc<PartitionClient> {
    Arc::new(client.partition_client(topic, 0, UnknownTopicHandling::Retry).await.expect("the partition"))
}

/// Friedman samples of ten features; returns their bytes.
async fn fill(client: &Client, topic: &str, records: u64) -> u64 {
    let config = generator::Config {
        function: Function::from_name("friedman").expect("a function"),
        ..generator::Config::default()
    };
    let mut stream = Stream::new(&config).expect("a stream");
    let names = stream.feature_names().to_vec();
    let partition = partition(client, topic).await;
    let (mut x, mut total, mut left) = (Vec::new(), 0, records);
    while left > 0 {
        let count = left.min(3000);
        let mut batch = Vec::new();
        for _ in 0..count {
            let y = stream.next_sample(&mut x);
            let mut value = Vec::with_capacity(256);
            encode::json(&names, &x, y, &mut value);
            total += value.len() as u64;
            batch.push(record(value));
        }
        partition.produce(batch, Compression::NoCompression).await.expect("produce");
        left -= count;
    }
    total
}

fn record(value: Vec<u8>) -> Record {
    Record { key: None, value: Some(value), headers: BTreeMap::new(), timestamp: chrono::DateTime::default() }
}

/// Fetch ahead, cut or fill each value to `size` bytes, produce in order with several requests in flight. Records/s.
async fn passthrough(client: &Client, from: &str, to: &str, records: u64, size: usize) -> f64 {
    create(client, to).await;
    let (source, sink) = (partition(client, from).await, partition(client, to).await);
    let start = Instant::now();
    let (batches, mut incoming) = mpsc::channel(4);
    let fetch = tokio::spawn(async move {
        let mut offset = 0;
        while offset < records as i64 {
            let (batch, _) = source.fetch_records(offset, FETCH, 500).await.expect("fetch");
            offset = batch.last().map_or(offset, |record| record.offset + 1);
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    });
    let mut in_flight = VecDeque::new();
    while let Some(batch) = incoming.recv().await {
        for chunk in batch.chunks((BATCH_BYTES / size.max(1)).max(1)) {
            let copies = chunk.iter().map(|source| {
                let mut value = vec![b'x'; size];
                let bytes = source.record.value.as_deref().unwrap_or_default();
                let common = bytes.len().min(size);
                value[..common].copy_from_slice(&bytes[..common]);
                record(value)
            });
            let (sink, copies) = (Arc::clone(&sink), copies.collect());
            in_flight.push_back(tokio::spawn(async move { sink.produce(copies, Compression::NoCompression).await }));
            if in_flight.len() >= IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                oldest.await.expect("a task").expect("produce");
            }
        }
    }
    for rest in in_flight {
        rest.await.expect("a task").expect("produce");
    }
    fetch.await.expect("fetch");
    records as f64 / start.elapsed().as_secs_f64()
}

/// The daemon over the backlog, from its first record to its end. Records/s, and the bytes of a prediction.
async fn learn(
    client: &Client,
    brokers: &str,
    samples: &str,
    prefix: &str,
    models: &str,
    records: u64,
) -> (f64, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let set = |text: String| ["--set".to_owned(), text];
    let settings = [
        "transport.kind=kafka".to_owned(),
        format!("transport.kafka.brokers=[\"{brokers}\"]"),
        format!("topics.samples={samples}"),
        format!("topics.predictions={prefix}-predictions"),
        format!("topics.dead_letters={prefix}-dead-letters"),
        format!("topics.events={prefix}-events"),
        format!("state.path={}", folder.path().join("state.db").display()),
        "logging.format=json".to_owned(),
        models.to_owned(),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(["run", "--until-caught-up"]).args(settings.into_iter().flat_map(set)).current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("the binary runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let elapsed = between(&log, "worker_started", "stopped");

    let predictions = partition(client, &format!("{prefix}-predictions")).await;
    let end = predictions.get_offset(OffsetAt::Latest).await.expect("an offset");
    assert_eq!(end, records as i64, "predictions are missing or doubled");
    let (sampled, _) = predictions.fetch_records(records as i64 / 2, 1..1 << 20, 500).await.expect("fetch");
    let bytes: usize = sampled.iter().map(|record| record.record.value.as_ref().map_or(0, Vec::len)).sum();
    (records as f64 / elapsed.as_secs_f64(), bytes / sampled.len().max(1))
}

/// Time between two events of a JSON log.
fn between(log: &str, first: &str, last: &str) -> Duration {
    let at = |event: &str| {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.rev().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event} in {log}"));
        let time = line["timestamp"].as_str().and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
        time.unwrap_or_else(|| panic!("no time in {line}"))
    };
    (at(last) - at(first)).to_std().expect("time goes forward")
}
