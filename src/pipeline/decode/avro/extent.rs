//! Finds where a datum ends, since in a container file nothing stands between one and the next.
//!
//! Invariant: a datum that [`read`](super::read) takes ends where this says; one that it refuses for its values ends there, too,
//! so that only itself is lost. It takes no more steps than a constant plus the bytes.

use std::ops::Range;

use super::{Leaf, Node, Plan, Types, wire::Wire};

/// Deepest nesting that is followed: deeper than any record that is read, and not too deep for the stack of a thread.
pub(super) const MAX_DEPTH: usize = 1000;
/// Values that take no bytes, of which a datum may have as many as there are bytes, and so many more.
const MAX_STEPS: usize = 1 << 16;

/// Returns the place behind a datum that begins at `start`; `None` where the bytes end before it, or it is damaged.
pub(in crate::decode) fn end(plan: &Plan, bytes: &[u8], start: usize) -> Option<usize> {
    let mut pass = Pass::new(plan, bytes, start);
    pass.value(&plan.types.root, MAX_DEPTH)?;
    Some(pass.wire.at)
}

pub(super) struct Pass<'w> {
    pub(super) types: &'w Types,
    pub(super) wire: Wire<'w>,
    steps: usize,
}

impl<'w> Pass<'w> {
    pub(super) fn new(plan: &'w Plan, bytes: &'w [u8], start: usize) -> Self {
        Self { types: &plan.types, wire: Wire::new(bytes, start), steps: bytes.len().saturating_sub(start) + MAX_STEPS }
    }

    /// Moves behind a value.
    pub(super) fn value(&mut self, node: &Node, depth: usize) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        match node {
            Node::Null => Some(()),
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::Record(place) => {
                let types = self.types;
                types.records.get(*place)?.fields.iter().try_for_each(|field| self.value(&field.node, depth))
            }
            Node::Array(items) => self.list(false, items, depth, &mut |_| ()),
            Node::Map(values) => self.list(true, values, depth, &mut |_| ()),
            Node::Union(branches) => {
                let branch = usize::try_from(self.wire.long()?).ok()?;
                self.value(branches.get(branch)?, depth)
            }
            Node::Duration => self.wire.take(12).map(drop),
        }
    }

    /// Moves behind an array or a map, and passes the place of each of its values.
    pub(super) fn list(
        &mut self,
        has_keys: bool,
        node: &Node,
        depth: usize,
        see: &mut dyn FnMut(Range<usize>),
    ) -> Option<()> {
        loop {
            let mut count = self.wire.long()?;
            if count == 0 {
                return Some(());
            }
            if count < 0 {
                // The size behind it may be wrong, and whoever reads the values does not look at it.
                self.wire.long()?;
                count = count.checked_neg()?;
            }
            for _ in 0..count {
                if has_keys {
                    self.wire.bytes()?;
                }
                let start = self.wire.at;
                self.value(node, depth)?;
                see(start..self.wire.at);
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Option<()> {
        let wire = &mut self.wire;
        match leaf {
            Leaf::Boolean => wire.take(1).map(drop),
            Leaf::Integer | Leaf::Time(_) | Leaf::TimeOfDay(_) | Leaf::Symbols(_) => wire.long().map(drop),
            Leaf::Float => wire.take(4).map(drop),
            Leaf::Double => wire.take(8).map(drop),
            Leaf::Bytes(Some(size)) | Leaf::Decimal { size: Some(size), .. } => wire.take(*size).map(drop),
            Leaf::Uuid { sized: true } => wire.take(16).map(drop),
            Leaf::Text | Leaf::Bytes(None) | Leaf::Decimal { size: None, .. } | Leaf::Uuid { sized: false } => {
                wire.bytes().map(drop)
            }
        }
    }
}
