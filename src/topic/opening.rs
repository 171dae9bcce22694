//! Options with which a daemon opens its transport.

use std::{fmt, sync::Arc, time::Duration};

use crate::Timestamps;

/// Says in a line what is being waited for.
pub type Status = Arc<dyn Fn(&str) + Send + Sync>;

/// Options with which a daemon opens its transport.
#[derive(Clone, Default)]
pub struct Opening {
    /// Permissions of the generator; `None` where it is off, so that the samples topic is only read.
    pub generating: Option<Generating>,
    /// True where the daemon ends once it has caught up: missing topics are then not waited for.
    pub until_caught_up: bool,
    /// True where the outputs may hold records of other publishers.
    pub shared_outputs: bool,
    /// Time that published records carry.
    pub timestamps: Timestamps,
    /// Time between two checkpoints, after which what was published is not read back any more.
    pub checkpoint_every: Duration,
    /// Receives a line about what is being waited for.
    pub status: Option<Status>,
}

/// Permissions of the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generating {
    /// Append to a samples topic that holds records which it did not write.
    pub into_foreign_topic: bool,
}

impl Opening {
    /// Returns the options of a generator that may append to any topic.
    pub fn to_generate() -> Self {
        Self { generating: Some(Generating { into_foreign_topic: true }), ..Self::default() }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generating, until_caught_up, shared_outputs, timestamps, checkpoint_every, status: _ } = self;
        f.debug_struct("Opening")
            .field("generating", generating)
            .field("until_caught_up", until_caught_up)
            .field("shared_outputs", shared_outputs)
            .field("timestamps", timestamps)
            .field("checkpoint_every", checkpoint_every)
            .finish_non_exhaustive()
    }
}
