//! Forms of what others write, for the description of the API.
#![allow(dead_code)] // Nothing is made of them: predictions are written by `thalweg_pipeline`.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// A sample: numbers, booleans, text and nested objects by name, as in the samples topic
#[derive(ToSchema)]
#[schema(value_type = Object, example = json!({"x0": 0.1, "x1": 0.7}))]
pub(super) struct Sample(());

/// An object for one, an array for several, up to 10,000
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// What would be published for a sample
#[derive(ToSchema)]
pub(super) struct Prediction {
    /// Partition whose models predicted
    partition: i32,
    /// Samples that the models had learned from
    version: u64,
    /// The champion: the model whose prediction counts
    model: String,
    /// The champion's prediction
    #[schema(required = true)]
    prediction: Option<f64>,
    /// Lower end of the interval; absent where metrics.intervals is off, null before the first error is known
    lower: Option<f64>,
    /// Upper end, likewise
    upper: Option<f64>,
    /// Every model's prediction, by name
    predictions: BTreeMap<String, Option<f64>>,
    /// With `explain=true`
    #[schema(nullable = false)]
    explanation: Option<Explanation>,
}

/// What each feature contributes
#[derive(ToSchema)]
pub(super) struct Explanation {
    /// How contributions are found: `occlusion`
    method: String,
    /// Latest samples among which usual values were found
    samples: u64,
    /// By feature: the prediction less the one for the same sample with the usual value in the feature's place, in units of the
    /// target
    contributions: BTreeMap<String, Option<f64>>,
}
