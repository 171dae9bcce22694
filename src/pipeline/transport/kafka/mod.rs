//! Topics of an Apache Kafka.
//!
//! Reading order: [`Config`], `fault` (what can fail, and what it means), `cluster` (connections, deadlines, retries),
//! `reader` with `connection`, `fetch` and `batches` (what is committed), `publisher`, `landed` (what is in an output topic
//! already), `dead_letters` (sent back by people).
//!
//! Invariant: every call has a deadline of ours; the client library's own retries are off. What can pass by itself is
//! tried again for as long as it takes, and the log says so. Produce requests go out in order on one connection per
//! output partition; after any failure nothing more is sent until it is known what has landed.
//!
//! The window that remains: a request that we have given up may still be in a broker's hands, or on its way to it. So
//! after an end that was not in order the read-back waits until the outputs have not grown for a moment, which begins
//! when the broker answers again (`publisher`). A request that comes even later is noticed and told (`late_records`);
//! only an idempotent producer, which the client library lacks, would keep it out.
//!
//! | event | level | when |
//! | --- | --- | --- |
//! | `broker_unreachable` | warn | something failed that is tried again; `action`, `attempt`, `next_try`, `error` |
//! | `broker_recovered` | info | it worked again; `action`, `attempts` |
//! | `topic_created` | info | a missing topic was created; `topic`, `partitions` |
//! | `late_records` | error | records came into an output that this process did not send; `topic`, `from`, `to` |
//! | `transactional_topic` | info | the samples are written in transactions; `topic`, `partition`, `offset` |
//! | `batch_limit` | warn | a broker takes smaller batches than expected; `topic`, `bytes` |
//! | `dead_letter_cut` | warn | a dead letter is too large for its topic and was cut; `offset`, `bytes` |

mod batches;
mod cluster;
mod config;
mod connection;
mod cut;
mod dead_letters;
mod fault;
mod fetch;
mod landed;
mod ledger;
mod publisher;
mod reader;
mod saves;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use rskafka::{client::partition::Compression, record::Record as KafkaRecord};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

pub use config::{Compression as CompressionKind, Config, Partitions, Sasl, SaslMechanism, Secret, Tls};
pub use dead_letters::KafkaDeadLetters;
pub use publisher::KafkaPublisher;
pub use reader::KafkaReader;

use super::{Error, Output, Topics, Transport};
use crate::pipeline::{
    record::Outgoing,
    store::{Store, set_meta},
};
use cluster::{Cluster, Handle, persist};
use fault::{Fault, Try};

/// The Kafka transport, open.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    /// Those this process works on.
    partitions: Vec<i32>,
    generator: Mutex<Generated>,
    /// Whether the last process ended in order, so that nothing of its can be under way any more.
    ended_in_order: bool,
}

/// What readers and publishers have in common.
#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    store: Arc<Store>,
    topics: Topics,
    /// Partitions of the samples topic.
    sample_partitions: i32,
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
    /// What was found after that when this process began, per partition: samples that are there though nobody noted it.
    landed: HashMap<i32, VecDeque<(i64, Option<Vec<u8>>)>>,
}

/// Samples that a process may have sent without noting it: no batch has more.
const UNNOTED: usize = 10_000;

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

    /// Whether a partition of an output holds only what is made from one partition of the samples.
    fn is_exclusive(&self, output: Output) -> bool {
        self.output_partitions[output as usize] >= self.sample_partitions
    }

    /// Name in the state file of the note that a worker has begun to publish and not ended in order.
    fn open_name(&self, partition: i32) -> String {
        format!("open:{}/{partition}", self.topics.samples)
    }

    /// Name in the state file of the offset after the last sample that was acknowledged.
    fn next_name(&self, partition: i32) -> String {
        format!("generated:{}/{partition}", self.topics.samples)
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
            sample_partitions,
            output_partitions,
            batch_bytes: std::array::from_fn(|_| AtomicUsize::new(limit)),
            dead_letter_bytes: AtomicUsize::new(usize::MAX),
            cluster,
            store,
            topics,
        };
        let open = |partition| Ok::<_, Error>(shared.store.meta(&shared.open_name(partition))?.unwrap_or(0) != 0);
        let ended_in_order = !(0..sample_partitions).map(open).collect::<Result<Vec<_>, _>>()?.contains(&true);
        Ok(Self { shared: Arc::new(shared), partitions, generator: Mutex::default(), ended_in_order })
    }

    fn generated_name(&self) -> String {
        format!("generated:{}", self.shared.topics.samples)
    }
}

