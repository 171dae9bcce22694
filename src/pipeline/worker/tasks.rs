//! The tasks `fetch` and `process`; `publish` is the transport's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    gauges::Counters,
    label_feed::{LabelFeed, Step},
    replicas::Maker,
    schemas::Schemas,
};
use crate::{
    decode::{Learned, ReadAhead, Rejection, Rows},
    gap::Anchor,
    pending_predictions::PendingPredictions,
    processor::Processor,
    snapshot::Snapshot,
    tap::Spout,
};
use thalweg_store::RateLimited;
use thalweg_topic::{Fetched, Held, Outbox, Reader, Share, record::Record};

/// Bytes at which an outbox is sent on: small enough for a broker's default limit of 1 MiB a batch.
const OUTBOX_BYTES: usize = 768 << 10;
/// Shortest time between two snapshots.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);

/// Inputs of `fetch`.
pub(super) struct Intake<R> {
    pub(super) reader: R,
    /// A channel keeps room for dozens, whatever its capacity, so that they are on the heap.
    pub(super) batches: mpsc::Sender<Box<Batch>>,
    /// Offset to end at, if any.
    pub(super) end: Option<i64>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: CancellationToken,
    pub(super) ahead: ReadAhead,
    /// True where rows are read ahead, which those of labels are not.
    pub(super) reads_rows: bool,
    pub(super) schemas: Schemas,
    /// Of the bytes that all workers may hold.
    pub(super) share: Share,
}

/// Reads from `offset` on; sets `all_read` at its end, which a panic leaves unset.
pub(super) async fn fetch<R: Reader>(intake: Intake<R>, offset: i64, all_read: Arc<AtomicBool>) -> Result<(), Error> {
    let read = read(intake, offset).await;
    all_read.store(true, Ordering::Release);
    read
}

/// Fetches the next batch while the last one is read ahead and handed on.
async fn read<R: Reader>(mut intake: Intake<R>, mut offset: i64) -> Result<(), Error> {
    let Intake { reader, batches, end, counters, stop, ahead, reads_rows, schemas, share } = &mut intake;
    let mut brought: Option<Fetched> = None;
    loop {
        let more = end.is_none_or(|end| offset < end);
        if !more && brought.is_none() {
            return Ok(());
        }
        let handed = match brought.take() {
            None => None,
            // We wait for room in the budget and in the channel before we fetch more.
            Some(fetched) => {
                let room = async {
                    let learned = schemas.learn(&fetched.records).await?;
                    let bytes = fetched.bytes();
                    let held = if bytes > 0 { Some(share.take(bytes).await) } else { None };
                    Ok::<_, Error>(batches.reserve().await.ok().map(|place| (held, place, learned)))
                };
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = batches.closed() => return Ok(()),
                    room = room => match room? {
                        Some((held, place, learned)) => Some((fetched, held, place, learned)),
                        None => return Ok(()),
                    },
                }
            }
        };
        let fetch = async { if more { Some(reader.fetch(offset).await) } else { None } };
        let hand_on = async {
            let Some((fetched, held, place, learned)) = handed else { return };
            let last = fetched.records.last().map(Anchor::of);
            let fetched = Fetched { records: ahead.split(fetched.records, &learned), ..fetched };
            let rows = if *reads_rows { ahead.read_records(&fetched.records, &learned) } else { Rows::default() };
            place.send(Box::new(Batch { fetched, last, rows, learned, held }));
        };
        let (fetched, ()) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = batches.closed() => return Ok(()),
            // The order matters: the request is sent first.
            both = futures_util::future::join(fetch, hand_on) => both,
        };
        let Some(fetched) = fetched else { continue };
        let mut fetched = fetched?;
        counters.polls.fetch_add(1, Ordering::Relaxed);
        offset = fetched.next_offset;
        if let Some(end) = *end {
            fetched.records.retain(|record| record.offset < end);
            fetched.next_offset = fetched.next_offset.min(end);
        }
        brought = Some(fetched);
    }
}

