//! Topics of an Apache Kafka.
//!
//! Reading order: [`Config`], `fault` (what can fail, and what it means), `cluster` (connections, deadlines, retries),
//! `reader` with `connection`, `fetch` and `batches` (what is committed), `publisher`, `landed` (what is in an output topic
//! already).
//!
//! Invariant: every call has a deadline of ours; the client library's own retries are off. What can pass by itself is
//! tried again for as long as it takes, and the log says so. Produce requests go out in order on one connection per
//! output partition; after any failure nothing more is sent until it is known what has landed.
//!
//! The window that remains: a request that was still in a stalled broker's hands when its deadline passed may be
//! appended after the read-back has looked. It takes a broker that freezes for longer than `request_timeout` and then
//! goes on; only an idempotent producer, which the client library lacks, closes it.
//!
//! | event | level | when |
//! | --- | --- | --- |
//! | `broker_unreachable` | warn | something failed that is tried again; `action`, `attempt`, `next_try`, `error` |
//! | `broker_recovered` | info | it worked again; `action`, `attempts` |
//! | `topic_created` | info | a missing topic was created; `topic`, `partitions` |
//! | `transactional_topic` | info | the samples are written in transactions; `topic`, `partition`, `offset` |
//! | `batch_limit` | warn | a broker takes smaller batches than expected; `topic`, `bytes` |
//! | `dead_letter_cut` | warn | a dead letter is too large for its topic and was cut; `offset`, `bytes` |

mod batches;
mod cluster;
mod config;
mod connection;
mod fault;
mod fetch;
mod landed;
mod publisher;
mod reader;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rskafka::{client::partition::Compression, record::Record as KafkaRecord};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use config::{Compression as CompressionKind, Config, Partitions, Sasl, SaslMechanism, Secret, Tls};
pub use publisher::KafkaPublisher;
pub use reader::KafkaReader;

use super::{Error, Output, Topics, Transport};
use crate::pipeline::{
    record::Outgoing,
    store::{Store, set_meta},
};
use cluster::{Cluster, Handle, persist};
use fault::Fault;

/// The Kafka transport, open.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    /// Those this process works on.
    partitions: Vec<i32>,
    /// All of the samples topic, which the generator fills.
    sample_partitions: i32,
    generator: Mutex<Generated>,
}

/// What readers and publishers have in common.
#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    store: Arc<Store>,
    topics: Topics,
    /// Partitions of each output topic, in [`Output`] order.
    output_partitions: [i32; 3],
    /// Bytes of a produce request at most, per output: lowered when a broker refuses.
    batch_bytes: [AtomicUsize; 3],
    /// Bytes of a dead letter's value at most, likewise.
    dead_letter_bytes: AtomicUsize,
}

/// The generator's side: a connection per partition of the samples topic.
#[derive(Debug, Default)]
struct Generated {
    handles: HashMap<i32, Handle>,
    /// Offset after the last sample that was acknowledged, per partition.
    next: HashMap<i32, i64>,
}

impl Shared {
    fn output_topic(&self, output: Output) -> &str {
        match output {
            Output::Predictions => &self.topics.predictions,
            Output::DeadLetters => &self.topics.dead_letters,
            Output::Events => &self.topics.events,
        }
    }

    /// The partition that holds what is made from `partition`.
    fn output_partition(&self, output: Output, partition: i32) -> i32 {
        partition % self.output_partitions[output as usize].max(1)
    }
}

impl Kafka {
    /// Connects, waiting for the broker as long as it takes, and makes sure that the topics exist.
    ///
    /// # Errors
    /// When a topic is missing and may not be created, or the broker refuses for good; [`Error::Stopped`] when
    /// `shutdown` comes first.
    pub async fn open(
        config: Config,
        topics: Topics,
        store: Arc<Store>,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        tokio::select! {
            () = shutdown.cancelled() => Err(Error::Stopped),
            opened = Self::connect(config, topics, store) => opened,
        }
    }

    async fn connect(config: Config, topics: Topics, store: Arc<Store>) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config)?);
        let config = cluster.config();
        let sample_partitions = ensure(&cluster, &topics.samples, topics.partitions).await?;
        let mut output_partitions = [0; 3];
        for (count, name) in
            output_partitions.iter_mut().zip([&topics.predictions, &topics.dead_letters, &topics.events])
        {
            *count = ensure(&cluster, name, sample_partitions).await?;
        }
        let partitions = match &config.partitions {
            Partitions::All => (0..sample_partitions).collect(),
            Partitions::Only(list) => {
                if let Some(missing) = list.iter().find(|partition| !(0..sample_partitions).contains(*partition)) {
                    let problem = format!(
                        "transport.kafka.partitions names {missing}, but the topic has partitions 0 to {}",
                        sample_partitions - 1
                    );
                    return Err(Error::Topic { topic: topics.samples, problem });
                }
                list.clone()
            }
        };
        let limit = config.max_batch_bytes;
        let shared = Shared {
            output_partitions,
            batch_bytes: std::array::from_fn(|_| AtomicUsize::new(limit)),
            dead_letter_bytes: AtomicUsize::new(usize::MAX),
            cluster,
            store,
            topics,
        };
        Ok(Self { shared: Arc::new(shared), partitions, sample_partitions, generator: Mutex::default() })
    }

    fn generated_name(&self) -> String {
        format!("generated:{}", self.shared.topics.samples)
    }
}

