//! Describes what each step has learned, and names its output columns.
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
        /// Share of its weight that a value keeps per later value.
        forgetting: f64,
        /// The numeric columns.
        features: Vec<Standardised>,
    },
    /// See [`super::MinMaxScaler`].
    MinMaxScaler {
        /// The numeric columns that had a value.
        features: Vec<Range>,
    },
    /// See [`super::OneHot`].
    OneHot {
        /// The columns made of categories.
        columns: Vec<String>,
    },
    /// See [`super::TargetEncoder`].
    TargetEncoder {
        /// Weight of the overall mean in each category, in samples.
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
    /// Total weight of the values.
    pub n: f64,
    /// Mean, in the column's unit.
    pub mean: f64,
    /// Population standard deviation, in the column's unit; where it is 0, the step makes every value 0.
    pub deviation: f64,
}

/// A column's least and greatest value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The column.
    pub feature: String,
    /// Value that becomes 0.
    pub least: f64,
    /// Value that becomes 1.
    pub greatest: f64,
}

/// A nominal column's categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Encoded {
    /// The column.
    pub feature: String,
    /// The categories, by their index.
    pub categories: Vec<CategoryMean>,
}

/// The targets of a category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CategoryMean {
    /// Its name.
    pub category: String,
    /// Number of samples.
    pub n: f64,
    /// Mean of their targets, before smoothing.
    pub mean: f64,
}

impl Step {
    /// Describes what it has learned and turns `columns` into its output columns.
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
    /// Describes each step and returns the columns that come out of the last one.
    pub fn describe(&self, mut columns: Vec<NamedColumn>) -> (Vec<StepDescription>, Vec<NamedColumn>) {
        let steps = self.iter().map(|step| step.describe(&mut columns)).collect();
        (steps, columns)
    }
}
