//! Replicas for whoever asks: the worker makes one between two batches.
//!
//! Invariant: where nobody asks, none is made and the worker does nothing for it. However often it is asked for, making them takes
//! the worker at most [`MAX_SHARE`] of its time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::replica::Replica;

/// Age at which a replica is made anew, at least.
const MIN_AGE: Duration = Duration::from_secs(1);
/// Part of the worker's time, as its reciprocal.
const MAX_SHARE: u32 = 50;

/// A replica, and when it was made.
#[derive(Clone, Debug)]
pub struct Dated {
    /// The replica.
    pub replica: Arc<Replica>,
    /// When it was made, by the clock.
    pub written: SystemTime,
    at: Instant,
    /// Time for which making it has held up the worker.
    took: Duration,
}

impl Dated {
    /// Age from which on there should be a newer one.
    fn due(&self) -> Duration {
        MIN_AGE.max(self.took * MAX_SHARE)
    }
}

/// Where replicas are asked for and handed out.
#[derive(Debug, Default)]
pub(super) struct Counter {
    bell: Notify,
    /// True until what was asked for has been made.
    asked: AtomicBool,
}

/// The worker's side.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    counter: Arc<Counter>,
    latest: watch::Sender<Option<Dated>>,
}

impl Default for Maker {
    fn default() -> Self {
        Self { counter: Arc::default(), latest: watch::Sender::new(None) }
    }
}

impl Maker {
    /// Waits until somebody asks.
    pub(super) async fn asked(&self) {
        self.counter.bell.notified().await;
    }

    /// Makes a replica and hands it out.
    pub(super) fn make(&self, make: impl FnOnce() -> Replica) {
        let at = Instant::now();
        let replica = Arc::new(make());
        let dated = Dated { replica, written: SystemTime::now(), at, took: at.elapsed() };
        self.latest.send_replace(Some(dated));
        self.counter.asked.store(false, Ordering::Release);
    }

    pub(super) fn taker(&self) -> Taker {
        Taker { counter: Arc::clone(&self.counter), latest: self.latest.subscribe() }
    }
}

/// The side of those who ask.
#[derive(Clone, Debug)]
pub(super) struct Taker {
    counter: Arc<Counter>,
    latest: watch::Receiver<Option<Dated>>,
}

impl Taker {
    /// Returns the latest replica where it is no older than twice what is due, and else the next one; `None` where the worker
    /// ends before.
    pub(super) async fn take(&mut self) -> Option<Dated> {
        let (latest, age) = {
            let latest = self.latest.borrow_and_update();
            let age = latest.as_ref().map(|it| (it.at.elapsed(), it.due()));
            (latest.clone(), age)
        };
        match age {
            Some((age, due)) if age < due => return latest,
            _ => self.ask(),
        }
        match age {
            // Whoever asks need not wait, but the next one gets a newer one.
            Some((age, due)) if age < 2 * due => latest,
            _ => {
                self.latest.changed().await.ok()?;
                self.latest.borrow().clone()
            }
        }
    }

    fn ask(&self) {
        if !self.counter.asked.swap(true, Ordering::AcqRel) {
            self.counter.bell.notify_one();
        }
    }
}
