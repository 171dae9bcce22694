//! Topics of an Apache Kafka.
//!
//! Reading order: [`Config`], `fault` (what can fail, and what it means), `cluster` (connections, deadlines) with `retry` and
//! `admin`, `input` (the samples topic, waited for), `reader` with `connection` and `greeting` (who is there), `fetch`,
//! `batches` (what is committed), `records` and `compression`, `publisher` with `producer` and `produce`, `landed` (what is
//! there already), `generated` (samples) with `origin` (who wrote what is there), `dead_letters` with `ledger` and `claims`
//! (sent back by people).
//!
//! Invariant: every call has a deadline of ours; the client library's own retries are off. What can pass by itself is
//! tried again for as long as it takes, and the log says so. Produce requests go out in order on one connection per
//! output partition; after any failure nothing more is sent until it is known what has landed.
//!
//! Producers number their records (`producer`), so that a broker keeps out what comes late, twice or out of order; what
//! has landed is read back with its numbers (`landed`).
//!
//! | event | level | when |
//! | --- | --- | --- |
//! | `broker_unreachable` | warn | something failed that is tried again; `action`, `attempt`, `next_try`, `error` |
//! | `broker_recovered` | info | it worked again; `action`, `attempts` |
//! | `topic_missing` | warn | the samples topic is not there and is waited for; `topic`, `nearest` |
//! | `topic_created` | info | a missing topic was created; `topic`, `partitions` |
//! | `foreign_records` | error | another producer writes to an output; `topic`, `from`, `to`, `times` |
//! | `rival` | warn | another Thalweg publishes the same, and has to end; `topic`, `partition` |
//! | `output_cut` | warn | an output ends earlier than it did; `topic`, `partition`, `expected`, `end` |
//! | `older_than_retention` | warn | records are given a time from before what their topic keeps; `topic`, `oldest`, `retention_ms` |
//! | `retention_unknown` | warn | how long a topic keeps records may not be asked; `topic`, `refused` |
//! | `new_producer` | warn | a broker did not go on with our numbers; `partition` |
//! | `transactional_topic` | info | the samples are written in transactions; `topic`, `partition`, `offset` |
//! | `batch_limit` | warn | a broker takes smaller batches than expected; `topic`, `bytes` |
//! | `dead_letter_cut` | warn | a dead letter is too large for its topic and was cut; `offset`, `bytes` |

mod admin;
mod batches;
mod claims;
mod cluster;
mod compression;
mod config;
mod connection;
mod cut;
mod dead_letters;
mod fault;
mod fetch;
mod generated;
mod greeting;
mod history;
mod input;
mod landed;
mod ledger;
mod origin;
mod outputs;
mod produce;
mod producer;
mod publisher;
mod reader;
mod records;
mod requests;
mod retry;
mod saves;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

pub use batches::read_log;
pub use config::{Compression as CompressionKind, Config, Partitions, Sasl, SaslMechanism, Secret, Tls};
pub use dead_letters::KafkaDeadLetters;
pub use history::KafkaHistory;
pub use publisher::KafkaPublisher;
pub use reader::KafkaReader;

use admin::At;
use cluster::{Cluster, Handle};
use fault::Fault;
use generated::Generated;
use retry::persist;
use thalweg_store::Store;
use thalweg_topic::record::Outgoing;
use thalweg_topic::{Ends, Error, Opening, Output, Timestamps, Topics, Transport, stamps::Stamps};

/// Looks at the files that [`Tls`] names: whether they hold certificates and a key, which fit together.
///
/// # Errors
/// What is wrong, for people.
pub fn check_tls(tls: &Tls) -> Result<(), String> {
    match cluster::tls(tls) {
        Ok(_) => Ok(()),
        Err(Error::Access { problem, reason, .. }) => Err(format!("{problem} ({reason})")),
        Err(other) => Err(other.to_string()),
    }
}

/// The Kafka transport, open.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    /// Those this process works on.
    partitions: Vec<i32>,
    generator: Mutex<Generated>,
}

