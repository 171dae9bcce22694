//! Meaning of each field name of a stream, with its columns and categories.
//!
//! Invariant: columns are numbered in order of first appearance and never renumbered; the number of names, columns and
//! categories is bounded, whatever a stream sends.

mod growth;
mod names;
mod paths;
mod times;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{
    Absent, Envelope, Notice, Schema, Unit,
    cast::Cast,
    categories::{Categories, Category},
    derived::{self, Drawn, Names, RECORD_KEY, Use},
    envelope::{Form, Wrappers},
    naming::{self, Naming},
    numeric_text::Texts,
    role::{Field, Part},
    scanner::{Syntax, is_same},
    time::Clock,
};
use crate::labels::Labels;
use thalweg_features::Past;
use thalweg_metrics::checked;
use thalweg_models::NamedColumn;

/// A feature on its first appearance.
#[derive(Debug)]
pub(super) struct NewColumn {
    pub(super) name: String,
    pub(super) value: f64,
    /// Category of a nominal feature, which then gives the value.
    pub(super) category: Option<String>,
    /// True where `value` came as text.
    pub(super) spelled: bool,
}

/// Names to columns, and categories to numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Index {
    /// Schema that it was made from.
    schema: Schema,
    /// Known names in order of first appearance. The schema says which of them is the key or the time.
    names: Vec<(String, Part)>,
    /// Column to name.
    columns: Vec<String>,
    nominal: Vec<bool>,
    /// Per column, the categories of a nominal one.
    categories: Vec<Categories>,
    /// Unit of times, once it has been found.
    #[serde(default)]
    unit: Option<Unit>,
    /// Columns that hold numbers as text.
    #[serde(default)]
    texts: Texts,
    /// Form of the records, once it is known. States older than this setting know no envelope.
    #[serde(default = "plain")]
    form: Option<Form>,
    /// Number of names that have changed their meaning.
    #[serde(skip)]
    turned: usize,
    /// Number of records that have left a trace.
    #[serde(skip)]
    changes: usize,
    /// Per name, true once a record since the start had it.
    #[serde(skip)]
    seen: Vec<bool>,
    /// Per name, its field.
    #[serde(skip)]
    fields: Vec<Field>,
    /// Per name, the path of its value.
    #[serde(skip)]
    paths: Vec<String>,
    /// Paths to names.
    #[serde(skip)]
    naming: Naming,
    /// True where every path is a name, of which nothing is known but what `names` says.
    #[serde(skip)]
    is_simple: bool,
    /// Fields whose type the records' own schema tells, by name.
    #[serde(skip)]
    types: HashMap<String, Cast, RandomState>,
    /// The features that records do not hold, which are the first columns.
    #[serde(skip)]
    derived: Names,
    /// What features of the past need fields for.
    #[serde(skip)]
    uses: Vec<Use>,
    /// Per pattern of `schema.ignore`, true once a field fitted it.
    #[serde(skip)]
    fitted: Vec<bool>,
    #[serde(skip)]
    lookup: HashMap<String, usize, RandomState>,
    /// Settings by which times are read.
    #[serde(skip)]
    clock: Clock,
    /// Notices not taken yet.
    #[serde(skip)]
    notices: Vec<Notice>,
    /// Per name (plus one; 0 is the start of a record), the name that came next last time. It only saves time.
    #[serde(skip)]
    follows: Vec<usize>,
    /// Bytes of the longest known name.
    #[serde(skip)]
    longest: usize,
    /// True where `NaN` without quotes stands for a missing value.
    #[serde(skip)]
    bare_nan: bool,
    /// Objects that stand for a value.
    #[serde(skip)]
    wrappers: Wrappers,
    /// True where the form of the records is known, and nothing stands around their JSON.
    #[serde(skip)]
    is_bare: bool,
    /// Bytes of the longest text that stands for a missing value.
    #[serde(skip)]
    longest_missing: usize,
}

checked!(Index {
    schema,
    names,
    columns,
    nominal,
    categories,
    unit,
    texts,
    form,
    turned: skipped,
    changes: skipped,
    seen: skipped,
    fields: skipped,
    paths: skipped,
    naming: skipped,
    is_simple: skipped,
    types: skipped,
    derived: skipped,
    uses: skipped,
    fitted: skipped,
    lookup: skipped,
    clock: skipped,
    notices: skipped,
    follows: skipped,
    longest: skipped,
    bare_nan: skipped,
    wrappers: skipped,
    is_bare: skipped,
    longest_missing: skipped,
} then fits_together);

