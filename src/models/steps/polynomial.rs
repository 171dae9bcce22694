//! Adds products of features, for models that are linear in their columns.

use serde::{Deserialize, Serialize};

use super::{Row, StepDescription};
use crate::{Features, NamedColumn};
use thalweg_metrics::checked;

/// Products are clipped at this size, so that a square stays finite.
const MAX_PRODUCT: f64 = 1e150;

/// Polynomial features of degree 2: each numeric feature is followed by its products with those before it and, unless
/// `interaction_only`, its square. Nominal columns pass through. A product with an unknown factor is unknown.
///
/// The output of a column depends on no later one, so that a new feature only ever appends. Columns past `max_columns`
/// pass through without products: `max_columns` = 64 makes at most 2,080 products.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Polynomial {
    interaction_only: bool,
    max_columns: usize,
}

/// Maximum of `max_columns`: the products of more would fill the memory.
const MAX_COLUMNS: usize = 1000;

/// Refuses a number of columns that cannot take part in products.
pub(super) fn check_columns(columns: usize) -> Result<(), &'static str> {
    let possible = (1..=MAX_COLUMNS).contains(&columns);
    if possible { Ok(()) } else { Err("an impossible number of columns takes part in products") }
}

checked!(Polynomial { interaction_only, max_columns } then fits);

impl Polynomial {
    fn fits(&self) -> Result<(), &'static str> {
        check_columns(self.max_columns)
    }

    /// Makes the step; `max_columns` is from 1 to 1,000.
    pub fn new(interaction_only: bool, max_columns: usize) -> Self {
        Self { interaction_only, max_columns }
    }

    pub(super) fn describe(&self, columns: &mut Vec<NamedColumn>) -> StepDescription {
        let before = std::mem::take(columns);
        let mut products = Vec::new();
        for (i, column) in before.iter().enumerate() {
            columns.push(column.clone());
            if column.is_nominal() || i >= self.max_columns {
                continue;
            }
            let first = products.len();
            let factors = before[..i].iter().filter(|factor| !factor.is_nominal());
            products.extend(factors.map(|factor| format!("{}*{}", factor.name, column.name)));
            if !self.interaction_only {
                products.push(format!("{}^2", column.name));
            }
            columns.extend(products[first..].iter().cloned().map(NamedColumn::derived));
        }
        StepDescription::Polynomial { columns: products }
    }

    /// Writes the features and their products into `out`.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Row) {
        out.values.clear();
        out.nominal.clear();
        let mark_nominal = !x.all_known_numeric();
        for (i, &value) in x.values().iter().enumerate() {
            out.values.push(value);
            if mark_nominal {
                out.nominal.resize(out.values.len() - 1, false);
                out.nominal.push(x.is_nominal(i));
            }
            if x.is_nominal(i) || i >= self.max_columns {
                continue;
            }
            let factors = x.values()[..i].iter().enumerate().filter(|(j, _)| !mark_nominal || !x.is_nominal(*j));
            out.values.extend(factors.map(|(_, other)| bounded(value * other)));
            if !self.interaction_only {
                out.values.push(bounded(value * value));
            }
        }
    }
}

/// Clips a product; NaN, for unknown, stays NaN.
fn bounded(product: f64) -> f64 {
    product.clamp(-MAX_PRODUCT, MAX_PRODUCT)
}
