//! What a forest is configured with, under River's parameter names.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    tree::{self, MaxFeatures},
};
use thalweg_metrics::checked;
use thalweg_metrics::drift::{AdwinParams, DetectorKind};

/// The most trees a forest may have.
pub const MAX_MODELS: usize = tree::MAX_TREES_AT_ONCE;

/// The largest mean number of times that a tree may count a sample.
pub const MAX_LAMBDA: f64 = Bootstrap::MAX_RATE;

/// How the trees' predictions become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Their median.
    #[default]
    Median,
    /// Their mean, weighted by their errors unless that is off.
    Mean,
}

checked!(enum Aggregation = Median | Mean);

/// Parameters of [`super::AdaptiveRandomForest`]; the defaults are River's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Trees, from 1 to [`MAX_MODELS`].
    pub n_models: u32,
    /// How many features each leaf looks at.
    pub max_features: MaxFeatures,
    /// How the trees' predictions become one.
    pub aggregation_method: Aggregation,
    /// Mean number of times that a tree counts a sample, over 0 and at most [`MAX_LAMBDA`].
    pub lambda_value: f64,
    /// Whether all trees have the same weight in a mean.
    pub disable_weighted_vote: bool,
    /// Replaces a tree; `None` never does.
    pub drift_detector: Option<DetectorKind>,
    /// Begins a background tree; `None` never does, and a replaced tree begins from nothing.
    pub warning_detector: Option<DetectorKind>,
    /// As of a single tree; the byte budget is the forest's.
    pub tree: tree::Params,
    /// Of all that is random in it.
    pub seed: u64,
}

checked!(Params {
    n_models,
    max_features,
    aggregation_method,
    lambda_value,
    disable_weighted_vote,
    drift_detector,
    warning_detector,
    tree,
    seed: any,
});

impl Default for Params {
    fn default() -> Self {
        let adwin = |delta| Some(DetectorKind::Adwin(AdwinParams { delta, ..AdwinParams::default() }));
        Self {
            n_models: 10,
            max_features: MaxFeatures::default(),
            aggregation_method: Aggregation::default(),
            lambda_value: 6.0,
            disable_weighted_vote: true,
            drift_detector: adwin(0.001),
            warning_detector: adwin(0.01),
            tree: tree::Params { grace_period: 50, delta: 0.01, max_bytes: 100 << 20, ..tree::Params::default() },
            seed: 42,
        }
    }
}
