//! Mean absolute error.

use serde::{Deserialize, Serialize};

/// Mean of |y − p|, in the target's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mae {
    #[serde(deserialize_with = "super::saved::count")]
    n: u64,
    sum: f64,
}

impl Mae {
    /// Scores the prediction `p` of the target `y`.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.n += 1;
        self.sum += (y - p).abs();
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum }
    }

    /// Predictions scored.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The error; 0 before the first score.
    pub fn get(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.sum / self.n as f64 }
    }
}
