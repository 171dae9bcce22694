//! Bounds predictions, and the influence of a single target, by the targets seen so far.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

/// The smallest and the largest target. A prediction may exceed the range by half its width, and a learned target by
/// ten times its width: a target further out is learned as if it lay there. So a single outlier does bounded damage,
/// whatever its size, and a stream that has moved is followed in a few samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetRange {
    n: u64,
    least: f64,
    most: f64,
}

checked!(TargetRange { n, least, most } then fits);

impl TargetRange {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { least, most, .. } = *self;
        let sound = Self::accepts(least) && Self::accepts(most) && least <= most;
        if sound { Ok(()) } else { Err("a range of targets is not one") }
    }
}

/// Targets beyond this are refused: their squares, and nine times as much, are still finite.
const MAX_TARGET: f64 = 1e150;

/// Number of targets at the start that are learned unclipped.
const WARM_UP_SAMPLES: u64 = 20;

/// Widths of the range by which predictions, and targets, may exceed it.
const MAX_PREDICTED_RANGES: f64 = 0.5;
const MAX_LEARNED_RANGES: f64 = 10.0;

impl TargetRange {
    /// Returns true if a target can be learned from: finite and at most 1e150 in size.
    pub(crate) fn accepts(y: f64) -> bool {
        y.abs() <= MAX_TARGET
    }

    /// Learns an accepted target; returns the value to learn in its stead.
    pub(crate) fn learn(&mut self, y: f64) -> f64 {
        if self.n == 0 {
            (self.least, self.most) = (y, y);
        }
        self.n += 1;
        let y = if self.n > WARM_UP_SAMPLES && self.most > self.least { self.within(MAX_LEARNED_RANGES, y) } else { y };
        (self.least, self.most) = (self.least.min(y), self.most.max(y));
        y
    }

    /// Clips `p` to what may be predicted; 0 before the first target, the middle where `p` is NaN.
    pub(crate) fn clip(&self, p: f64) -> f64 {
        if p.is_nan() { f64::midpoint(self.least, self.most) } else { self.within(MAX_PREDICTED_RANGES, p) }
    }

    fn within(&self, ranges: f64, value: f64) -> f64 {
        let beyond = ranges * (self.most - self.least);
        value.clamp(self.least - beyond, self.most + beyond).clamp(-MAX_TARGET, MAX_TARGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_go_beyond_the_targets_by_half_their_range_at_most() {
        let mut range = TargetRange::default();
        assert_eq!(range.clip(7.0), 0.0);
        range.learn(2.0);
        assert_eq!((range.clip(7.0), range.clip(f64::NAN)), (2.0, 2.0));
        range.learn(4.0);
        let clipped = [0.0, 1.5, 3.0, 9.0, f64::INFINITY, f64::NAN].map(|p| range.clip(p));
        assert_eq!(clipped, [1.0, 1.5, 3.0, 5.0, 5.0, 3.0]);
    }

    #[test]
    fn an_outlier_widens_the_range_by_a_bounded_share_and_a_move_is_followed() {
        let mut range = TargetRange::default();
        (0..20).for_each(|i| assert_eq!(range.learn(f64::from(i)), f64::from(i)));
        assert_eq!((range.learn(1e12), range.learn(-5.0)), (209.0, -5.0));
        let followed = (0..12).position(|_| range.learn(1e6) == 1e6);
        assert_eq!(followed, Some(3));
    }
}
