//! What accepted records add to an index: columns, categories, and what their texts say about their fields.

use super::{
    super::{
        Notice, Rejection,
        categories::{self, Categories, Category},
        derived::RECORD_KEY,
        numeric_text::Turn,
        role::{Field, Part},
    },
    Index, NewColumn,
};
use thalweg_features::Column;

impl Index {
    /// Checks that so many more columns are allowed.
    pub(in crate::decode) fn check_room(&self, more: usize) -> Result<(), Rejection> {
        let limit = self.schema.max_features;
        if self.columns.len() + more > limit { Err(Rejection::TooManyFeatures { limit }) } else { Ok(()) }
    }

    /// Adds the new columns and categories of an accepted record, and puts their values into `row`.
    #[inline]
    pub(in crate::decode) fn extend(
        &mut self,
        new: &mut Vec<NewColumn>,
        new_categories: &mut Vec<(usize, String)>,
        row: &mut Vec<f64>,
    ) -> Result<(), Rejection> {
        self.check_room(new.len())?;
        if new.len() + new_categories.len() > 0 {
            self.extend_by(new, new_categories, row);
        }
        Ok(())
    }

    #[cold]
    fn extend_by(&mut self, new: &mut Vec<NewColumn>, new_categories: &mut Vec<(usize, String)>, row: &mut Vec<f64>) {
        for (column, text) in new_categories.drain(..) {
            self.changes += 1;
            row[column] = self.add_category(column, text);
        }
        for NewColumn { name, value, category, spelled } in new.drain(..) {
            self.changes += 1;
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
    }

    /// Learns from the texts of an accepted record about their fields.
    pub(in crate::decode) fn learn_texts(&mut self, turns: &mut Vec<Turn>, words: &mut Vec<String>) {
        self.changes += 1;
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
            if self.place(&name).is_none() {
                let slot = self.texts.add_words();
                self.add_name(&name, Part::Text { slot, column: None });
            }
        }
    }

    fn turn(&mut self, name: &str, part: Part) {
        self.add_name(name, part);
        self.turned += 1;
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

    pub(super) fn add_column(&mut self, name: &str, nominal: bool) -> usize {
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

    /// Adds the columns of features that records do not hold. A field of the same name is no feature.
    pub(super) fn add_derived(&mut self) {
        for Column { name, categories } in self.derived.columns.clone() {
            let column = self.add_column(&name, categories.is_some());
            self.add_name(&name, Part::Ignored);
            for category in categories.into_iter().flatten() {
                self.categories[column].add(category);
            }
        }
    }

    /// Adds the fields that features of the past need: those that pasts are kept apart by are features only where they are listed.
    pub(super) fn add_needed(&mut self) {
        for name in self.derived.keys.clone().into_iter().filter(|name| name != RECORD_KEY) {
            if self.place(&name).is_none() {
                self.add_name(&name, Part::Ignored);
            }
        }
        for name in self.derived.fields.clone() {
            if self.place(&name).is_none() {
                let is_feature = self.takes_name(&name) && !self.is_ignored(&name);
                self.add_name(&name, if is_feature { Part::New } else { Part::Ignored });
            }
        }
    }

    pub(super) fn add_name(&mut self, name: &str, part: Part) {
        match self.place(name) {
            Some(i) => {
                self.names[i].1 = part;
                if let Some(field) = self.fields.get_mut(i) {
                    field.part = part;
                }
            }
            None => {
                let path = self.path(name).into_owned();
                self.longest = self.longest.max(path.len());
                self.lookup.insert(path.clone(), self.names.len());
                self.paths.push(path);
                self.names.push((name.to_owned(), part));
                self.fields.push(Field { part, cast: self.cast_of(name), ..Field::NEW }.marked());
            }
        }
    }
}
