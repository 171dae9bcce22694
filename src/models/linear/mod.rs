//! Linear regression, learned one sample at a time: by gradient descent, step for step as River computes it, or by
//! steps that need no tuning (`hedge`).
//!
//! Invariant: weights, intercept and optimizer state are finite. An update that would break this is refused as a whole.
//! Unknown and nominal features take no part: their weights and optimizer state stay as they are.

mod hedge;
mod params;

use serde::{Deserialize, Serialize};

use hedge::Hedge;
pub use params::Params;

use thalweg_metrics::checked;

use super::{
    Description, Features, NamedColumn, Refused, Regressor,
    compact_vec::lengthen,
    optimizer::{Memory, Optimizer},
};

/// Steps beyond this are refused; sums of any number of smaller ones stay finite.
const MAX_STEP: f64 = 1e200;

/// y ≈ w·x + b, learned one sample at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinearRegression {
    params: Params,
    weights: Weights,
    #[serde(skip)]
    draft: StepBuffers,
}

checked!(LinearRegression { params, weights, draft: skipped });

/// The learned part of a linear regression, apart from the parameters, which many can share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weights {
    intercept: f64,
    weights: Vec<f64>,
    /// One per weight, or none where nothing needs to be remembered.
    memories: Vec<WeightMemory>,
    /// Number of steps taken.
    steps: u64,
    /// The total L1 penalty that each weight could have received by now.
    penalty: f64,
    /// State of [`Optimizer::Hedge`]; weights and intercept are then its weighted mean.
    #[serde(default)]
    hedge: Option<Box<Hedge>>,
}

// The penalty that could have been is a sum without bound.
checked!(Weights { intercept, weights, memories, steps, penalty: any, hedge });

/// Buffers for a step that is checked before it is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepBuffers {
    steps: Vec<(f64, WeightMemory)>,
    seen: Vec<hedge::Seen>,
}

/// State of the optimizer and the L1 penalty for one weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct WeightMemory {
    optimizer: Memory,
    /// L1 penalty received.
    penalty: f64,
}

checked!(WeightMemory { optimizer, penalty: any });

impl LinearRegression {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let weights = Weights::new(&params);
        Self { params, weights, draft: StepBuffers::default() }
    }

    /// The intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.weights.intercept
    }

    /// The weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights.weights
    }
}

impl Weights {
    /// Returns the bytes per column beside the weight.
    pub(crate) fn memory_per_column(params: &Params) -> usize {
        if params.is_hedged() {
            Hedge::PER_COLUMN
        } else if params.is_stateless() {
            0
        } else {
            size_of::<WeightMemory>()
        }
    }

    /// Makes weights of 0, with the intercept at its start.
    pub(crate) fn new(params: &Params) -> Self {
        Self {
            intercept: params.intercept_init,
            weights: Vec::new(),
            memories: Vec::new(),
            steps: 0,
            penalty: 0.0,
            hedge: params.is_hedged().then(|| Box::new(Hedge::new(params.intercept_init))),
        }
    }

