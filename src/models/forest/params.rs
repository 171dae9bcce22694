//! The parameters of a forest, under River's names.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    tree::{self, MaxFeatures},
};
use thalweg_metrics::checked;
use thalweg_metrics::drift::{AdwinParams, DetectorKind};

/// Largest number of trees in a forest.
pub const MAX_MODELS: usize = tree::MAX_TREES_AT_ONCE;

/// Largest mean number of times that a tree counts a sample.
pub const MAX_LAMBDA: f64 = Bootstrap::MAX_RATE;

/// The way one prediction is made of the trees'.
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
    /// Number of trees, from 1 to [`MAX_MODELS`].
    pub n_models: u32,
    /// Number of features each leaf looks at.
    pub max_features: MaxFeatures,
    /// Way one prediction is made of the trees'.
    pub aggregation_method: Aggregation,
    /// Mean number of times that a tree counts a sample, over 0 and at most [`MAX_LAMBDA`].
    pub lambda_value: f64,
    /// True if all trees have the same weight in a mean.
    pub disable_weighted_vote: bool,
    /// Detector that replaces a tree; with `None`, none is replaced.
    pub drift_detector: Option<DetectorKind>,
    /// Detector that begins a background tree; with `None` none begins, and a replaced tree starts from nothing.
    pub warning_detector: Option<DetectorKind>,
    /// Parameters of each tree; the byte budget is that of the whole forest.
    pub tree: tree::Params,
    /// Seed of its random generator.
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
