//! Kafka's protocol as bytes: record batches and the messages that carry them.
//!
//! Reading order: `header` and `batches` (what is committed), `records` and `compression`; `answer` (what all answers have in
//! common), `metadata`, `fetch` and `produce`, `topics`, `configs`, `identity`.
//! What this does not do: hold a connection, know a setting, or know what a topic is for.

mod answer;
mod batches;
mod compact;
mod compression;
pub(crate) mod configs;
mod fetch;
mod header;
mod identity;
mod metadata;
mod produce;
mod producers;
mod records;
mod rights;
mod topics;

use std::time::Duration;

pub use batches::read_log;
pub use compression::CompressionKind;

pub(crate) use answer::{Answer, Failure, Outcome};
pub(crate) use batches::Committed;
#[cfg(test)]
pub(crate) use batches::Written;
pub(crate) use configs::{DescribeConfigs, TopicSettings, Values};
pub(crate) use fetch::{Brought, ById, ByName, Fetch, FetchAnswer, Fetched, Place};
pub(crate) use header::{ProducerId, advance};
pub(crate) use identity::InitProducerId;
pub(crate) use metadata::{AskMetadata, Metadata, TopicId, Topics};
pub(crate) use produce::{Batch, Buffers, Parcel, Produce, Records, Time};
pub(crate) use producers::DescribeProducers;
pub(crate) use rights::{AskRights, Operation, Rights, TopicRights};
pub(crate) use topics::{At, NewTopic, OffsetQuestion, create_topic, list_offsets};

/// Bytes of a batch beside its records.
pub(crate) const BATCH_HEADER_BYTES: usize = header::Header::BYTES;

/// Returns, for each of `asked`, the index in `answers` of what `is` of it. They mostly come in the order of the request, so
/// that each is looked for behind the one before.
fn matched<Q, A>(asked: &[Q], answers: &[A], is: impl Fn(&Q, &A) -> bool) -> Vec<Option<usize>> {
    let mut next = 0;
    let mut find = |question: &Q| {
        let at = (next..answers.len()).chain(0..next).find(|at| is(question, &answers[*at]))?;
        next = at + 1;
        Some(at)
    };
    asked.iter().map(&mut find).collect()
}

/// Converts a duration to a request's milliseconds, rounded up.
fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}
