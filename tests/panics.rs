//! A panic in any task stops the daemon with an error, and leaves no checkpoint behind that was made after it.
//!
//! Tasks are made to panic by what is around them: a transport that panics, or a log subscriber that does when a certain
//! event comes.

mod support;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use support::within;
use tempfile::TempDir;
use thalweg::{
    app,
    models::{ModelConfig, ModelKind},
    pipeline::{
        checkpoint::Outputs,
        decode::Schema,
        gap::Policy,
        prequential, processor,
        record::Outgoing,
        store::{self, Store},
        transport::{
            Error, Fetched, Outbox, Publisher, Reader, Resumed, Start, Topics, Transport,
            embedded::{self, Embedded, EmbeddedPublisher, EmbeddedReader},
        },
        worker::{self, Gauges},
    },
    settings::{Settings, Sources},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The event at which the subscriber panics.
static TRIGGER: Mutex<Option<&'static str>> = Mutex::new(None);

struct Trap;

struct Named(bool);

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        let trigger = *TRIGGER.lock().unwrap_or_else(PoisonError::into_inner);
        self.0 |= field.name() == "event" && Some(value) == trigger;
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Trap {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut named = Named(false);
        event.record(&mut named);
        assert!(!named.0, "the trap has sprung");
    }
}

/// One test at a time sets the trap.
async fn trap(event: &'static str) -> tokio::sync::MutexGuard<'static, ()> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    let guard = ONE.lock().await;
    INSTALLED.call_once(|| tracing_subscriber::registry().with(Trap).init());
    *TRIGGER.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
    guard
}

fn settings(folder: &TempDir, more: &[&str]) -> Settings {
    let path = format!("state.path={}", folder.path().join("state.db").display());
    let overrides: Vec<String> =
        [path.as_str(), "state.every=10ms"].iter().chain(more).map(ToString::to_string).collect();
    Settings::load(&Sources::new(None, std::iter::empty(), overrides)).expect("good settings")
}

/// The position of the newest checkpoint.
fn position(folder: &TempDir) -> Option<i64> {
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Store::open(&config).expect("the state file");
    store.load("samples", 0).expect("readable").map(|checkpoint| checkpoint.position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_processing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let transport = embedded(&store).await;
    let sample = |value: &str| Outgoing { value: Some(value.into()), ..Outgoing::default() };
    transport.append_samples(0, vec![sample(r#"{"x":1,"y":1}"#), sample("bad")]).await.expect("appended");
    drop((transport, store));
    {
        let _trap = trap("dead_letter").await;
        let run = app::run(settings(&folder, &["generator.enabled=false"]), false, std::future::pending());
        let error = within("the end", run).await.expect_err("a panic is an error");
        assert!(app::chain(&error).contains("the task `process` panicked"), "{}", app::chain(&error));
    }
    assert_eq!(position(&folder), Some(0), "only the checkpoint from before the first record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_reports() {
    let folder = tempfile::tempdir().expect("a folder");
    let _trap = trap("report").await;
    let run = app::run(settings(&folder, &["metrics.report_every=10ms"]), false, std::future::pending());
    let error = within("the end", run).await.expect_err("a panic is an error");
    assert!(matches!(error, app::Error::Panicked), "{error:?}");
}

async fn embedded(store: &Arc<Store>) -> Embedded {
    Embedded::open(embedded::Config::default(), Topics::default(), Arc::clone(store)).await.expect("open")
}

/// Panics in a reader or a publisher.
struct Broken {
    inner: Embedded,
    reading: bool,
}

struct BrokenReader {
    inner: EmbeddedReader,
    /// Whether the next fetch panics.
    broken: Option<AtomicBool>,
}

struct BrokenPublisher {
    inner: EmbeddedPublisher,
    broken: bool,
}

impl Transport for Broken {
    type Reader = BrokenReader;
    type Publisher = BrokenPublisher;

    fn partitions(&self) -> &[i32] {
        self.inner.partitions()
    }
    async fn reader(&self, partition: i32) -> Result<BrokenReader, Error> {
        let broken = self.reading.then(|| AtomicBool::new(false));
        Ok(BrokenReader { inner: self.inner.reader(partition).await?, broken })
    }
    async fn publisher(&self, partition: i32) -> Result<BrokenPublisher, Error> {
        Ok(BrokenPublisher { inner: self.inner.publisher(partition).await?, broken: !self.reading })
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

impl Reader for BrokenReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        self.inner.resolve(start).await
    }
    async fn range(&mut self) -> Result<Range<i64>, Error> {
        self.inner.range().await
    }
    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        if let Some(broken) = &self.broken {
            assert!(!broken.swap(true, Ordering::Relaxed), "the second fetch panics");
        }
        self.inner.fetch(offset).await
    }
}

impl Publisher for BrokenPublisher {
    async fn resume(&mut self, since: Outputs, position: i64) -> Result<Resumed, Error> {
        self.inner.resume(since, position).await
    }
    async fn run(self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        if !self.broken {
            return self.inner.run(outboxes, confirmed).await;
        }
        let first = outboxes.recv().await.expect("an outbox");
        let (sender, receiver) = mpsc::channel(1);
        sender.send(first).await.expect("sent");
        drop(sender);
        self.inner.run(receiver, confirmed).await?;
        panic!("after the first outbox")
    }
}

/// Runs a worker over 100 samples on a broken transport; its error, and the newest checkpoint's position.
async fn broken(reading: bool) -> (worker::Error, Option<i64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let inner = embedded(&store).await;
    let sample = |i| Outgoing { value: Some(format!(r#"{{"x":{i},"y":{i}}}"#).into()), ..Outgoing::default() };
    inner.append_samples(0, (0..100).map(sample).collect()).await.expect("appended");
    let config = worker::Config {
        processor: processor::Config {
            topic: "samples".into(),
            schema: Schema::default(),
            race: prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]),
        },
        start: Start::Earliest,
        on_gap: Policy::Stop,
        // Only what a stop leaves counts.
        checkpoint_every: std::time::Duration::from_secs(3600),
        until_caught_up: false,
    };
    let work = worker::run(
        Arc::new(Broken { inner, reading }),
        Arc::clone(&store),
        Arc::new(config),
        0,
        Gauges::default(),
        CancellationToken::new(),
    );
    let ended = within("the end", work).await;
    let position = store.load("samples", 0).expect("readable").map(|checkpoint| checkpoint.position);
    (ended.expect_err("a panic is an error"), position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_reading() {
    let (error, position) = broken(true).await;
    assert!(matches!(error, worker::Error::Panicked { task: "fetch" }), "{error:?}");
    assert_eq!(position, Some(0), "only the checkpoint from before the first record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_publishing() {
    let (error, position) = broken(false).await;
    assert!(matches!(error, worker::Error::Panicked { task: "publish" }), "{error:?}");
    assert_eq!(position, Some(0), "only the checkpoint from before the first record");
}
