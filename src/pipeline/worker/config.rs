//! Settings of a worker, and the errors that end it.

use std::{ops::Range, time::Duration};

use thalweg_topic::Start;

use crate::{
    gap::{self, Gap},
    processor,
};

/// Checked settings of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Settings of the processor.
    pub processor: processor::Config,
    /// Position at which it starts without a checkpoint.
    pub start: Start,
    /// Policy for missing records.
    pub on_gap: gap::Policy,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// True where it stops at the end that the partition has when the worker starts.
    pub until_caught_up: bool,
}

/// Reason why a worker stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport needs a person.
    #[error(transparent)]
    Transport(#[from] thalweg_topic::Error),
    /// The state file needs a person.
    #[error(transparent)]
    Store(#[from] thalweg_store::Error),
    /// Records are missing, and the settings do not allow for that.
    #[error("{}", .gap.message(.topic, *.partition, .available, .learned_from))]
    Gap {
        /// The topic it should read.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The gap.
        gap: Gap,
        /// Offsets that the partition holds.
        available: Range<i64>,
        /// Topic that the state was learned from.
        learned_from: String,
    },
    /// A defect.
    #[error("the task `{task}` panicked; the state is as of the last checkpoint. Please report this")]
    Panicked {
        /// Name of the task.
        task: &'static str,
    },
}

impl Error {
    /// Returns `true` where the next attempt may succeed without anyone stepping in.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Error::Store(error) => error.is_transient(),
            Error::Transport(error) => error.is_transient(),
            Error::Gap { .. } | Error::Panicked { .. } => false,
        }
    }
}
