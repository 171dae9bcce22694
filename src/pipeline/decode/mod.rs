//! From a record's bytes to a sample: JSON straight into the dense feature row, without an intermediate tree.
//!
//! Invariant: a record that is refused leaves no trace, neither a value in the row nor a name in the [`Index`]; one that
//! is accepted has only finite numbers. What a field means is decided by its name once, and never changes while the
//! state lives.

mod ahead;
mod flat;
mod index;
mod json;
mod rejection;
mod role;

use index::NewColumn;
use role::{Field, Part};

pub use ahead::{Ahead, Layout, Row, Rows};
pub use index::Index;
pub use rejection::Rejection;

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::models::Features;

/// What samples look like, checked (`[schema]`).
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
    /// Whether the key is a numeric feature, too, where features are not listed.
    #[serde(default)]
    pub key_is_feature: bool,
    /// Field with the time of the sample (milliseconds since the Unix epoch, or RFC 3339 text); without it the
    /// record's own timestamp is taken. As a feature it is the milliseconds since 1970, however it is written.
    pub timestamp: Option<String>,
    /// Whether the time is a feature, too, where features are not listed.
    #[serde(default)]
    pub timestamp_is_feature: bool,
    /// Fields that are never features, with all that is nested in them; what the other keys name is still used.
    pub ignore: Vec<String>,
    /// Most features a stream may have, 1 to 1,000,000.
    pub max_features: usize,
    /// Largest record that is decoded, in bytes.
    pub max_record_bytes: usize,
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
            ignore: Vec::new(),
            max_features: 4096,
            max_record_bytes: 1 << 20,
        }
    }
}

/// Numbers beyond this are refused: their squares, which every model and metric needs, overflow or come close to it.
pub const LARGEST: f64 = 1e150;

/// Longest name of a feature, so that names cannot eat the memory.
const MAX_NAME_BYTES: usize = 512;

/// Longest key, so that a prediction, which carries it, always fits its topic.
const MAX_KEY_BYTES: usize = 64 << 10;

/// A decoded record, borrowed from the decoder until the next one.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What the models see.
    pub features: Features<'a>,
    /// What is to be predicted; `None` when the record does not say.
    pub target: Option<f64>,
    /// The key field's value as text, where the schema names one and the record has it.
    pub key: Option<&'a str>,
    /// The timestamp field in milliseconds since the Unix epoch, where the schema names one and the record has it.
    pub timestamp: Option<i64>,
}

/// Decodes the records of one partition, in order; reuses all its buffers.
#[derive(Debug)]
pub struct Decoder {
    index: Index,
    max_record_bytes: usize,
    draft: Draft,
    known: Known,
}

/// What the fields of the last layout are, as long as the index is of that age.
#[derive(Debug, Default)]
struct Known {
    layout: Option<Arc<Layout>>,
    age: usize,
    fields: Vec<Field>,
}

/// The record being decoded.
#[derive(Debug, Default)]
struct Draft {
    /// A value per known column, NaN where unknown.
    row: Vec<f64>,
    /// Features seen for the first time; they become columns when the record turns out well.
    new: Vec<NewColumn>,
    /// Their places in `new`.
    new_lookup: HashMap<String, usize>,
    /// Categories seen for the first time in columns that exist, likewise.
    new_categories: Vec<(usize, String)>,
    target: Option<f64>,
    key: Option<String>,
    timestamp: Option<i64>,
    known: usize,
    /// Room for flattened names.
    path: String,
    rejection: Option<Rejection>,
}

impl Decoder {
    /// A decoder that goes on from `index`, which [`Index::new`] starts or a checkpoint holds.
    pub fn new(schema: &Schema, index: Index) -> Self {
        Self { index, max_record_bytes: schema.max_record_bytes, draft: Draft::default(), known: Known::default() }
    }

