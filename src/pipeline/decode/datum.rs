//! Values of formats with a schema on their way into a draft, as the JSON reader brings those of JSON: the same data gives the
//! same features. Or on their way to somebody who looks at them before there are settings.
//!
//! Invariant: no value is passed over in silence, and the draft alone decides what one is worth.

use super::{
    Leaf, NumericText, Rejection,
    draft::Draft,
    index::Index,
    rejection::Found,
    role::{Field, Part},
};

/// Number of objects and arrays within each other that are read.
pub const MAX_DEPTH: usize = 64;
/// Whole numbers below are doubles.
const EXACT_NUMBER: u64 = 1 << 53;

/// A value that is neither a record nor a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Datum<'v> {
    /// No value.
    Null,
    /// A truth value.
    Truth(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number without a sign.
    Unsigned(u64),
    /// A number; NaN and infinities are what they are in JSON.
    Number(f64),
    /// A moment in milliseconds since 1970.
    Time(f64),
    /// A text.
    Text(&'v str),
    /// A text without a type, which may stand for a whole number or a truth value.
    Untyped(&'v str),
}

/// What holds within a record or a list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Level {
    /// Values count.
    #[default]
    Used,
    /// Only fields that the settings name count.
    Ignored,
    /// Nothing counts.
    Skipped,
}

/// A record whose values have types.
pub trait TypedRow {
    /// Passes its values to `sink`, in order.
    ///
    /// # Errors
    /// What `sink` returns, or [`Rejection::DoesNotFit`] where the record is damaged.
    fn read(&self, sink: &mut Sink<'_>) -> Result<(), Rejection>;
}

/// Takes the values of one record.
pub struct Sink<'d> {
    taker: Taker<'d>,
    /// Flattened name of the value that comes next.
    pub(super) path: String,
    /// What holds in the record, where that is not all that is read.
    begun: Option<Level>,
    /// Path of the list of rows, of which the record has one, until that is there.
    rows: Option<Box<str>>,
}

enum Taker<'d> {
    /// For a sample.
    Draft { index: &'d mut Index, draft: &'d mut Draft, cursor: usize },
    /// For one who looks at all of them.
    See(&'d mut dyn FnMut(&str, Leaf<'_>)),
}

impl<'d> Sink<'d> {
    pub(super) fn new(index: &'d mut Index, draft: &'d mut Draft) -> Self {
        let mut path = std::mem::take(&mut draft.path);
        path.clear();
        Self { taker: Taker::Draft { index, draft, cursor: 0 }, path, begun: None, rows: None }
    }

