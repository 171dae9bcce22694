//! ML-Poly: weights in proportion to the regret against each member, with a learning rate for each.

use serde::{Deserialize, Serialize};

use super::{
    Aggregate,
    weights::{Weights, resize},
};
use thalweg_metrics::checked;

/// The polynomially weighted average with multiple learning rates (Gaillard, Stoltz and van Erven 2014, "A second-order
/// bound with excess losses"), on the gradient of the squared loss. Member k's regret of a record is
/// r = 2 (m − y)(m − p_k), m being the average; its weight is in proportion to max(Σ r, 0) / (B + Σ r²), with B the
/// largest r² so far, in any unit. Against every member k, on any sequence of n records,
///
///   Σ (m − y)² − Σ (p_k − y)² ≤ √(K (1 + ln(1 + n)) (B + Σ r_k²)).
///
/// With a fading under 1, sums look back about 1 / (1 − fading) records and the bound holds of the faded regret alone
/// (discounted regret, Cesa-Bianchi and Lugosi 2006, section 2.11): it follows when another member becomes the best.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MlPoly {
    fading: f64,
    /// Regret of each member: Σ r.
    regrets: Vec<f64>,
    /// Sum of squared regrets of each member: Σ r².
    squares: Vec<f64>,
    /// Largest r² so far, faded.
    largest: f64,
    weights: Weights,
}

checked!(MlPoly { fading, regrets, squares, largest, weights } then fits);

impl MlPoly {
    fn fits(&self) -> Result<(), &'static str> {
        if self.fading > 0.0 { Ok(()) } else { Err("a mixture forgets more than all") }
    }
}

impl Default for MlPoly {
    fn default() -> Self {
        Self::fading(1.0)
    }
}

impl MlPoly {
    /// Returns a rule that fades regrets by the factor `fading` per record, 0 < `fading` ≤ 1.
    pub(super) fn fading(fading: f64) -> Self {
        Self { fading, regrets: Vec::new(), squares: Vec::new(), largest: 0.0, weights: Weights::default() }
    }
}

impl Aggregate for MlPoly {
    fn predict(&self, members: &[f64]) -> f64 {
        self.weights.mean(members)
    }

    fn learn(&mut self, members: &[f64], prediction: f64, y: f64) {
        resize(&mut self.regrets, members.len(), 0.0);
        resize(&mut self.squares, members.len(), 0.0);
        self.largest *= self.fading;
        for ((regret, square), member) in self.regrets.iter_mut().zip(&mut self.squares).zip(members) {
            let r = 2.0 * (prediction - y) * (prediction - member);
            *regret = self.fading * *regret + r;
            *square = self.fading * *square + r * r;
            self.largest = self.largest.max(r * r);
        }
        let Self { regrets, squares, largest, .. } = self;
        self.weights.set(regrets.len(), |k, _| regrets[k].max(0.0) / (*largest + squares[k]).max(f64::MIN_POSITIVE));
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn heap_bytes(&self) -> usize {
        2 * size_of_val(self.regrets.as_slice())
    }
}
