//! Checks of restored model trees: do their nodes fit each other?
//!
//! Invariant: trees that pass can be walked without a failing index or an endless loop.

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    Forest,
    grid::Grid,
    node::{Branch, Node, Role},
    params::{MAX_NODES, Params},
    tree::Tree,
};
use thalweg_metrics::checked;

/// The error of trees that are refused.
const DAMAGED_TREES: &str =
    "the saved model trees are damaged: their nodes do not form trees, or hold impossible statistics";

checked!(Forest { params, columns, trees, origin, gain: skipped } then fits);

checked!(Tree { nodes, spare: skipped, clock, shift, rng });

impl Forest {
    fn fits(&mut self) -> Result<(), &'static str> {
        let Self { params, columns, trees, .. } = self;
        let width = columns.len() + 1;
        let fit = trees.len() == params.n_models as usize && trees.iter_mut().all(|tree| tree.fits(width, params));
        if fit { Ok(()) } else { Err(DAMAGED_TREES) }
    }
}

impl Tree {
    /// Returns whether it is a valid tree on rows of `width`, and allocates its spare grids.
    fn fits(&mut self, width: usize, params: &Params) -> bool {
        let Self { nodes, spare, clock, shift, .. } = self;
        let bounded = nodes.len() <= params.max_nodes as usize && spare.len() <= nodes.len();
        let sound = nodes.iter().all(|node| node.fits(width, *clock));
        spare.fill_with(|| Grid::new(width));
        bounded && sound && (0.0..1.0).contains(shift) && nodes_form_a_tree(nodes, width, params)
    }
}

/// Reads the number of spare grids, which is all that is saved of them, and returns as many.
pub(super) fn spare_grids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Grid>, D::Error> {
    let n = usize::deserialize(from)?;
    if n > MAX_NODES as usize {
        return Err(D::Error::custom(DAMAGED_TREES));
    }
    Ok((0..n).map(|_| Grid::new(1)).collect())
}

/// Returns whether the nodes in use are exactly those below the first one, none of them twice.
fn nodes_form_a_tree(nodes: &[Node], width: usize, params: &Params) -> bool {
    let used = nodes.iter().filter(|node| !matches!(node.role, Role::Free)).count();
    let mut open = vec![(0, 0)];
    let mut seen = 0;
    while let Some((at, depth)) = open.pop() {
        let Some(node) = nodes.get(at).filter(|node| node.depth == depth && depth <= params.max_depth) else {
            return false;
        };
        seen += 1;
        match &node.role {
            Role::Free => return false,
            Role::Leaf(_) => {}
            Role::Branch(Branch { feature, threshold, children }) => {
                if usize::from(*feature) + 1 >= width || !threshold.is_finite() {
                    return false;
                }
                open.extend(children.map(|child| (usize::from(child), depth + 1)));
            }
        }
        if seen > used {
            return false;
        }
    }
    seen == used
}
