//! One worker per partition: three tasks joined by bounded channels.
//!
//! `fetch` reads ahead, `process` owns the models, `publish` confirms in order. Invariant: stopping starts at the
//! source. The shutdown token ends `fetch`; its closed channel lets `process` drain and leave a last checkpoint; the
//! next closed channel lets `publish` drain. After a panic in one of the three the last checkpoint is left out.
//!
//! Reading order: this file (a worker's life), `tasks` (what two of the three do; the third is the transport's).

mod tasks;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use thalweg_store::Store;
use thalweg_topic::{Publisher, Reader, Start, Transport};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    decode::Ahead,
    gap::{self, Gap},
    processor,
    recovery::recover,
    snapshot::Snapshot,
};
use tasks::{Sink, Source, fetch, process};

/// Fetched batches that may wait for `process`, and outboxes that may wait for `publish`.
const QUEUE: usize = 1;
/// Wait before beginning again after an interruption; it doubles while nothing gets through.
const RESTART_AFTER: Duration = Duration::from_millis(200);
const RESTART_WITHIN: Duration = Duration::from_secs(5);

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
    Transport(#[from] thalweg_topic::Error),
    /// The state file needs a person.
    #[error(transparent)]
    Store(#[from] thalweg_store::Error),
    /// Records are missing, and the settings do not allow for that.
    #[error("{}", .gap.told(.topic, *.partition, .available, .learned_from))]
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
    /// Times it was interrupted and began again: that it is trying is a sign of life.
    pub attempts: Arc<AtomicU64>,
    /// Set once it has ended.
    pub done: Arc<AtomicBool>,
    /// Longest time that a checkpoint has held up the processing so far, in microseconds.
    pub longest_pause: Arc<AtomicU64>,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            snapshot: watch::Sender::new(None),
            confirmed: watch::Sender::new(0),
            polls: Arc::default(),
            attempts: Arc::default(),
            done: Arc::default(),
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
        let ended = parts.attempt(&mut end).await;
        // Told to stop, though perhaps not yet by its own token: the state file hears of it first.
        let stopping = parts.shutdown.is_cancelled() || parts.store.is_closing();
        let problem = match ended {
            Err(Error::Transport(thalweg_topic::Error::Interrupted { problem, .. })) => problem,
            // What to do about it is decided at the next start, and where it ends is another place then.
            Err(Error::Transport(gap @ thalweg_topic::Error::Gap { .. })) => {
                end = None;
                gap.to_string()
            }
            Err(error) if error.may_pass() => error.to_string(),
            other => {
                parts.gauges.done.store(true, Ordering::Release);
                return other;
            }
        };
        parts.gauges.attempts.fetch_add(1, Ordering::Relaxed);
        if stopping {
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
        let source = Source {
            reader,
            batches,
            end: *end,
            polls: Arc::clone(&gauges.polls),
            stop: shutdown.clone(),
            ahead: Ahead::new(&config.processor.schema),
        };
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
