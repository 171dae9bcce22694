//! The linear model of a node, by recursive least squares.
//!
//! Invariant: the covariance keeps within its bounds, so directions that the samples never excite cannot wind up. What
//! this does not do: bound rows and errors, which the trees do.

use serde::{Deserialize, Serialize};

use super::{MAX_ROW_WIDTH, Params};
use crate::{compact_vec::lengthen, least_squares::Covariance};
use thalweg_metrics::checked;

/// Variance of the intercept before anything was learned; that of the other weights follows from `regularization`.
const INTERCEPT_VARIANCE: f64 = 1e3;

/// A number for each element of a row.
pub(super) type Row = [f64; MAX_ROW_WIDTH];

/// A linear model with the covariance of its weights (Plackett 1950, "Some theorems in least squares"; forgetting:
/// Ljung and Söderström 1983, "Theory and practice of recursive identification").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plane {
    /// Weights, the intercept first.
    pub(super) weights: Vec<f64>,
    covariance: Covariance,
    /// Total weight of the samples that weights and covariance remember.
    pub(super) mass: f64,
}

checked!(Plane { weights, covariance, mass });

/// Returns the variance of weight `i` before anything was learned.
fn prior_variance(i: usize, params: &Params) -> f64 {
    if i == 0 { INTERCEPT_VARIANCE } else { 1.0 / params.regularization }
}

impl Plane {
    /// Returns a model whose weights are all 0.
    pub(super) fn new(width: usize, params: &Params) -> Self {
        let covariance = Covariance::with_diagonal((0..width).map(|i| prior_variance(i, params)));
        Self { weights: vec![0.0; width], covariance, mass: 0.0 }
    }

    /// Extends to rows of `width`; nothing is known of the new weights.
    pub(super) fn widen(&mut self, width: usize, params: &Params) {
        lengthen(&mut self.weights, width, 0.0);
        self.covariance.reserve(width);
        (self.covariance.len()..width).for_each(|i| self.covariance.push(prior_variance(i, params)));
    }

    #[inline]
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        self.weights.iter().zip(row).map(|(w, x)| w * x).sum()
    }

    /// Learns a sample whose prediction was off by `error`, and keeps the share `forgetting` of all before it. `gain`
    /// is a buffer.
    pub(super) fn learn(
        &mut self,
        row: &[f64],
        error: f64,
        weight: f64,
        forgetting: f64,
        params: &Params,
        gain: &mut Vec<f64>,
    ) {
        // Rounding may leave it just below 0.
        let reach = self.covariance.project(row, gain).max(0.0);
        let q = forgetting / weight + reach;
        let step = error / q;
        self.weights.iter_mut().zip(&*gain).for_each(|(w, g)| *w += step * g);
        self.covariance.shrink(gain, q, forgetting);
        self.covariance.confine(|i| prior_variance(i, params), gain);
        self.mass = forgetting * self.mass + weight;
    }

    /// Writes the covariance times `vector` to `product`. Returns the dot product of that and `vector`.
    #[inline]
    pub(super) fn project(&self, vector: &[f64], product: &mut Vec<f64>) -> f64 {
        self.covariance.project(vector, product)
    }

    /// Returns the variance of weight `i`.
    #[inline]
    pub(super) fn variance(&self, i: usize) -> f64 {
        self.covariance.diagonal(i)
    }

    /// Forgets weight `i`.
    pub(super) fn forget(&mut self, i: usize, params: &Params) {
        self.weights[i] = 0.0;
        self.covariance.isolate(i, prior_variance(i, params));
    }

    /// Adds `variance` to that of each weight.
    pub(super) fn add_variance(&mut self, variance: f64, params: &Params) {
        self.covariance.loosen(variance);
        let mut buffer: Row = [0.0; MAX_ROW_WIDTH];
        self.covariance.confine(|i| prior_variance(i, params), &mut buffer);
    }

    /// Copies the weights of `from`, moved by `step`, as if it remembered only `mass` of the samples, and adds
    /// `added_variance` to that of each weight. Both have equally many weights.
    pub(super) fn inherit(&mut self, from: &Plane, step: &[f64], mass: f64, added_variance: f64, params: &Params) {
        for ((own, w), s) in self.weights.iter_mut().zip(&from.weights).zip(step) {
            *own = w + s;
        }
        self.covariance.copy(&from.covariance);
        let factor = (from.mass / mass).max(1.0).sqrt();
        self.covariance.scale(&[factor; MAX_ROW_WIDTH]);
        self.mass = mass;
        self.add_variance(added_variance, params);
    }

    /// Returns whether a restored model is valid for rows of `width`.
    pub(super) fn fits(&self, width: usize) -> bool {
        self.weights.len() == width && self.covariance.len() == width && self.mass >= 0.0
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + self.covariance.heap_bytes()
    }
}
