//! Experts that learn by least squares on standardised rows, each a kind of model of its own, and what they share.
//!
//! Reading order: [`Expert`] (the interface), [`Standardizer`] (its input), [`TargetRange`] (the bounds of its output),
//! [`Standalone`] (the three as a model), [`Covariance`] and [`Regression`] (recursive least squares with every
//! safeguard).
//!
//! Invariant: an expert sees numbers from −4 to 4 only, of which the same place means the same feature until it is told
//! otherwise; there are at most [`MAX_INPUTS`] of them, so that no row of samples makes it slow. Its state is finite.

mod covariance;
mod regression;
mod screening;
mod standalone;
mod standardizer;
mod target_range;

#[cfg(test)]
pub(crate) use covariance::PASSES;
pub(crate) use covariance::{Covariance, dot};
pub(crate) use regression::Regression;
pub(crate) use screening::Screening;
pub use standalone::Standalone;
pub(crate) use standardizer::{MAX_INPUTS, RowBuffer, Standardizer};
pub(crate) use target_range::TargetRange;

use super::{Description, NamedColumn, Refused};

/// Predicts from and learns standardised rows, one sample at a time. Rows get longer when features appear, never
/// shorter.
pub(crate) trait Expert {
    /// Predicts for `z`, in the target's unit, finite or not; 0.0 before anything was learned. Never learns.
    fn predict(&self, z: &[f64]) -> f64;

    /// Learns that `z`, a row standardised after the statistics have taken the sample in, had the target `y`, with a
    /// weight over 0.
    /// # Errors
    /// [`Refused`] when that would leave a state that is not finite; the state is then unchanged.
    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused>;

    /// Forgets what was learned of place `i` of a row, which holds another feature from now on.
    fn renew(&mut self, i: usize);

    /// Describes what it has learned; `inputs` are the names of a row's places.
    fn describe(&self, inputs: &[NamedColumn]) -> Description;

    /// Bytes on the heap, within a fifth.
    fn heap_bytes(&self) -> usize;
}
