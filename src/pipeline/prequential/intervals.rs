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
    /// Logarithm of the factor by which intervals are wider than they would have to be for targets that come at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    lift: f64,
}

checked!(Intervals { conformal, coverage, lift });

fn is_zero(lift: &f64) -> bool {
    *lift == 0.0
}

/// Rate at which that follows a late target missed or held, over the samples that were learned between its sample and it: what is
/// done about one miss shows only after so many more.
const LIFT_RATE: f64 = 0.2;

/// Largest size of the lift.
const MAX_LIFT: f64 = 3.0;

impl Intervals {
    /// Creates intervals of a `coverage` as in [`Conformal::new`]; the recent coverage covers about `window` samples.
    pub(super) fn new(coverage: f64, window: usize) -> Self {
        Self { conformal: Conformal::new(coverage), coverage: Coverage::new(coverage, window), lift: 0.0 }
    }

    /// Returns the interval around the published prediction; `None` before anything was scored.
    #[inline]
    pub(super) fn around(&self, prediction: f64) -> Option<Interval> {
        let around = self.conformal.around(prediction);
        if self.lift == 0.0 { around } else { around.map(|interval| self.lifted(prediction, interval)) }
    }

    #[cold]
    fn lifted(&self, prediction: f64, Interval { lower, upper }: Interval) -> Interval {
        let factor = self.lift.exp();
        let end = |end: f64| (prediction + factor * (end - prediction)).clamp(f64::MIN, f64::MAX);
        Interval { lower: end(lower), upper: end(upper) }
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

    /// Learns from the target of `prediction` that came `behind` others which were learned since; `published` was the interval.
    ///
    /// What the width is told is of now: told of intervals of long ago, it would go on in one direction until the first answer comes,
    /// and swing from there. That the stream moves on before its targets come is made up for apart, and slowly.
    pub(super) fn learn_late(&mut self, learned: f64, prediction: f64, published: Option<Interval>, behind: u64) {
        self.conformal.learn(learned, prediction, self.conformal.around(prediction));
        if let Some(interval) = published.filter(|_| behind > 0) {
            let missed = f64::from(!interval.holds(learned)) - (1.0 - self.conformal.coverage());
            self.lift = (self.lift + LIFT_RATE / (1.0 + behind as f64) * missed).clamp(-MAX_LIFT, MAX_LIFT);
        }
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Returns the same intervals, whose coverage is counted anew over another window.
    pub(super) fn over(self, window: usize) -> Self {
        Self { coverage: Coverage::new(self.conformal.coverage(), window), ..self }
    }
}
