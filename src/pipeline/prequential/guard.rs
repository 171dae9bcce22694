//! Keeps a model that runs away from doing harm: its predictions are stood in for, and it is put back on its feet.
//!
//! Invariant: what is published is finite and plausible whatever a model says. The guard judges what the model itself
//! said, so that a stand-in does not hide that it is ill. It never changes a healthy model; the steps of an ill one keep what
//! they know of the features, without which it would run away again.
//! What this does not do: refuse single samples, which is every model's own duty.

use serde::{Deserialize, Serialize};

use crate::{
    metrics::saved,
    models::{ModelConfig, Pipeline},
    state::whole,
};

/// What happens to a model that diverges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Nothing; it is only stood in for.
    Off,
    /// It goes back to its last good weights; where that leads astray again, or there is none, it starts anew.
    #[default]
    RollBack,
    /// It starts anew.
    Reset,
}

/// How models are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What happens to a model that diverges.
    pub action: Action,
    /// A model diverges when its RMSE is this many times the mean baseline's, over about the last 100 samples; > 1.
    pub factor: f64,
    /// Samples between two looks at whether a state is good enough to go back to, ≥ 1.
    pub every: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { action: Action::RollBack, factor: 10.0, every: 1000 }
    }
}

/// Samples the guard looks back on, about.
const MEMORY: f64 = 100.0;

/// Samples that tell whether it is still as bad, about: gradient descent overshoots at first, and a model that is on its
/// way back must not be stopped.
const RECENT: f64 = 10.0;

/// Samples the guard watches before it judges: after the beginning, and after it has stepped in.
const PATIENCE: u64 = 100;

/// Samples that make out how large targets usually are, about.
const USUAL_MEMORY: f64 = 1000.0;

/// A prediction this many times the size that targets usually have is not a prediction.
const IMPLAUSIBLE: f64 = 100.0;

/// Errors below this share of the targets' usual size are no divergence, however small the baseline's are: the mean of a
/// constant is perfect.
const NEGLIGIBLE: f64 = 1e-3;

/// By how much a model's RMSE must have grown: what was always bad may still be on its way.
const GROWN: f64 = 2.0;

/// Larger models are not kept twice; they start anew instead of going back.
const LARGEST_COPY: usize = 1 << 20;

/// What the guard knows of one model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Guard {
    config: Config,
    /// Faded sums of squared errors, of the model's own predictions and of the baseline's, and of ones.
    model: f64,
    baseline: f64,
    weight: f64,
    /// The model's alone, fading faster.
    recent: f64,
    recent_weight: f64,
    /// The least mean squared error the model has had.
    least: f64,
    /// Samples seen since the model last began, or began anew.
    #[serde(deserialize_with = "saved::count")]
    seen: u64,
    /// Samples until the guard may step in again.
    #[serde(deserialize_with = "saved::count")]
    rest: u64,
    good: Option<Good>,
}

/// A state worth going back to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Good {
    #[serde(deserialize_with = "whole")]
    pipeline: Box<Pipeline>,
    /// Whether the model has gone back to it before.
    tried: bool,
    /// Samples the models had learned from.
    #[serde(deserialize_with = "saved::count")]
    version: u64,
}

/// What the guard did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// The model is as it was after so many samples.
    RolledBack {
        /// Samples that the models had learned from then.
        to: u64,
    },
    /// The model has learned nothing.
    Reset,
}

