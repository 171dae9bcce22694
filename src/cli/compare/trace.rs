//! Trace of a run for plots and tests, in bounded memory however long the run.

use std::collections::VecDeque;

use crate::metrics::significance::Blocks;

/// Least number of points of a curve and of a scatter plot, once there are that many; the most is twice as many.
const MIN_CURVE_POINTS: usize = 400;
const MIN_SCATTER_POINTS: usize = 300;

/// Number of newest samples that are kept one by one.
const LATEST_SAMPLES: usize = 160;

/// Trace of a run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Squared errors.
    pub(super) losses: Blocks,
    pub(super) curve: Curve,
    /// Targets and predictions over the whole run, evenly thinned.
    pub(super) scatter: Thinned,
    /// The newest records: number, target, prediction.
    pub(super) latest: VecDeque<(u64, f64, f64)>,
}

impl Trace {
    /// Takes a scored sample, the `record`-th of its stream.
    pub(super) fn update(&mut self, record: u64, y: f64, prediction: f64) {
        self.losses.update((y - prediction) * (y - prediction));
        self.scatter.update((y, prediction));
        if self.latest.len() == LATEST_SAMPLES {
            self.latest.pop_front();
        }
        self.latest.push_back((record, y, prediction));
    }
}

/// Curve of an error over time: of every few readings it keeps the least and the greatest, so that no peak is lost.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) bins: Vec<Bin>,
    /// Readings in each bin.
    per_bin: u32,
    /// Readings in the last bin.
    last: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// Record of its first reading.
    pub(super) at: u64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { bins: Vec::new(), per_bin: 1, last: 1 }
    }
}

impl Curve {
    /// Adds the error after so many records.
    pub(super) fn update(&mut self, record: u64, error: f64) {
        if let Some(bin) = self.bins.last_mut().filter(|_| self.last < self.per_bin) {
            (bin.low, bin.high) = (bin.low.min(error), bin.high.max(error));
            self.last += 1;
            return;
        }
        if self.bins.len() == 2 * MIN_CURVE_POINTS {
            let joined = |pair: &[Bin]| Bin {
                at: pair[0].at,
                low: pair[0].low.min(pair[1].low),
                high: pair[0].high.max(pair[1].high),
            };
            self.bins = self.bins.chunks_exact(2).map(joined).collect();
            self.per_bin *= 2;
        }
        self.bins.push(Bin { at: record, low: error, high: error });
        self.last = 1;
    }
}

/// Every n-th point of a series, where n doubles as the series grows.
#[derive(Debug)]
pub(super) struct Thinned {
    pub(super) kept: Vec<(f64, f64)>,
    stride: u64,
    seen: u64,
}

impl Default for Thinned {
    fn default() -> Self {
        Self { kept: Vec::new(), stride: 1, seen: 0 }
    }
}

impl Thinned {
    fn update(&mut self, pair: (f64, f64)) {
        if self.seen.is_multiple_of(self.stride) {
            if self.kept.len() == 2 * MIN_SCATTER_POINTS {
                self.kept = self.kept.iter().step_by(2).copied().collect();
                self.stride *= 2;
            }
            // It stays on the grid after the stride has grown: the length was even.
            self.kept.push(pair);
        }
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_peaks_and_its_place_however_long_it_is() {
        let mut curve = Curve::default();
        for i in 0..100_000_u64 {
            curve.update(i, if i == 77_777 { 9.0 } else { 1.0 });
        }
        assert!((MIN_CURVE_POINTS..=2 * MIN_CURVE_POINTS).contains(&curve.bins.len()), "{}", curve.bins.len());
        let peak: Vec<&Bin> = curve.bins.iter().filter(|bin| bin.high > 1.0).collect();
        assert_eq!(peak.len(), 1);
        assert!(peak[0].at <= 77_777 && 77_777 - peak[0].at < 256 && peak[0].low == 1.0, "{peak:?}");
        assert!(curve.bins.is_sorted_by_key(|bin| bin.at) && curve.bins[0].at == 0);
    }

    #[test]
    fn a_series_is_thinned_evenly() {
        let mut series = Thinned::default();
        (0..50_000_u32).for_each(|i| series.update((f64::from(i), 0.0)));
        let steps: Vec<f64> = series.kept.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!((MIN_SCATTER_POINTS..=2 * MIN_SCATTER_POINTS).contains(&series.kept.len()), "{}", series.kept.len());
        assert!(steps.iter().all(|step| *step == steps[0]), "{steps:?}");
    }
}
