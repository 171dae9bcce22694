//! A bound on what a tree takes, and what gives way when it is reached.
//!
//! Observers take nearly all of a tree's memory, and serve only to find splits. So the least promising leaves stop
//! observing: they go on predicting and learning, but do not split any more (Domingos and Hulten 2000, section 3).
//!
//! Invariant: after a sample the tree takes no more than its budget, unless even without a single observer it would. What
//! is counted follows from what was learned alone, so that a restored tree decides as one that was never saved.

use super::{Params, core::Core, leaf::Leaf, nodes::Branch, observer};
use crate::linear::Weights;

/// Leaves stop observing until so much of the budget is in use: room to go on with, so that this is seldom needed.
const ROOM_AT: f64 = 0.9;

/// A tree that has so much of its budget in use is full. Near its budget it has to be looked at more and more often, so
/// that the last bit costs more than it is worth.
const FULL_AT: f64 = 0.95;

/// Leaves may begin to observe again when less is in use.
const SPARE_AT: f64 = 0.7;

/// Samples between two looks at a tree in which no leaf observes: it hardly grows.
const AT_REST: u64 = 10_000;

impl Core {
    /// To be called with the number of columns for each sample a leaf has learned.
    #[inline]
    pub(super) fn keep_within_budget(&mut self, d: usize) {
        match self.next_look.checked_sub(1) {
            Some(left) => self.next_look = left,
            None => self.look(d),
        }
    }

    #[cold]
    fn look(&mut self, d: usize) {
        let budget = self.params.max_bytes.saturating_sub(self.besides);
        let mut bytes = self.heap_bytes();
        if bytes as f64 > FULL_AT * budget as f64 {
            bytes = self.silence(bytes, (ROOM_AT * budget as f64) as usize);
        } else if (bytes as f64) < SPARE_AT * budget as f64 {
            self.wake(bytes, (SPARE_AT * budget as f64) as usize);
        }
        let active = self.nodes.leaves.iter().any(|leaf| leaf.observers.is_some());
        let least = if active { 0 } else { AT_REST };
        self.next_look = ((budget.saturating_sub(bytes) / self.growth(d)) as u64).max(least);
    }

    /// What one more sample can add at most: a node for each column, and a leaf for a split.
    fn growth(&self, d: usize) -> usize {
        let model = d * (size_of::<f64>() + Weights::memory_per_column(&self.params.leaf_model));
        let looked_at = self.subspace.as_ref().map_or(d, |subspace| subspace.size(d));
        size_of::<Leaf>() + size_of::<Branch>() + model + looked_at * observer::MAX_NODE_BYTES * 9 / 8
    }

    /// Lets the least promising leaves stop observing until no more than `most` bytes are in use; what is in use then.
    fn silence(&mut self, mut bytes: usize, most: usize) -> usize {
        for at in self.by_promise(|leaf| leaf.observers.is_some()) {
            if bytes <= most {
                break;
            }
            let observers = self.nodes.leaves[at].observers.take();
            bytes = bytes.saturating_sub(observers.map_or(0, |observers| observers.heap_bytes()));
        }
        bytes
    }

    /// Lets the most promising leaves observe again, as many as will fit into `most` bytes once they have as much to
    /// remember as the others.
    fn wake(&mut self, bytes: usize, most: usize) {
        let deepest = self.params.deepest();
        let asleep = self.by_promise(|leaf| leaf.observers.is_none() && leaf.depth < deepest);
        if asleep.is_empty() {
            return;
        }
        let usual = (bytes / self.nodes.leaves.len()).max(observer::MAX_NODE_BYTES * 100);
        for at in asleep.into_iter().rev().take(most.saturating_sub(bytes) / usual) {
            let leaf = &mut self.nodes.leaves[at];
            leaf.observers = Some(observer::Observers::default());
            leaf.last_attempt = leaf.target.n;
        }
    }

    /// The leaves that `fit`, least promising first.
    fn by_promise(&self, fit: impl Fn(&Leaf) -> bool) -> Vec<usize> {
        let leaves = self.nodes.leaves.iter().enumerate().filter(|(_, leaf)| fit(leaf));
        let mut ranked: Vec<(f64, usize)> = leaves.map(|(at, leaf)| (leaf.promise(&self.params), at)).collect();
        // Ties by index: the order must not depend on how they are sorted.
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, at)| at).collect()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes()
    }
}

/// How deep River's trees grow by default: Python's recursion limit, less 20.
const RIVERS_MAX_DEPTH: u32 = 980;

impl Params {
    /// The level at which leaves do not split any more.
    pub(super) fn deepest(&self) -> u32 {
        self.max_depth.unwrap_or(RIVERS_MAX_DEPTH)
    }
}
