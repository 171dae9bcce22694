//! Passive-aggressive regression: no update while the error is small, else the smallest that suffices.
//!
//! Invariant: weights are finite; a sample that would change this is refused. Unknown and nominal features take no part.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

use super::{Description, Features, NamedColumn, Refused, Regressor, compact_vec::lengthen};

/// A step that changes a weight by this much or more is refused.
const MAX_WEIGHT_STEP: f64 = 1e200;

/// Bound on an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// None: exact on the sample, at the mercy of outliers.
    Pa,
    /// At most `c`.
    #[default]
    PaI,
    /// Damped by 1 / 2`c`.
    PaII,
}

checked!(enum Mode = Pa | PaI | PaII);

/// Parameters of [`PassiveAggressive`], under River's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Aggressiveness, > 0: bounds or damps a step, see [`Mode`].
    pub c: f64,
    /// One of the three variants.
    pub mode: Mode,
    /// Size up to which errors cost nothing, ≥ 0, in the target's unit.
    pub eps: f64,
    /// True if the intercept is learned.
    pub learn_intercept: bool,
}

checked!(Params { c, mode, eps, learn_intercept });

impl Default for Params {
    fn default() -> Self {
        Self { c: 1.0, mode: Mode::PaI, eps: 0.1, learn_intercept: true }
    }
}

/// Passive-aggressive regression (Crammer, Dekel, Keshet, Shalev-Shwartz and Singer 2006, "Online passive-aggressive
/// algorithms"). The loss is the ε-insensitive one, max(0, |y − p| − ε). River computes it of 2y − 1 instead of y, which
/// is meant for classes; here it is of the target itself. The intercept counts as the weight of a feature that is 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassiveAggressive {
    params: Params,
    intercept: f64,
    weights: Vec<f64>,
}

checked!(PassiveAggressive { params, intercept, weights });

impl PassiveAggressive {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        Self { params, intercept: 0.0, weights: Vec::new() }
    }

    /// Returns the intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// Returns the weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

/// Iterates over the known numbers of a row, each with its weight.
fn known<'a, W>(weights: impl Iterator<Item = W> + 'a, x: Features<'a>) -> impl Iterator<Item = (W, f64)> + 'a {
    let pairs = weights.zip(x.values()).enumerate();
    pairs
        .filter(move |(i, (_, value))| !value.is_nan() && !x.is_nominal(*i))
        .map(|(_, (weight, value))| (weight, *value))
}

impl Regressor for PassiveAggressive {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        known(self.weights.iter(), x).map(|(weight, value)| weight * value).sum::<f64>() + self.intercept
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        lengthen(&mut self.weights, x.len(), 0.0);
        let Params { c, mode, eps, learn_intercept } = self.params;
        let error = y - self.predict_one(x);
        if !error.is_finite() {
            return Err(Refused);
        }
        let loss = (error.abs() - eps).max(0.0);
        if loss == 0.0 || weight == 0.0 {
            return Ok(());
        }
        let (mut norm, mut reach): (f64, f64) = if learn_intercept { (1.0, 1.0) } else { (0.0, 0.0) };
        for (_, value) in known(self.weights.iter(), x) {
            norm += value * value;
            reach = reach.max(value.abs());
        }
        if norm == 0.0 {
            // There is nothing to update: no feature and no intercept.
            return Ok(());
        }
        let tau = match mode {
            Mode::Pa => loss / norm,
            Mode::PaI => (loss / norm).min(c * weight),
            Mode::PaII => loss / (norm + 1.0 / (2.0 * c * weight)),
        };
        let step = tau * error.signum();
        // Also false of NaN.
        let sound = norm.is_finite() && (step * reach).abs() < MAX_WEIGHT_STEP && step.abs() < MAX_WEIGHT_STEP;
        if !sound {
            return Err(Refused);
        }
        for (weight, value) in known(self.weights.iter_mut(), x) {
            *weight += step * value;
        }
        if learn_intercept {
            self.intercept += step;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.weights.as_slice())
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::linear(self.intercept(), self.weights(), columns)
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}
