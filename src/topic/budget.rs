//! Bytes that the workers of a process hold between them: fetched, being processed, and on their way to the outputs.
//!
//! Invariant: a worker that holds nothing never waits, so whoever cannot publish keeps nobody else from working. All together
//! hold no more than the budget and a fetch for each worker beside.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 1 << 10;
/// Budget of a process, in pieces: enough for two dozen workers at full speed.
const MAX_PIECES: u32 = 64 << 10;

/// The budget of a process.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    pieces: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_PIECES)
    }
}

impl Budget {
    fn of(pieces: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(pieces as usize)), pieces }
    }

    /// Makes a budget of so many bytes, rounded down to KiB, 1 KiB at least.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        Self::of(u32::try_from(bytes / PIECE_BYTES).unwrap_or(u32::MAX).clamp(1, MAX_PIECES))
    }

    /// Returns the way of one worker to it.
    #[must_use]
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), own: Arc::default() }
    }
}

/// The way of one worker to the budget.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    own: Arc<Own>,
}

/// What one worker holds.
#[derive(Debug, Default)]
struct Own {
    count: AtomicUsize,
    given_back: Notify,
}

impl Share {
    /// Waits until so many bytes may be held, too, or until this worker holds nothing else. Dropping the future takes nothing.
    pub async fn take(&self, bytes: usize) -> Held {
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX).min(self.budget.pieces);
        let permit = tokio::select! {
            biased;
            permit = Arc::clone(&self.budget.free).acquire_many_owned(pieces) => permit.ok(),
            () = self.own.is_empty() => None,
        };
        self.own.count.fetch_add(1, Ordering::AcqRel);
        Held { _permit: permit, own: Arc::clone(&self.own) }
    }
}

impl Own {
    /// Waits until nothing is held.
    async fn is_empty(&self) {
        loop {
            let given_back = self.given_back.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            given_back.await;
        }
    }
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub struct Held {
    _permit: Option<OwnedSemaphorePermit>,
    own: Arc<Own>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.own.count.fetch_sub(1, Ordering::AcqRel);
        // One task of a worker waits at most, and a notice that nobody waits for is kept for it.
        self.own.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const BYTES: usize = 100 << 10;

    async fn may(share: &Share, bytes: usize) -> Option<Held> {
        timeout(Duration::from_secs(1), share.take(bytes)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_all_hold_is_bounded_and_whoever_holds_nothing_goes_on() {
        let budget = Budget::of_bytes(BYTES);
        let (stuck, free) = (budget.share(), budget.share());
        let held = may(&stuck, BYTES).await.expect("there is room");
        assert!(may(&stuck, 1).await.is_none(), "it holds all there is");
        for _ in 0..3 {
            let one = may(&free, BYTES).await.expect("it holds nothing");
            assert!(may(&free, 1).await.is_none(), "it holds something");
            drop(one);
        }
        drop(held);
        let first = may(&free, BYTES / 2).await.expect("there is room again");
        let second = may(&free, BYTES / 2).await.expect("there is room for more");
        assert!(may(&stuck, 1).await.is_some(), "it holds nothing");
        drop((first, second));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_goes_on_when_others_or_it_give_back() {
        let budget = Budget::of_bytes(BYTES);
        let (one, other) = (budget.share(), budget.share());
        let all = one.take(BYTES).await;
        let beside = other.take(1).await;
        let (more, ()) = tokio::join!(other.take(1), async { drop(beside) });
        assert!(more._permit.is_none(), "it held nothing, while the other one holds all");
        let (last, ()) = tokio::join!(other.take(BYTES / 2), async { drop(all) });
        assert!(last._permit.is_some(), "there is room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_larger_than_the_budget_takes_all_of_it() {
        let budget = Budget::of_bytes(BYTES);
        let share = budget.share();
        let held = may(&share, 10 * BYTES).await.expect("there is room");
        assert!(may(&share, 1).await.is_none());
        drop(held);
        assert!(may(&share, 1).await.is_some());
    }
}
