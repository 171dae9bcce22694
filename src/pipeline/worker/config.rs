//! How a worker works, and why it may end.

use std::{ops::Range, time::Duration};

use thalweg_topic::Start;

use crate::{
    gap::{self, Gap},
    processor,
};

/// How a worker works, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What it makes of records.
    pub processor: processor::Config,
    /// Where it starts without a checkpoint.
    pub start: Start,
    /// What to do where records are missing.
    pub on_gap: gap::Policy,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Stop at the end that the partition has when the worker starts.
    pub until_caught_up: bool,
}

/// Why a worker stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport needs a person.
    #[error(transparent)]
    Transport(#[from] thalweg_topic::Error),
    /// The state file needs a person.
    #[error(transparent)]
    Store(#[from] thalweg_store::Error),
    /// Records are missing, and the settings do not allow for that.
    #[error("{}", .gap.told(.topic, *.partition, .available, .learned_from))]
    Gap {
        /// The topic it should read.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What is missing.
        gap: Gap,
        /// What the partition holds.
        available: Range<i64>,
        /// The topic that was learned from.
        learned_from: String,
    },
    /// A defect.
    #[error("the task `{task}` panicked; the state is as of the last checkpoint. Please report this")]
    Panicked {
        /// Its name.
        task: &'static str,
    },
}

impl Error {
    /// Whether it may work at the next start, without anyone doing anything about it.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Error::Store(error) => error.is_transient(),
            Error::Transport(error) => error.is_transient(),
            Error::Gap { .. } | Error::Panicked { .. } => false,
        }
    }
}