/// A batch on its way from `fetch` to `process`.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) fetched: Fetched,
    /// The last record, as it is in the topic.
    pub(super) last: Option<Anchor>,
    /// Rows of the records, as far as they could be read ahead.
    pub(super) rows: Rows,
    /// Schemas by which they are read, in the order of the records that bring them.
    pub(super) learned: Vec<Learned>,
    /// Bytes of the records.
    pub(super) held: Option<Held>,
}

/// Inputs of `process`.
pub(super) struct Results {
    pub(super) outboxes: mpsc::Sender<Outbox>,
    pub(super) snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    pub(super) replicas: Maker,
    pub(super) counters: Arc<Counters>,
    pub(super) checkpoint_every: Duration,
    pub(super) all_read: Arc<AtomicBool>,
    pub(super) spout: Spout,
    /// Offset of the samples to end at, if any.
    pub(super) end: Option<i64>,
    /// Labels that have a topic of their own.
    pub(super) labels: Option<LabelFeed>,
}

pub(super) async fn process(
    mut processor: Box<Processor>,
    mut incoming: mpsc::Receiver<Box<Batch>>,
    results: Results,
) -> Result<(), thalweg_topic::Error> {
    let Results { outboxes, snapshots, replicas, counters, checkpoint_every, all_read, mut spout, end, mut labels } =
        results;
    let mut kept = (Instant::now(), reached(&processor));
    let mut shown = Instant::now();
    // Set where something has changed since that snapshot.
    let (mut is_new, mut seen) = (true, (0, 0, 0));
    let mut is_told = false;
    let mut sent = reached(&processor);
    let mut rejections = RateLimited::default();
    let mut outbox: Outbox<PendingPredictions> = Outbox::at(processor.position());
    processor.begin(&mut outbox);
    // Set where the samples are at their end, so that a label has not to wait for older ones.
    let mut is_at_end = false;
    'work: loop {
        if labels.as_ref().is_some_and(LabelFeed::is_broken) {
            break;
        }
        // A worker that has nothing to do is not woken.
        let next_snapshot = is_new.then_some(shown + SNAPSHOT_EVERY);
        let is_unsaved = reached(&processor) != kept.1 && processor.may_begin_here();
        let next_checkpoint = is_unsaved.then_some(kept.0 + checkpoint_every);
        let mut is_fetched = false;
        let batch = tokio::select! {
            () = outboxes.closed() => return Ok(()),
            batch = incoming.recv() => {
                is_fetched = true;
                is_new |= !std::mem::replace(&mut is_told, true);
                batch
            }
            () = replicas.asked() => {
                replicas.make(|| processor.replica());
                continue;
            }
            () = more(&mut labels) => {
                let fetched = Fetched { next_offset: processor.position(), ..Fetched::default() };
                Some(Box::new(Batch { fetched, ..Batch::default() }))
            }
            () = until(next_snapshot.into_iter().chain(next_checkpoint).min()) => {
                let fetched = Fetched { next_offset: processor.position(), ..Fetched::default() };
                Some(Box::new(Batch { fetched, ..Batch::default() }))
            }
        };
        let Some(batch) = batch else { break };
        let Batch { fetched, last, rows, learned, held } = *batch;
        if last.is_some() {
            processor.set_now(now());
        }
        let mut learned = learned.iter().peekable();
        let mut records = fetched.records.into_iter().enumerate().peekable();
        let mut before = None;
        while let Some((i, record)) = records.next() {
            let offset = record.offset;
            while let Some(feed) = &mut labels
                && before != Some(offset)
            {
                match feed.before(offset, record.timestamp, records.peek().map(|(_, next)| next.timestamp)) {
                    Some(Step::Label(label)) => {
                        take_label(&mut processor, feed, &label, &mut outbox, &mut rejections);
                        if !send_full(&mut outbox, &mut spout, &outboxes, &replicas, &mut processor).await {
                            return Ok(());
                        }
                    }
                    Some(Step::Sample) => before = Some(offset),
                    Some(Step::Over) => break 'work,
                    None => {
                        // Nobody waits for what is ready until more labels have come.
                        spout.leave(&outbox);
                        if !outbox.is_empty() && !send(&outboxes, outbox.take(), &replicas, &mut processor).await {
                            return Ok(());
                        }
                        tokio::select! {
                            () = outboxes.closed() => return Ok(()),
                            () = replicas.asked() => replicas.make(|| processor.replica()),
                            () = feed.came() => {}
                        }
                    }
                }
            }
            let is_last_row = records.peek().is_none_or(|(_, next)| next.offset != offset);
            while let Some(learned) = learned.next_if(|learned| learned.offset <= offset) {
                processor.learn_schema(learned);
            }
            if let Err(rejection) = processor.process_ahead(record, rows.get(i), &mut outbox) {
                tell_rejected(&mut rejections, None, offset, &rejection);
            }
            // After a restart an output tells from which record its last one was made, and not from which row.
            if is_last_row && outbox.bytes() >= OUTBOX_BYTES {
                spout.leave(&outbox);
                if !send(&outboxes, outbox.take(), &replicas, &mut processor).await {
                    return Ok(());
                }
            }
        }
        if is_fetched {
            is_at_end = fetched.next_offset >= fetched.high_watermark;
        }
        if let Some(feed) = &mut labels {
            while is_at_end && take_next(&mut processor, feed, &mut outbox, &mut rejections) {
                if !send_full(&mut outbox, &mut spout, &outboxes, &replicas, &mut processor).await {
                    return Ok(());
                }
            }
        }
        if last.is_some() || labels.is_some() {
            say(&mut processor, &mut rejections);
        }
        if fetched.end > 0 || last.is_some() {
            let ends = (fetched.next_offset, fetched.high_watermark, fetched.end);
            is_new |= last.is_some() || std::mem::replace(&mut seen, ends) != ends;
            processor.advance(fetched.next_offset, fetched.high_watermark, last);
            processor.ends_at(fetched.end);
        }
        if is_told {
            processor.knows_end();
        }
        outbox.position = processor.position();
        outbox.held.extend(held);
        spout.leave(&outbox);
        let due = kept.0.elapsed() >= checkpoint_every && reached(&processor) != kept.1 && processor.may_begin_here();
        if due {
            let begun = std::time::Instant::now();
            outbox.checkpoint = Some(Box::new(processor.checkpoint()));
            let pause = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            counters.longest_pause.fetch_max(pause, Ordering::Relaxed);
            kept = (Instant::now(), reached(&processor));
        }
        if (due || reached(&processor) != sent) && !send(&outboxes, outbox.take(), &replicas, &mut processor).await {
            return Ok(());
        }
        sent = reached(&processor);
        if shown.elapsed() >= SNAPSHOT_EVERY {
            snapshots.send_replace(Some(Arc::new(processor.snapshot())));
            (shown, is_new) = (Instant::now(), false);
        }
    }
    // What was fetched and not processed is fetched again.
    incoming.close();
    while incoming.recv().await.is_some() {}
    if !all_read.load(Ordering::Acquire) {
        // `fetch` has panicked, so the last records cannot be trusted.
        return Ok(());
    }
    let is_done = is_at_end || end.is_some_and(|end| processor.position() >= end);
    while let Some(feed) = labels.as_mut().filter(|_| is_done) {
        while take_next(&mut processor, feed, &mut outbox, &mut rejections) {
            if !send_full(&mut outbox, &mut spout, &outboxes, &replicas, &mut processor).await {
                return Ok(());
            }
        }
        // What is left waits for samples that are not there.
        if feed.is_over() || feed.has_more() {
            break;
        }
        tokio::select! {
            () = outboxes.closed() => return Ok(()),
            () = replicas.asked() => replicas.make(|| processor.replica()),
            () = feed.came() => {}
        }
    }
    if labels.as_ref().is_some_and(|feed| !feed.is_sound()) {
        return Ok(());
    }
    outbox.position = processor.position();
    if reached(&processor) != kept.1 && processor.may_begin_here() {
        outbox.checkpoint = Some(Box::new(processor.checkpoint()));
    }
    // A publisher that has ended reports the reason itself.
    let _ = outboxes.send(outbox.take()).await;
    snapshots.send_replace(Some(Arc::new(processor.snapshot())));
    Ok(())
}

