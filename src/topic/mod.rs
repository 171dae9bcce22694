//! Where records come from and where they go: what a topic is to whoever reads and writes it.
//!
//! Two implementations stand on it: topics as tables of the state file, and Apache Kafka. One conformance suite runs on both.
//! Invariant: what a [`Publisher`] confirms is durable and in order; what it does not confirm may be published or not, and
//! [`Publisher::resume`] tells which after a restart. A transport retries whatever can pass by itself and says so in the
//! log; an [`Error`] that reaches the caller needs a person.
//! What this does not do: know what a record says or what a worker has learned. Predictions are [`Drafts`] to it, which can
//! be spelled, and a worker's state a [`Savepoint`].
//!
//! Reading order: [`record`], this file, [`outputs`](Outputs), [`dead_letters`] (looked at, and sent back).

pub mod dead_letters;
mod history;
mod opening;
mod outbox;
mod outputs;
pub mod record;
pub mod source;
pub mod stamps;

use std::{future::Future, ops::Range};

use tokio::sync::{mpsc, watch};

pub use dead_letters::{DeadLetters, Fate, Page};
pub use history::History;
pub use opening::{Generating, Opening, Status};
pub use outbox::{Drafts, Outbox, Savepoint, Spelled};
pub use outputs::{OutputOffsets, Outputs, Sequences};
pub use stamps::Timestamps;

use record::{Outgoing, Record};

/// Names of the topics, checked: distinct and legal on every transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Where samples are read from (and the generator writes to).
    pub samples: String,
    /// One record per usable sample.
    pub predictions: String,
    /// One record per record that could not be used.
    pub dead_letters: String,
    /// Champion changes and other things that happen seldom.
    pub events: String,
    /// Partitions of a topic that has to be created, ≥ 1.
    pub partitions: i32,
}

impl Topics {
    /// Tells output topics apart: others have another fingerprint, most likely.
    pub fn fingerprint(&self) -> u32 {
        crc32fast::hash([&*self.predictions, &*self.dead_letters, &*self.events].join("\n").as_bytes())
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            samples: "samples".into(),
            predictions: "predictions".into(),
            dead_letters: "dead-letters".into(),
            events: "events".into(),
            partitions: 1,
        }
    }
}

/// Where to start in a partition without a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    #[default]
    Earliest,
    /// Only what arrives from now on.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record at or after this time, in milliseconds since the Unix epoch.
    Timestamp(i64),
}

/// What a reader brought: records in offset order, none before the offset asked for.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Empty when nothing arrived within the reader's patience.
    pub records: Vec<Record>,
    /// Where to fetch next.
    pub next_offset: i64,
    /// Offset after the last record of the partition that is decided: where no transaction is open, after the last.
    pub high_watermark: i64,
    /// Offset after the last record, be it of an open transaction.
    pub end: i64,
}

/// How much there is in the samples topic, as far as somebody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Of the partitions asked about: the offset after the last record.
    pub ends: Vec<i64>,
    /// Partitions that nobody reads, though this process should, and the records in them.
    pub unread: (i32, i64),
}

/// The output streams of a worker, in the order in which they are numbered everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Predictions.
    Predictions = 0,
    /// Dead letters.
    DeadLetters = 1,
    /// Events.
    Events = 2,
}

impl Output {
    /// Every output stream.
    pub const ALL: [Output; 3] = [Output::Predictions, Output::DeadLetters, Output::Events];

    /// Its key in `[topics]`.
    pub const fn name(self) -> &'static str {
        match self {
            Output::Predictions => "predictions",
            Output::DeadLetters => "dead_letters",
            Output::Events => "events",
        }
    }
}

/// Per [`Output`]: the source offset from which on nothing has been published yet.
pub type Published = [i64; 3];

/// What is published already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// How far.
    pub published: Published,
    /// Where the outputs stand.
    pub outputs: Outputs,
}

