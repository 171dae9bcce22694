//! The parameters of a Hoeffding tree, under River's names.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// The prediction of a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeafPrediction {
    /// The mean of the targets it has seen.
    Mean,
    /// Its linear regression.
    Model,
    /// The one of the two with the lower faded squared error.
    #[default]
    Adaptive,
}

checked!(enum LeafPrediction = Mean | Model | Adaptive);

/// A leaf's summary of a numeric feature, for finding a split point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Splitter {
    /// Extended binary search tree (Ikonomovska, Gama and Džeroski 2011): exact, a node per distinct value.
    Ebst,
    /// E-BST over values rounded to `digits` decimals.
    Tebst {
        /// Decimals kept, 0 to 15; default 1.
        digits: u8,
    },
    /// Quantization observer (Mastelini and de Carvalho 2021): hash slots of a fixed `radius`.
    Qo {
        /// Width of a slot, > 0; default 0.25.
        radius: f64,
    },
}

checked!(enum Splitter { Ebst, Tebst { digits }, Qo { radius } });

/// Parameters of [`super::HoeffdingTree`]; the defaults are River's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Number of samples a leaf sees between split attempts, ≥ 1.
    pub grace_period: u32,
    /// Deepest level of a leaf, ≥ 1; `None` is River's limit of 980.
    pub max_depth: Option<u32>,
    /// Significance of the Hoeffding bound, 0 < delta < 1: the chance of choosing a worse split.
    pub delta: f64,
    /// Hoeffding bound below which the two best splits count as tied, 0 to 1.
    pub tau: f64,
    /// Prediction of a leaf.
    pub leaf_prediction: LeafPrediction,
    /// Parameters of the linear regression in the leaves.
    pub leaf_model: crate::linear::Params,
    /// Fading of the errors that choose between mean and model, 0 < decay ≤ 1.
    pub model_selector_decay: f64,
    /// Summary of numeric features.
    pub splitter: Splitter,
    /// Minimum number of samples on each side of a split, ≥ 1.
    pub min_samples_split: u32,
    /// True to split a nominal feature into two branches (one category against the rest), not into one per category.
    pub binary_split: bool,
    /// True to split only if a split is better than none.
    pub merit_preprune: bool,
    /// True to stop observing features whose merit is hopeless.
    pub remove_poor_attrs: bool,
    /// Memory budget of the tree in bytes; beyond it the least promising leaves stop looking for splits.
    pub max_bytes: usize,
}

checked!(Params {
    grace_period,
    max_depth,
    delta,
    tau,
    leaf_prediction,
    leaf_model,
    model_selector_decay,
    splitter,
    min_samples_split,
    binary_split,
    merit_preprune,
    remove_poor_attrs,
    max_bytes: any,
});

impl Default for Params {
    fn default() -> Self {
        Self {
            grace_period: 200,
            max_depth: None,
            delta: 1e-7,
            tau: 0.05,
            leaf_prediction: LeafPrediction::default(),
            leaf_model: crate::linear::Params::river(),
            model_selector_decay: 0.95,
            splitter: Splitter::Tebst { digits: 1 },
            min_samples_split: 5,
            binary_split: false,
            merit_preprune: true,
            remove_poor_attrs: false,
            max_bytes: 2 << 20,
        }
    }
}
