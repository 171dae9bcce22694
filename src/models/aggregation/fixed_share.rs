//! Fixed share: an exponentially weighted average that cannot forget a member.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Weights};
use thalweg_metrics::checked;

/// Fixed share (Herbster and Warmuth 1998, "Tracking the best expert"): after each record every member keeps w exp(−η
/// loss), and then gives a share of it to all alike, so that a member that becomes the best recovers within few
/// records.
///
/// The losses are squared errors, and η = 1 / 2v with v the recent mean of the rule's own: with normal errors, a weight
/// is then the probability that its member is the best now. Losses are capped at [`MAX_LOSS`] times v.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FixedShare {
    /// Number of records learned from.
    n: u64,
    /// Recent mean of the rule's squared errors, v.
    usual: f64,
    weights: Weights,
}

/// Share of each weight that is redistributed evenly after each record.
const REDISTRIBUTED_SHARE: f64 = 0.001;

/// Smallest share of the latest squared error in its recent mean.
const MIN_RATE: f64 = 0.005;

/// Largest loss that counts, in multiples of the recent mean squared error.
const MAX_LOSS: f64 = 25.0;

checked!(FixedShare { n, usual, weights });

impl Aggregate for FixedShare {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], prediction: f64, y: f64) {
        let (known, even) = (self.weights.as_slice().len(), 1.0 / members.len() as f64);
        if known < members.len() {
            // Newcomers get an even share.
            let left = known as f64 * even;
            self.weights.set(members.len(), |k, weight| if k < known { weight * left } else { even });
        }
        self.n += 1;
        let square = (prediction - y) * (prediction - y);
        self.usual += (1.0 / self.n as f64).max(MIN_RATE) * (square - self.usual);
        if self.usual <= 0.0 {
            return;
        }
        let usual = self.usual;
        let loss = |member: f64| ((member - y) * (member - y) / usual).min(MAX_LOSS);
        self.weights.set(members.len(), |k, weight| weight * (-0.5 * loss(members[k])).exp());
        self.weights.set(members.len(), |_, weight| (1.0 - REDISTRIBUTED_SHARE) * weight + REDISTRIBUTED_SHARE * even);
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
