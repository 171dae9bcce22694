//! How much waits in the samples topic, asked of the transport where no worker's fetches tell.
//!
//! Invariant: a worker that fetches is believed; only partitions whose worker does not (its outputs are away, say), and
//! those that nobody reads, are asked about. Nothing is tried twice: the next look does that.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{pipeline::worker::Gauges, topic::Transport};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// In so many looks one for partitions that have been added.
const FOR_NEW: u32 = 10;
/// A look takes no longer.
const WITHIN: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The end of each partition, as of the last look that asked.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// Records in partitions that nobody reads.
    unread: AtomicI64,
    /// Whether the last look has found nobody to ask.
    unanswered: AtomicBool,
}

impl Waiting {
    /// The end of a partition, as far as it was asked.
    pub(super) fn end(&self, partition: i32) -> i64 {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied().unwrap_or(0)
    }

    /// Records in partitions that nobody reads.
    pub(super) fn unread(&self) -> i64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Whether it is not known how much there is.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// Looks until dropped.
pub(super) async fn run<T: Transport>(
    gauges: Vec<(i32, Gauges)>,
    transport: Arc<T>,
    waiting: Arc<Waiting>,
) -> Infallible {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Vec<Option<u64>> = vec![None; gauges.len()];
    let mut said = 0;
    for number in 0_u32.. {
        looks.tick().await;
        let mut silent = Vec::new();
        for ((partition, gauge), before) in gauges.iter().zip(&mut before) {
            let polls = gauge.polls.load(Ordering::Relaxed);
            if *before == Some(polls) && !gauge.done.load(Ordering::Acquire) {
                silent.push(*partition);
            }
            *before = Some(polls);
        }
        // Whoever fetches again knows better, also where the topic was made anew and ends earlier.
        waiting.ends.lock().unwrap_or_else(PoisonError::into_inner).retain(|partition, _| silent.contains(partition));
        if silent.is_empty() && !number.is_multiple_of(FOR_NEW) {
            waiting.unanswered.store(false, Ordering::Relaxed);
            continue;
        }
        let found = timeout(WITHIN, transport.ends(&silent)).await;
        let Ok(Ok(found)) = found else {
            // Workers that fetch know better.
            waiting.unanswered.store(!silent.is_empty(), Ordering::Relaxed);
            continue;
        };
        waiting.unanswered.store(false, Ordering::Relaxed);
        waiting.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(silent.into_iter().zip(found.ends));
        let (partitions, records) = found.unread;
        waiting.unread.store(records, Ordering::Relaxed);
        if partitions != said {
            said = partitions;
            if partitions > 0 {
                tracing::warn!(
                    event = "partitions_unread",
                    partitions,
                    records,
                    "partitions were added to the samples topic; they are read from the next start on, and count as lag until \
                     then"
                );
            }
        }
    }
    std::future::pending().await
}
