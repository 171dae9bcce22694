//! Use of a stream's fields: features, categories, ignored text, names that never come.
//!
//! Invariant: nothing that is published depends on it; it begins anew with every start. It is bounded: in names, in the
//! bytes of an example, and in the work for a record.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use serde::Serialize;

use super::{
    Index,
    missing::{Bad, shown},
    numeric_text::MAX_WORDS,
};

/// Number of records from which other names are collected.
const UNREAD_NAME_RECORDS: u64 = 1000;
/// Most other names that are kept; one may be near to a name that was meant.
const MAX_UNREAD_NAMES: usize = 256;
/// Different texts of a field that are counted; number of texts that are all looked at, and interval of those looked at
/// later.
const MAX_DISTINCT_TEXTS: usize = 100;
const FULLY_COUNTED_VALUES: u64 = 1000;
const SAMPLING_INTERVAL: u64 = 16;

/// Use of the records' fields since the start of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fields {
    /// Records that could be used.
    pub records: u64,
    /// Those with a target.
    pub with_target: u64,
    /// The target's name.
    pub target: String,
    /// Those with a time in the field of the time; the record's own time was used for the others.
    pub with_timestamp: u64,
    /// The time's name, where there is one.
    pub timestamp: Option<String>,
    /// Features, in the order of their columns.
    pub features: Vec<Feature>,
    /// Fields with text that is ignored.
    pub text: Vec<Text>,
    /// Fields that the settings ignore and that records had.
    pub ignored: Vec<String>,
    /// Names in the settings that no record had.
    pub never_seen: Vec<Unseen>,
    /// Features and target with bad values that counted as unknown.
    pub bad: Vec<BadField>,
    /// Names of other fields that are not used; not all of them where there are many.
    pub other: Vec<String>,
}

/// A feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// The field's name.
    pub name: String,
    /// Kind of the feature.
    #[serde(flatten)]
    pub kind: FeatureKind,
}

/// Kind of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeatureKind {
    /// A number.
    Number,
    /// A number written as text.
    NumberInText,
    /// A category.
    Category {
        /// Number of categories.
        categories: usize,
    },
}

/// A field with text that is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// Texts seen after the first one.
    pub values: u64,
    /// Number of different texts, 100 at most, among the first 1,000 and every sixteenth after them.
    pub different: usize,
    /// One of them, shortened and in quotes.
    pub example: String,
}

/// A name in the settings that no record had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Unseen {
    /// The setting's key.
    pub setting: &'static str,
    /// The name.
    pub name: String,
    /// The most similar field, where one is similar.
    pub nearest: Option<String>,
}

/// A field with bad values that counted as unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadField {
    /// Its name.
    pub name: String,
    /// Number of bad values.
    pub values: u64,
    /// Message about the first one.
    pub first: String,
}

/// Collects the use of fields while records are decoded.
#[derive(Debug, Default)]
pub(super) struct Usage {
    records: u64,
    with_target: u64,
    with_timestamp: u64,
    texts: Vec<Seen>,
    others: BTreeSet<String>,
}

/// Texts of a field.
#[derive(Clone, Debug, Default)]
struct Seen {
    values: u64,
    /// Hashes of the different texts, sorted.
    different: Vec<u64>,
    example: String,
}

impl Usage {
    /// Counts a record that could be used.
    #[inline]
    pub(super) fn count(&mut self, has_target: bool, has_timestamp: bool, texts: &[usize]) {
        self.records += 1;
        self.with_target += u64::from(has_target);
        self.with_timestamp += u64::from(has_timestamp);
        for slot in texts {
            if let Some(seen) = self.texts.get_mut(*slot) {
                seen.values += 1;
            }
        }
    }

    /// Looks at a text of a field with ignored text; [`count`](Self::count) counts it once its record is accepted.
    pub(super) fn text(&mut self, slot: usize, text: &str) {
        if slot >= MAX_WORDS {
            return;
        }
        if self.texts.len() <= slot {
            self.texts.resize_with(slot + 1, Seen::default);
        }
        let seen = &mut self.texts[slot];
        let is_looked_at = seen.values < FULLY_COUNTED_VALUES || seen.values.is_multiple_of(SAMPLING_INTERVAL);
        if is_looked_at && seen.different.len() < MAX_DISTINCT_TEXTS {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let hash = hasher.finish();
            if let Err(place) = seen.different.binary_search(&hash) {
                seen.different.insert(place, hash);
            }
        }
        if seen.example.is_empty() {
            seen.example = shown(text);
        }
    }

