//! Topics of an Apache Kafka.
//!
//! Three levels, of which each knows only those below: this folder (topics as Thalweg uses them), `client` (a cluster's
//! brokers), `protocol` (bytes).
//! Reading order: [`Config`], `rights`, `input` (the samples topic, waited for), `topic_settings`, `reader`, `shared`, `publisher` with `requests` and `sent`,
//! `read_back` (what is there already), `lookout` with `foreign` and `rivals` (who else publishes), `generated` (samples) with `origin` (who wrote what is there), `dead_letters` with
//! `ledger` and `claims` (sent back by people), `posted` (samples of programs).
//!
//! Invariant: every call has a deadline of ours; the client library's own retries are off. What can pass by itself is
//! tried again for as long as it takes, and the log says so. Produce requests go out in order on one connection per
//! output partition; after any failure nothing more is sent until it is known what was appended.
//!
//! Producers give their records sequence numbers, so that a broker keeps out what comes late, twice or out of order; what
//! was appended is read back with them (`read_back`).
//!
//! | event | level | when |
//! | --- | --- | --- |
//! | `broker_unreachable` | warn | something failed that is tried again; `action`, `attempt`, `next_try`, `error` |
//! | `controller_silent` | warn | a topic is to be created and the controller does not answer; `topic` |
//! | `token_not_renewed` | warn | there is no newer token to log in with, and the last one is used; `token_url`, `left_s`, `error` |
//! | `throttled` | warn | a quota of the broker's holds this client back; `action`, `quota`, `throttle_ms`, `times`, `waited_ms` |
//! | `broker_recovered` | info | it worked again; `action`, `attempts` |
//! | `topic_missing` | warn | the samples topic is not there and is waited for; `topic`, `nearest` |
//! | `partitions_added` | info | the samples topic has grown; `topic`, `partitions`, `added`, `shared` |
//! | `topic_created` | info | a missing topic was created; `topic`, `partitions` |
//! | `foreign_records` | error | another producer writes to an output; `topic`, `from`, `to`, `times` |
//! | `rival` | warn | another Thalweg publishes the same, or has; `topic`, `partition`, `by` |
//! | `overlap` | error | records are there twice, since two have published them; `topic`, `partition`, `records`, `first`, `last` |
//! | `unannounced` | warn | the events topic does not take the record that says who publishes; `topic`, `partition`, `problem` |
//! | `output_unread` | warn, info | it could not be looked at who else writes to an output; `topic`, `from`, `to`, `error` |
//! | `output_cut` | warn | an output ends earlier than it did; `topic`, `partition`, `expected`, `end` |
//! | `older_than_retention` | warn | records are given a time from before what their topic keeps; `topic`, `oldest`, `retention_ms` |
//! | `topic_settings` | warn | a topic has a setting that will hurt; `topic`, `setting`, `value` |
//! | `settings_unknown` | info | the settings of a topic may not be asked for; `topic`, `refused` |
//! | `new_producer` | warn | a broker did not go on with our numbers; `partition` |
//! | `transactional_topic` | info | the samples are written in transactions; `topic`, `partition`, `offset` |
//! | `waiting_for_transaction` | warn | an open transaction holds up reading; `topic`, `partition`, `offset`, `records`, `since`, `producer` |
//! | `transaction_over` | info | it is committed or aborted; `topic`, `partition`, `offset`, `waited_ms` |
//! | `batch_limit` | warn | a broker takes smaller batches than expected; `topic`, `bytes` |
//! | `dead_letter_cut` | warn | a dead letter is too large for its topic and was cut; `offset`, `bytes` |

mod assignments;
mod check;
mod checkpoint_writer;
mod claims;
mod client;
mod dead_letters;
mod errors;
mod foreign;
mod generated;
mod input;
mod ledger;
mod limits;
mod lookout;
mod open_transaction;
mod origin;
mod outputs;
mod posted;
mod protocol;
mod publisher;
mod read_back;
mod reader;
mod requests;
mod rights;
mod rivals;
mod sent;
mod shared;
mod topic_settings;
mod topics;
mod truncate;

use std::{
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicI32, AtomicUsize},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

pub use assignments::KafkaAssignments;
pub use check::{Purpose, check};
pub use client::{Config, Identity, Oauth, Partitions, Retention, Sasl, SaslMechanism, Secret, Tls};
pub use dead_letters::KafkaDeadLetters;
pub use protocol::{CompressionKind, read_log};
pub use publisher::KafkaPublisher;
pub use reader::KafkaReader;
pub use topic_settings::CHECKPOINTS_KEPT;
pub use topics::KafkaTopics;

use client::{Cluster, Partition, partitions_of, retry};
use errors::{missing, not_retried};
use foreign::Foreign;
use generated::Generated;
use protocol::At;
use rivals::Instance;
use shared::Shared;
use thalweg_store::Store;
use thalweg_topic::{Error, NotTaken, Opening, SampleLog, Source, Topics, Transport, stamps::Stamps};
use thalweg_topic::{
    dead_letters::{Retried, Selection},
    record::Outgoing,
};
use topic_settings::Needs;

/// Looks at the files that [`Tls`] names: whether they hold certificates and a key, which fit together.
///
/// # Errors
/// The problem, for people.
pub fn check_tls(tls: &Tls) -> Result<(), String> {
    let read = client::client_config(tls);
    read.map(drop).map_err(|refusal| format!("{} ({})", refusal.problem, refusal.reason))
}

/// The Kafka transport, open.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    /// The partitions that this process begins with.
    partitions: Vec<i32>,
    /// Partitions of the samples topic at the first start.
    first_partitions: i32,
    generator: Mutex<Generated>,
}

