//! Forms in which predictions are published: JSON, and Avro by a schema that stays the same while models come and go.
//!
//! Invariant: what a prediction says, and in which order, is written once, in `spell`; a form that lacks a field does not compile.
//! The source comes first in both, which is how it is read back without a schema ([`thalweg_topic::source`]).

mod avro;
mod json;

use std::sync::Arc;

use crate::pending_predictions::PendingPrediction;
use thalweg_metrics::Interval;

pub use avro::{Frame, SCHEMA, to_json};
pub(crate) use json::{integer, number, quote};

/// Form of published predictions (`output.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A JSON object.
    #[default]
    Json,
    /// [`SCHEMA`] in Avro's binary encoding, behind a frame that names it.
    Avro(Frame),
}

/// All that the predictions of a partition share.
#[derive(Debug)]
pub(super) struct Template {
    parts: Parts,
    models: usize,
    most: usize,
}

#[derive(Debug)]
enum Parts {
    Json(json::Parts),
    Avro(avro::Parts),
}

impl Template {
    pub(super) fn new(form: Form, topic: &str, partition: i32, names: &[Arc<str>], intervals: bool) -> Self {
        let (parts, most) = match form {
            Form::Json => {
                let (parts, most) = json::Parts::new(topic, partition, names, intervals);
                (Parts::Json(parts), most)
            }
            Form::Avro(frame) => {
                let (parts, most) = avro::Parts::new(frame, topic, partition, names);
                (Parts::Avro(parts), most)
            }
        };
        Self { parts, models: names.len(), most }
    }

    /// Returns the number of models.
    pub(super) fn models(&self) -> usize {
        self.models
    }

    /// Returns the bytes of the longest prediction.
    #[inline]
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Writes a prediction onto the end of `out`; `predictions` are those of all models.
    pub(super) fn write(&self, out: &mut Vec<u8>, draft: &PendingPrediction, predictions: &[f64]) {
        match &self.parts {
            Parts::Json(parts) => spell(&mut parts.writer(out), draft, predictions),
            Parts::Avro(parts) => spell(&mut parts.writer(out), draft, predictions),
        }
    }
}

/// The fields of a prediction, for a form to write.
trait Fields {
    fn source(&mut self, offset: i64, row: Option<u32>);
    /// In milliseconds since the Unix epoch.
    fn timestamp(&mut self, time: i64);
    fn target(&mut self, target: Option<f64>);
    fn prediction(&mut self, prediction: f64);
    fn interval(&mut self, interval: Option<Interval>);
    fn model(&mut self, champion: usize);
    fn version(&mut self, version: u64);
    fn predictions(&mut self, champion: usize, predictions: &[f64]);
}

/// Writes all that a prediction says.
#[inline]
fn spell(fields: &mut impl Fields, draft: &PendingPrediction, predictions: &[f64]) {
    let PendingPrediction { source, row, timestamp, key: _, target, champion, version, interval } = draft;
    fields.source(*source, *row);
    fields.timestamp(*timestamp);
    fields.target(*target);
    fields.prediction(predictions[*champion]);
    fields.interval(*interval);
    fields.model(*champion);
    fields.version(*version);
    fields.predictions(*champion, predictions);
}
