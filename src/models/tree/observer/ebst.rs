//! The extended binary search tree, E-BST: every distinct value of a numeric feature with the statistics of the target
//! there (Ikonomovska, Gama and Džeroski 2011; thresholds are dropped as in Osojnik's variant of 2017, which keeps the
//! left side only).
//!
//! A node counts the target at its own value, so that a sample changes one node; sums at or below a value are made when
//! a split is searched. (In the papers, and in River, a node counts all values at or below its own that pass it: the
//! same sums, kept at a multiple of the cost.)
//!
//! Invariant: `root`, `left` and `right` form a binary search tree over the live nodes, and `free` links the others
//! through `left`. Nodes never move and the tree is never rebalanced: its shape depends only on the order of the
//! samples. All walks are loops with their own stack.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use crate::compact_vec::{bytes_of, push};
use thalweg_metrics::statistics::Var;

use super::{
    super::split::{Criterion, Parts},
    Scratch,
    shortcut::Shortcut,
};
use thalweg_metrics::checked;

/// The error of a search tree that is refused.
const DAMAGED_TREE: &str = "the nodes of a search tree do not form one, or some have seen nothing";

/// The index that stands for no node.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ebst {
    root: u32,
    free: u32,
    nodes: Vec<Node>,
    /// Index from keys in whole units to their nodes.
    #[serde(skip)]
    shortcut: Shortcut,
}

checked!(Ebst { root, free, nodes, shortcut: skipped } then fits);

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    key: f64,
    /// Statistics of the target at `key`, and at dropped nodes between the previous key and this one.
    target: Var,
    left: u32,
    right: u32,
}

checked!(Node { key, target, left, right });

impl Serialize for Node {
    /// Writes a node without field names, which would double its size: nearly all of a state file is nodes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { key, target: Var { n, mean, s }, left, right } = self;
        (key, (n, mean, s), left, right).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Node {
    /// Reads a node with or without field names, which older states have.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a node of a search tree")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, fields: A) -> Result<Node, A::Error> {
        let (key, (n, mean, s), left, right) = Deserialize::deserialize(SeqAccessDeserializer::new(fields))?;
        Ok(Node { key, target: Var { n, mean, s }, left, right })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Node, A::Error> {
        #[derive(Deserialize)]
        struct Named {
            key: f64,
            target: Var,
            left: u32,
            right: u32,
        }
        let Named { key, target, left, right } = Named::deserialize(MapAccessDeserializer::new(fields))?;
        Ok(Node { key, target, left, right })
    }
}

/// The next step in a walk through the tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Visit the subtree of a node, its left side first.
    Down(u32),
    /// Consider the node, between its sides.
    At(u32),
}

/// The link that leads to a node.
#[derive(Clone, Copy, Debug)]
enum Link {
    Root,
    Left(u32),
    Right(u32),
}

impl Default for Ebst {
    fn default() -> Self {
        Self { root: NONE, free: NONE, nodes: Vec::new(), shortcut: Shortcut::default() }
    }
}

impl Ebst {
    /// Counts a target at `key`.
    #[inline]
    pub(super) fn update(&mut self, key: f64, y: f64, weight: f64) {
        self.update_by_walk(key, y, weight);
    }

    /// Counts a target at a key of whole `units`; `key` computes the key.
    #[inline]
    pub(super) fn update_whole(&mut self, units: f64, key: impl FnOnce() -> f64, y: f64, weight: f64) {
        if let Some(node) = self.shortcut.get(units).and_then(|at| self.nodes.get_mut(at as usize)) {
            node.target.update(y, weight);
        } else if let Some(at) = self.update_by_walk(key(), y, weight) {
            self.shortcut.set(units, at, self.nodes.len());
        }
    }

    /// Finds the node or makes it, and counts the target there; `None` if there are four billion nodes already.
    fn update_by_walk(&mut self, key: f64, y: f64, weight: f64) -> Option<u32> {
        let mut link = Link::Root;
        let mut at = self.root;
        while let Some(node) = self.nodes.get_mut(at as usize) {
            if key > node.key {
                link = Link::Right(at);
                at = node.right;
            } else if key < node.key {
                link = Link::Left(at);
                at = node.left;
            } else {
                node.target.update(y, weight);
                return Some(at);
            }
        }
        let mut target = Var::default();
        target.update(y, weight);
        let new = self.insert(Node { key, target, left: NONE, right: NONE })?;
        self.set(link, new);
        Some(new)
    }

    /// Inserts a node and returns its index.
    fn insert(&mut self, node: Node) -> Option<u32> {
        if let Some(free) = self.nodes.get_mut(self.free as usize) {
            let at = self.free;
            self.free = free.left;
            *free = node;
            return Some(at);
        }
        let at = u32::try_from(self.nodes.len()).ok().filter(|at| *at != NONE)?;
        push(&mut self.nodes, node);
        Some(at)
    }

    fn set(&mut self, link: Link, to: u32) {
        match link {
            Link::Root => self.root = to,
            Link::Left(from) => self.nodes[from as usize].left = to,
            Link::Right(from) => self.nodes[from as usize].right = to,
        }
    }

    /// Visits every node with the target's statistics at and below its key, by ascending keys.
    #[inline]
    fn for_each_ascending(&self, stack: &mut Vec<Step>, mut visit: impl FnMut(u32, &Node, Var)) {
        let mut below = Var::default();
        stack.clear();
        if self.root != NONE {
            stack.push(Step::Down(self.root));
        }
        while let Some(step) = stack.pop() {
            match step {
                Step::Down(at) => {
                    stack.push(Step::At(at));
                    let left = self.nodes[at as usize].left;
                    if left != NONE {
                        stack.push(Step::Down(left));
                    }
                }
                Step::At(at) => {
                    let node = &self.nodes[at as usize];
                    below = below.merged(node.target);
                    visit(at, node, below);
                    if node.right != NONE {
                        stack.push(Step::Down(node.right));
                    }
                }
            }
        }
    }

