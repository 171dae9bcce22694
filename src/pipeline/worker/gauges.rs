//! Readings of a running worker.
//!
//! Invariant: a [`View`] cannot hold up or change what the worker does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::replicas::{Dated, Maker, Taker};
use crate::{snapshot::Snapshot, tap::Tap};

/// Writing end, which the worker holds.
#[derive(Debug)]
pub struct Gauges {
    pub(super) snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    pub(super) confirmed: watch::Sender<i64>,
    pub(super) counters: Arc<Counters>,
    pub(super) tap: Arc<Tap>,
    pub(super) replicas: Maker,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) polls: AtomicU64,
    pub(super) attempts: AtomicU64,
    pub(super) done: AtomicBool,
    /// Longest pause for a checkpoint, in microseconds.
    pub(super) longest_pause: AtomicU64,
    /// True while the stream waits for the schema registry.
    is_held: AtomicBool,
    /// Number of times that the registry was asked in vain.
    registry_tries: AtomicU64,
}

impl Counters {
    /// Notes that the stream waits for the schema registry, after another try, or no longer does.
    pub(super) fn waits_for_registry(&self, waits: bool) {
        self.is_held.store(waits, Ordering::Release);
        self.registry_tries.fetch_add(u64::from(waits), Ordering::Relaxed);
    }
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            snapshot: watch::Sender::new(None),
            confirmed: watch::Sender::new(0),
            counters: Arc::default(),
            tap: Arc::default(),
            replicas: Maker::default(),
        }
    }
}

impl Gauges {
    /// Returns a reading end.
    pub fn view(&self) -> View {
        View {
            snapshot: self.snapshot.subscribe(),
            confirmed: self.confirmed.subscribe(),
            counters: Arc::clone(&self.counters),
            tap: Arc::clone(&self.tap),
            replicas: self.replicas.taker(),
        }
    }
}

/// Reading end.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    confirmed: watch::Receiver<i64>,
    counters: Arc<Counters>,
    tap: Arc<Tap>,
    replicas: Taker,
}

impl View {
    /// Returns the latest snapshot; `None` until the worker has started.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.borrow().clone()
    }

    /// Returns where the worker leaves a few predictions and its latest events.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Returns a copy of what the worker has learned, made two seconds ago at most (longer where making it takes long: a copy takes
    /// up to a fiftieth of the worker's time). The worker makes it between two batches; `None` where it ends before.
    pub async fn replica(&mut self) -> Option<Dated> {
        self.replicas.take().await
    }

    /// Returns the input offset up to which everything is published.
    pub fn confirmed(&self) -> i64 {
        *self.confirmed.borrow()
    }

    /// Waits until everything before the input offset `position` is published, or the worker has ended, and returns the
    /// offset reached.
    pub async fn confirmed_to(&mut self, position: i64) -> i64 {
        // It fails once the worker is gone; its last value stays.
        let _ = self.confirmed.wait_for(|confirmed| *confirmed >= position).await;
        self.confirmed()
    }

    /// Returns the number of fetches that came back, with or without records: a sign of life while there is nothing to
    /// do.
    pub fn polls(&self) -> u64 {
        self.counters.polls.load(Ordering::Relaxed)
    }

    /// Returns how often the worker was interrupted and began again: it is trying, which is a sign of life.
    pub fn attempts(&self) -> u64 {
        self.counters.attempts.load(Ordering::Relaxed)
    }

    /// Returns true while the stream waits for the schema registry.
    pub fn waits_for_registry(&self) -> bool {
        self.counters.is_held.load(Ordering::Acquire)
    }

    /// Returns how often the schema registry was asked in vain: it is trying, which is a sign of life.
    pub fn registry_tries(&self) -> u64 {
        self.counters.registry_tries.load(Ordering::Relaxed)
    }

    /// Returns `true` once the worker has ended.
    pub fn is_done(&self) -> bool {
        self.counters.done.load(Ordering::Acquire)
    }

    /// Returns the longest time that a checkpoint has held up the processing so far.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_micros(self.counters.longest_pause.load(Ordering::Relaxed))
    }
}
