//! Weights from the members' recent errors.

use serde::{Deserialize, Serialize};

use super::{
    Aggregate,
    weights::{Weights, resize},
};
use thalweg_metrics::checked;

/// Weights in proportion to (L* / L)⁸, with L a member's mean squared error over about 1 / [`MIN_RATE`] records and L*
/// the best one's. It has no regret bound, but recovers sooner after a change than rules that sum all errors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RecentErrors {
    /// Number of records learned from.
    n: u64,
    /// Recent mean squared error of each member.
    errors: Vec<f64>,
    weights: Weights,
}

/// Smallest share of the latest squared errors in their recent means.
const MIN_RATE: f64 = 0.01;

checked!(RecentErrors { n, errors, weights });

impl Aggregate for RecentErrors {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], _: f64, y: f64) {
        // A newcomer starts with the error of the worst member.
        let worst = self.errors.iter().copied().fold(0.0, f64::max);
        resize(&mut self.errors, members.len(), worst);
        self.n += 1;
        let rate = (1.0 / self.n as f64).max(MIN_RATE);
        for (error, member) in self.errors.iter_mut().zip(members) {
            *error += rate * ((member - y) * (member - y) - *error);
        }
        let least = self.errors.iter().copied().fold(f64::INFINITY, f64::min);
        let errors = &self.errors;
        self.weights.set(errors.len(), |k, _| if errors[k] > 0.0 { (least / errors[k]).powi(8) } else { 1.0 });
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(self.errors.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_member_of_late_has_most_of_the_weight() {
        let mut recent = RecentErrors::default();
        let mut learn = |members: [f64; 2], n: usize| {
            (0..n).for_each(|_| recent.learn(&members, 0.0, 0.0));
            recent.weights().as_slice()[0]
        };
        assert!(learn([1.0, 2.0], 2000) > 0.99);
        assert!(learn([2.0, 1.0], 300) < 0.01);
    }
}
