//! How wrong predictions are.
//!
//! Reading order: [`Mae`], [`Rmse`], [`R2`], [`Bias`], [`Smape`] (one metric each, cumulative and mergeable), [`Scores`]
//! (all of them), [`Quantiles`] (how errors are distributed), [`Rolling`] (both over a sliding window, exactly), [`Faded`]
//! (old samples count less), [`Scorecard`] (all that is kept of a model), [`statistics`] (what metrics and trees build on),
//! [`drift`] (when a stream of errors has changed), [`significance`] (whether a difference is more than noise),
//! [`Conformal`] (intervals around predictions), [`Coverage`] (how good these are).
//!
//! Invariant: nothing here knows a runtime, a clock or entropy, and a window holds a bounded number of samples.

mod bias;
mod conformal;
mod coverage;
pub mod drift;
mod faded;
mod mae;
mod quantiles;
mod r2;
mod rmse;
mod rolling;
pub mod saved;
pub mod significance;
mod smape;
pub mod statistics;

use serde::{Deserialize, Serialize};

pub use bias::Bias;
pub use conformal::{Conformal, Interval};
pub use coverage::Coverage;
pub use faded::Faded;
pub use mae::Mae;
pub use quantiles::Quantiles;
pub use r2::R2;
pub use rmse::Rmse;
pub use rolling::Rolling;
pub use smape::Smape;

/// Every mean error of the same predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    mae: Mae,
    rmse: Rmse,
    r2: R2,
    bias: Bias,
    smape: Smape,
}

impl Scores {
    /// Scores the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.mae.update(y, p);
        self.rmse.update(y, p);
        self.r2.update(y, p);
        self.bias.update(y, p);
        self.smape.update(y, p);
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            mae: self.mae.merged(other.mae),
            rmse: self.rmse.merged(other.rmse),
            r2: self.r2.merged(other.r2),
            bias: self.bias.merged(other.bias),
            smape: self.smape.merged(other.smape),
        }
    }

    /// Predictions scored.
    pub fn n(&self) -> u64 {
        self.mae.n()
    }

    /// A figure, such as [`Scores::mae`]; `None` before the first score.
    pub fn known(&self, figure: fn(&Self) -> f64) -> Option<f64> {
        (self.n() > 0).then(|| figure(self))
    }

    /// [`Scores::r2`]; `None` while that is undefined: of fewer than two targets, and of equal ones.
    pub fn known_r2(&self) -> Option<f64> {
        self.r2.known()
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

    /// Mean of p − y, in the target's unit; 0 before the first score.
    pub fn bias(&self) -> f64 {
        self.bias.get()
    }

    /// Symmetric mean absolute percentage error, 0 to 200; 0 before the first score.
    pub fn smape(&self) -> f64 {
        self.smape.get()
    }
}

/// All that is kept of a model's predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    /// Since the beginning.
    pub total: Scores,
    /// The absolute errors since the beginning.
    pub errors: Quantiles,
    /// Over the last samples.
    pub rolling: Rolling,
    /// With old samples fading.
    pub faded: Faded,
}

impl Scorecard {
    /// Nothing scored. `window` as of [`Rolling::new`], `fading` as of [`Faded::new`].
    pub fn new(window: usize, fading: f64) -> Self {
        Self {
            total: Scores::default(),
            errors: Quantiles::default(),
            rolling: Rolling::new(window),
            faded: Faded::new(fading),
        }
    }

    /// Scores the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.total.update(y, p);
        self.errors.update(y - p);
        self.rolling.update(y, p);
        self.faded.update(y, p);
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
