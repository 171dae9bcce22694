//! Fast path for the records that nearly every stream holds: numbers, truth values and texts, nested or not.
//!
//! It reads exactly what [`super::json`] reads, only faster, or says that it cannot and leaves the record to it: names with
//! escapes, bad values, and whatever is wrong.

use std::ops::Range;

use super::{
    CloudEvent, Level, MAX_MAGNITUDE,
    cell::{Cell, Value},
    cloud_event::DATA,
    datum::Sink,
    draft::Draft,
    escapes::unescape,
    index::Index,
    role::{Field, Part},
    scanner::{NeedsFullDecode, Read, Scanner, Visit},
};

/// Integers up to here have one form as text, whether they were read as an integer or not.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// Returns true where a number as a key is the digits as they were written, which only the full decoder knows: different ones may be the
/// same number.
pub(super) fn is_key_as_written(number: f64) -> bool {
    number.abs() >= MAX_EXACT || number.fract() != 0.0
}

/// Reads a good value into `draft`; after an error the draft must be started again.
pub(super) fn read_object(value: &[u8], index: &mut Index, draft: &mut Draft) -> Read<()> {
    let mut path = std::mem::take(&mut draft.path);
    path.clear();
    let level = Within::record(index);
    read(value, path, level, index, draft)
}

/// Reads an event's good attributes and data into `draft`, as [`read_object`] does.
pub(super) fn read_event(data: &[u8], event: CloudEvent<'_>, index: &mut Index, draft: &mut Draft) -> Read<()> {
    let mut sink = Sink::new(index, draft);
    let begun = event.begin(&mut sink);
    sink.end();
    let level = begun.map_err(|_| NeedsFullDecode)?.into();
    let mut path = std::mem::take(&mut draft.path);
    path.clear();
    path.push_str(DATA);
    read(data, path, level, index, draft)
}

#[inline]
fn read(value: &[u8], mut path: String, level: Within, index: &mut Index, draft: &mut Draft) -> Read<()> {
    let scanner = Scanner::new(value, index.syntax());
    let read = scanner.walk(&mut path, &mut Direct { value, index, draft, cursor: 0 }, level);
    draft.path = path;
    read.map(|_| ())
}

/// What an object or an array means for all that is nested in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Within {
    /// Nothing.
    #[default]
    Used,
    /// Only fields that the schema names count.
    Ignored,
    /// Nothing counts.
    Skipped,
}

impl From<Level> for Within {
    fn from(level: Level) -> Self {
        match level {
            Level::Used => Self::Used,
            Level::Ignored => Self::Ignored,
            Level::Skipped => Self::Skipped,
        }
    }
}

impl Within {
    /// What the record itself means: outside the root, only fields that the schema names count.
    pub(super) fn record(index: &Index) -> Self {
        if index.is_root() { Self::Used } else { Self::Ignored }
    }

    /// Enters an object or an array with these roles.
    pub(super) fn enter(self, field: Field, is_array: bool) -> Read<Self> {
        match self {
            Self::Skipped => Ok(self),
            _ if field.is_skipped() => Ok(Self::Skipped),
            // The full decoder says what is wrong.
            _ if field.timestamp || field.must_be_number() => Err(NeedsFullDecode),
            _ if field.is_root() => {
                if is_array {
                    Err(NeedsFullDecode)
                } else {
                    Ok(Self::Used)
                }
            }
            _ if field.is_ignored_within() => Ok(Self::Ignored),
            _ => Ok(self),
        }
    }

    /// Returns the roles of a name, of which `look_up` knows those outside of this.
    #[inline]
    pub(super) fn field(self, look_up: impl FnOnce() -> Read<Field>) -> Read<Field> {
        match self {
            Self::Skipped => Ok(Field::IGNORED),
            Self::Used => look_up(),
            Self::Ignored => look_up().map(Field::within_ignored),
        }
    }
}

/// Reads straight into a draft.
struct Direct<'d> {
    value: &'d [u8],
    index: &'d mut Index,
    draft: &'d mut Draft,
    cursor: usize,
}

