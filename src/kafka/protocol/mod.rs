//! Kafka's protocol as bytes: record batches and the messages that carry them.
//!
//! Reading order: `header` and `batches` (what is committed), `records` and `compression`, `produce`.
//! What this does not do: hold a connection, know a setting, or know what a topic is for.

mod batches;
mod compression;
mod header;
mod produce;
mod records;

use std::time::Duration;

pub use batches::read_log;
pub use compression::CompressionKind;

#[cfg(test)]
pub(crate) use batches::Written;
pub(crate) use batches::{Aborted, Committed, committed, malformed};
pub(crate) use header::{ProducerId, advance};
pub(crate) use produce::{Batch, Produce, Records, Time};

/// A duration as requests have it, rounded up.
pub(crate) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}
