//! A worker on a transport of its own making, for what no real one does on demand.

mod support;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use support::within;
use thalweg::{
    models::{ModelConfig, ModelKind},
    pipeline::{
        checkpoint::Outputs,
        decode::Schema,
        gap::Policy,
        prequential, processor,
        record::{Outgoing, Record},
        store::{self, Store},
        transport::{
            Error, Fetched, Outbox, Publisher, Reader, Resumed, Start, Topics, Transport,
            embedded::{self, Embedded, EmbeddedPublisher, EmbeddedReader},
        },
        worker::{self, Gauges},
    },
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A transport on which, when it is asked how much there is, only the first records have arrived.
struct Growing {
    inner: Embedded,
    end: i64,
}

struct GrowingReader {
    inner: EmbeddedReader,
    end: i64,
}

impl Transport for Growing {
    type Reader = GrowingReader;
    type Publisher = EmbeddedPublisher;

    fn partitions(&self) -> &[i32] {
        self.inner.partitions()
    }
    async fn reader(&self, partition: i32) -> Result<GrowingReader, Error> {
        Ok(GrowingReader { inner: self.inner.reader(partition).await?, end: self.end })
    }
    async fn publisher(&self, partition: i32) -> Result<EmbeddedPublisher, Error> {
        self.inner.publisher(partition).await
    }
    async fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> Result<(), Error> {
        self.inner.append_samples(first, samples).await
    }
    fn retries(&self) -> u64 {
        0
    }
    async fn generated(&self) -> Result<u64, Error> {
        self.inner.generated().await
    }
}

impl Reader for GrowingReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        self.inner.resolve(start).await
    }
    async fn range(&mut self) -> Result<Range<i64>, Error> {
        Ok(0..self.end)
    }
    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        self.inner.fetch(offset).await
    }
}

/// A transport that always has a record, and publishes nothing.
struct Stuck {
    inner: Embedded,
    fetches: Arc<AtomicU64>,
}

struct EagerReader {
    inner: EmbeddedReader,
    fetches: Arc<AtomicU64>,
}

struct StuckPublisher(EmbeddedPublisher);

impl Transport for Stuck {
    type Reader = EagerReader;
    type Publisher = StuckPublisher;

    fn partitions(&self) -> &[i32] {
        self.inner.partitions()
    }
    async fn reader(&self, partition: i32) -> Result<EagerReader, Error> {
        Ok(EagerReader { inner: self.inner.reader(partition).await?, fetches: Arc::clone(&self.fetches) })
    }
    async fn publisher(&self, partition: i32) -> Result<StuckPublisher, Error> {
        Ok(StuckPublisher(self.inner.publisher(partition).await?))
    }
    async fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> Result<(), Error> {
        self.inner.append_samples(first, samples).await
    }
    fn retries(&self) -> u64 {
        0
    }
    async fn generated(&self) -> Result<u64, Error> {
        self.inner.generated().await
    }
}

impl Reader for EagerReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        self.inner.resolve(start).await
    }
    async fn range(&mut self) -> Result<Range<i64>, Error> {
        self.inner.range().await
    }
    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let record = Record { offset, value: Some(r#"{"x":1,"y":2}"#.into()), ..Record::default() };
        Ok(Fetched { records: vec![record], next_offset: offset + 1, high_watermark: i64::MAX })
    }
}

impl Publisher for StuckPublisher {
    async fn resume(&mut self, since: Outputs, position: i64) -> Result<Resumed, Error> {
        self.0.resume(since, position).await
    }
    async fn run(self, _outboxes: mpsc::Receiver<Outbox>, _confirmed: watch::Sender<i64>) -> Result<(), Error> {
        std::future::pending().await
    }
}

/// With one model, looked at only when it ends.
fn config(until_caught_up: bool) -> Arc<worker::Config> {
    Arc::new(worker::Config {
        processor: processor::Config {
            topic: "samples".into(),
            schema: Schema::default(),
            race: prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]),
        },
        start: Start::Earliest,
        on_gap: Policy::Stop,
        checkpoint_every: Duration::from_secs(3600),
        until_caught_up,
    })
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_is_not_outrun() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&store).expect("a state file"));
    let open = Embedded::open(embedded::Config::default(), Topics::default(), Arc::clone(&store));
    let fetches = Arc::new(AtomicU64::new(0));
    let transport = Arc::new(Stuck { inner: open.await.expect("open"), fetches: Arc::clone(&fetches) });
    let work = worker::run(transport, store, config(false), 0, Gauges::default(), CancellationToken::new());
    // The clock goes on only when nothing else can.
    tokio::time::timeout(Duration::from_secs(10), work).await.expect_err("nothing is ever published");
    // Of the records one is with the publisher, one has been processed, one is read ahead, and one has come.
    assert_eq!(fetches.load(Ordering::Relaxed), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_while_it_catches_up_are_left_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&file).expect("a state file"));
    let config = config(true);
    let sample = |i| Outgoing { value: Some(format!(r#"{{"x":{i},"y":{i}}}"#).into()), ..Outgoing::default() };
    for end in [30, 100] {
        let open = Embedded::open(embedded::Config::default(), Topics::default(), Arc::clone(&store));
        let inner = open.await.expect("open");
        if end == 30 {
            inner.append_samples(0, (0..100).map(sample).collect()).await.expect("appended");
        }
        let transport = Arc::new(Growing { inner, end });
        let stop = CancellationToken::new();
        let work = worker::run(transport, Arc::clone(&store), Arc::clone(&config), 0, Gauges::default(), stop);
        within("the end", work).await.expect("caught up");
        let checkpoint = store.load("samples", 0).expect("readable").expect("a checkpoint");
        assert_eq!((checkpoint.position, checkpoint.records), (end, end as u64));
    }
}
