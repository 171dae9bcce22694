//! From a record's bytes to a sample: JSON straight into the dense feature row, without an intermediate tree.
//!
//! Invariant: a record that is refused leaves no trace, neither a value in the row nor a name in the [`Index`]; one
//! that is accepted has only finite numbers. A field's meaning is decided by its name once, and never changes while the
//! state lives.

mod bare;
mod categories;
mod draft;
mod fast_path;
mod index;
mod json;
mod missing;
mod notice;
mod numeric_text;
mod read_ahead;
mod rejection;
mod role;
mod time;
mod usage;

use draft::Draft;
use role::Field;
use time::Moment;

pub use index::Index;
pub use missing::{BadValues, OnBad, OnBadField};
pub use notice::{Implausible, Notice};
pub use numeric_text::NumericText;
pub use read_ahead::{Layout, ReadAhead, Row, Rows};
pub use rejection::{Doubt, Found, Rejection};
pub use time::{Unit, date, zone};
pub use usage::{BadField, Feature, FeatureKind, Fields, Text, Unseen};

use std::{ops::RangeInclusive, sync::Arc};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;
use thalweg_models::Features;

/// Checked schema of the samples (`[schema]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Field that holds the target.
    pub target: String,
    /// The features, or `None` for every field that can be one.
    pub features: Option<Vec<String>>,
    /// Features whose values are categories: text, or numbers and booleans taken as text.
    pub nominal: Vec<String>,
    /// Field whose value becomes the prediction's key; without it the record's own key is copied. It can be a feature
    /// besides: as a category where it is in `nominal`, as a number where it is in `features`.
    pub key: Option<String>,
    /// True where the key is a numeric feature, too; it counts where features are not listed.
    #[serde(default)]
    pub key_is_feature: bool,
    /// Field with the time of the sample, a number or text; without it the record's own timestamp is taken. As a
    /// feature it is the milliseconds since 1970, in whatever form it comes.
    pub timestamp: Option<String>,
    /// True where the time is a feature, too; it counts where features are not listed.
    #[serde(default)]
    pub timestamp_is_feature: bool,
    /// Unit of numbers in it; `None` where their size decides it.
    #[serde(default)]
    pub timestamp_unit: Option<Unit>,
    /// Zone of times in text that name none: one that [`zone`] knows.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Milliseconds since 1970 before which a time is reported as implausible.
    #[serde(default = "timestamp_min")]
    pub timestamp_min: i64,
    /// Milliseconds ahead of the clock beyond which a time is reported as implausible.
    #[serde(default = "timestamp_ahead")]
    pub timestamp_ahead: u64,
    /// Fields that are never features, with all that is nested in them; fields that other keys name are still used.
    pub ignore: Vec<String>,
    /// Value of a numeric feature in a record without it; `null` is always unknown.
    #[serde(default)]
    pub absent: Absent,
    /// Texts that stand for unknown values, whatever the field means; also as bare words where they are none of JSON's.
    #[serde(default = "Schema::strict_missing")]
    pub missing: Vec<String>,
    /// Cost of bad values.
    #[serde(default = "Schema::strict_on_bad_field")]
    pub on_bad_field: OnBadField,
    /// Policy for text that reads as a number.
    #[serde(default = "NumericText::strict")]
    pub numeric_text: NumericText,
    /// Most features a stream may have, 1 to 1,000,000.
    pub max_features: usize,
    /// Categories of a nominal feature that stand for themselves, 1 to [`MAX_CATEGORIES`]; later ones share a few
    /// numbers.
    #[serde(default = "max_categories")]
    pub max_categories: usize,
    /// Largest record that is decoded, in bytes.
    pub max_record_bytes: usize,
}

checked!(Schema {
    target,
    features,
    nominal,
    key,
    key_is_feature,
    timestamp,
    timestamp_is_feature,
    timestamp_unit,
    timezone,
    timestamp_min,
    timestamp_ahead: any,
    ignore,
    absent,
    missing,
    on_bad_field,
    numeric_text,
    max_features,
    max_categories,
    max_record_bytes,
});

/// Value of a feature that a record does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// Unknown.
    #[default]
    Unknown,
    /// Zero, as in sparse records that list only what there is. A nominal feature is unknown all the same.
    Zero,
}

checked!(enum Absent = Unknown | Zero);

