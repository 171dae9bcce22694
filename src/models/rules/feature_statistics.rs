//! Statistics of the features of the samples that a rule covers, and the distance of a sample from them.
//!
//! Invariant: statistics are finite: values that are unknown, or beyond [`MAX_VALUE`], are not counted.

use serde::{Deserialize, Serialize};

use crate::Features;
use thalweg_metrics::checked;
use thalweg_metrics::statistics::Var;

/// Values beyond this, either way, are not counted: the squares of smaller ones can be summed up for ever.
const MAX_VALUE: f64 = 1e100;

/// Products of odds are kept between this and its inverse, where one more factor neither overflows nor vanishes.
const MIN_ODDS: f64 = 1e-200;

/// Mean and variance of each numeric feature, by column.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FeatureStatistics {
    features: Vec<Var>,
}

checked!(FeatureStatistics { features });

impl FeatureStatistics {
    #[inline]
    pub(super) fn update(&mut self, x: Features<'_>, weight: f64) {
        if self.features.len() < x.len() {
            self.features.resize(x.len(), Var::default());
        }
        for (i, (feature, &value)) in self.features.iter_mut().zip(x.values()).enumerate() {
            // False of NaN.
            if value.abs() <= MAX_VALUE && !x.is_nominal(i) {
                feature.update(value, weight);
            }
        }
    }

    /// Returns the mean, over the features that are more than a standard deviation off, of the log odds of being so far
    /// off by the one-sided inequality of Chebyshev (Cantelli): 0 where there are none, −∞ where a distance overflows.
    ///
    /// With p = 2v / (v + d²) for a value at distance d from the mean of variance v, the odds p / (1 − p) are
    /// 2v / (d² − v). They are multiplied, to take one logarithm instead of two a feature.
    #[inline]
    pub(super) fn score(&self, x: Features<'_>) -> f64 {
        let (mut log, mut odds, mut n) = (0.0, 1.0, 0.0);
        for (i, (feature, &value)) in self.features.iter().zip(x.values()).enumerate() {
            let distance = value - feature.mean;
            // Both times n − 1.
            let (variance, square) = (feature.s, distance * distance * (feature.n - 1.0));
            // False of NaN, and where nothing varies.
            if variance > 0.0 && feature.n > 1.0 && square > variance && !x.is_nominal(i) {
                odds *= 2.0 * variance / (square - variance);
                n += 1.0;
                if !(MIN_ODDS..=1.0 / MIN_ODDS).contains(&odds) {
                    log += odds.ln();
                    odds = 1.0;
                }
            }
        }
        if n > 0.0 { (log + f64::ln(odds)) / n } else { 0.0 }
    }

    /// Resets the statistics and keeps the buffer.
    pub(super) fn clear(&mut self) {
        self.features.fill(Var::default());
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.features.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[f64]) -> FeatureStatistics {
        let mut usual = FeatureStatistics::default();
        values.iter().for_each(|value| usual.update(Features::new(&[*value, 1.0]), 1.0));
        usual
    }

    #[test]
    fn the_score_is_the_mean_log_odds_of_what_is_off() {
        let usual = seen(&[-1.0, 0.0, 1.0, 0.0, 0.0]);
        // Mean 0, variance 1/2.
        let score = |value: f64| usual.score(Features::new(&[value, 1.0]));
        for value in [0.9_f64, 2.0, 5.0] {
            let p: f64 = 1.0 / (0.5 + value * value);
            let expected = p.ln() - (1.0 - p).ln();
            assert!((score(value) - expected).abs() < 1e-12, "{value}: {} for {expected}", score(value));
        }
        assert_eq!([score(0.0), score(0.5), score(f64::NAN)], [0.0; 3], "less than a standard deviation off");
        assert_eq!(score(1e200), f64::NEG_INFINITY);
    }

    #[test]
    fn many_features_far_off_do_not_vanish() {
        let mut usual = FeatureStatistics::default();
        for value in [-1.0, 1.0, 0.0] {
            usual.update(Features::new(&[value; 100]), 1.0);
        }
        let (one, all) = (usual.score(Features::new(&[1e30])), usual.score(Features::new(&[1e30; 100])));
        assert!((one - all).abs() < 1e-9 && one < -100.0, "{one}, {all}");
    }

    #[test]
    fn a_value_beyond_bounds_leaves_no_trace() {
        let mut usual = seen(&[1.0, 2.0, 3.0]);
        let before = usual.features.clone();
        usual.update(Features::new(&[1e300, f64::NAN]), 1.0);
        assert_eq!(usual.features, before);
    }
}
