//! One worker per partition: three tasks joined by bounded channels.
//!
//! `fetch` reads ahead, `process` owns the models, `publish` confirms in order. Invariant: stopping starts at the
//! source. The shutdown token ends `fetch`; its closed channel lets `process` drain and leave a last checkpoint; the
//! next closed channel lets `publish` drain. A panic anywhere leaves no checkpoint behind.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    burst::Burst,
    gap::{self, Anchor, Gap, Reason},
    processor::{self, Processor},
    recovery::recover,
    snapshot::Snapshot,
    store::{self, Store},
    transport::{self, Fetched, Outbox, Publisher, Reader, Start, Transport},
};

/// Fetched batches that may wait for `process`, and outboxes that may wait for `publish`.
const QUEUE: usize = 4;
/// An outbox is sent on when it holds this much: small enough for a broker's default limit of 1 MiB a batch.
const OUTBOX_BYTES: usize = 768 << 10;
/// Wait before beginning again after an interruption; it doubles while nothing gets through.
const RESTART_AFTER: Duration = Duration::from_millis(200);
const RESTART_WITHIN: Duration = Duration::from_secs(5);
/// Between two snapshots at least, and when there is nothing new at most.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);

/// How a worker works, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What it makes of records.
    pub processor: processor::Config,
    /// Where it starts without a checkpoint.
    pub start: Start,
    /// What to do where records are missing.
    pub on_gap: gap::Policy,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Stop at the end that the partition has when the worker starts.
    pub until_caught_up: bool,
}

/// Why a worker stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport needs a person.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The state file needs a person.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Records are missing, and the settings do not allow for that.
    #[error("{}", told(.topic, *.partition, .gap, .available, .learned_from))]
    Gap {
        /// The topic it should read.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What is missing.
        gap: Gap,
        /// What the partition holds.
        available: Range<i64>,
        /// The topic that was learned from.
        learned_from: String,
    },
    /// A defect.
    #[error("the task `{task}` panicked; the state is as of the last checkpoint. Please report this")]
    Panicked {
        /// Its name.
        task: &'static str,
    },
}

/// A gap in words, with what can be done.
fn told(topic: &str, partition: i32, gap: &Gap, available: &Range<i64>, learned_from: &str) -> String {
    let Range { start, end } = available;
    let requested = gap.requested;
    let what = match gap.reason {
        Reason::Retention => format!(
            "`{topic}`/{partition} holds offsets {start} to {end} and no longer {requested}, which is next: {} records would \
             be missed",
            gap.missed.unwrap_or(0)
        ),
        Reason::Truncated => format!(
            "`{topic}`/{partition} ends at offset {end}, but there are predictions for its records up to {requested}: it has \
             lost its newest records"
        ),
        Reason::Recreated => format!(
            "`{topic}`/{partition} has been made anew: it holds offsets {start} to {end} and other records than those \
             before {requested} that were read; how many were missed is not known"
        ),
        Reason::OtherTopic => format!(
            "the state was learned from `{learned_from}`/{partition} up to offset {requested}, and the settings name \
             `{topic}` (offsets {start} to {end})"
        ),
    };
    format!(
        "{what}. To go on with what has been learned set transport.on_gap = \"continue\"; to begin with nothing name \
         another state.path"
    )
}

impl Error {
    /// Whether it may work at the next start, without anyone doing anything about it.
    fn may_pass(&self) -> bool {
        match self {
            Error::Store(error) => error.may_pass(),
            Error::Transport(error) => error.may_pass(),
            Error::Gap { .. } | Error::Panicked { .. } => false,
        }
    }
}

/// What a worker shows while it runs.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// The latest snapshot; `None` until it has started.
    pub snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    /// Input offset up to which everything is published.
    pub confirmed: watch::Sender<i64>,
    /// Fetches that came back, with or without records: that it is alive though there is nothing to do.
    pub polls: Arc<AtomicU64>,
    /// Longest time that a checkpoint has held up the processing so far, in microseconds.
    pub longest_pause: Arc<AtomicU64>,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            snapshot: watch::Sender::new(None),
            confirmed: watch::Sender::new(0),
            polls: Arc::default(),
            longest_pause: Arc::default(),
        }
    }
}