    /// Passes each value to `see`, with its flattened name.
    pub fn seen_by(see: &'d mut dyn FnMut(&str, Leaf<'_>)) -> Self {
        Self { taker: Taker::See(see), path: String::new(), begun: None, rows: None }
    }

    /// Gives the draft its buffer back.
    pub(super) fn end(self) {
        if let Taker::Draft { draft, .. } = self.taker {
            draft.path = self.path;
        }
    }

    /// Returns what holds in the record itself: outside the root, only fields that the settings name count.
    pub fn level(&self) -> Level {
        match (&self.taker, self.begun) {
            (_, Some(level)) => level,
            (Taker::Draft { index, .. }, None) if !index.is_root() => Level::Ignored,
            _ => Level::Used,
        }
    }

    /// Has the elements of the list at a path stand in its place.
    pub(super) fn take_apart(&mut self, path: Option<Box<str>>) {
        self.rows = path;
    }

    /// Returns true where the list at the path has rows that stand in its place.
    pub fn is_rows(&mut self) -> bool {
        self.rows.take_if(|rows| **rows == *self.path).is_some()
    }

    /// Has the record begin at the path, where `level` holds.
    pub(super) fn begin_at(&mut self, level: Level) {
        self.begun = Some(level);
    }

    /// Takes what [`push`](Self::push) added off the path.
    pub fn pop(&mut self, end: usize) {
        self.path.truncate(end);
    }

    /// Adds a member's name to the path, and returns where it ended before.
    pub fn push(&mut self, name: &str) -> usize {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        end
    }

    /// Adds the place of an element, and returns where the path ended before.
    pub fn push_place(&mut self, i: u64) -> usize {
        self.push(itoa::Buffer::new().format(i))
    }

    /// Returns true where the stream knows the name of the path, or names within it.
    pub(super) fn knows_path(&self) -> bool {
        match &self.taker {
            Taker::Draft { index, .. } => index.knows(&self.path),
            Taker::See(_) => false,
        }
    }

    /// Enters the record or the list at the path, and returns what holds within.
    ///
    /// # Errors
    /// The reason why the record is refused: something else has to be there.
    pub fn enter(&mut self, level: Level, found: impl FnOnce() -> Found) -> Result<Level, Rejection> {
        let Self { taker: Taker::Draft { index, draft, cursor }, path, .. } = self else { return Ok(level) };
        if level == Level::Skipped {
            return Ok(level);
        }
        let field = field(index, path, cursor, level);
        if field.is_skipped() {
            return Ok(Level::Skipped);
        }
        let found = found();
        if field.timestamp {
            draft.null(index, field);
            let found = if found == Found::Array { "an array" } else { "an object" };
            draft.bad_time(index, path, found)?;
        }
        if field.is_root() {
            draft.has_root |= found != Found::Array;
            return Ok(Level::Used);
        }
        if field.must_be_number() {
            draft.no_number(index, field.part, path, || found)?;
            return Ok(Level::Skipped);
        }
        Ok(if field.is_ignored_within() || field.timestamp { Level::Ignored } else { level })
    }

    /// Takes the value at the path.
    ///
    /// # Errors
    /// The reason why the record is refused for it.
    pub fn leaf(&mut self, level: Level, datum: Datum<'_>) -> Result<(), Rejection> {
        if level == Level::Skipped {
            return Ok(());
        }
        let path = &self.path;
        let (index, draft, mut field) = match &mut self.taker {
            Taker::Draft { index, draft, cursor } => {
                let field = field(index, path, cursor, level);
                (index, draft, field)
            }
            Taker::See(see) => {
                see(path, datum.as_leaf());
                return Ok(());
            }
        };
        if field.is_skipped() {
            return Ok(());
        }
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
            Datum::Number(number) => draft.bare(index, field, path, word(number)),
            Datum::Time(milliseconds) => {
                field.in_milliseconds = field.timestamp;
                draft.number(index, field, path, milliseconds, || milliseconds.to_string())
            }
            Datum::Text(text) => draft.text(index, field, path, text),
            Datum::Untyped(text) => match untyped(text, index.schema().numeric_text) {
                Some(number) if field.must_be_number() && field.cast.is_none() => {
                    draft.number(index, field, path, number, || text.to_owned())
                }
                _ => draft.text(index, field, path, text),
            },
        }
    }
}

fn field(index: &mut Index, path: &str, cursor: &mut usize, level: Level) -> Field {
    let field = index.field(path, cursor);
    if level == Level::Ignored { field.within_ignored() } else { field }
}

/// Returns the word for what is no number.
fn word(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

impl<'v> Datum<'v> {
    fn as_leaf(self) -> Leaf<'v> {
        match self {
            Datum::Null => Leaf::Null,
            Datum::Truth(truth) => Leaf::Truth(truth),
            Datum::Integer(number) => Leaf::Number(number as f64),
            Datum::Unsigned(number) => Leaf::Number(number as f64),
            Datum::Number(number) if number.is_finite() => Leaf::Number(number),
            Datum::Number(number) => Leaf::Text(word(number)),
            Datum::Time(milliseconds) => Leaf::Time(milliseconds),
            Datum::Text(text) | Datum::Untyped(text) => Leaf::Text(text),
        }
    }
}

/// Returns the truth value that a text stands for, or the whole number where texts are no numbers by themselves.
fn untyped(text: &str, numeric_text: NumericText) -> Option<f64> {
    match text {
        // Some write it as Python does.
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        _ if numeric_text == NumericText::Never => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_whole =
                digits == "0" || !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| is_whole)
        }
        _ => None,
    }
}

/// Returns milliseconds of a whole number, which times `unit` is those.
#[inline]
pub fn milliseconds(number: i64, unit: f64) -> f64 {
    if unit >= 1.0 {
        return number as f64 * unit;
    }
    // Thousandths are divided by, since no double is one of them, and no double holds the nanoseconds since 1970.
    let per = (1.0 / unit).round();
    match number.unsigned_abs() {
        ..EXACT_NUMBER => number as f64 / per,
        _ => number.div_euclid(per as i64) as f64 + number.rem_euclid(per as i64) as f64 / per,
    }
}

/// Returns bytes as text that is no number, whatever they are.
pub fn spelled(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

/// Returns a UUID's 16 bytes as text.
pub fn uuid(bytes: &[u8; 16]) -> String {
    super::SchemaId::Guid(u128::from_be_bytes(*bytes)).to_string()
}