/// What readers and publishers have in common.
#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    store: Arc<Store>,
    topics: Topics,
    /// Partitions of the samples topic.
    sample_partitions: i32,
    /// Partitions of each output topic, in [`Output`] order; of one that is not there yet, those it will get.
    output_partitions: [i32; 3],
    /// Whether the output topics are there.
    outputs: OnceCell<()>,
    /// Of what is published.
    timestamps: Timestamps,
    /// The newest time in each partition of each output.
    stamps: [Vec<Stamps>; 3],
    /// How long each output keeps records, in milliseconds, where it deletes them by the time that we give them.
    retention: OnceCell<[Option<i64>; 3]>,
    /// Bytes of a produce request at most, per output: lowered when a broker refuses.
    batch_bytes: [AtomicUsize; 3],
    /// Bytes of a produce request of generated samples at most, likewise.
    sample_batch_bytes: AtomicUsize,
    /// Bytes of a dead letter at most, likewise.
    dead_letter_bytes: AtomicUsize,
    /// Numbers that a broker did not take, by partition of the samples and output.
    refused: StdMutex<BTreeMap<i32, BTreeMap<usize, Refused>>>,
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

    /// Of the partition of an output that holds what is made from `partition`.
    fn stamps(&self, output: Output, partition: i32) -> &Stamps {
        &self.stamps[output as usize][self.output_partition(output, partition) as usize]
    }

    /// Whether a partition of an output holds only what is made from one partition of the samples.
    fn is_exclusive(&self, output: Output) -> bool {
        self.output_partitions[output as usize] >= self.sample_partitions
    }

    /// Identities under which this state file has published what is made from a partition.
    fn own_producers(&self, partition: i32) -> Result<Vec<i64>, Error> {
        let mut ours = self.store.metas(&format!("{}/", self.producer_name(partition)))?;
        ours.extend(self.store.meta(&self.producer_name(partition))?);
        Ok(ours)
    }

    /// Name in the state file of the producer of what is made from a partition.
    fn producer_name(&self, partition: i32) -> String {
        format!("producer:{}/{partition}", self.topics.samples)
    }
}

impl Kafka {
    /// Connects, waiting for the broker and the samples topic as long as it takes. That topic is made only for a generator
    /// to fill; the outputs are made when the first worker has found where it goes on.
    ///
    /// # Errors
    /// When an output is missing and may not be created, when the generator would write among somebody's records
    /// ([`Error::Foreign`]), or the broker refuses for good; [`Error::Stopped`] when `shutdown` comes first.
    pub async fn open(
        config: Config,
        topics: Topics,
        store: Arc<Store>,
        opening: Opening,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        let brokers = config.brokers.join(", ");
        let late = async {
            tokio::time::sleep(SAY_AFTER).await;
            tracing::warn!(event = "waiting", brokers, "Kafka has not answered yet; waiting for it");
            std::future::pending().await
        };
        tokio::select! {
            () = shutdown.cancelled() => Err(Error::Stopped),
            opened = Self::connect(config, topics, store, opening) => opened,
            never = late => never,
        }
    }

    async fn connect(config: Config, topics: Topics, store: Arc<Store>, opening: Opening) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config, opening.status.clone())?);
        let sample_partitions = input::partitions(&cluster, &topics, &opening).await?;
        let config = cluster.config();
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
        let generator = match opening.generating {
            Some(generating) if !generating.into_foreign_topic => {
                Generated::guarded(&cluster, &store, &topics.samples, sample_partitions).await?
            }
            _ => Generated::default(),
        };
        let mut output_partitions = [0; 3];
        let mut there = [false; 3];
        let names = [&topics.predictions, &topics.dead_letters, &topics.events];
        for ((count, there), name) in output_partitions.iter_mut().zip(&mut there).zip(names) {
            let found = persist!(cluster, format!("looking for topic `{name}`"), cluster.partitions_of(name))?;
            if found.is_none() && !config.create_topics {
                let problem = "it does not exist; create it, or set transport.kafka.create_topics = true".to_owned();
                return Err(Error::Topic { topic: name.clone(), problem });
            }
            (*count, *there) = (found.unwrap_or(sample_partitions), found.is_some());
        }
        let limit = config.max_batch_bytes;
        let shared = Shared {
            sample_partitions,
            output_partitions,
            outputs: OnceCell::new(),
            timestamps: opening.timestamps,
            stamps: output_partitions.map(|count| (0..count.max(1)).map(|_| Stamps::default()).collect()),
            retention: OnceCell::new(),
            batch_bytes: std::array::from_fn(|_| AtomicUsize::new(limit)),
            sample_batch_bytes: AtomicUsize::new(limit),
            refused: StdMutex::default(),
            dead_letter_bytes: AtomicUsize::new(usize::MAX),
            cluster,
            store,
            topics,
        };
        if !opening.shared_outputs {
            outputs::refuse_foreign(&shared, &partitions, there).await?;
        }
        Ok(Self { shared: Arc::new(shared), partitions, generator: Mutex::new(generator) })
    }
}

