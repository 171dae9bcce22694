//! A panic in any task stops the daemon with an error, and leaves no checkpoint behind that was made after it.
//!
//! Tasks are made to panic by what is around them: a transport that panics, or a log subscriber that does when a certain
//! event comes.

mod support;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use support::{
    faulty_transport::{FaultyTransport, Published, worker},
    within,
};
use tempfile::TempDir;
use thalweg::{
    app,
    pipeline::{checkpoints, worker},
    settings::{Settings, Sources},
    store::{self, Store},
    topic::{SampleLog, record::Outgoing},
};
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
        [path.as_str(), "state.every=10ms", "http.listen="].iter().chain(more).map(ToString::to_string).collect();
    Settings::load(&Sources::new(None, std::iter::empty(), overrides)).expect("good settings")
}

/// The position of the newest checkpoint.
fn position(folder: &TempDir) -> Option<i64> {
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Store::open(&config).expect("the state file");
    checkpoints::load(&store, "samples", 0).expect("readable").map(|checkpoint| checkpoint.position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_processing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let transport = FaultyTransport::open(&store).await.inner;
    let sample = |value: &str| Outgoing { value: Some(value.into()), ..Outgoing::default() };
    transport.append_samples(0, vec![sample(r#"{"x":1,"y":1}"#), sample("bad")]).await.expect("appended");
    drop((transport, store));
    {
        let _trap = trap("dead_letter").await;
        let run =
            app::run(settings(&folder, &["generator.enabled=false"]), false, None, Box::pin(std::future::pending()));
        let error = within("the end", run).await.expect_err("a panic is an error");
        assert!(app::chain(&error).contains("the task `process` panicked"), "{}", app::chain(&error));
    }
    assert_eq!(position(&folder), Some(0), "only the checkpoint from before the first record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_reports() {
    let folder = tempfile::tempdir().expect("a folder");
    let _trap = trap("report").await;
    let run =
        app::run(settings(&folder, &["metrics.report_every=10ms"]), false, None, Box::pin(std::future::pending()));
    let error = within("the end", run).await.expect_err("a panic is an error");
    assert!(matches!(error, app::Error::Panicked), "{error:?}");
}

/// Runs a worker over 100 samples on a transport with something wrong; its error, and the newest checkpoint's position.
async fn broken(bend: impl FnOnce(&mut FaultyTransport)) -> (worker::Error, Option<i64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let mut transport = FaultyTransport::open(&store).await;
    transport.fill(100).await;
    bend(&mut transport);
    let work = worker(transport, Arc::clone(&store), false).run();
    let ended = within("the end", work).await;
    let position = checkpoints::load(&store, "samples", 0).expect("readable").map(|checkpoint| checkpoint.position);
    (ended.expect_err("a panic is an error"), position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_reading() {
    let fetched = AtomicBool::new(false);
    let second_panics = move |_| {
        assert!(!fetched.swap(true, Ordering::Relaxed), "the second fetch panics");
        None
    };
    let (error, position) = broken(|transport| transport.on_fetch = Arc::new(second_panics)).await;
    assert!(matches!(error, worker::Error::Panicked { task: "fetch" }), "{error:?}");
    assert_eq!(position, Some(0), "only the checkpoint from before the first record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_publishing() {
    let (error, position) = broken(|transport| transport.published = Published::FirstOutbox).await;
    assert!(matches!(error, worker::Error::Panicked { task: "publish" }), "{error:?}");
    assert_eq!(position, Some(0), "only the checkpoint from before the first record");
}
