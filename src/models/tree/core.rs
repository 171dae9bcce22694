//! What every tree is made of: nodes that learn and split, within a budget.
//!
//! Invariant: all numbers are finite; a sample that could break this is refused before anything has changed.
//! What this does not do: decide which subtree a sample goes to where there are several, see `adaptive`.

use serde::{Deserialize, Serialize};

use crate::{
    metrics::statistics::Var,
    models::{Features, Refused},
};

use super::{
    Attempt, HoeffdingTree, MaxFeatures, Params, grow,
    nodes::{NodeId, Nodes, Start},
    subspace::Subspace,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Core {
    pub(super) params: Params,
    /// All targets so far: what is usual.
    pub(super) targets: Var,
    pub(super) nodes: Nodes,
    /// Which features a leaf looks at, where these are not all.
    subspace: Option<Box<Subspace>>,
    /// Samples to be learned before the budget is looked at again.
    pub(super) next_look: u64,
    /// Bytes within the budget that are not of the nodes.
    pub(super) besides: usize,
    #[serde(skip)]
    pub(super) scratch: grow::Scratch,
}

impl Core {
    /// A single leaf that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        let nodes = Nodes::new(&params);
        let scratch = grow::Scratch::default();
        Self { params, targets: Var::default(), nodes, subspace: None, next_look: 0, besides: 0, scratch }
    }

    /// The same with leaves that look at random features each.
    pub(super) fn in_subspaces(mut self, max_features: MaxFeatures, seed: u64) -> Self {
        self.subspace = Some(Box::new(Subspace::new(max_features, seed)));
        self
    }

    /// Counts the target of a sample that is to be learned.
    pub(super) fn accept(&mut self, y: f64, weight: f64) -> Result<(), Refused> {
        HoeffdingTree::accepts(y, weight)?;
        if weight > 0.0 {
            self.targets.update(y, weight);
        }
        Ok(())
    }

    /// Learns a sample that has been accepted, with a weight over 0, below `start`. Returns the branch that is there now,
    /// where the walk began at a leaf that has split.
    #[inline]
    pub(super) fn learn(
        &mut self,
        start: Start,
        x: Features<'_>,
        y: f64,
        weight: f64,
        watch: &mut impl FnMut(Attempt<'_>),
    ) -> Option<NodeId> {
        let arrival = self.nodes.descend(start, x, weight, &self.params);
        self.nodes.leaves[arrival.leaf].learn(x, y, weight, &self.params, self.subspace.as_deref_mut());
        let branch = self.grow(start, arrival, x, watch);
        self.keep_within_budget(x.len());
        branch.filter(|_| arrival.from.is_none())
    }

    /// The prediction below `at`, calling `pass` with the branches on the way and the arms taken.
    #[inline]
    pub(super) fn predict(&self, at: NodeId, x: Features<'_>, pass: impl FnMut(usize, usize)) -> f64 {
        if self.targets.n == 0.0 {
            return 0.0;
        }
        self.nodes.find(at, x, pass).predict(x, &self.params, &self.targets)
    }

    /// Whether all that is there can be; `also` names what is below a branch besides its arms.
    pub(super) fn is_sound(&self, also: impl Fn(usize) -> Option<NodeId>) -> bool {
        let Var { n, mean, s } = self.targets;
        [n, mean, s].iter().all(|number| number.is_finite()) && self.nodes.is_sound(also)
    }
}