/// As long may a broker take to answer before the log says that it is waited for.
const SAY_AFTER: Duration = Duration::from_secs(3);

impl Shared {
    /// Makes the output topics that are missing. Not before it is known where a worker goes on, so that a start which
    /// comes to nothing leaves nothing behind.
    async fn make_outputs(&self) -> Result<(), Error> {
        let make = async || {
            for output in Output::ALL {
                let (topic, partitions) = (self.output_topic(output), self.output_partitions[output as usize]);
                let found = ensure(&self.cluster, topic, partitions).await?;
                if found != partitions {
                    let problem = format!("it was made with {found} partitions meanwhile; start again");
                    return Err(Error::Topic { topic: topic.to_owned(), problem });
                }
            }
            Ok(())
        };
        self.outputs.get_or_try_init(make).await.copied()
    }
}

impl Shared {
    /// Asks how long the outputs keep what is given the time of samples.
    async fn look_up_retention(&self) -> Result<(), Error> {
        if self.timestamps == Timestamps::Clock {
            return Ok(());
        }
        let look = async || {
            let mut all = [None; 3];
            for output in [Output::Predictions, Output::Events] {
                let topic = self.output_topic(output);
                let action = format!("asking how long `{topic}` keeps records");
                let found = persist!(self.cluster, action, admin::retention(&self.cluster, topic))?;
                all[output as usize] = found.unwrap_or_else(|refused| {
                    tracing::warn!(
                        event = "retention_unknown",
                        topic,
                        refused,
                        "how long the topic keeps records may not be asked (right DescribeConfigs), so nothing is said where \
                         output.timestamp = \"sample\" makes records older than that"
                    );
                    None
                });
            }
            Ok(all)
        };
        self.retention.get_or_try_init(look).await.map(drop)
    }
}

/// The number of partitions of a topic that is made with `partitions` where it is missing and may be, now and whenever it
/// goes.
async fn ensure(cluster: &Arc<Cluster>, topic: &str, partitions: i32) -> Result<i32, Error> {
    let look = async || {
        if let Some(count) = cluster.partitions_of(topic).await? {
            cluster.rely_on(topic, count);
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
        self.generator.lock().await.append(&self.shared, first, samples).await
    }

    async fn ends(&self, partitions: &[i32]) -> Result<Ends, Error> {
        let Shared { cluster, topics, sample_partitions, .. } = &*self.shared;
        let topic = &topics.samples;
        let failed = |fault: Fault| match fault {
            Fault::Fatal(error) => error,
            other => Error::Interrupted { partition: 0, problem: format!("{other:?}") },
        };
        let there = cluster.partitions_of(topic).await.map_err(failed)?.unwrap_or(0);
        let mut found = Ends::default();
        for partition in partitions {
            found.ends.push(Handle::new(cluster, topic, *partition).offset(At::End).await.map_err(failed)?);
        }
        if cluster.config().partitions == Partitions::All {
            for partition in *sample_partitions..there {
                let mut handle = Handle::new(cluster, topic, partition);
                let range =
                    handle.offset(At::Earliest).await.map_err(failed)?..handle.offset(At::End).await.map_err(failed)?;
                found.unread = (found.unread.0 + 1, found.unread.1 + (range.end - range.start));
            }
        }
        Ok(found)
    }

    fn retries(&self) -> u64 {
        self.shared.cluster.retries()
    }

    async fn generated(&self) -> Result<u64, Error> {
        Ok(self.shared.store.meta(&generated::name(&self.shared))?.unwrap_or(0).cast_unsigned())
    }
}

/// As often may a broker refuse one and the same number before we take another identity. At another one something has
/// landed in between, and the read-back has found it.
const OUT_OF_STEP: u32 = 2;

/// A number that was refused, and how often in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    sequence: i32,
    times: u32,
}

impl Refused {
    fn again(&mut self, sequence: i32) {
        self.times = if self.sequence == sequence { self.times + 1 } else { 1 };
        self.sequence = sequence;
    }

    fn is_lasting(self) -> bool {
        self.times >= OUT_OF_STEP
    }
}

/// Lowers a limit, if it is not that low yet.
fn lower(limit: &AtomicUsize, to: usize) {
    limit.fetch_min(to.max(1), Ordering::Relaxed);
}
