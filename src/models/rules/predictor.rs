//! Predicts for a rule: the mean of the targets it has learned, a linear regression, or whichever has erred less.
//!
//! Invariant: mean and faded errors are finite. It outlives the expansion of its rule, so that predictions go on from
//! where they were. A sample that the linear model refuses still counts for the mean, and against the model.

use serde::{Deserialize, Serialize};

use crate::{Features, Regressor, linear::LinearRegression, tree};
use thalweg_metrics::statistics::Var;

use super::params::{Params, PredType};
use thalweg_metrics::checked;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Predictor {
    /// Total weight of the targets learned; their mean is next.
    n: f64,
    mean: f64,
    /// Linear regression, unless means are all that is predicted.
    model: Option<LinearRegression>,
    /// Faded sums of absolute errors of the mean and of the model.
    errors: [f64; 2],
}

checked!(Predictor { n, mean, model, errors } then fits);

impl Predictor {
    fn fits(&self) -> Result<(), &'static str> {
        if self.n >= 0.0 { Ok(()) } else { Err("a rule predicts from less than nothing") }
    }
}

impl Predictor {
    pub(super) fn new(params: &Params) -> Self {
        let model = (params.pred_type != PredType::Mean).then(|| LinearRegression::new(params.pred_model.clone()));
        Self { n: 0.0, mean: 0.0, model, errors: [0.0; 2] }
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn model(&self) -> Option<&LinearRegression> {
        self.model.as_ref()
    }

    /// Returns true if it predicts the mean at the moment.
    #[inline]
    pub(super) fn predicts_mean(&self, params: &Params) -> bool {
        match params.pred_type {
            PredType::Mean => true,
            PredType::Model => false,
            PredType::Adaptive => self.errors[0] <= self.errors[1],
        }
    }

    /// Predicts with the linear model, plausible or not.
    #[inline]
    pub(super) fn ask_model(&self, x: Features<'_>) -> Option<f64> {
        self.model.as_ref().map(|model| model.predict_one(x))
    }

    /// Chooses the prediction from the linear model's, `model`, and the mean; `usual` holds the statistics of the
    /// targets.
    #[inline]
    pub(super) fn choose(&self, model: Option<f64>, params: &Params, usual: &Var) -> f64 {
        if self.n == 0.0 {
            return usual.mean;
        }
        match model {
            Some(prediction) if !self.predicts_mean(params) && tree::is_plausible(prediction, usual) => prediction,
            _ => self.mean,
        }
    }

    /// Learns a sample within the bounds of the set, for which the linear model predicted `said`.
    pub(super) fn learn(&mut self, x: Features<'_>, y: f64, weight: f64, said: Option<f64>, params: &Params) {
        if let (Some(said), PredType::Adaptive) = (said, params.pred_type) {
            for (error, prediction) in self.errors.iter_mut().zip([self.mean, said]) {
                // NaN and ∞ become the largest error there is.
                *error = (params.fading_factor * *error + (y - prediction).abs()).min(f64::MAX);
            }
        }
        self.n += weight;
        self.mean += (weight / self.n) * (y - self.mean);
        if let Some(model) = &mut self.model {
            model.learn_one(x, y, weight).ok();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.model.as_ref().map_or(0, |model| model.memory_bytes() - size_of::<LinearRegression>())
    }
}
