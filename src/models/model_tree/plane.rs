//! The linear model of a node, by recursive least squares.
//!
//! Invariant: the covariance keeps within its bounds, so directions that the samples never excite cannot wind up. What
//! this does not do: bound rows and errors, which the trees do.

use serde::{Deserialize, Serialize};

use super::{Params, WIDEST};
use crate::{compact_vec::lengthen, least_squares::Covariance};
use thalweg_metrics::checked;

/// The variance of the intercept before anything was learned; that of the other weights follows from `regularization`.
const INTERCEPT: f64 = 1e3;

/// A number for each element of a row.
pub(super) type Row = [f64; WIDEST];

/// A linear model with what it knows about its own weights (Plackett 1950, "Some theorems in least squares"; forgetting:
/// Ljung and Söderström 1983, "Theory and practice of recursive identification").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plane {
    /// The intercept's first.
    pub(super) weights: Vec<f64>,
    covariance: Covariance,
    /// Weight of the samples that it remembers: what the covariance is the inverse of, in samples.
    pub(super) mass: f64,
}

checked!(Plane { weights, covariance, mass });

/// The variance of weight `i` before anything was learned.
fn start(i: usize, params: &Params) -> f64 {
    if i == 0 { INTERCEPT } else { 1.0 / params.regularization }
}

impl Plane {
    /// All weights 0.
    pub(super) fn new(width: usize, params: &Params) -> Self {
        let covariance = Covariance::with_diagonal((0..width).map(|i| start(i, params)));
        Self { weights: vec![0.0; width], covariance, mass: 0.0 }
    }

    /// Makes room for rows of `width`; nothing is known of the new weights.
    pub(super) fn widen(&mut self, width: usize, params: &Params) {
        lengthen(&mut self.weights, width, 0.0);
        self.covariance.reserve(width);
        (self.covariance.len()..width).for_each(|i| self.covariance.push(start(i, params)));
    }

    #[inline]
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        self.weights.iter().zip(row).map(|(w, x)| w * x).sum()
    }

    /// Learns a sample whose prediction was off by `error`, and forgets all before it to the share of `forgetting`.
    /// `gain` is room to work in.
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
        self.covariance.confine(|i| start(i, params), gain);
        self.mass = forgetting * self.mass + weight;
    }

    /// The covariance times `vector` into `product`; what that and `vector` make.
    #[inline]
    pub(super) fn project(&self, vector: &[f64], product: &mut Vec<f64>) -> f64 {
        self.covariance.project(vector, product)
    }

    /// The variance of weight `i`.
    #[inline]
    pub(super) fn variance(&self, i: usize) -> f64 {
        self.covariance.diagonal(i)
    }

    /// Forgets weight `i`.
    pub(super) fn forget(&mut self, i: usize, params: &Params) {
        self.weights[i] = 0.0;
        self.covariance.isolate(i, start(i, params));
    }

    /// Becomes less sure of all weights: adds `variance` to that of each.
    pub(super) fn loosen(&mut self, variance: f64, params: &Params) {
        self.covariance.loosen(variance);
        let mut room: Row = [0.0; WIDEST];
        self.covariance.confine(|i| start(i, params), &mut room);
    }

    /// Takes over another one's weights, moved by `step`, as if it remembered only `mass` of that one's samples, and a
    /// bit less sure of each weight. Both have equally many.
    pub(super) fn inherit(&mut self, from: &Plane, step: &[f64], mass: f64, looser: f64, params: &Params) {
        for ((own, w), s) in self.weights.iter_mut().zip(&from.weights).zip(step) {
            *own = w + s;
        }
        self.covariance.copy(&from.covariance);
        let factor = (from.mass / mass).max(1.0).sqrt();
        self.covariance.scale(&[factor; WIDEST]);
        self.mass = mass;
        self.loosen(looser, params);
    }

    /// Whether a saved one may be a node's, for rows of `width`.
    pub(super) fn fits(&self, width: usize) -> bool {
        self.weights.len() == width && self.covariance.len() == width && self.mass >= 0.0
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + self.covariance.heap_bytes()
    }
}
