//! Standardises features as they come.

use serde::{Deserialize, Serialize};

use super::{Standardised, StepDescription};
use crate::{
    metrics::saved,
    models::{Features, NamedColumn, room::lengthen},
};

/// Brings each numeric feature to mean 0 and (population) variance 1 by its running statistics (Welford 1962). Nominal
/// columns pass through. A feature that never varied, or was never learned, becomes 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    #[serde(deserialize_with = "saved::finite")]
    forgetting: f64,
    columns: Vec<Column>,
}

impl Default for StandardScaler {
    /// Forgets nothing.
    fn default() -> Self {
        Self::new(1.0)
    }
}

/// The running statistics of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Weight of what the statistics hold: without forgetting, the number of values.
    #[serde(deserialize_with = "saved::finite")]
    n: f64,
    #[serde(deserialize_with = "saved::finite")]
    mean: f64,
    #[serde(deserialize_with = "saved::finite")]
    variance: f64,
    /// √ `variance`, kept because predicting needs it for every sample and learning changes it.
    #[serde(deserialize_with = "saved::finite")]
    deviation: f64,
}

impl StandardScaler {
    /// A scaler that has learned nothing. `forgetting` is the share of its weight that a value keeps from each to the
    /// next, 0 < `forgetting` ≤ 1: 1 forgets nothing, 0.999 looks back about 1,000 values.
    pub fn new(forgetting: f64) -> Self {
        Self { forgetting, columns: Vec::new() }
    }

    /// The statistics of each column seen so far.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Takes the known features of `x` into the statistics. A value that would make them infinite is passed over.
    pub fn learn_one(&mut self, x: Features<'_>) {
        lengthen(&mut self.columns, x.len(), Column::default());
        for (i, (column, &value)) in self.columns.iter_mut().zip(x.values()).enumerate() {
            if value.is_nan() || x.is_nominal(i) {
                continue;
            }
            let n = self.forgetting * column.n + 1.0;
            let mean = column.mean + (value - column.mean) / n;
            let variance = column.variance + ((value - column.mean) * (value - mean) - column.variance) / n;
            if variance.is_finite() && mean.is_finite() {
                *column = Column { n, mean, variance, deviation: variance.sqrt() };
            }
        }
    }

    pub(super) fn describe(&self, columns: &mut [NamedColumn]) -> StepDescription {
        let mut features = Vec::new();
        for (i, named) in columns.iter_mut().enumerate().filter(|(_, named)| !named.is_nominal()) {
            let Column { n, mean, deviation, .. } = self.columns.get(i).copied().unwrap_or_default();
            features.push(Standardised { feature: named.name.clone(), n, mean, deviation });
            named.rescale(mean, deviation);
        }
        StepDescription::StandardScaler { forgetting: self.forgetting, features }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.columns.as_slice())
    }

    /// Writes the standardised features into `out`, as many as `x` has; unknown ones stay NaN.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Vec<f64>) {
        out.clear();
        let known = self.columns.iter().zip(x.values());
        out.extend(known.map(|(column, &value)| column.transform(value)));
        // Columns never learned.
        out.extend(x.values().iter().skip(self.columns.len()).map(|value| if value.is_nan() { f64::NAN } else { 0.0 }));
        if !x.is_plain() {
            for (i, (out, &value)) in out.iter_mut().zip(x.values()).enumerate() {
                if x.is_nominal(i) {
                    *out = value;
                }
            }
        }
    }
}

impl Column {
    /// Mean, in the feature's unit.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Population variance.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    #[inline]
    fn transform(&self, value: f64) -> f64 {
        // NaN stays NaN in the first arm, and unknown is unknown in the second.
        if self.deviation > 0.0 {
            (value - self.mean) / self.deviation
        } else if value.is_nan() {
            f64::NAN
        } else {
            0.0
        }
    }
}
