//! What is remembered of the samples so far, for the features of later ones.
//!
//! Invariant: it is a state of its own, that of one plan, and says nothing to another.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;
use thalweg_models::keyed::{Keyed, State};

use super::series::{Series, Wanted};

/// The past of a stream: of all samples, and by key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Past {
    /// Of all samples; `None` before the first one.
    pub(crate) all: Option<History>,
    /// Of those with a key, which begins with the number of the field that holds it.
    pub(crate) keyed: Keyed<History>,
    /// Values that came too late to count.
    pub(crate) late: u64,
}

checked!(Past { all, keyed, late });

impl Past {
    /// Returns the number of keys that something is remembered of.
    pub fn keys(&self) -> usize {
        self.keyed.len()
    }

    /// Returns the bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.keyed.bytes() + self.all.as_ref().map_or(0, State::memory_bytes)
    }

    /// Returns how many keys were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.keyed.evicted()
    }

    /// Returns how many values came later than the longest span, and did not count.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Returns the bytes that the keys may take.
    pub fn budget(&self) -> usize {
        self.keyed.budget()
    }

    /// Sets the bytes that the keys may take.
    pub fn set_budget(&mut self, bytes: usize) {
        self.keyed.set_budget(bytes);
    }
}

/// The past of the samples that share a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) series: Vec<Series>,
    /// Time of the latest sample.
    pub(crate) sample: Option<i64>,
    /// Time of the latest sample whose target is known.
    pub(crate) label: Option<i64>,
}

checked!(History { series, sample, label });

impl History {
    pub(crate) fn new<'w>(wanted: impl Iterator<Item = &'w Wanted>) -> Self {
        Self { series: wanted.map(Series::new).collect(), sample: None, label: None }
    }
}

impl State for History {
    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.series.iter().map(Series::memory_bytes).sum::<usize>()
    }
}
