//! Divides a run's losses into a few long stretches, so that their autocorrelation stays inside and stretches can be
//! compared as if they were independent.
//!
//! Ibragimov and Müller (t-statistic based correlation and heterogeneity robust inference, 2010): a t-test over the means
//! of q groups holds its level up to 8.3 % however much variances differ from group to group, as they do where a drift
//! falls into some of them. What is tested is Diebold and Mariano's question (1995): is the mean loss difference 0?

/// Number of stretches of a run that are compared.
pub const BLOCKS: usize = 16;

/// Minimum number of losses in a stretch, so that its mean is meaningful.
const MIN_LOSSES_PER_BLOCK: u64 = 8;

/// Number of chunks that are kept; twice as many before they are joined in pairs.
const CHUNKS: usize = 1024;

/// Losses of a run whose length is not known beforehand, in bounded memory.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// Number of losses in each closed chunk.
    per_chunk: u64,
    /// Means of the closed chunks.
    means: Vec<f64>,
    open: f64,
    open_count: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { per_chunk: 1, means: Vec::new(), open: 0.0, open_count: 0 }
    }
}

impl Blocks {
    /// Takes the next loss.
    pub fn update(&mut self, loss: f64) {
        self.open_count += 1;
        // A mean, because a sum could overflow where no single loss does.
        self.open += (loss - self.open) / self.open_count as f64;
        if self.open_count == self.per_chunk {
            self.means.push(self.open);
            (self.open, self.open_count) = (0.0, 0);
            if self.means.len() == 2 * CHUNKS {
                self.means = self.means.chunks_exact(2).map(|pair| 0.5 * pair[0] + 0.5 * pair[1]).collect();
                self.per_chunk *= 2;
            }
        }
    }

    /// Returns the number of losses taken.
    pub fn len(&self) -> u64 {
        self.means.len() as u64 * self.per_chunk + self.open_count
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the mean loss of each of [`BLOCKS`] stretches, as equal as chunks allow; `None` if they would be too
    /// short. Runs of the same length are cut at the same places.
    pub fn means(&self) -> Option<Vec<f64>> {
        if self.len() < MIN_LOSSES_PER_BLOCK * BLOCKS as u64 {
            return None;
        }
        let n = self.means.len();
        let mean = |block: usize| {
            let chunks = &self.means[block * n / BLOCKS..(block + 1) * n / BLOCKS];
            chunks.iter().zip(1_u32..).fold(0.0, |mean, (chunk, count)| mean + (chunk - mean) / f64::from(count))
        };
        Some((0..BLOCKS).map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_means_of_their_own_losses_however_long_the_run() {
        for n in [128_u32, 1_000, 2_048, 5_000, 100_000] {
            let mut blocks = Blocks::default();
            (0..n).for_each(|i| blocks.update(f64::from(i)));
            assert_eq!(blocks.len(), u64::from(n));
            let means = blocks.means().expect("long enough");
            assert_eq!(means.len(), BLOCKS);
            let width = f64::from(n) / BLOCKS as f64;
            for (i, mean) in means.iter().enumerate() {
                let middle = (i as f64 + 0.5) * width;
                assert!((mean - middle).abs() <= 0.1 * width, "{n}, stretch {i}: {mean}, not {middle}");
            }
        }
    }

    #[test]
    fn a_run_that_is_too_short_is_not_judged() {
        let mut blocks = Blocks::default();
        (0..127).for_each(|_| blocks.update(1.0));
        assert!(blocks.means().is_none());
        blocks.update(1.0);
        assert!(blocks.means().is_some());
    }

    #[test]
    fn losses_near_the_largest_number_do_not_overflow() {
        let mut blocks = Blocks::default();
        (0..10_000).for_each(|_| blocks.update(1.7e308));
        let means = blocks.means().expect("long enough");
        assert!(means.iter().all(|mean| (mean / 1.7e308 - 1.0).abs() < 1e-9), "{means:?}");
    }

    /// The level, on losses as autocorrelated as those after a drift: a test that took them for independent would find a
    /// difference nearly always.
    #[test]
    fn autocorrelated_losses_without_a_difference_pass_as_noise() {
        let mut state = 42_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let runs = 400;
        let found = (0..runs).filter(|_| {
            let (mut blocks, mut level) = (Blocks::default(), 0.0);
            for _ in 0..8_000 {
                level = 0.99 * level + uniform();
                blocks.update(level);
            }
            super::super::paired(&blocks.means().expect("long enough")).expect("finite").p < 0.05
        });
        let share = found.count() as f64 / f64::from(runs);
        assert!((0.02..0.13).contains(&share), "{share}");
    }
}
