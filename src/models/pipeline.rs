//! A model with the steps that prepare its features.
//!
//! Invariant: predicting transforms with the statistics as they are; learning first updates the statistics with the
//! sample and then trains the model on the row they transform (River's pipeline order).

use serde::{Deserialize, Serialize};

use super::{
    Description, Features, Model, ModelConfig, ModelKind, NamedColumn, Refused, Regressor,
    champion::Champion,
    per_key::PerKey,
    steps::{Row, StepDescription, Steps},
};
use thalweg_metrics::checked;

/// Feature steps and the model behind them.
///
/// ```
/// use thalweg_models::{Features, ModelConfig, ModelKind, Pipeline, Scratch};
///
/// let config = ModelConfig::new("line", ModelKind::Linear(Default::default())).scaled(true);
/// let (mut model, mut scratch) = (Pipeline::new(&config), Scratch::default());
/// for i in 0..2000 {
///     let x = [f64::from(i % 7), f64::from(i % 5)];
///     model.learn_one(Features::new(&x), 3.0 * x[0] - x[1], &mut scratch).expect("nothing here is refused");
/// }
/// let prediction = model.predict_one(Features::new(&[2.0, 1.0]), &mut scratch);
/// assert!((prediction - 5.0).abs() < 0.1, "{prediction}");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    steps: Steps,
    model: Model,
}

checked!(Pipeline { steps, model });

/// Buffers for transformed features, reused from sample to sample so that no record allocates. One serves any number of
/// pipelines, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    rows: Vec<Row>,
}

impl Pipeline {
    /// Makes a pipeline that has learned nothing yet.
    pub fn new(config: &ModelConfig) -> Self {
        Self { steps: Steps::new(&config.steps), model: Model::new(&config.kind) }
    }

    /// Returns the steps in front of the model.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Returns the model behind the steps.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the model behind the steps, if it is a champion.
    pub fn champion(&self) -> Option<&Champion> {
        match &self.model {
            Model::Champion(champion) => Some(champion),
            _ => None,
        }
    }

    /// Returns the same to elect another champion.
    pub fn champion_mut(&mut self) -> Option<&mut Champion> {
        match &mut self.model {
            Model::Champion(champion) => Some(champion),
            _ => None,
        }
    }

    /// Returns the models of keys behind the steps, if it is these.
    pub fn per_key(&self) -> Option<&PerKey> {
        match &self.model {
            Model::PerKey(per_key) => Some(per_key),
            _ => None,
        }
    }

    /// Returns the same to learn a sample of a key.
    pub fn per_key_mut(&mut self) -> Option<&mut PerKey> {
        match &mut self.model {
            Model::PerKey(per_key) => Some(per_key),
            _ => None,
        }
    }

    /// Goes on with a configuration that [continues](ModelConfig::continues) its own.
    pub fn adopt(&mut self, config: &ModelConfig) {
        if let (Model::PerKey(model), ModelKind::PerKey(params)) = (&mut self.model, &config.kind) {
            model.adopt(params);
        }
    }

    /// Resets the model behind the steps; they keep what they have learned.
    pub fn forget_model(&mut self, config: &ModelConfig) {
        self.model = Model::new(&config.kind);
    }

    /// Copies the model of a pipeline of the same configuration, and nothing of its steps.
    pub fn take_model_of(&mut self, other: &Self) {
        self.model.clone_from(&other.model);
    }

    /// Predicts for `x`; never learns.
    pub fn predict_one(&self, x: Features<'_>, scratch: &mut Scratch) -> f64 {
        self.model.predict_one(self.steps.transform_one(x, &mut scratch.rows))
    }

    /// Learns one sample, steps first.
    ///
    /// # Errors
    /// [`Refused`] as of [`Regressor::learn_one`].
    pub fn learn_one(&mut self, x: Features<'_>, y: f64, scratch: &mut Scratch) -> Result<(), Refused> {
        let x = self.steps.learn_and_transform_one(x, y, &mut scratch.rows);
        self.model.learn_one(x, y, 1.0)
    }

    /// Appends the predictions for `x` of the model's members, as of [`Regressor::members`].
    pub fn members(&self, x: Features<'_>, scratch: &mut Scratch, predictions: &mut Vec<f64>) {
        self.model.members(self.steps.transform_one(x, &mut scratch.rows), predictions);
    }

    /// Learns one sample whose target came late, steps first; `members` is what [`Pipeline::members`] said when it was predicted.
    ///
    /// # Errors
    /// [`Refused`] as of [`Regressor::learn_one`].
    pub fn learn_late(
        &mut self,
        x: Features<'_>,
        y: f64,
        members: &[f64],
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let x = self.steps.learn_and_transform_one(x, y, &mut scratch.rows);
        self.model.learn_late(x, y, 1.0, members)
    }

    /// Describes what steps and model have learned, by name; `columns` are those of the samples.
    pub fn describe(&self, columns: Vec<NamedColumn>) -> (Vec<StepDescription>, Description) {
        let (steps, columns) = self.steps.describe(columns);
        (steps, self.model.describe(&columns))
    }

    /// Returns the bytes that model and steps take, as of [`Regressor::memory_bytes`].
    pub fn memory_bytes(&self) -> usize {
        size_of::<Steps>() + self.steps.memory_bytes() + self.model.memory_bytes()
    }
}
