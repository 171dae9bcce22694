//! Recursive least squares: the linear regression that is optimal for what it has seen, at O(d²) a sample.
//!
//! Invariant: the covariance is symmetric by construction (one triangle is stored and updated), and its diagonal never
//! exceeds twice its start, so a direction that the stream never excites cannot wind up. Weights are finite; a sample
//! that would change this is refused as a whole. Unknown and nominal features count as 0, which is the mean of a
//! standardised one. d is the number of columns that were ever anything but 0: the others have a weight of 0, and no
//! row in the covariance.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

use super::{Description, Features, NamedColumn, Refused, Regressor, least_squares::Covariance};

/// A step that changes a weight by this much or more is refused.
const MAX_WEIGHT_STEP: f64 = 1e200;

/// Parameters of [`RecursiveLeastSquares`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Share of its weight that a sample keeps per later sample, 0 < `forgetting` ≤ 1. 1 forgets nothing; 0.999 looks
    /// back about 1,000 samples.
    pub forgetting: f64,
    /// Strength of the pull of the weights towards 0 at the start, > 0.
    pub regularization: f64,
}

checked!(Params { forgetting, regularization });

impl Default for Params {
    fn default() -> Self {
        Self { forgetting: 0.999, regularization: 1.0 }
    }
}

/// Variance of the intercept before anything was learned.
const INTERCEPT_VARIANCE: f64 = 1e3;

/// Least squares, sample by sample (Plackett 1950, "Some theorems in least squares"), with exponential forgetting (Ljung
/// and Söderström 1983, "Theory and practice of recursive identification").
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecursiveLeastSquares {
    params: Params,
    /// Intercept first, then a weight per column.
    weights: Vec<f64>,
    /// Row 0 is the intercept's.
    covariance: Covariance,
    /// Index of the weight of each row of the covariance, in the order in which they were first excited. States of
    /// older versions have a row for every weight, in order.
    #[serde(default)]
    places: Vec<usize>,
    /// Per weight, true once it has such a row; empty once all have.
    #[serde(skip)]
    excited: Vec<bool>,
    /// True if each weight's row is its own index.
    #[serde(skip)]
    in_order: bool,
    /// Buffers for the row with its leading 1, for its excited part, and for the gain.
    #[serde(skip)]
    row: Vec<f64>,
    #[serde(skip)]
    packed: Vec<f64>,
    #[serde(skip)]
    gain: Vec<f64>,
}

checked!(RecursiveLeastSquares {
    params,
    weights,
    covariance,
    places,
    excited: skipped,
    in_order: skipped,
    row: skipped,
    packed: skipped,
    gain: skipped,
} then fits);

impl RecursiveLeastSquares {
    fn fits(&mut self) -> Result<(), &'static str> {
        let Self { weights, covariance, places, excited, .. } = self;
        if places.is_empty() {
            places.extend(0..weights.len());
        }
        excited.resize(weights.len(), false);
        let once = |place: &usize| excited.get_mut(*place).is_some_and(|it| !std::mem::replace(it, true));
        let fit = places.first() == Some(&0) && covariance.len() == places.len() && places.iter().all(once);
        // A weight without a row has learned nothing.
        if !fit || excited.iter().zip(weights).any(|(excited, weight)| !*excited && *weight != 0.0) {
            return Err("the covariance of a recursive least squares does not fit its weights");
        }
        self.index_places();
        Ok(())
    }
}

impl RecursiveLeastSquares {
    /// A regression that has learned nothing.
    pub fn new(params: Params) -> Self {
        let mut model = Self::empty(params);
        model.weights.push(0.0);
        model.covariance.push(start(&params, 0));
        model.places.push(0);
        model.index_places();
        model
    }

    /// Makes a regression without any weight.
    fn empty(params: Params) -> Self {
        Self {
            params,
            weights: Vec::new(),
            covariance: Covariance::with_diagonal([]),
            places: Vec::new(),
            excited: Vec::new(),
            in_order: false,
            row: Vec::new(),
            packed: Vec::new(),
            gain: Vec::new(),
        }
    }

    /// Returns the intercept, in the target's unit.
    pub fn intercept(&self) -> f64 {
        self.weights[0]
    }

    /// Returns the weight of each column seen so far.
    pub fn weights(&self) -> &[f64] {
        &self.weights[1..]
    }

    /// Returns the largest element on the covariance's diagonal: the variance of the weight it knows least.
    pub fn largest_variance(&self) -> f64 {
        let of = |i: usize| self.covariance.diagonal(i);
        let unexcited = if self.places.len() < self.weights.len() { start(&self.params, 1) } else { 0.0 };
        (0..self.places.len()).map(of).fold(unexcited, f64::max)
    }

    /// Adds weights for up to `d` columns.
    fn grow(&mut self, d: usize) {
        if self.weights.len() <= d {
            let more = d + 1 - self.weights.len();
            self.weights.reserve_exact(more);
            self.weights.resize(d + 1, 0.0);
            self.index_places();
        }
    }

