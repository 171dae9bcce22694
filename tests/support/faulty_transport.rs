//! The embedded transport with something wrong, for what no real one does on demand.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use thalweg_embedded::{self, Embedded, EmbeddedPublisher, EmbeddedReader};
use thalweg_models::{ModelConfig, ModelKind};
use thalweg_pipeline::{
    decode::Schema,
    form::Form,
    gap::Policy,
    prequential, processor,
    worker::{self, Gauges, Stop, Worker},
};
use thalweg_store::Store;
use thalweg_topic::{
    Budget, Error, Fetched, Fixed, Opening, Outbox, Outputs, Publisher, Reader, Resumed, SampleLog, Source, Start,
    Topics, Transport, record::Outgoing,
};
use tokio::sync::{mpsc, watch};

/// Asked at every fetch, with its offset; what it gives stands for what the transport has.
pub type OnFetch = Arc<dyn Fn(i64) -> Option<Fetched> + Send + Sync>;

/// What others publish before a look at what is published: how far that is.
pub type OnResume = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    All,
    /// The first outbox, and then a panic.
    FirstOutbox,
    /// Not even looked at.
    Nothing,
}

/// The transport.
pub struct FaultyTransport {
    pub inner: Embedded,
    /// The end that it says there is, where it is less than that.
    pub end: Arc<AtomicI64>,
    /// Asked before each look at what is published.
    pub on_resume: OnResume,
    pub on_fetch: OnFetch,
    pub published: Published,
}

impl FaultyTransport {
    /// With nothing wrong yet.
    pub async fn open(store: &Arc<Store>) -> Self {
        let (topics, opening) = (Topics::default(), Opening::default());
        let inner = Embedded::open(thalweg_embedded::Config::default(), topics, Arc::clone(store), &opening);
        let inner = inner.await.expect("open");
        Self {
            inner,
            end: Arc::new(AtomicI64::new(i64::MAX)),
            on_resume: Arc::new(|| 0),
            on_fetch: Arc::new(|_| None),
            published: Published::All,
        }
    }

    /// Appends samples, the first there are.
    pub async fn fill(&self, count: i64) {
        let sample = |i| Outgoing { value: Some(format!(r#"{{"x":{i},"y":{i}}}"#).into()), ..Outgoing::default() };
        self.inner.append_samples(0, (0..count).map(sample).collect()).await.expect("appended");
    }
}

/// A worker on a partition of a transport.
pub fn worker<T>(transport: T, store: Arc<Store>, until_caught_up: bool) -> Worker<T> {
    Worker {
        transport: Arc::new(transport),
        store,
        config: worker_config(until_caught_up),
        budget: Budget::default(),
        registry: None,
        form: Form::default(),
        partition: 0,
        gauges: Gauges::default(),
        stop: Stop::default(),
    }
}

/// Of a worker with one model, which leaves a checkpoint at its start and at its end only.
fn worker_config(until_caught_up: bool) -> Arc<worker::Config> {
    Arc::new(worker::Config {
        processor: processor::Config {
            topic: "samples".into(),
            labels: None,
            schema: Schema::default(),
            race: prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]),
        },
        start: Start::Earliest,
        on_gap: Policy::Stop,
        checkpoint_every: Duration::from_secs(3600),
        until_caught_up,
    })
}

pub struct FaultyReader {
    inner: EmbeddedReader,
    end: Arc<AtomicI64>,
    on_fetch: OnFetch,
}

pub struct FaultyPublisher {
    inner: EmbeddedPublisher,
    on_resume: OnResume,
    published: Published,
}

impl Source for FaultyTransport {
    type Reader = FaultyReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        self.inner.partitions(topic).await
    }
    async fn reader(&self, topic: &str, partition: i32) -> Result<FaultyReader, Error> {
        let inner = self.inner.reader(topic, partition).await?;
        Ok(FaultyReader { inner, end: Arc::clone(&self.end), on_fetch: Arc::clone(&self.on_fetch) })
    }
}

impl Transport for FaultyTransport {
    type Assignments = Fixed;
    type Publisher = FaultyPublisher;

    fn assignments(&self) -> Fixed {
        self.inner.assignments()
    }
    async fn publisher(&self, partition: i32) -> Result<FaultyPublisher, Error> {
        let (inner, on_resume) = (self.inner.publisher(partition).await?, Arc::clone(&self.on_resume));
        Ok(FaultyPublisher { inner, on_resume, published: self.published })
    }
    async fn ends(&self, partitions: &[i32]) -> Result<Vec<i64>, Error> {
        self.inner.ends(partitions).await
    }
    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

impl Reader for FaultyReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        self.inner.resolve(start).await
    }
    async fn range(&mut self) -> Result<Range<i64>, Error> {
        let range = self.inner.range().await?;
        Ok(range.start..range.end.min(self.end.load(Ordering::Relaxed)))
    }
    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        match (self.on_fetch)(offset) {
            Some(fetched) => Ok(fetched),
            None => self.inner.fetch(offset).await,
        }
    }
}

impl Publisher for FaultyPublisher {
    async fn resume(&mut self, since: Outputs, position: i64) -> Result<Resumed, Error> {
        let theirs = (self.on_resume)();
        let resumed = self.inner.resume(since, position).await?;
        Ok(Resumed { published: resumed.published.map(|ours| ours.max(theirs)), ..resumed })
    }
    async fn run(self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        match self.published {
            Published::All => self.inner.run(outboxes, confirmed).await,
            Published::FirstOutbox => {
                let first = outboxes.recv().await.expect("an outbox");
                let (sender, receiver) = mpsc::channel(1);
                sender.send(first).await.expect("sent");
                drop(sender);
                self.inner.run(receiver, confirmed).await?;
                panic!("after the first outbox")
            }
            Published::Nothing => std::future::pending().await,
        }
    }
}
