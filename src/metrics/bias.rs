//! Mean error with its sign.

use serde::{Deserialize, Serialize};

/// Mean of p − y, in the target's unit: above 0 where predictions are too high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bias {
    #[serde(deserialize_with = "super::saved::count")]
    n: u64,
    sum: f64,
}

impl Bias {
    /// Scores the prediction `p` of the target `y`.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.n += 1;
        self.sum += p - y;
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum }
    }

    /// The bias; 0 before the first score.
    pub fn get(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.sum / self.n as f64 }
    }
}
