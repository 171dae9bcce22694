//! Feature steps: they stand between a sample and a model.
//!
//! Reading order: [`StepKind`] (the closed set, as configured), [`Step`] (with what it has learned), [`Steps`] (several,
//! one after the other), then a file per step.
//!
//! Invariant: known values stay finite, unknown ones stay unknown, and an output column never changes its meaning: new
//! features and categories only append. Predicting transforms with the statistics as they are.

mod describe;
mod min_max_scaler;
mod one_hot;
mod polynomial;
mod standard_scaler;
mod target_encoder;

use serde::{Deserialize, Serialize};

pub use describe::{CategoryMean, Encoded, Range, Standardised, StepDescription};
pub use min_max_scaler::MinMaxScaler;
pub use one_hot::OneHot;
pub use polynomial::Polynomial;
pub use standard_scaler::{Column, StandardScaler};
pub use target_encoder::TargetEncoder;

use super::Features;
use thalweg_metrics::checked;

/// One entry of `steps`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    /// See [`StandardScaler`].
    StandardScaler {
        /// Share of its weight that a value keeps per later value, over 0 and at most 1; default 1.
        forgetting: f64,
        /// True if features that are nearly always 0 are divided by their size and not centred; default false.
        #[serde(default)]
        keep_zeros: bool,
    },
    /// See [`MinMaxScaler`].
    MinMaxScaler,
    /// See [`OneHot`].
    OneHot,
    /// See [`TargetEncoder`].
    TargetEncoder {
        /// Weight of the overall mean in each category, in samples, ≥ 0; default 10.
        smoothing: f64,
    },
    /// See [`Polynomial`].
    Polynomial {
        /// Leaves out the squares; default false.
        interaction_only: bool,
        /// Maximum number of columns that take part in products, ≥ 1; default 64.
        max_columns: usize,
    },
}

checked!(enum StepKind {
    StandardScaler { forgetting, keep_zeros },
    MinMaxScaler,
    OneHot,
    TargetEncoder { smoothing },
    Polynomial { interaction_only, max_columns },
} then fits);

impl StepKind {
    fn fits(&self) -> Result<(), &'static str> {
        match self {
            Self::Polynomial { max_columns, .. } => polynomial::check_columns(*max_columns),
            Self::StandardScaler { .. } | Self::MinMaxScaler | Self::OneHot | Self::TargetEncoder { .. } => Ok(()),
        }
    }
}

impl StepKind {
    /// The step that `scale = true` is short for.
    pub const SCALE: Self = StepKind::StandardScaler { forgetting: 1.0, keep_zeros: false };

    /// Encodes a category as the mean target of its samples: least squares can use that, and not a category.
    pub const ENCODE: Self = StepKind::TargetEncoder { smoothing: 10.0 };

    /// As [`StepKind::SCALE`], for models whose step size depends on the size of values.
    pub const SCALE_KEEPING_ZEROS: Self = StepKind::StandardScaler { forgetting: 1.0, keep_zeros: true };
}

/// A step with what it has learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// See [`StandardScaler`].
    StandardScaler(StandardScaler),
    /// See [`MinMaxScaler`].
    MinMaxScaler(MinMaxScaler),
    /// See [`OneHot`].
    OneHot(OneHot),
    /// See [`TargetEncoder`].
    TargetEncoder(TargetEncoder),
    /// See [`Polynomial`].
    Polynomial(Polynomial),
}

checked!(
    enum Step {
        StandardScaler(step),
        MinMaxScaler(step),
        OneHot(step),
        TargetEncoder(step),
        Polynomial(step),
    }
);

/// A transformed row: an empty `nominal` means that all columns are numeric.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub(super) values: Vec<f64>,
    pub(super) nominal: Vec<bool>,
}

