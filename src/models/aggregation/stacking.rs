//! Stacking: what the members' deviations from an average say about its error.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Weights};
use crate::least_squares::Regression;
use thalweg_metrics::checked;

/// Stacking (Wolpert 1992, "Stacked generalization"; Breiman 1996, "Stacked regressions") on top of an average: a recursive
/// least squares learns the average's error from how far each member is from it. Where two members err in opposite ways, it
/// can go beyond both.
///
/// All in units of the average's usual error σ, and confined to a few of these, so that it corrects and never leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stacked<Base> {
    base: Base,
    /// A weight for 1 and one for each member.
    regression: Regression,
    /// Records learned from.
    n: u64,
    /// σ².
    usual: f64,
    /// Whether the last error was one of [`MOST_ERROR`] or more.
    #[serde(default)]
    beyond: bool,
    /// Room for the deviations, as the regression sees them, and for its gain.
    #[serde(skip)]
    row: Vec<f64>,
    #[serde(skip)]
    gain: Vec<f64>,
}

/// The share of its weight that a record keeps in the regression from each to the next.
const FORGETTING: f64 = 0.999;

/// How unsure the regression is of a weight before anything was learned: 30 records in which a member is σ away from the
/// average are needed to believe half of a correction.
const VARIANCE: f64 = 1.0 / 30.0;

/// The least share by which σ² follows the latest squared error.
const RATE: f64 = 0.005;

/// The most that a deviation or a correction counts, in σ.
const MOST: f64 = 3.0;

/// The most that an error counts, in σ.
const MOST_ERROR: f64 = 10.0;

checked!(Stacked<Base> { base, regression, n, usual, beyond, row: skipped, gain: skipped });

impl<Base: Aggregate> Stacked<Base> {
    pub(super) fn new(base: Base) -> Self {
        Self {
            base,
            regression: Regression::new([VARIANCE]),
            n: 0,
            usual: 0.0,
            beyond: false,
            row: Vec::new(),
            gain: Vec::new(),
        }
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// `average` is what the base predicts.
    pub(super) fn correct(&self, members: &[f64], average: f64) -> f64 {
        let sigma = self.usual.sqrt();
        let [intercept, weights @ ..] = self.regression.weights() else { return average };
        let known = weights.iter().zip(members).filter(|(_, member)| member.is_finite());
        let sum = known.fold(*intercept, |sum, (w, member)| sum + w * deviation(*member, average, sigma));
        if sigma > 0.0 { average + sigma * sum.clamp(-MOST, MOST) } else { average }
    }

    pub(super) fn learn_with(&mut self, members: &[f64], average: f64, y: f64) {
        let sigma = self.usual.sqrt();
        if sigma > 0.0 {
            let n = members.len() + 1;
            if self.regression.len() < n {
                self.regression.extend(&vec![VARIANCE; n - self.regression.len()]);
            }
            self.row.clear();
            self.row.reserve_exact(n);
            self.row.push(1.0);
            self.row.extend(members.iter().map(|member| deviation(*member, average, sigma)));
            // More weights than members come from a damaged state only.
            self.row.resize(self.regression.len(), 0.0);
            let error = (y - average) / sigma;
            let jumped = self.beyond && error.abs() >= MOST_ERROR;
            self.beyond = error.abs() >= MOST_ERROR;
            if jumped {
                // Not an outlier: what members deviated by before says nothing about where the target is now, and would be
                // said of a σ that is as large as the jump.
                self.regression = Regression::new([VARIANCE]);
            } else {
                let error = error.clamp(-MOST_ERROR, MOST_ERROR) - self.regression.predict(&self.row);
                // All is within a few units, so that there is nothing to refuse.
                let _ = self.regression.learn(&self.row, error, FORGETTING, 1.0, &mut self.gain);
            }
        }
        self.n += 1;
        let square = (average - y) * (average - y);
        self.usual += (1.0 / self.n as f64).max(RATE) * (square - self.usual);
        self.base.learn(members, average, y);
    }
}

fn deviation(member: f64, average: f64, sigma: f64) -> f64 {
    ((member - average) / sigma).clamp(-MOST, MOST)
}

impl<Base: Aggregate> Aggregate for Stacked<Base> {
    fn predict(&self, members: &[f64]) -> f64 {
        self.correct(members, self.base.predict(members))
    }

    fn learn(&mut self, members: &[f64], _: f64, y: f64) {
        self.learn_with(members, self.base.predict(members), y);
    }

    fn weights(&self) -> &Weights {
        self.base.weights()
    }

    fn heap_bytes(&self) -> usize {
        // Row and gain are as long as the weights.
        self.base.heap_bytes() + self.regression.heap_bytes() + 2 * size_of_val(self.regression.weights())
    }
}
