//! The parameters of a linear regression, under River's names.

use serde::{Deserialize, Serialize};

use crate::{
    loss::Loss,
    optimizer::{Optimizer, Schedule},
};
use thalweg_metrics::checked;

/// Parameters of [`super::LinearRegression`], under River's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Turns a gradient into a change of the weights.
    pub optimizer: Optimizer,
    /// The loss whose gradient is followed.
    pub loss: Loss,
    /// L2 penalty on the weights (not the intercept), ≥ 0.
    pub l2: f64,
    /// Cumulative L1 penalty on the weights (Tsuruoka, Tsujii and Ananiadou 2009), ≥ 0; not together with `l2`.
    pub l1: f64,
    /// Intercept at the start, in the target's unit.
    pub intercept_init: f64,
    /// Learning rate of the intercept; constant 0 keeps it where it starts. [`Optimizer::Hedge`] does not ask for it.
    pub intercept_lr: Schedule,
    /// Bound on the absolute value of the loss gradient, > 0.
    pub clip_gradient: f64,
}

checked!(Params { optimizer, loss, l2, l1, intercept_init, intercept_lr, clip_gradient } then fits);

impl Params {
    fn fits(&self) -> Result<(), &'static str> {
        if self.clip_gradient > 0.0 { Ok(()) } else { Err("the bound on a gradient is not over 0") }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::default(),
            loss: Loss::default(),
            l2: 0.0,
            l1: 0.0,
            intercept_init: 0.0,
            intercept_lr: Schedule::Constant { lr: 0.01 },
            clip_gradient: 1e12,
        }
    }
}

impl Params {
    /// River's defaults: plain gradient descent.
    pub fn river() -> Self {
        Self { optimizer: Optimizer::RIVER, ..Self::default() }
    }

    /// Returns true for the optimizer that has a state of its own.
    #[inline]
    pub(crate) fn is_hedged(&self) -> bool {
        matches!(self.optimizer, Optimizer::Hedge)
    }

    /// Returns true if the optimizer remembers nothing per weight: gradient descent without penalties, the case that
    /// has to be fast.
    #[inline]
    pub(super) fn is_stateless(&self) -> bool {
        matches!(self.optimizer, Optimizer::Sgd { .. }) && self.l1 == 0.0 && self.l2 == 0.0
    }
}
