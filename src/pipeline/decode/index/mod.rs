//! Meaning of each field name of a stream, with its columns and categories.
//!
//! Invariant: columns are numbered in order of first appearance and never renumbered; the number of names, columns and
//! categories is bounded, whatever a stream sends.

mod names;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Absent, Notice, Rejection, Schema, Unit,
    categories::{self, Categories, Category},
    numeric_text::{Texts, Turn},
    role::{Field, Part},
    time::{Clock, Moment},
};
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
    /// Number of names that have changed their meaning.
    #[serde(skip)]
    turned: usize,
    /// Per name, true once a record since the start had it.
    #[serde(skip)]
    seen: Vec<bool>,
    /// Per name, its field.
    #[serde(skip)]
    fields: Vec<Field>,
    #[serde(skip)]
    lookup: HashMap<String, usize>,
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
}

checked!(Index {
    schema,
    names,
    columns,
    nominal,
    categories,
    unit,
    texts,
    turned: skipped,
    seen: skipped,
    fields: skipped,
    lookup: skipped,
    clock: skipped,
    notices: skipped,
    follows: skipped,
    longest: skipped,
    bare_nan: skipped,
} then fits_together);

impl Index {
    fn empty(schema: Schema) -> Self {
        let clock = Clock { zone: schema.zone(), unit: schema.timestamp_unit };
        Self {
            bare_nan: schema.takes_bare_nan(),
            schema,
            names: Vec::new(),
            columns: Vec::new(),
            nominal: Vec::new(),
            categories: Vec::new(),
            texts: Texts::default(),
            turned: 0,
            seen: Vec::new(),
            fields: Vec::new(),
            unit: None,
            lookup: HashMap::new(),
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
        self.longest = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        self.lookup = names.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        self.bare_nan = self.schema.takes_bare_nan();
        self.clock = self.clock();
        // A feature that was the key, too, used to be kept as the key alone.
        for column in 0..d {
            let nominal = self.nominal.get(column).is_some_and(|nominal| *nominal);
            let name = self.columns[column].clone();
            let is_text = |i: &usize| matches!(self.names[*i].1, Part::Text { .. });
            if !self.lookup.get(&name).is_some_and(is_text) {
                self.add_name(&name, Part::feature(column, nominal));
            }
        }
        self.mark();
        Ok(())
    }

    /// Creates the index of `schema` before the first record.
    pub fn new(schema: &Schema) -> Self {
        let mut index = Self::empty(schema.clone());
        for name in schema.features.iter().flatten() {
            let nominal = schema.nominal.contains(name);
            index.add_column(name, nominal);
        }
        index.add_name(&schema.target, Part::Target);
        for name in &schema.ignore {
            index.add_name(name, Part::Ignored);
        }
        if index.is_open() {
            for name in &schema.nominal {
                index.add_name(name, Part::NewNominal);
            }
        }
        let [key, time] = [(&schema.key, schema.key_is_feature), (&schema.timestamp, schema.timestamp_is_feature)];
        for (name, _) in [key, time] {
            let Some(name) = name.as_ref().filter(|name| !index.lookup.contains_key(*name)) else { continue };
            // One field may be both.
            let is_feature = [key, time].iter().any(|(other, is_feature)| other.as_ref() == Some(name) && *is_feature);
            index.add_name(name, if is_feature && index.is_open() { Part::New } else { Part::Ignored });
        }
        index.mark();
        index
    }

    /// Gives each name its roles besides its part, from the schema.
    fn mark(&mut self) {
        let schema = &self.schema;
        let listed = schema.features.iter().flatten().chain(&schema.nominal);
        let named = [Some(&schema.target), schema.key.as_ref(), schema.timestamp.as_ref()].into_iter().flatten();
        let wanted: Vec<String> = listed.chain(named).cloned().collect();
        // Adds the names between an ignored field and a wanted one within it.
        for name in self.schema.ignore.clone() {
            let inner = |wanted: &&String| wanted.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'));
            for inner in wanted.iter().filter(inner) {
                let dots = inner.match_indices('.').map(|(at, _)| at).filter(|at| *at >= name.len());
                for between in dots.map(|at| &inner[..at]) {
                    if !self.lookup.contains_key(between) {
                        self.add_name(between, Part::Ignored);
                    }
                }
            }
        }
        self.fields.clear();
        for (name, part) in &self.names {
            let is = |field: &Option<String>| field.as_ref() == Some(name);
            let holds = |wanted: &String| wanted.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            self.fields.push(Field {
                part: *part,
                key: is(&self.schema.key),
                timestamp: is(&self.schema.timestamp),
                inner: *part == Part::Ignored && wanted.iter().any(holds),
            });
        }
    }

    /// Returns `true` where columns mean the same under `schema`; limits may differ, and the settings by which times
    /// and values are read.
    pub fn fits(&self, schema: &Schema) -> bool {
        let Schema { max_features, max_record_bytes, max_categories, .. } = self.schema;
        let Schema { timestamp_unit, timestamp_min, timestamp_ahead, on_bad_field, numeric_text, .. } = self.schema;
        let other = Schema {
            max_features,
            max_record_bytes,
            max_categories,
            timestamp_unit,
            timestamp_min,
            timestamp_ahead,
            timezone: self.schema.timezone.clone(),
            missing: self.schema.missing.clone(),
            on_bad_field,
            numeric_text,
            ..schema.clone()
        };
        self.schema == other
    }

    /// Continues under `schema`, which [fits](Self::fits).
    pub(super) fn adopt(&mut self, schema: &Schema) {
        self.bare_nan = schema.takes_bare_nan();
        self.schema = schema.clone();
        self.clock = self.clock();
    }

    /// True where `NaN` without quotes stands for a missing value.
    #[inline]
    pub(super) fn takes_bare_nan(&self) -> bool {
        self.bare_nan
    }

    /// Returns the schema.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    fn clock(&self) -> Clock {
        Clock { zone: self.schema.zone(), unit: self.schema.timestamp_unit.or(self.unit) }
    }

