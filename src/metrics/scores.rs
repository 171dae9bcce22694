//! Computes every mean error of the same predictions.
//!
//! Invariant: one count for all of them, and each error is computed once. A state file holds each metric with a count
//! of its own, in the format of older versions. What this does not do: forget, which [`super::Rolling`] and
//! [`super::Faded`] do.

use serde::{Deserialize, Serialize};

use super::statistics::Var;
use crate::checked;

/// Mean errors of predictions p of targets y, cumulative and mergeable: MAE, RMSE, R², bias and SMAPE.
///
/// ```
/// use thalweg_metrics::Scores;
///
/// let mut scores = Scores::default();
/// for (y, p) in [(3.0, 2.0), (1.0, 1.0)] {
///     scores.update(y, p);
/// }
/// assert_eq!((scores.n(), scores.mae(), scores.bias()), (2, 0.5, -0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedScores", into = "SavedScores")]
pub struct Scores {
    n: u64,
    sums: Sums,
    target: Var,
}

/// Sums of the errors of predictions, in every form that is averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    /// |y − p|.
    pub(super) absolute: f64,
    /// (y − p)²; infinite if that overflows.
    pub(super) squared: f64,
    /// p − y.
    pub(super) signed: f64,
    /// 2|y − p| / (|y| + |p|), from 0 to 2; a pair of zeros counts 0.
    pub(super) relative: f64,
}

impl Sums {
    /// Returns the errors of one prediction.
    #[inline]
    pub(super) fn of(y: f64, p: f64) -> Self {
        let signed = p - y;
        let (absolute, size) = (signed.abs(), y.abs() + p.abs());
        let relative = if size > 0.0 { 2.0 * absolute / size } else { 0.0 };
        Self { absolute, squared: signed * signed, signed, relative }
    }

    /// Returns the sums of both.
    #[inline]
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            absolute: self.absolute + other.absolute,
            squared: self.squared + other.squared,
            signed: self.signed + other.signed,
            relative: self.relative + other.relative,
        }
    }
}

// Squares that overflow are infinite, and so are sums of them.
checked!(Scores { n, sums: any, target: any });

impl Scores {
    /// Scores the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.add(y, Sums::of(y, p));
    }

    /// Scores a prediction of the target `y` by its errors.
    #[inline]
    pub(super) fn add(&mut self, y: f64, errors: Sums) {
        self.n += 1;
        self.sums = self.sums.plus(errors);
        self.target.update(y, 1.0);
    }

    /// Returns what both have scored.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { n: self.n + other.n, sums: self.sums.plus(other.sums), target: self.target.merged(other.target) }
    }

    /// Returns the number of predictions scored.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Returns a figure, such as [`Scores::mae`]; `None` before the first score.
    pub fn known(&self, figure: fn(&Self) -> f64) -> Option<f64> {
        (self.n > 0).then(|| figure(self))
    }

    /// Returns the mean absolute error, in the target's unit; 0 before the first score.
    pub fn mae(&self) -> f64 {
        self.mean(self.sums.absolute)
    }

    /// Returns the root of the mean squared error, in the target's unit; 0 before the first score, infinite once a
    /// square has overflowed.
    pub fn rmse(&self) -> f64 {
        self.mean(self.sums.squared).sqrt()
    }

    /// Returns the share of the target's variance that is explained, 1 − Σ(y − p)² / Σ(y − ȳ)², at most 1; 0 while that
    /// is undefined.
    pub fn r2(&self) -> f64 {
        self.known_r2().unwrap_or(0.0)
    }

    /// Returns [`Scores::r2`]; `None` while that is undefined: with fewer than two targets, or equal ones.
    pub fn known_r2(&self) -> Option<f64> {
        let total = (self.target.n - 1.0) * self.target.get();
        (total > 0.0).then(|| 1.0 - self.sums.squared / total)
    }

    /// Returns the mean of p − y, in the target's unit: above 0 where predictions are too high; 0 before the first
    /// score.
    pub fn bias(&self) -> f64 {
        self.mean(self.sums.signed)
    }

    /// Returns the symmetric mean absolute percentage error, 100 · mean of 2|y − p| / (|y| + |p|), in percent from 0 to
    /// 200; a pair of zeros counts 0 (Makridakis 1993, in River's form); 0 before the first score.
    pub fn smape(&self) -> f64 {
        100.0 * self.mean(self.sums.relative)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.n == 0 { 0.0 } else { sum / self.n as f64 }
    }
}

/// The format of a state file: each metric with a count of its own, all of which must be the same.
#[derive(Serialize, Deserialize)]
struct SavedScores {
    mae: Mean,
    rmse: Mean,
    r2: R2,
    bias: Mean,
    smape: Mean,
}

#[derive(Serialize, Deserialize)]
struct Mean {
    n: u64,
    sum: f64,
}

#[derive(Serialize, Deserialize)]
struct R2 {
    residual: f64,
    target: Var,
}

impl From<Scores> for SavedScores {
    fn from(Scores { n, sums, target }: Scores) -> Self {
        let mean = |sum| Mean { n, sum };
        Self {
            mae: mean(sums.absolute),
            rmse: mean(sums.squared),
            r2: R2 { residual: sums.squared, target },
            bias: mean(sums.signed),
            smape: mean(sums.relative),
        }
    }
}

impl TryFrom<SavedScores> for Scores {
    type Error = &'static str;

    fn try_from(SavedScores { mae, rmse, r2, bias, smape }: SavedScores) -> Result<Self, Self::Error> {
        let n = mae.n;
        if [rmse.n, bias.n, smape.n].iter().any(|other| *other != n) {
            return Err("the metrics of a model are not of the same predictions");
        }
        let sums = Sums { absolute: mae.sum, squared: rmse.sum, signed: bias.sum, relative: smape.sum };
        Ok(Self { n, sums, target: r2.target })
    }
}
