//! What a worker leaves of its outputs for those who watch: a few predictions where they are asked for, and its latest events.
//!
//! Invariant: the worker never waits here. Predictions that nobody asked for are not copied, and what finds no room pushes out
//! the oldest. What is left is made, and perhaps not published yet.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use crate::pending_predictions::PendingPredictions;
use thalweg_metrics::Interval;
use thalweg_topic::{Outbox, Output, PendingPredictions as _};

/// Predictions, and events, that are kept for who reads.
const CAPACITY: usize = 64;

/// A prediction, beside its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Tapped {
    /// Offset of its sample.
    pub offset: i64,
    /// Its place among the rows of its record, where that held many.
    pub row: Option<u32>,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The target, where the sample has one.
    pub target: Option<f64>,
    /// The interval around what is published.
    pub interval: Option<Interval>,
    /// Index of the model whose prediction is published.
    pub champion: usize,
    /// Samples that the models had learned from.
    pub version: u64,
    /// The prediction of each model, in configured order.
    pub predictions: Vec<f64>,
}

/// How far somebody has read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    predictions: u64,
    events: u64,
}

/// What was left since the last look.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Predictions, oldest first.
    pub predictions: Vec<Tapped>,
    /// Events as they are published, oldest first.
    pub events: Vec<Arc<[u8]>>,
}

/// Where a worker leaves it.
#[derive(Debug)]
pub struct Tap {
    /// Predictions that may be left until the next look.
    asked: AtomicU32,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    predictions: Numbered<Tapped>,
    events: Numbered<Arc<[u8]>>,
}

/// The newest items, numbered.
#[derive(Debug)]
struct Numbered<T> {
    items: VecDeque<T>,
    /// Number of the next item.
    next: u64,
}

impl Default for Tap {
    fn default() -> Self {
        static TAPS: AtomicU64 = AtomicU64::new(0);
        // A partition that gets another worker has another tap, whose numbers are beyond those that were seen.
        let next = (TAPS.fetch_add(1, Ordering::Relaxed) + 1) << 40;
        let kept = Kept {
            predictions: Numbered { items: VecDeque::new(), next },
            events: Numbered { items: VecDeque::new(), next },
        };
        Self { asked: AtomicU32::new(0), kept: Mutex::new(kept) }
    }
}

impl Tap {
    /// Asks for so many of the predictions that are made from now on.
    pub fn ask(&self, count: u32) {
        self.asked.store(count, Ordering::Relaxed);
    }

    /// Returns what was left since the last look.
    pub fn read(&self, seen: &mut Seen) -> Left {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Left { predictions: kept.predictions.after(&mut seen.predictions), events: kept.events.after(&mut seen.events) }
    }

    /// Returns the events that were left since the last look.
    pub fn read_events(&self, seen: &mut Seen) -> Vec<Arc<[u8]>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).events.after(&mut seen.events)
    }
}

impl<T: Clone> Numbered<T> {
    fn push(&mut self, item: T) {
        if self.items.len() == CAPACITY {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.next += 1;
    }

    fn after(&self, seen: &mut u64) -> Vec<T> {
        let unseen = self.next - mem::replace(seen, self.next).min(self.next);
        let skipped = self.items.len().saturating_sub(usize::try_from(unseen).unwrap_or(usize::MAX));
        self.items.iter().skip(skipped).cloned().collect()
    }
}

/// The worker's end of a tap.
#[derive(Debug)]
pub(crate) struct Spout {
    tap: Arc<Tap>,
    /// Events that could not be left while somebody read.
    waiting: VecDeque<Arc<[u8]>>,
}

impl Spout {
    pub(crate) fn new(tap: Arc<Tap>) -> Self {
        Self { tap, waiting: VecDeque::new() }
    }

