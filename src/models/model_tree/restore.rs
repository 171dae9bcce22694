//! Reading saved trees: their parts as they were written, checked before they become trees.
//!
//! Invariant: what passes can be walked without a failing index or an endless loop, and is as bounded as its parameters
//! say.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{
    Forest,
    columns::Columns,
    grid::Grid,
    node::{Branch, Node, Role},
    params::Params,
    tree::Tree,
};
use thalweg_metrics::saved;

/// The fields of [`Forest`] as serialised.
#[derive(Deserialize)]
pub(super) struct Saved {
    params: Params,
    columns: Columns,
    trees: Vec<SavedTree>,
    origin: Option<f64>,
}

/// The fields of [`Tree`] as serialised.
#[derive(Deserialize)]
struct SavedTree {
    nodes: Vec<Node>,
    /// Grids that no leaf uses.
    spare: usize,
    #[serde(deserialize_with = "saved::count")]
    clock: u64,
    #[serde(deserialize_with = "saved::finite")]
    shift: f64,
    rng: ChaCha8Rng,
}

/// A saved state that no trees can have.
#[derive(Debug, thiserror::Error)]
#[error("the saved model trees are damaged: their nodes do not form trees, or hold impossible statistics")]
pub(super) struct Damaged;

impl TryFrom<Saved> for Forest {
    type Error = Damaged;

    fn try_from(Saved { params, columns, trees, origin }: Saved) -> Result<Self, Damaged> {
        let width = columns.len() + 1;
        let finite = origin.is_none_or(f64::is_finite);
        if !(params.are_sound() && finite && trees.len() == params.n_models as usize) {
            return Err(Damaged);
        }
        let trees = trees.into_iter().map(|tree| tree.checked(width, &params)).collect::<Option<Vec<Tree>>>();
        Ok(Self { trees: trees.ok_or(Damaged)?, params, columns, origin, gain: Vec::new() })
    }
}

impl SavedTree {
    fn checked(self, width: usize, params: &Params) -> Option<Tree> {
        let Self { nodes, spare, clock, shift, rng } = self;
        let bounded = nodes.len() <= params.max_nodes as usize && spare <= nodes.len();
        let sound = nodes.iter().all(|node| node.is_sound(width, clock));
        if !(bounded && sound && (0.0..1.0).contains(&shift) && form_a_tree(&nodes, width, params)) {
            return None;
        }
        let spare = (0..spare).map(|_| Grid::new(width)).collect();
        Some(Tree { nodes, spare, clock, shift, rng })
    }
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