impl Visit for Direct<'_> {
    type Level = Within;

    fn enter(&mut self, path: &str, is_array: bool, outer: Within) -> Read<Within> {
        let field = outer.field(|| Ok(self.index.field(path, &mut self.cursor)))?;
        self.draft.has_root |= field.is_root();
        outer.enter(field, is_array)
    }

    fn leaf(&mut self, path: &str, level: Within, cell: Cell, _: Range<usize>) -> Read<()> {
        let field = level.field(|| Ok(self.index.field(path, &mut self.cursor)))?;
        take(self.index, self.draft, field, || path, cell, Texts::of(self.value))
    }

    #[inline(always)]
    fn member(&mut self, name: &[u8], level: Within, cell: Cell, _: Range<usize>) -> Read<()> {
        let field = level.field(|| self.index.field_of(name, &mut self.cursor).ok_or(NeedsFullDecode))?;
        // A name that is used has been checked.
        let name = || std::str::from_utf8(name).unwrap_or_default();
        take(self.index, self.draft, field, name, cell, Texts::of(self.value))
    }
}

/// Where the texts of cells stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'t> {
    /// The record's bytes.
    pub(super) record: &'t [u8],
    /// Those of the layout.
    pub(super) symbols: &'t str,
}

impl<'t> Texts<'t> {
    fn of(record: &'t [u8]) -> Self {
        Self { record, symbols: "" }
    }
}

/// Takes a field's value. The full decoder finds out why a value is refused.
#[inline]
pub(super) fn take<'n>(
    index: &Index,
    draft: &mut Draft,
    field: Field,
    name: impl FnOnce() -> &'n str,
    cell: Cell,
    texts: Texts<'_>,
) -> Read<()> {
    // This covers nearly all numbers of a stream, and is false for all else.
    if cell.0.abs() <= MAX_MAGNITUDE && field.is_plain() {
        match field.part {
            Part::Column(column) => {
                draft.set(column, cell.0);
                return Ok(());
            }
            Part::Target if !field.is_root() => {
                draft.target = Some(cell.0);
                return Ok(());
            }
            _ => {}
        }
    }
    if field.is_skipped() {
        return Ok(());
    }
    take_other(index, draft, field, name(), (cell.value(), texts))
}

/// Takes the rare cases; kept apart so that the common one is small enough to be inlined.
#[inline(never)]
fn take_other(
    index: &Index,
    draft: &mut Draft,
    field: Field,
    name: &str,
    (value, texts): (Value, Texts<'_>),
) -> Read<()> {
    if field.is_root() && value != Value::Absent {
        return Err(NeedsFullDecode);
    }
    let taken = match value {
        Value::Null => {
            draft.null(index, field);
            return Ok(());
        }
        Value::Absent => return Ok(()),
        Value::Number(number) => {
            // A larger one is written as it was read, as an integer or not, which only the full decoder knows.
            if field.wants_text() && number.abs() >= MAX_EXACT || field.wants_digits() && is_key_as_written(number) {
                return Err(NeedsFullDecode);
            }
            draft.number(index, field, name, number, || number.to_string())
        }
        Value::Truth(_) if field.timestamp => return Err(NeedsFullDecode),
        Value::Truth(truth) => draft.number(index, field, name, f64::from(u8::from(truth)), || truth.to_string()),
        Value::Empty if field.timestamp || field.must_be_number() => return Err(NeedsFullDecode),
        Value::Empty => return Ok(()),
        Value::Symbol(place) => {
            let text = texts.symbols.get(place).ok_or(NeedsFullDecode)?;
            draft.text(index, field, name, text)
        }
        Value::Text(place) => {
            let text =
                texts.record.get(place).and_then(|text| std::str::from_utf8(text).ok()).ok_or(NeedsFullDecode)?;
            draft.text(index, field, name, text)
        }
        Value::Escaped(place) => {
            let text =
                texts.record.get(place).and_then(|text| std::str::from_utf8(text).ok()).ok_or(NeedsFullDecode)?;
            let mut plain = std::mem::take(&mut draft.plain);
            plain.clear();
            unescape(text, &mut plain).ok_or(NeedsFullDecode)?;
            let taken = draft.text(index, field, name, &plain);
            draft.plain = plain;
            taken
        }
    };
    taken.map_err(|_| NeedsFullDecode)
}
