//! The targets seen so far bound what may be predicted.

use serde::{Deserialize, Serialize};

/// The smallest and the largest target. A prediction may go beyond by half of what lies between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Option<[f64; 2]>", into = "Option<[f64; 2]>")]
pub(in crate::models) struct TargetRange(Option<[f64; 2]>);

impl From<TargetRange> for Option<[f64; 2]> {
    fn from(range: TargetRange) -> Self {
        range.0
    }
}

impl TryFrom<Option<[f64; 2]>> for TargetRange {
    type Error = &'static str;

    fn try_from(range: Option<[f64; 2]>) -> Result<Self, Self::Error> {
        match range {
            // Also false of NaN.
            Some([least, most]) if !(Self::accepts(least) && Self::accepts(most) && least <= most) => {
                Err("a range of targets is not one")
            }
            range => Ok(Self(range)),
        }
    }
}

/// Targets beyond this are refused: their squares, and nine times as much, are still finite.
const LARGEST: f64 = 1e150;

impl TargetRange {
    /// Whether a target can be learned from; not what is not finite, nor beyond 1e150.
    pub(in crate::models) fn accepts(y: f64) -> bool {
        y.abs() <= LARGEST
    }

    /// Takes in a target that is accepted.
    pub(in crate::models) fn learn(&mut self, y: f64) {
        let [least, most] = self.0.unwrap_or([y, y]);
        self.0 = Some([least.min(y), most.max(y)]);
    }

    /// The prediction as near to `p` as may be; 0 before the first target, the middle where `p` is not a number.
    pub(in crate::models) fn clip(&self, p: f64) -> f64 {
        let Some([least, most]) = self.0 else { return 0.0 };
        if p.is_nan() {
            return f64::midpoint(least, most);
        }
        let beyond = 0.5 * (most - least);
        p.clamp(least - beyond, most + beyond)
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
}
