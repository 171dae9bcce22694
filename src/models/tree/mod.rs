//! The Hoeffding tree regressor: a decision tree that grows leaf by leaf as samples come, with a linear regression in
//! each leaf.
//!
//! Reading order: [`Params`], this file, `core` (what all trees are made of), `nodes` (the arena and the way to a leaf),
//! `leaf` (predicting and learning), `observer` (a folder: what a leaf remembers of its features), `split` (what a split
//! is worth and when it is certain), `grow` (making it), `budget` (who may still grow), [`adaptive`] (following drift),
//! `inspect` and `describe` (what a person may see), `restore` (reading a saved tree).
//!
//! Invariant: all numbers in the state are finite, and so is every prediction. What could break this is refused before
//! anything has changed: see [`MAX_TARGET`] and [`MAX_WEIGHT`]. Iteration orders are fixed, so the same samples
//! give the same bits. What this does not do: adapt to drift.

pub mod adaptive;
mod budget;
mod core;
mod describe;
mod grow;
mod inspect;
mod leaf;
mod nodes;
mod observer;
mod params;
mod split;
mod subspace;

use serde::{Deserialize, Serialize};

pub use inspect::{Node, NodeKind, Summary, Test};
pub use params::{LeafPrediction, Params, Splitter};
pub use split::{Attempt, Candidate, Parts};
pub use subspace::MaxFeatures;

// What rules share with trees.
pub(crate) use leaf::is_plausible;
pub(crate) use observer::{Observers, Scratch as WalkScratch};
pub(crate) use split::{Criterion, hoeffding_bound, two_best};

use self::{core::Core, nodes::NodeId};
use super::{Description, Features, NamedColumn, Refused, Regressor};
use thalweg_metrics::checked;

/// Targets beyond this, either way, are refused: the squares of smaller ones can be summed up for ever.
pub const MAX_TARGET: f64 = 1e100;

/// The most trees that [`HoeffdingTree::predict_all`] asks at once.
pub(super) const MAX_TREES_AT_ONCE: usize = 100;

/// Sample weights beyond this are refused.
pub const MAX_WEIGHT: f64 = 1e15;

/// A Hoeffding tree for regression, with River's results (`HoeffdingTreeRegressor` of 0.26.1).
///
/// Domingos and Hulten 2000, "Mining high-speed data streams": a leaf splits once the Hoeffding bound makes it certain
/// enough which feature is best. Ikonomovska, Gama and Džeroski 2011, "Learning model trees from evolving data streams":
/// variance reduction as the measure, E-BST as the memory of a feature, linear models in the leaves.
///
/// A sample that does not know the feature of a split goes to the heavier side, and causes no attempt to split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HoeffdingTree {
    core: Core,
}

checked!(HoeffdingTree { core } then fits);

impl HoeffdingTree {
    fn fits(&self) -> Result<(), &'static str> {
        self.core.fits(|_| None)
    }
}

impl HoeffdingTree {
    /// A tree that has learned nothing: a single leaf.
    pub fn new(params: Params) -> Self {
        Self { core: Core::new(params) }
    }

    /// A tree each of whose leaves looks for splits on a random subset of the features, drawn from `seed`, as the trees of
    /// a forest do (Breiman 2001).
    pub fn in_subspaces(params: Params, max_features: MaxFeatures, seed: u64) -> Self {
        Self { core: Core::new(params).in_subspaces(max_features, seed) }
    }

    /// Whether a sample of this target and weight would be learned.
    ///
    /// # Errors
    /// [`Refused`] where it would not be.
    pub fn accepts(y: f64, weight: f64) -> Result<(), Refused> {
        // Written so that NaN is refused, too.
        if y.abs() <= MAX_TARGET && (0.0..=MAX_WEIGHT).contains(&weight) { Ok(()) } else { Err(Refused) }
    }

    /// What the tree was configured with.
    pub fn params(&self) -> &Params {
        &self.core.params
    }

    /// As [`Regressor::learn_one`], calling `watch` when a leaf attempts to split: at most once.
    ///
    /// # Errors
    /// [`Refused`] as of [`Regressor::learn_one`].
    pub fn learn_one_watched(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        mut watch: impl FnMut(Attempt<'_>),
    ) -> Result<(), Refused> {
        Self::accepts(y, weight)?;
        if weight > 0.0 {
            self.core.learn_in_main(x, y, weight, &mut watch);
        }
        Ok(())
    }

    /// The predictions of several trees for the same sample. The walks go down side by side: each has to wait for memory at
    /// every step, and so they wait together. `tree` gives as many trees as there are `predictions`, at most
    /// [`MAX_TREES_AT_ONCE`].
    pub(super) fn predict_all<'a>(
        tree: impl Fn(usize) -> Option<&'a HoeffdingTree>,
        x: Features<'_>,
        predictions: &mut [f64],
    ) {
        let mut walks = [NodeId::leaf(0); MAX_TREES_AT_ONCE];
        let walks = &mut walks[..predictions.len()];
        for (i, at) in walks.iter_mut().enumerate() {
            *at = tree(i).map_or(*at, |tree| tree.core.nodes.root);
        }
        let mut on_the_way = true;
        while on_the_way {
            on_the_way = false;
            for (i, at) in walks.iter_mut().enumerate() {
                if let Some(next) = tree(i).and_then(|tree| tree.core.nodes.next(*at, x)) {
                    *at = next;
                    on_the_way = true;
                }
            }
        }
        for (i, (prediction, at)) in predictions.iter_mut().zip(walks).enumerate() {
            *prediction = tree(i).map_or(0.0, |tree| tree.core.predict(*at, x, |_, _| {}));
        }
    }

    /// As [`Regressor::learn_one`] for a sample that it [accepts](Self::accepts) and whose weight is over 0. Returns what
    /// the leaf that learned it had predicted, which is at no cost here.
    pub(super) fn learn_accepted(&mut self, x: Features<'_>, y: f64, weight: f64) -> f64 {
        self.core.learn_in_main(x, y, weight, &mut |_| {})
    }
}

impl Regressor for HoeffdingTree {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        self.core.predict(self.core.nodes.root, x, |_, _| {})
    }

    /// Refuses targets beyond [`MAX_TARGET`] and weights that are negative or beyond [`MAX_WEIGHT`]. A weight
    /// of 0 changes nothing. Where only the linear model of the leaf refuses, the rest of the leaf learns.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        self.learn_one_watched(x, y, weight, |_| {})
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.core.heap_bytes()
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::Tree(self.described(columns))
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}
