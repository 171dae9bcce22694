//! Commits outboxes: outputs, consumed offset and checkpoint in one transaction.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::{Shared, table};
use thalweg_store::PendingCheckpoint;
use thalweg_topic::{
    Error, Outbox, Output, OutputOffsets, Outputs, Publisher, Resumed, Timestamps,
    stamps::{self, Stamps},
};

/// Most waiting outboxes that are committed together.
const MAX_GROUPED_OUTBOXES: usize = 8;

/// Publishes the outputs made from one partition.
#[derive(Debug)]
pub struct EmbeddedPublisher {
    shared: Arc<Shared>,
    partition: i32,
    stamps: [Stamps; 3],
}

impl EmbeddedPublisher {
    pub(super) fn new(shared: Arc<Shared>, partition: i32) -> Self {
        Self { shared, partition, stamps: Default::default() }
    }

    /// Reads the newest time in each output.
    async fn look_at_times(&self) -> Result<(), thalweg_store::Error> {
        let partition = self.partition;
        let ask = self.ask(move |shared, tx| {
            let times = shared.outputs.each_ref().map(|table| table.last_time(tx, partition));
            times.into_iter().collect::<rusqlite::Result<Vec<_>>>()
        });
        for (stamps, time) in self.stamps.iter().zip(ask.await?) {
            stamps.saw(time.unwrap_or(0));
        }
        Ok(())
    }

    /// Returns the next offset of each output.
    async fn ends(&self) -> Result<OutputOffsets, thalweg_store::Error> {
        let partition = self.partition;
        let ends = self.ask(move |shared, tx| {
            let mut ends = OutputOffsets::default();
            for (end, table) in ends.iter_mut().zip(&shared.outputs) {
                *end = table.next_offset(tx, partition)?;
            }
            Ok(ends)
        });
        ends.await
    }

    /// Runs a query about the output topics.
    async fn ask<T, F>(&self, question: F) -> Result<T, thalweg_store::Error>
    where
        T: Send + 'static,
        F: Fn(&Shared, &Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.shared.store.write("what is published cannot be read", move |tx| question(&shared, tx)).await
    }
}

impl Publisher for EmbeddedPublisher {
    async fn resume(&mut self, since: Outputs, position: i64) -> Result<Resumed, Error> {
        let partition = self.partition;
        let published = self.ask(move |shared, tx| {
            let mut published = [position; 3];
            for (output, table) in Output::ALL.into_iter().zip(&shared.outputs) {
                // Offsets of other topics mean nothing here.
                let since =
                    if since.topics == shared.topics.fingerprint() { since.offsets[output as usize] } else { 0 };
                let last = table.last_source(tx, output, &shared.topics.samples, partition, since)?;
                published[output as usize] = last.map_or(position, |last| position.max(last + 1));
            }
            Ok(published)
        });
        let published = published.await?;
        let topics = self.shared.topics.fingerprint();
        let outputs = Outputs { offsets: self.ends().await?, sequences: None, topics };
        Ok(Resumed { published, outputs, is_blind: false })
    }

    async fn run(self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        let mut next = self.ends().await?;
        self.look_at_times().await?;
        loop {
            let mut group = Vec::with_capacity(MAX_GROUPED_OUTBOXES);
            if outboxes.recv_many(&mut group, MAX_GROUPED_OUTBOXES).await == 0 {
                return Ok(());
            }
            let times = Output::ALL.map(|output| {
                let sample_s = self.shared.timestamps == Timestamps::Sample && output != Output::DeadLetters;
                (!sample_s).then(|| self.stamps[output as usize].next(stamps::now()))
            });
            self.write(Batch::of(group, &mut next, times, &self.shared), &confirmed).await?;
        }
    }
}

impl EmbeddedPublisher {
    async fn write(&self, batch: Batch, confirmed: &watch::Sender<i64>) -> Result<(), thalweg_store::Error> {
        let batch = Arc::new(batch);
        let (shared, partition, job) = (Arc::clone(&self.shared), self.partition, Arc::clone(&batch));
        let commit = move |tx: &rusqlite::Transaction<'_>| job.commit(&shared, tx, partition);
        let bytes = self.shared.store.write("predictions cannot be written", commit).await?;
        if let Some(checkpoint) = &batch.checkpoint {
            self.shared.store.note_saved(checkpoint, bytes);
        }
        confirmed.send_replace(batch.position);
        self.shared.consumed.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Content of one transaction.
struct Batch {
    outboxes: Vec<Outbox>,
    /// Clock's time for the records of each output; `None` where each record has its own.
    times: [Option<i64>; 3],
    /// Input offset after all of them.
    position: i64,
    /// Only the newest checkpoint of a group is worth its bytes.
    checkpoint: Option<PendingCheckpoint>,
}

impl Batch {
    /// Makes a batch; `next` holds the outputs' next offsets, and is moved past it.
    fn of(mut outboxes: Vec<Outbox>, next: &mut OutputOffsets, times: [Option<i64>; 3], shared: &Shared) -> Self {
        let topics = shared.topics.fingerprint();
        let mut newest = None;
        for outbox in &mut outboxes {
            for (next, output) in next.iter_mut().zip(Output::ALL) {
                *next += outbox.count(output) as i64;
            }
            if let Some(mut checkpoint) = outbox.checkpoint.take() {
                checkpoint.stand_at(Outputs { offsets: *next, sequences: None, topics });
                newest = Some(checkpoint);
            }
        }
        let position = outboxes.last().map_or(0, |outbox| outbox.position);
        Self {
            outboxes,
            times,
            position,
            checkpoint: newest.map(|checkpoint| shared.store.pending_checkpoint(checkpoint)),
        }
    }

    /// Returns the size of the checkpoint, in bytes.
    fn commit(&self, shared: &Shared, tx: &rusqlite::Transaction<'_>, partition: i32) -> rusqlite::Result<usize> {
        for (output, table) in Output::ALL.into_iter().zip(&shared.outputs) {
            if self.outboxes.iter().any(|outbox| outbox.count(output) > 0) {
                table.append(tx, partition, self.times[output as usize], |rows| {
                    self.outboxes.iter().try_for_each(|outbox| {
                        rows.records(&outbox.records[output as usize])?;
                        if output == Output::Predictions { rows.drafts(&outbox.drafts) } else { Ok(()) }
                    })
                })?;
            }
            table.retain(tx, partition, &shared.retention, i64::MAX)?;
        }
        table::set_progress(tx, &shared.topics.samples, partition, self.position)?;
        self.checkpoint.as_ref().map_or(Ok(0), |checkpoint| checkpoint.insert(tx))
    }
}
