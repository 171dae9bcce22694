//! Symmetric mean absolute percentage error.

use serde::{Deserialize, Serialize};

/// 100 · mean of 2|y − p| / (|y| + |p|), in percent from 0 to 200; a pair of zeros counts 0 (Makridakis 1993, in River's
/// form).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Smape {
    #[serde(deserialize_with = "super::saved::count")]
    n: u64,
    sum: f64,
}

impl Smape {
    /// Scores the prediction `p` of the target `y`.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.n += 1;
        self.sum += share(y, p);
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum }
    }

    /// The error in percent; 0 before the first score.
    pub fn get(&self) -> f64 {
        if self.n == 0 { 0.0 } else { 100.0 * self.sum / self.n as f64 }
    }
}

/// 2|y − p| / (|y| + |p|), from 0 to 2.
#[inline]
pub(super) fn share(y: f64, p: f64) -> f64 {
    let size = y.abs() + p.abs();
    if size > 0.0 { 2.0 * (y - p).abs() / size } else { 0.0 }
}
