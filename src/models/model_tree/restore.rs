//! Checks of model trees that were read from a state: of their nodes with each other.
//!
//! Invariant: what passes can be walked without a failing index or an endless loop.

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    Forest,
    grid::Grid,
    node::{Branch, Node, Role},
    params::{MAX_NODES, Params},
    tree::Tree,
};
use thalweg_metrics::checked;

/// Why trees are refused.
const DAMAGED: &str = "the saved model trees are damaged: their nodes do not form trees, or hold impossible statistics";

checked!(Forest { params, columns, trees, origin, gain: skipped } then fits);

checked!(Tree { nodes, spare: skipped, clock, shift, rng });

impl Forest {
    fn fits(&mut self) -> Result<(), &'static str> {
        let Self { params, columns, trees, .. } = self;
        let width = columns.len() + 1;
        let fit = trees.len() == params.n_models as usize && trees.iter_mut().all(|tree| tree.fits(width, params));
        if fit { Ok(()) } else { Err(DAMAGED) }
    }
}

impl Tree {
    /// Whether it can be one on rows of `width`; makes the grids that it can use again.
    fn fits(&mut self, width: usize, params: &Params) -> bool {
        let Self { nodes, spare, clock, shift, .. } = self;
        let bounded = nodes.len() <= params.max_nodes as usize && spare.len() <= nodes.len();
        let sound = nodes.iter().all(|node| node.fits(width, *clock));
        spare.fill_with(|| Grid::new(width));
        bounded && sound && (0.0..1.0).contains(shift) && form_a_tree(nodes, width, params)
    }
}

/// So many grids, of one size or another: their number is all that is saved.
pub(super) fn spare<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Grid>, D::Error> {
    let n = usize::deserialize(from)?;
    if n > MAX_NODES as usize {
        return Err(D::Error::custom(DAMAGED));
    }
    Ok((0..n).map(|_| Grid::new(1)).collect())
}

/// Whether the nodes that are used are exactly those below the first one, none of them twice.
fn form_a_tree(nodes: &[Node], width: usize, params: &Params) -> bool {
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
