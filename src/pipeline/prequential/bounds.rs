//! Bounds of the target, where they are known: no prediction lies beyond them.
//!
//! A target beyond the bounds is scored and learned as it is: it happened, so the bounds are wrong.

use super::Config;
use thalweg_metrics::Interval;

/// Least and greatest value of the target, infinite where none is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    least: f64,
    greatest: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { least: f64::NEG_INFINITY, greatest: f64::INFINITY }
    }
}

impl Bounds {
    pub(super) fn of(config: &Config) -> Self {
        let none = Self::default();
        let (least, greatest) = (config.target_min.unwrap_or(none.least), config.target_max.unwrap_or(none.greatest));
        // The settings are checked; bounds that exclude every value are ignored.
        if least <= greatest { Self { least, greatest } } else { none }
    }

    /// Returns the nearest value that the target can have.
    #[inline]
    pub(super) fn cut(self, prediction: f64) -> f64 {
        if prediction < self.least {
            self.least
        } else if prediction > self.greatest {
            self.greatest
        } else {
            prediction
        }
    }

    /// Returns `true` where the published value is another prediction than the model's `own`, and not only the nearest
    /// value to it within the bounds.
    #[inline]
    pub(super) fn replaced(self, own: f64, published: f64) -> bool {
        own.to_bits() != published.to_bits() && self.cut(own).to_bits() != published.to_bits()
    }

    /// Returns the part of an interval in which the target can be; it holds the prediction, which is cut, too.
    #[inline]
    pub(super) fn within(self, Interval { lower, upper }: Interval) -> Interval {
        Interval { lower: self.cut(lower), upper: self.cut(upper) }
    }
}
