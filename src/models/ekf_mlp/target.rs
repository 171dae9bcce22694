//! Targets in deviations from their mean, so that a network need not know their unit.
//!
//! Invariant: mean and deviation are finite, the deviation is over 0. They stand still but at certain samples, since with
//! every change the network has to be expressed in the new unit.

use serde::{Deserialize, Serialize};

use thalweg_metrics::saved;

/// Samples of which each brings the mean and deviation up to date. The network hardly knows anything by then, so it is not
/// expressed in the new unit.
const FIRST: u64 = 20;

/// Running mean and variance (Welford 1962), and those that are in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    #[serde(deserialize_with = "saved::count")]
    n: u64,
    #[serde(deserialize_with = "saved::finite")]
    mean: f64,
    #[serde(deserialize_with = "saved::finite")]
    variance: f64,
    /// In use.
    #[serde(deserialize_with = "saved::finite")]
    shift: f64,
    #[serde(deserialize_with = "saved::positive")]
    scale: f64,
    /// Whether targets have differed, so that the scale means something.
    varied: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self { n: 0, mean: 0.0, variance: 0.0, shift: 0.0, scale: 1.0, varied: false }
    }
}

/// What becomes of a number in the old unit: `scale` times it, plus `shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) scale: f64,
    pub(super) shift: f64,
}

impl Target {
    /// Number of targets.
    pub(super) fn n(&self) -> f64 {
        self.n as f64
    }

    /// Takes a target in; how numbers change where the unit does.
    pub(super) fn learn(&mut self, y: f64) -> Option<Change> {
        self.n += 1;
        let off = y - self.mean;
        let rate = 1.0 / self.n as f64;
        self.mean += rate * off;
        self.variance += rate * ((1.0 - rate) * off * off - self.variance);
        if self.n > FIRST && !self.n.is_power_of_two() && self.varied {
            return None;
        }
        let deviation = self.variance.sqrt();
        // Also false of NaN.
        let varied = deviation > 0.0 && deviation.is_finite();
        let scale = if varied { deviation } else { self.scale };
        let change = Change { scale: self.scale / scale, shift: (self.shift - self.mean) / scale };
        let known = self.n > FIRST && self.varied;
        (self.shift, self.scale, self.varied) = (self.mean, scale, self.varied || varied);
        known.then_some(change)
    }

    /// A target in the unit of the network.
    pub(super) fn scaled(&self, y: f64) -> f64 {
        (y - self.shift) / self.scale
    }

    /// A number of the network in the target's unit.
    pub(super) fn restored(&self, output: f64) -> f64 {
        self.shift + self.scale * output
    }
}
