//! What a step has learned, and what its output columns are called.
//!
//! Invariant: the names come out in the order in which the step lays out its columns.

use serde::Serialize;

use crate::NamedColumn;

use super::{Step, Steps};

/// A step's statistics, by the names of the columns that it sees.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepDescription {
    /// See [`super::StandardScaler`].
    StandardScaler {
        /// Share of its weight that a value keeps.
        forgetting: f64,
        /// The numeric columns.
        features: Vec<Standardised>,
    },
    /// See [`super::MinMaxScaler`].
    MinMaxScaler {
        /// The numeric columns of which a value came.
        features: Vec<Range>,
    },
    /// See [`super::OneHot`].
    OneHot {
        /// The columns made of categories.
        columns: Vec<String>,
    },
    /// See [`super::TargetEncoder`].
    TargetEncoder {
        /// Samples' worth of the overall mean in each category.
        smoothing: f64,
        /// Mean of all targets.
        mean: f64,
        /// The categories of each nominal column.
        features: Vec<Encoded>,
    },
    /// See [`super::Polynomial`].
    Polynomial {
        /// The products it adds.
        columns: Vec<String>,
    },
}

/// A column's mean and deviation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standardised {
    /// The column.
    pub feature: String,
    /// Weight of the values.
    pub n: f64,
    /// In the column's unit.
    pub mean: f64,
    /// Population deviation, in the column's unit; where it is 0, so is every value after the step.
    pub deviation: f64,
}

/// A column's least and greatest value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The column.
    pub feature: String,
    /// What becomes 0.
    pub least: f64,
    /// What becomes 1.
    pub greatest: f64,
}

/// A nominal column's categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Encoded {
    /// The column.
    pub feature: String,
    /// By the category's index.
    pub categories: Vec<CategoryMean>,
}

/// The targets of a category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CategoryMean {
    /// Its name.
    pub category: String,
    /// Samples.
    pub n: f64,
    /// Mean of their targets, before smoothing.
    pub mean: f64,
}

impl Step {
    /// What it has learned; `columns` become those that it makes of them.
    fn describe(&self, columns: &mut Vec<NamedColumn>) -> StepDescription {
        match self {
            Step::StandardScaler(scaler) => scaler.describe(columns),
            Step::MinMaxScaler(scaler) => scaler.describe(columns),
            Step::OneHot(encoder) => encoder.describe(columns),
            Step::TargetEncoder(encoder) => encoder.describe(columns),
            Step::Polynomial(polynomial) => polynomial.describe(columns),
        }
    }
}

impl Steps {
    /// What each step has learned, and the columns that come out of the last one.
    pub fn describe(&self, mut columns: Vec<NamedColumn>) -> (Vec<StepDescription>, Vec<NamedColumn>) {
        let steps = self.iter().map(|step| step.describe(&mut columns)).collect();
        (steps, columns)
    }
}