/// Returns how far the samples are processed, and the labels where they have a topic of their own.
fn reached(processor: &Processor) -> (i64, i64) {
    (processor.position(), processor.labels_read().map_or(0, |read| read.position))
}

/// Waits until more labels have come; for ever where these have no topic of their own.
async fn more(labels: &mut Option<LabelFeed>) {
    match labels {
        Some(feed) => feed.came().await,
        None => std::future::pending().await,
    }
}

/// Takes the next label, which waits for no sample; false where there is none, or samples that have predictions come first.
fn take_next(
    processor: &mut Processor,
    feed: &mut LabelFeed,
    outbox: &mut Outbox<PendingPredictions>,
    rejections: &mut RateLimited,
) -> bool {
    let label = if feed.is_free(processor.position()) { feed.take() } else { None };
    if let Some(label) = &label {
        take_label(processor, feed, label, outbox, rejections);
    }
    let (position, end) = feed.position();
    processor.advance_labels(position, end);
    label.is_some()
}

/// Sends an outbox on where it is full; returns false where the publisher has ended.
async fn send_full(
    outbox: &mut Outbox<PendingPredictions>,
    spout: &mut Spout,
    outboxes: &mpsc::Sender<Outbox>,
    replicas: &Maker,
    processor: &mut Processor,
) -> bool {
    if outbox.bytes() < OUTBOX_BYTES {
        return true;
    }
    spout.leave(outbox);
    send(outboxes, outbox.take(), replicas, processor).await
}

