//! The extended binary search tree, E-BST: every distinct value of a numeric feature, each with the statistics of the
//! target at and below it within its subtree (Ikonomovska, Gama and Džeroski 2011, in the variant of Osojnik 2017 that
//! keeps the left side only).
//!
//! Invariant: `root`, `left` and `right` form a binary search tree over the live nodes, and `free` links the others
//! through `left`. Nodes never move, the tree is never rebalanced: which node holds which sums follows from the order of
//! the samples alone. All walks are loops with their own stack.

use serde::{Deserialize, Serialize};

use crate::metrics::statistics::Var;

use super::{
    super::{
        room::{push, with_slack},
        split::{Criterion, Parts},
    },
    Scratch,
};

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ebst {
    root: u32,
    free: u32,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    key: f64,
    /// The target of the values that came here and were at or below `key`.
    target: Var,
    left: u32,
    right: u32,
}

/// What to do next in a walk through the tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Visit the subtree of a node, its left side first.
    Down(u32),
    /// Consider the node, between its sides.
    At(u32),
    /// The right side of the node is done.
    Back(u32),
}

/// Which node leads to another.
#[derive(Clone, Copy, Debug)]
enum Link {
    Root,
    Left(u32),
    Right(u32),
}

impl Default for Ebst {
    fn default() -> Self {
        Self { root: NONE, free: NONE, nodes: Vec::new() }
    }
}

impl Ebst {
    pub(super) fn update(&mut self, key: f64, y: f64, weight: f64) {
        let mut link = Link::Root;
        let mut at = self.root;
        while let Some(node) = self.nodes.get_mut(at as usize) {
            if key > node.key {
                link = Link::Right(at);
                at = node.right;
                continue;
            }
            node.target.update(y, weight);
            if key == node.key {
                return;
            }
            link = Link::Left(at);
            at = node.left;
        }
        let mut target = Var::default();
        target.update(y, weight);
        let node = Node { key, target, left: NONE, right: NONE };
        if let Some(new) = self.insert(node) {
            self.set(link, new);
        }
    }

    /// The place of a new node, or `None` where four billion are not enough.
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

    /// The best threshold, the first among equals; `None` only for an empty tree.
    pub(super) fn best_split(&self, criterion: &Criterion, scratch: &mut Scratch) -> Option<(f64, Parts)> {
        let stack = &mut scratch.steps;
        let mut best = None;
        let mut best_merit = f64::NEG_INFINITY;
        // The target at and below all nodes whose right side the walk is in.
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
                    let left = node.target.merged(below);
                    let targets = [left, criterion.whole.without(left)];
                    let merit = criterion.merit(&targets);
                    if merit > best_merit {
                        best_merit = merit;
                        best = Some(Parts::Threshold { threshold: node.key, targets });
                    }
                    if node.right != NONE {
                        below = below.merged(node.target);
                        stack.push(Step::Back(at));
                        stack.push(Step::Down(node.right));
                    }
                }
                Step::Back(at) => below = below.without(self.nodes[at as usize].target),
            }
        }
        best.map(|parts| (best_merit, parts))
    }

    /// Drops subtrees of hopeless thresholds after a failed attempt: those whose merit, relative to the best one, is
    /// below `floor`. A node goes only when its whole subtree goes, so that no sums need to change.
    pub(super) fn prune(&mut self, criterion: &Criterion, best_merit: f64, floor: f64, scratch: &mut Scratch) {
        let frames = &mut scratch.frames;
        let mut below = Var::default();
        // Whether the subtree left last was dropped, or empty.
        let mut gone = true;
        frames.clear();
        if self.root != NONE {
            frames.push(Frame { at: self.root, link: Link::Root, phase: Phase::Left });
        }
        while let Some(frame) = frames.last_mut() {
            let (at, link) = (frame.at, frame.link);
            let node = self.nodes[at as usize];
            match frame.phase {
                Phase::Left => {
                    frame.phase = Phase::Right;
                    gone = true;
                    if node.left != NONE {
                        frames.push(Frame { at: node.left, link: Link::Left(at), phase: Phase::Left });
                    }
                }
                // The left side stays, so the node does, and its right side is not looked at.
                Phase::Right if !gone => {
                    frames.pop();
                }
                Phase::Right if node.right != NONE => {
                    frame.phase = Phase::Both;
                    below = below.merged(node.target);
                    frames.push(Frame { at: node.right, link: Link::Right(at), phase: Phase::Left });
                }
                Phase::Right | Phase::Both => {
                    if frame.phase == Phase::Both {
                        below = below.without(node.target);
                    }
                    frames.pop();
                    if gone {
                        let left = node.target.merged(below);
                        let merit = criterion.merit(&[left, criterion.whole.without(left)]);
                        gone = merit / best_merit < floor;
                        if gone {
                            self.set(link, NONE);
                            self.nodes[at as usize].left = self.free;
                            self.free = at;
                        }
                    }
                }
            }
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        with_slack(size_of_val(self.nodes.as_slice()))
    }

    /// Whether links and sums are what updates can have left, so that no walk can fail or go on forever.
    pub(super) fn is_sound(&self) -> bool {
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
                return false;
            }
            let node = &self.nodes[at as usize];
            if !(node.key > above && node.key < below && node.target.n > 0.0) {
                return false;
            }
            open.push((node.left, above, node.key));
            open.push((node.right, node.key, below));
        }
        let mut free = self.free;
        while free != NONE {
            if !visit(free) {
                return false;
            }
            free = self.nodes[free as usize].left;
        }
        seen.into_iter().all(|seen| seen)
    }
}

/// A node on the way down in [`Ebst::prune`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    at: u32,
    link: Link,
    phase: Phase,
}

/// What a frame does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Left,
    Right,
    /// As `Right`, with the node's own target among those below.
    Both,
}
