//! The targets seen so far bound what may be predicted, and what a single target may say.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

/// The smallest and the largest target. A prediction may go beyond by half of what lies between them, and a target that is
/// learned by ten times as much: one further out is learned as if it were there. So an outlier is got over, whatever its
/// size, and a stream that has moved elsewhere is followed in a few samples.
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

/// So many targets are taken for what they are.
const WARM_UP_SAMPLES: u64 = 20;

/// How far predictions, and targets, may go beyond the range, in ranges.
const MAX_PREDICTED_RANGES: f64 = 0.5;
const MAX_LEARNED_RANGES: f64 = 10.0;

impl TargetRange {
    /// Whether a target can be learned from; not what is not finite, nor beyond 1e150.
    pub(crate) fn accepts(y: f64) -> bool {
        y.abs() <= MAX_TARGET
    }

    /// Takes in a target that is accepted; what of it is to be learned.
    pub(crate) fn learn(&mut self, y: f64) -> f64 {
        if self.n == 0 {
            (self.least, self.most) = (y, y);
        }
        self.n += 1;
        let y = if self.n > WARM_UP_SAMPLES && self.most > self.least { self.within(MAX_LEARNED_RANGES, y) } else { y };
        (self.least, self.most) = (self.least.min(y), self.most.max(y));
        y
    }

    /// The prediction as near to `p` as may be; 0 before the first target, the middle where `p` is not a number.
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
