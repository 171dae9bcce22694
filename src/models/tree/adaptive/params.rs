//! The parameters of an adaptive tree, under River's names.

use serde::{Deserialize, Serialize};

use crate::tree;
use thalweg_metrics::checked;
use thalweg_metrics::drift::DetectorKind;

/// Parameters of [`super::AdaptiveTree`]; the defaults are River's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Parameters shared with a tree that does not adapt.
    pub tree: tree::Params,
    /// True if a leaf counts a sample a random number of times, Poisson with mean 1 and at least once.
    pub bootstrap_sampling: bool,
    /// Number of samples for which a branch and its alternate are watched before they are compared.
    pub drift_window_threshold: u32,
    /// Detector that watches the absolute errors of each branch.
    pub drift_detector: DetectorKind,
    /// Significance of the test that compares a branch with its alternate, over 0 and under 1.
    pub switch_significance: f64,
    /// Seed of the bootstrap.
    pub seed: u64,
}

checked!(Params { tree, bootstrap_sampling, drift_window_threshold, drift_detector, switch_significance, seed: any });

impl Default for Params {
    fn default() -> Self {
        Self {
            tree: tree::Params::default(),
            bootstrap_sampling: true,
            drift_window_threshold: 300,
            drift_detector: DetectorKind::default(),
            switch_significance: 0.05,
            seed: 42,
        }
    }
}
