//! Topics of the broker under test: made, filled, read back.

use std::{collections::BTreeMap, sync::Arc};

use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use thalweg::generator::{self, Function, Stream, encode};

/// Samples in one produce request.
const BATCH: u64 = 3000;

/// The broker, and names for topics that no other run uses.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) address: String,
    client: Arc<Client>,
}

impl Broker {
    pub(crate) async fn connect(address: String) -> Self {
        let client = Arc::new(ClientBuilder::new(vec![address.clone()]).build().await.expect("the broker answers"));
        Self { address, client }
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("bench-{}-{name}", std::process::id())
    }

    pub(crate) async fn create(&self, topic: &str, partitions: i32) {
        let controller = self.client.controller_client().expect("a controller");
        controller.create_topic(topic, partitions, 1, 10_000).await.expect("a topic");
        // It is there before its partitions answer.
        for partition in 0..partitions {
            self.end(topic, partition).await;
        }
    }

    pub(crate) async fn delete(&self, topic: &str) {
        let controller = self.client.controller_client().expect("a controller");
        controller.delete_topic(topic, 10_000).await.expect("deleted");
    }

    pub(crate) async fn exists(&self, topic: &str) -> bool {
        self.client.list_topics().await.expect("topics").iter().any(|other| other.name == topic)
    }

    pub(crate) async fn partition(&self, topic: &str, partition: i32) -> Arc<PartitionClient> {
        let client = self.client.partition_client(topic, partition, UnknownTopicHandling::Retry);
        Arc::new(client.await.expect("the partition"))
    }

    pub(crate) async fn end(&self, topic: &str, partition: i32) -> i64 {
        self.partition(topic, partition).await.get_offset(OffsetAt::Latest).await.expect("an offset")
    }

    /// Makes a topic with `records` of Friedman's samples, spread evenly; returns their bytes.
    pub(crate) async fn fill(&self, topic: &str, partitions: i32, records: u64) -> u64 {
        let mut samples = Samples::new();
        self.fill_with(topic, partitions, records, || samples.json()).await
    }

    /// Makes a topic with so many of these values, spread evenly; returns their bytes.
    pub(crate) async fn fill_with(
        &self,
        topic: &str,
        partitions: i32,
        records: u64,
        mut value: impl FnMut() -> Vec<u8>,
    ) -> u64 {
        self.create(topic, partitions).await;
        let mut bytes = 0;
        for partition in 0..partitions {
            let client = self.partition(topic, partition).await;
            let mut left = records / partitions as u64;
            while left > 0 {
                let values: Vec<Vec<u8>> = (0..left.min(BATCH)).map(|_| value()).collect();
                bytes += values.iter().map(Vec::len).sum::<usize>() as u64;
                left -= values.len() as u64;
                let batch = values.into_iter().map(record).collect();
                client.produce(batch, Compression::NoCompression).await.expect("produced");
            }
        }
        bytes
    }

    /// Mean bytes of a record in the middle of a topic.
    pub(crate) async fn record_bytes(&self, topic: &str) -> usize {
        let (client, middle) = (self.partition(topic, 0).await, self.end(topic, 0).await / 2);
        let (records, _) = client.fetch_records(middle, 1..1 << 20, 500).await.expect("fetched");
        let bytes: usize = records.iter().map(|record| record.record.value.as_ref().map_or(0, Vec::len)).sum();
        bytes / records.len().max(1)
    }
}

/// Friedman's samples, ten features each.
pub(crate) struct Samples {
    stream: Stream,
    names: Vec<String>,
    x: Vec<f64>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        let function = Function::from_name("friedman").expect("a function");
        let stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
        Self { names: stream.feature_names().to_vec(), stream, x: Vec::new() }
    }

    pub(crate) fn json(&mut self) -> Vec<u8> {
        let y = self.stream.next_sample(&mut self.x);
        let mut value = Vec::with_capacity(272);
        encode::json(&self.names, &self.x, y, &mut value);
        value
    }
}

pub(crate) fn record(value: Vec<u8>) -> Record {
    Record { key: None, value: Some(value), headers: BTreeMap::new(), timestamp: std::time::SystemTime::now().into() }
}
