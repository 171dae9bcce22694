//! Commits outboxes: outputs, consumed offset and checkpoint in one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{Shared, table};
use crate::pipeline::{
    checkpoint::OutputOffsets,
    store,
    transport::{Error, Outbox, Published, Publisher},
};

/// Outboxes committed together when they wait.
const GROUP: usize = 8;

/// Publishes what is made from one partition.
#[derive(Debug)]
pub struct EmbeddedPublisher {
    shared: Arc<Shared>,
    partition: i32,
}

impl EmbeddedPublisher {
    pub(super) fn new(shared: Arc<Shared>, partition: i32) -> Self {
        Self { shared, partition }
    }
}

impl Publisher for EmbeddedPublisher {
    /// Every output commits with the consumed offset, so that one number answers for all.
    async fn resume(&mut self, _: OutputOffsets, position: i64) -> Result<Published, Error> {
        let (shared, partition) = (Arc::clone(&self.shared), self.partition);
        let committed = tokio::task::spawn_blocking(move || shared.committed(partition)).await;
        let path = || self.shared.store.path().to_owned();
        let committed = committed.unwrap_or_else(|_| Err(store::Error::Cancelled { path: path() }))?;
        Ok([committed.max(position); 3])
    }

    async fn run(self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        let mut group = Vec::with_capacity(GROUP);
        while outboxes.recv_many(&mut group, GROUP).await > 0 {
            let (shared, partition) = (Arc::clone(&self.shared), self.partition);
            let outboxes = std::mem::replace(&mut group, Vec::with_capacity(GROUP));
            let commit = move || commit(&shared, partition, &outboxes);
            let path = || self.shared.store.path().to_owned();
            let committed = tokio::task::spawn_blocking(commit).await;
            let position = committed.unwrap_or_else(|_| Err(store::Error::Cancelled { path: path() }))?;
            confirmed.send_replace(position);
            self.shared.consumed.send_modify(|count| *count += 1);
        }
        Ok(())
    }
}

fn commit(shared: &Shared, partition: i32, outboxes: &[Outbox]) -> Result<i64, store::Error> {
    // Only the newest checkpoint of a group is worth its bytes.
    let checkpoint = outboxes.iter().rev().find_map(|outbox| outbox.checkpoint.as_deref());
    let checkpoint = checkpoint.map(|checkpoint| shared.store.encode(checkpoint)).transpose()?;
    let position = outboxes.last().map_or(0, |outbox| outbox.position);
    shared.store.write_blocking("predictions cannot be written", |tx| {
        for (output, table) in shared.outputs.iter().enumerate() {
            let records = outboxes.iter().flat_map(|outbox| &outbox.records[output]);
            table.append(tx, partition, records)?;
            table.retain(tx, partition, &shared.retention, i64::MAX)?;
        }
        table::set_progress(tx, &shared.topics.samples, partition, position)?;
        checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.insert(tx))
    })?;
    Ok(position)
}
