//! Whether errors have risen, as opposed to changed.
//!
//! Invariant: no error is counted twice, and what is not finite is passed over.

use serde::{Deserialize, Serialize};

use super::{Detector, DetectorKind};
use crate::metrics::statistics::Var;

/// Share of a new error in the recent mean: it looks back about 50 errors.
const RECENT: f64 = 0.02;

/// Watches absolute errors with a detector. Detectors fire when errors fall, too, as they do while a model learns; what is
/// to be replaced because it has grown worse must not be replaced then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorWatch {
    kind: DetectorKind,
    detector: Detector,
    /// Of the errors since the count began.
    error: Var,
    /// Faded mean of the errors.
    recent: f64,
}

/// What a watch has to say about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing has changed that can be told from chance.
    None,
    /// Errors are larger than they were.
    Risen,
    /// Errors are smaller than they were.
    Fallen,
}

impl ErrorWatch {
    /// A watch that has seen nothing.
    pub fn new(kind: DetectorKind) -> Self {
        Self { kind, detector: Detector::new(kind), error: Var::default(), recent: 0.0 }
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        *self = Self::new(self.kind);
    }

    /// Begins to count errors anew; the detector remembers.
    pub fn recount(&mut self) {
        self.error = Var::default();
    }

    /// Mean and variance of the errors since the count began.
    pub fn error(&self) -> Var {
        self.error
    }

    /// Takes the next absolute error.
    #[inline]
    pub fn update(&mut self, error: f64) -> Change {
        if !error.is_finite() {
            return Change::None;
        }
        let before = self.error;
        self.recent = if before.n == 0.0 { error } else { self.recent + RECENT * (error - self.recent) };
        self.error.update(error, 1.0);
        match self.detector.update(error) {
            false => Change::None,
            true if self.recent > before.mean => Change::Risen,
            true => Change::Fallen,
        }
    }

    /// Bytes that it takes besides its own size.
    pub fn heap_bytes(&self) -> usize {
        self.detector.heap_bytes()
    }

    /// Whether all that it holds is finite.
    pub fn is_finite(&self) -> bool {
        self.error.is_finite() && self.recent.is_finite()
    }
}
