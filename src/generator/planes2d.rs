//! Two planes in one stream (Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Source, numbered};

/// x0 is −1 or 1, x1 to x9 are −1, 0 or 1; the plane is 3 + 3 x1 + 2 x2 + x3 where x0 = 1, else −3 + 3 x4 + 2 x5 + x6.
pub(super) struct Planes2d;

impl Source for Planes2d {
    fn features(&self) -> Vec<String> {
        numbered(10)
    }

    fn draw(&mut self, _: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        x.push(if rng.random::<bool>() { 1.0 } else { -1.0 });
        x.extend((1..10).map(|_| f64::from(rng.random_range(-1..=1_i32))));
    }

    fn target(&self, _: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        if x[0] == 1.0 { 3.0 + 3.0 * x[1] + 2.0 * x[2] + x[3] } else { -3.0 + 3.0 * x[4] + 2.0 * x[5] + x[6] }
    }
}
