//! What others write into a partition of an output that several partitions of the samples share.
//!
//! Whoever owns it alone sees by a batch that is not where it was expected that somebody else has written. Where it is shared, what
//! lies between is mostly of other partitions: so all workers of this process say which offsets are theirs, and what nobody of them has
//! written is looked at, by one of them for all. Invariant: every offset is either ours or looked at, once, however long whoever wrote
//! it was there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{
    client::{Fault, Partition, Try},
    protocol::{Committed, ProducerId},
};
use thalweg_topic::{Output, source};

/// Interval between two looks, and how long after a rival was found every batch is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Offsets of nobody's here after which is looked sooner.
const MAX_UNKNOWN: i64 = 1 << 14;

/// Ranges of ours that are kept, at most; of more it is read who wrote them.
const MAX_RANGES: usize = 1024;

/// Producers that are kept of each partition of the samples, at most: any of them leads to all that is there twice.
const MAX_PRODUCERS: usize = 16;

/// One partition of an output.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    known: StdMutex<Known>,
    /// Whoever looks.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Everything before it is looked at, or was there before.
    looked: i64,
    /// The time at which the last look began.
    at: Option<Instant>,
    /// Set until that look has come to its end.
    is_unfinished: bool,
    /// Ends, by beginnings, of what workers of this process have written from there on.
    ours: BTreeMap<i64, i64>,
    /// The partitions of the samples that this process works on.
    workers: BTreeMap<i32, Worker>,
}

#[derive(Debug, Default)]
struct Worker {
    /// The identity under which it publishes.
    producer: ProducerId,
    /// What others have made from the same samples, until it is taken.
    found: Option<Found>,
    /// Set for some time after something was.
    suspects_until: Option<Instant>,
}

/// Records that were made from the samples of a partition by others than its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The offset of the first.
    pub(super) first: i64,
    pub(super) producers: BTreeSet<ProducerId>,
}

impl Foreign {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker begins to publish as `producer`, where the output ends at `end`.
    pub(super) fn begin(&self, partition: i32, producer: ProducerId, end: i64) {
        let mut known = self.known();
        if known.workers.is_empty() {
            known.pass(end);
        }
        // The topic was made anew, or others were faster: then this is looked at once more.
        if end < known.looked {
            (known.looked, known.ours) = (end, BTreeMap::new());
        }
        known.workers.entry(partition).or_default().producer = producer;
    }

    /// A worker has ended in order: what others make from its samples from now on is no concern of ours.
    pub(super) fn end(&self, partition: i32) {
        self.known().workers.remove(&partition);
    }

    /// Takes note that a worker of ours has written `range`.
    pub(super) fn wrote(&self, range: Range<i64>) {
        self.known().wrote(range);
    }

    /// Takes note that everything before `end` is known by other means.
    pub(super) fn passed(&self, end: i64) {
        self.known().pass(end);
    }

    /// Says whether it is time to look at what is before `end`, for any worker, or for that of `partition`.
    pub(super) fn is_due(&self, partition: i32, end: i64) -> bool {
        let known = self.known();
        if known.at.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
            return true;
        }
        let suspects = known.workers.get(&partition).and_then(|worker| worker.suspects_until);
        // What cannot be read now is not read sooner.
        !known.is_unfinished
            && (suspects.is_some_and(|until| Instant::now() < until) || known.unknown(end) > MAX_UNKNOWN)
    }

    /// Takes what others have made from the samples of a partition, and `true` where that is the first for a while: from now on
    /// every batch is looked at for some time.
    pub(super) fn take(&self, partition: i32) -> Option<(Found, bool)> {
        let mut known = self.known();
        let worker = known.workers.get_mut(&partition)?;
        let found = worker.found.take()?;
        let until = worker.suspects_until.replace(Instant::now() + LOOK_INTERVAL);
        Some((found, until.is_none_or(|until| until < Instant::now())))
    }

    /// Puts back what could not be dealt with.
    pub(super) fn put_back(&self, partition: i32, found: Found) {
        if let Some(worker) = self.known().workers.get_mut(&partition) {
            worker.found(found.first, found.producers);
        }
    }

    /// Returns the offset before which everything is looked at.
    pub(super) fn looked(&self) -> i64 {
        self.known().looked
    }

    /// Looks at what nobody here has written before `end`.
    ///
    /// # Errors
    /// When it cannot be read; the next look begins where this one has ended.
    pub(super) async fn look(&self, handle: &Partition, output: Output, samples: &str, end: i64) -> Try<()> {
        let _turn = self.turn.lock().await;
        let mut next = self.known().begin_look(end);
        while let Some(offset) = next {
            let fetched = match handle.batches(offset).await {
                // Retention was faster.
                Err(Fault::OutOfRange) => break,
                other => other?,
            };
            let committed = fetched.committed;
            let Some(behind) = committed.next_offset.filter(|behind| *behind > offset) else {
                return Err(Fault::transient("the broker brings nothing for an offset that it lists"));
            };
            let mut known = self.known();
            known.saw(&committed, offset..behind.min(end), output, samples);
            known.pass(behind.min(end));
            next = known.next_unknown(end);
        }
        let mut known = self.known();
        known.pass(end);
        known.is_unfinished = false;
        Ok(())
    }
}

