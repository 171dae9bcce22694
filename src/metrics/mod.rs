//! How wrong predictions are.
//!
//! Reading order: [`Mae`], [`Rmse`] and [`R2`] (one metric each, cumulative and mergeable), [`Scores`] (all of them),
//! [`Rolling`] (the same over a sliding window, exactly), [`statistics`] (what metrics and trees build on), [`drift`] (when
//! a stream of errors has changed).
//!
//! Invariant: nothing here knows a runtime, a clock or entropy, and a window holds a bounded number of samples.

pub mod drift;
mod mae;
mod r2;
mod rmse;
mod rolling;
pub mod statistics;

use serde::{Deserialize, Serialize};

pub use mae::Mae;
pub use r2::R2;
pub use rmse::Rmse;
pub use rolling::Rolling;

/// MAE, RMSE and R2 of the same predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    mae: Mae,
    rmse: Rmse,
    r2: R2,
}

impl Scores {
    /// Scores the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.mae.update(y, p);
        self.rmse.update(y, p);
        self.r2.update(y, p);
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { mae: self.mae.merged(other.mae), rmse: self.rmse.merged(other.rmse), r2: self.r2.merged(other.r2) }
    }

    /// Predictions scored.
    pub fn n(&self) -> u64 {
        self.mae.n()
    }

    /// Mean absolute error, in the target's unit; 0 before the first score.
    pub fn mae(&self) -> f64 {
        self.mae.get()
    }

    /// Root of the mean squared error, in the target's unit; 0 before the first score.
    pub fn rmse(&self) -> f64 {
        self.rmse.get()
    }

    /// Share of the target's variance that is explained, at most 1; 0 while that is undefined.
    pub fn r2(&self) -> f64 {
        self.r2.get()
    }
}

/// 1 − `rmse` / `baseline`: 1 is perfect, 0 no better than the baseline, negative worse. Where the baseline makes no
/// error there is nothing to gain: 0 for an equal, −1 for a worse model.
pub fn skill(rmse: f64, baseline: f64) -> f64 {
    match (rmse == baseline, baseline == 0.0) {
        (true, _) => 0.0,
        (false, true) => -1.0,
        (false, false) => 1.0 - rmse / baseline,
    }
}
