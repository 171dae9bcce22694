//! Stacking: predicts the error of an average from the members' deviations from it.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Weights};
use crate::least_squares::Regression;
use thalweg_metrics::checked;

/// Stacking (Wolpert 1992, "Stacked generalization"; Breiman 1996, "Stacked regressions") on top of an average: a
/// recursive least squares learns the average's error from each member's deviation from it. If two members err in
/// opposite ways, it can be better than both.
///
/// Everything is in units of the average's recent RMSE σ and confined to a few of these, so that it can only correct.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stacked<Base> {
    base: Base,
    /// An intercept and a weight for each member.
    regression: Regression,
    /// Number of records learned from.
    n: u64,
    /// Recent mean squared error of the average, σ².
    usual: f64,
    /// True if the last error was [`MAX_ERROR`] σ or more.
    #[serde(default)]
    beyond: bool,
    /// Buffers: the regression's row of deviations, and its gain.
    #[serde(skip)]
    row: Vec<f64>,
    #[serde(skip)]
    gain: Vec<f64>,
}

/// Share of its weight that a record keeps in the regression from one record to the next.
const FORGETTING: f64 = 0.999;

/// Variance of each weight of the regression before anything was learned: it takes 30 records in which a member is σ
/// away from the average to learn half of a correction.
const PRIOR_VARIANCE: f64 = 1.0 / 30.0;

/// Smallest share of the latest squared error in σ².
const MIN_RATE: f64 = 0.005;

/// Largest deviation or correction that counts, in σ.
const MAX_DEVIATION: f64 = 3.0;

/// Largest error that counts, in σ.
const MAX_ERROR: f64 = 10.0;

checked!(Stacked<Base> { base, regression, n, usual, beyond, row: skipped, gain: skipped });

impl<Base: Aggregate> Stacked<Base> {
    pub(super) fn new(base: Base) -> Self {
        Self {
            base,
            regression: Regression::new([PRIOR_VARIANCE]),
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

    /// Corrects `average`, the prediction of the base.
    pub(super) fn correct(&self, members: &[f64], average: f64) -> f64 {
        let sigma = self.usual.sqrt();
        let [intercept, weights @ ..] = self.regression.weights() else { return average };
        let known = weights.iter().zip(members).filter(|(_, member)| member.is_finite());
        let sum = known.fold(*intercept, |sum, (w, member)| sum + w * deviation(*member, average, sigma));
        if sigma > 0.0 { average + sigma * sum.clamp(-MAX_DEVIATION, MAX_DEVIATION) } else { average }
    }

    pub(super) fn learn_with(&mut self, members: &[f64], average: f64, y: f64) {
        let sigma = self.usual.sqrt();
        if sigma > 0.0 {
            let n = members.len() + 1;
            if self.regression.len() < n {
                self.regression.extend(&vec![PRIOR_VARIANCE; n - self.regression.len()]);
            }
            self.row.clear();
            self.row.reserve_exact(n);
            self.row.push(1.0);
            self.row.extend(members.iter().map(|member| deviation(*member, average, sigma)));
            // Only a damaged state has more weights than members.
            self.row.resize(self.regression.len(), 0.0);
            let error = (y - average) / sigma;
            let jumped = self.beyond && error.abs() >= MAX_ERROR;
            self.beyond = error.abs() >= MAX_ERROR;
            if jumped {
                // Two in a row are not an outlier: earlier deviations say nothing about the target's new level, and
                // would be scaled by a σ as large as the jump.
                self.regression = Regression::new([PRIOR_VARIANCE]);
            } else {
                let error = error.clamp(-MAX_ERROR, MAX_ERROR) - self.regression.predict(&self.row);
                // All values are within a few units, so nothing is refused.
                let _ = self.regression.learn(&self.row, error, FORGETTING, 1.0, &mut self.gain);
            }
        }
        self.n += 1;
        let square = (average - y) * (average - y);
        self.usual += (1.0 / self.n as f64).max(MIN_RATE) * (square - self.usual);
        self.base.learn(members, average, y);
    }
}

fn deviation(member: f64, average: f64, sigma: f64) -> f64 {
    ((member - average) / sigma).clamp(-MAX_DEVIATION, MAX_DEVIATION)
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
