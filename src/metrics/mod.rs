//! Measures the errors of predictions.
//!
//! Reading order: [`Scores`] (every mean error, cumulative and mergeable), [`Quantiles`] (how errors are distributed),
//! [`Rolling`] (both over a sliding window, exactly), [`Faded`] (old samples count less), [`Scorecard`] (all that is kept of
//! a model), [`statistics`] (what metrics and trees build on),
//! [`drift`] (when a stream of errors has changed), [`significance`] (whether a difference is more than noise),
//! [`Conformal`] (intervals around predictions), [`Coverage`] (how good these are), [`Checked`] (what is read from a state).
//!
//! Invariant: nothing here knows a runtime, a clock or entropy, and a window holds a bounded number of samples.

mod checked;
mod conformal;
mod coverage;
pub mod drift;
mod faded;
mod quantiles;
mod rolling;
mod scores;
pub mod significance;
pub mod statistics;

use serde::{Deserialize, Serialize};

pub use checked::{Checked, Damaged};
pub use conformal::{Conformal, Interval};
pub use coverage::Coverage;
pub use faded::Faded;
pub use quantiles::Quantiles;
pub use rolling::Rolling;
pub use scores::Scores;
use scores::Sums;

/// All scores of a model's predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    /// Scores since the beginning.
    pub total: Scores,
    /// Absolute errors since the beginning.
    pub errors: Quantiles,
    /// Scores over the last samples.
    pub rolling: Rolling,
    /// Scores in which old samples fade.
    pub faded: Faded,
}

checked!(Scorecard { total, errors, rolling, faded });

impl Scorecard {
    /// Makes a card with nothing scored. `window` as of [`Rolling::new`], `fading` as of [`Faded::new`].
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
        self.add(Miss::of(y, p));
    }

    /// Scores a prediction by its errors.
    #[inline]
    pub fn add(&mut self, Miss { y, p, errors, bucket }: Miss) {
        self.total.add(y, errors);
        self.errors.insert(bucket);
        self.rolling.add(y, p, errors, bucket);
        self.faded.add(errors);
    }
}

/// The errors of a prediction, computed once for everything that scores it.
#[derive(Clone, Copy, Debug)]
pub struct Miss {
    y: f64,
    p: f64,
    errors: Sums,
    bucket: u16,
}

impl Miss {
    /// Computes the errors of the prediction `p` of the target `y`; both finite.
    #[inline]
    pub fn of(y: f64, p: f64) -> Self {
        Self { y, p, errors: Sums::of(y, p), bucket: quantiles::bucket(y - p) }
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
