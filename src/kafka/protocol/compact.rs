//! The compact form of lists (KIP-482), as far as rskafka keeps it to itself.

use std::io::Write;

use rskafka::protocol::{
    primitives::UnsignedVarint,
    traits::{WriteError, WriteType},
};

/// Writes the length of a list that is not null.
pub(super) fn length(out: &mut impl Write, length: usize) -> Result<(), WriteError> {
    UnsignedVarint(length as u64 + 1).write(out)
}
