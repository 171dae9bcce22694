//! Predictions in Avro's binary encoding, written here, since a field is a few bytes, and read back for people.
//!
//! Invariant: what is written is a datum of [`SCHEMA`], which the tests have read by other implementations.

use std::{
    str,
    sync::{Arc, LazyLock},
};

use super::{Fields, Form, Template};
use crate::{decode::fingerprint, pending_predictions::PendingPrediction};
use thalweg_metrics::Interval;

/// The schema of predictions, as JSON. In every later version each field of this one stays, and each new one has a default.
pub const SCHEMA: &str = include_str!("prediction.avsc");

/// Its fingerprint.
static FINGERPRINT: LazyLock<[u8; 8]> = LazyLock::new(|| fingerprint(SCHEMA).unwrap_or_default().to_le_bytes());

/// First bytes of a single object.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

/// Bytes of the longest 64-bit number.
const MAX_NUMBER_BYTES: usize = 10;
/// Bytes of a double within a union.
const MAX_DOUBLE_BYTES: usize = 1 + size_of::<f64>();
/// Branches of a union with null.
const NULL: u8 = 0;
const SOME: u8 = 2;

/// What stands before a prediction and names its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// 0 and the number that a schema registry has given it, as Confluent's serializers write it.
    Registered(u32),
    /// Avro's mark of single objects and the schema's fingerprint.
    SingleObject,
}

/// Parts that all predictions of a partition share.
#[derive(Debug)]
pub(super) struct Parts {
    /// The frame, and the source's topic and partition.
    head: Vec<u8>,
    /// Name per model, with its length before it.
    names: Vec<Vec<u8>>,
}

impl Parts {
    /// Returns also the bytes of the longest prediction.
    pub(super) fn new(frame: Frame, topic: &str, partition: i32, names: &[Arc<str>]) -> (Self, usize) {
        let mut head = Vec::new();
        match frame {
            Frame::Registered(number) => {
                head.push(0);
                head.extend_from_slice(&number.to_be_bytes());
            }
            Frame::SingleObject => {
                head.extend_from_slice(&SINGLE_OBJECT);
                head.extend_from_slice(&*FINGERPRINT);
            }
        }
        text(&mut head, topic);
        long(&mut head, partition.into());
        let name = |name: &Arc<str>| {
            let mut out = Vec::new();
            text(&mut out, name);
            out
        };
        let parts = Self { head, names: names.iter().map(name).collect() };
        let champion = parts.names.iter().map(Vec::len).max().unwrap_or(0);
        let members: usize = parts.names.iter().map(|name| name.len() + MAX_DOUBLE_BYTES).sum();
        // Offset, row, time, version and the number of models; target, prediction and interval; two branches and ends.
        let fields = 5 * MAX_NUMBER_BYTES + 4 * MAX_DOUBLE_BYTES + 2;
        let most = parts.head.len() + champion + members + fields;
        (parts, most)
    }

    #[inline]
    pub(super) fn writer<'w>(&'w self, out: &'w mut Vec<u8>) -> Writer<'w> {
        Writer { parts: self, out }
    }
}

pub(super) struct Writer<'w> {
    parts: &'w Parts,
    out: &'w mut Vec<u8>,
}

impl Fields for Writer<'_> {
    #[inline]
    fn source(&mut self, offset: i64, row: Option<u32>) {
        self.out.extend_from_slice(&self.parts.head);
        long(self.out, offset);
        match row {
            Some(row) => {
                self.out.push(SOME);
                long(self.out, row.into());
            }
            None => self.out.push(NULL),
        }
    }

    #[inline]
    fn timestamp(&mut self, time: i64) {
        long(self.out, time);
    }

    #[inline]
    fn target(&mut self, target: Option<f64>) {
        double(self.out, target.unwrap_or(f64::NAN));
    }

    #[inline]
    fn prediction(&mut self, prediction: f64) {
        double(self.out, prediction);
    }

    #[inline]
    fn interval(&mut self, interval: Option<Interval>) {
        let Interval { lower, upper } = interval.unwrap_or(Interval { lower: f64::NAN, upper: f64::NAN });
        double(self.out, lower);
        double(self.out, upper);
    }

    #[inline]
    fn model(&mut self, champion: usize) {
        self.out.extend_from_slice(&self.parts.names[champion]);
    }

    #[inline]
    fn version(&mut self, version: u64) {
        // Nobody learns from 2^63 samples.
        long(self.out, version.cast_signed());
    }

    #[inline]
    fn predictions(&mut self, _: usize, predictions: &[f64]) {
        // One block with all of them, unless there is none, and the end.
        if !predictions.is_empty() {
            long(self.out, predictions.len() as i64);
        }
        for (name, prediction) in self.parts.names.iter().zip(predictions) {
            self.out.extend_from_slice(name);
            double(self.out, *prediction);
        }
        self.out.push(0);
    }
}

/// Zigzag, seven bits a byte, the lowest first.
#[inline]
fn long(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a number, or null where it is not finite.
#[inline]
fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        out.extend_from_slice(&[SOME, a, b, c, d, e, f, g, h]);
    } else {
        out.push(NULL);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

/// Returns a prediction in Avro as the JSON that it is in the other form; `None` where it is none by [`SCHEMA`]. An interval that
/// there is not is `null`.
pub fn to_json(value: &[u8]) -> Option<Vec<u8>> {
    let mut datum = Datum(match value {
        [0, _, _, _, _, datum @ ..] => datum,
        _ => value.strip_prefix(&SINGLE_OBJECT)?.strip_prefix(&*FINGERPRINT)?,
    });
    let (topic, partition) = (datum.text()?, i32::try_from(datum.long()?).ok()?);
    let source = datum.long()?;
    let row = match datum.is_some()? {
        true => Some(u32::try_from(datum.long()?).ok()?),
        false => None,
    };
    let timestamp = datum.long()?;
    let (target, prediction) = (datum.double()?, datum.double()?);
    let (lower, upper) = (datum.double()?, datum.double()?);
    let (model, version) = (datum.text()?, datum.long()?.cast_unsigned());
    let (mut names, mut predictions) = (Vec::new(), Vec::new());
    let count = datum.long()?;
    for _ in 0..count {
        names.push(Arc::from(datum.text()?));
        predictions.push(datum.double()?);
    }
    let ends = count == 0 || datum.long()? == 0;
    let champion = names.iter().position(|name: &Arc<str>| **name == *model)?;
    if !ends || !datum.0.is_empty() || predictions[champion].to_bits() != prediction.to_bits() {
        return None;
    }
    let draft = PendingPrediction {
        source,
        row,
        timestamp,
        key: None,
        target: Some(target),
        champion,
        version,
        interval: Some(Interval { lower, upper }),
    };
    let template = Template::new(Form::Json, topic, partition, &names, true);
    let mut out = Vec::new();
    template.write(&mut out, &draft, &predictions);
    Some(out)
}

/// What is left of a datum.
struct Datum<'d>(&'d [u8]);

impl<'d> Datum<'d> {
    fn long(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'d str> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    /// Reads the branch of a union with null.
    fn is_some(&mut self) -> Option<bool> {
        match self.long()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Reads a number; NaN where it is null.
    fn double(&mut self) -> Option<f64> {
        if !self.is_some()? {
            return Some(f64::NAN);
        }
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes)).filter(|number| number.is_finite())
    }
}
