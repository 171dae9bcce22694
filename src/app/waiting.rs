//! How much waits in the samples topic, asked of the transport where no worker's fetches tell.
//!
//! Invariant: a worker that fetches is believed; only partitions whose worker does not (its outputs are away, say) are
//! asked about. Nothing is tried twice: the next look does that.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::tasks::Views;
use crate::{pipeline::worker::View, topic::Transport};

/// Between two looks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// A look takes no longer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The end of each partition, as of the last look that asked.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// Whether the last look has found nobody to ask.
    unanswered: AtomicBool,
}

impl Waiting {
    /// The end of a partition, as far as it was asked.
    pub(super) fn end(&self, partition: i32) -> i64 {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied().unwrap_or(0)
    }

    /// Whether it is not known how much there is.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// Looks until dropped.
pub(super) async fn run<T: Transport>(views: Views, transport: Arc<T>, waiting: Arc<Waiting>) -> Infallible {
    let mut looks = interval(CHECK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: BTreeMap<i32, u64> = BTreeMap::new();
    loop {
        looks.tick().await;
        let polls = |(partition, view): (&i32, &View)| (!view.is_done()).then(|| (*partition, view.polls()));
        let now: BTreeMap<i32, u64> = views.borrow().iter().filter_map(polls).collect();
        let silent: Vec<i32> =
            now.iter().filter(|(partition, polls)| before.get(*partition) == Some(*polls)).map(|it| *it.0).collect();
        before = now;
        // Whoever fetches again knows better, also where the topic was made anew and ends earlier.
        waiting.ends.lock().unwrap_or_else(PoisonError::into_inner).retain(|partition, _| silent.contains(partition));
        if silent.is_empty() {
            waiting.unanswered.store(false, Ordering::Relaxed);
            continue;
        }
        let found = timeout(CHECK_TIMEOUT, transport.ends(&silent)).await;
        waiting.unanswered.store(!matches!(found, Ok(Ok(_))), Ordering::Relaxed);
        if let Ok(Ok(ends)) = found {
            waiting.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(silent.into_iter().zip(ends));
        }
    }
}
