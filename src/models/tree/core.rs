//! What every tree is made of: nodes that learn and split, within a budget.
//!
//! Invariant: all numbers are finite; a sample that could break this is refused before anything has changed.
//! What this does not do: decide which subtree a sample goes to where there are several, see `adaptive`.

use serde::{Deserialize, Serialize};

use crate::{Features, linear::Draft};
use thalweg_metrics::statistics::Var;

use super::{
    Attempt, MaxFeatures, Params, grow,
    leaf::Surroundings,
    nodes::{NodeId, Nodes, Start},
    subspace::Subspace,
};
use thalweg_metrics::checked;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Core {
    pub(super) params: Params,
    /// All targets so far: what is usual.
    pub(super) targets: Var,
    pub(super) nodes: Nodes,
    /// Which features a leaf looks at, where these are not all.
    pub(super) subspace: Option<Box<Subspace>>,
    /// Samples to be learned before the budget is looked at again.
    pub(super) next_look: u64,
    /// Bytes within the budget that are not of the nodes.
    pub(super) besides: usize,
    #[serde(skip)]
    pub(super) scratch: grow::Scratch,
    #[serde(skip)]
    draft: Draft,
}

// A budget has any size, and so has what may still be learned within it.
checked!(Core { params, targets, nodes, subspace, next_look: any, besides, scratch: skipped, draft: skipped });

/// What has come of learning a sample.
pub(super) struct Learned {
    /// What the leaf had predicted.
    pub(super) prediction: f64,
    /// The branch where the walk began, where that was a leaf that has split.
    pub(super) root: Option<NodeId>,
}

impl Core {
    /// A single leaf that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        let nodes = Nodes::new(&params);
        let (scratch, draft) = (grow::Scratch::default(), Draft::default());
        Self { params, targets: Var::default(), nodes, subspace: None, next_look: 0, besides: 0, scratch, draft }
    }

    /// The same with leaves that look at random features each.
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
        let mut tree = Surroundings { params, usual: targets, subspace: subspace.as_deref_mut(), draft };
        let prediction = nodes.leaves[arrival.leaf].learn(x, y, weight, &mut tree);
        let branch = self.grow(start, arrival, x, watch);
        self.keep_within_budget(x.len());
        Learned { prediction, root: branch.filter(|_| arrival.from.is_none()) }
    }

    /// Learns a sample that the tree accepts, with a weight over 0, in the tree itself. Returns what was predicted by the
    /// leaf that has learned it.
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

    /// The prediction below `at`, calling `pass` with the branches on the way and the arms taken.
    #[inline]
    pub(super) fn predict(&self, at: NodeId, x: Features<'_>, pass: impl FnMut(usize, usize)) -> f64 {
        if self.targets.n == 0.0 {
            return 0.0;
        }
        self.nodes.find(at, x, pass).predict(x, &self.params, &self.targets)
    }

    /// Whether the nodes form a tree, where `also` names what is below a branch besides its arms.
    pub(super) fn fits(&self, also: impl Fn(usize) -> Option<Start>) -> Result<(), &'static str> {
        let reached = self.nodes.reached(also);
        let all = reached.is_some_and(|reached| reached.iter().flatten().all(|seen| *seen));
        if all { Ok(()) } else { Err("the saved tree is damaged: its nodes do not form a tree") }
    }
}
