//! Tells a rise of errors from other changes.
//!
//! Invariant: no error is counted twice, and one that is not finite is skipped.

use serde::{Deserialize, Serialize};

use super::{Detector, DetectorKind};
use crate::{checked, statistics::Var};

/// Rate at which the recent mean follows a new error: it looks back about 50 errors.
const RECENT_ERROR_RATE: f64 = 0.04;

/// Watches absolute errors with a detector. Detectors also fire when errors fall, as they do while a model learns; a
/// model that is replaced because it has grown worse must not be replaced then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorWatch {
    detector: Detector,
    /// Statistics of the errors since the count began.
    error: Var,
    /// Faded mean of the errors.
    recent: f64,
}

/// The verdict of a watch on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No change that can be told from chance.
    None,
    /// Errors are larger than they were.
    Risen,
    /// Errors are smaller than they were.
    Fallen,
}

checked!(ErrorWatch { detector, error, recent });

impl ErrorWatch {
    /// Makes a watch that has seen nothing.
    pub fn new(kind: DetectorKind) -> Self {
        Self { detector: Detector::new(kind), error: Var::default(), recent: 0.0 }
    }

    /// Restarts the count of errors; the detector keeps its state.
    pub fn recount(&mut self) {
        self.error = Var::default();
    }

    /// Returns mean and variance of the errors since the count began.
    pub fn error(&self) -> Var {
        self.error
    }

    /// Returns the mean of about the last 50 errors, the last ones counting most.
    pub fn recent(&self) -> f64 {
        self.recent
    }

    /// Takes the next absolute error.
    #[inline]
    pub fn update(&mut self, error: f64) -> Change {
        if !error.is_finite() {
            return Change::None;
        }
        let before = self.error;
        self.error.update(error, 1.0);
        // At first the plain mean, so that the very first error does not count for more than the others.
        self.recent += RECENT_ERROR_RATE.max(1.0 / self.error.n) * (error - self.recent);
        match self.detector.update(error) {
            false => Change::None,
            true if self.recent > before.mean => Change::Risen,
            true => Change::Fallen,
        }
    }

    /// Returns the bytes that it takes besides its own size.
    pub fn heap_bytes(&self) -> usize {
        self.detector.heap_bytes()
    }
}
