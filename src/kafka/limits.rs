//! What a broker has refused: how much at once, and which sequence numbers.
//!
//! Invariant: a limit that was refused is lower afterwards: it is what the topic's settings say or, where these may not be
//! asked for or do not tell why, half.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use thalweg_topic::{Error, Output};

use super::{
    client::{Cluster, retry, topic_settings},
    protocol::BATCH_HEADER_BYTES,
    shared::Shared,
};

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

/// Lowers the limits of outputs of which a broker has refused a batch since the last time.
pub(crate) async fn account_for_refusals(shared: &Shared) -> Result<(), Error> {
    for output in Output::ALL {
        let refused = shared.refused_bytes[output as usize].swap(0, Ordering::Relaxed);
        if refused > 0 {
            let limit = &shared.batch_bytes[output as usize];
            lower_after(&shared.cluster, shared.output_topic(output), limit, refused).await?;
        }
    }
    Ok(())
}

/// Lowers the limit of batches for a topic, since one of `refused` bytes was too large.
pub(crate) async fn lower_after(
    cluster: &Arc<Cluster>,
    topic: &str,
    limit: &AtomicUsize,
    refused: usize,
) -> Result<(), Error> {
    let action = format!("asking how large a batch `{topic}` takes");
    let topics = [topic];
    let found = retry(cluster, Some(topic), &action, || topic_settings(cluster, &topics)).await?;
    let takes = found.into_iter().next().and_then(Result::ok).and_then(|settings| settings.own.max_message_bytes());
    let takes = takes.map(|bytes| bytes.saturating_sub(BATCH_HEADER_BYTES)).filter(|bytes| *bytes < refused);
    let bytes = takes.unwrap_or(refused / 2);
    lower(limit, bytes);
    tracing::warn!(
        event = "batch_limit",
        topic,
        bytes,
        "the broker refuses batches of this size; sending smaller ones. Lower transport.kafka.max_batch_bytes"
    );
    Ok(())
}
