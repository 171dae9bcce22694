//! What every transport must do, written once. `tests/embedded.rs` runs it on the embedded transport, `tests/kafka.rs`
//! on a real Apache Kafka.

use std::{future::Future, sync::Arc, time::Duration};

use thalweg_models::{ModelConfig, ModelKind};
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    decode::Schema,
    prequential,
    processor::{self, Processor},
};
use thalweg_store::Store;
use thalweg_topic::{
    Assignment, Assignments, Error, NotTaken, Outbox, Output, Outputs, Publisher, Reader, SampleLog, Source, Start,
    Topics, Transport,
    record::{Headers, Outgoing, Record},
};
use tokio::sync::{mpsc, watch};

use crate::support::within;

/// A place where topics can be opened: a state file, or a broker with names of one's own.
pub trait Place {
    type Transport: Transport + SampleLog;
    fn topics(&self) -> Topics;
    fn store(&self) -> Arc<Store>;
    fn open(&self, topics: Topics) -> impl Future<Output = Result<Self::Transport, Error>>;
}

/// Runs the given tests of this module, each in a place of its own.
macro_rules! conformance {
    ($place:path => $($test:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            $crate::conformance::$test(&$place(stringify!($test)).await).await;
        })*
    };
}
pub(crate) use conformance;

/// Every test of this module, for the suites to run.
macro_rules! all_of_them {
    ($place:path) => {
        $crate::conformance::conformance!($place =>
            what_is_appended_is_fetched_unchanged_and_in_order,
            an_idle_fetch_returns_and_a_later_record_is_seen,
            a_dropped_fetch_loses_nothing,
            fetching_outside_of_what_is_there_is_a_gap_not_a_skip,
            start_positions_resolve_to_offsets,
            samples_are_spread_over_partitions_and_counted,
            somebody_s_samples_are_there_in_one_piece,
            a_record_of_ten_megabytes_passes,
            outboxes_are_published_once_and_in_order,
            a_checkpoint_is_kept_once_its_outbox_is_published,
            resume_tells_how_far_each_output_got,
            resume_after_nothing_is_the_position_itself,
            partitions_resume_each_by_itself,
            a_topic_that_is_not_there_is_said,
        );
    };
}
pub(crate) use all_of_them;

/// A time that no transport thinks old, in milliseconds since the Unix epoch.
fn today() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock").as_millis() as i64
}

fn sample(text: &str) -> Outgoing {
    Outgoing { timestamp: today(), value: Some(text.as_bytes().to_vec()), ..Outgoing::default() }
}

