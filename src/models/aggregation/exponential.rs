//! The exponentially weighted average, with a learning rate that follows from the losses themselves.

use serde::{Deserialize, Serialize};

use super::{
    Aggregate,
    weights::{Weights, resize},
};
use thalweg_metrics::checked;

/// AdaHedge (de Rooij, van Erven, Grünwald and Koolen 2014, "Follow the leader if you can, hedge if you must") on
/// squared errors: weights in proportion to exp(−η L), L a member's sum of losses and η = ln K / Δ, where Δ sums what
/// hedging has cost so far (the mixability gaps). It needs no range of losses and does not change with their unit or
/// origin; while hedging has cost nothing it follows the leader.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Exponential {
    /// Sum of losses of each member, less that of the best one.
    behind: Vec<f64>,
    /// Δ, the summed mixability gaps, in units of the loss.
    gap: f64,
    weights: Weights,
}

impl Exponential {
    /// Returns exp(−η loss): the weight relative to that of a member without loss.
    fn share(&self, loss: f64) -> f64 {
        let members = self.behind.len().max(2) as f64;
        if self.gap > 0.0 {
            (-loss * (members.ln() / self.gap)).exp()
        } else if loss > 0.0 {
            0.0
        } else {
            1.0
        }
    }

    fn reweigh(&mut self) {
        let mut weights = std::mem::take(&mut self.weights);
        weights.set(self.behind.len(), |k, _| self.share(self.behind[k]));
        self.weights = weights;
    }
}

checked!(Exponential { behind, gap, weights });

impl Aggregate for Exponential {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], _: f64, y: f64) {
        if self.behind.len() != members.len() {
            // A newcomer starts with the weighted mean loss of the others.
            let so_far = self.weights.as_slice().iter().zip(&self.behind).map(|(w, loss)| w * loss).sum();
            resize(&mut self.behind, members.len(), so_far);
            self.reweigh();
        }
        let loss = |member: &f64| (member - y) * (member - y);
        let least = members.iter().map(loss).fold(f64::INFINITY, f64::min);
        // The mixability gap is the average of the losses less their mix, which is never larger.
        let (mut hedged, mut mixed) = (0.0, 0.0);
        for (weight, member) in self.weights.as_slice().iter().zip(members) {
            let more = loss(member) - least;
            hedged += weight * more;
            mixed += weight * self.share(more);
        }
        for (behind, member) in self.behind.iter_mut().zip(members) {
            *behind += loss(member);
        }
        let best = self.behind.iter().copied().fold(f64::INFINITY, f64::min);
        self.behind.iter_mut().for_each(|behind| *behind -= best);
        let mixed = if self.gap > 0.0 {
            -(mixed.max(f64::MIN_POSITIVE).ln()) * (self.gap / (self.behind.len().max(2) as f64).ln())
        } else {
            best - least
        };
        self.gap += (hedged - mixed).max(0.0);
        self.reweigh();
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(self.behind.as_slice())
    }
}
