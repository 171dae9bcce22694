//! Turns nominal features into numbers: the mean of the target in a category.

use serde::{Deserialize, Serialize};

use super::{CategoryMean, Encoded, Row, StepDescription};
use crate::{Features, NamedColumn, compact_vec::lengthen};
use thalweg_metrics::checked;

/// Target encoding (Micci-Barreca 2001, "A preprocessing scheme for high-cardinality categorical attributes"): a category
/// becomes the mean of its targets, drawn to the mean of all targets as if `smoothing` more samples had that one.
/// Numeric columns pass through; an unknown category stays unknown.
///
/// A sample is encoded before its own target counts, for learning as for predicting (ordered target statistics,
/// Prokhorenkova et al. 2018): else the model would learn to trust a number that holds the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetEncoder {
    smoothing: f64,
    all: Mean,
    /// Per column, the categories in ascending order.
    columns: Vec<Vec<(f64, Mean)>>,
}

checked!(TargetEncoder { smoothing, all, columns });

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    n: f64,
    mean: f64,
}

checked!(Mean { n, mean });

impl Mean {
    /// Adds `y`, unless the mean would not stay finite.
    fn update(&mut self, y: f64) {
        let n = self.n + 1.0;
        let mean = self.mean + (y - self.mean) / n;
        if mean.is_finite() {
            *self = Self { n, mean };
        }
    }
}

impl TargetEncoder {
    /// Makes an encoder that has learned nothing; `smoothing` ≥ 0, in samples.
    pub fn new(smoothing: f64) -> Self {
        Self { smoothing, all: Mean::default(), columns: Vec::new() }
    }

    /// Counts the target `y` for the categories of `x`.
    pub fn learn_one(&mut self, x: Features<'_>, y: f64) {
        self.all.update(y);
        lengthen(&mut self.columns, x.len(), Vec::new());
        for (i, categories) in self.columns.iter_mut().enumerate().filter(|(i, _)| x.is_nominal(*i)) {
            let Some(category) = x.get(i) else { continue };
            let at = match categories.binary_search_by(|(known, _)| known.total_cmp(&category)) {
                Ok(at) => at,
                Err(at) => {
                    categories.reserve_exact(1);
                    categories.insert(at, (category, Mean::default()));
                    at
                }
            };
            categories[at].1.update(y);
        }
    }

    pub(super) fn describe(&self, columns: &mut [NamedColumn]) -> StepDescription {
        let mut features = Vec::new();
        for (i, named) in columns.iter_mut().enumerate().filter(|(_, named)| named.is_nominal()) {
            let categories = self.columns.get(i).into_iter().flatten();
            let category =
                |&(index, Mean { n, mean }): &(f64, Mean)| CategoryMean { category: named.category(index), n, mean };
            features.push(Encoded { feature: named.name.clone(), categories: categories.map(category).collect() });
            *named = NamedColumn::derived(std::mem::take(&mut named.name));
        }
        StepDescription::TargetEncoder { smoothing: self.smoothing, mean: self.all.mean, features }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let categories = self.columns.iter().map(|categories| size_of_val(categories.as_slice())).sum::<usize>();
        size_of_val(self.columns.as_slice()) + categories
    }

    /// Writes the encoded row into `out`.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Row) {
        out.nominal.clear();
        out.values.clear();
        out.values.extend(x.values().iter().enumerate().map(|(i, &value)| {
            if value.is_nan() || !x.is_nominal(i) {
                return value;
            }
            let known = self.columns.get(i).and_then(|categories| {
                let at = categories.binary_search_by(|(known, _)| known.total_cmp(&value)).ok()?;
                Some(categories[at].1)
            });
            let Mean { n, mean } = known.unwrap_or_default();
            let weight = n + self.smoothing;
            // Written as a step from the mean of all, so that nothing overflows.
            if weight > 0.0 { self.all.mean + (n / weight) * (mean - self.all.mean) } else { self.all.mean }
        }));
    }
}
