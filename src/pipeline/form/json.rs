//! Predictions as JSON. Names are escaped once; a number is the shortest text that reads back to the same bits.

use std::{ops::Range, sync::Arc};

use super::Fields;
use thalweg_metrics::Interval;

/// Bytes of the longest text of a 64-bit number, integer or floating-point.
const MAX_NUMBER_BYTES: usize = 24;

/// Parts that all predictions of a partition share.
#[derive(Debug)]
pub(super) struct Parts {
    /// `{"source":{"topic":…,"partition":…,"offset":`
    head: Vec<u8>,
    /// `,"model":"<name>","version":` per model.
    models: Vec<Vec<u8>>,
    /// `"<name>":` per model, with a comma before all but the first.
    members: Vec<Vec<u8>>,
    /// True where predictions have an interval.
    intervals: bool,
}

impl Parts {
    /// Returns also the bytes of the longest prediction.
    pub(super) fn new(topic: &str, partition: i32, names: &[Arc<str>], intervals: bool) -> (Self, usize) {
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        let member = |(i, name): (usize, &String)| format!("{}{name}:", if i > 0 { "," } else { "" }).into_bytes();
        let parts = Self {
            head: format!(r#"{{"source":{{"topic":{},"partition":{partition},"offset":"#, quote(topic)).into_bytes(),
            models: quoted.iter().map(|name| format!(r#","model":{name},"version":"#).into_bytes()).collect(),
            members: quoted.iter().enumerate().map(member).collect(),
            intervals,
        };
        let champion = parts.models.iter().map(Vec::len).max().unwrap_or(0);
        let members: usize = parts.members.iter().map(Vec::len).sum();
        let words = ROW.len() + TIMESTAMP.len() + TARGET.len() + PREDICTION.len() + PREDICTIONS.len() + END.len();
        let ends = usize::from(intervals) * (LOWER.len() + UPPER.len() + 2 * MAX_NUMBER_BYTES);
        let numbers = (6 + names.len()) * MAX_NUMBER_BYTES;
        let most = parts.head.len() + champion + members + words + ends + numbers;
        (parts, most)
    }

    #[inline]
    pub(super) fn writer<'w>(&'w self, out: &'w mut Vec<u8>) -> Writer<'w> {
        Writer { parts: self, out, published: 0..0 }
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

pub(super) struct Writer<'w> {
    parts: &'w Parts,
    out: &'w mut Vec<u8>,
    /// Place of the published prediction's text.
    published: Range<usize>,
}

impl Fields for Writer<'_> {
    #[inline]
    fn source(&mut self, offset: i64, row: Option<u32>) {
        self.out.extend_from_slice(&self.parts.head);
        integer(self.out, offset);
        if let Some(row) = row {
            self.out.extend_from_slice(ROW);
            integer(self.out, row);
        }
    }

    #[inline]
    fn timestamp(&mut self, time: i64) {
        self.out.extend_from_slice(TIMESTAMP);
        integer(self.out, time);
    }

    #[inline]
    fn target(&mut self, target: Option<f64>) {
        self.out.extend_from_slice(TARGET);
        number(self.out, target.unwrap_or(f64::NAN));
    }

    #[inline]
    fn prediction(&mut self, prediction: f64) {
        self.out.extend_from_slice(PREDICTION);
        let from = self.out.len();
        number(self.out, prediction);
        self.published = from..self.out.len();
    }

    #[inline]
    fn interval(&mut self, interval: Option<Interval>) {
        if self.parts.intervals {
            // There is no interval before the first error.
            let unknown = Interval { lower: f64::NAN, upper: f64::NAN };
            let Interval { lower, upper } = interval.unwrap_or(unknown);
            self.out.extend_from_slice(LOWER);
            number(self.out, lower);
            self.out.extend_from_slice(UPPER);
            number(self.out, upper);
        }
    }

    #[inline]
    fn model(&mut self, champion: usize) {
        self.out.extend_from_slice(&self.parts.models[champion]);
    }

    #[inline]
    fn version(&mut self, version: u64) {
        integer(self.out, version);
    }

    #[inline]
    fn predictions(&mut self, champion: usize, predictions: &[f64]) {
        self.out.extend_from_slice(PREDICTIONS);
        for (model, (member, prediction)) in self.parts.members.iter().zip(predictions).enumerate() {
            self.out.extend_from_slice(member);
            // Formatting numbers is most of the work, and this one is formatted already.
            if model == champion {
                self.out.extend_from_within(self.published.clone());
            } else {
                number(self.out, *prediction);
            }
        }
        self.out.extend_from_slice(END);
    }
}

pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(crate) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a number, or `null`, which readers of JSON expect, where it is not finite.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}
