//! Intervals around the published prediction, whichever model it is of.
//!
//! One for the race rather than one per model: what a reader of predictions sees is a single series of errors, and it is
//! this series that intervals are to hold, across changes of the champion, too.

use serde::{Deserialize, Serialize};

use thalweg_metrics::{Conformal, Coverage, Interval, checked};
use thalweg_state::nested;

/// What makes the intervals, and how good they were.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Intervals {
    #[serde(deserialize_with = "nested")]
    conformal: Conformal,
    coverage: Coverage,
}

checked!(Intervals { conformal, coverage });

impl Intervals {
    /// `coverage` as of [`Conformal::new`]; it counts as of late over about `window` samples.
    pub(super) fn new(coverage: f64, window: usize) -> Self {
        Self { conformal: Conformal::new(coverage), coverage: Coverage::new(coverage, window) }
    }

    /// The interval around the published prediction; `None` before anything was scored.
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

    /// Learns from what is learned of the target of `prediction`, around which there was this interval.
    #[inline]
    pub(super) fn learn(&mut self, learned: f64, prediction: f64, around: Option<Interval>) {
        self.conformal.learn(learned, prediction, around);
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The same intervals, whose quality is counted anew over another window.
    pub(super) fn over(self, window: usize) -> Self {
        Self { coverage: Coverage::new(self.conformal.coverage(), window), ..self }
    }
}
