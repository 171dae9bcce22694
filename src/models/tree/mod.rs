//! The Hoeffding tree regressor: a decision tree that grows leaf by leaf as samples come, with a linear regression in
//! each leaf.
//!
//! Reading order: [`Params`], this file, `core` (shared by all trees), `nodes` (the arena and the way to a leaf),
//! `leaf` (predicting and learning), `observer` (a folder: summaries of a leaf's features), `split` (the merit of a
//! split and its certainty), `grow` (making it), `budget` (the memory budget), [`adaptive`] (following drift),
//! `inspect` and `describe` (a tree as a person sees it).
//!
//! Invariant: all numbers in the state are finite, and so is every prediction. A sample that could break this is
//! refused before anything has changed: see [`MAX_TARGET`] and [`MAX_WEIGHT`]. Iteration orders are fixed, so the same
//! samples give the same bits. What this does not do: adapt to drift.

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

// Parts that rules share with trees.
pub(crate) use leaf::is_plausible;
pub(crate) use observer::{Observers, Scratch as WalkScratch};
pub(crate) use split::{Criterion, hoeffding_bound, two_best};

use self::{core::Core, nodes::NodeId};
use super::{Description, Features, NamedColumn, Refused, Regressor};
use thalweg_metrics::checked;

/// Largest absolute target that is learned: squares of such targets can be summed without overflow.
pub const MAX_TARGET: f64 = 1e100;

/// Largest number of trees that [`HoeffdingTree::predict_all`] predicts with.
pub(super) const MAX_TREES_AT_ONCE: usize = 100;

/// Largest sample weight that is learned.
pub const MAX_WEIGHT: f64 = 1e15;

/// A Hoeffding tree for regression, with River's results (`HoeffdingTreeRegressor` of 0.26.1).
///
/// Domingos and Hulten 2000, "Mining high-speed data streams": a leaf splits once the Hoeffding bound makes it certain
/// enough which feature is best. Ikonomovska, Gama and Džeroski 2011, "Learning model trees from evolving data
/// streams": variance reduction as the measure, E-BST as the summary of a feature, linear models in the leaves.
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
    /// Returns a tree that has learned nothing: a single leaf.
    pub fn new(params: Params) -> Self {
        Self { core: Core::new(params) }
    }

    /// Returns a tree whose leaves each look for splits on a random subset of the features, drawn from `seed`, as in a
    /// forest (Breiman 2001).
    pub fn in_subspaces(params: Params, max_features: MaxFeatures, seed: u64) -> Self {
        Self { core: Core::new(params).in_subspaces(max_features, seed) }
    }

    /// Checks that a sample of this target and weight can be learned.
    ///
    /// # Errors
    /// [`Refused`] if it cannot.
    pub fn accepts(y: f64, weight: f64) -> Result<(), Refused> {
        // Written so that NaN is refused, too.
        if y.abs() <= MAX_TARGET && (0.0..=MAX_WEIGHT).contains(&weight) { Ok(()) } else { Err(Refused) }
    }

    /// Returns the tree's parameters.
    pub fn params(&self) -> &Params {
        &self.core.params
    }

    /// Learns as [`Regressor::learn_one`] does, and calls `watch` if a leaf attempts to split: at most once.
    ///
    /// # Errors
    /// [`Refused`], as [`Regressor::learn_one`].
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

    /// Predicts the same sample with several trees. The walks go down side by side: each has to wait for memory at
    /// every step, and so they wait together. `tree` returns as many trees as there are `predictions`, at most
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
        let mut walking = true;
        while walking {
            walking = false;
            for (i, at) in walks.iter_mut().enumerate() {
                if let Some(next) = tree(i).and_then(|tree| tree.core.nodes.next(*at, x)) {
                    *at = next;
                    walking = true;
                }
            }
        }
        for (i, (prediction, at)) in predictions.iter_mut().zip(walks).enumerate() {
            *prediction = tree(i).map_or(0.0, |tree| tree.core.predict(*at, x, |_, _| {}));
        }
    }

    /// Learns a sample that it [accepts](Self::accepts) and whose weight is over 0. Returns the prediction of the leaf
    /// before it learned, which costs nothing here.
    pub(super) fn learn_accepted(&mut self, x: Features<'_>, y: f64, weight: f64) -> f64 {
        self.core.learn_in_main(x, y, weight, &mut |_| {})
    }
}

impl Regressor for HoeffdingTree {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        self.core.predict(self.core.nodes.root, x, |_, _| {})
    }

    /// Refuses targets beyond [`MAX_TARGET`] and weights that are negative or beyond [`MAX_WEIGHT`]. A weight
    /// of 0 changes nothing. If only the linear model of the leaf refuses, the rest of the leaf learns.
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
