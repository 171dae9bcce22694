//! KSWIN: tests if the latest values come from the same distribution as those before them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::checked;

/// Parameters of [`Kswin`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KswinParams {
    /// Chance of a false alarm at each value, 0 < `alpha` < 1.
    pub alpha: f64,
    /// Number of values that are kept, ≥ 2 · `stat_size`.
    pub window_size: u32,
    /// Number of values on either side of the test, ≥ 1.
    pub stat_size: u32,
    /// Seed of the draws from the older values.
    pub seed: u64,
}

impl Default for KswinParams {
    fn default() -> Self {
        Self { alpha: 0.005, window_size: 100, stat_size: 30, seed: 42 }
    }
}

/// Kolmogorov-Smirnov windowing (Raab, Heusinger and Schleif 2020, "Reactive soft prototype computing for concept drift
/// streams"): the latest `stat_size` values against as many drawn, without repetition, from the older ones of the window.
/// The p-value is exact (Gnedenko and Korolyuk 1951), and as in River a distance of 0.1 or less never counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kswin {
    params: KswinParams,
    /// Latest values, oldest first.
    window: Vec<f64>,
    rng: ChaCha8Rng,
    /// Minimum number of steps of 1 / `stat_size` by which the distributions must differ.
    critical: u32,
    detected: bool,
    #[serde(skip)]
    older: Vec<f64>,
    #[serde(skip)]
    latest: Vec<f64>,
}

checked!(KswinParams { alpha, window_size, stat_size, seed: any });

checked!(Kswin { params, window, rng, critical, detected, older: skipped, latest: skipped } then fits);

impl Kswin {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { params, window, detected, .. } = self;
        let (n, size) = (params.stat_size as usize, params.window_size as usize);
        if n == 0 || size / 2 < n {
            return Err("the window of a KSWIN is too small for its test");
        }
        if window.len() > size || *detected && window.len() < size {
            return Err("a KSWIN holds another number of values than its window");
        }
        Ok(())
    }

    /// Makes a detector that has seen nothing.
    pub fn new(params: KswinParams) -> Self {
        let n = params.stat_size;
        let counts = |k: &u32| p_value(*k, n) <= params.alpha && f64::from(*k) / f64::from(n) > 0.1;
        Self {
            params,
            window: Vec::with_capacity(params.window_size as usize),
            rng: ChaCha8Rng::seed_from_u64(params.seed),
            critical: (1..=n).find(counts).unwrap_or(n + 1),
            detected: false,
            older: Vec::new(),
            latest: Vec::new(),
        }
    }

    /// Returns the bytes on the heap: the window and, once it has been full, buffers for the older values of a test and
    /// for the latest.
    pub(super) fn heap_bytes(&self) -> usize {
        let full = self.window.len() == self.params.window_size as usize;
        (1 + usize::from(full)) * self.params.window_size as usize * size_of::<f64>()
    }

    /// Returns the means of the older values in the window and of the latest `stat_size`; 0 of none.
    pub(super) fn means(&self) -> [f64; 2] {
        let older = self.window.len().saturating_sub(self.params.stat_size as usize);
        let (older, latest) = self.window.split_at(older);
        [older, latest].map(|values| values.iter().sum::<f64>() / values.len().max(1) as f64)
    }

    /// Takes the next value; returns true if the distribution has changed. A value that is not finite is skipped.
    pub fn update(&mut self, value: f64) -> bool {
        let (n, size) = (self.params.stat_size as usize, self.params.window_size as usize);
        if self.detected {
            // The latest values are the new distribution.
            self.window.drain(..self.window.len() - n);
            self.detected = false;
        }
        if !value.is_finite() {
            return false;
        }
        if self.window.len() == size {
            self.window.remove(0);
        }
        self.window.push(value);
        if self.window.len() < size {
            return false;
        }
        let (older, latest) = self.window.split_at(size - n);
        self.latest.clear();
        self.latest.extend_from_slice(latest);
        self.older.clear();
        self.older.extend_from_slice(older);
        for i in 0..n {
            let j = self.rng.random_range(i..self.older.len());
            self.older.swap(i, j);
        }
        self.older.truncate(n);
        self.detected = steps_apart(&mut self.older, &mut self.latest) >= self.critical;
        self.detected
    }
}

/// Returns the largest difference of two equally large samples' empirical distributions, in steps of one value. Sorts
/// both.
fn steps_apart(a: &mut [f64], b: &mut [f64]) -> u32 {
    a.sort_unstable_by(f64::total_cmp);
    b.sort_unstable_by(f64::total_cmp);
    let (mut i, mut j, mut most) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        let at = a[i].min(b[j]);
        while a.get(i).is_some_and(|value| *value <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|value| *value <= at) {
            j += 1;
        }
        most = most.max(i.abs_diff(j));
    }
    most as u32
}

/// Returns the chance that two samples of `n` values from one distribution differ by `k` steps or more.
fn p_value(k: u32, n: u32) -> f64 {
    // Σ over j of ± 2 · C(2n, n − jk) / C(2n, n), each ratio from its factors.
    let mut p = 0.0;
    let mut sign = 1.0;
    let mut j = k;
    while j <= n && j > 0 {
        let ratio: f64 = (0..j).map(|i| f64::from(n - i) / f64::from(n + j - i)).product();
        p += sign * 2.0 * ratio;
        sign = -sign;
        j += k;
    }
    p.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p_value_is_that_of_the_exact_test() {
        // scipy.stats.ks_2samp(…, method="exact") of samples of 30, one shifted by 10, 13 and 15 places.
        for (k, expected) in
            [(10, 0.070_887_987_871_144_39), (13, 0.006_548_396_368_058_784), (15, 0.000_899_577_684_017_679_9)]
        {
            let p = p_value(k, 30);
            assert!((p - expected).abs() < 1e-12, "{k}: {p}");
        }
        assert_eq!(p_value(1, 1), 1.0);
    }

    #[test]
    fn the_distance_is_the_largest_gap_whatever_the_order_and_the_ties() {
        assert_eq!(steps_apart(&mut [3.0, 1.0, 2.0], &mut [6.0, 4.0, 5.0]), 3);
        assert_eq!(steps_apart(&mut [1.0, 1.0, 2.0], &mut [1.0, 2.0, 2.0]), 1);
        assert_eq!(steps_apart(&mut [1.0, 1.0], &mut [1.0, 1.0]), 0);
    }
}
