//! What is known of a cluster: its brokers, and who leads which partition.
//!
//! Invariant: what many ask for at once is asked once. A place that turned out to be wrong is asked for anew, but no more
//! often than something that fails is tried again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use thalweg_topic::Status;
use tokio::{sync::Mutex, time::Instant};

use super::{
    access::{Access, Speaker},
    broker::Broker,
    config::Config,
    descriptors,
    fault::{Fault, Refusal, Try},
};
use crate::protocol::{Metadata, NewTopic, TopicId, Topics};

/// A cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    access: Arc<Access>,
    /// Addresses of all brokers, as the cluster named them last.
    known: StdMutex<Vec<String>>,
    /// Topics of ours that are made again where they go.
    required: StdMutex<BTreeMap<String, NewTopic>>,
    /// Set while the controller does not answer, once that is said.
    silent_controller: AtomicBool,
    brokers: StdMutex<BTreeMap<String, Arc<Broker>>>,
    topics: StdMutex<BTreeMap<String, Arc<Topic>>>,
}

/// A topic as the cluster described it last.
#[derive(Debug, Default)]
struct Topic {
    described: Mutex<Option<Described>>,
    /// Descriptions from before this time are of no use any more.
    outdated: StdMutex<Option<Instant>>,
    /// The number of its partitions, as far as anybody was told.
    partitions: AtomicUsize,
}

#[derive(Debug)]
struct Described {
    /// The time at which it was asked for, and at which the answer came.
    asked: Instant,
    answered: Instant,
    metadata: Try<Arc<Metadata>>,
}

/// The leader of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) broker: Arc<Broker>,
    /// The identity of the topic; `None` where the cluster has none.
    pub(crate) topic: Option<TopicId>,
}

impl Cluster {
    pub(crate) fn new(config: Config, status: Option<Status>) -> Result<Self, Refusal> {
        let access = Arc::new(Access::new(config, status)?);
        Ok(Self {
            access,
            known: StdMutex::default(),
            required: StdMutex::default(),
            silent_controller: AtomicBool::new(false),
            brokers: StdMutex::default(),
            topics: StdMutex::default(),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        self.access.config()
    }

    /// Shows what is being waited for.
    pub(crate) fn show(&self, status: &str) {
        self.access.show(status);
    }

    pub(crate) fn retries(&self) -> u64 {
        self.access.retries()
    }

    /// Says whether a broker's quota holds this client back now.
    pub(crate) fn is_throttled(&self) -> bool {
        self.access.throttling().is_waiting()
    }

    /// As [`Access::speaker`].
    pub(super) fn speaker(&self, problem: &str) -> Option<Speaker> {
        self.access.speaker(problem)
    }

    /// Takes note of a try that failed.
    pub(crate) fn note_wait(&self) {
        self.access.note_wait();
    }

    /// Says that the controller does not answer, once for as long as it is so.
    pub(crate) fn note_silent_controller(&self, topic: &str) {
        self.show(&format!("waiting for the cluster's controller, which creates topics, to create `{topic}`"));
        if !self.silent_controller.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "controller_silent",
                topic,
                "no answer yet to the request for a new topic; waiting. Creating topics is the work of the cluster's \
                 controller: check that one is active (kafka-metadata-quorum.sh describe --status)"
            );
        }
    }

    /// Takes note that the controller answers.
    pub(crate) fn note_controller(&self) {
        self.silent_controller.store(false, Ordering::Relaxed);
    }

    /// Returns a broker, connected or not.
    fn broker(&self, address: &str) -> Arc<Broker> {
        let mut brokers = lock(&self.brokers);
        let broker = brokers.entry(address.to_owned());
        Arc::clone(broker.or_insert_with(|| Arc::new(Broker::new(&self.access, address))))
    }

    /// Returns the brokers to ask: first those that are connected, then those of the settings, of which any may be away for
    /// good, then those that the cluster named.
    fn candidates(&self) -> Vec<Arc<Broker>> {
        let known = lock(&self.known).clone();
        let configured = &self.config().brokers;
        let others = known.iter().filter(|broker| !configured.contains(broker));
        let mut all: Vec<Arc<Broker>> = configured.iter().chain(others).map(|address| self.broker(address)).collect();
        all.sort_by_key(|broker| !broker.is_connected());
        all
    }

    /// Asks one broker which there are.
    pub(crate) async fn greet(&self, address: &str) -> Try<Metadata> {
        self.broker(address).metadata(Topics::None).await
    }