    /// Returns the best threshold, the first among equals; `None` only for an empty tree.
    pub(super) fn best_split(&self, criterion: &Criterion, scratch: &mut Scratch) -> Option<(f64, Parts)> {
        let mut best = None;
        let mut best_merit = f64::NEG_INFINITY;
        self.for_each_ascending(&mut scratch.steps, |_, node, left| {
            let targets = [left, criterion.whole.without(left)];
            let merit = criterion.merit(&targets);
            if merit > best_merit {
                best_merit = merit;
                best = Some(Parts::Threshold { threshold: node.key, targets });
            }
        });
        best.map(|parts| (best_merit, parts))
    }

    /// Drops subtrees of hopeless thresholds after a failed attempt: those whose merit, relative to the best one, is
    /// below `floor`. A node goes only with its whole subtree. Its statistics are then added to the node with the next
    /// higher key, unless that node was added later than all nodes between them.
    pub(super) fn prune(&mut self, criterion: &Criterion, best_merit: f64, floor: f64, scratch: &mut Scratch) {
        let Scratch { steps, frames, below } = scratch;
        below.clear();
        below.resize(self.nodes.len(), Var::default());
        self.for_each_ascending(steps, |at, _, left| below[at as usize] = left);
        // True if the subtree visited last was dropped, or empty.
        let mut gone = true;
        frames.clear();
        if self.root != NONE {
            frames.push(Frame::new(self.root, Link::Root));
        }
        while let Some(frame) = frames.last_mut() {
            let Frame { at, link, phase, orphans } = *frame;
            let node = self.nodes[at as usize];
            match phase {
                Phase::Left => {
                    frame.phase = Phase::Right;
                    gone = true;
                    if node.left != NONE {
                        frames.push(Frame::new(node.left, Link::Left(at)));
                    }
                    continue;
                }
                Phase::Right if gone && node.right != NONE => {
                    frame.phase = Phase::Both;
                    frames.push(Frame::new(node.right, Link::Right(at)));
                    continue;
                }
                // If the left side stays the node stays, too, and its right side is not visited.
                Phase::Right | Phase::Both => {}
            }
            frames.pop();
            if gone {
                let left = below[at as usize];
                let merit = criterion.merit(&[left, criterion.whole.without(left)]);
                gone = merit / best_merit < floor;
            }
            let mut left_over = orphans;
            if gone {
                left_over = node.target.merged(orphans);
                self.set(link, NONE);
                self.nodes[at as usize] = Node { key: node.key, target: Var::default(), left: self.free, right: NONE };
                self.free = at;
            }
            match (link, frames.last_mut()) {
                (Link::Left(above), _) => {
                    let above = &mut self.nodes[above as usize];
                    above.target = above.target.merged(left_over);
                }
                (Link::Right(_), Some(frame)) => frame.orphans = frame.orphans.merged(left_over),
                _ => {}
            }
        }
        let Self { nodes, shortcut, .. } = self;
        shortcut.retain(|at| nodes[at as usize].target.n > 0.0);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        bytes_of(&self.nodes) + Shortcut::heap_bytes(self.nodes.len())
    }

    /// Checks that updates can have left such links and sums, so that no walk can fail or go on forever.
    fn fits(&self) -> Result<(), &'static str> {
        let mut seen = vec![false; self.nodes.len()];
        let mut visit = |at: u32| match seen.get_mut(at as usize) {
            Some(seen) => !std::mem::replace(seen, true),
            None => false,
        };
        let mut open = vec![(self.root, f64::NEG_INFINITY, f64::INFINITY)];
        while let Some((at, above, below)) = open.pop() {
            if at == NONE {
                continue;
            }
            if !visit(at) {
                return Err(DAMAGED_TREE);
            }
            let node = &self.nodes[at as usize];
            if !(node.key > above && node.key < below && node.target.n > 0.0) {
                return Err(DAMAGED_TREE);
            }
            open.push((node.left, above, node.key));
            open.push((node.right, node.key, below));
        }
        let mut free = self.free;
        while free != NONE {
            if !visit(free) {
                return Err(DAMAGED_TREE);
            }
            let node = &self.nodes[free as usize];
            if node.target.n != 0.0 {
                return Err(DAMAGED_TREE);
            }
            free = node.left;
        }
        if seen.into_iter().all(|seen| seen) { Ok(()) } else { Err(DAMAGED_TREE) }
    }
}

/// A node on the way down in [`Ebst::prune`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    at: u32,
    link: Link,
    phase: Phase,
    /// Statistics of dropped nodes on the right side.
    orphans: Var,
}

impl Frame {
    fn new(at: u32, link: Link) -> Self {
        Self { at, link, phase: Phase::Left, orphans: Var::default() }
    }
}

/// The next step of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Left,
    Right,
    /// Both sides are done.
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_with_the_names_of_its_fields_and_without() {
        #[derive(Serialize)]
        struct Named {
            key: f64,
            target: Var,
            left: u32,
            right: u32,
        }
        let node = Node { key: 0.5, target: Var { n: 2.0, mean: -1.0, s: 0.25 }, left: 7, right: NONE };
        let Node { key, target, left, right } = node;
        let named = rmp_serde::to_vec_named(&Named { key, target, left, right }).expect("written");
        let unnamed = rmp_serde::to_vec_named(&node).expect("written");
        assert!(unnamed.len() < named.len());
        for bytes in [named, unnamed] {
            let read: Node = rmp_serde::from_slice(&bytes).expect("read");
            assert_eq!(format!("{read:?}"), format!("{node:?}"));
        }
    }
}
