//! Schema of the samples: where their fields are, what they are called, and what they mean.
//!
//! Invariant: it is what the settings say and part of the state. A state from before a setting means by its absence what
//! was done then.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thalweg_features::Feature;
use thalweg_metrics::checked;

use super::{Envelope, Format, Named, NumericText, OnBadField, OnDelete, Rename, Unit, derived, zone};
use crate::labels::Labels;

/// Checked schema of the samples (`[schema]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Format of the samples, and where their own schemas are from.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub format: Format,
    /// What producers wrap around the row; [`Schema::root`] is not set besides.
    #[serde(default, skip_serializing_if = "is_default")]
    pub envelope: Envelope,
    /// Path of the object that holds the features, where that is not the record. Fields are named by their paths in it;
    /// those outside by `$.` and their paths in the record, and only those that are named count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub root: Option<String>,
    /// Path of an array of which each element is a sample; `$` where it is the record. Where [`Schema::root`] is not set, it
    /// is that of the features, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub explode: Option<String>,
    /// Most rows of such an array, 1 to 100,000: what is made of them is published as one.
    #[serde(default = "max_rows", skip_serializing_if = "is_max_rows")]
    pub max_rows: usize,
    /// Consequence of a record that says that a row was deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_delete: OnDelete,
    /// Other names for fields.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rename: Vec<Rename>,
    /// Meaning of fields whose values do not show it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cast: Vec<Named>,
    /// Features that records do not hold themselves (`[[features]]`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub derived: Vec<Feature>,
    /// Fields by which models are kept apart, beside those of features (`by` in `[[models]]`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub model_keys: Vec<String>,
    /// Bytes that what is remembered by key may take (`keys.budget`).
    #[serde(default = "keys_budget", skip_serializing_if = "is_keys_budget")]
    pub keys_budget: usize,
    /// When and how targets come (`[labels]`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: Labels,
    /// Field that holds the target.
    pub target: String,
    /// The features, or `None` for every field that can be one. In a name a star is any text.
    pub features: Option<Vec<String>>,
    /// Features whose values are categories: text, or numbers and booleans taken as text. In a name a star is any text.
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
    /// Fields that are never features, with all that is nested in them; fields that other keys name are still used. In a
    /// name a star is any text.
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
    /// Categories of a nominal feature that stand for themselves, 1 to [`MAX_CATEGORIES`](super::MAX_CATEGORIES); later ones share a few
    /// numbers.
    #[serde(default = "max_categories")]
    pub max_categories: usize,
    /// Largest record that is decoded, in bytes.
    pub max_record_bytes: usize,
}

checked!(Schema {
    format,
    envelope,
    root,
    explode,
    max_rows,
    on_delete,
    rename,
    cast,
    derived,
    model_keys,
    keys_budget,
    labels,
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
    pub(super) fn zone(&self) -> TimeZone {
        // The settings refuse unknown names.
        zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    /// Returns the names of the keys that rows have, in order: those of features, and of models behind these.
    pub fn row_keys(&self) -> Vec<String> {
        derived::row_keys(self, &derived::plan(self))
    }

    /// Returns each name of a field.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let lists = self.features.iter().flatten().chain(&self.nominal).chain(&self.ignore);
        let single = [Some(&self.target), self.key.as_ref(), self.timestamp.as_ref()].into_iter().flatten();
        let changed = self.rename.iter().map(|rename| &rename.from).chain(self.cast.iter().map(|named| &named.field));
        lists.chain(single).chain(changed).map(String::as_str)
    }
}

/// Returns `true` for what states older than a setting mean, so that the same settings are written as they were then.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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

/// 64 MiB.
fn keys_budget() -> usize {
    64 << 20
}

fn is_keys_budget(bytes: &usize) -> bool {
    *bytes == keys_budget()
}

fn max_rows() -> usize {
    1000
}

fn is_max_rows(rows: &usize) -> bool {
    *rows == max_rows()
}

fn max_categories() -> usize {
    1024
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            format: Format::default(),
            envelope: Envelope::Auto,
            root: None,
            explode: None,
            max_rows: max_rows(),
            on_delete: OnDelete::default(),
            rename: Vec::new(),
            cast: Vec::new(),
            derived: Vec::new(),
            model_keys: Vec::new(),
            keys_budget: keys_budget(),
            labels: Labels::default(),
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
