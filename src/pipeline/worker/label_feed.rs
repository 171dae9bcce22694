//! Labels of a topic of their own, on their way to the samples: which of them comes before which sample.
//!
//! Invariant: a sample that has a prediction comes behind the labels that this one says it knew of, so that a restart learns the same.
//! Where nothing was published yet, the older record comes first by the records' times, as far as both topics have told theirs; a
//! topic that is at its end holds up nothing.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use thalweg_topic::{Fetched, Held, Interleaving, record::Record};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tasks::Batch;
use crate::decode::Learned;

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A label.
    Label(Record),
    /// The sample.
    Sample,
    /// Neither: the label that comes before the sample is not to be had any more.
    Over,
}

/// How the labels end.
pub(super) struct Ends {
    /// Offset to end at, if any.
    pub(super) at: Option<i64>,
    /// Ends them before.
    pub(super) stop: CancellationToken,
    /// Set once they are not fetched any more, unless that panicked.
    pub(super) all_read: Arc<AtomicBool>,
}

/// The labels of a partition.
pub(super) struct LabelFeed {
    batches: mpsc::Receiver<Box<Batch>>,
    interleaving: Interleaving,
    /// Offset before which samples have predictions.
    predicted: i64,
    /// Labels that have come and are not taken yet.
    waiting: VecDeque<Record>,
    /// Schemas by which they are read, in the order of the records that bring them.
    learned: VecDeque<Learned>,
    /// Bytes of what waits.
    held: Option<Held>,
    /// Offset before which all labels have come, and the end of their topic as it was then.
    came: (i64, i64),
    /// Times of the last label and the last sample.
    last: [Option<i64>; 2],
    ends: Ends,
    is_over: bool,
}

impl LabelFeed {
    /// Begins at an offset of the labels topic, which has an end, amid samples that have predictions before `predicted`.
    pub(super) fn new(
        batches: mpsc::Receiver<Box<Batch>>,
        interleaving: Interleaving,
        predicted: i64,
        came: (i64, i64),
        ends: Ends,
    ) -> Self {
        Self {
            batches,
            interleaving,
            predicted,
            waiting: VecDeque::new(),
            learned: VecDeque::new(),
            held: None,
            came,
            last: [None; 2],
            ends,
            is_over: false,
        }
    }

    /// Returns the offset before which all labels have been taken, and the end of the topic.
    pub(super) fn position(&self) -> (i64, i64) {
        let (next, end) = self.came;
        (self.waiting.front().map_or(next, |record| record.offset), end)
    }

    /// Returns true once no more labels come, and all have been taken.
    pub(super) fn is_over(&self) -> bool {
        self.is_over && self.waiting.is_empty()
    }

    /// Returns true where labels are fetched no more although nobody has said so: the reason is the fetching task's.
    pub(super) fn is_broken(&self) -> bool {
        let is_at_end = self.ends.at.is_some_and(|end| self.came.0 >= end);
        self.is_over && !is_at_end && !self.ends.stop.is_cancelled()
    }

    /// Returns false where fetching them has panicked, so that the last ones cannot be trusted.
    pub(super) fn is_sound(&self) -> bool {
        !self.is_over || self.ends.all_read.load(Ordering::Acquire)
    }

    /// Returns true where labels have come that are not taken yet.
    pub(super) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns true where all samples that have predictions lie before an offset.
    pub(super) fn is_free(&self, offset: i64) -> bool {
        offset >= self.predicted
    }

    /// Returns the schemas that records up to `offset` are read by, which have not been returned.
    pub(super) fn learned(&mut self, offset: i64) -> impl Iterator<Item = Learned> {
        std::iter::from_fn(move || self.learned.pop_front_if(|learned| learned.offset <= offset))
    }