    /// The names behind the columns.
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
        self.start();
        if flat::read_object(bytes, &mut self.index, &mut self.draft).is_ok() {
            return self.finish();
        }
        self.decode_full(bytes)
    }

    /// As [`Decoder::decode`] for a value that may have been read ahead.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_ahead(&mut self, value: Option<&[u8]>, row: Option<Row<'_>>) -> Result<Sample<'_>, Rejection> {
        let fits = |bytes: &[u8]| bytes.len() <= self.max_record_bytes;
        if let Some(row) = row.filter(|_| value.is_some_and(fits)) {
            self.start();
            self.know(row.layout);
            let fields = self.known.fields.iter().zip(row.layout.names()).zip(row.numbers);
            let (index, draft) = (&self.index, &mut self.draft);
            let taken = fields
                .into_iter()
                .try_for_each(|((field, name), number)| flat::take(index, draft, *field, name, *number));
            if taken.is_ok() {
                return self.finish();
            }
        }
        self.decode(value)
    }

    /// Looks up what the fields of a layout are.
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

    /// As [`Decoder::decode`] for a value within the limits, without trying the short way first. Tests hold the two
    /// against each other.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_full(&mut self, bytes: &[u8]) -> Result<Sample<'_>, Rejection> {
        self.start();
        json::read_object(bytes, &mut self.index, &mut self.draft)?;
        self.finish()
    }

    /// As [`Decoder::decode`] for a row of a table: names and the text of their cells. A cell that reads as a number is
    /// one, an empty one is unknown, anything else is text.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_row<'r>(
        &mut self,
        cells: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> Result<Sample<'_>, Rejection> {
        self.start();
        let mut cursor = 0;
        for (name, cell) in cells {
            let field = self.index.field(name, &mut cursor);
            let taken = match cell.trim() {
                "" => Ok(()),
                cell => match cell.parse::<f64>() {
                    Ok(number) => self.draft.number(&self.index, field, name, number, || cell.to_owned()),
                    Err(_) => self.draft.text(&self.index, field, name, cell),
                },
            };
            taken?;
        }
        self.finish()
    }

    fn start(&mut self) {
        let draft = &mut self.draft;
        draft.row.clear();
        draft.row.resize(self.index.columns(), f64::NAN);
        draft.new.clear();
        draft.new_lookup.clear();
        draft.new_categories.clear();
        (draft.target, draft.key, draft.timestamp, draft.known, draft.rejection) = (None, None, None, 0, None);
    }

    fn finish(&mut self) -> Result<Sample<'_>, Rejection> {
        let Self { index, draft, .. } = self;
        if draft.known + draft.new.len() == 0 {
            return Err(Rejection::NoFeatures);
        }
        index.extend(&mut draft.new, &mut draft.new_categories, &mut draft.row)?;
        Ok(Sample {
            features: Features::with_nominal(&draft.row, index.nominal()),
            target: draft.target,
            key: draft.key.as_deref(),
            timestamp: draft.timestamp,
        })
    }
}

impl Draft {
    /// Takes a number for a field. `text` spells it, for the fields that want text.
    #[inline]
    fn number(
        &mut self,
        index: &Index,
        field: Field,
        name: &str,
        number: f64,
        text: impl FnOnce() -> String,
    ) -> Result<(), Rejection> {
        if !field.is_plain() {
            let text = if field.wants_text() { text() } else { String::new() };
            return self.marked(index, field, name, number, text);
        }
        match field.part {
            Part::Column(column) => self.set(column, checked(name, number)?),
            Part::Target => self.target = Some(checked(name, number)?),
            Part::Nominal(_) | Part::NewNominal => return self.text(index, field, name, &text()),
            Part::New if index.is_open() => {
                check_name(name)?;
                self.add(index, name, checked(name, number)?, None)?;
            }
            Part::New | Part::Ignored => {}
        }
        Ok(())
    }

    /// Takes a number for the key or the time.
    fn marked(
        &mut self,
        index: &Index,
        field: Field,
        name: &str,
        mut number: f64,
        text: String,
    ) -> Result<(), Rejection> {
        if field.key {
            self.take_key(&text)?;
        }
        if field.timestamp {
            let milliseconds = milliseconds(name, number)?;
            self.timestamp = Some(milliseconds);
            number = milliseconds as f64;
        }
        self.number(index, Field { part: field.part, ..Field::NEW }, name, number, || text)
    }