/// Works on `partition` until `shutdown`, or until it has caught up if so configured. When it is interrupted, or meets a
/// gap, it begins again at its last checkpoint, just as after a crash.
///
/// # Errors
/// Whatever the transport or the state file cannot mend; everything confirmed until then is kept.
pub async fn run<T: Transport>(
    transport: Arc<T>,
    store: Arc<Store>,
    config: Arc<Config>,
    partition: i32,
    gauges: Gauges,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let parts = Parts { transport, store, config, partition, gauges, shutdown };
    let mut end = None;
    let mut wait = RESTART_AFTER;
    loop {
        let confirmed = *parts.gauges.confirmed.borrow();
        let problem = match parts.attempt(&mut end).await {
            Err(Error::Transport(transport::Error::Interrupted { problem, .. })) => problem,
            // What to do about it is decided at the next start.
            Err(Error::Transport(gap @ transport::Error::Gap { .. })) => gap.to_string(),
            Err(error) if error.may_pass() && parts.shutdown.is_cancelled() => error.to_string(),
            other => return other,
        };
        if parts.shutdown.is_cancelled() {
            tracing::warn!(
                event = "unpublished",
                partition,
                problem,
                "stopped; the next start publishes what is missing"
            );
            return Ok(());
        }
        // Progress shows that the trouble has passed.
        wait =
            if *parts.gauges.confirmed.borrow() > confirmed { RESTART_AFTER } else { (wait * 2).min(RESTART_WITHIN) };
        tracing::warn!(
            event = "worker_interrupted", partition, problem, next_try = ?wait,
            "interrupted; beginning again at the last checkpoint"
        );
        tokio::select! {
            () = parts.shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What a worker is made from.
struct Parts<T> {
    transport: Arc<T>,
    store: Arc<Store>,
    config: Arc<Config>,
    partition: i32,
    gauges: Gauges,
    shutdown: CancellationToken,
}

impl<T: Transport> Parts<T> {
    /// One run from the last checkpoint on. `end` is where to stop, once that is known.
    async fn attempt(&self, end: &mut Option<i64>) -> Result<(), Error> {
        let Self { transport, store, config, partition, gauges, shutdown } = self;
        let opening = async {
            let mut reader = transport.reader(*partition).await?;
            let mut publisher = transport.publisher(*partition).await?;
            let processor = recover(config, store, *partition, &mut reader, &mut publisher).await?;
            if config.until_caught_up && end.is_none() {
                *end = Some(reader.range().await?.end);
            }
            Ok::<_, Error>((reader, publisher, processor))
        };
        let (reader, publisher, processor) = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            opened = opening => opened?,
        };
        let position = processor.position();
        gauges.confirmed.send_replace(position);
        gauges.snapshot.send_replace(Some(Arc::new(processor.snapshot())));

        let (batches, incoming) = mpsc::channel(QUEUE);
        let (outboxes, outgoing) = mpsc::channel(QUEUE);
        let all_read = Arc::new(AtomicBool::new(false));
        let source = Source { reader, batches, end: *end, polls: Arc::clone(&gauges.polls), stop: shutdown.clone() };
        let fetch = tokio::spawn(fetch(source, position, Arc::clone(&all_read)));
        let sink = Sink { outboxes, gauges: gauges.clone(), checkpoint_every: config.checkpoint_every, all_read };
        let process = tokio::spawn(process(processor, incoming, sink));
        let publish = tokio::spawn(publisher.run(outgoing, gauges.confirmed.clone()));
        // A stage that ends takes the one before it along: the channel between them closes.
        let (fetched, processed, published) =
            tokio::join!(joined("fetch", fetch), joined("process", process), joined("publish", publish));
        published.and(fetched).and(processed)
    }
}

async fn joined<E: Into<Error>>(task: &'static str, handle: JoinHandle<Result<(), E>>) -> Result<(), Error> {
    match handle.await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Error::Panicked { task }),
    }
}

