//! The linear model of a node, by recursive least squares.
//!
//! Invariant: the covariance is symmetric by construction (a packed lower triangle), and its diagonal is over 0 and no
//! larger than at the start, so directions that the samples never excite cannot wind up. What this does not do: bound
//! rows and targets, which the tree does.

use serde::{Deserialize, Serialize};

use super::{Params, WIDEST};

/// The variance of the intercept before anything was learned; that of the other weights follows from `regularization`.
const INTERCEPT: f64 = 1e3;

/// A number for each element of a row.
pub(super) type Row = [f64; WIDEST];

/// A linear model with what it knows about its own weights (Plackett 1950; forgetting: Ljung and Söderström 1983).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plane {
    /// The intercept's first.
    pub(super) weights: Vec<f64>,
    /// Lower triangle, row by row.
    covariance: Vec<f64>,
    /// Weight of the samples that it remembers: what the covariance is the inverse of, in samples.
    pub(super) mass: f64,
}

/// The diagonal's element `i` before anything was learned.
fn start(i: usize, params: &Params) -> f64 {
    if i == 0 { INTERCEPT } else { 1.0 / params.regularization }
}

/// Index of the diagonal's element `i` in the packed triangle.
fn diagonal(i: usize) -> usize {
    i * (i + 3) / 2
}

impl Plane {
    /// All weights 0.
    pub(super) fn new(width: usize, params: &Params) -> Self {
        let mut plane = Self::empty();
        plane.widen(width, params);
        plane
    }

    /// For no rows at all.
    pub(super) fn empty() -> Self {
        Self { weights: Vec::new(), covariance: Vec::new(), mass: 0.0 }
    }

    /// Makes room for rows of `width`; nothing is known of the new weights.
    pub(super) fn widen(&mut self, width: usize, params: &Params) {
        self.weights.reserve_exact(width.saturating_sub(self.weights.len()));
        self.covariance.reserve_exact(Self::triangle(width).saturating_sub(self.covariance.len()));
        for i in self.weights.len()..width {
            self.covariance.resize(diagonal(i), 0.0);
            self.covariance.push(start(i, params));
            self.weights.push(0.0);
        }
    }

    /// Numbers of the covariance of rows of `width`.
    pub(super) fn triangle(width: usize) -> usize {
        width * (width + 1) / 2
    }

    #[inline]
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        self.weights.iter().zip(row).map(|(w, x)| w * x).sum()
    }

    /// Learns a sample whose prediction was off by `error`, forgetting all before to the share of `forgetting`.
    pub(super) fn learn(&mut self, row: &[f64], error: f64, weight: f64, forgetting: f64, params: &Params) {
        let mut room = [0.0; WIDEST];
        let gain = &mut room[..row.len()];
        self.project(row, gain);
        // Rounding may leave it just below 0.
        let reach = row.iter().zip(&*gain).map(|(x, g)| x * g).sum::<f64>().max(0.0);
        let q = forgetting / weight + reach;
        let (step, root) = (error / q, 1.0 / q.sqrt());
        for (w, g) in self.weights.iter_mut().zip(gain.iter_mut()) {
            *w += step * *g;
            *g *= root;
        }
        let keep = 1.0 / forgetting;
        let mut rest = self.covariance.as_mut_slice();
        for (i, k_i) in gain.iter().enumerate() {
            let (line, after) = rest.split_at_mut(i + 1);
            rest = after;
            // k·kᵀ with k = gain/√q: exactly symmetric, which keeps it from diverging.
            line.iter_mut().zip(&*gain).for_each(|(p, k_j)| *p = (*p - k_i * k_j) * keep);
        }
        self.mass = forgetting * self.mass + weight;
        self.confine(params);
    }

    /// The covariance times `vector` into `product`.
    #[inline]
    pub(super) fn project(&self, vector: &[f64], product: &mut [f64]) {
        let mut rest = self.covariance.as_slice();
        for (i, &x) in vector.iter().enumerate() {
            let (line, after) = rest.split_at(i + 1);
            rest = after;
            let mut sum = line[i] * x;
            // Left of the diagonal an element counts for this row and, mirrored, for those above.
            for ((p, x_j), product_j) in line[..i].iter().zip(vector).zip(&mut *product) {
                sum += p * x_j;
                *product_j += p * x;
            }
            product[i] = sum;
        }
    }

    /// The variance of weight `i`.
    #[inline]
    pub(super) fn variance(&self, i: usize) -> f64 {
        self.covariance[diagonal(i)]
    }

    /// Brings the diagonal back to where it may be.
    #[inline]
    fn confine(&mut self, params: &Params) {
        for i in 0..self.weights.len() {
            let (variance, most) = (self.variance(i), start(i, params));
            if variance > most {
                self.scale(i, (most / variance).sqrt());
                self.covariance[diagonal(i)] = most;
            } else if variance <= 0.0 || variance.is_nan() {
                // Rounding has eaten it up: as unsure as at the start, and of nothing else.
                self.scale(i, 0.0);
                self.covariance[diagonal(i)] = most;
            }
        }
    }

    /// Multiplies row and column `i` of the covariance, the diagonal aside.
    #[cold]
    fn scale(&mut self, i: usize, factor: f64) {
        let times = |p: &mut f64| *p = if factor == 0.0 { 0.0 } else { *p * factor };
        self.covariance[diagonal(i) - i..diagonal(i)].iter_mut().for_each(times);
        for j in i + 1..self.weights.len() {
            times(&mut self.covariance[diagonal(j) - j + i]);
        }
    }

    /// Forgets weight `i`.
    pub(super) fn forget(&mut self, i: usize, params: &Params) {
        self.scale(i, 0.0);
        self.covariance[diagonal(i)] = start(i, params);
        self.weights[i] = 0.0;
    }

    /// Becomes less sure of all weights: adds `variance` to that of each.
    pub(super) fn loosen(&mut self, variance: f64, params: &Params) {
        (0..self.weights.len()).for_each(|i| self.covariance[diagonal(i)] += variance);
        self.confine(params);
    }

    /// Takes over another one's weights, moved by `step`, as if it remembered only `mass` of that one's samples, and a
    /// bit less sure of each weight.
    pub(super) fn inherit(&mut self, from: &Plane, step: &[f64], mass: f64, looser: f64, params: &Params) {
        self.weights.clear();
        self.weights.extend(from.weights.iter().zip(step).map(|(w, s)| w + s));
        let factor = (from.mass / mass).max(1.0);
        self.covariance.clear();
        self.covariance.extend(from.covariance.iter().map(|p| p * factor));
        self.mass = mass;
        self.loosen(looser, params);
    }

    pub(super) fn is_sound(&self, width: usize) -> bool {
        self.weights.len() == width
            && self.covariance.len() == Self::triangle(width)
            && self.weights.iter().chain(&self.covariance).all(|number| number.is_finite())
            && self.mass.is_finite()
            && self.mass >= 0.0
            && (0..width).all(|i| self.variance(i) > 0.0)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + size_of_val(self.covariance.as_slice())
    }
}
