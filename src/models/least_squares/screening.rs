//! Chooses the features that take part where there are fewer places than features.
//!
//! Invariant: a feature loses its place only to one whose correlation is clearly larger, beyond what chance gives with
//! so few samples, so that places keep their meaning on a stream that does not change.

use serde::{Deserialize, Serialize};

use crate::compact_vec::lengthen;
use thalweg_metrics::checked;

/// Number of samples that the correlations look back.
const WINDOW_SAMPLES: f64 = 1000.0;

/// Number of samples between two exchanges at least.
const EXCHANGE_INTERVAL: u64 = 25;

/// Number of samples before the first exchange.
const WARM_UP_SAMPLES: u64 = 100;

/// A feature replaces another whose worth it exceeds this many times, plus this many variances of a correlation.
const MIN_ADVANTAGE: (f64, f64) = (2.0, 6.0);

/// Deviations of the target from its mean are clipped at this many standard deviations.
const MAX_TARGET_DEVIATIONS: f64 = 4.0;

/// Correlations of standardised features, and of their squares, with the target (sure independence screening: Fan and Lv
/// 2008), faded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Screening {
    n: u64,
    /// Faded mean of the target.
    mean: f64,
    variance: f64,
    /// Correlation of each feature with the target; of its square in the next list.
    linear: Vec<f64>,
    square: Vec<f64>,
}

checked!(Screening { n, mean, variance, linear, square } then fits);

impl Screening {
    fn fits(&self) -> Result<(), &'static str> {
        if self.linear.len() != self.square.len() {
            return Err("a screening of features knows one correlation of a feature, but not the other");
        }
        Ok(())
    }
}

impl Screening {
    /// Returns the number of features that it has seen.
    pub(crate) fn len(&self) -> usize {
        self.linear.len()
    }

    /// Learns a row of standardised features, of which 0 is as good as unknown, with its target.
    pub(crate) fn learn(&mut self, z: impl ExactSizeIterator<Item = f64>, y: f64) {
        self.n += 1;
        let rate = self.rate();
        let off = y - self.mean;
        self.mean += rate * off;
        self.variance += rate * (off * (y - self.mean) - self.variance);
        for list in [&mut self.linear, &mut self.square] {
            lengthen(list, z.len(), 0.0);
        }
        let deviation = self.variance.sqrt();
        // Also false of NaN.
        let share =
            if deviation > 0.0 { (off / deviation).clamp(-MAX_TARGET_DEVIATIONS, MAX_TARGET_DEVIATIONS) } else { 0.0 };
        for ((z, linear), square) in z.zip(&mut self.linear).zip(&mut self.square) {
            *linear += rate * (z * share - *linear);
            *square += rate * (0.7 * (z * z - 1.0) * share - *square);
        }
    }

    /// Returns a place and the feature that it is to hold from now on, if an exchange is due; `places` holds the
    /// features that have a place now.
    pub(crate) fn exchange(&self, places: &[usize]) -> Option<(usize, usize)> {
        if self.n < WARM_UP_SAMPLES || !self.n.is_multiple_of(EXCHANGE_INTERVAL) {
            return None;
        }
        let worth = |i: usize| {
            let of = |list: &[f64]| list.get(i).copied().unwrap_or_default();
            of(&self.linear) * of(&self.linear) + of(&self.square) * of(&self.square)
        };
        let weakest = (0..places.len()).min_by(|a, b| worth(places[*a]).total_cmp(&worth(places[*b])))?;
        let outside = (0..self.linear.len()).filter(|i| !places.contains(i));
        let strongest = outside.max_by(|a, b| worth(*a).total_cmp(&worth(*b)))?;
        let (times, variances) = MIN_ADVANTAGE;
        let better = worth(strongest) > times * worth(places[weakest]) + variances * self.rate();
        better.then_some((weakest, strongest))
    }

    /// Forgets feature `i`, which is another one from now on.
    pub(crate) fn renew(&mut self, i: usize) {
        for list in [&mut self.linear, &mut self.square] {
            if let Some(correlation) = list.get_mut(i) {
                *correlation = 0.0;
            }
        }
    }

    fn rate(&self) -> f64 {
        1.0 / (self.n as f64).min(WINDOW_SAMPLES)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        2 * size_of_val(self.linear.as_slice())
    }
}
