//! Friedman's function (Multivariate Adaptive Regression Splines, 1991).

use std::f64::consts::PI;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Source, numbered};

/// 10 sin(π x0 x1) + 20 (x2 − ½)² + 10 x3 + 5 x4, features x0 to x9 uniform in [0, 1).
pub(super) struct Friedman;

impl Source for Friedman {
    fn features(&self) -> Vec<String> {
        numbered(10)
    }

    fn draw(&mut self, _: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        draw(rng, x);
    }

    fn target(&self, _: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        concept(x, [0, 1, 2, 3, 4])
    }
}

/// Draws ten features, uniform in [0, 1).
pub(super) fn draw(rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
    x.extend((0..10).map(|_| rng.random::<f64>()));
}

/// Computes the function with its five features in the given roles.
pub(super) fn concept(x: &[f64], roles: [usize; 5]) -> f64 {
    let [a, b, c, d, e] = roles.map(|i| x[i]);
    10.0 * (PI * a * b).sin() + 20.0 * (c - 0.5) * (c - 0.5) + 10.0 * d + 5.0 * e
}
