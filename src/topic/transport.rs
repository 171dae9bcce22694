//! Traits of a transport: it reads topics, assigns partitions of the samples topic, publishes the outputs made from
//! them, and takes the generator's samples.
//!
//! Invariant: reading does not depend on the use of a topic, so any topic can be read, also beside a daemon.

use std::{future::Future, ops::Range};

use tokio::sync::{mpsc, watch};

use crate::{
    Assignments, Error, Fetched, Outbox, Outputs, Resumed, Start,
    dead_letters::{Retried, Selection},
    record::Outgoing,
};

/// Topics that can be read, by a daemon or beside one.
pub trait Source: Send + Sync + 'static {
    /// Reads a partition.
    type Reader: Reader;

    /// Returns the number of partitions of a topic.
    ///
    /// # Errors
    /// [`Error::Topic`] when there is no such topic.
    fn partitions(&self, topic: &str) -> impl Future<Output = Result<i32, Error>> + Send;

    /// Returns a reader of one partition of a topic.
    fn reader(&self, topic: &str, partition: i32) -> impl Future<Output = Result<Self::Reader, Error>> + Send;
}

/// An open transport: its topics exist.
pub trait Transport: Source {
    /// Assigns partitions of the samples topic to this process.
    type Assignments: Assignments;
    /// Writes outputs.
    type Publisher: Publisher;

    /// Returns the changing assignment of the samples topic's partitions to this process.
    fn assignments(&self) -> Self::Assignments;

    /// Returns the publisher of the outputs made from one partition of the samples topic.
    fn publisher(&self, partition: i32) -> impl Future<Output = Result<Self::Publisher, Error>> + Send;

    /// Returns, per partition of `partitions`, the offset after the last record of the samples topic. It asks once.
    fn ends(&self, partitions: &[i32]) -> impl Future<Output = Result<Vec<i64>, Error>> + Send;

    /// Returns how often it has retried a failed operation: a sign of life.
    fn retries(&self) -> u64;

    /// Says whether the broker holds this client back, so that it is slow and well.
    fn is_throttled(&self) -> bool {
        false
    }

    /// Gives up what the broker has not taken yet: publishers end as interrupted. Called once, while stopping.
    fn wait_no_more(&self) {}
}

/// The samples topic as it is written: by the generator, and for programs that have no access to the transport.
pub trait SampleLog: Send + Sync + 'static {
    /// Appends generated samples, of which `samples[0]` is number `first` since the generator's beginning, and keeps
    /// durably that they were generated. Sample `i` goes to partition `i` modulo their number.
    fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the number of samples the generator has appended since its beginning.
    fn generated(&self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Appends somebody's samples to a partition in one piece, durably; returns the offset of the first, where it is known. They
    /// are no generated ones. Waits for no room.
    ///
    /// # Errors
    /// [`NotTaken`]: none of them is there, unless it says otherwise.
    fn take_samples(
        &self,
        partition: i32,
        samples: Vec<Outgoing>,
    ) -> impl Future<Output = Result<Option<i64>, NotTaken>> + Send;

    /// Sends dead letters back, none of them twice.
    ///
    /// # Errors
    /// As [`dead_letters::retry`](crate::dead_letters::retry).
    fn send_back(&self, selection: Selection) -> impl Future<Output = Result<Retried, Error>> + Send;
}

/// The reason why somebody's samples were not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// So many wait to be processed already that there is no room.
    #[error("{waiting} samples of the partition wait to be processed, and {limit} are the most")]
    Full {
        /// Samples that wait.
        waiting: i64,
        /// Samples that may.
        limit: i64,
    },
    /// They do not fit into one piece.
    #[error("the samples are {size} {unit}, and the topic takes at most {limit} in one piece")]
    TooLarge {
        /// Their size.
        size: usize,
        /// The largest size.
        limit: usize,
        /// What both count.
        unit: &'static str,
    },
    /// There is no such partition.
    #[error("the topic has no partition {partition}; it has {count}, from 0 on")]
    Partition {
        /// The partition.
        partition: i32,
        /// The number of partitions.
        count: i32,
    },
    /// It is not known whether they are there.
    #[error("it is not known whether the samples are there: {0}")]
    Unknown(String),
    /// They are not.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Reads one partition of a topic.
pub trait Reader: Send + 'static {
    /// Returns the offset that `start` means now, within the records of the partition.
    fn resolve(&mut self, start: Start) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Returns the first offset and the high watermark.
    fn range(&mut self) -> impl Future<Output = Result<Range<i64>, Error>> + Send;

    /// Returns the identity of the topic that the last answer was about, by which a topic of the same name that was made anew is
    /// another one; `None` where the transport has none.
    fn identity(&self) -> Option<i64> {
        None
    }

    /// Returns records from `offset` on. It waits a moment when there are none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Gap`] when `offset` is not (or no longer) between the first offset and the high watermark.
    fn fetch(&mut self, offset: i64) -> impl Future<Output = Result<Fetched, Error>> + Send;
}

/// Publishes the outputs of one worker, in order.
pub trait Publisher: Send + 'static {
    /// Scans each output from `since` on and returns the highest source offset found there, and where the output ends
    /// now. `position` is the checkpoint's input offset, which is the answer where nothing was published after the
    /// checkpoint.
    fn resume(&mut self, since: Outputs, position: i64) -> impl Future<Output = Result<Resumed, Error>> + Send;

    /// Publishes until the channel is closed and drained. `confirmed` holds the position up to which everything is
    /// published; a checkpoint is written once its outbox is, and before this returns.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the worker should begin again at its checkpoint; any other needs a person.
    fn run(
        self,
        outboxes: mpsc::Receiver<Outbox>,
        confirmed: watch::Sender<i64>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}
