//! The memory budget of a tree: when it is used up, leaves are deactivated.
//!
//! Observers take nearly all of a tree's memory, and serve only to find splits. So the least promising leaves stop
//! observing: they go on predicting and learning, but do not split any more (Domingos and Hulten 2000, section 3).
//!
//! Invariant: after a sample the tree takes no more than its budget, unless it would without a single observer. The
//! bytes counted depend only on what was learned, so that a restored tree decides as one that was never saved.

use super::{Params, core::Core, leaf::Leaf, nodes::Branch, observer};
use crate::linear::Weights;

/// Share of the budget in use down to which leaves are deactivated: it leaves room, so that this happens rarely.
const DEACTIVATE_DOWN_TO: f64 = 0.9;

/// Share of the budget in use above which a tree is full. The nearer a tree is to its budget the more often it has to
/// be checked, so that using the last bit costs more than it is worth.
const FULL_SHARE: f64 = 0.95;

/// Share of the budget in use below which leaves may be reactivated.
const REACTIVATE_BELOW: f64 = 0.7;

/// Samples between two checks of a tree without active leaves: it hardly grows.
const INACTIVE_CHECK_INTERVAL: u64 = 10_000;

impl Core {
    /// Counts down to the next check. Call it for each sample a leaf has learned, with the number of columns.
    #[inline]
    pub(super) fn keep_within_budget(&mut self, d: usize) {
        match self.next_look.checked_sub(1) {
            Some(left) => self.next_look = left,
            None => self.check_budget(d),
        }
    }

    #[cold]
    fn check_budget(&mut self, d: usize) {
        let budget = self.params.max_bytes.saturating_sub(self.besides);
        let mut bytes = self.heap_bytes();
        if bytes as f64 > FULL_SHARE * budget as f64 {
            bytes = self.deactivate_leaves(bytes, (DEACTIVATE_DOWN_TO * budget as f64) as usize);
        } else if (bytes as f64) < REACTIVATE_BELOW * budget as f64 {
            self.reactivate_leaves(bytes, (REACTIVATE_BELOW * budget as f64) as usize);
        }
        let active = self.nodes.leaves.iter().any(|leaf| leaf.observers.is_some());
        let min_interval = if active { 0 } else { INACTIVE_CHECK_INTERVAL };
        self.next_look = ((budget.saturating_sub(bytes) / self.growth(d)) as u64).max(min_interval);
    }

    /// Returns the most bytes that one more sample can add: a node for each column, and a leaf for a split.
    fn growth(&self, d: usize) -> usize {
        let model = d * (size_of::<f64>() + Weights::memory_per_column(&self.params.leaf_model));
        let looked_at = self.subspace.as_ref().map_or(d, |subspace| subspace.size(d));
        size_of::<Leaf>() + size_of::<Branch>() + model + looked_at * observer::MAX_NODE_BYTES * 9 / 8
    }

    /// Deactivates the least promising leaves until no more than `max_bytes` are in use. Returns the bytes then in use.
    fn deactivate_leaves(&mut self, mut bytes: usize, max_bytes: usize) -> usize {
        for at in self.by_promise(|leaf| leaf.observers.is_some()) {
            if bytes <= max_bytes {
                break;
            }
            let observers = self.nodes.leaves[at].observers.take();
            bytes = bytes.saturating_sub(observers.map_or(0, |observers| observers.heap_bytes()));
        }
        bytes
    }

    /// Reactivates the most promising leaves, as many as will fit into `max_bytes` once they take as much as the
    /// others.
    fn reactivate_leaves(&mut self, bytes: usize, max_bytes: usize) {
        let max_depth = self.params.depth_limit();
        let inactive = self.by_promise(|leaf| leaf.observers.is_none() && leaf.depth < max_depth);
        if inactive.is_empty() {
            return;
        }
        let mean_bytes = (bytes / self.nodes.leaves.len()).max(observer::MAX_NODE_BYTES * 100);
        for at in inactive.into_iter().rev().take(max_bytes.saturating_sub(bytes) / mean_bytes) {
            let leaf = &mut self.nodes.leaves[at];
            leaf.observers = Some(observer::Observers::default());
            leaf.last_attempt = leaf.target.n;
        }
    }

    /// Returns the leaves for which `eligible` holds, least promising first.
    fn by_promise(&self, eligible: impl Fn(&Leaf) -> bool) -> Vec<usize> {
        let leaves = self.nodes.leaves.iter().enumerate().filter(|(_, leaf)| eligible(leaf));
        let mut ranked: Vec<(f64, usize)> = leaves.map(|(at, leaf)| (leaf.promise(&self.params), at)).collect();
        // Ties by index: the order must not depend on how they are sorted.
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, at)| at).collect()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes()
    }
}

/// Default maximum depth of River's trees: Python's recursion limit, less 20.
const RIVER_MAX_DEPTH: u32 = 980;

impl Params {
    /// Returns the level at which leaves do not split any more.
    pub(super) fn depth_limit(&self) -> u32 {
        self.max_depth.unwrap_or(RIVER_MAX_DEPTH)
    }
}
