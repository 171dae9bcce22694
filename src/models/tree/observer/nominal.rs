//! Observes a nominal feature: the target's statistics for each category.
//!
//! Invariant: categories ascend, so that candidates and the arms of a split come in a fixed order.

use serde::{Deserialize, Serialize};

use crate::compact_vec::{bytes_of, insert};
use thalweg_metrics::statistics::Var;

use super::super::split::{Criterion, Parts};
use thalweg_metrics::checked;

/// A category with the target's statistics in it.
type Entry = (f64, Var);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Nominal {
    categories: Vec<Entry>,
}

checked!(Nominal { categories } then fits);

impl Nominal {
    fn fits(&self) -> Result<(), &'static str> {
        let sound =
            self.categories.iter().all(|(_, target)| target.n > 0.0) && self.categories.is_sorted_by(|a, b| a.0 < b.0);
        if sound { Ok(()) } else { Err("categories do not ascend, or some have seen nothing") }
    }
}

impl Nominal {
    pub(super) fn update(&mut self, category: f64, y: f64, weight: f64) {
        match self.categories.binary_search_by(|(known, _)| known.total_cmp(&category)) {
            Ok(at) => self.categories[at].1.update(y, weight),
            Err(at) => {
                let mut target = Var::default();
                target.update(y, weight);
                insert(&mut self.categories, at, (category, target));
            }
        }
    }

    /// Returns the best split: a branch per category (for three or more, unless `binary`), or one category against the
    /// rest; the first among equals.
    pub(super) fn best_split(&self, criterion: &Criterion, binary: bool) -> Option<(f64, Parts)> {
        let targets = || self.categories.iter().map(|(_, target)| target);
        let all = (!binary && self.categories.len() > 2).then(|| criterion.merit(targets()));
        let mut best = all.unwrap_or(f64::NEG_INFINITY);
        let mut one = None;
        for &(category, target) in &self.categories {
            let targets = [target, criterion.whole.without(target)];
            let merit = criterion.merit(&targets);
            if merit > best {
                best = merit;
                one = Some(Parts::Category { category, targets });
            }
        }
        let parts = one.or_else(|| all.map(|_| Parts::Categories(self.categories.clone())))?;
        Some((best, parts))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        bytes_of(&self.categories)
    }
}
