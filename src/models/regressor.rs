//! What every model does.
//!
//! Invariant: a sample that is refused leaves no trace. This file knows no model; the closed set of them is in `kind` and
//! `model`.

use super::Features;

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
}

/// A sample that was not learned, because it would have left weights or statistics that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learning this sample would leave a state that is not finite")]
pub struct Refused;
