//! What is known of a run of values: moments, extremes, and their trend over time.
//!
//! Invariant: every number in it is finite, and two runs are put together without ever taking one away, so that nothing cancels.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// A run of values, of which two that follow each other make one (Chan, Golub and LeVeque 1983; co-moments as in Pébay 2008).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aggregate {
    n: u64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    min: f64,
    max: f64,
    /// Mean of the times, and the sum of their squared distances from it.
    time: f64,
    time_squares: f64,
    /// Sum of the products of both distances.
    products: f64,
}

checked!(Aggregate { n, mean, squares, min, max, time, time_squares, products });

impl Aggregate {
    /// One value at a time.
    pub(crate) fn of(value: f64, time: f64) -> Self {
        Self { n: 1, mean: value, min: value, max: value, time, ..Self::default() }
    }

    /// Returns both runs as one.
    pub(crate) fn and(&self, later: &Self) -> Self {
        match (self.n, later.n) {
            (0, _) => return *later,
            (_, 0) => return *self,
            _ => {}
        }
        let n = self.n + later.n;
        // Exact, since no run is as long as 2^53.
        let (ours, theirs) = (self.n as f64, later.n as f64);
        let share = theirs / n as f64;
        let (by, after) = (later.mean - self.mean, later.time - self.time);
        let weight = ours * share;
        Self {
            n,
            mean: self.mean + by * share,
            squares: finite(self.squares + later.squares + by * by * weight),
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            time: self.time + after * share,
            time_squares: finite(self.time_squares + later.time_squares + after * after * weight),
            products: finite(self.products + later.products + by * after * weight),
        }
    }

    /// Number of values.
    pub(crate) fn count(&self) -> f64 {
        self.n as f64
    }

    /// Their mean; NaN where there are none.
    pub(crate) fn mean(&self) -> f64 {
        if self.n > 0 { self.mean } else { f64::NAN }
    }

    /// Their standard deviation, with one degree of freedom less than values; NaN for fewer than two.
    pub(crate) fn deviation(&self) -> f64 {
        if self.n > 1 { (self.squares / (self.n - 1) as f64).sqrt() } else { f64::NAN }
    }

    /// The least; NaN where there are none.
    pub(crate) fn min(&self) -> f64 {
        if self.n > 0 { self.min } else { f64::NAN }
    }

    /// The greatest; NaN where there are none.
    pub(crate) fn max(&self) -> f64 {
        if self.n > 0 { self.max } else { f64::NAN }
    }

    /// Their sum.
    pub(crate) fn sum(&self) -> f64 {
        if self.n > 0 { self.mean * self.n as f64 } else { 0.0 }
    }

    /// Slope of the line of least squares through them, per unit of time; NaN where all have one time.
    pub(crate) fn slope(&self) -> f64 {
        if self.time_squares > 0.0 { self.products / self.time_squares } else { f64::NAN }
    }
}

/// Holds what overflows at the largest number, so that a state stays sound.
fn finite(number: f64) -> f64 {
    number.clamp(-f64::MAX, f64::MAX)
}