fn numbered(range: std::ops::Range<u64>) -> Vec<Outgoing> {
    range.map(|i| sample(&format!(r#"{{"x":{i},"y":{i}}}"#))).collect()
}

async fn fetch_until<R: Reader>(reader: &mut R, mut offset: i64, end: i64) -> Vec<Record> {
    let mut records = Vec::new();
    while offset < end {
        let fetched = within("records", reader.fetch(offset)).await.expect("fetch");
        offset = fetched.next_offset;
        records.extend(fetched.records);
    }
    records
}

/// All that an output topic's partition holds of what was made from samples. Who publishes may say so on the events topic.
async fn published<T: Transport>(transport: &T, topics: &Topics, output: Output, partition: i32) -> Vec<Record> {
    let topic = [&topics.predictions, &topics.dead_letters, &topics.events][output as usize];
    let mut reader = transport.reader(topic, partition).await.expect("reader");
    let range = reader.range().await.expect("range");
    let mut records = fetch_until(&mut reader, range.start, range.end).await;
    records.retain(|it| thalweg_topic::source::place(output, it.value.as_deref(), &it.headers).is_some());
    records
}

/// A reader of the samples.
async fn reader_of<P: Place>(place: &P, transport: &P::Transport, partition: i32) -> <P::Transport as Source>::Reader {
    transport.reader(&place.topics().samples, partition).await.expect("reader")
}

fn values(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| String::from_utf8(record.value.clone().unwrap_or_default().into()).expect("text");
    records.iter().map(text).collect()
}

pub async fn what_is_appended_is_fetched_unchanged_and_in_order<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let mut records = numbered(0..5000);
    records[1].key = Some(b"k\x00\xff".to_vec());
    records[2].value = None;
    records[3].value = Some(Vec::new());
    records[4].value = Some(b"\xff\xfe not text".to_vec());
    let headers =
        [("b", Some(&b"\xff\x00"[..])), ("null", None), ("a", Some(b"text")), ("empty", Some(b"")), ("b", Some(b"2"))];
    records[5].headers = headers.into_iter().map(|(name, value)| (name.into(), value.map(Into::into))).collect();
    transport.append_samples(0, records.clone()).await.expect("append");

    let mut reader = reader_of(place, &transport, 0).await;
    let fetched = fetch_until(&mut reader, 0, 5000).await;
    assert_eq!(fetched.len(), records.len());
    for ((offset, sent), mut got) in (0..).zip(records).zip(fetched) {
        // By which a transport may know its own samples again.
        got.headers.retain(|name| name != b"thalweg.generated");
        assert_eq!(got.offset, offset);
        assert_eq!(
            (got.key.as_deref(), got.value.as_deref()),
            (sent.key.as_deref(), sent.value.as_deref()),
            "offset {offset}"
        );
        assert_eq!(got.timestamp, sent.timestamp, "offset {offset}");
        assert_eq!(got.headers, sent.headers, "offset {offset}");
    }
}

pub async fn an_idle_fetch_returns_and_a_later_record_is_seen<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let mut reader = reader_of(place, &transport, 0).await;
    let idle = within("an empty fetch", reader.fetch(0)).await.expect("fetch");
    assert!(idle.records.is_empty());
    assert_eq!((idle.next_offset, idle.high_watermark), (0, 0));

    let (fetched, appended) = tokio::join!(fetch_until(&mut reader, 0, 1), async {
        tokio::task::yield_now().await;
        transport.append_samples(0, numbered(0..1)).await
    });
    appended.expect("append");
    assert_eq!(fetched.len(), 1);
}

pub async fn a_dropped_fetch_loses_nothing<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    transport.append_samples(0, numbered(0..100)).await.expect("append");
    let mut reader = reader_of(place, &transport, 0).await;
    for _ in 0..20 {
        // Polled once at least, finished or not.
        let _ = tokio::time::timeout(Duration::from_micros(50), reader.fetch(0)).await;
    }
    assert_eq!(fetch_until(&mut reader, 0, 100).await.len(), 100);
}

pub async fn fetching_outside_of_what_is_there_is_a_gap_not_a_skip<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    transport.append_samples(0, numbered(0..10)).await.expect("append");
    let mut reader = reader_of(place, &transport, 0).await;
    match within("the refusal", reader.fetch(11)).await {
        Err(Error::Gap { requested: 11, available, .. }) => assert_eq!(available, 0..10),
        other => panic!("expected a gap, got {other:?}"),
    }
}

pub async fn start_positions_resolve_to_offsets<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let mut records = numbered(0..10);
    let base = today() - 10_000;
    for (i, record) in (0_i64..).zip(&mut records) {
        record.timestamp = base + 1000 * i;
    }
    transport.append_samples(0, records).await.expect("append");
    let mut reader = reader_of(place, &transport, 0).await;
    for (start, offset) in [
        (Start::Earliest, 0),
        (Start::Latest, 10),
        (Start::Offset(7), 7),
        (Start::Timestamp(base + 3_500), 4),
        (Start::Timestamp(base + 60_000), 10),
    ] {
        assert_eq!(reader.resolve(start).await.expect("resolve"), offset, "{start:?}");
    }
    assert_eq!(reader.range().await.expect("range"), 0..10);
}

pub async fn samples_are_spread_over_partitions_and_counted<P: Place>(place: &P) {
    let topics = Topics { partitions: 3, ..place.topics() };
    let transport = place.open(topics.clone()).await.expect("open");
    let first = within("an assignment", transport.assignments().next()).await.expect("an assignment");
    let Assignment::Assigned(assigned) = first else { panic!("{first:?}") };
    assert_eq!(
        assigned.iter().map(|it| (it.partition, it.is_new)).collect::<Vec<_>>(),
        [(0, false), (1, false), (2, false)]
    );
    assert_eq!(transport.partitions(&topics.samples).await.expect("partitions"), 3);
    assert_eq!(transport.generated().await.expect("generated"), 0);
    transport.append_samples(0, numbered(0..10)).await.expect("append");
    transport.append_samples(10, numbered(10..20)).await.expect("append");
    assert_eq!(transport.generated().await.expect("generated"), 20);
    let mut seen = Vec::new();
    for partition in 0..3 {
        let mut reader = reader_of(place, &transport, partition).await;
        let end = reader.range().await.expect("range").end;
        let expected: Vec<String> = values_of(&numbered(0..20), partition as usize);
        assert_eq!(values(&fetch_until(&mut reader, 0, end).await), expected);
        seen.push(end);
    }
    assert_eq!(seen, [7, 7, 6]);
    drop(transport);
    let again = place.open(topics).await.expect("open again");
    assert_eq!(again.generated().await.expect("generated"), 20);
}