impl Schema {
    fn zone(&self) -> TimeZone {
        // The settings refuse unknown names.
        zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// 1990-01-01.
fn timestamp_min() -> i64 {
    631_152_000_000
}

/// A day.
fn timestamp_ahead() -> u64 {
    86_400_000
}

fn max_categories() -> usize {
    1024
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            target: "y".into(),
            features: None,
            nominal: Vec::new(),
            key: None,
            key_is_feature: false,
            timestamp: None,
            timestamp_is_feature: false,
            timestamp_unit: None,
            timezone: utc(),
            timestamp_min: timestamp_min(),
            timestamp_ahead: timestamp_ahead(),
            ignore: Vec::new(),
            absent: Absent::default(),
            missing: Self::usual_missing(),
            on_bad_field: OnBadField::DEFAULT,
            numeric_text: NumericText::Auto,
            max_features: 4096,
            max_categories: max_categories(),
            max_record_bytes: 1 << 20,
        }
    }
}

/// Numbers beyond this are refused: their squares, which every model and metric needs, overflow or come close to it.
pub const MAX_MAGNITUDE: f64 = 1e150;

/// The largest [`Schema::max_categories`].
pub const MAX_CATEGORIES: usize = 65_536;

/// Longest key, so that a prediction, which carries it, always fits its topic.
const MAX_KEY_BYTES: usize = 64 << 10;

/// A decoded record, borrowed from the decoder until the next one.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Features that the models see.
    pub features: Features<'a>,
    /// Target; `None` where the record has none.
    pub target: Option<f64>,
    /// The key field's value as text, where the schema names one and the record has it.
    pub key: Option<&'a str>,
    /// The timestamp field in milliseconds since the Unix epoch, where the schema names one and the record has it.
    pub timestamp: Option<i64>,
}

/// Decodes the records of one partition, in order; reuses all its buffers.
///
/// ```
/// use thalweg_pipeline::decode::{Decoder, Index, Schema};
///
/// let schema = Schema { target: "price".into(), ..Schema::default() };
/// let mut decoder = Decoder::new(&schema, Index::new(&schema));
/// let sample = decoder.decode(Some(br#"{"size":80,"price":40.5}"#)).expect("a sample");
/// assert_eq!(sample.target, Some(40.5));
/// assert!(decoder.decode(Some(b"80,40.5")).is_err());
/// ```
#[derive(Debug)]
pub struct Decoder {
    index: Index,
    max_record_bytes: usize,
    draft: Draft,
    known: Known,
    /// Range of plausible times, in milliseconds since 1970.
    plausible: RangeInclusive<i64>,
    /// Milliseconds by which times may be ahead of the clock.
    ahead: u64,
    implausible: Option<Implausible>,
}

/// Fields of the last layout, valid while the index has the same age.
#[derive(Debug, Default)]
struct Known {
    layout: Option<Arc<Layout>>,
    age: usize,
    fields: Vec<Field>,
}

impl Decoder {
    /// Creates a decoder that continues from `index`, which [`Index::new`] starts or a checkpoint holds.
    pub fn new(schema: &Schema, mut index: Index) -> Self {
        if index.fits(schema) {
            index.adopt(schema);
        }
        Self {
            index,
            max_record_bytes: schema.max_record_bytes,
            draft: Draft::default(),
            known: Known::default(),
            plausible: schema.timestamp_min..=i64::MAX,
            ahead: schema.timestamp_ahead,
            implausible: None,
        }
    }

    /// Sets the clock's time, in milliseconds since 1970. It only decides which times are reported as implausible.
    pub fn set_now(&mut self, now: i64) {
        self.plausible = *self.plausible.start()..=now.saturating_add_unsigned(self.ahead);
    }

