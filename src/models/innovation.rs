//! What changes since the last target: for series that move slowly.
//!
//! Invariant: weights, covariance and what is remembered of the last sample are finite. Nothing of a sample but its place in
//! the stream says that it is the one before.

use serde::{Deserialize, Serialize};

use super::{
    Description, NamedColumn, Refused,
    describe::{Linear, Weight, column},
    least_squares::{Expert, MOST_INPUTS, Regression, Standalone},
    room::lengthen,
};
use crate::metrics::saved;

/// Parameters of [`Innovation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Share of its weight that a sample keeps from each to the next, 0 < `forgetting` ≤ 1.
    pub forgetting: f64,
    /// Strength of the pull of the weights towards 0 at the start, > 0.
    pub regularization: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { forgetting: 0.99, regularization: 1.0 }
    }
}

/// The last target, plus what recursive least squares (Plackett 1950) expects of its change: from how the standardised
/// features have changed since, from the last two changes of the target, and from how far the last target is from the
/// mean. That is regression in differences with an error correction term (Sargan 1964; Engle and Granger 1987,
/// "Co-integration and error correction"), sample by sample.
pub type Innovation = Standalone<Differences>;

impl Innovation {
    /// A model that has learned nothing.
    pub fn new(params: Params) -> Self {
        Self::around(Differences::new(params))
    }
}

/// Changes count up to so many usual ones, as a target and as a term.
const MOST_CHANGES: f64 = 10.0;

/// Terms before those of the inputs: 1, the last change and the one before, the distance from the mean.
const OWN: usize = 4;

type Terms = [f64; OWN + MOST_INPUTS];

/// See [`Innovation`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Differences {
    params: Params,
    regression: Regression,
    /// Targets so far.
    n: u64,
    last: f64,
    /// The last change, and the one before.
    changes: [f64; 2],
    /// Mean absolute change.
    usual: f64,
    /// Of the targets (Welford 1962).
    mean: f64,
    variance: f64,
    /// The last row.
    row: Vec<f64>,
    /// Room for the gain.
    #[serde(skip)]
    gain: Vec<f64>,
}

/// What a state file holds, not yet checked.
#[derive(Deserialize)]
struct Saved {
    params: Params,
    regression: Regression,
    #[serde(deserialize_with = "saved::count")]
    n: u64,
    #[serde(deserialize_with = "saved::finite")]
    last: f64,
    changes: [f64; 2],
    #[serde(deserialize_with = "saved::finite")]
    usual: f64,
    #[serde(deserialize_with = "saved::finite")]
    mean: f64,
    #[serde(deserialize_with = "saved::finite")]
    variance: f64,
    #[serde(deserialize_with = "saved::all_finite")]
    row: Vec<f64>,
}

impl TryFrom<Saved> for Differences {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { params, regression, n, last, changes, usual, mean, variance, row } = saved;
        if row.len() > MOST_INPUTS || regression.len() != OWN + row.len() {
            return Err("the weights of an innovation do not fit its row");
        }
        if !changes.iter().all(|change| change.is_finite()) {
            return Err("an innovation remembers a change that is not finite");
        }
        Ok(Self { params, regression, n, last, changes, usual, mean, variance, row, gain: Vec::new() })
    }
}

/// `number` in `unit`s, where there is one, within bounds.
fn in_units(number: f64, unit: f64) -> f64 {
    if unit > 0.0 { (number / unit).clamp(-MOST_CHANGES, MOST_CHANGES) } else { 0.0 }
}

impl Differences {
    /// An expert that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        Self {
            params,
            regression: Regression::new([1.0 / params.regularization; OWN]),
            n: 0,
            last: 0.0,
            changes: [0.0; 2],
            usual: 0.0,
            mean: 0.0,
            variance: 0.0,
            row: Vec::new(),
            gain: Vec::new(),
        }
    }

    fn terms<'a>(&self, z: &[f64], room: &'a mut Terms) -> &'a [f64] {
        let [change, before] = self.changes.map(|change| in_units(change, self.usual));
        room[..OWN].copy_from_slice(&[1.0, change, before, in_units(self.last - self.mean, self.variance.sqrt())]);
        let terms = &mut room[..OWN + self.row.len()];
        for ((term, z), last) in terms[OWN..].iter_mut().zip(z).zip(&self.row) {
            *term = z - last;
        }
        terms
    }

    /// Remembers the sample as the last one.
    fn remember(&mut self, z: &[f64], y: f64) {
        self.n += 1;
        let rate = 1.0 / self.n as f64;
        if self.n > 1 {
            let change = y - self.last;
            self.usual += (change.abs() - self.usual) / (self.n - 1) as f64;
            self.changes = [change, self.changes[0]];
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
        let mut room: Terms = [0.0; _];
        self.last + self.usual * self.regression.predict(self.terms(z, &mut room))
    }

    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused> {
        if self.row.len() < z.len() {
            let added = vec![1.0 / self.params.regularization; z.len() - self.row.len()];
            // What is new has not changed since the last sample.
            let known = self.row.len();
            lengthen(&mut self.row, z.len(), 0.0);
            self.row[known..].copy_from_slice(&z[known..]);
            self.regression.extend(&added);
        }
        if self.usual > 0.0 {
            let mut room: Terms = [0.0; _];
            let terms = self.terms(z, &mut room);
            let error = in_units(y - self.last, self.usual) - self.regression.predict(terms);
            self.regression.learn(terms, error, self.params.forgetting, weight, &mut self.gain)?;
        }
        self.remember(z, y);
        Ok(())
    }

    fn renew(&mut self, i: usize) {
        if i < self.row.len() {
            self.regression.renew(OWN + i);
        }
    }

    fn describe(&self, inputs: &[NamedColumn]) -> Description {
        let weights = self.regression.weights();
        let deviation = self.variance.sqrt();
        let pull = if deviation > 0.0 { self.usual * weights[3] / deviation } else { 0.0 };
        let own = [("last target", 1.0 + pull), ("last change", weights[1]), ("change before", weights[2])];
        let own = own.map(|(name, weight)| (name.to_owned(), weight));
        let changes = weights[OWN..].iter().enumerate();
        let changes = changes.map(|(i, w)| (format!("change of {}", column(inputs, i).name), self.usual * w));
        Description::Linear(Linear {
            intercept: self.usual * weights[0] - pull * self.mean,
            weights: own.into_iter().chain(changes).map(|(feature, weight)| Weight { feature, weight }).collect(),
        })
    }

    fn heap_bytes(&self) -> usize {
        // The gain is as long as the weights.
        self.regression.heap_bytes() + size_of_val(self.regression.weights()) + size_of_val(self.row.as_slice())
    }
}
