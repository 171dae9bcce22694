//! A leaf, which predicts and learns.
//!
//! Invariant: statistics and faded errors are finite. A sample that the linear model refuses still counts for the mean
//! and the observers: the model stays as it was, and its errors count against it.

use serde::{Deserialize, Serialize};

use crate::{
    Features,
    linear::{StepBuffers, Weights},
};
use thalweg_metrics::statistics::Var;

use super::{
    observer::Observers,
    params::{LeafPrediction, Params},
    subspace::Subspace,
};
use thalweg_metrics::checked;

/// Multiple of the usual size of targets beyond which a prediction is implausible.
const IMPLAUSIBLE_FACTOR: f64 = 100.0;

/// The parts of its tree that a leaf needs to learn.
pub(super) struct LeafContext<'a> {
    pub(super) params: &'a Params,
    /// Statistics of all targets of the tree so far.
    pub(super) targets: &'a Var,
    pub(super) subspace: Option<&'a mut Subspace>,
    pub(super) draft: &'a mut StepBuffers,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leaf {
    /// Statistics of the target here; children start with their part of their parent's.
    pub(super) target: Var,
    /// Value of `target.n` at the last attempt to split, or at birth.
    pub(super) last_attempt: f64,
    /// Level of the leaf; the root has 0.
    pub(super) depth: u32,
    /// Observers of the features; `None` in a leaf that may not split.
    pub(super) observers: Option<Observers>,
    /// The linear regression, unless leaves predict means only.
    model: Option<Weights>,
    /// Faded sums of squared errors of the mean and of the model.
    errors: [f64; 2],
}

checked!(Leaf { target, last_attempt, depth, observers, model, errors } then fits);

impl Leaf {
    fn fits(&self) -> Result<(), &'static str> {
        if self.depth <= Self::MAX_DEPTH { Ok(()) } else { Err("a leaf is deeper than can be") }
    }
}

impl Leaf {
    /// Depth that no leaf can reach, but a damaged state may claim.
    pub(super) const MAX_DEPTH: u32 = 1 << 20;

    /// Returns a leaf that has learned nothing.
    pub(super) fn new(depth: u32, params: &Params) -> Self {
        let model = (params.leaf_prediction != LeafPrediction::Mean).then(|| Weights::new(&params.leaf_model));
        Self::with(Var::default(), depth, model, [0.0; 2])
    }

    /// Returns a child with part of the target's statistics and a copy of the model.
    pub(super) fn child(&self, target: Var) -> Self {
        Self::with(target, self.depth + 1, self.model.clone(), self.errors)
    }

    fn with(target: Var, depth: u32, model: Option<Weights>, errors: [f64; 2]) -> Self {
        Self { target, last_attempt: target.n, depth, observers: Some(Observers::default()), model, errors }
    }

    pub(super) fn model(&self) -> Option<&Weights> {
        self.model.as_ref()
    }

    /// Returns whether it predicts with its model, provided that the model's prediction is plausible.
    #[inline]
    pub(super) fn uses_model(&self, params: &Params) -> bool {
        match params.leaf_prediction {
            LeafPrediction::Mean => false,
            LeafPrediction::Model => self.model.is_some(),
            LeafPrediction::Adaptive => self.model.is_some() && self.errors[0] >= self.errors[1],
        }
    }

    /// Predicts for `x` in a tree whose targets so far are `targets`.
    #[inline]
    pub(super) fn predict(&self, x: Features<'_>, params: &Params, targets: &Var) -> f64 {
        match &self.model {
            Some(model) if self.uses_model(params) => self.plausible(model.predict(x), targets),
            _ => self.target.mean,
        }
    }

    /// Returns the model's prediction, or the mean if that is implausible.
    #[inline]
    fn plausible(&self, prediction: f64, targets: &Var) -> f64 {
        if is_plausible(prediction, targets) { prediction } else { self.target.mean }
    }

    /// Returns the possible gain of splitting it: the sum of squared errors that its predictions leave.
    pub(super) fn promise(&self, params: &Params) -> f64 {
        let Var { n, s, .. } = self.target;
        let of_mean = s / n.max(1.0);
        let error = match (&self.model, params.leaf_prediction) {
            // Faded sums, scaled to the means they tend to.
            (Some(_), LeafPrediction::Adaptive) if params.model_selector_decay < 1.0 => {
                of_mean.min((1.0 - params.model_selector_decay) * self.errors[0].min(self.errors[1]))
            }
            _ => of_mean,
        };
        n * error
    }

    /// Learns a sample whose target and weight are within the tree's bounds. Returns the prediction before learning.
    #[inline]
    pub(super) fn learn(&mut self, x: Features<'_>, y: f64, weight: f64, tree: &mut LeafContext<'_>) -> f64 {
        let LeafContext { params, targets, subspace, draft } = tree;
        let mean = self.target.mean;
        let mut prediction = mean;
        if let Some(model) = &mut self.model {
            let by_model = model.predict(x);
            model.learn(x, y, weight, by_model, &params.leaf_model, draft).ok();
            if self.uses_model(params) {
                prediction = self.plausible(by_model, targets);
            }
            if params.leaf_prediction == LeafPrediction::Adaptive {
                for (error, prediction) in self.errors.iter_mut().zip([mean, by_model]) {
                    let off = y - prediction;
                    // NaN and ∞ become the largest float.
                    *error = (params.model_selector_decay * *error + off * off).min(f64::MAX);
                }
            }
        }
        self.target.update(y, weight);
        if let Some(observers) = &mut self.observers {
            observers.update(x, y, weight, params.splitter, subspace.as_deref_mut());
        }
        prediction
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let model = self.model.as_ref().map_or(0, Weights::heap_bytes);
        model + self.observers.as_ref().map_or(0, Observers::heap_bytes)
    }
}

/// Returns whether a prediction is of the size that targets have. A linear model on unscaled features can be off by
/// many orders of magnitude before it, or the choice between model and mean, has learned better. River publishes such
/// predictions (TrumpApproval: RMSE 1.5e10).
pub(crate) fn is_plausible(prediction: f64, targets: &Var) -> bool {
    let off = prediction - targets.mean;
    // False for NaN.
    off * off <= IMPLAUSIBLE_FACTOR * IMPLAUSIBLE_FACTOR * (targets.mean * targets.mean + targets.s / targets.n)
}
