//! What watches a branch: its errors, and the alternate that may take its place.
//!
//! Invariant: errors are means of absolute errors, each sample counted once, however often the leaves count it.

use serde::{Deserialize, Serialize};

use super::{
    super::nodes::{NodeId, Start},
    Params,
};
use crate::metrics::{
    drift::{Detector, DetectorKind},
    statistics::Var,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Monitor {
    pub(super) watched: Watched,
    pub(super) alternate: Option<Box<Alternate>>,
}

/// A subtree that grows beside a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alternate {
    pub(super) start: Start,
    pub(super) watched: Watched,
}

/// The errors of what is below a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Watched {
    detector: Detector,
    error: Var,
}

/// What becomes of an alternate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Too early, or too close, to tell.
    Wait,
    Better,
    Worse,
}

impl Monitor {
    pub(super) fn new(detector: DetectorKind) -> Self {
        Self { watched: Watched::new(detector), alternate: None }
    }

    /// Begins an alternate, and the count of the errors anew, so that both are measured over the same samples.
    pub(super) fn begin(&mut self, start: Start, detector: DetectorKind) {
        self.watched.error = Var::default();
        self.alternate = Some(Box::new(Alternate { start, watched: Watched::new(detector) }));
    }

    /// Where the alternate begins.
    pub(super) fn root(&self) -> Option<NodeId> {
        self.alternate.as_ref().map(|alternate| alternate.start.at)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let alternate = |alternate: &Alternate| size_of::<Alternate>() + alternate.watched.detector.heap_bytes();
        size_of::<Self>() + self.watched.detector.heap_bytes() + self.alternate.as_deref().map_or(0, alternate)
    }

    pub(super) fn is_sound(&self) -> bool {
        let alternate = |alternate: &Alternate| alternate.start.is_sound() && alternate.watched.is_sound();
        self.watched.is_sound() && self.alternate.as_deref().is_none_or(alternate)
    }
}

impl Watched {
    fn new(detector: DetectorKind) -> Self {
        Self { detector: Detector::new(detector), error: Var::default() }
    }

    pub(super) fn restart(&mut self, detector: DetectorKind) {
        *self = Self::new(detector);
    }

    /// Counts an absolute error; whether errors have risen. Where they have fallen, the count begins anew.
    pub(super) fn update(&mut self, off: f64) -> bool {
        let before = self.error.mean;
        let changed = self.detector.update(off);
        self.error.update(off, 1.0);
        if changed && self.error.mean < before {
            self.error = Var::default();
            return false;
        }
        changed
    }

    /// Compares the mean error with that of an alternate by a two-sided z-test.
    pub(super) fn judge(&self, alternate: &Self, params: &Params) -> Verdict {
        let (own, other) = (self.error, alternate.error);
        let least = f64::from(params.drift_window_threshold);
        if own.n <= least || other.n <= least {
            return Verdict::Wait;
        }
        let z = (other.mean - own.mean) / (other.get() / other.n + own.get() / own.n).sqrt();
        // NaN where both never err: nothing to choose between.
        if libm::erfc(z.abs() / std::f64::consts::SQRT_2) <= params.switch_significance {
            if other.mean < own.mean { Verdict::Better } else { Verdict::Worse }
        } else {
            Verdict::Wait
        }
    }

    fn is_sound(&self) -> bool {
        self.error.is_finite()
    }
}