impl Guard {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            model: 0.0,
            baseline: 0.0,
            weight: 0.0,
            recent: 0.0,
            recent_weight: 0.0,
            least: f64::MAX,
            seen: 0,
            rest: PATIENCE,
            good: None,
        }
    }

    /// Takes note of what the model itself predicted, and steps in where it has diverged. `pipeline` has learned the
    /// sample already.
    pub(super) fn watch(
        &mut self,
        errors: Errors,
        version: u64,
        model: &ModelConfig,
        pipeline: &mut Pipeline,
    ) -> Option<Rescue> {
        if self.config.action == Action::Off {
            return None;
        }
        let fading = 1.0 - 1.0 / MEMORY;
        // Bounded, because an infinite sum would stay so for ever.
        self.model = (fading * self.model + errors.model).min(f64::MAX);
        self.baseline = (fading * self.baseline + errors.baseline).min(f64::MAX);
        self.weight = fading * self.weight + 1.0;
        let fading = 1.0 - 1.0 / RECENT;
        self.recent = (fading * self.recent + errors.model).min(f64::MAX);
        self.recent_weight = fading * self.recent_weight + 1.0;
        self.seen += 1;
        self.rest = self.rest.saturating_sub(1);
        let (error, baseline) = (self.model / self.weight, self.baseline / self.weight);
        self.least = self.least.min(error);
        let far = self.config.factor * self.config.factor * baseline.max(errors.negligible);
        let still = self.recent / self.recent_weight > far;
        if error > far && still && error > GROWN * GROWN * self.least && self.rest == 0 {
            return Some(self.step_in(model, pipeline));
        }
        // No worse than the baseline: what is kept must be worth going back to.
        if self.config.action == Action::RollBack
            && self.seen.is_multiple_of(u64::from(self.config.every))
            && error <= baseline
            && pipeline.memory_bytes() <= LARGEST_COPY
        {
            self.good = Some(Good { pipeline: Box::new(pipeline.clone()), tried: false, version });
        }
        None
    }

    #[cold]
    fn step_in(&mut self, model: &ModelConfig, pipeline: &mut Pipeline) -> Rescue {
        (self.model, self.baseline, self.weight) = (0.0, 0.0, 0.0);
        (self.recent, self.recent_weight) = (0.0, 0.0);
        self.rest = u64::from(self.config.every).max(PATIENCE);
        match &mut self.good {
            Some(good) if !good.tried => {
                good.tried = true;
                pipeline.take_model_of(&good.pipeline);
                Rescue::RolledBack { to: good.version }
            }
            _ => {
                self.good = None;
                (self.seen, self.least) = (0, f64::MAX);
                pipeline.forget_model(model);
                Rescue::Reset
            }
        }
    }
}

/// Squared errors of one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errors {
    /// Of the model itself.
    pub(super) model: f64,
    /// Of the baseline.
    pub(super) baseline: f64,
    /// Up to here no error matters.
    pub(super) negligible: f64,
}

/// How large targets are of late: their faded mean square.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Usual {
    sum: f64,
    weight: f64,
}

impl Usual {
    #[inline]
    pub(super) fn update(&mut self, y: f64) {
        let fading = 1.0 - 1.0 / USUAL_MEMORY;
        self.sum = (fading * self.sum + y * y).min(f64::MAX);
        self.weight = fading * self.weight + 1.0;
    }

    /// The largest square of a plausible prediction. Before there is a target that is not 0, nothing is implausible.
    #[inline]
    fn reach(&self) -> f64 {
        if self.sum > 0.0 { IMPLAUSIBLE * IMPLAUSIBLE * (self.sum / self.weight) } else { f64::MAX }
    }

    /// Whether a prediction may be published.
    #[inline]
    pub(super) fn is_plausible(&self, prediction: f64) -> bool {
        // False for NaN.
        prediction.is_finite() && prediction * prediction <= self.reach()
    }

    /// The squared errors of a sample. None counts as worse than what is just plausible: a single sample must not
    /// condemn a model.
    #[inline]
    pub(super) fn errors(&self, y: f64, model: f64, baseline: f64) -> Errors {
        let most = self.reach().max(y * y);
        // `min` also makes NaN the worst.
        let squared = |prediction: f64| ((y - prediction) * (y - prediction)).min(most);
        let size = if self.weight > 0.0 { self.sum / self.weight } else { 0.0 };
        Errors { model: squared(model), baseline: squared(baseline), negligible: NEGLIGIBLE * NEGLIGIBLE * size }
    }
}
