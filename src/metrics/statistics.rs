//! Running mean and variance with weights, mergeable and (for the trees) subtractable.

use serde::{Deserialize, Serialize};

use crate::checked;

/// Weighted mean and variance by Welford's update (1962); merging after Chan, Golub and LeVeque (1983).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Var {
    /// Total weight.
    pub n: f64,
    /// Weighted mean.
    pub mean: f64,
    /// Weighted sum of squared deviations from the mean.
    pub s: f64,
}

checked!(Var { n, mean, s });

impl Var {
    /// Counts `x` `weight` times.
    #[inline]
    pub fn update(&mut self, x: f64, weight: f64) {
        let before = self.mean;
        self.n += weight;
        self.mean += (weight / self.n) * (x - before);
        self.s += weight * (x - before) * (x - self.mean);
    }

    /// Returns the sample variance (one degree of freedom less than the weight); 0 if the weight is not above 1.
    #[inline]
    pub fn get(&self) -> f64 {
        if self.n > 1.0 { self.s / (self.n - 1.0) } else { 0.0 }
    }

    /// Returns the statistics of both together.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        if other.n == 0.0 {
            return self;
        }
        if self.n == 0.0 {
            return other;
        }
        let n = self.n + other.n;
        let delta = other.mean - self.mean;
        Self {
            n,
            mean: (self.n * self.mean + other.n * other.mean) / n,
            s: self.s + other.s + (delta * delta * self.n * other.n) / n,
        }
    }

    /// Returns the statistics without `other`, a part of them. Exact in theory, subject to cancellation: for split
    /// candidates, not for rolling windows.
    #[inline]
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        let n = self.n - other.n;
        if n <= 0.0 {
            return Self::default();
        }
        let mean = (self.n * self.mean - other.n * other.mean) / n;
        let delta = other.mean - mean;
        Self { n, mean, s: self.s - other.s - (delta * delta * n * other.n) / (n + other.n) }
    }
}