    /// Takes the notices about the stream since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.index.take_notices();
        notices.append(&mut self.draft.notices);
        notices
    }

    /// Takes the implausible times since the last call.
    pub fn take_implausible(&mut self) -> Option<Implausible> {
        self.implausible.take()
    }

    /// Returns the index, which holds the names of the columns.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Decodes one record's value; `None` is a tombstone.
    ///
    /// # Errors
    /// A [`Rejection`] that says why the record cannot be used.
    pub fn decode(&mut self, value: Option<&[u8]>) -> Result<Sample<'_>, Rejection> {
        let bytes = value.ok_or(Rejection::Tombstone)?;
        if bytes.is_empty() {
            return Err(Rejection::Empty);
        }
        if bytes.len() > self.max_record_bytes {
            return Err(Rejection::TooLarge { size: bytes.len(), limit: self.max_record_bytes });
        }
        self.start(true);
        if fast_path::read_object(bytes, &mut self.index, &mut self.draft).is_ok() {
            return self.finish();
        }
        self.decode_full(bytes)
    }

    /// Decodes like [`Decoder::decode`], for a value that may have been read ahead.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_ahead(&mut self, value: Option<&[u8]>, row: Option<Row<'_>>) -> Result<Sample<'_>, Rejection> {
        let fits = |bytes: &[u8]| bytes.len() <= self.max_record_bytes;
        if let Some(row) = row.filter(|_| value.is_some_and(fits)) {
            self.start(true);
            self.know(row.layout);
            let (index, draft) = (&self.index, &mut self.draft);
            let mut fields = self.known.fields.iter().zip(row.numbers).enumerate();
            let taken = fields.try_for_each(|(i, (field, number))| {
                fast_path::take(index, draft, *field, || row.layout.name(i), *number)
            });
            if taken.is_ok() {
                return self.finish();
            }
        }
        self.decode(value)
    }

    /// Looks up the fields of a layout.
    #[inline]
    fn know(&mut self, layout: &Arc<Layout>) {
        let Self { index, known, .. } = self;
        let age = index.age();
        if known.age == age && known.layout.as_ref().is_some_and(|known| Arc::ptr_eq(known, layout)) {
            return;
        }
        let mut cursor = 0;
        known.fields.clear();
        known.fields.extend(layout.names().map(|name| index.field(name, &mut cursor)));
        (known.layout, known.age) = (Some(Arc::clone(layout)), age);
    }

    /// Decodes like [`Decoder::decode`], for a value within the limits, without trying the fast path first. Tests hold
    /// the two against each other.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_full(&mut self, bytes: &[u8]) -> Result<Sample<'_>, Rejection> {
        self.start(false);
        json::read_object(bytes, &mut self.index, &mut self.draft)?;
        self.finish()
    }

    /// Decodes like [`Decoder::decode`], for a row of a table: names and the text of their cells. A cell that reads as
    /// a number is one, an empty one is unknown, anything else is text.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_row<'r>(
        &mut self,
        cells: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> Result<Sample<'_>, Rejection> {
        self.start(false);
        let mut cursor = 0;
        for (name, cell) in cells {
            let field = self.index.field(name, &mut cursor);
            let taken = match cell.trim() {
                "" => {
                    self.draft.null(&self.index, field);
                    Ok(())
                }
                cell => match cell.parse::<f64>() {
                    Ok(number) if number.is_finite() => {
                        self.draft.number(&self.index, field, name, number, || cell.to_owned())
                    }
                    Ok(_) => self.draft.bare(&self.index, field, name, cell),
                    Err(_) => self.draft.text(&self.index, field, name, cell),
                },
            };
            taken?;
        }
        self.finish()
    }

    /// Returns the fields of the records that are used, and those that are not.
    pub fn fields(&self) -> Fields {
        self.draft.usage.fields(&self.index, &self.draft.bad)
    }

    #[inline]
    fn start(&mut self, on_fast_path: bool) {
        self.draft.start(&self.index);
        self.draft.on_fast_path = on_fast_path;
    }

    fn finish(&mut self) -> Result<Sample<'_>, Rejection> {
        let Self { index, draft, .. } = self;
        // A target alone is one more point of a series.
        if draft.known + draft.new.len() == 0 && draft.target.is_none() {
            return Err(draft.lost.drain(..).next().map_or(Rejection::NoFeatures, |(_, first)| first));
        }
        index.extend(&mut draft.new, &mut draft.new_categories, &mut draft.row)?;
        if draft.turns.len() + draft.words.len() > 0 {
            index.learn_texts(&mut draft.turns, &mut draft.words);
        }
        draft.usage.count(draft.target.is_some(), draft.timestamp.is_some(), &draft.texts);
        for (name, rejection) in draft.lost.drain(..) {
            draft.notices.extend(draft.bad.count(name, rejection).map(Notice::BadValue));
        }
        if let Some(moment) = draft.timestamp {
            if let Some(unit) = draft.unit {
                index.decide(unit, moment);
            }
            let time = moment.milliseconds();
            if !self.plausible.contains(&time) {
                note(&mut self.implausible, &self.index, moment, &self.plausible);
            }
        }
        let Self { index, draft, .. } = self;
        Ok(Sample {
            features: Features::with_nominal(&draft.row, index.nominal()),
            target: draft.target,
            key: draft.key.as_deref(),
            timestamp: draft.timestamp.map(Moment::milliseconds),
        })
    }
}

#[cold]
fn note(implausible: &mut Option<Implausible>, index: &Index, moment: Moment, plausible: &RangeInclusive<i64>) {
    match implausible {
        Some(implausible) => implausible.count += 1,
        None => {
            let time = moment.milliseconds();
            let (field, early) = (index.timestamp().to_owned(), time < *plausible.start());
            *implausible = Some(Implausible { field, time, early, date: moment.like_date(), count: 1 });
        }
    }
}

/// Checks that a key is short enough to go with a prediction.
///
/// # Errors
/// [`Rejection::KeyTooLong`].
pub fn check_key(key: Option<&[u8]>) -> Result<(), Rejection> {
    match key.map(<[u8]>::len) {
        Some(size) if size > MAX_KEY_BYTES => Err(Rejection::KeyTooLong { size, limit: MAX_KEY_BYTES }),
        _ => Ok(()),
    }
}
