//! Labels of a topic of their own, on their way to the samples: which of them comes before which sample.
//!
//! Invariant: a sample that has a prediction comes behind the labels that this one says it knew of, so that a restart learns the same.
//! Where nothing was published yet, the older record comes first by the records' times, as far as both topics have told theirs; a
//! topic that is at its end holds up nothing.

use std::collections::VecDeque;

use thalweg_topic::{Fetched, Held, Interleaving, record::Record};
use tokio::sync::mpsc;

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
    is_over: bool,
}

impl LabelFeed {
    /// Begins at an offset of the labels topic, which has an end, amid samples that have predictions before `predicted`.
    pub(super) fn new(
        batches: mpsc::Receiver<Box<Batch>>,
        interleaving: Interleaving,
        predicted: i64,
        came: (i64, i64),
    ) -> Self {
        Self {
            batches,
            interleaving,
            predicted,
            waiting: VecDeque::new(),
            learned: VecDeque::new(),
            held: None,
            came,
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

    /// Returns what comes next where a sample with an offset and a time waits; `None` until more labels have come ([`Self::came`]).
    pub(super) fn before(&mut self, offset: i64, time: i64) -> Option<Step> {
        let is_predicted = offset < self.predicted;
        let needed = if is_predicted { self.interleaving.before(offset) } else { self.interleaving.known() };
        loop {
            if let Some(first) = self.waiting.front() {
                let is_first = first.offset < needed || (!is_predicted && first.timestamp <= time);
                return Some(if is_first { self.take() } else { Step::Sample });
            }
            if self.note_batch() {
                continue;
            }
            let (next, end) = self.came;
            let is_known = next >= needed && (is_predicted || next >= end);
            return match is_known {
                true => Some(Step::Sample),
                false if self.is_over => Some(Step::Over),
                false => None,
            };
        }
    }

    /// Returns the next label where no sample waits, and all that have predictions have been taken.
    pub(super) fn without_sample(&mut self) -> Option<Record> {
        match self.take() {
            Step::Label(record) => Some(record),
            Step::Sample | Step::Over => None,
        }
    }

    fn take(&mut self) -> Step {
        let taken = self.waiting.pop_front().map_or(Step::Sample, Step::Label);
        if self.waiting.is_empty() {
            self.held = None;
        }
        taken
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
        self.came = (next_offset, high_watermark);
        self.waiting.extend(records);
        self.learned.extend(learned);
        self.held = held.filter(|_| !self.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_topic::{Output, record::Headers};

    /// A feed from a topic that ends at `end`, and where its batches come in.
    fn feed(predicted: i64, interleaving: Interleaving, end: i64) -> (mpsc::Sender<Box<Batch>>, LabelFeed) {
        let (batches, incoming) = mpsc::channel(8);
        (batches, LabelFeed::new(incoming, interleaving, predicted, (0, end)))
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
            match feed.before(offset, time) {
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
        assert!(matches!(feed.before(0, 100), Some(Step::Over)));
    }
}
