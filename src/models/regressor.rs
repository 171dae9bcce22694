//! The interface of every model.
//!
//! Invariant: a sample that is refused leaves no trace. This file knows no model; the closed set of them is in `kind`
//! and
//! `model`.

use super::{Description, Features, NamedColumn};

/// An online regression model: it predicts and learns one sample at a time.
pub trait Regressor {
    /// Predicts the target of `x`, in the target's unit; 0.0 before anything was learned. Never learns.
    fn predict_one(&self, x: Features<'_>) -> f64;

    /// Learns that `x` had the target `y`, counted `weight` times (1.0 for an ordinary sample).
    ///
    /// # Errors
    /// [`Refused`] when learning this sample would leave a state that is not finite; the state is then unchanged.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused>;

    /// Appends the predictions for `x` of its members, where it weighs these by their errors and does not leave that to others.
    fn members(&self, x: Features<'_>, predictions: &mut Vec<f64>) {
        let _ = (x, predictions);
    }

    /// Learns like [`learn_one`](Self::learn_one) a sample whose target came later than others' that were learned since it was
    /// predicted. `members` is what [`members`](Self::members) said then: by that its members are judged, and not by what they would
    /// say now, when they know more.
    ///
    /// # Errors
    /// As [`learn_one`](Self::learn_one).
    fn learn_late(&mut self, x: Features<'_>, y: f64, weight: f64, members: &[f64]) -> Result<(), Refused> {
        let _ = members;
        self.learn_one(x, y, weight)
    }

    /// Returns the bytes the model takes, accurate to a fifth. They depend only on what was learned, so that they are
    /// the same after a restart.
    fn memory_bytes(&self) -> usize;

    /// Describes everything learned that predictions depend on; `columns` name the columns the model sees.
    fn describe(&self, columns: &[NamedColumn]) -> Description;

    /// Returns whether the weights and tests in its description apply to the columns it sees, and not to something
    /// derived from them. If they do not, [`explain`](super::explain) permutes the columns, which works for every
    /// model.
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

    fn members(&self, x: Features<'_>, predictions: &mut Vec<f64>) {
        M::members(self, x, predictions);
    }

    fn learn_late(&mut self, x: Features<'_>, y: f64, weight: f64, members: &[f64]) -> Result<(), Refused> {
        M::learn_late(self, x, y, weight, members)
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

/// A sample was not learned, because it would have left weights or statistics that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learning this sample would leave a state that is not finite")]
pub struct Refused;