    /// Rebuilds `in_order` and `excited` from `places`.
    #[cold]
    fn index_places(&mut self) {
        let whole = self.places.len() == self.weights.len();
        self.in_order = whole && self.places.iter().copied().eq(0..self.weights.len());
        self.excited = vec![false; if whole { 0 } else { self.weights.len() }];
        if !whole {
            self.places.iter().for_each(|place| self.excited[*place] = true);
        }
    }

    /// Adds a row of the covariance for each column that is not 0 for the first time.
    fn excite(&mut self) {
        let new = |(value, excited): &(&f64, &bool)| **value != 0.0 && !**excited;
        let more = self.row.iter().zip(&self.excited).filter(new).count();
        if more == 0 {
            return;
        }
        self.places.reserve_exact(more);
        self.covariance.reserve(self.places.len() + more);
        for i in 0..self.weights.len() {
            if self.row[i] != 0.0 && !self.excited[i] {
                self.covariance.push(start(&self.params, i));
                self.places.push(i);
            }
        }
        self.index_places();
    }

    /// Subtracts what `gain` has learned from the covariance, forgets, and brings the diagonal back into its bounds.
    fn shrink(&mut self, q: f64) {
        let Self { covariance, gain, params, .. } = self;
        covariance.shrink(gain, q, params.forgetting);
        let n = covariance.len();
        let mut beyond = 0;
        for i in 0..n {
            let (variance, most) = (covariance.diagonal(i), start(params, i));
            if variance > most {
                beyond += 1;
            } else if variance <= 0.0 || variance.is_nan() {
                // Rounding has made it 0 or less: it is as at the start again.
                covariance.isolate(i, most);
            }
        }
        if beyond > 0 {
            self.confine(beyond);
        }
    }

    /// Brings the diagonal back into its bounds, which `beyond` of its elements exceed; O(d²), however many these are.
    #[cold]
    fn confine(&mut self, mut beyond: usize) {
        let Self { covariance, gain: buffer, params, .. } = self;
        let n = covariance.len();
        for i in 0..n {
            // Nothing depends on it, so nothing else changes.
            let most = start(params, i);
            if covariance.diagonal(i) > most && covariance.is_isolated(i) {
                covariance.isolate(i, most);
                beyond -= 1;
            }
        }
        // Scaling row and column instead would forget what keeps features that move slowly from throwing the weights about.
        if beyond <= MAX_OBSERVED {
            for i in 0..n {
                let most = start(params, i);
                if covariance.diagonal(i) > most {
                    covariance.confine_by_observing(i, most, buffer);
                }
            }
            return;
        }
        let excess = |covariance: &Covariance, i: usize| covariance.diagonal(i) / start(params, i);
        let furthest = |covariance: &Covariance| {
            (0..n).max_by(|a, b| excess(covariance, *a).total_cmp(&excess(covariance, *b))).unwrap_or_default()
        };
        for _ in 0..MAX_OBSERVED {
            let i = furthest(covariance);
            if excess(covariance, i) > 1.0 {
                covariance.confine_by_observing(i, start(params, i), buffer);
            }
        }
        // The loop above may not come round to each often enough.
        if excess(covariance, furthest(covariance)) > MAX_VARIANCE_RATIO {
            buffer.resize(n, 0.0);
            covariance.confine(|i| start(params, i), buffer);
        }
    }
}

/// Maximum number of weights per sample that are brought back into bounds by observing them, each at O(d²).
const MAX_OBSERVED: usize = 4;

/// Maximum ratio of a variance to its bound while it waits to be observed.
const MAX_VARIANCE_RATIO: f64 = 2.0;

/// Returns element `i` of the diagonal before anything was learned.
fn start(params: &Params, i: usize) -> f64 {
    if i == 0 { INTERCEPT_VARIANCE } else { 1.0 / params.regularization }
}

impl Regressor for RecursiveLeastSquares {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let pairs = self.weights[1..].iter().zip(x.values());
        let sum = if x.all_known_numeric() {
            pairs.fold(0.0, |sum, (w, value)| sum + w * value)
        } else {
            let known = pairs.enumerate().filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
            known.fold(0.0, |sum, (_, (w, value))| sum + w * value)
        };
        sum + self.weights[0]
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        self.grow(x.len());
        if weight == 0.0 {
            return Ok(());
        }
        self.row.clear();
        self.row.reserve_exact(self.weights.len());
        self.row.push(1.0);
        if x.all_known_numeric() {
            self.row.extend_from_slice(x.values());
        } else {
            let known = |(i, value): (usize, &f64)| if value.is_nan() || x.is_nominal(i) { 0.0 } else { *value };
            self.row.extend(x.values().iter().enumerate().map(known));
        }
        self.row.resize(self.weights.len(), 0.0);
        if !self.excited.is_empty() {
            self.excite();
        }
        let error = y - self.row.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f64>();
        let reach = if self.in_order {
            self.covariance.project(&self.row, &mut self.gain)
        } else {
            self.packed.clear();
            self.packed.reserve_exact(self.places.len());
            self.packed.extend(self.places.iter().map(|place| self.row[*place]));
            self.covariance.project(&self.packed, &mut self.gain)
        };
        let q = self.params.forgetting / weight + reach;
        let step = error / q;
        let largest = self.gain.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        // Also false of NaN.
        let sound =
            reach >= 0.0 && q.is_finite() && q > 0.0 && largest.is_finite() && (step * largest).abs() < MAX_WEIGHT_STEP;
        if !sound {
            return Err(Refused);
        }
        if self.in_order {
            self.weights.iter_mut().zip(&self.gain).for_each(|(w, g)| *w += step * g);
        } else {
            self.places.iter().zip(&self.gain).for_each(|(place, g)| self.weights[*place] += step * g);
        }
        self.shrink(q);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        // The row is as long as the weights, the gain as the places; so is what is packed, where anything is.
        let packed = if self.in_order { 0 } else { self.places.len() };
        let numbers = 2 * self.weights.len() + 2 * self.places.len() + packed;
        size_of::<Self>() + numbers * size_of::<f64>() + self.excited.len() + self.covariance.heap_bytes()
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::linear(self.intercept(), self.weights(), columns)
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::least_squares::PASSES;
    use thalweg_metrics::Checked;

