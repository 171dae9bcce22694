//! Bernstein online aggregation.

use serde::{Deserialize, Serialize};

use super::{
    Aggregate,
    weights::{Weights, resize},
};
use thalweg_metrics::checked;

/// BOA (Wintenberger 2017, "Optimal learning with Bernstein online aggregation") on the gradient of the squared loss,
/// with the adaptive learning rates of its section 2.3. With r = 2 (m − y)(m − p_k) the regret of a record, a member's
/// weight is in proportion to η exp(η Σ r (1 − η r)), where η = min(1 / (2 max |r|), √(ln K / Σ r²)): regrets that vary
/// count for less, and η |r| stays under the half that its bound needs. The range is the running maximum instead of a
/// power of two above it, so that it does not depend on the unit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Boa {
    members: Vec<Member>,
    weights: Weights,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Member {
    /// Regret: Σ r (1 − η r).
    regret: f64,
    /// Sum of squared regrets: Σ r².
    squares: f64,
    /// Largest |r| so far.
    range: f64,
}

impl Member {
    /// Returns the learning rate η; 0 while this member has not differed from the average.
    fn rate(&self, members: usize) -> f64 {
        if self.squares > 0.0 && self.range > 0.0 {
            (0.5 / self.range).min(((members.max(2) as f64).ln() / self.squares).sqrt())
        } else {
            0.0
        }
    }
}

checked!(Boa { members, weights });

checked!(Member { regret, squares, range });

impl Aggregate for Boa {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], prediction: f64, y: f64) {
        resize(&mut self.members, members.len(), Member::default());
        let n = members.len();
        for (state, member) in self.members.iter_mut().zip(members) {
            let r = 2.0 * (prediction - y) * (prediction - member);
            state.regret += r * (1.0 - state.rate(n) * r);
            state.squares += r * r;
            state.range = state.range.max(r.abs());
        }
        let members = &self.members;
        let exponent = |member: &Member| member.rate(n) * member.regret;
        // Rates are relative to the largest, so that no unit matters; a member without a rate counts as having the
        // largest.
        let fastest = members.iter().map(|member| member.rate(n)).fold(0.0, f64::max);
        let highest = members.iter().map(exponent).fold(f64::NEG_INFINITY, f64::max);
        self.weights.set(members.len(), |k, _| {
            let rate = members[k].rate(n);
            let share = if rate > 0.0 { rate / fastest } else { 1.0 };
            share * (exponent(&members[k]) - highest).exp()
        });
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(self.members.as_slice())
    }
}
