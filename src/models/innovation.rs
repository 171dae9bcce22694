//! Predicts the change since the last target: for series that move slowly.
//!
//! Invariant: weights, covariance and the state of the last sample are finite. Only its place in the stream makes a
//! sample the one before.

use serde::{Deserialize, Serialize};

use super::{
    Description, NamedColumn, Refused,
    compact_vec::lengthen,
    describe::{Linear, Weight, column},
    least_squares::{Expert, MAX_INPUTS, Regression, Standalone},
};
use thalweg_metrics::checked;

/// Maximum number of changes of the target that are remembered.
pub const MAX_LAGS: usize = 48;

/// Parameters of [`Innovation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Number of changes of the target that the next one is predicted from, at most [`MAX_LAGS`]; the number of samples
    /// in a season makes it seasonal.
    pub lags: u32,
    /// Share of its weight that a sample keeps per later sample, 0 < `forgetting` ≤ 1.
    pub forgetting: f64,
    /// Strength of the pull of the weights towards 0 at the start, > 0.
    pub regularization: f64,
}

checked!(Params { lags, forgetting, regularization });

impl Default for Params {
    fn default() -> Self {
        Self { lags: 2, forgetting: 0.99, regularization: 1.0 }
    }
}

/// The last target, plus its change as predicted by recursive least squares (Plackett 1950): from the changes of the
/// standardised features since, the last changes of the target, and the distance of the last target from the mean. That
/// is regression in differences with an error correction term (Sargan 1964; Engle and Granger 1987, "Co-integration and
/// error correction"), sample by sample.
pub type Innovation = Standalone<Differences>;

impl Innovation {
    /// A model that has learned nothing.
    pub fn new(params: Params) -> Self {
        Self::around(Differences::new(params))
    }
}

/// Changes are clipped at this many mean absolute changes, as a target and as a term.
const MAX_CHANGE_RATIO: f64 = 10.0;

/// Number of terms before those of changes and inputs: 1, the distance from the mean.
const OWN_TERMS: usize = 2;

type Terms = [f64; OWN_TERMS + MAX_LAGS + MAX_INPUTS];

/// See [`Innovation`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Differences {
    params: Params,
    regression: Regression,
    /// Number of targets so far.
    n: u64,
    last: f64,
    /// Last changes, latest first.
    changes: Vec<f64>,
    /// Mean absolute change.
    usual: f64,
    /// Mean of the targets (Welford 1962).
    mean: f64,
    variance: f64,
    /// Last row.
    row: Vec<f64>,
    /// Buffer for the gain.
    #[serde(skip)]
    gain: Vec<f64>,
}

checked!(Differences {
    params,
    regression,
    n,
    last,
    changes,
    usual,
    mean,
    variance,
    row,
    gain: skipped,
} then fits);

impl Differences {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { params, regression, changes, row, .. } = self;
        if row.len() > MAX_INPUTS || regression.len() != OWN_TERMS + changes.len() + row.len() {
            return Err("the weights of an innovation do not fit its row");
        }
        if changes.len() != params.lags as usize || changes.len() > MAX_LAGS {
            return Err("an innovation remembers another number of changes than it should");
        }
        Ok(())
    }
}

/// Expresses `number` in `unit`s, within bounds; 0 if there is no unit.
fn in_units(number: f64, unit: f64) -> f64 {
    if unit > 0.0 { (number / unit).clamp(-MAX_CHANGE_RATIO, MAX_CHANGE_RATIO) } else { 0.0 }
}

impl Differences {
    /// An expert that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        let lags = (params.lags as usize).min(MAX_LAGS);
        Self {
            params,
            regression: Regression::new(std::iter::repeat_n(1.0 / params.regularization, OWN_TERMS + lags)),
            n: 0,
            last: 0.0,
            changes: vec![0.0; lags],
            usual: 0.0,
            mean: 0.0,
            variance: 0.0,
            row: Vec::new(),
            gain: Vec::new(),
        }
    }

    fn terms<'a>(&self, z: &[f64], buffer: &'a mut Terms) -> &'a [f64] {
        let terms = &mut buffer[..OWN_TERMS + self.changes.len() + self.row.len()];
        let (own, others) = terms.split_at_mut(OWN_TERMS);
        let (changes, inputs) = others.split_at_mut(self.changes.len());
        own.copy_from_slice(&[1.0, in_units(self.last - self.mean, self.variance.sqrt())]);
        changes.iter_mut().zip(&self.changes).for_each(|(term, change)| *term = in_units(*change, self.usual));
        inputs.iter_mut().zip(z).zip(&self.row).for_each(|((term, z), last)| *term = z - last);
        terms
    }

    /// Stores the sample as the last one.
    fn remember(&mut self, z: &[f64], y: f64) {
        self.n += 1;
        let rate = 1.0 / self.n as f64;
        if self.n > 1 {
            let change = y - self.last;
            self.usual += (change.abs() - self.usual) / (self.n - 1) as f64;
            self.changes.rotate_right(1);
            if let Some(latest) = self.changes.first_mut() {
                *latest = change;
            }
        }
        let off = y - self.mean;
        self.mean += rate * off;
        self.variance += rate * (off * (y - self.mean) - self.variance);
        self.last = y;
        self.row[..z.len()].copy_from_slice(z);
    }
}

impl Expert for Differences {
    fn predict(&self, z: &[f64]) -> f64 {
        let mut buffer: Terms = [0.0; _];
        self.last + self.usual * self.regression.predict(self.terms(z, &mut buffer))
    }

    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused> {
        if self.row.len() < z.len() {
            let added = vec![1.0 / self.params.regularization; z.len() - self.row.len()];
            // A new feature has not changed since the last sample.
            let known = self.row.len();
            lengthen(&mut self.row, z.len(), 0.0);
            self.row[known..].copy_from_slice(&z[known..]);
            self.regression.extend(&added);
        }
        if self.usual > 0.0 {
            let mut buffer: Terms = [0.0; _];
            let terms = self.terms(z, &mut buffer);
            let error = in_units(y - self.last, self.usual) - self.regression.predict(terms);
            self.regression.learn(terms, error, self.params.forgetting, weight, &mut self.gain)?;
        }
        self.remember(z, y);
        Ok(())
    }

    fn renew(&mut self, i: usize) {
        if i < self.row.len() {
            self.regression.renew(OWN_TERMS + self.changes.len() + i);
        }
    }

    fn describe(&self, inputs: &[NamedColumn]) -> Description {
        let weights = self.regression.weights();
        let deviation = self.variance.sqrt();
        let pull = if deviation > 0.0 { self.usual * weights[1] / deviation } else { 0.0 };
        let (past, weights_of_inputs) = weights[OWN_TERMS..].split_at(self.changes.len());
        let past = past.iter().enumerate().map(|(i, weight)| (format!("change, {} before", i + 1), *weight));
        let own = std::iter::once(("last target".to_owned(), 1.0 + pull)).chain(past);
        let changes = weights_of_inputs.iter().enumerate();
        let changes = changes.map(|(i, w)| (format!("change of {}", column(inputs, i).name), self.usual * w));
        Description::Linear(Linear {
            intercept: self.usual * weights[0] - pull * self.mean,
            weights: own.chain(changes).map(|(feature, weight)| Weight { feature, weight }).collect(),
        })
    }

    fn heap_bytes(&self) -> usize {
        // The gain is as long as the weights.
        self.regression.heap_bytes()
            + size_of_val(self.regression.weights())
            + size_of_val(self.row.as_slice())
            + size_of_val(self.changes.as_slice())
    }
}
