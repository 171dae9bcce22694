//! Ends of a worker's outputs, from which they are read back after a restart.

use serde::{Deserialize, Serialize};

/// Next offset of each output partition ([`super::Output`] order) when a checkpoint was written.
pub type OutputOffsets = [i64; 3];

/// Sequence numbers that a producer had reached in each output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    /// The identity by which the transport knows the producer.
    pub producer: i64,
    /// The sequence number of its next record, per output.
    pub next: [i32; 3],
}

/// Ends of the outputs now, or when a checkpoint was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Next offset of each output partition.
    pub offsets: OutputOffsets,
    /// The sequence numbers of the transport's producer, where it has any.
    pub sequences: Option<Sequences>,
    /// Fingerprint of the topics' names.
    pub topics: u32,
}
