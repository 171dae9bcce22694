//! A transaction that stays open, behind whose first record nothing can be read until it is decided.
//!
//! Invariant: it is said when it has lasted, again from time to time, and that it is over where it was said.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    client::{Partition, open_transactions},
    protocol::ProducerId,
};
use thalweg_topic::stamps;

/// Transactions are open for a moment all the time; one that has held up reading for so long is said.
const NOTABLE_AFTER: Duration = Duration::from_secs(3);
/// Between two lines about the same one.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// The open transaction that reading waits for, if there is one.
#[derive(Debug, Default)]
pub(super) struct OpenTransaction(Option<Wait>);

#[derive(Debug)]
struct Wait {
    /// The offset of its first record, where reading stands.
    first: i64,
    since: Instant,
    /// The same in milliseconds since the Unix epoch.
    since_time: i64,
    /// The time of the last line about it.
    said: Option<Instant>,
}

impl OpenTransaction {
    /// Says whether a fetch has anything to tell, which next to none has.
    pub(super) fn is_of_interest(&self, stable: i64, end: i64) -> bool {
        end > stable || self.0.is_some()
    }

    /// Takes note of a fetch that has read up to `position`, of a partition that is decided up to `stable` and ends at `end`.
    pub(super) async fn saw(&mut self, partition: &Partition, position: i64, stable: i64, end: i64) {
        let waits = position >= stable && end > stable;
        if self.0.as_ref().is_some_and(|wait| !waits || wait.first != stable) {
            self.over(partition);
        }
        if !waits {
            return;
        }
        let wait = self.0.get_or_insert_with(|| Wait {
            first: stable,
            since: Instant::now(),
            since_time: stamps::now(),
            said: None,
        });
        let is_due = match wait.said {
            None => wait.since.elapsed() >= NOTABLE_AFTER,
            Some(said) => said.elapsed() >= REMIND_AFTER,
        };
        if !is_due {
            return;
        }
        wait.said = Some(Instant::now());
        let (since, offset) = (wait.since_time, wait.first);
        let producer = producer(partition, stable).await;
        tracing::warn!(
            event = "waiting_for_transaction",
            topic = partition.topic(),
            partition = partition.partition(),
            offset,
            records = end - stable,
            since,
            producer,
            "a transaction is open, and nothing behind its first record can be read until it is committed or aborted. The broker \
             aborts it when its producer's transaction.timeout.ms has run out; one that hangs for longer is found and aborted \
             with kafka-transactions.sh (find-hanging, abort)"
        );
    }

    /// Says that it is over, where the log says that it was open.
    fn over(&mut self, partition: &Partition) {
        let Some(wait) = self.0.take() else { return };
        if wait.said.is_some() {
            tracing::info!(
                event = "transaction_over",
                topic = partition.topic(),
                partition = partition.partition(),
                offset = wait.first,
                waited_ms = wait.since.elapsed().as_millis() as u64,
                "the transaction that was waited for is committed or aborted"
            );
        }
    }
}

/// Returns whose transaction begins at `first`; `None` where the broker does not tell.
async fn producer(partition: &Partition, first: i64) -> Option<ProducerId> {
    let open = open_transactions(partition).await.ok()?;
    open.into_iter().find(|(offset, _)| *offset == first).map(|(_, producer)| producer)
}
