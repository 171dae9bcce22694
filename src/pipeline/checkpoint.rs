//! The one truth about progress: what a worker must know to go on as if it had never stopped.
//!
//! Invariant: a checkpoint at `position` holds the state after exactly the input records before `position`, and is
//! written only once everything made from them is published. It is an owned copy: whoever writes it does not hold up
//! the worker.

use serde::{Deserialize, Serialize};

use crate::metrics::saved;

use super::{decode::Index, prequential::Prequential};

/// Next offset of each output partition ([`super::transport::Output`] order) when a checkpoint was written.
pub type OutputOffsets = [i64; 3];

/// A worker's state at an input offset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The topic it was reading.
    pub topic: String,
    /// The partition it was reading.
    pub partition: i32,
    /// Input offset of the next record.
    pub position: i64,
    /// Filled in by the publisher: from here on the outputs are read back after a restart.
    pub outputs: OutputOffsets,
    /// Features and categories by name.
    pub index: Index,
    /// Models and metrics.
    pub prequential: Prequential,
    /// Records processed since the beginning.
    #[serde(deserialize_with = "saved::count")]
    pub records: u64,
    /// Dead letters since the beginning.
    #[serde(deserialize_with = "saved::count")]
    pub dead_letters: u64,
}
