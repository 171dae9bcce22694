//! Intervals around the published prediction, whichever model it is of.
//!
//! There is one for the race rather than one per model: a reader of predictions sees a single series of errors, and
//! intervals must hold for this series, across changes of the champion, too.

use serde::{Deserialize, Serialize};

use thalweg_metrics::{Conformal, Coverage, Interval, checked};
use thalweg_state::nested;

/// Intervals by conformal prediction, and their coverage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Intervals {
    #[serde(deserialize_with = "nested")]
    conformal: Conformal,
    coverage: Coverage,
}

checked!(Intervals { conformal, coverage });

impl Intervals {
    /// Creates intervals of a `coverage` as in [`Conformal::new`]; the recent coverage covers about `window` samples.
    pub(super) fn new(coverage: f64, window: usize) -> Self {
        Self { conformal: Conformal::new(coverage), coverage: Coverage::new(coverage, window) }
    }

    /// Returns the interval around the published prediction; `None` before anything was scored.
    #[inline]
    pub(super) fn around(&self, prediction: f64) -> Option<Interval> {
        self.conformal.around(prediction)
    }

    /// Scores the interval that was published, where there was one.
    #[inline]
    pub(super) fn score(&mut self, y: f64, published: Option<Interval>) {
        if let Some(interval) = published {
            self.coverage.update(y, interval);
        }
    }

    /// Learns from the target of `prediction`, as robust models learn it; `around` was the interval.
    #[inline]
    pub(super) fn learn(&mut self, learned: f64, prediction: f64, around: Option<Interval>) {
        self.conformal.learn(learned, prediction, around);
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Returns the same intervals, whose coverage is counted anew over another window.
    pub(super) fn over(self, window: usize) -> Self {
        Self { coverage: Coverage::new(self.conformal.coverage(), window), ..self }
    }
}