    /// Numbers in −1..1 without structure that matters here.
    fn number(i: usize) -> f64 {
        2.0 * ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() - 1.0
    }

    /// The most passes over the covariance that a sample of those took, and the model.
    fn most_passes(forgetting: f64, samples: usize, x: impl Fn(usize) -> Vec<f64>) -> (usize, RecursiveLeastSquares) {
        let mut model = RecursiveLeastSquares::new(Params { forgetting, ..Params::default() });
        let mut most = 0;
        for t in 0..samples {
            let (x, before) = (x(t), PASSES.get());
            let known = |i: usize| if x[i].is_nan() { 0.0 } else { x[i] };
            model.learn_one(Features::new(&x), 3.0 * known(0) - known(1), 1.0).expect("learned");
            most = most.max(PASSES.get() - before);
        }
        (most, model)
    }

    #[test]
    fn a_sample_costs_a_few_passes_whatever_the_columns_are_like() {
        let live = |t: usize, i: usize| number(7 * t + i);
        type Column<'a> = &'a dyn Fn(usize, usize) -> f64;
        let cases: [(&str, Column<'_>); 6] = [
            ("never varied", &|_, _| 0.0),
            ("constant", &|_, i| i as f64),
            ("varied once", &|t, i| if t < 50 { number(131 * t + i) } else { 0.0 }),
            ("duplicates", &|t, i| live(t, i % 2)),
            ("unknown", &|t, i| if t < 30 || t % 97 == i { live(t, i) } else { f64::NAN }),
            ("vary late", &|t, i| if t > 4 * i { live(t, i) } else { 0.0 }),
        ];
        for forgetting in [0.9, 0.99, 0.999, 1.0] {
            for (case, rest) in cases {
                let x = |t| (0..80).map(|i| if i < 2 { live(t, i) } else { rest(t, i) }).collect();
                let (most, model) = most_passes(forgetting, 600, x);
                assert!(most <= MAX_OBSERVED + 2, "{case}, {forgetting}: {most}");
                let variance = model.largest_variance();
                assert!(variance <= INTERCEPT_VARIANCE * MAX_VARIANCE_RATIO, "{case}, {forgetting}: {variance}");
                // An old memory that is short tells 80 columns apart no more than least squares could.
                if forgetting > 0.98 {
                    let off = (0..50).map(|t| {
                        let x: Vec<f64> = x(1000 + t);
                        let known = |i: usize| if x[i].is_nan() { 0.0 } else { x[i] };
                        (model.predict_one(Features::new(&x)) - (3.0 * known(0) - known(1))).abs()
                    });
                    let off = off.fold(0.0, f64::max);
                    assert!(off < 0.3, "{case}, {forgetting}: {off}");
                }
            }
        }
    }

    #[test]
    fn a_column_that_never_varied_has_no_row_and_one_that_begins_to_is_learned() {
        let x = |t: usize| vec![number(7 * t), number(7 * t + 1), 0.0, if t > 500 { number(7 * t + 2) } else { 0.0 }];
        let (_, model) = most_passes(0.999, 500, x);
        assert_eq!((model.covariance.len(), model.weights.len()), (3, 5));
        let (_, model) = most_passes(0.999, 1000, x);
        assert_eq!((model.places, model.in_order), (vec![0, 1, 2, 4], false));
    }

    #[test]
    fn a_state_from_before_has_a_row_for_every_weight() {
        let (_, model) = most_passes(0.99, 300, |t| vec![number(7 * t), number(7 * t + 1)]);
        let mut state = serde_json::to_value(&model).expect("saved");
        state.as_object_mut().expect("fields").remove("places");
        let mut restored: RecursiveLeastSquares = serde_json::from_value(state).expect("opened");
        restored.check().expect("sound");
        assert!(restored.in_order && restored.weights == model.weights);
    }
}
