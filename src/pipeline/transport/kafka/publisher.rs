//! Publishes what one worker makes, several requests in flight, in order.
//!
//! Invariant: requests are first polled in order on one connection per output, so they reach the broker in order; after
//! a failure nothing more is sent, what is in flight settles, and the worker begins again at its checkpoint, where
//! [`Publisher::resume`] tells what has landed. So no copy of what was sent has to be kept, and a failure takes the very
//! path that a crash takes.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use rskafka::client::partition::PartitionClient;
use tokio::sync::{mpsc, watch};

use super::{
    Shared,
    cluster::{self, Handle, persist},
    cut,
    fault::{Fault, Try},
    landed, lower, outgoing,
    saves::Saves,
};
use crate::pipeline::{
    checkpoint::{Checkpoint, OutputOffsets},
    record::Outgoing,
    store::{self, set_meta},
    transport::{Error, Outbox, Output, Published, Publisher},
};

/// Publishes what is made from one partition.
#[derive(Debug)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    partition: i32,
    handles: [Handle; 3],
}

/// An outbox under way.
struct Shipment {
    /// Requests not yet acknowledged.
    open: usize,
    position: i64,
    checkpoint: Option<Box<Checkpoint>>,
}

/// How one request ended: its output, and the offset of its first record.
type Landing = (Output, Result<i64, Fault>, Size);

/// What a request held.
#[derive(Clone, Copy)]
struct Size {
    records: usize,
    bytes: usize,
}

impl KafkaPublisher {
    pub(super) fn new(shared: Arc<Shared>, partition: i32) -> Self {
        let handles = Output::ALL.map(|output| {
            let (topic, partition) = (shared.output_topic(output), shared.output_partition(output, partition));
            Handle::new(&shared.cluster, topic, partition)
        });
        Self { shared, partition, handles }
    }

    fn interrupted(&self, problem: impl Into<String>) -> Error {
        Error::Interrupted { partition: self.partition, problem: problem.into() }
    }

    /// What a failed request means: mostly to begin again, with smaller batches where that is the trouble.
    fn failed(&self, output: Output, fault: Fault, size: Size) -> Error {
        let topic = self.shared.output_topic(output);
        match fault {
            Fault::Fatal(error) => error,
            Fault::Passing(problem) | Fault::NoTopic(problem) => self.interrupted(problem),
            Fault::OutOfRange => self.interrupted("the broker has lost its place"),
            Fault::TooLarge if size.records > 1 => {
                let bytes = size.bytes / 2;
                lower(&self.shared.batch_bytes[output as usize], bytes);
                tracing::warn!(
                    event = "batch_limit",
                    topic,
                    bytes,
                    "the broker refuses batches of this size; sending smaller ones. Lower transport.kafka.max_batch_bytes"
                );
                self.interrupted("a batch was too large")
            }
            Fault::TooLarge if output == Output::DeadLetters && self.can_be_cut(size) => {
                lower(&self.shared.dead_letter_bytes, size.bytes - 1);
                self.interrupted("a dead letter was too large")
            }
            Fault::TooLarge => Error::Broker {
                action: format!("producing to `{topic}`"),
                problem: "the topic takes no record of this size; raise its max.message.bytes".to_owned(),
                reason: format!("a single record of {} bytes was refused", size.bytes),
            },
        }
    }

    /// The requests that an outbox needs, in order.
    fn requests(&self, outbox: &mut Outbox, clients: &[Arc<PartitionClient>; 3]) -> Vec<BoxFuture<'static, Landing>> {
        let mut requests: Vec<BoxFuture<'static, Landing>> = Vec::new();
        for output in Output::ALL {
            let records = std::mem::take(&mut outbox.records[output as usize]);
            let limit = self.shared.batch_bytes[output as usize].load(Ordering::Relaxed);
            let mut batch = Vec::with_capacity(records.len());
            let mut size = Size { records: 0, bytes: 0 };
            let mut send = |batch: &mut Vec<_>, size: &mut Size| {
                let (records, sent) = (std::mem::take(batch), std::mem::replace(size, Size { records: 0, bytes: 0 }));
                let (cluster, client) = (Arc::clone(&self.shared.cluster), Arc::clone(&clients[output as usize]));
                requests.push(Box::pin(async move {
                    let produced = cluster::produce(cluster, client, records).await;
                    (output, produced, sent)
                }));
            };
            let mut records = records.into_iter().peekable();
            while let Some(record) = records.next() {
                let record = if output == Output::DeadLetters { self.fitted(record) } else { record };
                // Events of one source must land together: the read-back only knows sources.
                let with_next = records.peek().is_some_and(|next| next.source == record.source);
                size = Size { records: size.records + 1, bytes: size.bytes + record.size() };
                let next = records.peek().map_or(0, Outgoing::size);
                batch.push(outgoing(record));
                if size.bytes + next > limit && !with_next {
                    send(&mut batch, &mut size);
                }
            }
            if !batch.is_empty() {
                send(&mut batch, &mut size);
            }
        }
        requests
    }

    /// Whether a dead letter that was refused has not been cut to the end yet. Another partition may have lowered the
    /// limit since it was sent, so the limit alone does not tell.
    fn can_be_cut(&self, size: Size) -> bool {
        size.bytes > cut::LEAST || size.bytes <= self.shared.dead_letter_bytes.load(Ordering::Relaxed)
    }

    /// A dead letter as its topic takes it.
    fn fitted(&self, mut record: Outgoing) -> Outgoing {
        let limit = self.shared.dead_letter_bytes.load(Ordering::Relaxed);
        if let Some(bytes) = cut::fit(&mut record, limit) {
            tracing::warn!(
                event = "dead_letter_cut",
                offset = record.source,
                bytes,
                "the dead-letters topic does not take a record of this size; it is cut. Raise the topic's \
                 max.message.bytes"
            );
        }
        record
    }

    /// Notes whether requests may be under way that nobody will wait for.
    async fn note_open(&self, open: bool) -> Result<(), store::Error> {
        let name = self.shared.open_name(self.partition);
        let note = move |tx: &rusqlite::Transaction<'_>| set_meta(tx, &name, i64::from(open));
        self.shared.store.write("a note cannot be written", note).await
    }

    /// Waits until the outputs are at rest, where the last run did not end in order.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.shared.store.meta(&self.shared.open_name(self.partition))?.unwrap_or(0) == 0 {
            return Ok(());
        }
        let cluster = Arc::clone(&self.shared.cluster);
        let [predictions, dead_letters, events] = &mut self.handles;
        let settled = async |handle: &mut Handle| {
            let action = format!("looking whether `{}`/{} is at rest", handle.topic(), handle.partition());
            persist!(cluster, action, super::settled(handle))
        };
        tokio::try_join!(settled(predictions), settled(dead_letters), settled(events))?;
        Ok(())
    }

    /// Tells when there is something between what this process has sent: nobody else should write there.
    fn watch(&self, output: Output, expected: i64, base: i64) {
        // Whoever sends dead letters back says so on the events topic.
        if base > expected && self.shared.is_exclusive(output) && output != Output::Events {
            tracing::error!(
                event = "late_records",
                topic = self.shared.output_topic(output),
                partition = self.partition,
                from = expected,
                to = base,
                "records came into an output that this process did not send: another producer's, or a request's that was \
                 given up. Look whether their sources are there twice"
            );
        }
    }
}

