//! What every model does.
//!
//! Invariant: a sample that is refused leaves no trace. This file knows no model; the closed set of them is in `kind` and
//! `model`.

use super::{Description, Features, NamedColumn};

/// What every model does, one sample at a time.
pub trait Regressor {
    /// The prediction for `x`, in the target's unit; 0.0 before anything was learned. Never learns.
    fn predict_one(&self, x: Features<'_>) -> f64;

    /// Learns that `x` had the target `y`, counted `weight` times (1.0 for an ordinary sample).
    ///
    /// # Errors
    /// [`Refused`] when learning this sample would leave a state that is not finite; the state is then unchanged.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused>;

    /// Bytes that it takes, within a fifth. Follows from what was learned alone, so that it is the same after a restart.
    fn memory_bytes(&self) -> usize;

    /// All it has learned that a prediction depends on; `columns` name those that it sees.
    fn describe(&self, columns: &[NamedColumn]) -> Description;

    /// Whether the weights and tests in its description are of the columns that it sees, rather than of something it makes of
    /// them. Where they are not, [`explain`](super::explain) permutes the columns, which suits every model.
    fn weighs_columns(&self) -> bool {
        false
    }
}

impl<M: Regressor> Regressor for Box<M> {
    #[inline]
    fn predict_one(&self, x: Features<'_>) -> f64 {
        M::predict_one(self, x)
    }

    #[inline]
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        M::learn_one(self, x, y, weight)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + M::memory_bytes(self)
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        M::describe(self, columns)
    }

    fn weighs_columns(&self) -> bool {
        M::weighs_columns(self)
    }
}

/// A sample that was not learned, because it would have left weights or statistics that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learning this sample would leave a state that is not finite")]
pub struct Refused;
