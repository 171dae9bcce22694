//! How two topics that are read, the samples' and the labels', were interleaved: read back from what was made of both.
//!
//! Which label comes before which sample is chance, and all that is learned follows from it. So each prediction says how many labels
//! it knew of ([`LABELS`](crate::record::LABELS)), and a restart takes them in the same order. Invariant: an event or a dead letter
//! is durable only once all predictions made before it are. So what is made of a label is published only where the predictions
//! around it tell its place, or none was published after it.

use std::collections::BTreeMap;

use crate::{Output, Published, record::Headers, source};

/// The place of each label among the samples, as far as what was published tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interleaving {
    /// By the offset before which all labels had been learned, the offset of the first sample that was predicted then.
    first: BTreeMap<i64, i64>,
    /// Offset in the labels topic from which on nothing has been published, per output.
    published: Published,
}

impl Interleaving {
    /// Notes a record of an output, in any order, that may have been made from `topics`, the samples' and the labels'.
    pub fn note(
        &mut self,
        output: Output,
        value: Option<&[u8]>,
        headers: &Headers,
        [samples, labels]: [&str; 2],
        partition: i32,
    ) {
        let Some((topic, from, offset)) = source::place(output, value, headers) else { return };
        if from != partition {
            return;
        }
        if topic == labels {
            let published = &mut self.published[output as usize];
            *published = (*published).max(offset + 1);
        } else if topic == samples
            && output == Output::Predictions
            && let Some(known) = source::labels(headers)
        {
            self.first.entry(known).and_modify(|first| *first = offset.min(*first)).or_insert(offset);
        }
    }

    /// Adds what other records tell.
    pub fn add(&mut self, other: Self) {
        for (labels, offset) in other.first {
            self.first.entry(labels).and_modify(|first| *first = offset.min(*first)).or_insert(offset);
        }
        self.published = [0, 1, 2].map(|i| i64::max(self.published[i], other.published[i]));
    }

    /// Returns the offset in the labels topic from which on nothing has been published, per output.
    pub fn published(&self) -> Published {
        self.published
    }

    /// Returns the offset before which all labels come before the first sample without a prediction.
    pub fn known(&self) -> i64 {
        let predicted = self.first.keys().next_back().copied().unwrap_or(0);
        self.published.into_iter().fold(predicted, i64::max)
    }

    /// Returns the offsets in the labels topic before which all labels come, and from which on none does, before the sample at `offset`,
    /// which has a prediction; forgets what only concerns those before it. The two are the same unless that prediction is not there
    /// any more.
    pub fn before(&mut self, offset: i64) -> (i64, i64) {
        while self.first.values().nth(1).is_some_and(|next| *next <= offset) {
            self.first.pop_first();
        }
        match self.first.first_key_value() {
            Some((labels, first)) if *first <= offset => (*labels, *labels),
            Some((labels, _)) => (0, *labels),
            None => (0, i64::MAX),
        }
    }

    /// Forgets what it tells of samples, which are others now.
    pub fn forget_samples(&mut self) {
        self.first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LABELS;

    const TOPICS: [&str; 2] = ["samples", "labels"];

    fn note(interleaving: &mut Interleaving, output: Output, topic: &str, offset: i64, labels: Option<i64>) {
        let value = format!(r#"{{"source":{{"topic":"{topic}","partition":3,"offset":{offset}}}}}"#);
        interleaving.note(output, Some(value.as_bytes()), &Headers::of_labels(labels), TOPICS, 3);
    }

    #[test]
    fn each_sample_comes_behind_the_labels_that_its_prediction_knew_of_and_the_next_behind_all_that_was_published() {
        let mut interleaving = Interleaving::default();
        // Windows are read from the end back; the sample at 2 was a dead letter.
        for (offset, labels) in [(4, 9), (5, 9), (0, 0), (1, 0), (3, 7)] {
            note(&mut interleaving, Output::Predictions, "samples", offset, Some(labels));
        }
        for (topic, offset) in [("labels", 11), ("samples", 40), ("labels", 10)] {
            note(&mut interleaving, Output::Events, topic, offset, None);
        }
        assert_eq!((interleaving.known(), interleaving.published()), (12, [0, 0, 12]));
        assert_eq!([0, 1, 2, 3, 4, 5].map(|offset| interleaving.before(offset).0), [0, 0, 0, 7, 9, 9]);
    }

    #[test]
    fn what_is_known_no_more_comes_before_what_the_first_prediction_knew_of() {
        let mut interleaving = Interleaving::default();
        assert_eq!(interleaving.before(0), (0, i64::MAX));
        note(&mut interleaving, Output::Predictions, "samples", 4, Some(9));
        assert_eq!([3, 4, 5].map(|offset| interleaving.before(offset)), [(0, 9), (9, 9), (9, 9)]);
    }

    #[test]
    fn what_is_of_another_partition_or_topic_says_nothing() {
        let mut interleaving = Interleaving::default();
        let value = br#"{"source":{"topic":"samples","partition":3,"offset":4}}"#;
        let headers = Headers::from([(LABELS, "9")]);
        interleaving.note(Output::Predictions, Some(value), &headers, TOPICS, 1);
        note(&mut interleaving, Output::Predictions, "others", 4, Some(9));
        note(&mut interleaving, Output::Events, "others", 3, None);
        note(&mut interleaving, Output::Predictions, "samples", 4, None);
        assert_eq!(interleaving, Interleaving::default());
    }
}
