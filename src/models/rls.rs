//! Recursive least squares: the linear regression that is optimal for what it has seen, at O(d²) a sample.
//!
//! Invariant: the covariance is symmetric by construction (one triangle is stored and updated), and its diagonal never
//! exceeds where it started, so a direction that the stream never excites cannot wind up. Weights are finite; a sample
//! that would change this is refused as a whole. Unknown and nominal features count as 0, which is the mean of a
//! standardised one.

use serde::{Deserialize, Serialize};

use crate::metrics::saved;

use super::{Features, Refused, Regressor, least_squares::Covariance};

/// Weights beyond this are refused.
const LARGEST: f64 = 1e200;

/// Parameters of [`RecursiveLeastSquares`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Share of its weight that a sample keeps from each to the next, 0 < `forgetting` ≤ 1. 1 forgets nothing; 0.999
    /// looks back about 1,000 samples.
    pub forgetting: f64,
    /// Strength of the pull of the weights towards 0 at the start, > 0.
    pub regularization: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { forgetting: 0.999, regularization: 1.0 }
    }
}

/// The variance of the intercept before anything was learned.
const INTERCEPT: f64 = 1e3;

/// Least squares, sample by sample (Plackett 1950, "Some theorems in least squares"), with exponential forgetting (Ljung
/// and Söderström 1983, "Theory and practice of recursive identification").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct RecursiveLeastSquares {
    params: Params,
    /// Intercept first, then a weight per column.
    weights: Vec<f64>,
    /// Row 0 is the intercept's.
    covariance: Covariance,
    /// Room for the row with its leading 1, and for the gain.
    #[serde(skip)]
    row: Vec<f64>,
    #[serde(skip)]
    gain: Vec<f64>,
}

/// What a state file holds, not yet checked.
#[derive(Deserialize)]
struct Saved {
    params: Params,
    #[serde(deserialize_with = "saved::all_finite")]
    weights: Vec<f64>,
    covariance: Covariance,
}

impl TryFrom<Saved> for RecursiveLeastSquares {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { params, weights, covariance } = saved;
        if weights.is_empty() || covariance.len() != weights.len() {
            return Err("the covariance of a recursive least squares does not fit its weights");
        }
        Ok(Self { params, weights, covariance, row: Vec::new(), gain: Vec::new() })
    }
}

impl RecursiveLeastSquares {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let covariance = Covariance::with_diagonal([]);
        let mut model = Self { params, weights: Vec::new(), covariance, row: Vec::new(), gain: Vec::new() };
        model.grow(0);
        model
    }

    /// The intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.weights[0]
    }

    /// The weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights[1..]
    }

    /// The largest element on the covariance's diagonal: how unsure it is of the weight it knows least.
    pub fn largest_variance(&self) -> f64 {
        (0..self.weights.len()).map(|i| self.covariance.diagonal(i)).fold(0.0, f64::max)
    }

    /// Makes room for `d` columns.
    fn grow(&mut self, d: usize) {
        let more = (d + 1).saturating_sub(self.weights.len());
        self.weights.reserve_exact(more);
        self.covariance.reserve(d + 1);
        while self.weights.len() <= d {
            self.covariance.push(start(&self.params, self.weights.len()));
            self.weights.push(0.0);
        }
    }

    /// Takes what `gain` has learned off the covariance, forgets, and brings the diagonal back into its bounds.
    fn shrink(&mut self, q: f64) {
        let Self { covariance, gain, row, .. } = self;
        covariance.shrink(gain, q, self.params.forgetting);
        for i in 0..self.weights.len() {
            let (variance, most) = (covariance.diagonal(i), start(&self.params, i));
            if variance > most {
                // Scaling row and column instead would forget what keeps features that move slowly from throwing the
                // weights about.
                covariance.confine_by_observing(i, most, row);
            } else if variance <= 0.0 || variance.is_nan() {
                // Rounding has eaten it up: as unsure as at the start.
                covariance.isolate(i, most);
            }
        }
    }
}

/// Element `i` of the diagonal before anything was learned.
fn start(params: &Params, i: usize) -> f64 {
    if i == 0 { INTERCEPT } else { 1.0 / params.regularization }
}

impl Regressor for RecursiveLeastSquares {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let pairs = self.weights[1..].iter().zip(x.values());
        let sum = if x.is_plain() {
            pairs.fold(0.0, |sum, (w, value)| sum + w * value)
        } else {
            let known = pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
            known.fold(0.0, |sum, (_, (w, value))| sum + w * value)
        };
        sum + self.weights[0]
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        self.grow(x.len());
        if weight == 0.0 {
            return Ok(());
        }
        self.row.clear();
        self.row.reserve_exact(self.weights.len());
        self.row.push(1.0);
        if x.is_plain() {
            self.row.extend_from_slice(x.values());
        } else {
            let known = |(i, value): (usize, &f64)| if value.is_nan() || x.is_nominal(i) { 0.0 } else { *value };
            self.row.extend(x.values().iter().enumerate().map(known));
        }
        self.row.resize(self.weights.len(), 0.0);
        let error = y - self.row.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f64>();
        let reach = self.covariance.project(&self.row, &mut self.gain);
        let q = self.params.forgetting / weight + reach;
        let step = error / q;
        let largest = self.gain.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        // Also false of NaN.
        let sound = reach >= 0.0 && q.is_finite() && q > 0.0 && largest.is_finite() && (step * largest).abs() < LARGEST;
        if !sound {
            return Err(Refused);
        }
        for (w, g) in self.weights.iter_mut().zip(&self.gain) {
            *w += step * g;
        }
        self.shrink(q);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        // Weights, row and gain are equally long.
        size_of::<Self>() + 3 * size_of_val(self.weights.as_slice()) + self.covariance.heap_bytes()
    }
}