/// Processes a label.
fn take_label(
    processor: &mut Processor,
    feed: &mut LabelFeed,
    label: &Record,
    outbox: &mut Outbox<PendingPredictions>,
    rejections: &mut RateLimited,
) {
    feed.learned(label.offset).for_each(|learned| processor.learn_schema(&learned));
    if let Err(rejection) = processor.process_label(label, outbox) {
        let topic = processor.labels_read().map(|read| read.topic.as_str());
        tell_rejected(rejections, topic, label.offset, &rejection);
    }
}

/// Logs a record that cannot be used; `topic` is where it is not the samples'.
fn tell_rejected(rejections: &mut RateLimited, topic: Option<&str>, offset: i64, rejection: &Rejection) {
    rejections.seen(rejection.reason(), |times| {
        tracing::warn!(
            event = "dead_letter", topic, offset, reason = rejection.reason(), error = %rejection, times,
            "record cannot be used and goes to the dead letters"
        );
    });
}

/// Hands an outbox to the publisher, and meanwhile makes replicas for those who ask: it may be waiting for a broker. Returns `false`
/// where the publisher has ended. It has the processor for itself, since that one is not shared between threads.
async fn send(outboxes: &mpsc::Sender<Outbox>, outbox: Outbox, replicas: &Maker, processor: &mut Processor) -> bool {
    let sending = outboxes.send(outbox);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => return sent.is_ok(),
            () = replicas.asked() => replicas.make(|| processor.replica()),
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Logs the notices and the implausible times of a batch.
fn say(processor: &mut Processor, bursts: &mut RateLimited) {
    for notice in processor.take_notices() {
        if notice.is_warning() {
            tracing::warn!(event = notice.name(), "{notice}");
        } else {
            tracing::info!(event = notice.name(), "{notice}");
        }
    }
    if let Some(implausible) = processor.take_implausible() {
        bursts.seen_times("timestamp_implausible", implausible.count, |times| {
            tracing::warn!(event = "timestamp_implausible", times, "{implausible}");
        });
    }
}
