//! One worker per partition: three tasks joined by bounded channels.
//!
//! `fetch` reads ahead, `process` owns the models, `publish` confirms in order. Invariant: stopping starts at the
//! source. The shutdown token ends `fetch`; its closed channel lets `process` drain and leave a last checkpoint; the
//! next closed channel lets `publish` drain. A panic anywhere leaves no checkpoint behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
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
    processor::{self, Processor},
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
    /// A defect.
    #[error("the task `{task}` panicked; the state is as of the last checkpoint. Please report this")]
    Panicked {
        /// Its name.
        task: &'static str,
    },
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
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            snapshot: watch::Sender::new(None),
            confirmed: watch::Sender::new(0),
            polls: Arc::new(AtomicU64::new(0)),
        }
    }
}

/// Works on `partition` until `shutdown`, or until it has caught up if so configured. When publishing is interrupted it
/// begins again at its last checkpoint, just as after a crash.
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
            "publishing was interrupted; beginning again at the last checkpoint"
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
            let processor = start(config, store, *partition, &mut reader, &mut publisher).await?;
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
        let fetch = tokio::spawn(fetch(reader, position, *end, batches, Arc::clone(&gauges.polls), shutdown.clone()));
        let process = tokio::spawn(process(processor, incoming, outboxes, gauges.snapshot.clone(), Arc::clone(config)));
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

/// Restores the newest checkpoint, or begins where the settings say, and learns what has been published past it.
async fn start<R: Reader, P: Publisher>(
    config: &Config,
    store: &Store,
    partition: i32,
    reader: &mut R,
    publisher: &mut P,
) -> Result<Processor, Error> {
    let checkpoint = store.load(&config.processor.topic, partition)?;
    let restored = checkpoint.is_some();
    let outputs = checkpoint.as_ref().map(|checkpoint| checkpoint.outputs).unwrap_or_default();
    let position = match &checkpoint {
        Some(checkpoint) => checkpoint.position,
        None => reader.resolve(config.start).await?,
    };
    let (mut processor, afresh) = Processor::new(&config.processor, partition, position, checkpoint);
    let published = publisher.resume(outputs, position).await?;
    processor.skip_published(published);
    let snapshot = processor.snapshot();
    tracing::info!(
        event = "worker_started",
        partition,
        position,
        restored,
        version = snapshot.version,
        champion = snapshot.champion_name(),
        replay = published[0].max(published[1]).saturating_sub(position),
        "worker started"
    );
    for model in afresh {
        tracing::warn!(
            event = "model_afresh",
            partition,
            model,
            "model starts afresh: its settings, or the schema, are not those of the stored state"
        );
    }
    Ok(processor)
}

async fn fetch<R: Reader>(
    mut reader: R,
    mut offset: i64,
    end: Option<i64>,
    batches: mpsc::Sender<Fetched>,
    polls: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Result<(), transport::Error> {
    while end.is_none_or(|end| offset < end) {
        let fetched = tokio::select! {
            () = stop.cancelled() => break,
            () = batches.closed() => break,
            fetched = reader.fetch(offset) => fetched,
        };
        let mut fetched = fetched?;
        polls.fetch_add(1, Ordering::Relaxed);
        offset = fetched.next_offset;
        if let Some(end) = end {
            fetched.records.retain(|record| record.offset < end);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            sent = batches.send(fetched) => if sent.is_err() { break },
        }
    }
    Ok(())
}

async fn process(
    mut processor: Processor,
    mut incoming: mpsc::Receiver<Fetched>,
    outboxes: mpsc::Sender<Outbox>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    config: Arc<Config>,
) -> Result<(), transport::Error> {
    let mut ticks = interval(SNAPSHOT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = (Instant::now(), processor.position());
    let mut shown = Instant::now();
    let mut sent = processor.position();
    let mut rejections = Burst::default();
    let mut outbox = Outbox::at(processor.position());
    loop {
        let fetched = tokio::select! {
            fetched = incoming.recv() => fetched,
            _ = ticks.tick() => Some(Fetched { next_offset: processor.position(), ..Fetched::default() }),
        };
        let Some(fetched) = fetched else { break };
        let count = fetched.records.len();
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
        if fetched.high_watermark > 0 || count > 0 {
            processor.advance(fetched.next_offset, fetched.high_watermark);
        }
        outbox.position = processor.position();
        let due = kept.0.elapsed() >= config.checkpoint_every && processor.position() != kept.1;
        if due {
            outbox.checkpoint = Some(Box::new(processor.checkpoint()));
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
    outbox.checkpoint = Some(Box::new(processor.checkpoint()));
    // A publisher that has gone reports why by itself.
    let _ = outboxes.send(outbox).await;
    snapshots.send_replace(Some(Arc::new(processor.snapshot())));
    Ok(())
}
