//! The monitor of a branch: its errors, and the alternate that may replace it.
//!
//! Invariant: errors are absolute errors, each sample counted once, however often the leaves count it.

use serde::{Deserialize, Serialize};

use super::{
    super::nodes::{NodeId, Start},
    Params,
};
use thalweg_metrics::{
    checked,
    drift::{Change, DetectorKind, ErrorWatch},
};

/// Watches the errors of a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Monitor {
    watch: ErrorWatch,
    pub(super) alternate: Option<Box<Alternate>>,
}

checked!(Monitor { watch, alternate });

/// A subtree that grows beside a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alternate {
    pub(super) start: Start,
    pub(super) watch: ErrorWatch,
}

checked!(Alternate { start, watch });

/// A decision about a branch and its alternate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, for now.
    Stay,
    /// An alternate should begin.
    Begin,
    /// The alternate is better.
    Switch,
    /// The alternate is worse.
    Prune,
}

/// Number of errors before the recent error of an alternate counts.
const MIN_ERRORS: f64 = 30.0;

impl Monitor {
    pub(super) fn new(detector: DetectorKind) -> Self {
        Self { watch: ErrorWatch::new(detector), alternate: None }
    }

    /// Takes the absolute error of a prediction below the branch.
    pub(super) fn update(&mut self, error: f64, params: &Params) -> Verdict {
        let change = self.watch.update(error);
        if change == Change::Fallen {
            self.watch.recount();
        }
        match &self.alternate {
            None if change == Change::Risen => Verdict::Begin,
            None => Verdict::Stay,
            Some(alternate) => self.judge(alternate, params),
        }
    }

    /// Begins an alternate, and the count of the errors anew, so that both are measured over the same samples.
    pub(super) fn begin(&mut self, start: Start, detector: DetectorKind) {
        self.watch.recount();
        self.alternate = Some(Box::new(Alternate { start, watch: ErrorWatch::new(detector) }));
    }

    /// Compares the mean errors by a two-sided z-test, once both are known from enough samples.
    fn judge(&self, alternate: &Alternate, params: &Params) -> Verdict {
        let (own, other) = (self.watch.error(), alternate.watch.error());
        let threshold = f64::from(params.drift_window_threshold);
        if own.n <= threshold || other.n <= threshold {
            return Verdict::Stay;
        }
        let z = (other.mean - own.mean) / (other.get() / other.n + own.get() / own.n).sqrt();
        // z is NaN if neither ever errs: then neither is better.
        if libm::erfc(z.abs() / std::f64::consts::SQRT_2) <= params.switch_significance {
            if other.mean < own.mean { Verdict::Switch } else { Verdict::Prune }
        } else {
            Verdict::Stay
        }
    }

    /// Returns the alternate if its recent error is lower than the branch's.
    #[inline]
    pub(super) fn better_alternate(&self) -> Option<NodeId> {
        let alternate = self.alternate.as_deref()?;
        let known = alternate.watch.error().n >= MIN_ERRORS;
        (known && alternate.watch.recent() < self.watch.recent()).then_some(alternate.start.at)
    }

    /// Returns the start of the alternate.
    pub(super) fn start(&self) -> Option<Start> {
        self.alternate.as_ref().map(|alternate| alternate.start)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let alternate = |alternate: &Alternate| size_of::<Alternate>() + alternate.watch.heap_bytes();
        size_of::<Self>() + self.watch.heap_bytes() + self.alternate.as_deref().map_or(0, alternate)
    }
}

impl Alternate {
    /// Takes the absolute error of its prediction.
    pub(super) fn update(&mut self, error: f64) {
        if self.watch.update(error) == Change::Fallen {
            self.watch.recount();
        }
    }
}