impl Known {
    /// Adds a range, joined with those that it meets.
    fn wrote(&mut self, range: Range<i64>) {
        let (mut start, mut end) = (range.start.max(self.looked), range.end);
        if start >= end {
            return;
        }
        if let Some((&before, &until)) = self.ours.range(..=start).next_back()
            && until >= start
        {
            (start, end) = (before, end.max(until));
        }
        while let Some((&after, &until)) = self.ours.range(start..=end).next() {
            self.ours.remove(&after);
            end = end.max(until);
        }
        if self.ours.len() < MAX_RANGES {
            self.ours.insert(start, end);
        }
    }

    /// Forgets what is before `end`.
    fn pass(&mut self, end: i64) {
        if end <= self.looked {
            return;
        }
        self.looked = end;
        while let Some(first) = self.ours.first_entry().filter(|first| *first.key() < end) {
            let until = first.remove();
            if until > end {
                self.ours.insert(end, until);
            }
        }
    }

    /// Takes note that a look begins; returns where.
    fn begin_look(&mut self, end: i64) -> Option<i64> {
        (self.at, self.is_unfinished) = (Some(Instant::now()), true);
        self.next_unknown(end)
    }

    /// Returns the first offset before `end` that is neither looked at nor ours.
    fn next_unknown(&self, end: i64) -> Option<i64> {
        // Ranges do not meet, so that only the first can begin there.
        let next = match self.ours.first_key_value() {
            Some((start, until)) if *start <= self.looked => *until,
            _ => self.looked,
        };
        (next < end).then_some(next)
    }

    /// Returns how many offsets before `end` are neither looked at nor ours.
    fn unknown(&self, end: i64) -> i64 {
        let ours: i64 = self.ours.range(..end).map(|(start, until)| (*until).min(end) - start).sum();
        (end - self.looked).max(0) - ours
    }

    fn is_ours(&self, offset: i64) -> bool {
        self.ours.range(..=offset).next_back().is_some_and(|(_, until)| offset < *until)
    }

    /// Notes who has written in `range` what is made from the samples of our workers.
    fn saw(&mut self, committed: &Committed, range: Range<i64>, output: Output, samples: &str) {
        for record in &committed.records {
            if !range.contains(&record.offset) || self.is_ours(record.offset) {
                continue;
            }
            let Some((topic, partition, _)) = source::place(output, record.value.as_deref(), &record.headers) else {
                continue;
            };
            let Some(worker) = self.workers.get_mut(&partition).filter(|_| topic == samples) else { continue };
            let batch = committed.written.iter().find(|batch| batch.offsets.contains(&record.offset));
            // What is on its way to be acknowledged is its own.
            let Some(producer) = batch.map(|batch| batch.producer).filter(|it| *it != worker.producer) else {
                continue;
            };
            worker.found(record.offset, [producer]);
        }
    }
}

