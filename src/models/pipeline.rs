//! Feature steps in front of a model. For now the one step is the standard scaler.
//!
//! Invariant: predicting transforms with the statistics as they are; learning updates the statistics with the sample
//! first and trains the model on what the updated statistics make of it (River's pipeline order).

use serde::{Deserialize, Serialize};

use super::{Features, Model, ModelConfig, Refused, Regressor, scaler::StandardScaler};

/// A model with the steps that prepare its features.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    scaler: Option<StandardScaler>,
    model: Model,
}

/// Room for transformed features, reused from sample to sample so that no record allocates. One serves any number of
/// pipelines, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    values: Vec<f64>,
}

impl Pipeline {
    /// A pipeline that has learned nothing yet.
    pub fn new(config: &ModelConfig) -> Self {
        Self { scaler: config.scale.then(StandardScaler::default), model: Model::new(&config.kind) }
    }

    /// The model behind the steps.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The prediction for `x`; never learns.
    pub fn predict_one(&self, x: Features<'_>, scratch: &mut Scratch) -> f64 {
        match &self.scaler {
            None => self.model.predict_one(x),
            Some(scaler) => {
                scaler.transform_one(x, &mut scratch.values);
                self.model.predict_one(x.replaced(&scratch.values))
            }
        }
    }

    /// Learns one sample, steps first.
    ///
    /// # Errors
    /// [`Refused`] as of [`Regressor::learn_one`].
    pub fn learn_one(&mut self, x: Features<'_>, y: f64, scratch: &mut Scratch) -> Result<(), Refused> {
        match &mut self.scaler {
            None => self.model.learn_one(x, y, 1.0),
            Some(scaler) => {
                scaler.learn_one(x);
                scaler.transform_one(x, &mut scratch.values);
                self.model.learn_one(x.replaced(&scratch.values), y, 1.0)
            }
        }
    }
}
