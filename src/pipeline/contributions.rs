//! What each feature of one sample contributes to its prediction.
//!
//! The method is occlusion of single features (Zeiler and Fergus 2014; for tabular data as in Robnik-Šikonja and Kononenko
//! 2008): the contribution of a feature is the prediction less the prediction for the same sample with the usual value in the
//! feature's place. The usual value is the mean over the latest samples that were learned from, for a category the most
//! frequent one, and unknown where they never had the feature. For a linear model this is weight × (value − mean); features that
//! act together are each credited with their joint effect, so that contributions of other models need not sum to anything.
//!
//! Invariant: the race does not change; a feature that the sample does not have contributes nothing and is left out.

use thalweg_metrics::statistics::Var;
use thalweg_models::{Features, SampleWindow};

use crate::{
    decode::Sample,
    prequential::{Buffers, Prequential},
};

/// The usual value of each column.
#[derive(Debug)]
pub struct Usual {
    values: Vec<f64>,
    samples: usize,
}

impl Usual {
    /// Finds the usual values among the latest samples.
    pub(crate) fn of(recent: &SampleWindow) -> Self {
        let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(recent.len()); recent.columns()];
        for (row, _) in recent.rows() {
            let known = columns.iter_mut().zip(row).filter(|(_, value)| !value.is_nan());
            known.for_each(|(column, value)| column.push(*value));
        }
        let usual =
            |(i, values): (usize, &mut Vec<f64>)| if recent.is_nominal(i) { mode(values) } else { mean(values) };
        Self { values: columns.iter_mut().enumerate().map(usual).collect(), samples: recent.len() }
    }

    /// Returns the number of samples that it was found among.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }
}

/// NaN where there is no value.
fn mean(values: &[f64]) -> f64 {
    let mut mean = Var::default();
    values.iter().for_each(|value| mean.update(*value, 1.0));
    if values.is_empty() { f64::NAN } else { mean.mean }
}

/// The most frequent value, of equally frequent ones the smallest; NaN where there is none.
fn mode(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let runs = values.chunk_by(|a, b| a == b).rev();
    runs.max_by_key(|run| run.len()).and_then(<[f64]>::first).copied().unwrap_or(f64::NAN)
}

/// Returns the contributions by column. `published` is the prediction for the sample.
pub(crate) fn of(
    race: &Prequential,
    sample: &Sample<'_>,
    published: f64,
    usual: &Usual,
    buffers: &mut Buffers,
) -> Vec<(usize, f64)> {
    let (x, has_target) = (sample.features, sample.target.is_some());
    let (mut row, nominal) = (x.values().to_vec(), (0..x.len()).map(|i| x.is_nominal(i)).collect::<Vec<_>>());
    let known = (0..row.len()).filter(|i| x.get(*i).is_some()).collect::<Vec<_>>();
    let contribution = |i: usize| {
        let value = std::mem::replace(&mut row[i], usual.values.get(i).copied().unwrap_or(f64::NAN));
        // Which values are known is found anew.
        let without = race.predict_only(Features::with_nominal(&row, &nominal), sample.keys, has_target, buffers);
        let without = without.predictions.get(race.champion()).copied().unwrap_or(f64::NAN);
        row[i] = value;
        (i, published - without)
    };
    known.into_iter().map(contribution).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_category_is_the_most_frequent_and_of_two_the_first() {
        assert_eq!(mode(&mut [2.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(mode(&mut [3.0, 1.0, 3.0, 1.0]), 1.0);
        assert!(mode(&mut []).is_nan() && mean(&[]).is_nan());
    }
}
