//! Whether the workers make progress: what feeds systemd's watchdog.
//!
//! Invariant: the watchdog is fed by work, not by a timer. A partition is alive when something of it was confirmed
//! since the last look, when it is idle (nothing waits, and fetches come back), when it has begun again after an
//! interruption, or when the transport or the state file is tried again after a failure. A partition with lag that does nothing of the kind is stalled; the log says so and the
//! watchdog goes unfed, so that systemd restarts the service. Without a watchdog the log says so all the same.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{report::tell_systemd, tasks::Views};
use crate::{store::Store, topic::Transport};

/// What was seen of a partition at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Signs {
    confirmed: i64,
    polls: u64,
    retries: u64,
    /// Records fetched that wait, or nothing where the worker has not started.
    lag: Option<i64>,
}

impl Signs {
    /// Whether there is life between `before` and now.
    fn alive_since(&self, before: &Self) -> bool {
        let idle = self.lag == Some(0) && self.polls != before.polls;
        // A worker that restores its state answers for itself: opening retries, or fails.
        self.lag.is_none() || self.confirmed != before.confirmed || self.retries != before.retries || idle
    }
}

/// Between two looks where no watchdog is configured.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Watches until dropped.
pub(super) async fn run<T: Transport>(views: Views, transport: Arc<T>, store: Arc<Store>) -> Infallible {
    let watchdog = sd_notify::watchdog_enabled();
    let mut looks = interval(watchdog.map_or(CHECK_INTERVAL, |period| period / 2));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: BTreeMap<i32, Signs> = BTreeMap::new();
    loop {
        looks.tick().await;
        let mut now = BTreeMap::new();
        let mut alive = true;
        for (&partition, view) in views.borrow().iter().filter(|(_, view)| !view.is_done()) {
            let confirmed = view.confirmed();
            let signs = Signs {
                confirmed,
                polls: view.polls(),
                retries: transport.retries() + store.retries() + view.attempts(),
                lag: view.snapshot().map(|snapshot| (snapshot.high_watermark - confirmed).max(0)),
            };
            if before.get(&partition).is_some_and(|before| !signs.alive_since(before)) {
                alive = false;
                tracing::error!(
                    event = "stalled",
                    partition,
                    confirmed,
                    lag = signs.lag.unwrap_or(0),
                    watchdog = watchdog.is_some(),
                    "no progress although records wait; where a watchdog is configured it is not fed, so that the service \
                     is restarted"
                );
            }
            now.insert(partition, signs);
        }
        before = now;
        if alive && watchdog.is_some() {
            tell_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Signs;

    const BEFORE: Signs = Signs { confirmed: 10, polls: 5, retries: 0, lag: Some(3) };

    #[test]
    fn lag_without_progress_is_a_stall_though_fetches_come_back() {
        assert!(!Signs { polls: 9, ..BEFORE }.alive_since(&BEFORE));
    }

    #[test]
    fn confirmed_records_are_life() {
        assert!(Signs { confirmed: 11, ..BEFORE }.alive_since(&BEFORE));
    }

    #[test]
    fn idle_is_alive_only_while_fetches_come_back() {
        let idle = Signs { lag: Some(0), ..BEFORE };
        assert!(Signs { polls: 6, ..idle }.alive_since(&idle));
        assert!(!idle.alive_since(&idle));
    }

    #[test]
    fn trying_again_what_failed_is_life() {
        assert!(Signs { retries: 1, ..BEFORE }.alive_since(&BEFORE));
    }
}