impl Kafka {
    /// Connects, waiting for the broker and the samples topic as long as it takes. That topic is made only for a generator
    /// to fill; the outputs are made when the first worker has found where it goes on.
    ///
    /// # Errors
    /// When an output is missing and may not be created, when the generator would write among somebody's records
    /// ([`Error::Foreign`]), or the broker refuses for good; [`Error::Stopped`] when `shutdown` comes first.
    pub fn open(
        config: Config,
        topics: Topics,
        store: Arc<Store>,
        opening: Opening,
        shutdown: CancellationToken,
    ) -> BoxFuture<'static, Result<Self, Error>> {
        Self::connected(config, topics, store, opening, shutdown).boxed()
    }

    async fn connected(
        config: Config,
        topics: Topics,
        store: Arc<Store>,
        opening: Opening,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        let brokers = config.brokers.join(", ");
        let late = async {
            tokio::time::sleep(SLOW_OPENING).await;
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
        let given = rights::require(&cluster, &topics, opening.generating.is_some()).await?;
        let (readable, is_blind) = (rights::readable(&given, &topics), rights::is_blind(&given, &topics));
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
            let action = format!("looking for topic `{name}`");
            let found = retry(&cluster, Some(name), &action, || partitions_of(&cluster, name)).await?;
            if found.is_none() && !config.create_topics {
                return Err(missing(name));
            }
            (*count, *there) = (found.unwrap_or(sample_partitions), found.is_some());
        }
        let limit = config.max_batch_bytes;
        let first_partitions = assignments::at_first_start(&store, &topics, sample_partitions).await?;
        let shared = Shared {
            sample_partitions,
            sample_partitions_now: AtomicI32::new(sample_partitions),
            output_partitions,
            readable,
            is_blind,
            outputs: OnceCell::new(),
            timestamps: opening.timestamps,
            stamps: output_partitions.map(|count| (0..count.max(1)).map(|_| Stamps::default()).collect()),
            foreign: output_partitions.map(|count| (0..count.max(1)).map(|_| Foreign::default()).collect()),
            needs: Needs {
                retention: config.retention,
                checkpoint_every: opening.checkpoint_every,
                timestamps: opening.timestamps,
                replicas: config.replication_factor,
                generates: opening.generating.is_some(),
            },
            retention: OnceCell::new(),
            batch_bytes: std::array::from_fn(|_| AtomicUsize::new(limit)),
            sample_batch_bytes: AtomicUsize::new(limit),
            refused_bytes: Default::default(),
            refused: StdMutex::default(),
            sent_times: StdMutex::default(),
            instance: Instance::new(&store, &config.client_id),
            announced: StdMutex::default(),
            closing: CancellationToken::new(),
            dead_letter_bytes: AtomicUsize::new(usize::MAX),
            cluster,
            store,
            topics,
        };
        if !opening.shared_outputs {
            outputs::refuse_foreign(&shared, &partitions, there).await?;
        }
        Ok(Self { shared: Arc::new(shared), partitions, first_partitions, generator: Mutex::new(generator) })
    }
}

/// A broker that has not answered by then is waited for, and the log says so.
const SLOW_OPENING: Duration = Duration::from_secs(3);

impl Source for Kafka {
    type Reader = KafkaReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        topics::partitions(&self.shared.cluster, topic).await
    }

    async fn reader(&self, topic: &str, partition: i32) -> Result<KafkaReader, Error> {
        Ok(KafkaReader::new(&self.shared.cluster, topic, partition))
    }
}

// Futures that are boxed here are compiled in this package, and not in each program that waits for them.
impl Transport for Kafka {
    type Assignments = KafkaAssignments;
    type Publisher = KafkaPublisher;

    fn assignments(&self) -> KafkaAssignments {
        KafkaAssignments::new(&self.shared, self.first_partitions, self.partitions.clone())
    }

    async fn publisher(&self, partition: i32) -> Result<KafkaPublisher, Error> {
        Ok(KafkaPublisher::new(Arc::clone(&self.shared), partition))
    }

    fn ends(&self, partitions: &[i32]) -> impl Future<Output = Result<Vec<i64>, Error>> + Send {
        let partitions = partitions.to_vec();
        async move {
            let Shared { cluster, topics, .. } = &*self.shared;
            let end = async |partition: i32| {
                let end = Partition::new(cluster, &topics.samples, partition).offset(At::End).await;
                end.map_err(|fault| not_retried(fault, partition))
            };
            futures_util::future::try_join_all(partitions.iter().map(|partition| end(*partition))).await
        }
        .boxed()
    }

    fn retries(&self) -> u64 {
        self.shared.cluster.retries()
    }

    fn is_throttled(&self) -> bool {
        self.shared.cluster.is_throttled()
    }

    fn wait_no_more(&self) {
        self.shared.closing.cancel();
    }
}

impl SampleLog for Kafka {
    fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> impl Future<Output = Result<(), Error>> + Send {
        async move {
            let append = async { self.generator.lock().await.append(&self.shared, first, samples).await };
            tokio::select! {
                appended = append => appended,
                () = self.shared.closing.cancelled() => Err(Error::Stopped),
            }
        }
        .boxed()
    }

    async fn generated(&self) -> Result<u64, Error> {
        Ok(self.shared.store.meta(&generated::name(&self.shared))?.unwrap_or(0).cast_unsigned())
    }

    async fn take_samples(&self, partition: i32, samples: Vec<Outgoing>) -> Result<Option<i64>, NotTaken> {
        posted::append(&self.shared, partition, samples).await
    }

    async fn send_back(&self, selection: Selection) -> Result<Retried, Error> {
        let Shared { cluster, topics, .. } = &*self.shared;
        let mut letters = KafkaDeadLetters::open(cluster.config().clone(), topics.clone()).await?;
        thalweg_topic::dead_letters::retry(&mut letters, &selection).await
    }
}
