//! Commits outboxes: outputs, consumed offset and checkpoint in one transaction.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::{Shared, table};
use thalweg_store::PendingCheckpoint;
use thalweg_topic::{
    Error, Interleaving, Outbox, Output, OutputOffsets, Outputs, Publisher, Resumed, Timestamps,
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
    /// Offsets up to which the labels are consumed at the checkpoints that were written since the start, as many as are kept.
    labels_kept: VecDeque<i64>,
}

impl EmbeddedPublisher {
    pub(super) fn new(shared: Arc<Shared>, partition: i32) -> Self {
        Self { shared, partition, stamps: Default::default(), labels_kept: VecDeque::new() }
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
        let found = self.ask(move |shared, tx| {
            let (mut published, mut interleaving) = ([position; 3], Interleaving::default());
            for (output, table) in Output::ALL.into_iter().zip(&shared.outputs) {
                // Offsets of other topics mean nothing here.
                let since =
                    if since.topics == shared.topics.fingerprint() { since.offsets[output as usize] } else { 0 };
                let last = table.last_source(tx, output, &shared.topics.samples, partition, since)?;
                published[output as usize] = last.map_or(position, |last| position.max(last + 1));
                if let Some(labels) = &shared.topics.labels {
                    let topics = [&*shared.topics.samples, labels];
                    table.each_since(tx, partition, since, |value, headers| {
                        interleaving.note(output, value, headers, topics, partition);
                        ControlFlow::Continue(())
                    })?;
                }
            }
            Ok((published, interleaving))
        });
        let (published, interleaving) = found.await?;
        let topics = self.shared.topics.fingerprint();
        let outputs = Outputs { offsets: self.ends().await?, sequences: None, topics };
        Ok(Resumed { published, outputs, is_blind: false, interleaving })
    }

    async fn run(mut self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
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
            let batch = Batch::of(group, &mut next, times, &self.shared);
            let labels_needed = self.labels_needed(&batch);
            self.write(Batch { labels_needed, ..batch }, &confirmed).await?;
        }
    }
}

impl EmbeddedPublisher {
    /// Returns the offset from which on labels are kept, since a restart may need them, once `batch` is written.
    fn labels_needed(&mut self, batch: &Batch) -> i64 {
        let keep = self.shared.store.keep() as usize;
        if let Some(labels) = batch.labels_at_checkpoint {
            self.labels_kept.push_back(labels);
            if self.labels_kept.len() > keep {
                self.labels_kept.pop_front();
            }
        }
        // Of checkpoints of before the start it is not known what they need.
        self.labels_kept.front().copied().filter(|_| self.labels_kept.len() == keep).unwrap_or(0)
    }

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
    /// Offset after the last label they cover.
    labels: Option<i64>,
    /// The same at the checkpoint.
    labels_at_checkpoint: Option<i64>,
    /// Offset from which on labels are kept in any case.
    labels_needed: i64,
    /// Only the newest checkpoint of a group is worth its bytes.
    checkpoint: Option<PendingCheckpoint>,
}

impl Batch {
    /// Makes a batch; `next` holds the outputs' next offsets, and is moved past it.
    fn of(mut outboxes: Vec<Outbox>, next: &mut OutputOffsets, times: [Option<i64>; 3], shared: &Shared) -> Self {
        let topics = shared.topics.fingerprint();
        let (mut newest, mut labels_at_checkpoint) = (None, None);
        for outbox in &mut outboxes {
            for (next, output) in next.iter_mut().zip(Output::ALL) {
                *next += outbox.count(output) as i64;
            }
            if let Some(mut checkpoint) = outbox.checkpoint.take() {
                checkpoint.stand_at(Outputs { offsets: *next, sequences: None, topics });
                newest = Some(checkpoint);
                labels_at_checkpoint = outbox.labels;
            }
        }
        let position = outboxes.last().map_or(0, |outbox| outbox.position);
        Self {
            labels: outboxes.last().and_then(|outbox| outbox.labels),
            labels_at_checkpoint,
            labels_needed: 0,
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
        if let Some((table, position)) = shared.labels.as_ref().zip(self.labels) {
            table::set_progress(tx, table.name(), partition, position)?;
            table.retain(tx, partition, &shared.retention, self.labels_needed)?;
        }
        self.checkpoint.as_ref().map_or(Ok(0), |checkpoint| checkpoint.insert(tx))
    }
}
