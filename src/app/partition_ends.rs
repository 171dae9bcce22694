//! Asks the transport for the ends of partitions in the samples topic whose worker's fetches do not tell.
//!
//! Invariant: a worker that fetches is believed; only partitions whose worker does not (its outputs are unreachable,
//! say) are asked about. Nothing is retried: the next check does that.

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
use thalweg_pipeline::worker::View;
use thalweg_topic::Transport;

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum duration of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The results of the last check.
#[derive(Debug, Default)]
pub(super) struct PartitionEnds {
    /// End of each partition, as of the last check that asked.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// True if the last check got no answer.
    unanswered: AtomicBool,
}

impl PartitionEnds {
    /// Returns the end of a partition, 0 if it was not asked for.
    pub(super) fn end(&self, partition: i32) -> i64 {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied().unwrap_or(0)
    }

    /// Returns true if the ends are unknown.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// Checks until dropped.
pub(super) async fn run<T: Transport>(views: Views, transport: Arc<T>, ends: Arc<PartitionEnds>) -> Infallible {
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
        // A worker that fetches again knows better, also if the topic was made anew and ends earlier.
        ends.ends.lock().unwrap_or_else(PoisonError::into_inner).retain(|partition, _| silent.contains(partition));
        if silent.is_empty() {
            ends.unanswered.store(false, Ordering::Relaxed);
            continue;
        }
        let found = timeout(CHECK_TIMEOUT, transport.ends(&silent)).await;
        ends.unanswered.store(!matches!(found, Ok(Ok(_))), Ordering::Relaxed);
        if let Ok(Ok(found)) = found {
            ends.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(silent.into_iter().zip(found));
        }
    }
}
