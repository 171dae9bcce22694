//! Generates three values that diverge by design.

use rand_chacha::ChaCha8Rng;

use super::{Source, numbered};

const GROWTH: [f64; 3] = [1.4, 1.2, 1.3];

/// x0, x1 and x2 start at 1 and are multiplied by 1.4, 1.2 and 1.3 at each step; the target is their sum. x0 overflows
/// to infinity after about 2,100 steps and stays there, which is what a consumer has to survive.
pub(super) struct Geometric {
    index: u64,
    values: [f64; 3],
}

impl Default for Geometric {
    fn default() -> Self {
        Self { index: 0, values: [1.0; 3] }
    }
}

impl Source for Geometric {
    fn features(&self) -> Vec<String> {
        numbered(GROWTH.len())
    }

    fn draw(&mut self, index: u64, _: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        if index < self.index {
            *self = Self::default();
        }
        // Step by step, since a power has other bits than repeated multiplication; at most until all have overflowed.
        while self.index < index && self.values.iter().any(|value| value.is_finite()) {
            for (value, growth) in self.values.iter_mut().zip(GROWTH) {
                *value *= growth;
            }
            self.index += 1;
        }
        self.index = index;
        x.extend(self.values);
    }

    fn target(&self, _: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        x.iter().sum()
    }
}
