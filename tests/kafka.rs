//! The transport conformance suite on a real Apache Kafka, and the daemon on it.
//!
//! Needs THALWEG_TEST_BROKERS=host:port; `tests/kafka/kafka start` runs a broker. Without
//! one these tests fail: they never skip.

#[path = "kafka/compare.rs"]
mod compare;
#[path = "support/conformance.rs"]
mod conformance;
#[path = "kafka/dead_letters.rs"]
mod dead_letters;
#[path = "support/hostile.rs"]
mod hostile;
#[path = "kafka/hostile.rs"]
mod hostile_records;
#[path = "kafka/label_topic.rs"]
mod label_topic;
#[path = "kafka/own_topics.rs"]
mod own_topics;
#[path = "kafka/relearn.rs"]
mod relearn;
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use conformance::{Place, all_of_them};
use support::broker::{all, broker, produce, site, source_offsets, topics};
use tempfile::TempDir;
use thalweg::{
    kafka::{Config, Kafka},
    store::{self, Store},
    topic::{Error, Opening, Reader, SampleLog, Source, Topics, record::Outgoing},
};
use tokio_util::sync::CancellationToken;

struct Broker {
    topics: Topics,
    store: Arc<Store>,
    _folder: TempDir,
}

async fn on_broker(name: &str) -> Broker {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    Broker { topics: topics(name), store, _folder: folder }
}

impl Place for Broker {
    type Transport = Kafka;

