//! A tree by the names of its features.

use crate::describe::{self, Branch, Leaf, Linear, NamedColumn};

use super::{HoeffdingTree, Node, NodeKind, Test, core::Core};

impl HoeffdingTree {
    /// Describes the whole tree; `columns` name the features it splits on.
    pub(crate) fn described(&self, columns: &[NamedColumn]) -> describe::Tree {
        self.core.describe(columns)
    }
}

impl Core {
    pub(super) fn describe(&self, columns: &[NamedColumn]) -> describe::Tree {
        let summary = self.summary();
        describe::Tree {
            n_nodes: summary.n_nodes,
            n_leaves: summary.n_leaves,
            n_active_leaves: summary.n_active_leaves,
            height: summary.height,
            root: self.nested(columns),
        }
    }

    /// Returns the root with all below it. Nodes are described from the last to the first, so that the children of a
    /// branch come before it.
    fn nested(&self, columns: &[NamedColumn]) -> describe::Node {
        let nodes: Vec<Node<'_>> = self.walk().collect();
        let mut done: Vec<describe::Node> = Vec::new();
        for node in nodes.into_iter().rev() {
            let described = match node.kind {
                NodeKind::Leaf { mean, variance, active, uses_model, model, .. } => {
                    let model = model.map(|model| Linear::new(model.intercept(), model.weights(), columns));
                    // Rounding can leave a variance just below 0.
                    let deviation = variance.max(0.0).sqrt();
                    describe::Node::Leaf(Leaf { n: node.n, mean, deviation, active, uses_model, model })
                }
                NodeKind::Branch { feature, test } => {
                    let column = describe::column(columns, feature);
                    let (parts, test) = match test {
                        Test::AtMost(threshold) => (2, describe::Test::at_most(threshold, &column)),
                        Test::Is(category) => (2, describe::Test::Is { category: column.category(category) }),
                        Test::OneOf(categories) => {
                            let names = categories.iter().map(|category| column.category(*category)).collect();
                            (categories.len(), describe::Test::OneOf { categories: names })
                        }
                    };
                    let mut children = done.split_off(done.len().saturating_sub(parts));
                    children.reverse();
                    describe::Node::Branch(Branch { n: node.n, feature: column.name, test, children })
                }
            };
            done.push(described);
        }
        // Every tree has a root, which comes first.
        done.pop().unwrap_or_else(|| unreachable!("a tree has a root"))
    }
}
