//! The core that all trees share: nodes that learn and split, within a budget.
//!
//! Invariant: all numbers are finite; a sample that could break this is refused before anything has changed.
//! What this does not do: choose among several subtrees for a sample, see `adaptive`.

use serde::{Deserialize, Serialize};

use crate::{Features, linear::StepBuffers};
use thalweg_metrics::statistics::Var;

use super::{
    Attempt, MaxFeatures, Params, grow,
    leaf::LeafContext,
    nodes::{NodeId, Nodes, Start},
    subspace::Subspace,
};
use thalweg_metrics::checked;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Core {
    pub(super) params: Params,
    /// Statistics of all targets so far, against which predictions are judged plausible.
    pub(super) targets: Var,
    pub(super) nodes: Nodes,
    /// Draws the features a leaf looks at; `None` if it looks at all.
    pub(super) subspace: Option<Box<Subspace>>,
    /// Number of samples before the budget is checked again.
    pub(super) next_look: u64,
    /// Bytes within the budget that are taken by other things than nodes.
    pub(super) besides: usize,
    #[serde(skip)]
    pub(super) scratch: grow::Scratch,
    #[serde(skip)]
    draft: StepBuffers,
}

// A budget may have any size, and so may the countdown to its next check.
checked!(Core { params, targets, nodes, subspace, next_look: any, besides, scratch: skipped, draft: skipped });

/// The outcome of learning a sample.
pub(super) struct Learned {
    /// Prediction of the leaf before it learned.
    pub(super) prediction: f64,
    /// The new branch where the walk began, if that was a leaf that has split.
    pub(super) root: Option<NodeId>,
}

impl Core {
    /// Returns a single leaf that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        let nodes = Nodes::new(&params);
        let (scratch, draft) = (grow::Scratch::default(), StepBuffers::default());
        Self { params, targets: Var::default(), nodes, subspace: None, next_look: 0, besides: 0, scratch, draft }
    }

    /// Makes each leaf look at its own random features.
    pub(super) fn in_subspaces(mut self, max_features: MaxFeatures, seed: u64) -> Self {
        self.subspace = Some(Box::new(Subspace::new(max_features, seed)));
        self
    }

    /// Learns a sample that the tree accepts, with a weight over 0, below `start`.
    #[inline]
    pub(super) fn learn(
        &mut self,
        start: Start,
        x: Features<'_>,
        y: f64,
        weight: f64,
        watch: &mut impl FnMut(Attempt<'_>),
    ) -> Learned {
        let arrival = self.nodes.descend(start, x, weight, &self.params);
        let Self { params, targets, nodes, subspace, draft, .. } = self;
        let mut tree = LeafContext { params, targets, subspace: subspace.as_deref_mut(), draft };
        let prediction = nodes.leaves[arrival.leaf].learn(x, y, weight, &mut tree);
        let branch = self.grow(start, arrival, x, watch);
        self.keep_within_budget(x.len());
        Learned { prediction, root: branch.filter(|_| arrival.from.is_none()) }
    }

    /// Learns a sample that the tree accepts, with a weight over 0, in the main tree. Returns the prediction of the
    /// leaf before it learned.
    #[inline]
    pub(super) fn learn_in_main(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        watch: &mut impl FnMut(Attempt<'_>),
    ) -> f64 {
        let learned = self.learn(self.nodes.start(), x, y, weight, watch);
        if let Some(root) = learned.root {
            self.nodes.root = root;
        }
        self.targets.update(y, weight);
        learned.prediction
    }

    /// Predicts from `at` down, calling `pass` with the branches on the way and the arms taken.
    #[inline]
    pub(super) fn predict(&self, at: NodeId, x: Features<'_>, pass: impl FnMut(usize, usize)) -> f64 {
        if self.targets.n == 0.0 {
            return 0.0;
        }
        self.nodes.find(at, x, pass).predict(x, &self.params, &self.targets)
    }

    /// Checks that the nodes form a tree, where `also` names a subtree below a branch besides its arms.
    pub(super) fn fits(&self, also: impl Fn(usize) -> Option<Start>) -> Result<(), &'static str> {
        let reached = self.nodes.reached(also);
        let complete = reached.is_some_and(|reached| reached.iter().flatten().all(|seen| *seen));
        if complete { Ok(()) } else { Err("the saved tree is damaged: its nodes do not form a tree") }
    }
}
