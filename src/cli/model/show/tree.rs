//! Prints a tree as indented lines: splits in words, leaves with their predictions.

use std::io::{self, Write};

use super::{by_weight, table::number};
use crate::models::describe::{Branch, Leaf, Node, Test, Tree};

/// Most weights of a leaf's model that are printed.
const MAX_WEIGHTS_SHOWN: usize = 3;

/// Prints a tree's size and its uppermost `depth` levels.
pub(super) fn print(out: &mut impl Write, tree: &Tree, depth: usize) -> io::Result<()> {
    let Tree { n_nodes, n_leaves, n_active_leaves, height, root } = tree;
    writeln!(out, "  {n_nodes} nodes, {n_leaves} leaves ({n_active_leaves} active), {height} levels")?;
    // Nodes to print, each with its level and, below a branch, the test that leads to it.
    let mut open = vec![(root, 0, String::new())];
    let mut left_out = 0;
    while let Some((node, level, label)) = open.pop() {
        let indent = 4 + 2 * level;
        if level >= depth {
            left_out += size(node);
            continue;
        }
        match node {
            Node::Leaf(leaf) => writeln!(out, "{:indent$}{label}{}", "", describe(leaf))?,
            Node::Branch(branch) => {
                // The root has no line of its own.
                let inner = if label.is_empty() { level } else { level + 1 };
                if !label.is_empty() {
                    writeln!(out, "{:indent$}{label}n={}", "", number(branch.n))?;
                }
                let arms = labels(branch).into_iter().zip(&branch.children);
                let first = open.len();
                open.extend(arms.map(|(label, child)| (child, inner, format!("{label}  "))));
                open[first..].reverse();
            }
        }
    }
    if left_out > 0 {
        writeln!(out, "    ... and {left_out} nodes below; --depth {height} prints all")?;
    }
    Ok(())
}

/// Returns the test that leads to each child.
fn labels(branch: &Branch) -> Vec<String> {
    let Branch { feature, test, .. } = branch;
    match test {
        Test::AtMost { .. } | Test::Is { .. } => vec![in_words(feature, test, true), in_words(feature, test, false)],
        Test::OneOf { categories } => categories.iter().map(|category| format!("{feature} = {category}")).collect(),
    }
}

/// Puts a test with two outcomes into words, as it `holds` or does not.
pub(super) fn in_words(feature: &str, test: &Test, holds: bool) -> String {
    match test {
        Test::AtMost { threshold, in_feature_unit } => {
            let threshold = number(in_feature_unit.unwrap_or(*threshold));
            format!("{feature} {} {threshold}", if holds { "<=" } else { ">" })
        }
        Test::Is { category } => format!("{feature} {} {category}", if holds { "=" } else { "!=" }),
        Test::OneOf { categories } => {
            format!("{feature} is {}one of {}", if holds { "" } else { "not " }, categories.join(", "))
        }
    }
}

/// Describes what a leaf, or a rule, has seen and predicts.
pub(super) fn describe(leaf: &Leaf) -> String {
    let Leaf { n, mean, deviation, active, uses_model, model } = leaf;
    let mut line = format!("n={} mean={} deviation={}", number(*n), number(*mean), number(*deviation));
    if !active {
        line.push_str(" inactive");
    }
    if let Some(model) = model {
        let weights = by_weight(model);
        let shown: Vec<String> =
            weights.iter().take(MAX_WEIGHTS_SHOWN).map(|it| format!("{}*{}", Signed(it.weight), it.feature)).collect();
        let more = if weights.len() > MAX_WEIGHTS_SHOWN { " ..." } else { "" };
        let by = if *uses_model { "model" } else { "mean, model" };
        line.push_str(&format!("  by {by} {} {}{more}", number(model.intercept), shown.join(" ")));
    }
    line
}

/// A number that is shown with its sign.
struct Signed(f64);

impl std::fmt::Display for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0.0 { "" } else { "+" };
        write!(f, "{sign}{}", number(self.0))
    }
}

/// Counts the nodes from this one down.
fn size(node: &Node) -> usize {
    let mut open = vec![node];
    let mut size = 0;
    while let Some(node) = open.pop() {
        size += 1;
        if let Node::Branch(branch) = node {
            open.extend(&branch.children);
        }
    }
    size
}
