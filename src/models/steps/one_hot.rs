//! Turns nominal features into numbers: a column per category.

use serde::{Deserialize, Serialize};

use super::{Row, StepDescription};
use crate::{Features, NamedColumn, compact_vec::push, describe};
use thalweg_metrics::checked;

/// One-hot encoding: a nominal column becomes a numeric column per category, 1 in the sample's own and 0 in the others.
/// Numeric columns pass through. Where the nominal feature is unknown, so are all its columns; a category that was never
/// learned is 0 in all of them.
///
/// Columns are laid out in order of first appearance, so that a new category or feature only ever appends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OneHot {
    sources: Vec<Source>,
    /// Number of input columns that have been laid out.
    columns: usize,
}

checked!(OneHot { sources, columns });

checked!(Source { column, category });

/// The origin of an output column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    column: usize,
    /// Category of the column; `None` for a numeric column.
    category: Option<f64>,
}

impl OneHot {
    /// Lays out the columns and categories of `x` that are new.
    pub fn learn_one(&mut self, x: Features<'_>) {
        for column in self.columns..x.len() {
            if !x.is_nominal(column) {
                push(&mut self.sources, Source { column, category: None });
            }
        }
        self.columns = self.columns.max(x.len());
        if x.all_known_numeric() {
            return;
        }
        for column in (0..x.len()).filter(|i| x.is_nominal(*i)) {
            let Some(category) = x.get(column) else { continue };
            let source = Source { column, category: Some(category) };
            if !self.sources.contains(&source) {
                push(&mut self.sources, source);
            }
        }
    }

    pub(super) fn describe(&self, columns: &mut Vec<NamedColumn>) -> StepDescription {
        let source = |source: &Source| {
            let column = describe::column(columns, source.column);
            match source.category {
                None => column,
                Some(category) => NamedColumn::derived(format!("{}={}", column.name, column.category(category))),
            }
        };
        let made: Vec<NamedColumn> = self.sources.iter().map(source).collect();
        *columns = made;
        let categories = columns.iter().zip(&self.sources).filter(|(_, source)| source.category.is_some());
        StepDescription::OneHot { columns: categories.map(|(column, _)| column.name.clone()).collect() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.sources.as_slice())
    }

    /// Writes the encoded row into `out`.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Row) {
        out.values.clear();
        out.nominal.clear();
        out.values.extend(self.sources.iter().map(|source| match (x.get(source.column), source.category) {
            (None, _) => f64::NAN,
            (Some(value), None) => value,
            (Some(value), Some(category)) => f64::from(u8::from(value == category)),
        }));
    }
}