    fn topics(&self) -> Topics {
        self.topics.clone()
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    async fn open(&self, topics: Topics) -> Result<Kafka, Error> {
        let config = Config { brokers: vec![broker()], ..Config::default() };
        Kafka::open(config, topics, self.store(), Opening::to_generate(), CancellationToken::new()).await
    }
}

all_of_them!(on_broker);

#[tokio::test]
async fn a_missing_topic_that_may_not_be_created_says_what_to_do() {
    let place = on_broker("missing").await;
    let config = Config { brokers: vec![broker()], create_topics: false, ..Config::default() };
    support::broker::create(&place.topics.samples, 1);
    let opened =
        Kafka::open(config, place.topics(), place.store(), Opening::to_generate(), CancellationToken::new()).await;
    let error = opened.expect_err("there is no such topic").to_string();
    assert!(error.contains("create_topics") && error.contains(&place.topics.predictions), "{error}");
}

#[tokio::test]
async fn waiting_for_a_broker_that_is_not_there_can_be_stopped() {
    let place = on_broker("absent").await;
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let config = Config { brokers: vec![format!("127.0.0.1:{port}")], ..Config::default() };
    let shutdown = CancellationToken::new();
    let opening = Kafka::open(config, place.topics(), place.store(), Opening::default(), shutdown.clone());
    let (opened, ()) = tokio::join!(opening, async {
        tokio::task::yield_now().await;
        shutdown.cancel();
    });
    assert!(matches!(opened, Err(Error::Stopped)));
}

/// A transport whose reader has the longest linger there is.
async fn lingering(place: &Broker, fetch_bytes: i32) -> Kafka {
    let linger = Duration::from_secs(1);
    let config = Config { brokers: vec![broker()], linger, fetch_bytes, ..Config::default() };
    Kafka::open(config, place.topics(), place.store(), Opening::to_generate(), CancellationToken::new())
        .await
        .expect("open")
}

fn sample(number: u64) -> Vec<Outgoing> {
    let timestamp = support::broker::now().timestamp_millis();
    vec![Outgoing { timestamp, value: Some(format!("{number:0>300}").into()), ..Outgoing::default() }]
}

#[tokio::test]
async fn a_backlog_does_not_wait_for_more_to_come() {
    let place = on_broker("backlog").await;
    let transport = lingering(&place, 1000).await;
    for number in 0..60 {
        transport.append_samples(number, sample(number)).await.expect("appended");
    }
    let mut reader = transport.reader(&place.topics().samples, 0).await.expect("a reader");
    let (mut offset, mut fetches, begun) = (0, 0, Instant::now());
    while offset < 60 {
        offset = reader.fetch(offset).await.expect("fetched").next_offset;
        fetches += 1;
    }
    assert!(fetches >= 15, "{fetches} fetches show nothing");
    assert!(begun.elapsed() < Duration::from_secs(10), "{fetches} fetches took {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_comes_while_a_reader_lingers_is_fetched_together() {
    let place = on_broker("linger").await;
    let transport = lingering(&place, 1 << 20).await;
    let mut reader = transport.reader(&place.topics().samples, 0).await.expect("a reader");
    let send = async {
        for number in 0..100 {
            transport.append_samples(number, sample(number)).await.expect("appended");
        }
    };
    let read = async {
        let (mut offset, mut fetches) = (0, 0);
        while offset < 100 {
            let fetched = reader.fetch(offset).await.expect("fetched");
            fetches += usize::from(!fetched.records.is_empty());
            offset = fetched.next_offset;
        }
        fetches
    };
    let ((), fetches) = tokio::join!(send, read);
    assert!(fetches <= 10, "{fetches} fetches for 100 samples that came one by one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_restarts_on_kafka_lose_and_repeat_nothing() {
    let topics = topics("restarts");
    let site = site(&topics, &["generator.rate=20000", "metrics.report_every=100ms", "generator.count=20000"]);
    for run in 1..=3_u64 {
        let mut daemon = site.start(&[]);
        daemon.line("some progress", |line| {
            line["event"] == "report" && line["records"].as_u64().is_some_and(|records| records > 3000 * run)
        });
        assert!(daemon.stop().success());
    }
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let samples = all(&topics.samples).await.len() as i64;
    assert!(samples > 9000, "{samples}");
    assert_eq!(source_offsets(&all(&topics.predictions).await), (0..samples).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_state_file_does_not_publish_anything_twice() {
    let topics = topics("lost");
    let more = ["generator.rate=0", "generator.count=5000", "metrics.report_every=50ms"];
    let first = site(&topics, &more);
    let mut daemon = first.start(&[]);
    daemon.line("all samples", |line| line["records"] == 5000);
    assert!(daemon.stop().success());
    let elsewhere = site(&topics, &["generator.enabled=false"]);
    assert!(elsewhere.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(source_offsets(&all(&topics.predictions).await), (0..5000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_on_kafka_ends_in_dead_letters_and_the_stream_goes_on() {
    let topics = topics("bad");
    let site = site(&topics, &["generator.enabled=false"]);
    let good = || Some(br#"{"x":1.5,"y":2}"#.to_vec());
    let huge = Some(vec![b'x'; 10 << 20]);
    let bad: Vec<(Option<Vec<u8>>, &str)> = vec![
        (Some(br#"{"x":1,"y":-Infinity}"#.to_vec()), "not_finite"),
        (Some(b"hello".to_vec()), "not_json"),
        (Some(br#"{"x":1.5,"y":"#.to_vec()), "not_json"),
        (huge, "too_large"),
        (Some(Vec::new()), "empty"),
        (None, "tombstone"),
    ];
    let mut values = vec![good()];
    for (value, _) in &bad {
        values.extend([value.clone(), good()]);
    }
    produce(&topics.samples, values).await;
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let letters = all(&topics.dead_letters).await;
    assert_eq!(letters.len(), bad.len());
    for (i, (letter, (value, reason))) in letters.iter().zip(&bad).enumerate() {
        assert!(letter.record.value == *value, "dead letter {i} is not what was sent");
        let header = |name: &str| String::from_utf8(letter.record.headers[name].clone()).expect("text");
        assert_eq!(header("thalweg.reason"), *reason);
        assert_eq!(header("thalweg.offset"), (2 * i + 1).to_string());
        assert_eq!(header("thalweg.topic"), topics.samples);
    }
    let expected: Vec<i64> = (0..=bad.len() as i64).map(|i| 2 * i).collect();
    assert_eq!(source_offsets(&all(&topics.predictions).await), expected);
}
