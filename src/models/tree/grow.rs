//! Growing: when a leaf has seen enough, the best split is found, judged and made.
//!
//! Invariant: a leaf that splits gives each child its part of the target's statistics and a copy of its model, so that
//! predictions go on from where they were.

use crate::Features;

use super::{
    core::Core,
    nodes::{Arrival, NodeId, Nodes, Start},
    observer,
    params::Params,
    split::{self, Attempt, Candidate, Criterion},
};

/// Buffers of an attempt, kept so that attempts do not allocate.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    walk: observer::Scratch,
    candidates: Vec<Candidate>,
}

impl Core {
    /// Attempts to split the leaf that has just learned `x`, if that is due. Returns the branch that has replaced it.
    #[inline]
    pub(super) fn grow(
        &mut self,
        start: Start,
        arrival: Arrival,
        x: Features<'_>,
        watch: &mut impl FnMut(Attempt<'_>),
    ) -> Option<NodeId> {
        let Self { params, nodes, scratch, .. } = self;
        let leaf = &mut nodes.leaves[arrival.leaf];
        if !arrival.direct || leaf.observers.is_none() {
            return None;
        }
        if leaf.depth >= params.depth_limit() {
            leaf.observers = None;
            return None;
        }
        if leaf.target.n - leaf.last_attempt < f64::from(params.grace_period) {
            return None;
        }
        attempt(nodes, start, arrival, x, params, scratch, watch)
    }
}

fn attempt(
    nodes: &mut Nodes,
    start: Start,
    arrival: Arrival,
    x: Features<'_>,
    params: &Params,
    scratch: &mut Scratch,
    watch: &mut impl FnMut(Attempt<'_>),
) -> Option<NodeId> {
    let Scratch { walk, candidates } = scratch;
    let leaf = &mut nodes.leaves[arrival.leaf];
    let (depth, weight) = (leaf.depth, leaf.target.n);
    leaf.last_attempt = weight;
    let observers = leaf.observers.as_mut()?;

    let criterion = Criterion::new(leaf.target, params);
    observers.propose(&criterion, params.binary_split, walk, candidates);
    let bound = split::hoeffding_bound(params.delta, weight);
    let (best, second) = split::two_best(candidates);
    let certain = best.is_some_and(|best| split::is_certain(&criterion, best, second, bound, params));
    watch(Attempt { depth, weight, bound, best, second, split: certain });

    let best = best?;
    if certain {
        return Some(nodes.split(start, arrival, x, best.feature, &best.parts));
    }
    let second = second?;
    if best.merit <= 0.0 {
        return None;
    }
    // A split this much worse than the second best will hardly ever become the best.
    let floor = second.merit / best.merit - 2.0 * bound;
    if params.remove_poor_attrs {
        for poor in candidates.iter().filter(|candidate| candidate.merit / best.merit < floor) {
            observers.disable(poor.feature);
        }
    }
    if second.merit > 0.0 {
        observers.prune(&criterion, best.merit, floor, walk);
    }
    None
}