impl Publisher for KafkaPublisher {
    async fn resume(&mut self, since: OutputOffsets, position: i64) -> Result<Published, Error> {
        self.settle().await?;
        let mut published = [position; 3];
        let topic = &self.shared.topics.samples;
        for output in Output::ALL {
            let (handle, since) = (&mut self.handles[output as usize], since[output as usize]);
            let action = format!("reading back `{}`/{}", handle.topic(), handle.partition());
            let cluster = Arc::clone(handle.cluster());
            let last = persist!(cluster, action, landed::last_source(handle, output, topic, self.partition, since))?;
            published[output as usize] = last.map_or(position, |last| position.max(last + 1));
        }
        Ok(published)
    }

    async fn ends(&mut self) -> Result<OutputOffsets, Error> {
        self.settle().await?;
        let mut ends = OutputOffsets::default();
        for (handle, end) in self.handles.iter_mut().zip(&mut ends) {
            let cluster = Arc::clone(handle.cluster());
            *end = persist!(cluster, "asking for the end of an output", handle.range())?.end;
        }
        Ok(ends)
    }

    async fn run(mut self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        let mut clients = Vec::with_capacity(3);
        let mut next: OutputOffsets = [0; 3];
        for (handle, next) in self.handles.iter_mut().zip(&mut next) {
            let cluster = Arc::clone(handle.cluster());
            let (client, end) = persist!(cluster, "connecting to an output topic", connected(handle))?;
            clients.push(client);
            *next = end;
        }
        let Ok(clients) = <[Arc<PartitionClient>; 3]>::try_from(clients) else { return Ok(()) };
        self.note_open(true).await?;

        let in_flight = self.shared.cluster.config().in_flight;
        let mut requests: FuturesOrdered<BoxFuture<'static, Landing>> = FuturesOrdered::new();
        let mut shipments: VecDeque<Shipment> = VecDeque::new();
        let mut saves = Saves::new(&self.shared.store);
        let mut receiving = true;
        let mut failure = None;
        while receiving || !requests.is_empty() {
            tokio::select! {
                biased;
                Some((output, landed, size)) = requests.next() => match landed {
                    Ok(base) => {
                        self.watch(output, next[output as usize], base);
                        next[output as usize] = base + size.records as i64;
                        if let Some(shipment) = shipments.front_mut() {
                            shipment.open -= 1;
                        }
                    }
                    Err(fault) => {
                        receiving = false;
                        failure.get_or_insert_with(|| self.failed(output, fault, size));
                    }
                },
                outbox = outboxes.recv(), if receiving && requests.len() < in_flight => match outbox {
                    Some(mut outbox) => {
                        let batch = self.requests(&mut outbox, &clients);
                        let Outbox { position, checkpoint, .. } = outbox;
                        shipments.push_back(Shipment { open: batch.len(), position, checkpoint });
                        requests.extend(batch);
                    }
                    None => receiving = false,
                },
            }
            // What follows a failed request may have landed, but is not confirmed: the read-back decides.
            while failure.is_none() && shipments.front().is_some_and(|shipment| shipment.open == 0) {
                let Some(shipment) = shipments.pop_front() else { break };
                if let Some(mut checkpoint) = shipment.checkpoint {
                    checkpoint.outputs = next;
                    saves.begin(checkpoint).await?;
                }
                confirmed.send_replace(shipment.position);
            }
        }
        saves.finish().await?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(self.note_open(false).await?),
        }
    }
}

/// A connection, and the offset that the next record gets.
async fn connected(handle: &mut Handle) -> Try<(Arc<PartitionClient>, i64)> {
    Ok((handle.connected().await?, handle.range().await?.end))
}
