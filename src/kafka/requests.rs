//! Outboxes as produce requests: what goes together, how large, and what a refusal means.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    client::{Fault, Producer},
    errors::not_retried,
    limits::lower,
    protocol::{Records, Time, advance},
    shared::Shared,
    truncate,
};
use thalweg_topic::{Error, Outbox, Output, PendingPredictions, record::Outgoing};

/// A broker that has not heard from a producer for long forgets it, and then takes a batch with any number. It is a day
/// unless configured otherwise.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The producer of one output, with the sequence number it has got to.
pub(super) struct OutputProducer {
    producer: Arc<Producer>,
    /// The sequence number of the next record.
    sequence: i32,
    /// Requests under way.
    open: usize,
    /// The time at which the broker last took a batch.
    acknowledged: Option<Instant>,
}

impl OutputProducer {
    /// Begins with `sequence` as the number of the next record.
    pub(super) fn new(producer: Producer, sequence: i32) -> Self {
        Self { producer: Arc::new(producer), sequence, open: 0, acknowledged: None }
    }

    /// Says whether a request may be sent. Until the broker has accepted a batch of this producer, one request is in flight: an
    /// unknown producer may start at any sequence number, so a second request would be taken though the first was refused.
    pub(super) fn is_free(&self) -> bool {
        let is_known = self.acknowledged.is_some_and(|at| at.elapsed() < REMEMBERED_FOR);
        self.open == 0 || (is_known && self.producer.is_open())
    }

    /// Says whether all that was sent is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// The sequence number of the next record.
    pub(super) fn sequence(&self) -> i32 {
        self.sequence
    }

    /// Says whether the broker has not acknowledged anything of it yet.
    pub(super) fn is_new(&self) -> bool {
        self.acknowledged.is_none()
    }

    /// Takes note that the broker has appended a request of it.
    pub(super) fn acknowledged(&mut self) {
        self.open -= 1;
        self.acknowledged = Some(Instant::now());
    }

    /// Sends a request, written at `time`.
    pub(super) fn send(&mut self, request: Request, time: Time) -> BoxFuture<'static, ProduceOutcome> {
        let Request { output, records, size } = request;
        let (producer, sequence) = (Arc::clone(&self.producer), self.sequence);
        self.sequence = advance(self.sequence, size.records);
        // A broker ends connections that rest. What follows this request waits for it.
        let rests = self.open == 0 && !producer.is_open();
        self.open += 1;
        Box::pin(async move {
            let reopened = if rests { producer.reopen().await } else { Ok(()) };
            let result = match reopened {
                Ok(()) => producer.append(sequence, records, time).await,
                Err(fault) => Err(fault),
            };
            ProduceOutcome { output, result, size }
        })
    }
}

/// A request that is not sent yet.
pub(super) struct Request {
    pub(super) output: Output,
    pub(super) records: Records,
    pub(super) size: Size,
}

/// The end of one request.
pub(super) struct ProduceOutcome {
    pub(super) output: Output,
    /// Offset of its first record.
    pub(super) result: Result<i64, Fault>,
    pub(super) size: Size,
}

/// The size of a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// True where all were made from one record of samples.
    pub(super) is_of_one: bool,
}

/// A dead letter of one of many rows is cut to no less.
const MIN_LETTER_BYTES: usize = 1 << 10;

/// Bytes that go out before anything is acknowledged, at most: where another process publishes the same, they are there twice.
const MAX_FIRST_BYTES: usize = 16 << 10;

