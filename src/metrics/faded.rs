//! Scores in which old samples fade away.

use serde::{Deserialize, Serialize};

use super::scores::Sums;
use crate::checked;

/// MAE, RMSE, bias and SMAPE with a fading factor (Gama, Sebastião and Rodrigues 2013, "On evaluating stream learning
/// algorithms"): a score counts `factor` times as much as the one after it. Constant memory; an outlier fades but never
/// leaves, which is what [`super::Rolling`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Faded {
    factor: f64,
    weight: f64,
    absolute: f64,
    squared: f64,
    signed: f64,
    relative: f64,
}

// A square that overflows is infinite, and so are later sums of it.
checked!(Faded { factor, weight, absolute: any, squared: any, signed: any, relative: any });

impl Faded {
    /// Makes a score of nothing; 0 < `factor` ≤ 1. 0.99 looks back about 100 samples.
    pub fn new(factor: f64) -> Self {
        Self { factor, weight: 0.0, absolute: 0.0, squared: 0.0, signed: 0.0, relative: 0.0 }
    }

    /// Scores the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.add(Sums::of(y, p));
    }

    /// Scores a prediction by its errors.
    #[inline]
    pub(super) fn add(&mut self, Sums { absolute, squared, signed, relative }: Sums) {
        let factor = self.factor;
        self.weight = factor * self.weight + 1.0;
        self.absolute = factor * self.absolute + absolute;
        self.squared = factor * self.squared + squared;
        self.signed = factor * self.signed + signed;
        self.relative = factor * self.relative + relative;
    }

    /// Returns what both have scored, each as faded as it is.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            factor: self.factor,
            weight: self.weight + other.weight,
            absolute: self.absolute + other.absolute,
            squared: self.squared + other.squared,
            signed: self.signed + other.signed,
            relative: self.relative + other.relative,
        }
    }

    /// Returns a figure, such as [`Faded::mae`]; `None` before the first score.
    pub fn known(&self, figure: fn(&Self) -> f64) -> Option<f64> {
        (self.weight > 0.0).then(|| figure(self))
    }

    /// Returns the mean absolute error, in the target's unit; 0 before the first score.
    pub fn mae(&self) -> f64 {
        self.mean(self.absolute)
    }

    /// Returns the root of the mean squared error, in the target's unit; 0 before the first score.
    pub fn rmse(&self) -> f64 {
        self.mean(self.squared).sqrt()
    }

    /// Returns the mean of p − y, in the target's unit; 0 before the first score.
    pub fn bias(&self) -> f64 {
        self.mean(self.signed)
    }

    /// Returns the symmetric mean absolute percentage error; 0 before the first score.
    pub fn smape(&self) -> f64 {
        100.0 * self.mean(self.relative)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.weight > 0.0 { sum / self.weight } else { 0.0 }
    }
}
