//! Random subsets of the features, a new one for each leaf, which make the trees of a forest differ.
//!
//! Invariant: the same seed and the same samples give the same subsets.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// The number of features, of `d`, that a leaf looks at; at least 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// √d, rounded.
    #[default]
    Sqrt,
    /// log₂ d, rounded.
    Log2,
    /// All of them.
    All,
    /// This number of features, or all if there are fewer.
    Count(u32),
    /// This share of the features, over 0 and at most 1.
    Share(f64),
}

checked!(
    enum MaxFeatures {
        Sqrt,
        Log2,
        All,
        Count(n),
        Share(share),
    }
);

impl MaxFeatures {
    /// Returns the number of features, of `d`, to look at.
    pub(crate) fn of(self, d: usize) -> usize {
        let all = d as f64;
        let count = match self {
            MaxFeatures::Sqrt => all.sqrt().round_ties_even(),
            MaxFeatures::Log2 => all.log2().round_ties_even(),
            MaxFeatures::All => all,
            MaxFeatures::Count(count) => f64::from(count),
            MaxFeatures::Share(share) => (share * all).floor(),
        };
        (count as usize).clamp(1, d.max(1))
    }
}

/// Draws the subsets of one tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subspace {
    max_features: MaxFeatures,
    rng: ChaCha8Rng,
}

checked!(Subspace { max_features, rng });

impl Subspace {
    pub(super) fn new(max_features: MaxFeatures, seed: u64) -> Self {
        Self { max_features, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Returns the number of columns, of `d`, that a leaf looks at.
    pub(super) fn size(&self, d: usize) -> usize {
        self.max_features.of(d)
    }

    /// Draws the columns in `new` for a leaf that looks at `before` other ones already, in no order.
    pub(super) fn draw(&mut self, before: usize, new: Range<usize>) -> Vec<usize> {
        let wanted = self.max_features.of(new.end).saturating_sub(before).min(new.len());
        let mut columns: Vec<usize> = new.collect();
        // The first steps of a Fisher-Yates shuffle.
        for i in 0..wanted {
            let j = self.rng.random_range(i..columns.len());
            columns.swap(i, j);
        }
        columns.truncate(wanted);
        columns
    }
}
