//! A worker on a transport of its own making, for what no real one does on demand.

mod support;

use std::{ops::Range, sync::Arc, time::Duration};

use support::within;
use thalweg::{
    models::{ModelConfig, ModelKind},
    pipeline::{
        decode::Schema,
        gap::Policy,
        prequential, processor,
        record::Outgoing,
        store::{self, Store},
        transport::{
            Error, Fetched, Reader, Start, Topics, Transport,
            embedded::{self, Embedded, EmbeddedPublisher, EmbeddedReader},
        },
        worker::{self, Gauges},
    },
};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_while_it_catches_up_are_left_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let config = Arc::new(worker::Config {
        processor: processor::Config {
            topic: "samples".into(),
            schema: Schema::default(),
            race: prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]),
        },
        start: Start::Earliest,
        on_gap: Policy::Stop,
        checkpoint_every: Duration::from_secs(3600),
        until_caught_up: true,
    });
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
