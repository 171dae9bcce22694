//! Checks that the workers make progress, and feeds systemd's watchdog.
//!
//! Invariant: the watchdog is fed by work, not by a timer. A partition is alive if something of it was confirmed since
//! the last check, if it is idle (nothing waits, and fetches come back), if it has begun again after an interruption,
//! or if the transport, the state file or the schema registry is retried after a failure. A partition with lag and none of these is stalled;
//! the log says so and the watchdog is not fed, so that systemd restarts the service. Without a watchdog the log says
//! so all the same.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{report::tell_systemd, tasks::Views};
use thalweg_store::Store;
use thalweg_topic::Transport;

/// The progress of a partition at the last check.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Progress {
    confirmed: i64,
    polls: u64,
    retries: u64,
    /// Number of fetched records that wait, or `None` if the worker has not started.
    lag: Option<i64>,
}

impl Progress {
    /// Returns true if there was progress since `before`.
    fn alive_since(&self, before: &Self) -> bool {
        let idle = self.lag == Some(0) && self.polls != before.polls;
        // A worker that restores its state is alive by itself: opening retries, or fails.
        self.lag.is_none() || self.confirmed != before.confirmed || self.retries != before.retries || idle
    }
}

/// Interval between two checks if no watchdog is configured.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Watches until dropped.
pub(super) async fn run<T: Transport>(views: Views, transport: Arc<T>, store: Arc<Store>) -> Infallible {
    let watchdog = sd_notify::watchdog_enabled();
    let mut looks = interval(watchdog.map_or(CHECK_INTERVAL, |period| period / 2));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: BTreeMap<i32, Progress> = BTreeMap::new();
    loop {
        looks.tick().await;
        let mut now = BTreeMap::new();
        let mut alive = true;
        for (&partition, view) in views.borrow().iter().filter(|(_, view)| !view.is_done()) {
            let confirmed = view.confirmed();
            let progress = Progress {
                confirmed,
                polls: view.polls(),
                retries: transport.retries() + store.retries() + view.attempts() + view.registry_tries(),
                lag: view.snapshot().map(|snapshot| (snapshot.high_watermark - confirmed).max(0)),
            };
            if before.get(&partition).is_some_and(|before| !progress.alive_since(before)) {
                alive = false;
                tracing::error!(
                    event = "stalled",
                    partition,
                    confirmed,
                    lag = progress.lag.unwrap_or(0),
                    watchdog = watchdog.is_some(),
                    "no progress although records wait; where a watchdog is configured it is not fed, so that the service \
                     is restarted"
                );
            }
            now.insert(partition, progress);
        }
        before = now;
        if alive && watchdog.is_some() {
            tell_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    const BEFORE: Progress = Progress { confirmed: 10, polls: 5, retries: 0, lag: Some(3) };

    #[test]
    fn lag_without_progress_is_a_stall_though_fetches_come_back() {
        assert!(!Progress { polls: 9, ..BEFORE }.alive_since(&BEFORE));
    }

    #[test]
    fn confirmed_records_are_life() {
        assert!(Progress { confirmed: 11, ..BEFORE }.alive_since(&BEFORE));
    }

    #[test]
    fn idle_is_alive_only_while_fetches_come_back() {
        let idle = Progress { lag: Some(0), ..BEFORE };
        assert!(Progress { polls: 6, ..idle }.alive_since(&idle));
        assert!(!idle.alive_since(&idle));
    }

    #[test]
    fn trying_again_what_failed_is_life() {
        assert!(Progress { retries: 1, ..BEFORE }.alive_since(&BEFORE));
    }
}
