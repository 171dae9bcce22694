//! Numbers that are written as text.
//!
//! Only text that reads in one way in every country is a number: no thousands separators, no decimal commas, no digits
//! behind a leading zero, which are identifiers, and no hexadecimals.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Texts of a field that must read as numbers for it to be one (`schema.numeric_text = "auto"`).
pub(super) const PROBATION_VALUES: usize = 100;

/// Names of fields with text that are remembered.
pub(super) const MAX_WORDS: usize = 1024;

/// Policy for text that reads as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumericText {
    /// It is a number in the target and in a numeric feature; another field is one from its first text on, and is no
    /// feature any more as soon as one of its first 100 texts is no number.
    Auto,
    /// It is a number wherever a number may stand.
    Always,
    /// It is never a number.
    Never,
}

checked!(enum NumericText = Auto | Always | Never);

impl NumericText {
    /// Value of state files older than this setting.
    pub(super) fn strict() -> Self {
        Self::Never
    }
}

/// Evidence of one text about its column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The column's texts have been numbers so far, and this one is, too.
    Numeric(usize),
    /// This text is no number.
    Words(usize),
    /// The column was taken for text, and holds a number.
    Number(usize),
}

/// Columns that hold their numbers as text, and the number of fields with other text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Texts {
    /// Per column, 0 where its numbers are not text; else one more than the number of texts that must still read as
    /// numbers.
    left: Vec<usize>,
    /// Fields with text that is no number.
    words: usize,
}

checked!(Texts { left, words });

impl Texts {
    /// Returns `true` where this, read from a state file, may belong to so many columns.
    pub(super) fn fit(&self, columns: usize) -> bool {
        self.left.len() <= columns && self.left.iter().all(|left| *left <= PROBATION_VALUES) && self.words <= MAX_WORDS
    }

    /// Returns `true` where the column holds its numbers as text.
    pub(super) fn is_spelled(&self, column: usize) -> bool {
        self.left.get(column).is_some_and(|left| *left > 0)
    }

    /// Returns `true` while one text that is no number would end the column.
    pub(super) fn is_on_probation(&self, column: usize) -> bool {
        self.left.get(column).is_some_and(|left| *left > 1)
    }

    /// Starts the probation of a column whose first text was a number.
    pub(super) fn begin(&mut self, column: usize) {
        if self.left.len() <= column {
            self.left.resize(column + 1, 0);
        }
        self.left[column] = PROBATION_VALUES;
    }

    /// Counts one more text that was a number, and returns `true` where it ends the probation.
    pub(super) fn count(&mut self, column: usize) -> bool {
        match self.left.get_mut(column) {
            Some(left) if *left > 1 => {
                *left -= 1;
                *left == 1
            }
            _ => false,
        }
    }

    /// Records that the column does not hold its numbers as text.
    pub(super) fn end(&mut self, column: usize) {
        if let Some(left) = self.left.get_mut(column) {
            *left = 0;
        }
    }

    /// Returns `true` where another field with other text can be remembered after `more` of them.
    pub(super) fn have_room(&self, more: usize) -> bool {
        self.words + more < MAX_WORDS
    }

    /// Remembers another field with other text, and returns its number.
    pub(super) fn add_words(&mut self) -> u32 {
        let slot = self.words;
        self.words = (slot + 1).min(MAX_WORDS);
        slot as u32
    }
}

/// Reads the number that `text` stands for, if any; NaN and infinities count. Space around it is ignored.
pub(super) fn read(text: &str) -> Option<f64> {
    let text = text.trim_ascii();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_word = || ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    if is_decimal(unsigned.as_bytes()) || is_word() { text.parse().ok() } else { None }
}

/// Returns `true` for digits with an optional point and an optional exponent.
fn is_decimal(text: &[u8]) -> bool {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix(b".").map_or((&b""[..], rest), digits);
    let has_zeros = whole.len() > 1 && whole[0] == b'0';
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    !has_zeros && has_digits && is_exponent_or_end(rest)
}

/// Returns `true` where `word` is a number by JSON's grammar.
pub(super) fn is_json(word: &[u8]) -> bool {
    let (whole, rest) = digits(word.strip_prefix(b"-").unwrap_or(word));
    let (has_fraction, rest) = match rest.strip_prefix(b".").map(digits) {
        Some((fraction, rest)) => (!fraction.is_empty(), rest),
        None => (true, rest),
    };
    !whole.is_empty() && (whole.len() == 1 || whole[0] != b'0') && has_fraction && is_exponent_or_end(rest)
}

fn is_exponent_or_end(rest: &[u8]) -> bool {
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
    !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit)
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_in_one_way_is_a_number() {
        for (text, expected) in [
            ("231.4", 231.4),
            ("9007199254740993", 9_007_199_254_740_992.0),
            (" -12.340 ", -12.34),
            ("+3", 3.0),
            ("1e5", 1e5),
            ("1E-5", 1e-5),
            (".5", 0.5),
            ("5.", 5.0),
            ("0", 0.0),
            ("0.10", 0.1),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        assert!(read("NaN").is_some_and(f64::is_nan) && read("-0").is_some_and(f64::is_sign_negative));
    }

    #[test]
    fn what_may_mean_something_else_is_none() {
        for text in [
            "", " ", "-", "+", ".", "e5", "1e", "1_000", "1,5", "1,234.5", "1 000", "0x10", "00123", "007.5", "-01",
            "1.2.3", "--1", "+-1", "12%", "$5", "1d", "½", "١", "infinite", "true",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_stricter() {
        for (word, expected) in [
            ("1", true),
            ("-1.5e+5", true),
            ("0", true),
            ("01", false),
            ("+1", false),
            (".5", false),
            ("5.", false),
            ("1e", false),
            ("", false),
            ("-", false),
        ] {
            assert_eq!(is_json(word.as_bytes()), expected, "{word}");
        }
    }
}
