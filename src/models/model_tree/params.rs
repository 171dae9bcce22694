//! The parameters of model trees.

use serde::{Deserialize, Serialize};

use crate::tree::MaxFeatures;
use thalweg_metrics::checked;

/// Largest number of trees that predict together.
pub const MAX_TREES: u32 = 32;

/// Deepest level that a tree may reach; the root has level 0.
pub const MAX_DEPTH: u32 = 24;

/// Largest number of nodes in a tree.
pub const MAX_NODES: u32 = 1023;

/// Parameters of [`super::ModelTree`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Number of trees whose mean is predicted, 1 to [`MAX_TREES`].
    pub n_models: u32,
    /// Deepest level of a leaf, 0 (a single linear model) to [`MAX_DEPTH`].
    pub max_depth: u32,
    /// Largest number of nodes of a tree, 1 to [`MAX_NODES`]. A full tree grows at the cost of the part that helps
    /// least.
    pub max_nodes: u32,
    /// Share of its weight that a sample keeps from one sample to the next in a linear model, 0 < `forgetting` ≤ 1.
    pub forgetting: f64,
    /// Strength of the pull of the weights towards 0 at the start, > 0, for standardised features.
    pub regularization: f64,
    /// Number of features that an attempt to split looks at.
    pub max_features: MaxFeatures,
    /// Number of samples a leaf sees between two attempts to split, ≥ 1.
    pub grace_period: u32,
    /// Seed of its random generator.
    pub seed: u64,
}

checked!(Params {
    n_models,
    max_depth,
    max_nodes,
    forgetting,
    regularization,
    max_features,
    grace_period,
    seed: any,
} then fits);

impl Default for Params {
    fn default() -> Self {
        Self {
            n_models: 5,
            max_depth: 12,
            max_nodes: 63,
            forgetting: 0.999,
            regularization: 0.3,
            max_features: MaxFeatures::Share(0.85),
            grace_period: 40,
            seed: 42,
        }
    }
}

impl Params {
    fn fits(&self) -> Result<(), &'static str> {
        let sound = (1..=MAX_TREES).contains(&self.n_models)
            && self.max_depth <= MAX_DEPTH
            && (1..=MAX_NODES).contains(&self.max_nodes)
            && self.forgetting > 0.0
            && self.forgetting <= 1.0
            && self.regularization > 0.0
            && self.grace_period > 0;
        if sound { Ok(()) } else { Err("model trees have impossible parameters") }
    }
}