    /// Collects the name of a field that is not used.
    pub(super) fn other(&mut self, name: &str) {
        if self.records < UNREAD_NAME_RECORDS
            && self.others.len() < MAX_UNREAD_NAMES
            && name.len() <= 128
            && !self.others.contains(name)
        {
            self.others.insert(name.to_owned());
        }
    }

    /// Returns the use of all fields.
    pub(super) fn fields(&self, index: &Index, bad: &Bad) -> Fields {
        let names = index.usage();
        let mut fields = Fields {
            records: self.records,
            with_target: self.with_target,
            target: index.schema().target.clone(),
            with_timestamp: self.with_timestamp,
            timestamp: index.schema().timestamp.clone(),
            features: names.features,
            ignored: names.ignored,
            other: self.others.iter().cloned().collect(),
            ..Fields::default()
        };
        fields.text = names.texts.into_iter().map(|(name, slot)| self.text_of(name, slot)).collect();
        fields.never_seen = names.unseen;
        let count = |(name, values): (&String, &super::BadValues)| BadField {
            name: name.clone(),
            values: values.times,
            first: values.first.to_string(),
        };
        fields.bad = bad.fields().map(count).collect();
        fields.bad.sort_by(|a, b| a.name.cmp(&b.name));
        let nearest: Vec<Option<String>> =
            fields.never_seen.iter().map(|unseen| fields.nearest(&unseen.name).map(str::to_owned)).collect();
        for (unseen, nearest) in fields.never_seen.iter_mut().zip(nearest) {
            unseen.nearest = nearest;
        }
        fields
    }

    fn text_of(&self, name: String, slot: usize) -> Text {
        let Seen { values, different, example } = self.texts.get(slot).cloned().unwrap_or_default();
        Text { name, values, different: different.len(), example }
    }
}

/// Use of an index's names.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) features: Vec<Feature>,
    pub(super) texts: Vec<(String, usize)>,
    pub(super) ignored: Vec<String>,
    pub(super) unseen: Vec<Unseen>,
}

impl Fields {
    /// Returns the names of all fields that records had, except those of target, key and time.
    pub fn there(&self) -> impl Iterator<Item = &str> {
        let features = self.features.iter().map(|feature| &feature.name);
        let texts = self.text.iter().map(|text| &text.name);
        features.chain(texts).chain(&self.other).chain(&self.ignored).map(String::as_str)
    }

    /// Returns the field most similar to `name`, if any: one with the same last part, or with nearly the same letters.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let lower = name.to_lowercase();
        let last = |path: &str| path.rsplit('.').next().unwrap_or("").to_lowercase();
        let mut best: Option<(f64, &str)> = None;
        for other in self.there().filter(|other| *other != name) {
            let likeness = match last(other) == last(name) {
                true => 0.99,
                false => strsim::jaro_winkler(&lower, &other.to_lowercase()),
            };
            if likeness > best.map_or(0.8, |(best, _)| best) {
                best = Some((likeness, other));
            }
        }
        best.map(|(_, name)| name)
    }

    /// Adds the use of fields in another partition of the same stream.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.records += other.records;
        self.with_target += other.with_target;
        self.with_timestamp += other.with_timestamp;
        merge(
            &mut self.features,
            &other.features,
            |feature| &feature.name,
            |mine, other| {
                if let (FeatureKind::Category { categories }, FeatureKind::Category { categories: more }) =
                    (&mut mine.kind, other.kind)
                {
                    *categories = (*categories).max(more);
                }
            },
        );
        merge(
            &mut self.text,
            &other.text,
            |text| &text.name,
            |mine, other| {
                mine.values += other.values;
                mine.different = mine.different.max(other.different);
            },
        );
        merge(&mut self.bad, &other.bad, |bad| &bad.name, |mine, other| mine.values += other.values);
        merge(&mut self.ignored, &other.ignored, |name| name, |_, _| {});
        merge(&mut self.other, &other.other, |name| name, |_, _| {});
        // A name that one partition has seen exists.
        self.never_seen.retain(|unseen| other.never_seen.iter().any(|theirs| theirs.name == unseen.name));
        self
    }
}

fn merge<T: Clone>(mine: &mut Vec<T>, others: &[T], name: impl Fn(&T) -> &String, both: impl Fn(&mut T, &T)) {
    for other in others {
        match mine.iter().position(|one| name(one) == name(other)) {
            Some(i) => both(&mut mine[i], other),
            None => mine.push(other.clone()),
        }
    }
}