/// A transport, opened: its topics exist.
pub trait Transport: Send + Sync + 'static {
    /// Reads samples.
    type Reader: Reader;
    /// Writes outputs.
    type Publisher: Publisher;

    /// The partitions of the samples topic that this process works on, ascending.
    fn partitions(&self) -> &[i32];

    /// A reader of one partition of the samples topic.
    fn reader(&self, partition: i32) -> impl Future<Output = Result<Self::Reader, Error>> + Send;

    /// The publisher for what is made from one partition of the samples topic.
    fn publisher(&self, partition: i32) -> impl Future<Output = Result<Self::Publisher, Error>> + Send;

    /// Appends generated samples, of which `samples[0]` is number `first` since the generator's beginning, and keeps
    /// durably that they were generated. Sample `i` goes to partition `i` modulo their number.
    fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Where `partitions` of the samples end now, and what else there is. One try.
    fn ends(&self, partitions: &[i32]) -> impl Future<Output = Result<Ends, Error>> + Send {
        let ends = Ends { ends: vec![0; partitions.len()], unread: (0, 0) };
        std::future::ready(Ok(ends))
    }

    /// How often it has tried again what had failed: that it is trying is a sign of life.
    fn retries(&self) -> u64;

    /// Number of samples the generator has appended since its beginning.
    fn generated(&self) -> impl Future<Output = Result<u64, Error>> + Send;
}

/// Reads one partition of the samples topic.
pub trait Reader: Send + 'static {
    /// The offset that `start` means now, within what the partition holds.
    fn resolve(&mut self, start: Start) -> impl Future<Output = Result<i64, Error>> + Send;

    /// First offset there is, and the high watermark.
    fn range(&mut self) -> impl Future<Output = Result<Range<i64>, Error>> + Send;

    /// Records from `offset` on. Waits a moment when there are none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Gap`] when `offset` is not (or no longer) between the first offset and the high watermark.
    fn fetch(&mut self, offset: i64) -> impl Future<Output = Result<Fetched, Error>> + Send;
}

/// Publishes what one worker makes, in order.
pub trait Publisher: Send + 'static {
    /// How far each output had been published when it stood as `since` says, or anything after; and how it stands now.
    /// `position` is the checkpoint's input offset, which is the answer where nothing was published after the checkpoint.
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

/// What a transport cannot mend by itself.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Records that should have been read are not there.
    #[error(
        "{topic}/{partition}: offset {requested} is not there (the partition holds {} to {}); \
         {missing} records would be skipped", available.start, available.end
    )]
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        requested: i64,
        /// What is there.
        available: Range<i64>,
        /// Records between the two, 0 where the topic was re-created with lower offsets.
        missing: i64,
    },
    /// A topic is missing, or smaller than it must be.
    #[error("topic `{topic}`: {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The broker refuses for good.
    #[error("Kafka, {action}: {problem} ({reason})")]
    Broker {
        /// What was being done.
        action: String,
        /// What is wrong, and what to do.
        problem: String,
        /// What the client said.
        reason: String,
    },
    /// The broker does not let us in, and will not at the next try: what the settings say of logins and certificates has to
    /// change, or the broker.
    #[error("Kafka, {action}: {problem} ({reason})")]
    Access {
        /// What was being done.
        action: String,
        /// What is wrong, and what to do.
        problem: String,
        /// What the client said.
        reason: String,
    },
    /// The generator would mix its samples into somebody's own.
    #[error(
        "topic `{topic}`: {found}, so nothing is generated into it. To learn from what is in the topic, set \
         generator.enabled = false; to mix made-up samples into it all the same, set generator.into_foreign_topic = true"
    )]
    Foreign {
        /// The samples topic.
        topic: String,
        /// What is in it, and where.
        found: String,
    },
    /// Another Thalweg publishes the same, and this one makes way.
    #[error(
        "another Thalweg publishes what is made from `{samples}`/{partition} to `{output}`, too, and has done so for longer: \
         each record would be there twice. Stop one of the two, or give each its own partitions \
         (transport.kafka.partitions) or its own outputs (topics.predictions and so on)"
    )]
    Contended {
        /// The samples topic.
        samples: String,
        /// Its partition.
        partition: i32,
        /// The output in which the other was noticed.
        output: String,
    },
    /// Publishing failed midway; what has landed is found out by beginning again at the checkpoint.
    #[error("publishing for partition {partition} was interrupted: {problem}")]
    Interrupted {
        /// The partition of the samples topic.
        partition: i32,
        /// What failed.
        problem: String,
    },
    /// Told to stop before it was open.
    #[error("stopped before the transport was open")]
    Stopped,
    /// The state file.
    #[error(transparent)]
    Store(#[from] thalweg_store::Error),
}

impl Error {
    /// Whether the settings have to change first, or the broker's, so that starting again soon is of no use.
    pub fn is_for_the_settings(&self) -> bool {
        matches!(self, Error::Access { .. } | Error::Contended { .. })
    }

    /// Whether it may work at the next start, without anyone doing anything about it.
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Store(error) => error.may_pass(),
            Error::Interrupted { .. } | Error::Stopped => true,
            _ => false,
        }
    }
}
