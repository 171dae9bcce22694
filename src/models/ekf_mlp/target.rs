//! Standardises targets, so that a network need not know their unit.
//!
//! Invariant: mean and deviation are finite, the deviation is over 0. They change at certain samples only, since with
//! every change the network has to be expressed in the new unit.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

/// Number of samples each of which updates mean and deviation. The network has hardly learned by then, so it is not
/// expressed in the new unit.
const WARM_UP_SAMPLES: u64 = 20;

/// Running mean and variance (Welford 1962), and the unit in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    n: u64,
    mean: f64,
    variance: f64,
    /// Mean and standard deviation in use.
    shift: f64,
    scale: f64,
    /// True once targets have differed, so that the scale means something.
    varied: bool,
}

checked!(Target { n, mean, variance, shift, scale, varied } then fits);

impl Target {
    fn fits(&self) -> Result<(), &'static str> {
        if self.scale > 0.0 { Ok(()) } else { Err("a network's targets are of no size") }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self { n: 0, mean: 0.0, variance: 0.0, shift: 0.0, scale: 1.0, varied: false }
    }
}

/// Converts a number of the old unit: `scale` times it, plus `shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) scale: f64,
    pub(super) shift: f64,
}

impl Target {
    /// Returns the number of targets.
    pub(super) fn n(&self) -> f64 {
        self.n as f64
    }

    /// Learns a target; returns the change of unit, if there is one.
    pub(super) fn learn(&mut self, y: f64) -> Option<Change> {
        self.n += 1;
        let off = y - self.mean;
        let rate = 1.0 / self.n as f64;
        self.mean += rate * off;
        self.variance += rate * ((1.0 - rate) * off * off - self.variance);
        if self.n > WARM_UP_SAMPLES && !self.n.is_power_of_two() && self.varied {
            return None;
        }
        let deviation = self.variance.sqrt();
        // Also false of NaN.
        let varied = deviation > 0.0 && deviation.is_finite();
        let scale = if varied { deviation } else { self.scale };
        let change = Change { scale: self.scale / scale, shift: (self.shift - self.mean) / scale };
        let known = self.n > WARM_UP_SAMPLES && self.varied;
        (self.shift, self.scale, self.varied) = (self.mean, scale, self.varied || varied);
        known.then_some(change)
    }

    /// Converts a target to the unit of the network.
    pub(super) fn scaled(&self, y: f64) -> f64 {
        (y - self.shift) / self.scale
    }

    /// Converts an output of the network to the target's unit.
    pub(super) fn restored(&self, output: f64) -> f64 {
        self.shift + self.scale * output
    }
}