impl Worker {
    /// Adds who has made the same, from the offset `first` on.
    fn found(&mut self, first: i64, producers: impl IntoIterator<Item = ProducerId>) {
        let found = self.found.get_or_insert_with(|| Found { first, producers: BTreeSet::new() });
        found.first = found.first.min(first);
        let room = MAX_PRODUCERS.saturating_sub(found.producers.len());
        found.producers.extend(producers.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::protocol::Written, *};
    use thalweg_topic::record::Record;

    fn known(looked: i64, ours: &[Range<i64>]) -> Known {
        let mut known = Known { looked, ..Known::default() };
        ours.iter().for_each(|range| known.wrote(range.clone()));
        known
    }

    /// What is left to look at before `end`, a record at a time.
    fn unknown(known: &mut Known, end: i64) -> Vec<i64> {
        let mut found = Vec::new();
        while let Some(next) = known.next_unknown(end) {
            found.push(next);
            known.pass(next + 1);
        }
        found
    }

    #[test]
    fn what_no_worker_has_written_is_looked_at_once_in_whatever_order_acknowledgements_come() {
        let mut known = known(10, &[14..16, 10..12, 20..22, 18..20, 5..11, 13..15]);
        assert_eq!(known.unknown(24), 5);
        assert_eq!(unknown(&mut known, 24), [12, 16, 17, 22, 23]);
        assert_eq!(known.next_unknown(24), None);
        known.pass(24);
        known.wrote(20..30);
        assert_eq!((known.next_unknown(32), known.unknown(32)), (Some(30), 2));
    }

    #[test]
    fn ranges_of_ours_are_bounded_and_what_is_not_kept_is_looked_at() {
        let ranges: Vec<Range<i64>> = (0..5000).map(|i| 2 * i..2 * i + 1).collect();
        let mut known = known(0, &ranges);
        assert_eq!(known.ours.len(), MAX_RANGES);
        assert_eq!(unknown(&mut known, 10_000).len(), 10_000 - MAX_RANGES);
        assert!(known.ours.is_empty());
    }

    #[test]
    fn a_look_that_has_failed_is_not_tried_again_with_every_batch() {
        let foreign = Foreign::default();
        foreign.begin(0, 41, 0);
        let far = MAX_UNKNOWN + 1;
        assert!(foreign.is_due(0, 1), "nobody has looked yet");
        assert_eq!(foreign.known().begin_look(far), Some(0));
        assert!(!foreign.is_due(0, far));
        foreign.known().is_unfinished = false;
        assert!(foreign.is_due(0, far) && !foreign.is_due(0, far - 1));
    }

    #[test]
    fn who_made_the_same_is_kept_until_the_worker_takes_it_and_nobody_else() {
        let record = |offset: i64, topic: &str, partition: i32| Record {
            offset,
            value: Some(
                format!(r#"{{"source":{{"topic":"{topic}","partition":{partition},"offset":1}}}}"#).into_bytes().into(),
            ),
            ..Record::default()
        };
        let written = |producer, offset| Written { producer, offsets: offset..=offset, next_sequence: 0 };
        let committed = Committed {
            records: vec![
                record(0, "s", 1),
                record(1, "s", 1),
                record(2, "other", 1),
                record(3, "s", 7),
                record(4, "s", 1),
                record(5, "s", 2),
                record(6, "s", 1),
            ],
            written: vec![
                // Ours, and acknowledged; ours, and on its way; of another topic; of a partition that others work on; a rival's.
                written(41, 0),
                written(41, 1),
                written(50, 2),
                written(51, 3),
                written(52, 4),
                written(42, 5),
                written(52, 6),
            ],
            next_offset: Some(7),
            transactional: false,
        };
        let foreign = Foreign::default();
        foreign.begin(1, 41, 0);
        foreign.begin(2, 42, 0);
        foreign.wrote(0..1);
        foreign.known().saw(&committed, 0..7, Output::Predictions, "s");
        assert_eq!(foreign.take(2), None);
        assert_eq!(foreign.take(1), Some((Found { first: 4, producers: BTreeSet::from([52]) }, true)));
        assert_eq!(foreign.take(1), None);
        // What is found right after is no longer the first.
        foreign.known().saw(&committed, 6..7, Output::Predictions, "s");
        assert_eq!(foreign.take(1), Some((Found { first: 6, producers: BTreeSet::from([52]) }, false)));
    }
}