fn values_of(records: &[Outgoing], partition: usize) -> Vec<String> {
    let text = |record: &Outgoing| String::from_utf8(record.value.clone().unwrap_or_default()).expect("text");
    records.iter().skip(partition).step_by(3).map(text).collect()
}

pub async fn somebody_s_samples_are_there_in_one_piece<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let keyed = Outgoing { key: Some(b"k".to_vec()), ..sample(r#"{"x":7}"#) };
    let taken = transport.take_samples(0, vec![sample(r#"{"x":1,"y":2}"#), keyed]).await.expect("taken");
    assert_eq!(taken, Some(0));
    assert_eq!(transport.take_samples(0, numbered(0..50)).await.expect("taken"), Some(2));
    let records = fetch_until(&mut reader_of(place, &transport, 0).await, 0, 52).await;
    assert_eq!((records.len(), records[1].key.as_deref(), records[0].key.as_deref()), (52, Some(&b"k"[..]), None));
    assert_eq!(values(&records)[..2], [r#"{"x":1,"y":2}"#, r#"{"x":7}"#]);
    assert!(records.iter().all(|record| record.headers.is_empty()));
    // They are no generated ones.
    assert_eq!(transport.generated().await.expect("a count"), 0);
    let elsewhere = transport.take_samples(99, numbered(0..1)).await;
    assert!(matches!(elsewhere, Err(NotTaken::Partition { partition: 99, .. })), "{elsewhere:?}");
}

pub async fn a_record_of_ten_megabytes_passes<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let huge = sample(&"x".repeat(10 << 20));
    transport.append_samples(0, vec![huge.clone(), sample("after")]).await.expect("append");
    let mut reader = reader_of(place, &transport, 0).await;
    let fetched = fetch_until(&mut reader, 0, 2).await;
    assert!(fetched[0].value.as_deref() == huge.value.as_deref(), "another value");
    assert_eq!(values(&fetched[1..]), ["after"]);
}

/// A record for an output, as the encoder makes them, so that it can be told which source it comes from.
fn output(topics: &Topics, output: Output, partition: i32, offset: i64) -> Outgoing {
    let source = format!(r#"{{"topic":"{}","partition":{partition},"offset":{offset}}}"#, topics.samples);
    let timestamp = 1_700_000_000_000;
    let mut record = Outgoing { source: offset, timestamp, ..Outgoing::default() };
    match output {
        Output::Predictions => record.value = Some(format!(r#"{{"source":{source},"prediction":1.5}}"#).into_bytes()),
        Output::Events => record.value = Some(format!(r#"{{"event":"x","source":{source}}}"#).into_bytes()),
        Output::DeadLetters => {
            record.value = Some(b"broken".to_vec());
            record.headers = Headers::from([
                ("thalweg.topic", topics.samples.clone()),
                ("thalweg.partition", partition.to_string()),
                ("thalweg.offset", offset.to_string()),
            ]);
        }
    }
    record
}

/// Every seventh record is a dead letter, every tenth brings an event.
fn outbox(topics: &Topics, partition: i32, range: std::ops::Range<i64>) -> Outbox {
    let mut outbox = Outbox::at(range.end);
    for offset in range {
        let kind = if offset % 7 == 6 { Output::DeadLetters } else { Output::Predictions };
        outbox.push(kind, output(topics, kind, partition, offset));
        if offset % 10 == 9 {
            outbox.push(Output::Events, output(topics, Output::Events, partition, offset));
        }
    }
    outbox
}

async fn publish<T: Transport>(transport: &T, partition: i32, outboxes: Vec<Outbox>) -> i64 {
    let publisher = transport.publisher(partition).await.expect("publisher");
    let (sender, receiver) = mpsc::channel(2);
    let confirmed = watch::Sender::new(-1);
    let send = async {
        for outbox in outboxes {
            sender.send(outbox).await.expect("the publisher runs");
        }
        drop(sender);
    };
    let (ended, ()) =
        within("everything to be published", async { tokio::join!(publisher.run(receiver, confirmed.clone()), send) })
            .await;
    ended.expect("publish");
    *confirmed.borrow()
}

fn steps(topics: &Topics, partition: i32, count: i64, step: i64) -> Vec<Outbox> {
    (0..count / step).map(|i| outbox(topics, partition, i * step..(i + 1) * step)).collect()
}

pub async fn outboxes_are_published_once_and_in_order<P: Place>(place: &P) {
    let topics = place.topics();
    let transport = place.open(topics.clone()).await.expect("open");
    let position = publish(&transport, 0, steps(&topics, 0, 20_000, 250)).await;
    assert_eq!(position, 20_000);
    for kind in Output::ALL {
        let expected: Vec<Outgoing> = steps(&topics, 0, 20_000, 250)
            .into_iter()
            .flat_map(|outbox| outbox.records[kind as usize].clone())
            .collect();
        let got = published(&transport, &topics, kind, 0).await;
        assert_eq!(got.len(), expected.len(), "{kind:?}");
        for (got, sent) in got.iter().zip(&expected) {
            assert_eq!((got.value.as_deref(), &got.headers), (sent.value.as_deref(), &sent.headers));
        }
    }
}

fn checkpoint(topics: &Topics, partition: i32, position: i64) -> Box<Checkpoint> {
    let config = processor::Config {
        topic: topics.samples.clone(),
        labels: None,
        schema: Schema::default(),
        race: prequential::Config {
            window: 10,
            ..prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)])
        },
    };
    Box::new(Processor::new(&config, partition, position, None).0.checkpoint())
}

pub async fn a_checkpoint_is_kept_once_its_outbox_is_published<P: Place>(place: &P) {
    let topics = place.topics();
    let transport = place.open(topics.clone()).await.expect("open");
    let mut outboxes = steps(&topics, 0, 1000, 100);
    outboxes[4].checkpoint = Some(checkpoint(&topics, 0, 500));
    publish(&transport, 0, outboxes).await;
    let kept =
        thalweg_pipeline::checkpoints::load(&place.store(), &topics.samples, 0).expect("load").expect("a checkpoint");
    assert_eq!((kept.position, kept.partition), (500, 0));

    // What was published past the checkpoint is known again from its output offsets.
    let mut publisher = transport.publisher(0).await.expect("publisher");
    let resumed = publisher.resume(kept.outputs(), kept.position).await.expect("resume").published;
    assert!(resumed[Output::Predictions as usize] >= 1000 - 1, "{resumed:?}");
}

pub async fn resume_tells_how_far_each_output_got<P: Place>(place: &P) {
    let topics = place.topics();
    let transport = place.open(topics.clone()).await.expect("open");
    publish(&transport, 0, steps(&topics, 0, 700, 70)).await;
    let mut publisher = transport.publisher(0).await.expect("publisher");
    let resumed = publisher.resume(Outputs::default(), 0).await.expect("resume").published;
    // Nothing that was published may be published again, and nothing else may be skipped: between the last published
    // record of an output and the position there is none for that output.
    for (kind, last) in [(Output::Predictions, 698), (Output::DeadLetters, 699), (Output::Events, 699)] {
        assert!((last + 1..=700).contains(&resumed[kind as usize]), "{kind:?}: {resumed:?}");
    }
}

pub async fn resume_after_nothing_is_the_position_itself<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let mut publisher = transport.publisher(0).await.expect("publisher");
    assert_eq!(publisher.resume(Outputs::default(), 40).await.expect("resume").published, [40; 3]);
}

pub async fn partitions_resume_each_by_itself<P: Place>(place: &P) {
    let topics = Topics { partitions: 2, ..place.topics() };
    let transport = place.open(topics.clone()).await.expect("open");
    publish(&transport, 0, steps(&topics, 0, 300, 100)).await;
    publish(&transport, 1, steps(&topics, 1, 50, 50)).await;
    for (partition, last) in [(0, 299), (1, 49)] {
        let mut publisher = transport.publisher(partition).await.expect("publisher");
        let resumed = publisher.resume(Outputs::default(), 0).await.expect("resume").published;
        let events = resumed[Output::Events as usize];
        assert!((last + 1..=last + 1).contains(&events), "partition {partition}: {resumed:?}");
    }
}

pub async fn a_topic_that_is_not_there_is_said<P: Place>(place: &P) {
    let transport = place.open(place.topics()).await.expect("open");
    let missing = format!("{}-missing", place.topics().samples);
    match within("the refusal", transport.partitions(&missing)).await {
        Err(Error::Topic { topic, .. }) => assert_eq!(topic, missing),
        other => panic!("expected a refusal, got {other:?}"),
    }
}
