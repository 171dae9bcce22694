//! Standardises features as they come.

use serde::{Deserialize, Serialize};

use super::{Standardised, StepDescription};
use crate::{Features, NamedColumn, compact_vec::lengthen};
use thalweg_metrics::checked;

/// Brings each numeric feature to mean 0 and (population) variance 1 by its running statistics (Welford 1962). Nominal
/// columns pass through. A feature that never varied, or was never learned, becomes 0.
///
/// With `keep_zeros` it does not centre a feature that is nearly always 0, such as a column of one-hot records: it
/// divides it by the root mean square of its other values, so that zeros stay zeros and the others hardly depend on how
/// many there were so far. Centred, they would be many deviations wide, and fewer with every record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    forgetting: f64,
    // A list for each statistic, so that the processor can work on several columns at once.
    /// Total weight of the values; without forgetting, their number.
    n: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// √ `variance`, kept because every prediction needs it and only learning changes it.
    deviation: Vec<f64>,
    /// Present if zeros are kept.
    #[serde(default)]
    sparse: Option<Sparse>,
}

checked!(StandardScaler { forgetting, n, mean, variance, deviation, sparse } then fits);

impl StandardScaler {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { n, mean, variance, deviation, sparse, .. } = self;
        let kept = sparse.iter().flat_map(|Sparse { zeros, bar }| [zeros, bar]);
        if [mean, variance, deviation].into_iter().chain(kept).any(|list| list.len() != n.len()) {
            return Err("the statistics of a scaler are of different columns");
        }
        Ok(())
    }
}

/// State for keeping zeros, per column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sparse {
    /// Total weight of the zeros.
    zeros: Vec<f64>,
    /// Share of zeros above which a column is sparse: `SPARSE_ENTRY_SHARE` until it is, then `SPARSE_EXIT_SHARE`.
    bar: Vec<f64>,
}

checked!(Sparse { zeros, bar });

/// Share of zeros above which a column becomes sparse.
const SPARSE_ENTRY_SHARE: f64 = 0.9;

/// Share of zeros above which it stays sparse, lower so that a column at the edge does not change all the time.
const SPARSE_EXIT_SHARE: f64 = 0.8;

impl Default for StandardScaler {
    /// Forgets nothing, and centres every feature.
    fn default() -> Self {
        Self::new(1.0, false)
    }
}

/// The running statistics of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Column {
    /// Total weight of the values; without forgetting, their number.
    pub n: f64,
    /// Mean, in the feature's unit.
    pub mean: f64,
    /// Population variance.
    pub variance: f64,
}

impl StandardScaler {
    /// Makes a scaler that has learned nothing. `forgetting` is the share of its weight that a value keeps per later
    /// value, 0 < `forgetting` ≤ 1: 1 forgets nothing, 0.999 looks back about 1,000 values. With `keep_zeros`, features
    /// that are 0 in over 9 of 10 samples are not centred.
    pub fn new(forgetting: f64, keep_zeros: bool) -> Self {
        let sparse = keep_zeros.then(Sparse::default);
        Self { forgetting, n: Vec::new(), mean: Vec::new(), variance: Vec::new(), deviation: Vec::new(), sparse }
    }

