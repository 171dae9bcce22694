//! Predictions that wait to be published: numbers while they wait, encoded ([`crate::form`]) when they are sent.
//!
//! So they take a fifth of the memory, and the task that learns, which limits the speed of a partition, leaves the
//! encoding to the task that publishes; that one encodes straight into its request, where it can.

use std::{ops::ControlFlow, sync::Arc};

use crate::{form::Template, tap::Tapped};
use thalweg_metrics::Interval;
use thalweg_topic::{EncodedPrediction, record::Headers};

/// Approximate bytes of a record besides key and value.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// Bytes of the header that tells the labels that a prediction knows of, at most.
const MARK_BYTES: usize = 40;

/// A prediction without the numbers of each model.
#[derive(Debug)]
pub(super) struct PendingPrediction {
    pub(super) source: i64,
    pub(super) row: Option<u32>,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) target: Option<f64>,
    pub(super) champion: usize,
    pub(super) version: u64,
    pub(super) interval: Option<Interval>,
}

/// Predictions of one partition, in the order of their sources.
#[derive(Debug, Default)]
pub struct PendingPredictions {
    /// `None` while there is no prediction.
    template: Option<Arc<Template>>,
    drafts: Vec<PendingPrediction>,
    /// Per prediction, the number of each model.
    numbers: Vec<f64>,
    /// Places from which on predictions know of the labels before an offset of their topic, ascending.
    labels: Vec<(usize, i64)>,
    bytes: usize,
}

impl PendingPredictions {
    #[inline]
    pub(super) fn add(&mut self, template: &Arc<Template>, draft: PendingPrediction, predictions: &[f64]) {
        if self.template.is_none() {
            self.template = Some(Arc::clone(template));
        }
        let marked = if self.labels.is_empty() { 0 } else { MARK_BYTES };
        self.bytes += template.most() + draft.key.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD_BYTES + marked;
        self.drafts.push(draft);
        self.numbers.extend_from_slice(predictions);
    }

    /// Says that later predictions know of all labels before an offset of their topic.
    pub(super) fn know_labels(&mut self, offset: i64) {
        match self.labels.last_mut() {
            Some((from, known)) if *from == self.drafts.len() => *known = offset,
            _ => self.labels.push((self.drafts.len(), offset)),
        }
    }

    /// Copies prediction `i`.
    pub(super) fn tapped(&self, i: usize) -> Tapped {
        let PendingPrediction { source, row, timestamp, target, champion, version, interval, .. } = self.drafts[i];
        let models = self.numbers.len() / self.drafts.len();
        let predictions = self.numbers[i * models..(i + 1) * models].to_vec();
        Tapped { offset: source, row, timestamp, target, interval, champion, version, predictions }
    }
}

impl thalweg_topic::PendingPredictions for PendingPredictions {
    fn len(&self) -> usize {
        self.drafts.len()
    }

    fn another(&self) -> Self {
        let (drafts, numbers) = (Vec::with_capacity(self.drafts.len()), Vec::with_capacity(self.numbers.len()));
        let labels = self.labels.last().map(|(_, known)| (0, *known)).into_iter().collect();
        Self { drafts, numbers, labels, ..Self::default() }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn sources(&self) -> Option<(i64, i64)> {
        Some((self.drafts.first()?.source, self.drafts.last()?.source))
    }

    fn each_time(&self, take: &mut dyn FnMut(i64)) {
        self.drafts.iter().for_each(|draft| take(draft.timestamp));
    }

    fn each(&self, take: &mut dyn FnMut(EncodedPrediction<'_>) -> ControlFlow<()>) {
        let Some(template) = &self.template else { return };
        let mut value = Vec::with_capacity(template.most());
        let mut rest = self.drafts.iter().zip(self.numbers.chunks_exact(template.models()));
        let first = self.labels.first().map_or(self.drafts.len(), |(from, _)| *from);
        let ends = self.labels.iter().skip(1).map(|(from, _)| *from).chain([self.drafts.len()]);
        let switches = self.labels.iter().zip(ends).map(|((from, known), to)| (to - from, Some(*known)));
        for (count, labels) in [(first, None)].into_iter().chain(switches) {
            let headers = Headers::of_labels(labels);
            for (draft, predictions) in rest.by_ref().take(count) {
                value.clear();
                template.write(&mut value, draft, predictions);
                let PendingPrediction { source, timestamp, key, .. } = draft;
                let (source, timestamp) = (*source, *timestamp);
                let spelled =
                    EncodedPrediction { source, timestamp, key: key.as_deref(), value: &value, headers: &headers };
                if take(spelled).is_break() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Form, Frame, to_json};
    use thalweg_topic::{Outbox, Output, PendingPredictions as _};

    /// Encodes them as a publisher that needs records does.
    fn spelled(drafts: PendingPredictions) -> Vec<thalweg_topic::record::Outgoing> {
        let mut outbox = Outbox::at(0);
        outbox.drafts = drafts;
        outbox.encode();
        std::mem::take(&mut outbox.records[Output::Predictions as usize])
    }

    #[test]
    fn no_prediction_is_longer_than_what_was_reckoned_with() {
        let names = ["a\"b".into(), "model".into()];
        let forms = [Form::Json, Form::Avro(Frame::Registered(u32::MAX)), Form::Avro(Frame::SingleObject)];
        for (form, intervals) in forms.into_iter().flat_map(|form| [(form, false), (form, true)]) {
            let template = Arc::new(Template::new(form, "topic\n", i32::MIN, &names, intervals));
            let mut drafts = PendingPredictions::default();
            for champion in 0..2 {
                let draft = PendingPrediction {
                    source: i64::MIN,
                    row: Some(u32::MAX),
                    timestamp: i64::MIN,
                    key: None,
                    target: Some(-f64::MIN_POSITIVE),
                    champion,
                    version: u64::MAX,
                    interval: Some(Interval { lower: -f64::MAX, upper: -f64::MIN_POSITIVE }),
                };
                drafts.add(&template, draft, &[-1.234_567_890_123_456_7e-300, -f64::MAX]);
            }
            let most = drafts.bytes();
            let spelled = spelled(drafts);
            let bytes: usize = spelled.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();
            assert!(bytes <= most && most < bytes + 2 * (RECORD_OVERHEAD_BYTES + 60), "{bytes} of at most {most}");
            for record in spelled {
                let value = record.value.expect("a value");
                let json = if form == Form::Json { value } else { to_json(&value).expect("a prediction") };
                let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                assert_eq!(value["source"]["topic"], "topic\n");
                assert_eq!(value["predictions"]["a\"b"], -1.234_567_890_123_456_7e-300);
                let intervals = intervals || form != Form::Json;
                assert_eq!(value.get("lower"), intervals.then(|| (-f64::MAX).into()).as_ref());
                assert_eq!(value.get("upper"), intervals.then(|| (-f64::MIN_POSITIVE).into()).as_ref());
            }
        }
    }

    #[test]
    fn before_anything_was_scored_the_ends_of_the_interval_are_null() {
        let template = Arc::new(Template::new(Form::Json, "topic", 0, &["model".into()], true));
        let draft = PendingPrediction {
            source: 0,
            row: None,
            timestamp: 0,
            key: None,
            target: None,
            champion: 0,
            version: 0,
            interval: None,
        };
        let mut drafts = PendingPredictions::default();
        drafts.add(&template, draft, &[1.5]);
        let value = spelled(drafts).remove(0).value.expect("a value");
        assert!(String::from_utf8_lossy(&value).contains(r#""prediction":1.5,"lower":null,"upper":null,"model":"#));
    }
}