/// The number of partitions of a topic, which is created where it is missing and may be.
async fn ensure(cluster: &Arc<Cluster>, topic: &str, partitions: i32) -> Result<i32, Error> {
    let look = async || {
        if let Some(count) = cluster.partitions_of(topic).await? {
            cluster.rely_on(topic, count).await;
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
        let mut by_partition: Vec<Vec<Outgoing>> = vec![Vec::new(); self.shared.sample_partitions.max(1) as usize];
        for (i, sample) in (first..).zip(samples) {
            let partition = (i % by_partition.len() as u64) as usize;
            by_partition[partition].push(sample);
        }
        for (partition, samples) in (0..).zip(by_partition).filter(|(_, samples)| !samples.is_empty()) {
            generated.append(&self.shared, partition, samples, self.ended_in_order).await?;
        }
        let mut notes = vec![(self.generated_name(), (first + count).cast_signed())];
        notes.extend(generated.next.iter().map(|(partition, next)| (self.shared.next_name(*partition), *next)));
        let note =
            move |tx: &rusqlite::Transaction<'_>| notes.iter().try_for_each(|(name, it)| set_meta(tx, name, *it));
        self.shared.store.write("the generator's position cannot be written", note).await?;
        Ok(())
    }

    fn retries(&self) -> u64 {
        self.shared.cluster.retries()
    }

    async fn generated(&self) -> Result<u64, Error> {
        Ok(self.shared.store.meta(&self.generated_name())?.unwrap_or(0).cast_unsigned())
    }
}

impl Generated {
    /// Appends one batch, without what of it is there already: sent by a process that ended before it could note it.
    async fn append(
        &mut self,
        shared: &Shared,
        partition: i32,
        mut samples: Vec<Outgoing>,
        ended_in_order: bool,
    ) -> Result<(), Error> {
        let cluster = &shared.cluster;
        let topic = &shared.topics.samples;
        let handle = self.handles.entry(partition).or_insert_with(|| Handle::new(cluster, topic, partition));
        let action = format!("appending samples to `{topic}`/{partition}");
        if !self.next.contains_key(&partition) {
            let noted = shared.store.meta(&shared.next_name(partition))?;
            let first = samples.first().and_then(|sample| sample.value.clone());
            if let (Some(noted), false) = (noted, ended_in_order) {
                persist!(cluster, action.as_str(), settled(handle))?;
                let run = persist!(cluster, action.as_str(), landed::run(handle, noted, &first, UNNOTED))?;
                self.landed.insert(partition, run);
            }
            let end = persist!(cluster, action.as_str(), handle.range())?.end;
            self.next.insert(partition, noted.unwrap_or(end).min(end));
        }
        let next = self.next.entry(partition).or_default();
        if let Some(landed) = self.landed.get_mut(&partition) {
            let there =
                samples.iter().zip(landed.iter()).take_while(|(sample, (_, value))| sample.value == *value).count();
            let all = there == samples.len();
            if let Some((offset, _)) = landed.drain(..there).next_back() {
                *next = offset + 1;
            }
            samples.drain(..there);
            if all {
                return Ok(());
            }
            // What follows was not sent.
            self.landed.remove(&partition);
        }
        *next = produce(handle, *next, samples, &action).await?;
        Ok(())
    }
}

/// Appends samples after offset `next`; returns the offset after them. After a failure it is first looked up whether they
/// landed all the same, by the first value.
async fn produce(handle: &mut Handle, next: i64, samples: Vec<Outgoing>, action: &str) -> Result<i64, Error> {
    let cluster = Arc::clone(handle.cluster());
    let count = samples.len() as i64;
    let first = samples.first().and_then(|sample| sample.value.clone());
    let mut begun = false;
    let attempt = async |handle: &mut Handle, begun: &mut bool| {
        if *begun {
            settled(handle).await?;
            if let Some(offset) = landed::find(handle, next, &first).await? {
                return Ok(offset);
            }
        }
        *begun = true;
        handle.produce(samples.iter().cloned().map(outgoing).collect()).await
    };
    let base = persist!(cluster, action, attempt(handle, &mut begun))?;
    Ok(base + count)
}

/// A record this much ahead of the clock is stamped with the clock's time: brokers refuse more than an hour, and theirs
/// may be behind ours.
const AHEAD: Duration = Duration::from_secs(1800);

/// Our record as the client's. A sample's time may be any, so what a broker would refuse is left to the value to say.
fn outgoing(record: Outgoing) -> KafkaRecord {
    let now = chrono::DateTime::from(SystemTime::now());
    let timestamp = chrono::DateTime::from_timestamp_millis(record.timestamp).unwrap_or_default();
    let timestamp = if timestamp > now + AHEAD { now } else { timestamp };
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

/// The outputs are at rest when they have not grown for this long.
const QUIET: Duration = Duration::from_millis(500);
/// A partition that others write to, too, is never at rest.
const LONGEST: Duration = Duration::from_secs(2);
/// Between two looks; an answer that takes longer than that shows that the broker was not itself.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until a partition has not grown for a moment, since requests that were given up may still be under way to it.
async fn settled(handle: &mut Handle) -> Try<()> {
    let mut end = handle.range().await?.end;
    let begun = Instant::now();
    let mut quiet = begun;
    while quiet.elapsed() < QUIET && begun.elapsed() < LONGEST {
        tokio::time::sleep(LOOK).await;
        let asked = Instant::now();
        let now = handle.range().await?.end;
        if now != end || asked.elapsed() > LOOK {
            (end, quiet) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Lowers a limit, if it is not that low yet.
fn lower(limit: &AtomicUsize, to: usize) {
    limit.fetch_min(to.max(1), Ordering::Relaxed);
}