    /// Leaves some of an outbox, before it is sent.
    pub(crate) fn leave(&mut self, outbox: &Outbox<PendingPredictions>) {
        let events = &outbox.records[Output::Events as usize];
        let newest = &events[events.len().saturating_sub(CAPACITY)..];
        self.waiting.extend(newest.iter().filter_map(|event| event.value.as_deref()).map(Arc::from));
        self.waiting.drain(..self.waiting.len().saturating_sub(CAPACITY));
        let asked = self.tap.asked.load(Ordering::Relaxed);
        if self.waiting.is_empty() && (asked == 0 || outbox.drafts.is_empty()) {
            return;
        }
        let mut kept = match self.tap.kept.try_lock() {
            Ok(kept) => kept,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.waiting.drain(..).for_each(|event| kept.events.push(event));
        let (asked, made) = (asked as usize, outbox.drafts.len());
        let taken = asked.min(made);
        // Spread over the batch.
        for i in 1..=taken {
            kept.predictions.push(outbox.drafts.tapped(i * made / taken - 1));
        }
        self.tap.asked.store((asked - taken) as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        form::{Form, Template},
        pending_predictions::PendingPrediction,
    };
    use thalweg_topic::record::{Headers, Outgoing};

    /// An outbox with predictions of these offsets and as many events as asked for.
    fn outbox(offsets: std::ops::Range<i64>, events: usize) -> Outbox<PendingPredictions> {
        let template = Arc::new(Template::new(Form::Json, "samples", 0, &["a".into(), "b".into()], false));
        let mut outbox: Outbox<PendingPredictions> = Outbox::at(offsets.end);
        for source in offsets {
            let (key, target, interval) = (None, Some(1.5), None);
            let draft =
                PendingPrediction { source, row: None, timestamp: 7, key, target, champion: 1, version: 9, interval };
            outbox.drafts.add(&template, draft, &[source as f64, 0.5]);
        }
        for i in 0..events {
            let value = Some(i.to_string().into_bytes());
            outbox
                .push(Output::Events, Outgoing { source: 0, timestamp: 0, key: None, value, headers: Headers::new() });
        }
        outbox
    }

    #[test]
    fn predictions_are_left_only_where_they_are_asked_for_and_spread_over_the_batch() {
        let tap = Arc::new(Tap::default());
        let (mut spout, mut seen) = (Spout::new(Arc::clone(&tap)), Seen::default());
        spout.leave(&outbox(0..100, 0));
        assert!(tap.read(&mut seen).predictions.is_empty());
        tap.ask(4);
        spout.leave(&outbox(100..200, 0));
        spout.leave(&outbox(200..300, 0));
        let left = tap.read(&mut seen).predictions;
        assert_eq!(left.iter().map(|it| it.offset).collect::<Vec<_>>(), [124, 149, 174, 199]);
        assert_eq!((left[0].target, left[0].champion, &left[0].predictions[..]), (Some(1.5), 1, &[124.0, 0.5][..]));
        assert!(tap.read(&mut seen).predictions.is_empty(), "they are seen once");
    }

    #[test]
    fn events_are_left_without_asking_and_the_newest_are_kept() {
        let tap = Arc::new(Tap::default());
        let (mut spout, mut late) = (Spout::new(Arc::clone(&tap)), Seen::default());
        spout.leave(&outbox(0..1, 1000));
        spout.leave(&outbox(0..1, 2));
        let left = tap.read(&mut late).events;
        assert_eq!((left.len(), &*left[0], &*left[CAPACITY - 1]), (CAPACITY, &b"938"[..], &b"1"[..]));
        // Another reader has seen nothing yet.
        assert_eq!(tap.read(&mut Seen::default()).events.len(), CAPACITY);
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader_and_loses_no_event_by_it() {
        let tap = Arc::new(Tap::default());
        let (mut spout, mut seen) = (Spout::new(Arc::clone(&tap)), Seen::default());
        let reading = tap.kept.lock().expect("unused");
        spout.leave(&outbox(0..1, 3));
        drop(reading);
        spout.leave(&outbox(1..2, 0));
        assert_eq!(tap.read(&mut seen).events.len(), 3);
    }
}