    /// Returns what comes next where a sample with an offset and a time waits, behind which one with the time `next` may come; `None`
    /// until more labels have come ([`Self::came`]).
    pub(super) fn before(&mut self, offset: i64, time: i64, next: Option<i64>) -> Option<Step> {
        let (needed, most) = match offset < self.predicted {
            true => self.interleaving.before(offset),
            false => (self.interleaving.known(), i64::MAX),
        };
        let sample_time = sound(self.last[1], time, next);
        loop {
            if let Some(first) = self.waiting.front() {
                let label_time = sound(self.last[0], first.timestamp, self.waiting.get(1).map(|next| next.timestamp));
                let is_first = first.offset < needed || (first.offset < most && label_time <= sample_time);
                if is_first && let Some(label) = self.take() {
                    return Some(Step::Label(label));
                }
                self.last[1] = Some(sample_time);
                return Some(Step::Sample);
            }
            if self.note_batch() {
                continue;
            }
            let (come, end) = self.came;
            if come >= needed && come >= end.min(most) {
                self.last[1] = Some(sample_time);
                return Some(Step::Sample);
            }
            return self.is_over.then_some(Step::Over);
        }
    }

    /// Returns the next label, which comes whatever the samples.
    pub(super) fn take(&mut self) -> Option<Record> {
        let taken = self.waiting.pop_front()?;
        let next = self.waiting.front().map(|next| next.timestamp);
        self.last[0] = Some(sound(self.last[0], taken.timestamp, next));
        if self.waiting.is_empty() {
            self.held = None;
        }
        Some(taken)
    }

    /// Waits until more labels have come, or none will. Dropping the future loses none.
    pub(super) async fn came(&mut self) {
        if !self.waiting.is_empty() || self.is_over {
            return std::future::pending().await;
        }
        match self.batches.recv().await {
            Some(batch) => self.note(*batch),
            None => self.is_over = true,
        }
    }

    /// Takes a batch that is there already.
    fn note_batch(&mut self) -> bool {
        match self.batches.try_recv() {
            Ok(batch) => self.note(*batch),
            Err(mpsc::error::TryRecvError::Disconnected) if !self.is_over => self.is_over = true,
            Err(_) => return false,
        }
        true
    }

    fn note(&mut self, batch: Batch) {
        let Batch { fetched: Fetched { records, next_offset, high_watermark, .. }, learned, held, .. } = batch;
        self.came = (next_offset, self.ends.at.map_or(high_watermark, |end| high_watermark.min(end)));
        self.waiting.extend(records);
        self.learned.extend(learned);
        self.held = held.filter(|_| !self.waiting.is_empty());
    }
}

