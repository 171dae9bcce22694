//! Predictions that wait to be published: numbers while they wait, encoded as JSON when they are sent.
//!
//! So they take a fifth of the memory, and the task that learns, which limits the speed of a partition, leaves the
//! encoding to the task that publishes; that one encodes straight into its request, where it can. Field names are
//! escaped once; a number is the shortest text that reads back to the same bits.

use std::{ops::ControlFlow, sync::Arc};

use crate::tap::Tapped;
use thalweg_metrics::Interval;
use thalweg_topic::EncodedPrediction;

/// Bytes of the longest text of a 64-bit number, integer or floating-point.
const MAX_NUMBER_BYTES: usize = 24;

/// Approximate bytes of a record besides key and value.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// Parts of the JSON that all predictions of a partition share.
#[derive(Debug)]
pub(super) struct JsonTemplate {
    /// `{"source":{"topic":…,"partition":…,"offset":`
    head: Vec<u8>,
    /// `,"model":"<name>","version":` per model.
    models: Vec<Vec<u8>>,
    /// `"<name>":` per model, with a comma before all but the first.
    members: Vec<Vec<u8>>,
    /// True where predictions have an interval.
    intervals: bool,
    /// Bytes of the longest prediction.
    most: usize,
}

impl JsonTemplate {
    pub(super) fn new(topic: &str, partition: i32, names: &[Arc<str>], intervals: bool) -> Self {
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        let member = |(i, name): (usize, &String)| format!("{}{name}:", if i > 0 { "," } else { "" }).into_bytes();
        let template = Self {
            head: format!(r#"{{"source":{{"topic":{},"partition":{partition},"offset":"#, quote(topic)).into_bytes(),
            models: quoted.iter().map(|name| format!(r#","model":{name},"version":"#).into_bytes()).collect(),
            members: quoted.iter().enumerate().map(member).collect(),
            intervals,
            most: 0,
        };
        let champion = template.models.iter().map(Vec::len).max().unwrap_or(0);
        let members: usize = template.members.iter().map(Vec::len).sum();
        let words = ROW.len() + TIMESTAMP.len() + TARGET.len() + PREDICTION.len() + PREDICTIONS.len() + END.len();
        let ends = usize::from(intervals) * (LOWER.len() + UPPER.len() + 2 * MAX_NUMBER_BYTES);
        let numbers = (6 + names.len()) * MAX_NUMBER_BYTES;
        Self { most: template.head.len() + champion + members + words + ends + numbers, ..template }
    }

    fn write(&self, out: &mut Vec<u8>, draft: &PendingPrediction, predictions: &[f64]) {
        out.extend_from_slice(&self.head);
        integer(out, draft.source);
        if let Some(row) = draft.row {
            out.extend_from_slice(ROW);
            integer(out, row);
        }
        out.extend_from_slice(TIMESTAMP);
        integer(out, draft.timestamp);
        out.extend_from_slice(TARGET);
        number(out, draft.target.unwrap_or(f64::NAN));
        out.extend_from_slice(PREDICTION);
        let from = out.len();
        number(out, predictions[draft.champion]);
        let published = from..out.len();
        if self.intervals {
            // There is no interval before the first error.
            let unknown = Interval { lower: f64::NAN, upper: f64::NAN };
            let Interval { lower, upper } = draft.interval.unwrap_or(unknown);
            out.extend_from_slice(LOWER);
            number(out, lower);
            out.extend_from_slice(UPPER);
            number(out, upper);
        }
        out.extend_from_slice(&self.models[draft.champion]);
        integer(out, draft.version);
        out.extend_from_slice(PREDICTIONS);
        for (model, (member, prediction)) in self.members.iter().zip(predictions).enumerate() {
            out.extend_from_slice(member);
            // Formatting numbers is most of the work, and this one is formatted already.
            if model == draft.champion {
                out.extend_from_within(published.clone());
            } else {
                number(out, *prediction);
            }
        }
        out.extend_from_slice(END);
    }
}

const ROW: &[u8] = b",\"row\":";
const TIMESTAMP: &[u8] = b"},\"timestamp\":";
const TARGET: &[u8] = b",\"target\":";
const PREDICTION: &[u8] = b",\"prediction\":";
const LOWER: &[u8] = b",\"lower\":";
const UPPER: &[u8] = b",\"upper\":";
const PREDICTIONS: &[u8] = b",\"predictions\":{";
const END: &[u8] = b"}}";

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
    template: Option<Arc<JsonTemplate>>,
    drafts: Vec<PendingPrediction>,
    /// Per prediction, the number of each model.
    numbers: Vec<f64>,
    bytes: usize,
}

impl PendingPredictions {
    #[inline]
    pub(super) fn add(&mut self, template: &Arc<JsonTemplate>, draft: PendingPrediction, predictions: &[f64]) {
        if self.template.is_none() {
            self.template = Some(Arc::clone(template));
        }
        self.bytes += template.most + draft.key.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD_BYTES;
        self.drafts.push(draft);
        self.numbers.extend_from_slice(predictions);
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
        Self { drafts, numbers, ..Self::default() }
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
        let mut value = Vec::with_capacity(template.most);
        for (draft, predictions) in self.drafts.iter().zip(self.numbers.chunks_exact(template.members.len())) {
            value.clear();
            template.write(&mut value, draft, predictions);
            let PendingPrediction { source, timestamp, key, .. } = draft;
            let spelled =
                EncodedPrediction { source: *source, timestamp: *timestamp, key: key.as_deref(), value: &value };
            if take(spelled).is_break() {
                return;
            }
        }
    }
}

pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a number, or `null`, which readers of JSON expect, where it is not finite.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for intervals in [false, true] {
            let template = Arc::new(JsonTemplate::new("topic\n", i32::MIN, &names, intervals));
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
                let value: serde_json::Value = serde_json::from_slice(&record.value.expect("a value")).expect("JSON");
                assert_eq!(value["source"]["topic"], "topic\n");
                assert_eq!(value["predictions"]["a\"b"], -1.234_567_890_123_456_7e-300);
                assert_eq!(value.get("lower"), intervals.then(|| (-f64::MAX).into()).as_ref());
                assert_eq!(value.get("upper"), intervals.then(|| (-f64::MIN_POSITIVE).into()).as_ref());
            }
        }
    }

    #[test]
    fn before_anything_was_scored_the_ends_of_the_interval_are_null() {
        let template = Arc::new(JsonTemplate::new("topic", 0, &["model".into()], true));
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
