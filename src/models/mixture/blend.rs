//! A mixture of named models: its columns are their predictions.
//!
//! Invariant: that of [`Aggregation`]; predictions are within the range that targets so far allow.

use serde::{Deserialize, Serialize};

use super::Mixture;
use crate::{
    Description, Features, NamedColumn, Refused, Regressor,
    aggregation::{Aggregation, Rule},
    compact_vec,
    describe::{self, Member},
    least_squares::TargetRange,
};
use thalweg_metrics::checked;

/// Makes one prediction of those of several models.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blend {
    /// Number of samples learned from.
    n: u64,
    range: TargetRange,
    aggregation: Aggregation,
    /// Each member's mean squared error over about the last 100 samples.
    errors: Vec<f64>,
}

checked!(Blend { n, range, aggregation, errors });

impl Blend {
    /// Returns a blend that has learned nothing.
    pub fn new(rule: Rule) -> Self {
        Self { n: 0, range: TargetRange::default(), aggregation: Aggregation::new(rule), errors: Vec::new() }
    }
}

impl Regressor for Blend {
    fn predict_one(&self, members: Features<'_>) -> f64 {
        self.range.clip(self.aggregation.predict(members.values()))
    }

    /// Refuses targets beyond 1e150.
    fn learn_one(&mut self, members: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        if !TargetRange::accepts(y) {
            return Err(Refused);
        }
        if weight == 0.0 {
            return Ok(());
        }
        self.aggregation.learn(members.values(), y);
        self.n += 1;
        compact_vec::lengthen(&mut self.errors, members.len(), 0.0);
        Mixture::update_errors(&mut self.errors, members.values(), y, self.n);
        self.range.learn(y);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.aggregation.heap_bytes() + size_of_val(self.errors.as_slice())
    }

    fn describe(&self, members: &[NamedColumn]) -> Description {
        let weights = self.aggregation.weights();
        let member = |(i, column): (usize, &NamedColumn)| Member {
            name: column.name.clone(),
            weight: weights.get(i).copied().unwrap_or(1.0 / members.len() as f64),
            recent_rmse: self.errors.get(i).map_or(0.0, |error| error.sqrt()),
        };
        let rule = self.aggregation.rule().name();
        Description::Mixture(describe::Mixture { rule, members: members.iter().enumerate().map(member).collect() })
    }
}