/// The number of partitions of a topic, which is created where it is missing and may be.
async fn ensure(cluster: &Arc<Cluster>, topic: &str, partitions: i32) -> Result<i32, Error> {
    let look = async || {
        if let Some(count) = cluster.partitions_of(topic).await? {
            return Ok(count);
        }
        if !cluster.config().create_topics {
            let problem = "it does not exist; create it, or set transport.kafka.create_topics = true".to_owned();
            return Err(Fault::Fatal(Error::Topic { topic: topic.to_owned(), problem }));
        }
        cluster.create(topic, partitions).await?;
        tracing::info!(event = "topic_created", topic, partitions, "topic created");
        Err(Fault::passing("the topic was just created and is not there yet"))
    };
    persist!(cluster, format!("looking for topic `{topic}`"), look())
}

impl Transport for Kafka {
    type Reader = KafkaReader;
    type Publisher = KafkaPublisher;

    fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    async fn reader(&self, partition: i32) -> Result<KafkaReader, Error> {
        Ok(KafkaReader::new(&self.shared, partition))
    }

    async fn publisher(&self, partition: i32) -> Result<KafkaPublisher, Error> {
        Ok(KafkaPublisher::new(Arc::clone(&self.shared), partition))
    }

    async fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> Result<(), Error> {
        let mut generated = self.generator.lock().await;
        let count = samples.len() as u64;
        let mut by_partition: Vec<Vec<Outgoing>> = vec![Vec::new(); self.sample_partitions.max(1) as usize];
        for (i, sample) in (first..).zip(samples) {
            let partition = (i % by_partition.len() as u64) as usize;
            by_partition[partition].push(sample);
        }
        for (partition, samples) in (0..).zip(by_partition).filter(|(_, samples)| !samples.is_empty()) {
            generated.append(&self.shared, partition, samples).await?;
        }
        let name = self.generated_name();
        let note = move |tx: &rusqlite::Transaction<'_>| set_meta(tx, &name, (first + count).cast_signed());
        self.shared.store.write("the generator's position cannot be written", note).await?;
        Ok(())
    }

    fn retries(&self) -> u64 {
        self.shared.cluster.retries()
    }

    async fn generated(&self) -> Result<u64, Error> {
        Ok(self.shared.store.meta(&self.generated_name())?.cast_unsigned())
    }
}

impl Generated {
    /// Appends one batch. After a failure it is first looked up whether it landed all the same, by its first value.
    async fn append(&mut self, shared: &Shared, partition: i32, samples: Vec<Outgoing>) -> Result<(), Error> {
        let cluster = &shared.cluster;
        let topic = &shared.topics.samples;
        let handle = self.handles.entry(partition).or_insert_with(|| Handle::new(cluster, topic, partition));
        let known_next = self.next.get(&partition).copied();
        let count = samples.len() as i64;
        let first_value = samples.first().and_then(|sample| sample.value.clone());
        // Where the batch may have landed, once a try has failed.
        let mut begun: Option<i64> = None;
        let attempt = async |handle: &mut Handle, begun: &mut Option<i64>| {
            if let Some(from) = *begun {
                if let Some(offset) = landed::find(handle, from, &first_value).await? {
                    return Ok(offset);
                }
            } else {
                *begun = Some(match known_next {
                    Some(next) => next,
                    None => handle.range().await?.end,
                });
            }
            handle.produce(samples.iter().cloned().map(outgoing).collect()).await
        };
        let action = format!("appending samples to `{topic}`/{partition}");
        let base = persist!(cluster, action, attempt(handle, &mut begun))?;
        self.next.insert(partition, base + count);
        Ok(())
    }
}

/// Our record as the client's.
fn outgoing(record: Outgoing) -> KafkaRecord {
    let timestamp = chrono::DateTime::from_timestamp_millis(record.timestamp).unwrap_or_default();
    KafkaRecord { key: record.key, value: record.value, headers: record.headers, timestamp }
}

/// Compression as the client names it.
fn compression(kind: CompressionKind) -> Compression {
    match kind {
        CompressionKind::None => Compression::NoCompression,
        CompressionKind::Gzip => Compression::Gzip,
        CompressionKind::Lz4 => Compression::Lz4,
        CompressionKind::Snappy => Compression::Snappy,
        CompressionKind::Zstd => Compression::Zstd,
    }
}

/// Lowers a limit, if it is not that low yet.
fn lower(limit: &AtomicUsize, to: usize) {
    limit.fetch_min(to.max(1), Ordering::Relaxed);
}
