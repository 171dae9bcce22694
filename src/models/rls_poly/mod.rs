//! Recursive least squares on polynomials of the features, with a drift reset and a memory of earlier models.
//!
//! Reading order: [`Params`], this file, `basis` (the terms), `recall` (the models kept from before a drift).
//!
//! Invariant: a model that is kept has a weight for each of the current terms. Learning costs O(terms²), and there are at
//! most 256 of them, whatever the number of features.

mod basis;
mod recall;

use serde::{Deserialize, Serialize};

pub use basis::Form;

use self::{
    basis::{Basis, Terms},
    recall::Recall,
};
use super::{
    Description, NamedColumn, Refused,
    least_squares::{Expert, Regression, Standalone},
};
use thalweg_metrics::{
    checked,
    drift::{Cusum, CusumParams},
};

/// Maximum number of earlier models that are kept.
pub const MAX_KEPT_MODELS: usize = 3;

/// Parameters of [`RlsPoly`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// The polynomials that are terms.
    pub basis: Form,
    /// Share of its weight that a sample keeps from each to the next, 0 < `forgetting` ≤ 1.
    pub forgetting: f64,
    /// Strength of the pull of linear terms' weights towards 0 at the start and after a drift, > 0; four times as strong with
    /// each further degree.
    pub regularization: f64,
    /// Number of models from before a drift that are kept, at most [`MAX_KEPT_MODELS`].
    pub recall: u32,
}

checked!(Params { basis, forgetting, regularization, recall });

impl Default for Params {
    fn default() -> Self {
        Self { basis: Form::Pair3, forgetting: 0.9998, regularization: 2.0, recall: MAX_KEPT_MODELS as u32 }
    }
}

/// Factor on the penalty per degree: most products are irrelevant, and while samples are few the simpler explanation is
/// the likelier one.
const PENALTY_PER_DEGREE: f64 = 4.0;

/// Variance of the intercept before anything was learned, and after a drift.
const INTERCEPT_VARIANCES: (f64, f64) = (1e3, 10.0);

/// Recursive least squares (Plackett 1950, "Some theorems in least squares"; forgetting: Ljung and Söderström 1983,
/// "Theory and practice of recursive identification") on polynomials of the standardised features. When squared errors
/// stay above the usual (CUSUM: Page 1954, "Continuous inspection schemes"), it keeps its weights and resets their
/// variances; the model before the drift is kept and comes back when it does clearly better than the current one.
pub type RlsPoly = Standalone<Polynomial>;

impl RlsPoly {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        Self::around(Polynomial::new(params))
    }
}

/// See [`RlsPoly`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Polynomial {
    params: Params,
    basis: Basis,
    regression: Regression,
    cusum: Cusum,
    recall: Recall,
    /// Buffer for the gain.
    #[serde(skip)]
    gain: Vec<f64>,
}

checked!(Polynomial { params, basis, regression, cusum, recall, gain: skipped } then fits);

impl Polynomial {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { basis, regression, recall, .. } = self;
        if !recall.fits_terms(basis.len()) || regression.len() != basis.len() {
            return Err("the weights of a polynomial do not fit its terms");
        }
        Ok(())
    }
}

impl Polynomial {
    /// An expert that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        Self {
            params,
            basis: Basis::new(params.basis),
            regression: Regression::new([INTERCEPT_VARIANCES.0]),
            cusum: Cusum::new(CusumParams::default()),
            recall: Recall::new(params.recall as usize),
            gain: Vec::new(),
        }
    }

    /// Adds terms for up to `n` inputs.
    fn grow(&mut self, n: usize) {
        self.basis.grow(n);
        let (before, now) = (self.regression.len(), self.basis.len());
        if before < now {
            let pull = |i| self.params.regularization * f64::powi(PENALTY_PER_DEGREE, self.basis.degree(i) as i32 - 1);
            let added: Vec<f64> = (before..now).map(|i| 1.0 / pull(i)).collect();
            self.regression.extend(&added);
            self.recall.regressions().for_each(|regression| regression.extend(&added));
        }
    }

    /// Forgets what was learned of these terms.
    fn forget(&mut self, terms: &[usize]) {
        for regression in self.recall.regressions().chain([&mut self.regression]) {
            terms.iter().for_each(|i| regression.renew(*i));
        }
    }

    /// Detects a drift, and an earlier model that fits again.
    fn follow(&mut self, terms: &[f64], y: f64, error: f64) {
        let drifted = self.cusum.update(error);
        self.recall.score(terms, y, error);
        if drifted {
            self.recall.keep(&self.regression, self.cusum.usual_before());
            self.regression.reopen(INTERCEPT_VARIANCES.1);
        } else if let Some(usual) = self.recall.swap(&mut self.regression, self.cusum.usual()) {
            self.cusum.expect(usual);
        }
    }
}

impl Expert for Polynomial {
    fn predict(&self, z: &[f64]) -> f64 {
        let mut buffer: Terms = [0.0; _];
        self.regression.predict(self.basis.terms(z, &mut buffer))
    }

    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused> {
        self.grow(z.len());
        let mut buffer: Terms = [0.0; _];
        let terms = self.basis.terms(z, &mut buffer);
        let error = y - self.regression.predict(terms);
        self.regression.learn(terms, error, self.params.forgetting, weight, &mut self.gain)?;
        self.follow(terms, y, error);
        if let Some(slot) = self.basis.choose(z, y) {
            self.forget(&self.basis.terms_of_slot(slot));
        }
        Ok(())
    }

    fn renew(&mut self, i: usize) {
        let (term, slot) = self.basis.renew(i);
        self.forget(term.as_slice());
        if let Some(slot) = slot {
            self.forget(&self.basis.terms_of_slot(slot));
        }
    }

    fn describe(&self, inputs: &[NamedColumn]) -> Description {
        Description::Linear(self.basis.describe(self.regression.weights(), inputs))
    }

    fn heap_bytes(&self) -> usize {
        let gain = size_of_val(self.regression.weights());
        self.basis.heap_bytes() + self.regression.heap_bytes() + self.recall.heap_bytes() + gain
    }
}
