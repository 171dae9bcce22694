//! What a daemon wants of its transport when it opens it.

use std::{fmt, sync::Arc};

use crate::Timestamps;

/// Says in a line what is being waited for.
pub type Status = Arc<dyn Fn(&str) + Send + Sync>;

/// What a daemon opens its transport for.
#[derive(Clone, Default)]
pub struct Opening {
    /// What the generator may do; `None` where it is off, so that nothing but reading is done to the samples.
    pub generating: Option<Generating>,
    /// Whether the daemon ends once it has caught up: what is not there is then not waited for.
    pub until_caught_up: bool,
    /// Whether the outputs may hold what others have published.
    pub shared_outputs: bool,
    /// Of what is published.
    pub timestamps: Timestamps,
    /// Where to say what is being waited for.
    pub status: Option<Status>,
}

/// What the generator may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generating {
    /// Append to a samples topic that holds records which it did not write.
    pub into_foreign_topic: bool,
}

impl Opening {
    /// For a generator, into whatever topic.
    pub fn to_generate() -> Self {
        Self { generating: Some(Generating { into_foreign_topic: true }), ..Self::default() }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generating, until_caught_up, shared_outputs, timestamps, status: _ } = self;
        f.debug_struct("Opening")
            .field("generating", generating)
            .field("until_caught_up", until_caught_up)
            .field("shared_outputs", shared_outputs)
            .field("timestamps", timestamps)
            .finish_non_exhaustive()
    }
}
