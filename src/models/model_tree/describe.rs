//! Trees by the names of their features.
//!
//! A leaf's model is shown as it predicts: smoothing is a weighted mean of the linear models along the path, and so a
//! linear model itself.

use super::{
    Forest, MAX_ROW_WIDTH,
    node::{Branch, Node, Role},
    plane::Row,
    tree::Tree,
};
use crate::describe::{self, Leaf, Linear, NamedColumn, Test, Weight, column};

impl Forest {
    /// Describes all trees; `inputs` name the elements of a row of standardised features.
    pub(super) fn described(&self, inputs: &[NamedColumn]) -> describe::Forest {
        let columns: Vec<NamedColumn> = self.columns.chosen().iter().map(|input| column(inputs, *input)).collect();
        let origin = self.origin.unwrap_or_default();
        let describer = |tree| Describer { tree, columns: &columns, origin, max_depth: self.params.max_depth };
        describe::Forest { trees: self.trees.iter().map(|tree| describer(tree).tree()).collect() }
    }
}

struct Describer<'a> {
    tree: &'a Tree,
    columns: &'a [NamedColumn],
    /// Origin of targets, added to all predictions.
    origin: f64,
    /// Deepest level of a leaf.
    max_depth: u32,
}

impl Describer<'_> {
    fn tree(&self) -> describe::Tree {
        let used = || self.tree.nodes.iter().filter(|node| !matches!(node.role, Role::Free));
        let leaves = || used().filter(|node| matches!(node.role, Role::Leaf(_)));
        describe::Tree {
            n_nodes: used().count(),
            n_leaves: leaves().count(),
            n_active_leaves: leaves().filter(|node| node.depth < self.max_depth).count(),
            height: used().map(|node| node.depth + 1).max().unwrap_or_default(),
            root: self.node(0, &mut Vec::new()),
        }
    }

    /// Describes a node with all below it; `path` leads to it.
    fn node<'a>(&'a self, at: usize, path: &mut Vec<&'a Node>) -> describe::Node {
        let node = &self.tree.nodes[at];
        path.push(node);
        let described = match node.branch() {
            None => describe::Node::Leaf(self.leaf(path)),
            Some(Branch { feature, threshold, children }) => {
                let column = column(self.columns, usize::from(*feature));
                let children = children.map(|child| self.node(usize::from(child), path)).into();
                let test = Test::at_most(*threshold, &column);
                describe::Node::Branch(describe::Branch { n: node.n, feature: column.name, test, children })
            }
        };
        path.pop();
        described
    }

    /// Describes the leaf at the end of a path. Its deviation is that of its errors, as there is none of the targets.
    fn leaf(&self, path: &[&Node]) -> Leaf {
        let mut weights: Row = [0.0; MAX_ROW_WIDTH];
        let mut n = None;
        for node in path.iter().rev() {
            let share = n.map_or(0.0, |n| node.trust_below(n));
            for (sum, w) in weights.iter_mut().zip(&node.plane.weights) {
                *sum = w + share * (*sum - w);
            }
            n = Some(node.n);
        }
        let intercept = self.origin + weights[0];
        let named = self.columns.iter().zip(&weights[1..]);
        let weights = named.map(|(column, weight)| Weight { feature: column.name.clone(), weight: *weight }).collect();
        let (n, depth, own) = path.last().map_or((0.0, 0, 0.0), |leaf| (leaf.n, leaf.depth, leaf.own));
        Leaf {
            n,
            // Prediction at the mean of all features.
            mean: intercept,
            deviation: own.sqrt(),
            active: depth < self.max_depth,
            uses_model: true,
            model: Some(Linear { intercept, weights }),
        }
    }
}
