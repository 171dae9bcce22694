//! Reading a saved tree: its parts as they were written, checked before they become a tree.
//!
//! Invariant: what passes can be walked without a failing index or an endless loop.

use serde::Deserialize;

use crate::metrics::statistics::Var;

use super::{HoeffdingTree, grow, nodes::Nodes, params::Params};

/// The fields of [`HoeffdingTree`] as serialised.
#[derive(Deserialize)]
pub(super) struct Saved {
    params: Params,
    targets: Var,
    nodes: Nodes,
}

/// A saved state that no tree can have.
#[derive(Debug, thiserror::Error)]
#[error("the saved tree is damaged: its nodes do not form a tree, or hold impossible statistics")]
pub(super) struct Damaged;

impl TryFrom<Saved> for HoeffdingTree {
    type Error = Damaged;

    fn try_from(Saved { params, targets, nodes }: Saved) -> Result<Self, Damaged> {
        let finite = [targets.n, targets.mean, targets.s].iter().all(|number| number.is_finite());
        if !(finite && nodes.is_sound()) {
            return Err(Damaged);
        }
        Ok(Self { params, targets, nodes, scratch: grow::Scratch::default() })
    }
}