impl Step {
    fn new(kind: StepKind) -> Self {
        match kind {
            StepKind::StandardScaler { forgetting, keep_zeros } => {
                Step::StandardScaler(StandardScaler::new(forgetting, keep_zeros))
            }
            StepKind::MinMaxScaler => Step::MinMaxScaler(MinMaxScaler::default()),
            StepKind::OneHot => Step::OneHot(OneHot::default()),
            StepKind::TargetEncoder { smoothing } => Step::TargetEncoder(TargetEncoder::new(smoothing)),
            StepKind::Polynomial { interaction_only, max_columns } => {
                Step::Polynomial(Polynomial::new(interaction_only, max_columns))
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Step::StandardScaler(scaler) => scaler.heap_bytes(),
            Step::MinMaxScaler(scaler) => scaler.heap_bytes(),
            Step::OneHot(encoder) => encoder.heap_bytes(),
            Step::TargetEncoder(encoder) => encoder.heap_bytes(),
            Step::Polynomial(_) => 0,
        }
    }

    /// Transforms `x` into `row`.
    fn transform_one<'a>(&self, x: Features<'a>, row: &'a mut Row) -> Features<'a> {
        match self {
            Step::StandardScaler(scaler) => {
                scaler.transform_one(x, &mut row.values);
                x.replaced(&row.values)
            }
            Step::MinMaxScaler(scaler) => {
                scaler.transform_one(x, &mut row.values);
                x.replaced(&row.values)
            }
            Step::OneHot(encoder) => {
                encoder.transform_one(x, row);
                Features::new(&row.values)
            }
            // A row of known numbers is not copied.
            Step::TargetEncoder(_) if x.all_known_numeric() => x,
            Step::TargetEncoder(encoder) => {
                encoder.transform_one(x, row);
                Features::new(&row.values)
            }
            Step::Polynomial(polynomial) => {
                polynomial.transform_one(x, row);
                Features::with_nominal(&row.values, &row.nominal)
            }
        }
    }

    /// Learns from `x` and its target, then transforms it: a model trains on rows transformed by the updated statistics
    /// (River's order), unless these hold the sample's own target.
    fn learn_and_transform_one<'a>(&mut self, x: Features<'a>, y: f64, row: &'a mut Row) -> Features<'a> {
        match self {
            Step::StandardScaler(scaler) => scaler.learn_one(x),
            Step::MinMaxScaler(scaler) => scaler.learn_one(x),
            Step::OneHot(encoder) => encoder.learn_one(x),
            Step::TargetEncoder(encoder) => {
                if x.all_known_numeric() {
                    encoder.learn_one(x, y);
                    return x;
                }
                encoder.transform_one(x, row);
                encoder.learn_one(x, y);
                return Features::new(&row.values);
            }
            Step::Polynomial(_) => {}
        }
        self.transform_one(x, row)
    }
}

/// Steps in the order in which a sample passes through them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Steps(Vec<Step>);

checked!(Steps(steps));

impl Steps {
    /// Makes steps that have learned nothing.
    pub fn new(kinds: &[StepKind]) -> Self {
        Self(kinds.iter().map(|kind| Step::new(*kind)).collect())
    }

    /// Iterates over the steps, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.0.iter()
    }

    /// Returns the bytes that all of them take.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(|step| size_of::<Step>() + step.heap_bytes()).sum()
    }

    /// Transforms `x` step by step, in `rows`.
    #[inline]
    pub fn transform_one<'a>(&self, mut x: Features<'a>, rows: &'a mut Vec<Row>) -> Features<'a> {
        ensure_rows(rows, self.0.len());
        for (step, row) in self.0.iter().zip(rows) {
            x = step.transform_one(x, row);
        }
        x
    }

    /// Learns from `x` and its target `y`, step by step; returns the transformed row, in `rows`.
    #[inline]
    pub fn learn_and_transform_one<'a>(&mut self, mut x: Features<'a>, y: f64, rows: &'a mut Vec<Row>) -> Features<'a> {
        ensure_rows(rows, self.0.len());
        for (step, row) in self.0.iter_mut().zip(rows) {
            x = step.learn_and_transform_one(x, y, row);
        }
        x
    }
}

#[inline]
fn ensure_rows(rows: &mut Vec<Row>, steps: usize) {
    if rows.len() < steps {
        rows.resize(steps, Row::default());
    }
}