fn plain() -> Option<Form> {
    Some(Form::plain())
}

impl Index {
    fn empty(schema: Schema) -> Self {
        let clock = Clock { zone: schema.zone(), unit: schema.timestamp_unit };
        Self {
            bare_nan: schema.takes_bare_nan(),
            longest_missing: schema.longest_missing(),
            form: Form::set(&schema),
            derived: Names::of(&schema),
            uses: Vec::new(),
            schema,
            names: Vec::new(),
            columns: Vec::new(),
            nominal: Vec::new(),
            categories: Vec::new(),
            texts: Texts::default(),
            turned: 0,
            changes: 0,
            seen: Vec::new(),
            fields: Vec::new(),
            paths: Vec::new(),
            naming: Naming::default(),
            wrappers: Wrappers::default(),
            is_bare: false,
            is_simple: true,
            types: HashMap::default(),
            fitted: Vec::new(),
            unit: None,
            lookup: HashMap::default(),
            clock,
            notices: Vec::new(),
            follows: Vec::new(),
            longest: 0,
        }
    }

    /// Checks that every name leads to an existing column, and rebuilds the fields that follow from the rest.
    fn fits_together(&mut self) -> Result<(), &'static str> {
        let Self { names, columns, nominal, categories, texts, .. } = self;
        let d = columns.len();
        if categories.len() != d || !(nominal.is_empty() || nominal.len() == d) {
            return Err("the columns of the index do not fit each other");
        }
        if !texts.fit(d) {
            return Err("the texts of the index do not fit its columns");
        }
        let known = |part: &Part| match part {
            Part::Column(i) | Part::Nominal(i) => *i < d,
            Part::Text { column, .. } => column.is_none_or(|i| (i as usize) < d),
            Part::Target | Part::Ignored | Part::New | Part::NewNominal => true,
        };
        if !names.iter().all(|(_, part)| known(part)) {
            return Err("a name in the index leads to no column");
        }
        self.derived = Names::of(&self.schema);
        if d < self.derived.columns.len() {
            return Err("the index lacks columns of the features in the settings");
        }
        self.find_paths();
        self.know_missing();
        self.clock = self.clock();
        // A feature that was the key, too, used to be kept as the key alone.
        for column in self.derived.columns.len()..d {
            let nominal = self.nominal.get(column).is_some_and(|nominal| *nominal);
            let name = self.columns[column].clone();
            let is_text = |i: &usize| matches!(self.names[*i].1, Part::Text { .. });
            if !self.place(&name).as_ref().is_some_and(is_text) {
                self.add_name(&name, Part::feature(column, nominal));
            }
        }
        self.mark();
        Ok(())
    }

    /// Returns true where both give columns and categories the same meaning.
    pub fn agrees(&self, other: &Self) -> bool {
        let categories = |it: &Self| it.categories.iter().map(|of| of.names().to_vec()).collect::<Vec<_>>();
        self.columns == other.columns && self.nominal == other.nominal && categories(self) == categories(other)
    }

    /// Creates the index of `schema` before the first record.
    pub fn new(schema: &Schema) -> Self {
        let mut index = Self::empty(schema.clone());
        index.find_paths();
        index.add_derived();
        for name in schema.features.iter().flatten().filter(|name| !naming::is_pattern(name)) {
            let nominal = schema.nominal.contains(name);
            index.add_column(name, nominal);
        }
        index.add_name(&schema.target, Part::Target);
        for name in schema.ignore.iter().filter(|name| !naming::is_pattern(name)) {
            index.add_name(name, Part::Ignored);
        }
        for name in schema.nominal.iter().filter(|name| !naming::is_pattern(name)) {
            if index.takes_name(name) && index.place(name).is_none() {
                index.add_name(name, Part::NewNominal);
            }
        }
        index.add_needed();
        let [key, time] = [(&schema.key, schema.key_is_feature), (&schema.timestamp, schema.timestamp_is_feature)];
        for (name, _) in [key, time] {
            let Some(name) = name.as_ref().filter(|name| index.place(name).is_none()) else { continue };
            // One field may be both.
            let is_feature = [key, time].iter().any(|(other, is_feature)| other.as_ref() == Some(name) && *is_feature);
            index.add_name(name, if is_feature && index.is_open() { Part::New } else { Part::Ignored });
        }
        index.mark();
        index
    }

    /// Returns `true` where columns mean the same under `schema`; limits may differ, and the settings by which times
    /// and values are read.
    pub fn fits(&self, schema: &Schema) -> bool {
        // What was found stays where it is to be found.
        let is_of_form = match (Form::set(schema), &self.form) {
            (None, Some(form)) => schema.envelope == Envelope::Auto || schema.envelope == form.envelope,
            (wanted, form) => wanted == *form,
        };
        let Schema { max_features, max_record_bytes, max_categories, max_rows, .. } = self.schema;
        let labels = Labels { mode: schema.labels.mode.clone(), ..self.schema.labels };
        let Schema { timestamp_unit, timestamp_min, timestamp_ahead, on_bad_field, numeric_text, .. } = self.schema;
        let other = Schema {
            // Models come and go, and their keys with them.
            model_keys: self.schema.model_keys.clone(),
            keys_budget: self.schema.keys_budget,
            labels,
            max_features,
            max_record_bytes,
            max_categories,
            max_rows,
            timestamp_unit,
            timestamp_min,
            timestamp_ahead,
            timezone: self.schema.timezone.clone(),
            missing: self.schema.missing.clone(),
            on_bad_field,
            numeric_text,
            envelope: self.schema.envelope,
            on_delete: self.schema.on_delete,
            ..schema.clone()
        };
        self.schema == other && is_of_form
    }

    /// Returns `true` where records are split into rows as `schema` says.
    pub fn explodes_like(&self, schema: &Schema) -> bool {
        self.schema.explode == schema.explode
    }

    /// Continues under `schema`, which [fits](Self::fits).
    pub(super) fn adopt(&mut self, schema: &Schema) {
        self.schema = schema.clone();
        self.derived = Names::of(schema);
        self.add_needed();
        self.know_missing();
        self.mark();
        self.clock = self.clock();
    }

    /// Returns what is read besides JSON.
    #[inline]
    pub(super) fn syntax(&self) -> Syntax {
        Syntax { bare_nan: self.bare_nan, wrappers: self.wrappers }
    }

    /// Returns `true` where `text` stands for a missing value. Space around it does not count.
    #[inline]
    pub(super) fn is_missing(&self, text: &str) -> bool {
        let text = text.trim_ascii();
        text.len() <= self.longest_missing && self.schema.is_missing(text)
    }

    /// Prepares what is asked of each value.
    fn know_missing(&mut self) {
        self.bare_nan = self.schema.takes_bare_nan();
        self.longest_missing = self.schema.longest_missing();
    }

    /// Returns the schema.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Takes the notices since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    #[inline]
    pub(super) fn absent_is_zero(&self) -> bool {
        self.schema.absent == Absent::Zero
    }

    /// Starts a row with the values of a record without fields.
    #[inline]
    pub(super) fn begin(&self, row: &mut Vec<f64>) {
        row.clear();
        match self.schema.absent {
            Absent::Unknown => row.resize(self.columns.len(), f64::NAN),
            Absent::Zero if self.nominal.is_empty() => row.resize(self.columns.len(), 0.0),
            Absent::Zero => row.extend(self.nominal.iter().map(|nominal| if *nominal { f64::NAN } else { 0.0 })),
        }
    }

    /// Returns `true` where features of the past need something of the records.
    #[inline]
    pub(super) fn draws(&self) -> bool {
        self.derived.keys.len() + self.derived.fields.len() > 0
    }

    /// Starts what they need with the values of a record without fields.
    pub(super) fn begin_to_draw(&self, drawn: &mut Drawn) {
        let absent = if self.absent_is_zero() { 0.0 } else { f64::NAN };
        drawn.fields.clear();
        drawn.fields.resize(self.derived.fields.len(), absent);
        drawn.keys.clear();
        drawn.keys.resize(self.derived.keys.len(), None);
    }

    /// Returns the number of columns that records do not hold, which are the first.
    pub(super) fn derived_columns(&self) -> usize {
        self.derived.columns.len()
    }

    /// Returns the names of the keys that rows have.
    pub(crate) fn row_keys(&self) -> &[String] {
        &self.derived.keys[..self.derived.of_rows]
    }

    /// Returns true where a record has a key by which models are kept apart.
    pub(super) fn keeps_models_apart(&self, drawn: &Drawn) -> bool {
        !self.schema.model_keys.is_empty() && drawn.keys[..self.derived.of_rows].iter().any(Option::is_some)
    }

    /// Returns the place among the texts that are drawn of the record's own key, where pasts or models are kept apart by it.
    pub(super) fn place_of_record_key(&self) -> Option<usize> {
        self.row_keys().iter().position(|name| name == RECORD_KEY)
    }

    /// Returns the place among the texts that are drawn of the one that a label shares with its sample, and of the one that marks a
    /// label.
    pub(super) fn join(&self) -> [Option<usize>; 2] {
        self.derived.join
    }

    /// Returns true where a past is that of the features in the schema.
    pub(crate) fn remembers(&self, past: &Past) -> bool {
        derived::plan(&self.schema).fits(past)
    }

    /// Returns what a field is needed for.
    #[inline]
    pub(super) fn use_of(&self, field: Field) -> Use {
        match usize::from(field.needed).checked_sub(1) {
            Some(place) => self.uses[place],
            None => Use::default(),
        }
    }

    /// Returns the feature names by column.
    pub fn column_names(&self) -> &[String] {
        &self.columns
    }

    /// Returns the columns with the names of their categories.
    pub fn named_columns(&self) -> Vec<NamedColumn> {
        let categories =
            |i: usize| self.nominal.get(i).is_some_and(|nominal| *nominal).then(|| self.categories[i].names().to_vec());
        self.columns.iter().enumerate().map(|(i, name)| NamedColumn::new(name, categories(i))).collect()
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Returns a number that grows whenever a name changes its meaning.
    pub(super) fn age(&self) -> usize {
        self.names.len() + self.columns.len() + self.turned
    }

    /// Returns a number that grows whenever a record leaves a trace by which a later one could be read otherwise.
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// Returns per column `true` where it is nominal; empty when none is.
    pub fn nominal(&self) -> &[bool] {
        &self.nominal
    }

    /// Returns `true` where names not seen yet become features.
    pub(super) fn is_open(&self) -> bool {
        self.schema.features.is_none()
    }

    /// Looks up the field of `name`. `cursor` is the place of the name before it in the record, plus one: records of a
    /// stream mostly have the same fields in the same order, so the name that followed last time is tried before
    /// hashing.
    #[inline]
    pub(super) fn field(&mut self, name: &str, cursor: &mut usize) -> Field {
        self.next_field(name.as_bytes(), cursor).unwrap_or_else(|| self.find(name, cursor))
    }

    /// Looks up the field of a name that may be no UTF-8; `None` where it is none.
    #[inline]
    pub(super) fn field_of(&mut self, name: &[u8], cursor: &mut usize) -> Option<Field> {
        if let Some(field) = self.next_field(name, cursor) {
            return Some(field);
        }
        std::str::from_utf8(name).ok().map(|name| self.find(name, cursor))
    }

    /// Returns the field of the name that came next last time, where it is this one.
    #[inline]
    fn next_field(&self, name: &[u8], cursor: &mut usize) -> Option<Field> {
        let next = *self.follows.get(*cursor)?;
        let known = self.paths.get(next)?;
        if !is_same(known.as_bytes(), name) {
            return None;
        }
        *cursor = next + 1;
        Some(self.fields[next])
    }

    fn find(&mut self, path: &str, cursor: &mut usize) -> Field {
        // A record of one long name with thousands of elements must not cost their product.
        let known = if path.len() > self.longest { None } else { self.lookup.get(path) };
        match known {
            Some(&found) => {
                if self.follows.len() <= *cursor {
                    self.follows.resize(self.names.len() + 1, usize::MAX);
                }
                if self.seen.len() <= found {
                    self.seen.resize(self.names.len(), false);
                }
                self.seen[found] = true;
                self.follows[*cursor] = found;
                *cursor = found + 1;
                self.fields[found]
            }
            None if self.is_simple => Field::NEW,
            None => self.unknown(path),
        }
    }

    /// Looks up the category of `text` in a nominal column.
    pub(super) fn category<'t>(&self, column: usize, text: &'t str) -> Category<'t> {
        self.categories[column].find(text, self.schema.max_categories)
    }

    /// Returns the columns that hold numbers as text.
    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }
}