    /// Returns the statistics of each column seen so far.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        let statistics = self.n.iter().zip(&self.mean).zip(&self.variance);
        statistics.map(|((&n, &mean), &variance)| Column { n, mean, variance })
    }

    /// Adds the known features of `x` to the statistics. A value that would make them infinite is skipped.
    pub fn learn_one(&mut self, x: Features<'_>) {
        let d = x.len();
        if self.n.len() < d {
            for list in [&mut self.n, &mut self.mean, &mut self.variance, &mut self.deviation] {
                lengthen(list, d, 0.0);
            }
            if let Some(Sparse { zeros, bar }) = &mut self.sparse {
                lengthen(zeros, d, 0.0);
                lengthen(bar, d, SPARSE_ENTRY_SHARE);
            }
        }
        let Self { forgetting, n, mean, variance, deviation, sparse } = self;
        if x.all_known_numeric() {
            learn(*forgetting, n, mean, variance, deviation, x.values());
            if let Some(Sparse { zeros, bar }) = sparse {
                count(*forgetting, n, zeros, bar, x.values());
            }
        } else {
            for i in (0..d).filter(|i| !(x.values()[*i].is_nan() || x.is_nominal(*i))) {
                let of = i..=i;
                let (n, mean) = (&mut n[of.clone()], &mut mean[of.clone()]);
                let (variance, deviation) = (&mut variance[of.clone()], &mut deviation[of.clone()]);
                learn(*forgetting, n, mean, variance, deviation, &x.values()[of.clone()]);
                if let Some(Sparse { zeros, bar }) = sparse {
                    count(*forgetting, n, &mut zeros[of.clone()], &mut bar[of.clone()], &x.values()[of]);
                }
            }
        }
    }

    pub(crate) fn describe(&self, columns: &mut [NamedColumn]) -> StepDescription {
        let mut features = Vec::new();
        for (i, named) in columns.iter_mut().enumerate().filter(|(_, named)| !named.is_nominal()) {
            let of = |list: &[f64]| list.get(i).copied().unwrap_or_default();
            let (n, mean, deviation) = (of(&self.n), of(&self.mean), of(&self.deviation));
            features.push(Standardised { feature: named.name.clone(), n, mean, deviation });
            if self.is_sparse(i) {
                named.rescale(0.0, self.unit(i));
            } else {
                named.rescale(mean, deviation);
            }
        }
        StepDescription::StandardScaler { forgetting: self.forgetting, features }
    }

    /// Returns the standardised value of column `i`; 0 if it is unknown or nominal.
    pub(crate) fn standardised(&self, x: Features<'_>, i: usize) -> f64 {
        match (x.get(i), self.deviation.get(i)) {
            (Some(value), Some(_)) if self.is_sparse(i) => self.divided(i, value),
            (Some(value), Some(deviation)) if *deviation > 0.0 && !x.is_nominal(i) => {
                (value - self.mean[i]) / deviation
            }
            _ => 0.0,
        }
    }

    /// Returns true if column `i` is sparse, so that it is not centred.
    fn is_sparse(&self, i: usize) -> bool {
        self.sparse.as_ref().and_then(|sparse| sparse.bar.get(i)).is_some_and(|bar| *bar == SPARSE_EXIT_SHARE)
    }

    /// Returns the divisor of a sparse column: the root mean square of its values other than 0.
    fn unit(&self, i: usize) -> f64 {
        let others = self.sparse.as_ref().map_or(0.0, |sparse| self.n[i] - sparse.zeros[i]);
        let mean_square = self.variance[i] + self.mean[i] * self.mean[i];
        // After much forgetting the rest is rounding error, and no divisor.
        if others > 1e-6 * self.n[i] { (mean_square * (self.n[i] / others)).sqrt() } else { 0.0 }
    }

    /// Divides a value of a sparse column; 0 if only zeros were learned.
    fn divided(&self, i: usize, value: f64) -> f64 {
        let unit = self.unit(i);
        if unit > 0.0 && unit.is_finite() { value / unit } else { 0.0 }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let lists = if self.sparse.is_some() { 6 } else { 4 };
        lists * size_of_val(self.n.as_slice())
    }

    /// Writes the standardised features into `out`, as many as `x` has; unknown ones stay NaN.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Vec<f64>) {
        let values = x.values();
        out.resize(values.len(), 0.0);
        let known = values.len().min(self.n.len());
        standardise(&mut out[..known], &values[..known], &self.mean, &self.deviation);
        // Columns never learned are 0.
        out[known..].fill(0.0);
        if let Some(Sparse { bar, .. }) = &self.sparse {
            let columns = out.iter_mut().zip(values).zip(bar).enumerate();
            for (i, ((out, &value), _)) in columns.filter(|(_, (_, bar))| **bar == SPARSE_EXIT_SHARE) {
                *out = if value == 0.0 { 0.0 } else { self.divided(i, value) };
            }
        }
        if !x.all_known_numeric() {
            for (i, (out, &value)) in out.iter_mut().zip(values).enumerate() {
                if value.is_nan() || x.is_nominal(i) {
                    *out = value;
                }
            }
        }
    }
}

/// Learns a value for each column. Without a branch: all is computed, and then kept or not, so that the processor
/// handles several columns at once. Inlined, the compiler would no longer know that the lists do not overlap, and would
/// handle one column at a time.
#[inline(never)]
fn learn(forgetting: f64, n: &mut [f64], mean: &mut [f64], variance: &mut [f64], deviation: &mut [f64], x: &[f64]) {
    let d = x.len();
    let (n, mean, variance, deviation) = (&mut n[..d], &mut mean[..d], &mut variance[..d], &mut deviation[..d]);
    for i in 0..d {
        let (value, mean_before, variance_before) = (x[i], mean[i], variance[i]);
        let weight = forgetting * n[i] + 1.0;
        let mean_now = mean_before + (value - mean_before) / weight;
        let deviations = (value - mean_before) * (value - mean_now);
        let variance_now = variance_before + (deviations - variance_before) / weight;
        // Also false of NaN.
        let keep = variance_now.abs() < f64::INFINITY && mean_now.abs() < f64::INFINITY;
        n[i] = if keep { weight } else { n[i] };
        mean[i] = if keep { mean_now } else { mean_before };
        let variance_now = if keep { variance_now } else { variance_before };
        variance[i] = variance_now;
        deviation[i] = variance_now.sqrt();
    }
}

/// Counts zeros, after [`learn`] and in its way, and marks the columns that are sparse.
#[inline(never)]
fn count(forgetting: f64, n: &[f64], zeros: &mut [f64], bar: &mut [f64], x: &[f64]) {
    let d = x.len();
    let (n, zeros, bar) = (&n[..d], &mut zeros[..d], &mut bar[..d]);
    for i in 0..d {
        zeros[i] = forgetting * zeros[i] + if x[i] == 0.0 { 1.0 } else { 0.0 };
        bar[i] = if zeros[i] > bar[i] * n[i] { SPARSE_EXIT_SHARE } else { SPARSE_ENTRY_SHARE };
    }
}

/// Writes the distances from the means in deviations; 0 where there is no deviation.
#[inline(never)]
fn standardise(out: &mut [f64], x: &[f64], mean: &[f64], deviation: &[f64]) {
    let d = x.len();
    let (out, mean, deviation) = (&mut out[..d], &mean[..d], &deviation[..d]);
    for i in 0..d {
        let scaled = (x[i] - mean[i]) / deviation[i];
        out[i] = if deviation[i] > 0.0 { scaled } else { 0.0 };
    }
}
