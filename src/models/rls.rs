//! Recursive least squares: the linear regression that is optimal for what it has seen, at O(d²) a sample.
//!
//! Invariant: the covariance is symmetric by construction (one triangle is stored and updated), and its diagonal never
//! exceeds where it started, so a direction that the stream never excites cannot wind up. Weights are finite; a sample
//! that would change this is refused as a whole. Unknown and nominal features count as 0, which is the mean of a
//! standardised one.

use serde::{Deserialize, Serialize};

use super::{Features, Refused, Regressor};

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
    /// The lower triangle of the covariance, row by row; row 0 is the intercept's.
    covariance: Vec<f64>,
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
    weights: Vec<f64>,
    covariance: Vec<f64>,
}

impl TryFrom<Saved> for RecursiveLeastSquares {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { params, weights, covariance } = saved;
        let d = weights.len();
        if d == 0 || covariance.len() != d * (d + 1) / 2 {
            return Err("the covariance of a recursive least squares does not fit its weights");
        }
        if !weights.iter().chain(&covariance).all(|number| number.is_finite()) {
            return Err("a recursive least squares holds a number that is not finite");
        }
        Ok(Self { params, weights, covariance, row: Vec::new(), gain: Vec::new() })
    }
}

impl RecursiveLeastSquares {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let mut model = Self { params, weights: Vec::new(), covariance: Vec::new(), row: Vec::new(), gain: Vec::new() };
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
        (0..self.weights.len()).map(|i| self.covariance[end_of_row(i)]).fold(0.0, f64::max)
    }

    /// Makes room for `d` columns.
    fn grow(&mut self, d: usize) {
        let more = (d + 1).saturating_sub(self.weights.len());
        self.weights.reserve_exact(more);
        self.covariance.reserve_exact(end_of_row(d.max(self.weights.len())) + 1 - self.covariance.len());
        while self.weights.len() <= d {
            let variance = self.start(self.weights.len());
            self.covariance.extend(std::iter::repeat_n(0.0, self.weights.len()));
            self.covariance.push(variance);
            self.weights.push(0.0);
        }
    }

    /// Element `i` of the diagonal before anything was learned.
    fn start(&self, i: usize) -> f64 {
        if i == 0 { INTERCEPT } else { 1.0 / self.params.regularization }
    }

    /// Covariance times row into `gain`; row · gain.
    fn project(&mut self) -> f64 {
        let Self { covariance, row, gain, .. } = self;
        gain.clear();
        gain.reserve_exact(row.len());
        let mut rest = covariance.as_slice();
        for (i, &x) in row.iter().enumerate() {
            let (line, after) = rest.split_at(i + 1);
            rest = after;
            // The part left of the diagonal counts for this element, and mirrored for those before it.
            let mut sum = 0.0;
            for ((p, x_j), g) in line[..i].iter().zip(&*row).zip(gain.iter_mut()) {
                sum += p * x_j;
                *g += p * x;
            }
            gain.push(sum + line[i] * x);
        }
        row.iter().zip(&*gain).map(|(x, g)| x * g).sum()
    }

    /// Takes the gain's outer product off the covariance and forgets. This form, k·kᵀ with k = gain/√q, is exactly
    /// symmetric, which keeps it from diverging.
    fn shrink(&mut self, q: f64) {
        let root = q.sqrt();
        self.gain.iter_mut().for_each(|g| *g /= root);
        let keep = 1.0 / self.params.forgetting;
        let mut rest = self.covariance.as_mut_slice();
        for (i, &k_i) in self.gain.iter().enumerate() {
            let (line, after) = rest.split_at_mut(i + 1);
            rest = after;
            for (p, k_j) in line.iter_mut().zip(&self.gain) {
                *p = (*p - k_i * k_j) * keep;
            }
        }
        for i in 0..self.weights.len() {
            let (variance, most) = (self.covariance[end_of_row(i)], self.start(i));
            if variance > most {
                self.confine(i, variance, most);
            } else if variance <= 0.0 || variance.is_nan() {
                // Rounding has eaten it up: as unsure as at the start, and of nothing else.
                self.isolate(i);
                self.covariance[end_of_row(i)] = most;
            }
        }
    }

    /// Brings element `i` of the diagonal down from `variance` to `most`, as if weight `i` had been observed to be what it
    /// is. What is known of sums of weights stays known; scaling row and column instead would forget it, and with it what
    /// keeps features that move slowly from throwing the weights about.
    #[cold]
    fn confine(&mut self, i: usize, variance: f64, most: f64) {
        let Self { row: column, covariance, weights, .. } = self;
        column.clear();
        column.extend((0..weights.len()).map(|j| covariance[end_of_row(i.max(j)) - i.abs_diff(j)]));
        let share = (variance - most) / variance / variance;
        let mut rest = covariance.as_mut_slice();
        for (j, &c_j) in column.iter().enumerate() {
            let (line, after) = rest.split_at_mut(j + 1);
            rest = after;
            if c_j != 0.0 {
                line.iter_mut().zip(&*column).for_each(|(p, c_k)| *p -= share * c_j * c_k);
            }
        }
        covariance[end_of_row(i)] = most;
    }

    /// Sets row and column `i` of the covariance to 0.
    fn isolate(&mut self, i: usize) {
        let start = end_of_row(i) - i;
        self.covariance[start..=start + i].fill(0.0);
        for j in i..self.weights.len() {
            self.covariance[end_of_row(j) - j + i] = 0.0;
        }
    }
}

/// Index of the diagonal's element `i` in the packed triangle.
fn end_of_row(i: usize) -> usize {
    i * (i + 3) / 2
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
        let reach = self.project();
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
        size_of::<Self>() + 3 * size_of_val(self.weights.as_slice()) + size_of_val(self.covariance.as_slice())
    }
}
