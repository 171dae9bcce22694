//! Linear least squares, sample by sample, over whatever terms its user makes of a row.
//!
//! Invariant: weights and covariance are finite, and no weight's variance exceeds its start, so that a term that the
//! stream never excites cannot wind up; an update that would change this is refused as a whole. What this does not do:
//! keep buffers, which its user lends.

use serde::{Deserialize, Serialize};

use super::{Covariance, dot};
use crate::{Refused, compact_vec::lengthen};
use thalweg_metrics::checked;

/// A step that changes a weight by this much or more is refused.
const MAX_WEIGHT_STEP: f64 = 1e200;

/// Weights with their covariance (Plackett 1950, "Some theorems in least squares"; forgetting: Ljung and Söderström 1983,
/// "Theory and practice of recursive identification").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Regression {
    weights: Vec<f64>,
    /// The variance of each weight at the start, which it never exceeds.
    most: Vec<f64>,
    covariance: Covariance,
}

checked!(Regression { weights, most, covariance } then fits);

impl Regression {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { weights, most, covariance } = self;
        if weights.len() != most.len() || weights.len() != covariance.len() {
            return Err("the covariance of a regression does not fit its weights");
        }
        if !most.iter().all(|variance| *variance > 0.0) {
            return Err("a regression is to be surer of a weight than can be");
        }
        Ok(())
    }
}

impl Regression {
    /// Makes a regression that has learned nothing; each item is a weight's variance at the start and at most, over 0.
    pub(crate) fn new(variances: impl IntoIterator<Item = f64>) -> Self {
        let most: Vec<f64> = variances.into_iter().collect();
        Self { weights: vec![0.0; most.len()], covariance: Covariance::with_diagonal(most.iter().copied()), most }
    }

    /// Appends weights that are 0 and have these variances.
    pub(crate) fn extend(&mut self, variances: &[f64]) {
        let n = self.len() + variances.len();
        lengthen(&mut self.weights, n, 0.0);
        self.most.reserve_exact(variances.len());
        self.most.extend_from_slice(variances);
        self.covariance.reserve(n);
        variances.iter().for_each(|variance| self.covariance.push(*variance));
    }

    /// Number of weights.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Returns the weights, in the target's unit over the term's.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Predicts for these terms, in the target's unit; finite where they are. Terms past the weights count nothing.
    pub(crate) fn predict(&self, terms: &[f64]) -> f64 {
        dot(&self.weights, terms)
    }

    /// Learns that `terms` had the target `y`, which is off the prediction by `error`. `forgetting` is the share of its
    /// weight that a sample keeps from each to the next, over 0 and at most 1; this one counts `weight` times.
    ///
    /// # Errors
    /// [`Refused`] when that would leave a state that is not finite; the state is then unchanged.
    pub(crate) fn learn(
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
        let sound =
            reach >= 0.0 && q.is_finite() && q > 0.0 && largest.is_finite() && (step * largest).abs() < MAX_WEIGHT_STEP;
        if !sound {
            return Err(Refused);
        }
        self.weights.iter_mut().zip(&*gain).for_each(|(w, g)| *w += step * g);
        self.covariance.shrink(gain, q, forgetting);
        self.covariance.confine(|i| self.most[i], gain);
        Ok(())
    }

    /// Keeps the weights and resets their variances to the start; that of the first one to `first` at most.
    pub(crate) fn reopen(&mut self, first: f64) {
        let bounds = &self.most;
        self.covariance.isolate_all(|i, _| if i == 0 { first.min(bounds[0]) } else { bounds[i] });
    }

    /// Forgets weight `i`.
    pub(crate) fn renew(&mut self, i: usize) {
        self.weights[i] = 0.0;
        self.covariance.isolate(i, self.most[i]);
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        2 * size_of_val(self.weights.as_slice()) + self.covariance.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_metrics::Checked;

    #[test]
    fn what_is_never_excited_stays_as_unsure_as_at_the_start() {
        let mut regression = Regression::new([1e3, 0.5, 0.5]);
        let mut gain = Vec::new();
        for i in 0..100_000 {
            let terms = [1.0, f64::from(i % 7) - 3.0, 0.0];
            let error = 2.0 * terms[1] - regression.predict(&terms);
            regression.learn(&terms, error, 0.99, 1.0, &mut gain).expect("learned");
            let variance = regression.covariance.diagonal(2);
            assert!(variance > 0.4 && variance < 0.53, "{variance} after {i}");
        }
        assert!((regression.weights()[1] - 2.0).abs() < 1e-6 && regression.weights()[2] == 0.0);
    }

    #[test]
    fn a_million_samples_of_terms_that_say_the_same_leave_every_variance_positive() {
        let mut regression = Regression::new([1e3, 1e9, 1e9, 1.0]);
        let mut gain = Vec::new();
        for i in 0..1_000_000_u32 {
            let z = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
            let terms = [1.0, z, z, 1e-9 * z];
            let error = z - regression.predict(&terms);
            regression.learn(&terms, error, 0.999, 1.0, &mut gain).expect("learned");
            for i in 0..4 {
                let variance = regression.covariance.diagonal(i);
                assert!(variance > 0.0 && variance.is_finite(), "{variance} of {i}");
            }
        }
        assert!(regression.predict(&[1.0, 0.3, 0.3, 3e-10]) - 0.3 < 1e-6);
    }

    #[test]
    fn a_variance_that_rounding_eats_up_is_as_at_the_start_again() {
        let mut regression = Regression::new([1e9; 3]);
        let mut gain = Vec::new();
        for i in 0..1000 {
            let terms = [1e5, 3e5 + f64::from(i % 3), 7e5 / 3.0];
            regression.learn(&terms, 1.0, 0.999, 1.0, &mut gain).expect("learned");
            for i in 0..3 {
                let variance = regression.covariance.diagonal(i);
                assert!(variance > 0.0, "{variance} of {i}");
            }
        }
    }

    #[test]
    fn a_sample_that_would_leave_what_is_not_finite_changes_nothing() {
        for (variance, term, error) in
            [(1e308, 1e3, 1.0), (1e100, 1e300, 1.0), (1.0, 1.0, f64::INFINITY), (1.0, f64::NAN, 1.0)]
        {
            let mut regression = Regression::new([variance; 3]);
            let before = regression.clone();
            let refused = regression.learn(&[term; 3], error, 0.99, 1.0, &mut Vec::new());
            assert!(refused.is_err() && regression == before, "{variance}, {term}, {error}");
        }
    }

    #[test]
    fn a_state_whose_parts_do_not_fit_is_refused() {
        let state = serde_json::to_value(Regression::new([1.0, 2.0])).expect("saved");
        let damaged = |field: &str, value: serde_json::Value| {
            let mut state = state.clone();
            state[field] = value;
            serde_json::from_value::<Regression>(state).map_or(true, |mut read| read.check().is_err())
        };
        assert!(!damaged("weights", state["weights"].clone()));
        assert!(damaged("covariance", vec![1.0, 0.0].into()), "no whole triangle");
        assert!(damaged("covariance", vec![1.0].into()), "too small");
        assert!(damaged("most", vec![1.0, -1.0].into()), "a negative variance");
        assert!(damaged("weights", vec![1.0].into()), "too few");
    }
}