/// Returns the median of a time and its neighbours, where both are known: a single time that is wrong is none.
fn sound(before: Option<i64>, time: i64, after: Option<i64>) -> i64 {
    let Some((before, after)) = before.zip(after) else { return time };
    time.clamp(before.min(after), before.max(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_topic::{Output, record::Headers};

    /// A feed from a topic that ends at `end`, and where its batches come in.
    fn feed(predicted: i64, interleaving: Interleaving, end: i64) -> (mpsc::Sender<Box<Batch>>, LabelFeed) {
        let (batches, incoming) = mpsc::channel(8);
        (batches, LabelFeed::new(incoming, interleaving, predicted, (0, end), ends()))
    }

    fn ends() -> Ends {
        Ends { at: None, stop: CancellationToken::new(), all_read: Arc::default() }
    }

    /// Labels at successive offsets from `first` on with these times, in a topic that ends at `end`.
    fn batch(first: i64, times: &[i64], end: i64) -> Box<Batch> {
        let record = |(offset, timestamp): (i64, &i64)| Record { offset, timestamp: *timestamp, ..Record::default() };
        let records: Vec<Record> = (first..).zip(times).map(record).collect();
        let next_offset = first + records.len() as i64;
        let fetched = Fetched { records, next_offset, high_watermark: end, end };
        Box::new(Batch { fetched, ..Batch::default() })
    }

    /// The offsets of the labels that come before a sample, and whether it comes then.
    fn labels(feed: &mut LabelFeed, offset: i64, time: i64) -> (Vec<i64>, bool) {
        let mut offsets = Vec::new();
        loop {
            match feed.before(offset, time, None) {
                Some(Step::Label(record)) => offsets.push(record.offset),
                Some(Step::Sample) => return (offsets, true),
                Some(Step::Over) | None => return (offsets, false),
            }
        }
    }

    #[test]
    fn of_what_is_in_both_topics_the_older_comes_first_and_an_end_holds_up_nothing() {
        let (batches, mut feed) = feed(0, Interleaving::default(), 5);
        assert_eq!(labels(&mut feed, 0, 100), (vec![], false), "what the topic holds has not come");
        batches.try_send(batch(0, &[50, 90, 110], 5)).expect("sent");
        assert_eq!(labels(&mut feed, 0, 100), (vec![0, 1], true));
        assert_eq!(labels(&mut feed, 1, 120), (vec![2], false), "there is more in the topic");
        batches.try_send(batch(3, &[119, 121], 5)).expect("sent");
        assert_eq!(labels(&mut feed, 1, 120), (vec![3], true));
        assert_eq!(labels(&mut feed, 2, 500), (vec![4], true));
        assert_eq!(labels(&mut feed, 3, 900), (vec![], true));
        assert_eq!(feed.position(), (5, 5));
    }

    #[test]
    fn samples_with_predictions_come_behind_the_labels_that_these_knew_of_whatever_the_times() {
        let mut interleaving = Interleaving::default();
        for (offset, labels) in [(0, 0), (1, 2), (2, 2)] {
            let value = format!(r#"{{"source":{{"topic":"samples","partition":0,"offset":{offset}}}}}"#);
            let headers = Headers::of_labels(Some(labels));
            interleaving.note(Output::Predictions, Some(value.as_bytes()), &headers, ["samples", "labels"], 0);
        }
        let letter = br#"{"event":"drift","source":{"topic":"labels","partition":0,"offset":3}}"#;
        interleaving.note(Output::Events, Some(letter), &Headers::new(), ["samples", "labels"], 0);
        let (batches, mut feed) = feed(3, interleaving, 9);
        assert_eq!(labels(&mut feed, 0, 100), (vec![], true), "none is needed");
        batches.try_send(batch(0, &[1, 1], 9)).expect("sent");
        assert_eq!(labels(&mut feed, 1, 100), (vec![0, 1], true));
        batches.try_send(batch(2, &[1, 1, 900], 9)).expect("sent");
        assert_eq!(labels(&mut feed, 2, 100), (vec![], true), "older ones are in the topic");
        assert_eq!(labels(&mut feed, 3, 100), (vec![2, 3], true), "an event of label 3 is published");
    }

    #[test]
    fn a_label_that_is_not_to_be_had_any_more_holds_its_sample_up_for_good() {
        let (batches, mut feed) = feed(0, Interleaving::default(), 5);
        batches.try_send(batch(0, &[50], 5)).expect("sent");
        drop(batches);
        assert_eq!(labels(&mut feed, 0, 100), (vec![0], false));
        assert!(matches!(feed.before(0, 100, None), Some(Step::Over)));
        assert!(feed.is_broken() && !feed.is_sound());
    }

    #[test]
    fn a_single_time_that_is_wrong_holds_up_no_label_and_draws_none_forward() {
        let (batches, mut feed) = feed(0, Interleaving::default(), 7);
        batches.try_send(batch(0, &[10, 20, i64::MAX, 40, -5, 60, 70], 7)).expect("sent");
        assert_eq!(labels(&mut feed, 0, 25), (vec![0, 1], true));
        assert_eq!(labels(&mut feed, 1, 45), (vec![2, 3, 4], true));
        // A sample whose time is wrong, amid others.
        let taken = match feed.before(2, i64::MAX, Some(65)) {
            Some(Step::Label(label)) => Some(label.offset),
            _ => None,
        };
        assert_eq!(taken, Some(5));
        assert!(matches!(feed.before(2, i64::MAX, Some(65)), Some(Step::Sample)));
    }

    #[test]
    fn labels_that_come_behind_the_end_that_is_read_to_hold_up_no_sample() {
        let (batches, incoming) = mpsc::channel(8);
        let mut feed = LabelFeed::new(incoming, Interleaving::default(), 0, (0, 2), Ends { at: Some(2), ..ends() });
        batches.try_send(batch(0, &[10, 20], 900)).expect("sent");
        drop(batches);
        assert_eq!(labels(&mut feed, 0, 100), (vec![0, 1], true));
        assert!(!feed.is_broken());
    }
}