    /// The intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let hedge = self.hedge.as_ref().map_or(0, |hedge| hedge.heap_bytes());
        size_of_val(self.weights.as_slice()) + size_of_val(self.memories.as_slice()) + hedge
    }

    #[cold]
    fn grow(&mut self, d: usize, params: &Params) {
        lengthen(&mut self.weights, d, 0.0);
        if !(params.is_stateless() || params.is_hedged()) {
            lengthen(&mut self.memories, d, WeightMemory::default());
        }
    }

    /// The prediction for `x`.
    #[inline]
    pub(crate) fn predict(&self, x: Features<'_>) -> f64 {
        if let Some(hedge) = self.hedge.as_ref().filter(|hedge| hedge.bounds_values()) {
            return hedge.within_reach(hedge.bounded_sum(&self.weights, x) + self.intercept);
        }
        let pairs = self.weights.iter().zip(x.values());
        let sum = if x.all_known_numeric() {
            pairs.fold(0.0, |sum, (weight, value)| sum + weight * value)
        } else {
            let known = pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
            known.fold(0.0, |sum, (_, (weight, value))| sum + weight * value)
        };
        match &self.hedge {
            None => sum + self.intercept,
            Some(hedge) => hedge.within_reach(sum + self.intercept),
        }
    }

    /// Predicts with the weights where the momentum is about to carry them; the gradient is taken there (Nesterov
    /// 1983).
    fn look_ahead(&self, x: Features<'_>, rho: f64) -> f64 {
        let weights = self.weights.iter().zip(&self.memories).zip(x.values()).enumerate();
        let known = weights.filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
        let ahead = |sum, (_, ((weight, memory), value)): (usize, ((&f64, &WeightMemory), &f64))| {
            sum + (weight - rho * memory.optimizer[0]) * value
        };
        known.fold(0.0, ahead) + self.intercept
    }

    /// Learns a sample for which [`Weights::predict`] has just returned `prediction`.
    #[inline]
    pub(crate) fn learn(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        mut prediction: f64,
        params: &Params,
        draft: &mut StepBuffers,
    ) -> Result<(), Refused> {
        if self.weights.len() < x.len() {
            self.grow(x.len(), params);
        }
        if let Some(hedge) = &mut self.hedge {
            self.intercept = hedge.learn(&mut self.weights, x, y, weight, params, &mut draft.seen)?;
            self.steps += 1;
            return Ok(());
        }
        let optimizer = params.optimizer;
        if let Optimizer::Nesterov { rho, .. } = optimizer {
            prediction = self.look_ahead(x, rho);
        }
        let clip = params.clip_gradient;
        let gradient = (params.loss.gradient(y, prediction) * weight).clamp(-clip, clip);
        let intercept = self.intercept - params.intercept_lr.rate(self.steps) * gradient;
        if !prediction.is_finite() || !gradient.is_finite() || !bounded(intercept) {
            return Err(Refused);
        }
        let rate = optimizer.rate(self.steps);
        if params.is_stateless() {
            self.descend(x, rate, gradient)?;
        } else {
            self.update(x, rate, gradient, params, draft)?;
        }
        self.intercept = intercept;
        self.steps += 1;
        Ok(())
    }

    /// Takes a step of gradient descent without penalties.
    #[inline]
    fn descend(&mut self, x: Features<'_>, rate: f64, gradient: f64) -> Result<(), Refused> {
        let larger = |reach: f64, value: &f64| if value.abs() > reach { value.abs() } else { reach };
        // NaN is never larger.
        let reach = x.values().iter().fold(0.0, larger);
        if !bounded(rate * gradient * reach) {
            return Err(Refused);
        }
        let pairs = self.weights.iter_mut().zip(x.values());
        if x.all_known_numeric() {
            pairs.for_each(|(weight, value)| *weight -= rate * (value * gradient));
        } else {
            for (_, (weight, value)) in pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i))
            {
                *weight -= rate * (value * gradient);
            }
        }
        Ok(())
    }

    /// Takes a step of any other optimizer: drafted for all weights, checked, then stored.
    fn update(
        &mut self,
        x: Features<'_>,
        rate: f64,
        gradient: f64,
        params: &Params,
        StepBuffers { steps: draft, .. }: &mut StepBuffers,
    ) -> Result<(), Refused> {
        let Params { optimizer, l1, l2, .. } = *params;
        let penalty = self.penalty + l1 * optimizer.rate(self.steps + 1);
        let memories = self.memories.iter().copied().chain(std::iter::repeat(WeightMemory::default()));
        draft.clear();
        draft.reserve_exact(self.weights.len());
        draft.extend(self.weights.iter().copied().zip(memories));
        for (i, ((weight, memory), &value)) in draft.iter_mut().zip(x.values()).enumerate() {
            if value.is_nan() || x.is_nominal(i) {
                continue;
            }
            // All of the gradient is taken at the weights of the prediction.
            let at = if let Optimizer::Nesterov { rho, .. } = optimizer {
                *weight - rho * memory.optimizer[0]
            } else {
                *weight
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
        for (weight, (drafted, _)) in self.weights.iter_mut().zip(&*draft) {
            *weight = *drafted;
        }
        for (memory, (_, drafted)) in self.memories.iter_mut().zip(&*draft) {
            *memory = *drafted;
        }
        Ok(())
    }
}

/// Returns true if a step may be that large; false for NaN.
#[inline]
fn bounded(step: f64) -> bool {
    step.abs() <= MAX_STEP
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
        self.weights.predict(x)
    }

    #[inline]
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        let Self { params, weights, draft } = self;
        weights.learn(x, y, weight, weights.predict(x), params, draft)
    }

    fn memory_bytes(&self) -> usize {
        // The draft is as long as the weights once it was needed, and not saved: what is said must be the same after a restart.
        let Self { params, weights, .. } = self;
        let drafted = match (params.is_hedged(), params.is_stateless()) {
            (true, _) => size_of::<hedge::Seen>(),
            (false, true) => 0,
            (false, false) => size_of::<(f64, WeightMemory)>(),
        };
        size_of::<Self>() + weights.heap_bytes() + weights.weights.len() * drafted
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::linear(self.intercept(), self.weights(), columns)
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}
