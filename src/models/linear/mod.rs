//! Linear regression by stochastic gradient descent, step for step as River computes it.
//!
//! Invariant: weights, intercept and optimizer state are finite. An update that would break this is refused as a whole.
//! Unknown and nominal features take no part: their weights and optimizer state stay as they are.

mod params;

use serde::{Deserialize, Serialize};

pub use params::Params;

use super::{Features, Refused, Regressor, optimizer::Optimizer};

/// Steps beyond this are refused; sums of any number of smaller ones stay finite.
const LARGEST_STEP: f64 = 1e200;

/// y ≈ w·x + b, learned one sample at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinearRegression {
    params: Params,
    intercept: f64,
    weights: Vec<Weight>,
    /// Steps taken.
    steps: u64,
    /// The total L1 penalty that each weight could have received by now.
    penalty: f64,
    #[serde(skip)]
    draft: Vec<Weight>,
}

/// A weight with what its optimizer and the L1 penalty remember of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Weight {
    value: f64,
    /// First and second memory of the optimizer: velocity, sums of squares, moments.
    memory: [f64; 2],
    /// L1 penalty received.
    penalty: f64,
}

impl LinearRegression {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let intercept = params.intercept_init;
        Self { params, intercept, weights: Vec::new(), steps: 0, penalty: 0.0, draft: Vec::new() }
    }

    /// The intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The weight of each column seen so far.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        self.weights.iter().map(|weight| weight.value)
    }

    fn dot(&self, x: Features<'_>, weight: impl Fn(&Weight) -> f64) -> f64 {
        let pairs = self.weights.iter().zip(x.values());
        let sum = if x.is_complete() && !x.has_nominal() {
            pairs.fold(0.0, |sum, (w, value)| sum + weight(w) * value)
        } else {
            let known = pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
            known.fold(0.0, |sum, (_, (w, value))| sum + weight(w) * value)
        };
        sum + self.intercept
    }

    /// Plain gradient descent without penalties, on a row without gaps: the case that has to be fast.
    fn descend(&mut self, x: &[f64], rate: f64, gradient: f64) -> Result<(), Refused> {
        let reach = x.iter().fold(0.0, |reach: f64, value| reach.max(value.abs()));
        if !bounded(rate * gradient * reach) {
            return Err(Refused);
        }
        for (weight, value) in self.weights.iter_mut().zip(x) {
            weight.value -= rate * (value * gradient);
        }
        Ok(())
    }

    /// Any other update: drafted for all weights, checked, then taken.
    fn update(&mut self, x: Features<'_>, rate: f64, gradient: f64) -> Result<(), Refused> {
        let Params { optimizer, l1, l2, .. } = self.params;
        let penalty = self.penalty + l1 * optimizer.rate(self.steps + 1);
        self.draft.clear();
        self.draft.extend_from_slice(&self.weights);
        for (i, (weight, &value)) in self.draft.iter_mut().zip(x.values()).enumerate() {
            if value.is_nan() || x.is_nominal(i) {
                continue;
            }
            let slope = value * gradient + l2 * weight.value;
            weight.value = optimizer.step(weight.value, &mut weight.memory, slope, rate, self.steps);
            if l1 != 0.0 {
                weight.penalize(penalty);
            }
            if !(bounded(weight.value) && weight.memory.iter().all(|memory| memory.is_finite())) {
                return Err(Refused);
            }
        }
        self.penalty = penalty;
        std::mem::swap(&mut self.weights, &mut self.draft);
        Ok(())
    }
}

/// Whether a step may be that large; never true of NaN.
fn bounded(step: f64) -> bool {
    step.abs() <= LARGEST_STEP
}

impl Weight {
    /// Cumulative L1 penalty (Tsuruoka, Tsujii and Ananiadou 2009): what the weight still owes, never past zero.
    fn penalize(&mut self, total: f64) {
        let before = self.value;
        if before > 0.0 {
            self.value = (before - (total + self.penalty)).max(0.0);
        } else if before < 0.0 {
            self.value = (before + (total - self.penalty)).min(0.0);
        }
        self.penalty += self.value - before;
    }
}

impl Regressor for LinearRegression {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        self.dot(x, |weight| weight.value)
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        if self.weights.len() < x.len() {
            self.weights.resize(x.len(), Weight::default());
        }
        let optimizer = self.params.optimizer;
        let prediction = match optimizer {
            // The gradient is taken where the momentum is about to carry the weights (Nesterov 1983).
            Optimizer::Nesterov { rho, .. } => self.dot(x, |weight| weight.value - rho * weight.memory[0]),
            _ => self.predict_one(x),
        };
        let clip = self.params.clip_gradient;
        let gradient = (self.params.loss.gradient(y, prediction) * weight).clamp(-clip, clip);
        let intercept = self.intercept - self.params.intercept_lr.rate(self.steps) * gradient;
        if !prediction.is_finite() || !gradient.is_finite() || !bounded(intercept) {
            return Err(Refused);
        }
        let rate = optimizer.rate(self.steps);
        let plain = self.params.l1 == 0.0 && self.params.l2 == 0.0 && x.is_complete() && !x.has_nominal();
        match optimizer {
            Optimizer::Sgd { .. } if plain => self.descend(x.values(), rate, gradient)?,
            _ => self.update(x, rate, gradient)?,
        }
        self.intercept = intercept;
        self.steps += 1;
        Ok(())
    }
}
