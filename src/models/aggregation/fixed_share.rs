//! Fixed share: an exponentially weighted average that cannot forget a member.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Weights};
use thalweg_metrics::checked;

/// Fixed share (Herbster and Warmuth 1998, "Tracking the best expert"): after each record every member keeps
/// w exp(−η loss), and then gives a share of it to all alike, so that one which becomes the best is back within few records.
///
/// The losses are squared errors, and η = 1 / 2v with v the mean of the rule's own of late: what makes a weight the
/// probability that this member is the best now, where errors are normal. No loss counts more than [`MOST`] of the usual.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FixedShare {
    /// Records learned from.
    n: u64,
    /// v, the usual squared error.
    usual: f64,
    weights: Weights,
}

/// The share that goes round after each record.
const SHARE: f64 = 0.001;

/// The least share by which the usual squared error follows the latest one.
const RATE: f64 = 0.005;

/// The most that a loss counts, in usual ones.
const MOST: f64 = 25.0;

checked!(FixedShare { n, usual, weights });

impl Aggregate for FixedShare {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], prediction: f64, y: f64) {
        let (known, even) = (self.weights.as_slice().len(), 1.0 / members.len() as f64);
        if known < members.len() {
            // Newcomers get their share of the whole.
            let left = known as f64 * even;
            self.weights.set(members.len(), |k, weight| if k < known { weight * left } else { even });
        }
        self.n += 1;
        let square = (prediction - y) * (prediction - y);
        self.usual += (1.0 / self.n as f64).max(RATE) * (square - self.usual);
        if self.usual <= 0.0 {
            return;
        }
        let usual = self.usual;
        let loss = |member: f64| ((member - y) * (member - y) / usual).min(MOST);
        self.weights.set(members.len(), |k, weight| weight * (-0.5 * loss(members[k])).exp());
        self.weights.set(members.len(), |_, weight| (1.0 - SHARE) * weight + SHARE * even);
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
