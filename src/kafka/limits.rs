//! What a broker has refused: how much at once, and which sequence numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

/// After this many refusals of the same sequence number a producer takes a new identity. A refusal at another number means
/// progress, which the read-back has found.
const MAX_REFUSALS: u32 = 2;

/// A sequence number that was refused, and how often in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused {
    sequence: i32,
    times: u32,
}

impl Refused {
    pub(crate) fn again(&mut self, sequence: i32) {
        self.times = if self.sequence == sequence { self.times + 1 } else { 1 };
        self.sequence = sequence;
    }

    pub(crate) fn is_lasting(self) -> bool {
        self.times >= MAX_REFUSALS
    }
}

/// Lowers a limit, if it is not that low yet.
pub(crate) fn lower(limit: &AtomicUsize, to: usize) {
    limit.fetch_min(to.max(1), Ordering::Relaxed);
}
