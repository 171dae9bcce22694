//! A leaf: what it predicts and what it learns.
//!
//! Invariant: statistics and faded errors are finite. A sample that the linear model refuses still counts for the mean
//! and the observers: the model stays as it was, and its errors speak against it.

use serde::{Deserialize, Serialize};

use crate::{
    metrics::statistics::Var,
    models::{Features, Regressor, linear::LinearRegression},
};

use super::{
    observer::Observers,
    params::{LeafPrediction, Params},
};

/// A prediction this many times the size of what targets usually are is not a prediction.
const IMPLAUSIBLE: f64 = 100.0;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leaf {
    /// The target here; children start with their part of their parent's.
    pub(super) target: Var,
    /// `target.n` at the last attempt to split, or at birth.
    pub(super) last_attempt: f64,
    /// Level of the leaf; the root has 0.
    pub(super) depth: u32,
    /// What the features are observed with, or `None` in a leaf that may not split.
    pub(super) observers: Option<Observers>,
    /// The linear regression, unless leaves predict means only.
    model: Option<LinearRegression>,
    /// Faded sums of squared errors of the mean and of the model.
    errors: [f64; 2],
}

impl Leaf {
    /// A leaf that has learned nothing.
    pub(super) fn new(depth: u32, params: &Params) -> Self {
        let model =
            (params.leaf_prediction != LeafPrediction::Mean).then(|| LinearRegression::new(params.leaf_model.clone()));
        Self::with(Var::default(), depth, model, [0.0; 2])
    }

    /// A child that takes over part of the target's statistics, and the model as it is.
    pub(super) fn child(&self, target: Var) -> Self {
        Self::with(target, self.depth + 1, self.model.clone(), self.errors)
    }

    fn with(target: Var, depth: u32, model: Option<LinearRegression>, errors: [f64; 2]) -> Self {
        Self { target, last_attempt: target.n, depth, observers: Some(Observers::default()), model, errors }
    }

    pub(super) fn model(&self) -> Option<&LinearRegression> {
        self.model.as_ref()
    }

    /// The prediction for `x` in a tree whose targets so far are `usual`.
    pub(super) fn predict(&self, x: Features<'_>, params: &Params, usual: &Var) -> f64 {
        let mean = self.target.mean;
        match (&self.model, params.leaf_prediction) {
            (None, _) | (_, LeafPrediction::Mean) => mean,
            (_, LeafPrediction::Adaptive) if self.errors[0] < self.errors[1] => mean,
            (Some(model), _) => {
                let prediction = model.predict_one(x);
                if is_plausible(prediction, usual) { prediction } else { mean }
            }
        }
    }

    /// Learns a sample whose target and weight are within the tree's bounds.
    pub(super) fn learn(&mut self, x: Features<'_>, y: f64, weight: f64, params: &Params) {
        if let (Some(model), LeafPrediction::Adaptive) = (&self.model, params.leaf_prediction) {
            for (error, prediction) in self.errors.iter_mut().zip([self.target.mean, model.predict_one(x)]) {
                let off = y - prediction;
                // NaN and ∞ become the largest error there is.
                *error = (params.model_selector_decay * *error + off * off).min(f64::MAX);
            }
        }
        self.target.update(y, weight);
        if let Some(observers) = &mut self.observers {
            observers.update(x, y, weight, params.splitter);
        }
        if let Some(model) = &mut self.model {
            model.learn_one(x, y, weight).ok();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let model = self.model.as_ref().map_or(0, |model| model.memory_bytes() - size_of::<LinearRegression>());
        model + self.observers.as_ref().map_or(0, Observers::heap_bytes)
    }

    pub(super) fn is_sound(&self) -> bool {
        let Self { target, last_attempt, observers, errors, .. } = self;
        let numbers = [target.n, target.mean, target.s, *last_attempt, errors[0], errors[1]];
        numbers.iter().all(|number| number.is_finite()) && observers.as_ref().is_none_or(Observers::is_sound)
    }
}

/// A linear model on unscaled features can be off by many orders of magnitude before it, or the choice between model
/// and mean, has learned better. River publishes such predictions (TrumpApproval: RMSE 1.5e10).
pub(in crate::models) fn is_plausible(prediction: f64, usual: &Var) -> bool {
    let off = prediction - usual.mean;
    // False for NaN.
    off * off <= IMPLAUSIBLE * IMPLAUSIBLE * (usual.mean * usual.mean + usual.s / usual.n)
}