/// What `fetch` works with.
struct Source<R> {
    reader: R,
    batches: mpsc::Sender<Fetched>,
    /// Where to end, if anywhere.
    end: Option<i64>,
    polls: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// Reads from `offset` on; `all_read` tells at its end that it has not been cut short by a panic.
async fn fetch<R: Reader>(source: Source<R>, offset: i64, all_read: Arc<AtomicBool>) -> Result<(), transport::Error> {
    let read = read(source, offset).await;
    all_read.store(true, Ordering::Release);
    read
}

async fn read<R: Reader>(mut source: Source<R>, mut offset: i64) -> Result<(), transport::Error> {
    let Source { reader, batches, end, polls, stop } = &mut source;
    while end.is_none_or(|end| offset < end) {
        let fetched = tokio::select! {
            () = stop.cancelled() => break,
            () = batches.closed() => break,
            fetched = reader.fetch(offset) => fetched,
        };
        let mut fetched = fetched?;
        polls.fetch_add(1, Ordering::Relaxed);
        offset = fetched.next_offset;
        if let Some(end) = *end {
            fetched.records.retain(|record| record.offset < end);
            fetched.next_offset = fetched.next_offset.min(end);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            sent = batches.send(fetched) => if sent.is_err() { break },
        }
    }
    Ok(())
}

/// What `process` works with.
struct Sink {
    outboxes: mpsc::Sender<Outbox>,
    gauges: Gauges,
    checkpoint_every: Duration,
    all_read: Arc<AtomicBool>,
}

async fn process(
    mut processor: Processor,
    mut incoming: mpsc::Receiver<Fetched>,
    sink: Sink,
) -> Result<(), transport::Error> {
    let Sink { outboxes, gauges, checkpoint_every, all_read } = sink;
    let snapshots = &gauges.snapshot;
    let mut ticks = interval(SNAPSHOT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = (Instant::now(), processor.position());
    let mut shown = Instant::now();
    let mut sent = processor.position();
    let mut rejections = Burst::default();
    let mut outbox = Outbox::at(processor.position());
    loop {
        let fetched = tokio::select! {
            () = outboxes.closed() => return Ok(()),
            fetched = incoming.recv() => fetched,
            _ = ticks.tick() => Some(Fetched { next_offset: processor.position(), ..Fetched::default() }),
        };
        let Some(fetched) = fetched else { break };
        let last = fetched.records.last().map(Anchor::of);
        for record in fetched.records {
            let offset = record.offset;
            if let Err(rejection) = processor.process(record, &mut outbox) {
                rejections.seen(rejection.reason(), |times| {
                    tracing::warn!(
                        event = "dead_letter", offset, reason = rejection.reason(), error = %rejection, times,
                        "record cannot be used and goes to the dead letters"
                    );
                });
            }
            if outbox.bytes() >= OUTBOX_BYTES && outboxes.send(outbox.take()).await.is_err() {
                return Ok(());
            }
        }
        if fetched.high_watermark > 0 || last.is_some() {
            processor.advance(fetched.next_offset, fetched.high_watermark, last);
        }
        outbox.position = processor.position();
        let due = kept.0.elapsed() >= checkpoint_every && processor.position() != kept.1;
        if due {
            let begun = std::time::Instant::now();
            outbox.checkpoint = Some(Box::new(processor.checkpoint()));
            let pause = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            gauges.longest_pause.fetch_max(pause, Ordering::Relaxed);
            kept = (Instant::now(), processor.position());
        }
        if (due || outbox.position != sent) && outboxes.send(outbox.take()).await.is_err() {
            return Ok(());
        }
        sent = outbox.position;
        if shown.elapsed() >= SNAPSHOT_EVERY {
            snapshots.send_replace(Some(Arc::new(processor.snapshot())));
            shown = Instant::now();
        }
    }
    if !all_read.load(Ordering::Acquire) {
        // `fetch` has panicked: nobody knows what the last records are worth.
        return Ok(());
    }
    if processor.position() != kept.1 {
        outbox.checkpoint = Some(Box::new(processor.checkpoint()));
    }
    // A publisher that has gone reports why by itself.
    let _ = outboxes.send(outbox).await;
    snapshots.send_replace(Some(Arc::new(processor.snapshot())));
    Ok(())
}
