//! What is known of a connection from its bytes alone: whether it is open, and when something came over it last.

use std::sync::{
    Mutex as StdMutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

/// Shared between a connection's stream and whoever waits for what comes over it.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Cleared when the connection has failed, or the other side has ended it.
    open: AtomicBool,
    heard: StdMutex<Instant>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { open: AtomicBool::new(true), heard: StdMutex::new(Instant::now()) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes note that nothing more is to be expected.
    pub(super) fn end(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    /// Takes note that bytes have come.
    pub(super) fn beat(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns the time at which bytes came last, or the connection was made.
    pub(super) fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
