//! A tree as a person may inspect it: its size, and its nodes one by one.
//!
//! Invariant: read-only, and costs nothing until asked.

use crate::linear::Weights;

use super::{
    HoeffdingTree,
    core::Core,
    nodes::{Branch, NodeId, Place},
};

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of branches and leaves.
    pub n_nodes: usize,
    /// Number of branches, which divide samples.
    pub n_branches: usize,
    /// Number of leaves, which predict.
    pub n_leaves: usize,
    /// Number of leaves that may still split.
    pub n_active_leaves: usize,
    /// Number of leaves that observe no features any more and only predict and learn.
    pub n_inactive_leaves: usize,
    /// Number of levels, including the root's: 1 for a single leaf.
    pub height: u32,
}

/// A node of a tree.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Index of the child to take at each level from the root, from 0; empty for the root.
    pub path: Vec<u32>,
    /// Weight of the samples that its leaves have seen.
    pub n: f64,
    /// Branch or leaf.
    pub kind: NodeKind<'a>,
}

/// A branch or a leaf.
#[derive(Clone, Debug)]
pub enum NodeKind<'a> {
    /// Divides samples by the feature in a column.
    Branch {
        /// Column of the feature.
        feature: usize,
        /// Test that divides its values.
        test: Test,
    },
    /// Predicts.
    Leaf {
        /// Mean of the targets, in their unit.
        mean: f64,
        /// Sample variance of the targets.
        variance: f64,
        /// Value of `n` at the last attempt to split, or when the leaf was made.
        last_split_attempt_at: f64,
        /// True if it may still split.
        active: bool,
        /// True if it predicts with its linear regression and not the mean.
        uses_model: bool,
        /// Its linear regression, unless leaves predict means only.
        model: Option<&'a Weights>,
    },
}

/// A test by which a branch divides the values of its feature.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// First child: values at or below the threshold; second child: those above.
    AtMost(f64),
    /// First child: this category; second child: any other.
    Is(f64),
    /// A child for each category.
    OneOf(Vec<f64>),
}

impl Node<'_> {
    /// Returns the level of the node; the root has 0.
    pub fn depth(&self) -> usize {
        self.path.len()
    }
}

impl HoeffdingTree {
    /// Returns the size of the tree. Walks through all of it.
    pub fn summary(&self) -> Summary {
        self.core.summary()
    }

    /// Iterates over every node, parents before their children and these in order.
    pub fn walk(&self) -> impl Iterator<Item = Node<'_>> {
        self.core.walk()
    }
}

impl Core {
    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for node in self.walk() {
            summary.n_nodes += 1;
            summary.height = summary.height.max(node.path.len() as u32 + 1);
            match node.kind {
                NodeKind::Branch { .. } => summary.n_branches += 1,
                NodeKind::Leaf { active: true, .. } => summary.n_active_leaves += 1,
                NodeKind::Leaf { .. } => summary.n_inactive_leaves += 1,
            }
        }
        summary.n_leaves = summary.n_active_leaves + summary.n_inactive_leaves;
        summary
    }

    pub(super) fn walk(&self) -> impl Iterator<Item = Node<'_>> {
        let mut open = vec![(self.nodes.root, Vec::new())];
        std::iter::from_fn(move || {
            let (at, path) = open.pop()?;
            if let Place::Branch(branch) = at.place() {
                let first = open.len();
                let arms = self.nodes.branches[branch].arms().zip(0..);
                open.extend(arms.map(|(arm, at)| (arm.child, path.iter().copied().chain([at]).collect())));
                open[first..].reverse();
            }
            Some(self.node(at, path))
        })
    }

    fn node(&self, at: NodeId, path: Vec<u32>) -> Node<'_> {
        match at.place() {
            Place::Branch(index) => {
                let branch = &self.nodes.branches[index];
                let test = match branch {
                    Branch::Threshold { threshold, .. } => Test::AtMost(*threshold),
                    Branch::Category { category, .. } => Test::Is(*category),
                    Branch::Categories { arms, .. } => {
                        Test::OneOf(arms.iter().map(|(category, _)| *category).collect())
                    }
                };
                let n = branch.arms().map(|arm| arm.weight).sum();
                Node { path, n, kind: NodeKind::Branch { feature: branch.feature(), test } }
            }
            Place::Leaf(index) => {
                let leaf = &self.nodes.leaves[index];
                let kind = NodeKind::Leaf {
                    mean: leaf.target.mean,
                    variance: leaf.target.get(),
                    last_split_attempt_at: leaf.last_attempt,
                    active: leaf.observers.is_some(),
                    uses_model: leaf.uses_model(&self.params),
                    model: leaf.model(),
                };
                Node { path, n: leaf.target.n, kind }
            }
        }
    }
}
