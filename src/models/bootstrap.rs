//! Online bagging: the number of times a sample counts in one of many draws with replacement (Oza and Russell 2001).
//!
//! Invariant: the same seed gives the same counts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Draws counts from a Poisson distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bootstrap {
    rate: f64,
    rng: ChaCha8Rng,
}

checked!(Bootstrap { rate, rng });

impl Bootstrap {
    /// Largest count drawn: a larger one is practically impossible for any rate up to [`Self::MAX_RATE`].
    pub(super) const MAX_COUNT: u32 = 200;

    /// Largest mean count supported.
    pub(super) const MAX_RATE: f64 = 50.0;

    /// Returns a source of counts with the mean `rate`, over 0 and at most [`Self::MAX_RATE`].
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        Self { rate, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Draws the next count: the inverse of the distribution function at a uniform draw.
    pub(super) fn count(&mut self) -> u32 {
        let draw: f64 = self.rng.random();
        let mut chance = (-self.rate).exp();
        let mut below = chance;
        let mut count = 0;
        while draw >= below && count < Self::MAX_COUNT {
            count += 1;
            chance *= self.rate / f64::from(count);
            below += chance;
        }
        count
    }

    /// Draws a seed for another random generator.
    pub(super) fn seed(&mut self) -> u64 {
        self.rng.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_variance_of_their_rate() {
        for rate in [0.5, 1.0, 6.0, 50.0] {
            let mut bootstrap = Bootstrap::new(rate, 7);
            let n = 100_000;
            let counts: Vec<f64> = (0..n).map(|_| f64::from(bootstrap.count())).collect();
            let mean = counts.iter().sum::<f64>() / f64::from(n);
            let variance = counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / f64::from(n);
            assert!((mean - rate).abs() < 0.02 * rate.max(1.0), "mean {mean} of {rate}");
            assert!((variance - rate).abs() < 0.03 * rate.max(1.0), "variance {variance} of {rate}");
        }
    }
}