    /// Takes text for a field.
    fn text(&mut self, index: &Index, field: Field, name: &str, text: &str) -> Result<(), Rejection> {
        if field.key {
            self.take_key(text)?;
        }
        if field.timestamp {
            let milliseconds = rfc3339(name, text)?;
            self.timestamp = Some(milliseconds);
            if !field.wants_text() {
                let plain = Field { part: field.part, ..Field::NEW };
                return self.number(index, plain, name, milliseconds as f64, String::new);
            }
        }
        match field.part {
            Part::Target | Part::Column(_) => {
                return Err(Rejection::NotANumber { field: name.to_owned(), found: "text" });
            }
            Part::Nominal(column) => match index.category(column, text) {
                Some(number) => self.set(column, number),
                None => {
                    self.new_categories.retain(|(other, _)| *other != column);
                    self.new_categories.push((column, text.to_owned()));
                    self.set(column, 0.0);
                }
            },
            Part::NewNominal => {
                check_name(name)?;
                self.add(index, name, 0.0, Some(text.to_owned()))?;
            }
            Part::Ignored | Part::New => {}
        }
        Ok(())
    }

    fn take_key(&mut self, text: &str) -> Result<(), Rejection> {
        check_key(Some(text.as_bytes()))?;
        let key = self.key.get_or_insert_default();
        key.clear();
        key.push_str(text);
        Ok(())
    }

    fn set(&mut self, column: usize, value: f64) {
        if self.row[column].is_nan() {
            self.known += 1;
        }
        self.row[column] = value;
    }

    fn add(&mut self, index: &Index, name: &str, value: f64, category: Option<String>) -> Result<(), Rejection> {
        // A name that comes twice counts once, with its last value, as JSON readers have it.
        if let Some(&i) = self.new_lookup.get(name) {
            (self.new[i].value, self.new[i].category) = (value, category);
            return Ok(());
        }
        index.check_room(self.new.len() + 1)?;
        self.new_lookup.insert(name.to_owned(), self.new.len());
        self.new.push(NewColumn { name: name.to_owned(), value, category });
        Ok(())
    }
}

/// Before anything is said about a feature: what is said names it, and travels with the dead letter.
fn check_name(name: &str) -> Result<(), Rejection> {
    if name.len() > MAX_NAME_BYTES {
        return Err(Rejection::NameTooLong { size: name.len(), limit: MAX_NAME_BYTES });
    }
    Ok(())
}

/// Whether a key can go with a prediction.
///
/// # Errors
/// [`Rejection::KeyTooLong`].
pub fn check_key(key: Option<&[u8]>) -> Result<(), Rejection> {
    match key.map(<[u8]>::len) {
        Some(size) if size > MAX_KEY_BYTES => Err(Rejection::KeyTooLong { size, limit: MAX_KEY_BYTES }),
        _ => Ok(()),
    }
}

#[inline]
fn checked(name: &str, number: f64) -> Result<f64, Rejection> {
    if number.abs() <= LARGEST {
        return Ok(number);
    }
    let field = name.to_owned();
    Err(if number.is_finite() { Rejection::OutOfRange { field } } else { Rejection::NotFinite { field: Some(field) } })
}

fn milliseconds(name: &str, number: f64) -> Result<i64, Rejection> {
    // Past this no date has a name in four digits; f64 counts milliseconds exactly up to there.
    const YEAR_9999: f64 = 253_402_300_799_999.0;
    if number.abs() <= YEAR_9999 { Ok(number as i64) } else { Err(Rejection::BadTimestamp { field: name.to_owned() }) }
}

fn rfc3339(name: &str, text: &str) -> Result<i64, Rejection> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| time.timestamp_millis())
        .map_err(|_| Rejection::BadTimestamp { field: name.to_owned() })
}