    /// Returns the moment of a number, and the unit where this number decides it.
    #[inline]
    pub(super) fn time(&self, number: f64) -> Option<(Moment, Option<Unit>)> {
        self.clock.number(number)
    }

    /// Returns the moment of a text, and the unit where this text decides it.
    pub(super) fn time_of_text(&self, text: &str) -> Option<(Moment, Option<Unit>)> {
        self.clock.text(text)
    }

    /// Fixes `unit` as the unit of times; `time` was the first.
    pub(super) fn decide(&mut self, unit: Unit, time: Moment) {
        (self.unit, self.clock.unit) = (Some(unit), Some(unit));
        if let Some(field) = self.schema.timestamp.clone() {
            self.notices.push(Notice::TimestampUnit {
                field,
                unit,
                number: time.in_unit(unit),
                time: time.milliseconds(),
            });
        }
    }

    /// Takes the notices since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Returns the name of the field of the time; empty where there is none.
    pub(super) fn timestamp(&self) -> &str {
        self.schema.timestamp.as_deref().unwrap_or_default()
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
        if let Some(&next) = self.follows.get(*cursor)
            && let Some((known, _)) = self.names.get(next)
            && known == name
        {
            *cursor = next + 1;
            return self.fields[next];
        }
        // A record of one long name with thousands of elements must not cost their product.
        let known = if name.len() > self.longest { None } else { self.lookup.get(name) };
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
            None => Field::NEW,
        }
    }

    /// Looks up the category of `text` in a nominal column.
    pub(super) fn category<'t>(&self, column: usize, text: &'t str) -> Category<'t> {
        self.categories[column].find(text, self.schema.max_categories)
    }

    /// Checks that so many more columns are allowed.
    pub(super) fn check_room(&self, more: usize) -> Result<(), Rejection> {
        let limit = self.schema.max_features;
        if self.columns.len() + more > limit { Err(Rejection::TooManyFeatures { limit }) } else { Ok(()) }
    }

    /// Adds the new columns and categories of an accepted record, and puts their values into `row`.
    pub(super) fn extend(
        &mut self,
        new: &mut Vec<NewColumn>,
        new_categories: &mut Vec<(usize, String)>,
        row: &mut Vec<f64>,
    ) -> Result<(), Rejection> {
        self.check_room(new.len())?;
        for (column, text) in new_categories.drain(..) {
            row[column] = self.add_category(column, text);
        }
        for NewColumn { name, value, category, spelled } in new.drain(..) {
            let column = self.add_column(&name, category.is_some());
            if spelled {
                self.texts.begin(column);
            }
            row.push(match category {
                Some(text) => match self.category(column, &text) {
                    Category::New(name) => self.add_category(column, name.into_owned()),
                    Category::Known(number) => f64::from(number),
                },
                None => value,
            });
        }
        Ok(())
    }

    /// Learns from the texts of an accepted record about their fields.
    pub(super) fn learn_texts(&mut self, turns: &mut Vec<Turn>, words: &mut Vec<String>) {
        for turn in turns.drain(..) {
            match turn {
                Turn::Numeric(column) => {
                    if self.texts.count(column) {
                        self.notices.push(Notice::NumericText { field: self.columns[column].clone() });
                    }
                }
                Turn::Words(column) if self.texts.is_on_probation(column) => {
                    let field = self.columns[column].clone();
                    self.texts.end(column);
                    let slot = self.texts.add_words();
                    // Columns are at most schema.max_features, which fits.
                    self.turn(&field, Part::Text { slot, column: Some(column as u32) });
                    self.notices.push(Notice::Words { field });
                }
                Turn::Words(_) => {}
                Turn::Number(column) => {
                    let field = self.columns[column].clone();
                    self.turn(&field, Part::Column(column));
                }
            }
        }
        for name in words.drain(..) {
            if !self.lookup.contains_key(&name) {
                let slot = self.texts.add_words();
                self.add_name(&name, Part::Text { slot, column: None });
            }
        }
    }

    fn turn(&mut self, name: &str, part: Part) {
        self.add_name(name, part);
        self.turned += 1;
    }

    /// Returns the columns that hold numbers as text.
    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    fn add_category(&mut self, column: usize, name: String) -> f64 {
        let (field, known) = (&self.columns[column], &mut self.categories[column]);
        if categories::is_shared(&name) && !known.are_shared() {
            let limit = self.schema.max_categories;
            self.notices.push(Notice::CategoriesShared { field: field.clone(), limit });
        }
        if categories::is_cut(&name) && !known.are_cut() {
            self.notices.push(Notice::CategoryCut { field: field.clone() });
        }
        f64::from(known.add(name))
    }

    fn add_column(&mut self, name: &str, nominal: bool) -> usize {
        let column = self.columns.len();
        self.columns.push(name.to_owned());
        self.categories.push(Categories::default());
        if nominal || !self.nominal.is_empty() {
            self.nominal.resize(column, false);
            self.nominal.push(nominal);
        }
        self.add_name(name, Part::feature(column, nominal));
        column
    }

    fn add_name(&mut self, name: &str, part: Part) {
        match self.lookup.get(name) {
            Some(&i) => {
                self.names[i].1 = part;
                if let Some(field) = self.fields.get_mut(i) {
                    field.part = part;
                }
            }
            None => {
                self.lookup.insert(name.to_owned(), self.names.len());
                self.names.push((name.to_owned(), part));
                self.fields.push(Field { part, ..Field::NEW });
                self.longest = self.longest.max(name.len());
            }
        }
    }
}
