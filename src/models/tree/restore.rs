//! Reading saved trees: their parts as they were written, checked before they become a tree.
//!
//! Invariant: what passes can be walked without a failing index or an endless loop.

use serde::Deserialize;

use super::{HoeffdingTree, core::Core};

/// The fields of [`HoeffdingTree`] as serialised.
#[derive(Deserialize)]
pub(super) struct Saved {
    core: Core,
}

/// A saved state that no tree can have.
#[derive(Debug, thiserror::Error)]
#[error("the saved tree is damaged: its nodes do not form a tree, or hold impossible statistics")]
pub(super) struct Damaged;

impl TryFrom<Saved> for HoeffdingTree {
    type Error = Damaged;

    fn try_from(Saved { core }: Saved) -> Result<Self, Damaged> {
        if core.is_sound(|_| None) { Ok(Self { core }) } else { Err(Damaged) }
    }
}
