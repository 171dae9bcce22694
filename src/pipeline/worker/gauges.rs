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

use crate::snapshot::Snapshot;

/// Writing end, which the worker holds.
#[derive(Debug)]
pub struct Gauges {
    pub(super) snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    pub(super) confirmed: watch::Sender<i64>,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) polls: AtomicU64,
    pub(super) attempts: AtomicU64,
    pub(super) done: AtomicBool,
    /// Longest pause for a checkpoint, in microseconds.
    pub(super) longest_pause: AtomicU64,
}

impl Default for Gauges {
    fn default() -> Self {
        Self { snapshot: watch::Sender::new(None), confirmed: watch::Sender::new(0), counters: Arc::default() }
    }
}

impl Gauges {
    /// Returns a reading end.
    pub fn view(&self) -> View {
        View {
            snapshot: self.snapshot.subscribe(),
            confirmed: self.confirmed.subscribe(),
            counters: Arc::clone(&self.counters),
        }
    }
}

/// Reading end.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    confirmed: watch::Receiver<i64>,
    counters: Arc<Counters>,
}

impl View {
    /// Returns the latest snapshot; `None` until the worker has started.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.borrow().clone()
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

    /// Returns `true` once the worker has ended.
    pub fn is_done(&self) -> bool {
        self.counters.done.load(Ordering::Acquire)
    }

    /// Returns the longest time that a checkpoint has held up the processing so far.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_micros(self.counters.longest_pause.load(Ordering::Relaxed))
    }
}
