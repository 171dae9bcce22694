//! Linear regression by stochastic gradient descent, step for step as River computes it.
//!
//! Invariant: weights, intercept and optimizer state are finite. An update that would break this is refused as a whole.
//! Unknown and nominal features take no part: their weights and optimizer state stay as they are.

mod params;

use serde::{Deserialize, Serialize};

pub use params::Params;

use super::{
    Features, Refused, Regressor,
    optimizer::{Memory, Optimizer},
    room::lengthen,
};

/// Steps beyond this are refused; sums of any number of smaller ones stay finite.
const LARGEST_STEP: f64 = 1e200;

/// y ≈ w·x + b, learned one sample at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinearRegression {
    params: Params,
    intercept: f64,
    weights: Vec<f64>,
    /// As many as weights, or none where nothing needs to be remembered.
    memories: Vec<WeightMemory>,
    /// Steps taken.
    steps: u64,
    /// The total L1 penalty that each weight could have received by now.
    penalty: f64,
    #[serde(skip)]
    draft: Vec<(f64, WeightMemory)>,
}

/// What the optimizer and the L1 penalty remember of a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct WeightMemory {
    optimizer: Memory,
    /// L1 penalty received.
    penalty: f64,
}

impl LinearRegression {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let intercept = params.intercept_init;
        Self { params, intercept, weights: Vec::new(), memories: Vec::new(), steps: 0, penalty: 0.0, draft: Vec::new() }
    }

    /// The intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Whether a step is plain gradient descent without penalties: the case that has to be fast.
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.params.optimizer, Optimizer::Sgd { .. }) && self.params.l1 == 0.0 && self.params.l2 == 0.0
    }

    #[cold]
    fn grow(&mut self, d: usize) {
        lengthen(&mut self.weights, d, 0.0);
        if !self.is_plain() {
            lengthen(&mut self.memories, d, WeightMemory::default());
        }
    }

    #[inline]
    fn dot(&self, x: Features<'_>) -> f64 {
        let pairs = self.weights.iter().zip(x.values());
        let sum = if x.is_plain() {
            pairs.fold(0.0, |sum, (weight, value)| sum + weight * value)
        } else {
            let known = pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
            known.fold(0.0, |sum, (_, (weight, value))| sum + weight * value)
        };
        sum + self.intercept
    }

    /// The prediction where the momentum is about to carry the weights: there the gradient is taken (Nesterov 1983).
    fn look_ahead(&self, x: Features<'_>, rho: f64) -> f64 {
        let weights = self.weights.iter().zip(&self.memories).zip(x.values()).enumerate();
        let known = weights.filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
        let ahead = |sum, (_, ((weight, memory), value)): (usize, ((&f64, &WeightMemory), &f64))| {
            sum + (weight - rho * memory.optimizer[0]) * value
        };
        known.fold(0.0, ahead) + self.intercept
    }

    /// A plain step.
    #[inline]
    fn descend(&mut self, x: Features<'_>, rate: f64, gradient: f64) -> Result<(), Refused> {
        let larger = |reach: f64, value: &f64| if value.abs() > reach { value.abs() } else { reach };
        // NaN is never larger.
        let reach = x.values().iter().fold(0.0, larger);
        if !bounded(rate * gradient * reach) {
            return Err(Refused);
        }
        let pairs = self.weights.iter_mut().zip(x.values());
        if x.is_plain() {
            pairs.for_each(|(weight, value)| *weight -= rate * (value * gradient));
        } else {
            for (_, (weight, value)) in pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i))
            {
                *weight -= rate * (value * gradient);
            }
        }
        Ok(())
    }

    /// Any other update: drafted for all weights, checked, then taken.
    fn update(&mut self, x: Features<'_>, rate: f64, gradient: f64) -> Result<(), Refused> {
        let Params { optimizer, l1, l2, .. } = self.params;
        let penalty = self.penalty + l1 * optimizer.rate(self.steps + 1);
        let memories = self.memories.iter().copied().chain(std::iter::repeat(WeightMemory::default()));
        self.draft.clear();
        self.draft.reserve_exact(self.weights.len());
        self.draft.extend(self.weights.iter().copied().zip(memories));
        for (i, ((weight, memory), &value)) in self.draft.iter_mut().zip(x.values()).enumerate() {
            if value.is_nan() || x.is_nominal(i) {
                continue;
            }
            // Every part of the gradient is taken where the prediction was made.
            let at = match optimizer {
                Optimizer::Nesterov { rho, .. } => *weight - rho * memory.optimizer[0],
                _ => *weight,
            };
            let slope = value * gradient + l2 * at;
            *weight = optimizer.step(*weight, &mut memory.optimizer, slope, rate, self.steps);
            if l1 != 0.0 {
                let penalized = penalized(*weight, penalty, memory.penalty);
                memory.penalty += penalized - *weight;
                *weight = penalized;
            }
            if !(bounded(*weight) && memory.optimizer.iter().all(|memory| memory.is_finite())) {
                return Err(Refused);
            }
        }
        self.penalty = penalty;
        for (weight, (drafted, _)) in self.weights.iter_mut().zip(&self.draft) {
            *weight = *drafted;
        }
        for (memory, (_, drafted)) in self.memories.iter_mut().zip(&self.draft) {
            *memory = *drafted;
        }
        Ok(())
    }
}

/// Whether a step may be that large; never true of NaN.
#[inline]
fn bounded(step: f64) -> bool {
    step.abs() <= LARGEST_STEP
}

/// Cumulative L1 penalty (Tsuruoka, Tsujii and Ananiadou 2009): the weight less what it still owes, never past zero.
fn penalized(weight: f64, total: f64, received: f64) -> f64 {
    if weight > 0.0 {
        (weight - (total + received)).max(0.0)
    } else if weight < 0.0 {
        (weight + (total - received)).min(0.0)
    } else {
        weight
    }
}

impl Regressor for LinearRegression {
    #[inline]
    fn predict_one(&self, x: Features<'_>) -> f64 {
        self.dot(x)
    }

    #[inline]
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        if self.weights.len() < x.len() {
            self.grow(x.len());
        }
        let optimizer = self.params.optimizer;
        let prediction = match optimizer {
            Optimizer::Nesterov { rho, .. } => self.look_ahead(x, rho),
            _ => self.dot(x),
        };
        let clip = self.params.clip_gradient;
        let gradient = (self.params.loss.gradient(y, prediction) * weight).clamp(-clip, clip);
        let intercept = self.intercept - self.params.intercept_lr.rate(self.steps) * gradient;
        if !prediction.is_finite() || !gradient.is_finite() || !bounded(intercept) {
            return Err(Refused);
        }
        let rate = optimizer.rate(self.steps);
        if self.is_plain() {
            self.descend(x, rate, gradient)?;
        } else {
            self.update(x, rate, gradient)?;
        }
        self.intercept = intercept;
        self.steps += 1;
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let memories = size_of_val(self.memories.as_slice());
        // The draft of a step takes as much as weights and memories.
        let draft = self.memories.len() * size_of::<(f64, WeightMemory)>();
        size_of::<Self>() + size_of_val(self.weights.as_slice()) + memories + draft
    }
}
