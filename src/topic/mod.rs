//! Topics: the interface for reading and writing them.
//!
//! Two implementations stand on it: topics as tables of the state file, and Apache Kafka. One conformance suite runs on
//! both. Invariant: what a [`Publisher`] confirms is durable and in order; what it does not confirm may be published or
//! not, and [`Publisher::resume`] tells which after a restart. A transport retries whatever can pass by itself and says
//! so in the log; an [`Error`] that reaches the caller needs a person. What this does not do: know the content of a
//! record or of a worker's state. It sees predictions as [`PendingPredictions`], which it can encode, and a worker's
//! state as a [`Savepoint`].
//!
//! Reading order: [`record`], this file, `transport` (its traits), [`Assignment`] (partitions of this process), [`Budget`],
//! [`outputs`](Outputs), [`Interleaving`] (of two topics that are read), [`dead_letters`] (reading and sending them back).

mod assignments;
mod budget;
pub mod dead_letters;
mod finding;
mod interleaving;
mod opening;
mod outbox;
mod outputs;
pub mod record;
pub mod source;
pub mod stamps;
mod transport;

use std::ops::Range;

use bytes::Bytes;

pub use assignments::{Assigned, Assignment, Assignments, Fixed, Revoked};
pub use budget::{Budget, Held, Share};
pub use dead_letters::{DeadLetters, Fate, Page};
pub use finding::{Finding, Verdict};
pub use interleaving::Interleaving;
pub use opening::{Generating, Opening, Status};
pub use outbox::{EncodedPrediction, Outbox, PendingPredictions, Savepoint};
pub use outputs::{OutputOffsets, Outputs, Sequences};
pub use stamps::Timestamps;
pub use transport::{NotTaken, Publisher, Reader, SampleLog, Source, Transport};

use record::Record;

/// Names of the topics, checked: distinct and legal on every transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Topic that samples are read from, and that the generator writes to.
    pub samples: String,
    /// Topic of the targets of samples; `None` where they come with the samples.
    pub labels: Option<String>,
    /// One record per usable sample.
    pub predictions: String,
    /// One record per record that could not be used.
    pub dead_letters: String,
    /// Champion changes and other rare events.
    pub events: String,
    /// Partitions of a topic that has to be created, ≥ 1.
    pub partitions: i32,
}

impl Topics {
    /// Returns a fingerprint of the output topics: others most likely have another one.
    pub fn fingerprint(&self) -> u32 {
        crc32fast::hash([&*self.predictions, &*self.dead_letters, &*self.events].join("\n").as_bytes())
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            samples: "samples".into(),
            labels: None,
            predictions: "predictions".into(),
            dead_letters: "dead-letters".into(),
            events: "events".into(),
            partitions: 1,
        }
    }
}

/// Position at which a partition without a checkpoint is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    #[default]
    Earliest,
    /// The end of the partition: only records that arrive from now on are read.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record at or after this time, in milliseconds since the Unix epoch.
    Timestamp(i64),
}

/// Result of one fetch: records in offset order, none before the requested offset.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Records; empty when none arrived within the reader's wait.
    pub records: Vec<Record>,
    /// Offset of the next fetch.
    pub next_offset: i64,
    /// Offset after the last record that no open transaction precedes: where none is open, the end of the partition.
    pub high_watermark: i64,
    /// Offset after the last record, also where it belongs to an open transaction.
    pub end: i64,
}

impl Fetched {
    /// Returns the bytes that the records take, about.
    pub fn bytes(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        self.records.iter().map(|record| size_of::<Record>() + bytes(&record.key) + bytes(&record.value)).sum()
    }
}

/// The output streams of a worker, in the order in which they are numbered everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Returns its key in `[topics]`.
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

/// Progress of the outputs before a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Per output, the source offset from which on nothing has been published.
    pub published: Published,
    /// Current ends of the outputs.
    pub outputs: Outputs,
    /// True where an output may not be read back, so that its end has to be kept before anything else happens.
    pub is_blind: bool,
    /// Progress of the labels topic that the outputs tell, and how it was interleaved with the samples.
    pub interleaving: Interleaving,
}

/// An error that a transport cannot mend by itself.
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
        /// Offsets that the partition holds.
        available: Range<i64>,
        /// Records between the two, 0 where the topic was re-created with lower offsets.
        missing: i64,
    },
    /// A topic is missing, or smaller than it must be.
    #[error("topic `{topic}`: {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// The problem, and how to mend it.
        problem: String,
    },
    /// The broker refuses for good.
    #[error("Kafka, {action}: {problem} ({reason})")]
    Broker {
        /// The action that failed.
        action: String,
        /// The problem, and how to mend it.
        problem: String,
        /// The client's message.
        reason: String,
    },
    /// The broker refuses our login or certificate, and will refuse it again: the settings have to change, or the
    /// broker.
    #[error("Kafka, {action}: {problem} ({reason})")]
    Access {
        /// The action that failed.
        action: String,
        /// The problem, and how to mend it.
        problem: String,
        /// The client's message.
        reason: String,
    },
    /// The user lacks rights on the broker.
    #[error(
        "Kafka: {user} lacks rights: {lack}. Whoever administers the cluster grants them with: {commands} \
         (and --command-config FILE, where an administrator has to log in)"
    )]
    Rights {
        /// The user, as the broker's rules name it.
        user: String,
        /// The operations that lack, and on what.
        lack: String,
        /// The commands that grant them.
        commands: String,
    },
    /// The generator would mix its samples with samples of another program.
    #[error(
        "topic `{topic}`: {found}, so nothing is generated into it. To learn from what is in the topic, set \
         generator.enabled = false; to mix made-up samples into it all the same, set generator.into_foreign_topic = true"
    )]
    Foreign {
        /// The samples topic.
        topic: String,
        /// What the topic holds, and at which offset.
        found: String,
    },
    /// Another Thalweg publishes the same outputs, and this one gives way.
    #[error(
        "another Thalweg publishes what is made from `{samples}`/{partition} to `{output}`, too, and has done so for longer: \
         each record would be there twice. The other one is {rival}. Stop one of the two, or give each its own partitions \
         (transport.kafka.partitions) or its own outputs (topics.predictions and so on)"
    )]
    Contended {
        /// The samples topic.
        samples: String,
        /// Its partition.
        partition: i32,
        /// The output in which the other was noticed.
        output: String,
        /// Where the other one runs, as far as the events topic tells.
        rival: String,
    },
    /// Publishing failed midway; a restart at the checkpoint finds out how much was published.
    #[error("publishing for partition {partition} was interrupted: {problem}")]
    Interrupted {
        /// The partition of the samples topic.
        partition: i32,
        /// The failure.
        problem: String,
    },
    /// The transport was told to stop before it was open, or before the broker had taken something.
    #[error("stopped before the broker had answered")]
    Stopped,
    /// The state file failed.
    #[error(transparent)]
    Store(#[from] thalweg_store::Error),
}

impl Error {
    /// Returns `true` where the settings, or the broker's, have to change first, so that an early restart is of no
    /// use.
    pub fn is_for_the_settings(&self) -> bool {
        matches!(self, Error::Access { .. } | Error::Contended { .. })
    }

    /// Returns `true` where the next attempt may succeed without anyone stepping in.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Store(error) => error.is_transient(),
            Error::Interrupted { .. } | Error::Stopped => true,
            _ => false,
        }
    }
}