    /// Asks the first broker that answers.
    pub(super) async fn metadata(&self, topics: Topics<'_>) -> Try<Metadata> {
        let (mut first, mut refused) = (None, None);
        for broker in self.candidates() {
            match broker.metadata(topics).await {
                Ok(metadata) => {
                    if lock(&self.known).is_empty() {
                        descriptors::check(metadata.brokers.len())?;
                    }
                    *lock(&self.known) = metadata.brokers.iter().map(|broker| broker.address.clone()).collect();
                    if let Topics::One(topic) = topics
                        && let Some(found) = metadata.topic(topic)
                        && self.topic(topic).partitions.swap(found.partitions.len(), Ordering::Relaxed)
                            != found.partitions.len()
                    {
                        self.access.note_change();
                    }
                    return Ok(metadata);
                }
                // A login that one broker refuses, the others refuse, too; a certificate may be the fault of one alone.
                Err(fault @ Fault::Permanent(_)) if fault.code().is_some() => return Err(fault),
                Err(fault @ Fault::Permanent(_)) => refused = Some(refused.unwrap_or(fault)),
                Err(fault) => first = Some(first.unwrap_or(fault)),
            }
        }
        Err(match (first, refused) {
            (Some(fault), Some(Fault::Permanent(Refusal { action, problem, reason, .. }))) => {
                fault.map_transient(|away| format!("{away}; {action}: {problem} ({reason})"))
            }
            (Some(fault), _) | (None, Some(fault)) => fault,
            (None, None) => Fault::transient("there is no broker to ask"),
        })
    }

    /// Returns the broker that makes topics.
    pub(super) async fn controller(&self) -> Try<Arc<Broker>> {
        let metadata = self.metadata(Topics::None).await?;
        let address = metadata.controller.and_then(|number| metadata.address(number));
        let address = address.ok_or_else(|| Fault::transient("the cluster has no controller at the moment"))?;
        Ok(self.broker(address))
    }

    /// Returns the leader of a partition, as far as is known.
    pub(super) async fn leader(&self, topic: &str, partition: i32) -> Try<Leader> {
        let metadata = self.described(topic, None).await?;
        let address = leader(&metadata, topic, partition)?;
        let found = metadata.topic(topic).and_then(|found| found.id);
        Ok(Leader { broker: self.broker(address), topic: found })
    }

    /// Returns the identity that a topic has at or after `since`; `None` where the cluster has none.
    pub(super) async fn identity(&self, topic: &str, since: Instant) -> Try<Option<TopicId>> {
        let metadata = self.described(topic, Some(since)).await?;
        Ok(metadata.topic(topic).and_then(|found| found.id))
    }

    /// Takes note that what is known of a topic may be wrong.
    pub(super) fn forget(&self, topic: &str) {
        *lock(&self.topic(topic).outdated) = Some(Instant::now());
        self.access.note_change();
    }

    /// Takes note of so many readers of partitions more, or fewer.
    pub(crate) fn note_readers(&self, change: isize) {
        self.access.note_readers(change);
    }

    /// Waits for a sign that the cluster may have changed: a leader that is none, a topic that is another or not there, a
    /// connection made anew, a topic with another number of partitions. One at a time may wait.
    pub(crate) async fn changed(&self) {
        self.access.changed().await;
    }

    fn topic(&self, topic: &str) -> Arc<Topic> {
        let mut topics = lock(&self.topics);
        match topics.get(topic) {
            Some(topic) => Arc::clone(topic),
            None => Arc::clone(topics.entry(topic.to_owned()).or_default()),
        }
    }

    /// Asks for a topic, unless that is known, and since `since` where that is set.
    async fn described(&self, topic: &str, since: Option<Instant>) -> Try<Arc<Metadata>> {
        let known = self.topic(topic);
        // Whoever comes meanwhile waits for this answer.
        let mut described = known.described.lock().await;
        if let Some(last) = &*described {
            let outdated = lock(&known.outdated).is_some_and(|outdated| last.asked <= outdated);
            // No try comes sooner than half the first wait after the one before.
            let is_recent = last.answered.elapsed() < self.config().backoff_initial / 2;
            let fits = is_recent || (last.metadata.is_ok() && !outdated);
            if fits && since.is_none_or(|since| last.asked >= since) {
                return last.metadata.clone();
            }
        }
        let asked = Instant::now();
        let metadata = self.metadata(Topics::One(topic)).await.map(Arc::new);
        *described = Some(Described { asked, answered: Instant::now(), metadata: metadata.clone() });
        metadata
    }

    /// Remembers that a topic must be there, and is ours to make.
    pub(crate) fn requires(&self, topic: &str, new: NewTopic) {
        lock(&self.required).insert(topic.to_owned(), new);
    }

    /// Returns the topics that must be there.
    pub(crate) fn required(&self) -> BTreeMap<String, NewTopic> {
        lock(&self.required).clone()
    }

    /// Says whether a topic is made again where it goes.
    pub(crate) fn recreates(&self, topic: &str) -> bool {
        self.config().create_topics && lock(&self.required).contains_key(topic)
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `host:port` of the leader.
fn leader<'m>(metadata: &'m Metadata, topic: &str, partition: i32) -> Try<&'m str> {
    let action = format!("looking for the leader of `{topic}`/{partition}");
    let refused = |code: rskafka::client::error::ProtocolError| Fault::of_answer(&action, code.into());
    let found = metadata.topic(topic).ok_or_else(|| Fault::transient("the broker does not know the topic"))?;
    if let Some(code) = found.failure {
        return Err(refused(code));
    }
    let found = found.partitions.iter().find(|found| found.number == partition);
    let found = found.ok_or_else(|| Fault::transient("the broker does not know the partition"))?;
    match (metadata.address(found.leader), found.failure) {
        (Some(address), _) => Ok(address),
        (None, Some(code)) => Err(refused(code)),
        (None, None) => Err(Fault::transient("the partition has no leader at the moment")),
    }
}
