//! Linear least squares, sample by sample, over whatever terms its user makes of a row.
//!
//! Invariant: weights and covariance are finite, and no weight is more unsure than at the start, so that a term that the
//! stream never excites cannot wind up; what would change this is refused as a whole. What this does not do: keep room to
//! work in, which its user lends.

use serde::{Deserialize, Serialize};

use super::{Covariance, dot};
use crate::{
    metrics::saved,
    models::{Refused, room::lengthen},
};

/// Weights beyond this are refused.
const LARGEST: f64 = 1e200;

/// Weights with their covariance (Plackett 1950, "Some theorems in least squares"; forgetting: Ljung and Söderström 1983,
/// "Theory and practice of recursive identification").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub(in crate::models) struct Regression {
    weights: Vec<f64>,
    /// The variance of each weight at the start, and at most.
    most: Vec<f64>,
    covariance: Covariance,
}

/// What a state file holds, not yet checked.
#[derive(Deserialize)]
struct Saved {
    #[serde(deserialize_with = "saved::all_finite")]
    weights: Vec<f64>,
    #[serde(deserialize_with = "saved::all_finite")]
    most: Vec<f64>,
    covariance: Covariance,
}

impl TryFrom<Saved> for Regression {
    type Error = &'static str;

    fn try_from(Saved { weights, most, covariance }: Saved) -> Result<Self, Self::Error> {
        if weights.len() != most.len() || weights.len() != covariance.len() {
            return Err("the covariance of a regression does not fit its weights");
        }
        if !most.iter().all(|variance| *variance > 0.0) {
            return Err("a regression is to be surer of a weight than can be");
        }
        Ok(Self { weights, most, covariance })
    }
}

impl Regression {
    /// A regression that has learned nothing; an item per weight: its variance at the start and at most, over 0.
    pub(in crate::models) fn new(variances: impl IntoIterator<Item = f64>) -> Self {
        let most: Vec<f64> = variances.into_iter().collect();
        Self { weights: vec![0.0; most.len()], covariance: Covariance::with_diagonal(most.iter().copied()), most }
    }

    /// Further weights, which are 0 and as unsure as these variances say.
    pub(in crate::models) fn extend(&mut self, variances: &[f64]) {
        let n = self.len() + variances.len();
        lengthen(&mut self.weights, n, 0.0);
        self.most.reserve_exact(variances.len());
        self.most.extend_from_slice(variances);
        self.covariance.reserve(n);
        variances.iter().for_each(|variance| self.covariance.push(*variance));
    }

    /// Number of weights.
    pub(in crate::models) fn len(&self) -> usize {
        self.weights.len()
    }

    /// In the target's unit over the term's.
    pub(in crate::models) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The prediction for these terms, in the target's unit; finite where they are. Terms past the weights count nothing.
    pub(in crate::models) fn predict(&self, terms: &[f64]) -> f64 {
        dot(&self.weights, terms)
    }

    /// Learns that `terms` had the target `y`, which is off the prediction by `error`. `forgetting` is the share of its
    /// weight that a sample keeps from each to the next, over 0 and at most 1; this one counts `weight` times.
    ///
    /// # Errors
    /// [`Refused`] when that would leave a state that is not finite; the state is then unchanged.
    pub(in crate::models) fn learn(
        &mut self,
        terms: &[f64],
        error: f64,
        forgetting: f64,
        weight: f64,
        gain: &mut Vec<f64>,
    ) -> Result<(), Refused> {
        let reach = self.covariance.project(terms, gain);
        let q = forgetting / weight + reach;
        let step = error / q;
        let largest = gain.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        // Also false of NaN.
        let sound = reach >= 0.0 && q.is_finite() && q > 0.0 && largest.is_finite() && (step * largest).abs() < LARGEST;
        if !sound {
            return Err(Refused);
        }
        self.weights.iter_mut().zip(&*gain).for_each(|(w, g)| *w += step * g);
        self.covariance.shrink(gain, q, forgetting);
        self.covariance.confine(|i| self.most[i], gain);
        Ok(())
    }

    /// Keeps the weights, and is as unsure of them as at the start, or as `most` says of the first one.
    pub(in crate::models) fn reopen(&mut self, first: f64) {
        let bounds = &self.most;
        self.covariance.isolate_all(|i, _| if i == 0 { first.min(bounds[0]) } else { bounds[i] });
    }

    /// Forgets weight `i`.
    pub(in crate::models) fn renew(&mut self, i: usize) {
        self.weights[i] = 0.0;
        self.covariance.isolate(i, self.most[i]);
    }

    /// Bytes on the heap.
    pub(in crate::models) fn heap_bytes(&self) -> usize {
        2 * size_of_val(self.weights.as_slice()) + self.covariance.heap_bytes()
    }
}
