//! Values of formats with a schema on their way into a draft, as the JSON reader brings those of JSON: the same data gives the
//! same features.
//!
//! Invariant: no value is passed over in silence, and the draft alone decides what one is worth.

use super::{
    Rejection,
    draft::Draft,
    index::Index,
    rejection::Found,
    role::{Field, Part},
};

/// Number of objects and arrays within each other that are read.
pub(super) const MAX_DEPTH: usize = 64;

/// A value that is neither a record nor a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Datum<'v> {
    Null,
    Truth(bool),
    Integer(i64),
    Unsigned(u64),
    Number(f64),
    /// A moment in milliseconds since 1970.
    Time(f64),
    Text(&'v str),
}

/// What holds within a record or a list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Level {
    #[default]
    Used,
    /// Only fields that the settings name count.
    Ignored,
    /// Nothing counts.
    Skipped,
}

/// Takes the values of one record.
pub(super) struct Sink<'d> {
    index: &'d mut Index,
    draft: &'d mut Draft,
    /// Flattened name of the value that comes next.
    pub(super) path: String,
    cursor: usize,
}

impl<'d> Sink<'d> {
    pub(super) fn new(index: &'d mut Index, draft: &'d mut Draft) -> Self {
        let mut path = std::mem::take(&mut draft.path);
        path.clear();
        Self { index, draft, path, cursor: 0 }
    }

    /// Gives the draft its buffer back.
    pub(super) fn end(self) {
        self.draft.path = self.path;
    }

    /// Returns what holds in the record itself: outside the root, only fields that the settings name count.
    pub(super) fn level(&self) -> Level {
        if self.index.is_root() { Level::Used } else { Level::Ignored }
    }

    /// Adds a member's name to the path, and returns where it ended before.
    pub(super) fn push(&mut self, name: &str) -> usize {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        end
    }

    /// Adds the place of an element, and returns where the path ended before.
    pub(super) fn push_place(&mut self, i: u64) -> usize {
        self.push(itoa::Buffer::new().format(i))
    }

    /// Returns true where the stream knows the name of the path, or names within it.
    pub(super) fn knows_path(&self) -> bool {
        self.index.knows(&self.path)
    }

    fn field(&mut self, level: Level) -> Field {
        let field = self.index.field(&self.path, &mut self.cursor);
        if level == Level::Ignored { field.within_ignored() } else { field }
    }

    /// Enters the record or the list at the path, and returns what holds within.
    pub(super) fn enter(&mut self, level: Level, found: impl FnOnce() -> Found) -> Result<Level, Rejection> {
        if level == Level::Skipped {
            return Ok(level);
        }
        let field = self.field(level);
        if field.is_skipped() {
            return Ok(Level::Skipped);
        }
        let Self { index, draft, path, .. } = self;
        let found = found();
        if field.timestamp {
            draft.null(index, field);
            let found = if found == Found::Array { "an array" } else { "an object" };
            draft.bad_time(index, path, found)?;
        }
        if field.root {
            draft.has_root |= found != Found::Array;
            return Ok(Level::Used);
        }
        if field.must_be_number() {
            draft.no_number(index, field.part, path, || found)?;
            return Ok(Level::Skipped);
        }
        Ok(if field.part == Part::Ignored || field.timestamp { Level::Ignored } else { level })
    }

    /// Takes the value at the path.
    pub(super) fn leaf(&mut self, level: Level, datum: Datum<'_>) -> Result<(), Rejection> {
        if level == Level::Skipped {
            return Ok(());
        }
        let mut field = self.field(level);
        if field.is_skipped() {
            return Ok(());
        }
        let Self { index, draft, path, .. } = self;
        match datum {
            Datum::Null => {
                draft.null(index, field);
                Ok(())
            }
            Datum::Truth(truth) => {
                if field.timestamp {
                    draft.null(index, field);
                    draft.bad_time(index, path, if truth { "true" } else { "false" })?;
                    field.timestamp = false;
                    if !matches!(field.part, Part::Nominal(_) | Part::NewNominal) {
                        field.part = Part::Ignored;
                    }
                }
                draft.number(index, field, path, f64::from(u8::from(truth)), || truth.to_string())
            }
            Datum::Integer(number) => draft.number(index, field, path, number as f64, || number.to_string()),
            Datum::Unsigned(number) => draft.number(index, field, path, number as f64, || number.to_string()),
            Datum::Number(number) if number.is_finite() => {
                draft.number(index, field, path, number, || number.to_string())
            }
            Datum::Number(number) => {
                let word = match number {
                    _ if number.is_nan() => "NaN",
                    _ if number > 0.0 => "Infinity",
                    _ => "-Infinity",
                };
                draft.bare(index, field, path, word)
            }
            Datum::Time(milliseconds) => {
                field.in_milliseconds = field.timestamp;
                draft.number(index, field, path, milliseconds, || milliseconds.to_string())
            }
            Datum::Text(text) => draft.text(index, field, path, text),
        }
    }
}

/// Returns bytes as text that is no number, whatever they are.
pub(super) fn spelled(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

/// Returns a UUID's 16 bytes as text.
pub(super) fn uuid(bytes: &[u8; 16]) -> String {
    super::SchemaId::Guid(u128::from_be_bytes(*bytes)).to_string()
}
