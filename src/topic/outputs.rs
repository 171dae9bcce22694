//! Where a worker's outputs stand: from there on they are read back after a restart.

use serde::{Deserialize, Serialize};

/// Next offset of each output partition ([`super::Output`] order) when a checkpoint was written.
pub type OutputOffsets = [i64; 3];

/// How far a producer that numbers its records had come in each output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// By which the transport knows the producer.
    pub producer: i64,
    /// The number of its next record, per output.
    pub next: [i32; 3],
}

/// Where the outputs stand, or stood when a checkpoint was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Next offsets.
    pub offsets: OutputOffsets,
    /// Where the transport's producers number their records.
    pub numbers: Option<Numbers>,
    /// Fingerprint of the topics' names.
    pub topics: u32,
}
