//! Texts that producers write for a missing value, and the cost of bad values.
//!
//! Invariant: a missing value is one that the record does not have, whatever the field means. A bad one costs its field
//! or its record, by the settings, and is counted either way.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Rejection, Schema};
use thalweg_metrics::checked;

/// Fields whose bad values are counted by name.
const MAX_FIELDS: usize = 256;

/// Spellings of missing values in Python, pandas, R, SQL, spreadsheets and data sets.
const DEFAULT_MARKERS: [&str; 17] = [
    "NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None", "", "-",
    "?",
];

/// Cost of a bad value: one beyond ±[`MAX_MAGNITUDE`](super::MAX_MAGNITUDE), an infinity, or text, an object or an
/// array where a number or a time belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBad {
    /// The field, which is then unknown.
    Missing,
    /// The record.
    DeadLetter,
}

checked!(enum OnBad = Missing | DeadLetter);

/// Cost of bad values, by the field's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnBadField {
    /// In a feature.
    pub features: OnBad,
    /// In the target.
    pub target: OnBad,
    /// In the field of the time: a time that cannot be read. Where it costs the field, the record's own time is used.
    #[serde(default = "OnBadField::strict_timestamp")]
    pub timestamp: OnBad,
}

checked!(OnBadField { features, target, timestamp });

impl OnBadField {
    /// Default: one bad sensor must not cost the other nine; but a target that is silently not learned would go
    /// unnoticed, and so would a prediction that is filed under another time.
    pub const DEFAULT: Self =
        Self { features: OnBad::Missing, target: OnBad::DeadLetter, timestamp: OnBad::DeadLetter };

    /// Value of state files older than this setting.
    fn strict_timestamp() -> OnBad {
        OnBad::DeadLetter
    }
}

impl Schema {
    /// Returns the default of `schema.missing`.
    pub fn usual_missing() -> Vec<String> {
        DEFAULT_MARKERS.map(str::to_owned).to_vec()
    }

    /// Returns `true` where `text` stands for a missing value. Space around it does not count.
    #[inline]
    pub(super) fn is_missing(&self, text: &str) -> bool {
        let text = text.trim_ascii();
        self.missing.iter().any(|missing| missing == text)
    }

    /// Returns the bytes of the longest text that stands for a missing value.
    pub(super) fn longest_missing(&self) -> usize {
        self.missing.iter().map(String::len).max().unwrap_or(0)
    }

    /// Returns `true` where Python's bare `NaN` stands for a missing value.
    pub(super) fn takes_bare_nan(&self) -> bool {
        self.is_missing("NaN")
    }

    /// Value of state files older than this setting: no text stands for a missing value.
    pub(super) fn strict_missing() -> Vec<String> {
        Vec::new()
    }

    /// Value of state files older than this setting: every bad value costs its record.
    pub(super) fn strict_on_bad_field() -> OnBadField {
        OnBadField { features: OnBad::DeadLetter, target: OnBad::DeadLetter, timestamp: OnBad::DeadLetter }
    }
}

/// A field's bad values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValues {
    /// Number of bad values.
    pub times: u64,
    /// Rejection of the first one.
    pub first: Rejection,
}

/// The bad values that cost only their field, by name.
#[derive(Debug, Default)]
pub(super) struct Bad {
    fields: HashMap<String, BadValues>,
}

impl Bad {
    /// Counts a bad value, and returns the first one of a field, which is reported.
    pub(super) fn count(&mut self, field: String, rejection: Rejection) -> Option<Rejection> {
        if let Some(known) = self.fields.get_mut(&field) {
            known.times += 1;
            return None;
        }
        if self.fields.len() >= MAX_FIELDS {
            return None;
        }
        self.fields.insert(field, BadValues { times: 1, first: rejection.clone() });
        Some(rejection)
    }

    /// Returns the bad values by field.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&String, &BadValues)> {
        self.fields.iter()
    }
}

/// Shortens and quotes a value for a message, on one line.
pub(super) fn shown(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}