/// The requests that an outbox needs, in order; small ones at first where it is `careful`.
pub(super) fn requests(shared: &Shared, outbox: &mut Outbox, careful: [bool; 3]) -> Vec<Request> {
    let limit = |output: Output| {
        let limit = shared.batch_bytes[output as usize].load(Ordering::Relaxed);
        if careful[output as usize] { limit.min(MAX_FIRST_BYTES) } else { limit }
    };
    let mut requests = Vec::new();
    // Mostly they fit into one request whatever they are, and need not become records first.
    if outbox.records[Output::Predictions as usize].is_empty()
        && (1..=limit(Output::Predictions)).contains(&outbox.drafts.bytes())
    {
        let drafts = std::mem::take(&mut outbox.drafts);
        // They are in the order of their sources.
        let is_of_one = drafts.sources().is_some_and(|(first, last)| first == last);
        let size = Size { records: drafts.len(), bytes: drafts.bytes(), is_of_one };
        requests.push(Request { output: Output::Predictions, records: Records::PendingPredictions(drafts), size });
    } else {
        outbox.encode();
    }
    for output in Output::ALL {
        let mut records = std::mem::take(&mut outbox.records[output as usize]);
        if output == Output::DeadLetters {
            records.chunk_by_mut(|one, next| one.source == next.source).for_each(|of_one| fit(shared, of_one));
        }
        let limit = limit(output);
        let mut batch = Vec::with_capacity(records.len());
        let mut size = Size::default();
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            // What is made of one record must land together: the read-back only knows sources.
            let with_next = records.peek().is_some_and(|next| next.source == record.source);
            let is_of_one = batch.first().is_none_or(|first: &Outgoing| first.source == record.source);
            size = Size { records: size.records + 1, bytes: size.bytes + record.size(), is_of_one };
            let next = records.peek().map_or(0, Outgoing::size);
            batch.push(record);
            if records.peek().is_none() || (size.bytes + next > limit && !with_next) {
                let (records, size) = (std::mem::take(&mut batch), std::mem::take(&mut size));
                requests.push(Request { output, records: Records::Ready(records), size });
            }
        }
    }
    requests
}

/// Makes of a failed request what the worker is to do: mostly to begin again, with smaller batches where that is the trouble.
pub(super) fn failed(shared: &Shared, partition: i32, output: Output, fault: Fault, size: Size) -> Error {
    let topic = shared.output_topic(output);
    match fault {
        Fault::TooLarge if !size.is_of_one => {
            shared.refused_bytes[output as usize].fetch_max(size.bytes, Ordering::Relaxed);
        }
        Fault::TooLarge if output == Output::DeadLetters && can_be_cut(shared, size) => {
            // One is cut to a usual size at once, many a little each.
            lower(&shared.dead_letter_bytes, if size.records > 1 { size.bytes / 2 } else { size.bytes - 1 });
            let problem = "a dead letter was too large".to_owned();
            return Error::Interrupted { partition, problem };
        }
        Fault::TooLarge => {
            return Error::Broker {
                action: format!("producing to `{topic}`"),
                problem: match size.records {
                    1 => "the topic takes no record of this size; raise its max.message.bytes".to_owned(),
                    _ => "the topic takes no batch of this size, and what is made of one record of samples is published as one; raise \
                          its max.message.bytes, or lower schema.max_rows"
                        .to_owned(),
                },
                reason: match size.records {
                    1 => format!("a single record of {} bytes was refused", size.bytes),
                    records => format!("a batch of {records} records with {} bytes was refused", size.bytes),
                },
            };
        }
        _ => {}
    }
    not_retried(fault, partition)
}

/// Says whether a dead letter that was refused has not been cut to the end yet. Another partition may have lowered the limit
/// since it was sent, so the limit alone does not tell.
fn can_be_cut(shared: &Shared, size: Size) -> bool {
    let least = if size.records == 1 { truncate::MAX_TRUNCATED_BYTES } else { size.records * MIN_LETTER_BYTES };
    size.bytes > least || size.bytes <= shared.dead_letter_bytes.load(Ordering::Relaxed)
}

/// Cuts the dead letters of one record to what their topic takes.
fn fit(shared: &Shared, letters: &mut [Outgoing]) {
    let limit = shared.dead_letter_bytes.load(Ordering::Relaxed) / letters.len().max(1);
    let cut: Vec<usize> = letters.iter_mut().filter_map(|letter| truncate::fit(letter, limit)).collect();
    if let Some(offset) = letters.first().map(|letter| letter.source).filter(|_| !cut.is_empty()) {
        tracing::warn!(
            event = "dead_letter_cut",
            offset,
            bytes = cut.iter().sum::<usize>(),
            letters = cut.len(),
            "the dead-letters topic does not take so much of one sample; it is cut. Raise the topic's max.message.bytes"
        );
    }
}
