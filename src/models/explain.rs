//! Computes which features matter to a model now.
//!
//! Three methods, of which a model takes the one that its form allows; all three measure the share of the target's
//! variance that a feature explains, so that their shares compare:
//! - *standardised weights* for linear models: (weight × standard deviation of the column)², by the latest samples.
//! - *variance reduction* for trees and forests (Breiman et al. 1984): what the splits on a feature take off the sum of
//!   squares, and what the weights of the linear models in the leaves account for below them.
//! - *permutation* for all else (Breiman 2001): by how much the squared error over the latest samples grows when the
//!   feature's values among them change places.
//!
//! Columns that say the same (`collinear`) are judged together, since each alone shows only how the model divided their
//! effect: weights of a sum and its terms may be huge with opposite signs. Their joint effect is shared among them by
//! their squared correlations with the model's predictions.
//!
//! Invariant: read-only, deterministic; shares are finite and not negative. What this does not do: say anything about causes.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    Description, NamedColumn, Pipeline, Regressor, SampleWindow, Scratch, collinear,
    describe::{Branch, Leaf, Linear, Node, Test},
};
use thalweg_metrics::statistics::Var;

/// The method that found the importance of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// For linear models.
    StandardisedWeights,
    /// For trees and forests.
    VarianceReduction,
    /// For all others.
    Permutation,
}

impl Method {
    /// Returns its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Method::StandardisedWeights => "standardised_weights",
            Method::VarianceReduction => "variance_reduction",
            Method::Permutation => "permutation",
        }
    }

    /// Names the method for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Method::StandardisedWeights => "standardised weights",
            Method::VarianceReduction => "variance reduction",
            Method::Permutation => "permutation",
        }
    }
}

/// A feature, and its share of the effect of all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// Name of the feature; for linear models and trees, the step's column, such as `x0*x1`.
    pub feature: String,
    /// Share, 0 to 1. The shares of a model sum to 1, but are all 0 if no feature matters.
    pub share: f64,
}

/// The features that matter to a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Method that found them.
    pub method: Method,
    /// Number of latest samples that were used.
    pub samples: usize,
    /// Features, most important first; equal ones by name.
    pub features: Vec<Importance>,
}

/// Minimum number of samples for an explanation.
const MIN_SAMPLES: usize = 10;

/// Number of permutations of each feature's values; more would tell chance better from effect, and take longer.
const SHUFFLES: u64 = 3;

/// Explains a model by the latest samples. `columns` are those of the samples. `None` if the model uses no feature, or
/// there are too few samples.
pub fn explain(pipeline: &Pipeline, columns: Vec<NamedColumn>, recent: &SampleWindow) -> Option<Explanation> {
    if recent.len() < MIN_SAMPLES {
        return None;
    }
    let weighs_columns = pipeline.model().weighs_columns();
    let (_, description) = pipeline.describe(columns.clone());
    let (method, mut sums, window) = match &description {
        Description::Constant(_) | Description::PerKey(_) => return None,
        Description::Linear(model) if weighs_columns => {
            let window = Window::seen(pipeline, columns, recent);
            let mut sums = zeros(&window.deviations());
            sums.extend(by_weight(model, &window.deviations(), &window));
            (Method::StandardisedWeights, sums, window)
        }
        Description::Tree(tree) if weighs_columns => {
            let window = Window::seen(pipeline, columns, recent);
            (Method::VarianceReduction, by_variance([&tree.root], &window), window)
        }
        Description::Forest(forest) if weighs_columns => {
            let window = Window::seen(pipeline, columns, recent);
            (Method::VarianceReduction, by_variance(forest.trees.iter().map(|tree| &tree.root), &window), window)
        }
        Description::Linear(_)
        | Description::Tree(_)
        | Description::Forest(_)
        | Description::Network(_)
        | Description::Rules(_)
        | Description::Mixture(_) => {
            let window = Window::raw(&columns, recent);
            (Method::Permutation, by_permutation(pipeline, &window, recent), window)
        }
    };
    window.share_out(&mut sums, pipeline, recent);
    Some(Explanation { method, samples: recent.len(), features: shares(sums) })
}

/// The latest samples, column by column.
struct Window {
    names: Vec<String>,
    /// Values by column; unknown ones are the column's mean.
    columns: Vec<Vec<f64>>,
    /// Groups of columns that say the same.
    groups: Vec<Vec<usize>>,
}

impl Window {
    /// Makes a window of the samples transformed by the steps.
    fn seen(pipeline: &Pipeline, columns: Vec<NamedColumn>, recent: &SampleWindow) -> Self {
        let (_, columns) = pipeline.steps().describe(columns);
        let mut rows = Vec::new();
        let mut values = vec![Vec::with_capacity(recent.len()); columns.len()];
        for (row, _) in recent.rows() {
            let seen = pipeline.steps().transform_one(recent.features(row), &mut rows);
            values.iter_mut().enumerate().for_each(|(i, column)| column.push(seen.get(i).unwrap_or(f64::NAN)));
        }
        Self::of(&columns, values)
    }

    /// Makes a window of the samples as they came.
    fn raw(columns: &[NamedColumn], recent: &SampleWindow) -> Self {
        let columns = &columns[..columns.len().min(recent.columns())];
        let of = |i: usize| recent.rows().map(|(row, _)| row[i]).collect();
        Self::of(columns, (0..columns.len()).map(of).collect())
    }

    fn of(columns: &[NamedColumn], mut values: Vec<Vec<f64>>) -> Self {
        let mut compared = Vec::with_capacity(values.len());
        for (column, values) in columns.iter().zip(&mut values) {
            let mut mean = Var::default();
            values.iter().filter(|value| !value.is_nan()).for_each(|value| mean.update(*value, 1.0));
            values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = mean.mean);
            // A category's index cannot be compared, and a column that is mostly unknown is mostly its mean.
            let comparable = !column.is_nominal() && 2.0 * mean.n >= values.len() as f64;
            compared.push(if comparable { values.clone() } else { vec![0.0; values.len()] });
        }
        let names = columns.iter().map(|column| column.name.clone()).collect();
        Self { names, groups: collinear::groups(&compared), columns: values }
    }

    /// Returns standard deviations by name.
    fn deviations(&self) -> BTreeMap<String, f64> {
        let named = self.names.iter().cloned();
        named.zip(self.columns.iter().map(|values| variance(values.iter().copied()).sqrt())).collect()
    }

    /// Iterates over the groups of more than one column.
    fn larger_groups(&self) -> impl Iterator<Item = &[usize]> {
        self.groups.iter().filter(|group| group.len() > 1).map(Vec::as_slice)
    }

    /// Shares the effect of a group among its columns.
    fn share_out(&self, sums: &mut BTreeMap<String, f64>, pipeline: &Pipeline, recent: &SampleWindow) {
        let mut scratch = Scratch::default();
        let predicted: Vec<f64> =
            recent.rows().map(|(row, _)| pipeline.predict_one(recent.features(row), &mut scratch)).collect();
        let predicted = collinear::standardised(&predicted);
        for group in self.larger_groups() {
            let whole: f64 = group.iter().filter_map(|i| sums.get(&self.names[*i])).sum();
            let worth = |i: &usize| {
                let correlation = collinear::standardised(&self.columns[*i])
                    .zip(predicted.as_ref())
                    .map_or(0.0, |(column, predicted)| collinear::product(&column, predicted));
                correlation * correlation
            };
            let worths: Vec<f64> = group.iter().map(worth).collect();
            let total: f64 = worths.iter().sum();
            for (i, worth) in group.iter().zip(worths) {
                // Also if predictions are not finite.
                let share = if total > 0.0 { worth / total } else { 1.0 / group.len() as f64 };
                sums.insert(self.names[*i].clone(), whole * share);
            }
        }
    }
}

fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let mut spread = Var::default();
    values.for_each(|value| spread.update(value, 1.0));
    spread.get().max(0.0)
}

/// Converts sums to shares of the whole, largest first.
fn shares(mut sums: BTreeMap<String, f64>) -> Vec<Importance> {
    // Scaled first: two halves of the largest number would overflow the sum.
    let most = sums.values().fold(0.0_f64, |most, sum| most.max(*sum));
    if most > 0.0 {
        sums.values_mut().for_each(|sum| *sum = (*sum).min(f64::MAX) / most.min(f64::MAX));
    }
    let total: f64 = sums.values().sum();
    let share = |sum: f64| if total > 0.0 { sum / total } else { 0.0 };
    let mut shares: Vec<Importance> =
        sums.into_iter().map(|(feature, sum)| Importance { feature, share: share(sum) }).collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

/// Starts a sum of 0 for every column, so that each is named.
fn zeros(deviations: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    deviations.keys().map(|name| (name.clone(), 0.0)).collect()
}

/// Computes the effect of each weight; the joint effect of columns that say the same is that of the first. `deviations`
/// are those among the samples that reach the model.
fn by_weight(model: &Linear, deviations: &BTreeMap<String, f64>, window: &Window) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for weight in &model.weights {
        let deviation = deviations.get(&weight.feature).copied().unwrap_or(0.0);
        let effect = weight.weight * deviation;
        sums.insert(weight.feature.clone(), effect * effect);
    }
    for group in window.larger_groups() {
        let weight = |i: &usize| {
            let name = &window.names[*i];
            model.weights.iter().find(|weight| weight.feature == *name).map_or(0.0, |weight| weight.weight)
        };
        let weights: Vec<f64> = group.iter().map(weight).collect();
        let rows = window.columns[group[0]].len();
        let together =
            |row: usize| group.iter().zip(&weights).map(|(i, weight)| weight * window.columns[*i][row]).sum::<f64>();
        let joint = variance((0..rows).map(together));
        // Scaled by the ratio of the deviations here to those everywhere.
        let narrower = group.iter().filter_map(|i| {
            let here = deviations.get(&window.names[*i])?;
            let everywhere = variance(window.columns[*i].iter().copied()).sqrt();
            (everywhere > 0.0).then(|| here / everywhere)
        });
        let narrower = narrower.fold(1.0_f64, f64::min);
        for (at, i) in group.iter().enumerate() {
            sums.insert(window.names[*i].clone(), if at == 0 { joint * narrower * narrower } else { 0.0 });
        }
    }
    sums
}

fn by_variance<'a>(roots: impl IntoIterator<Item = &'a Node>, window: &Window) -> BTreeMap<String, f64> {
    let deviations = window.deviations();
    let mut reduction = Reduction { sums: zeros(&deviations), deviations, window };
    for root in roots {
        reduction.below(root);
    }
    reduction.sums
}

/// Sums of squares by feature.
struct Reduction<'a> {
    window: &'a Window,
    sums: BTreeMap<String, f64>,
    /// Standard deviations of the columns among the samples that reach the node.
    deviations: BTreeMap<String, f64>,
}

impl Reduction<'_> {
    /// Returns the statistics of the targets below `node`. Recurses as deep as the tree, whose height is bounded.
    fn below(&mut self, node: &Node) -> Var {
        match node {
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::Branch(branch) => self.branch(branch),
        }
    }

    fn branch(&mut self, Branch { feature, test, children, .. }: &Branch) -> Var {
        // A threshold leaves about half of its feature's deviation.
        let before = self.deviations.get(feature).copied();
        if let (Some(before), Test::AtMost { .. }) = (before, test) {
            self.deviations.insert(feature.clone(), 0.5 * before);
        }
        let (mut whole, mut within) = (Var::default(), 0.0);
        for child in children {
            let part = self.below(child);
            within += part.s;
            whole = whole.merged(part);
        }
        if let Some(before) = before {
            self.deviations.insert(feature.clone(), before);
        }
        *self.sums.entry(feature.clone()).or_default() += (whole.s - within).max(0.0);
        whole
    }

    fn leaf(&mut self, leaf: &Leaf) -> Var {
        let variance = leaf.deviation * leaf.deviation;
        let whole = Var { n: leaf.n, mean: leaf.mean, s: variance * (leaf.n - 1.0).max(0.0) };
        let Some(model) = leaf.model.as_ref().filter(|_| leaf.uses_model) else { return whole };
        let effects = by_weight(model, &self.deviations, self.window);
        let sum: f64 = effects.values().sum();
        // A model that has just begun, or diverges, explains no more than the variance there is.
        let fits = if sum > variance { variance / sum } else { 1.0 };
        for (feature, effect) in effects {
            *self.sums.entry(feature).or_default() += leaf.n * effect * fits;
        }
        whole
    }
}

/// Computes the effect of each group by permuting its columns together; it is stored with the first.
fn by_permutation(pipeline: &Pipeline, window: &Window, recent: &SampleWindow) -> BTreeMap<String, f64> {
    let mut scratch = Scratch::default();
    let rows: Vec<(&[f64], f64)> = recent.rows().collect();
    let mut error = |row: &[f64], y: f64| {
        let error = y - pipeline.predict_one(recent.features(row), &mut scratch);
        error * error
    };
    let usual: f64 = rows.iter().map(|(row, y)| error(row, *y)).sum();
    let mut sums: BTreeMap<String, f64> = window.names.iter().map(|name| (name.clone(), 0.0)).collect();
    let mut row = Vec::new();
    for group in &window.groups {
        let mut permuted = 0.0;
        for shuffle in 0..SHUFFLES {
            // Every feature has the same permutations, so that chance is the same for all.
            for ((features, y), place) in rows.iter().zip(places(rows.len(), shuffle)) {
                row.clear();
                row.extend_from_slice(features);
                group.iter().for_each(|i| row[*i] = rows[place].0[*i]);
                permuted += error(&row, *y);
            }
        }
        let grown = permuted / SHUFFLES as f64 - usual;
        // False for NaN: a model that predicts NaN is not explained.
        sums.insert(window.names[group[0]].clone(), if grown > 0.0 { grown } else { 0.0 });
    }
    sums
}

/// Permutes the numbers below `n` by `seed` (Fisher and Yates 1938).
fn places(n: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        places.swap(i, rng.random_range(0..=i));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, ModelConfig, ModelKind, forest, linear, rules, steps::StepKind, tree};

    /// 6 a − 3 b, a step of `c`, and `d` for nothing; `a` a thousand times as large as it counts.
    fn sample(rng: &mut ChaCha8Rng) -> ([f64; 4], f64) {
        let [a, b, c, d] = std::array::from_fn(|_| rng.random::<f64>());
        ([1000.0 * a, b, c, d], 6.0 * a - 3.0 * b + if c > 0.5 { 1.0 } else { 0.0 })
    }

    fn columns() -> Vec<NamedColumn> {
        ["a", "b", "c", "d"].map(|name| NamedColumn::new(name, None)).to_vec()
    }

    fn learned(config: &ModelConfig, n: usize) -> (Pipeline, SampleWindow) {
        let (mut pipeline, mut recent, mut scratch) =
            (Pipeline::new(config), SampleWindow::default(), Scratch::default());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..n {
            let (x, y) = sample(&mut rng);
            pipeline.learn_one(Features::new(&x), y, &mut scratch).expect("learned");
            recent.push(Features::new(&x), y);
        }
        (pipeline, recent)
    }

    fn explained(config: &ModelConfig) -> Explanation {
        let (pipeline, recent) = learned(config, 5000);
        let explanation = explain(&pipeline, columns(), &recent).expect("explained");
        assert_eq!(explanation.samples, recent.len());
        assert_eq!(explain(&pipeline, columns(), &recent).as_ref(), Some(&explanation), "the same again");
        let total: f64 = explanation.features.iter().map(|it| it.share).sum();
        assert!((total - 1.0).abs() < 1e-9, "{explanation:?}");
        explanation
    }

    fn share(explanation: &Explanation, name: &str) -> f64 {
        explanation.features.iter().find(|it| it.feature == name).map_or(f64::NAN, |it| it.share)
    }

    #[test]
    fn every_kind_of_model_names_the_features_that_the_target_is_made_of() {
        let scaled = |kind| ModelConfig::new("m", kind).scaled(true);
        let means = tree::Params { leaf_prediction: tree::LeafPrediction::Mean, ..Default::default() };
        let cases = [
            (scaled(ModelKind::Linear(linear::Params::river())), Method::StandardisedWeights),
            (scaled(ModelKind::Rls(Default::default())), Method::StandardisedWeights),
            (ModelConfig::new("m", ModelKind::HoeffdingTree(means)), Method::VarianceReduction),
            (scaled(ModelKind::HoeffdingTree(tree::Params::default())), Method::VarianceReduction),
            (scaled(ModelKind::AdaptiveTree(Default::default())), Method::VarianceReduction),
            (
                scaled(ModelKind::AdaptiveRandomForest(Box::new(forest::Params { n_models: 3, ..Default::default() }))),
                Method::VarianceReduction,
            ),
            (scaled(ModelKind::AmRules(rules::Params::default())), Method::Permutation),
        ];
        for (config, method) in cases {
            let explanation = explained(&config);
            let names: Vec<&str> = explanation.features.iter().map(|it| it.feature.as_str()).collect();
            let kind = config.kind.name();
            assert_eq!((explanation.method, &names[..2]), (method, &["a", "b"][..]), "{kind}: {explanation:?}");
            // Of the target's variance 36/12, 9/12 and 1/4.
            let (a, d) = (share(&explanation, "a"), share(&explanation, "d"));
            assert!((a - 0.75).abs() < 0.12 && d < 0.05, "{kind}: {explanation:?}");
        }
    }

    #[test]
    fn what_steps_make_of_features_is_named_after_them() {
        let mut config = ModelConfig::new("m", ModelKind::Rls(Default::default()));
        config.steps = vec![StepKind::SCALE, StepKind::Polynomial { interaction_only: true, max_columns: 64 }];
        let explanation = explained(&config);
        assert!(share(&explanation, "a*b").is_finite() && share(&explanation, "a") > 0.5, "{explanation:?}");
    }

    /// A target of `b` and `c`, beside columns that say what others do.
    fn collinear(kind: &ModelKind, noise: f64) -> Explanation {
        let config = ModelConfig::new("m", kind.clone()).scaled(true);
        let (mut pipeline, mut recent, mut scratch) =
            (Pipeline::new(&config), SampleWindow::default(), Scratch::default());
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..4000 {
            let [a, b, c, d, e]: [f64; 5] = std::array::from_fn(|_| rng.random::<f64>() - 0.5);
            // The informative one; a time in hours, in minutes and in both; a duplicate of what matters little; a constant.
            let x = [a, b, 24.0 * d, 60.0 * e, 2400.0 * d + 60.0 * e, c, 1e3 * c + noise * (a * 7.0).sin(), 5.0];
            let y = 10.0 * a + 1.0 * c + 0.3 * d;
            pipeline.learn_one(Features::new(&x), y, &mut scratch).expect("learned");
            recent.push(Features::new(&x), y);
        }
        let names = ["a", "b", "hour", "minute", "time", "c", "c_again", "constant"];
        let columns = names.map(|name| NamedColumn::new(name, None)).to_vec();
        explain(&pipeline, columns, &recent).expect("explained")
    }

    #[test]
    fn columns_that_say_the_same_share_and_what_matters_is_first() {
        let kinds = [
            ModelKind::Rls(Default::default()),
            ModelKind::Linear(linear::Params::default()),
            ModelKind::RlsPoly(Default::default()),
            ModelKind::Innovation(Default::default()),
            ModelKind::HoeffdingTree(tree::Params::default()),
            ModelKind::AdaptiveTree(Default::default()),
            ModelKind::AmRules(rules::Params::default()),
        ];
        for kind in kinds {
            for noise in [0.0, 0.1] {
                let explanation = collinear(&kind, noise);
                let (name, of) = (kind.name(), |feature| share(&explanation, feature));
                assert_eq!(explanation.features[0].feature, "a", "{name}: {explanation:?}");
                assert!(of("a") > 0.8, "{name}: {explanation:?}");
                let total: f64 = explanation.features.iter().map(|it| it.share).sum();
                assert!((total - 1.0).abs() < 1e-9 && explanation.features.len() == 8, "{name}: {explanation:?}");
                assert!((of("c") - of("c_again")).abs() < 0.1 * of("c") + 1e-9, "{name}: {explanation:?}");
                assert!(of("hour") + of("minute") + of("time") < 0.05, "{name}: {explanation:?}");
            }
        }
    }

    #[test]
    fn weights_of_opposite_signs_that_cancel_out_matter_little() {
        let weight = |feature: &str, weight| super::super::describe::Weight { feature: feature.to_owned(), weight };
        let model =
            Linear { intercept: 0.0, weights: vec![weight("a", 1e6), weight("b", -1e6 + 1.0), weight("c", 2.0)] };
        let column =
            |of: usize| (0..200).map(|i| ((i * of) as f64 * 0.618_033_988_749_894_9).fract()).collect::<Vec<_>>();
        let columns = ["a", "b", "c"].map(|name| NamedColumn::new(name, None));
        let window = Window::of(&columns, vec![column(1), column(1), column(7)]);
        let sums = by_weight(&model, &window.deviations(), &window);
        assert!(sums["a"] + sums["b"] < 0.3 * sums["c"], "{sums:?}");
    }

    #[test]
    fn there_is_nothing_to_explain_without_features_or_samples() {
        let (mean, recent) = learned(&ModelConfig::new("m", ModelKind::Mean), 500);
        assert_eq!(explain(&mean, columns(), &recent), None);
        let (linear, recent) =
            learned(&ModelConfig::new("m", ModelKind::Linear(linear::Params::river())), MIN_SAMPLES - 1);
        assert_eq!(explain(&linear, columns(), &recent), None);
    }

    #[test]
    fn a_model_that_has_learned_nothing_finds_no_feature_important() {
        for kind in [ModelKind::Linear(linear::Params::river()), ModelKind::AmRules(rules::Params::default())] {
            let config = ModelConfig::new("m", kind);
            let (_, recent) = learned(&config, 300);
            let explanation = explain(&Pipeline::new(&config), columns(), &recent).expect("explained");
            assert!(explanation.features.iter().all(|it| it.share == 0.0), "{explanation:?}");
            assert_eq!(explanation.features.len(), 4);
        }
    }

    #[test]
    fn shares_of_the_largest_numbers_are_shares() {
        let sums = [("a", f64::MAX), ("b", f64::MAX), ("c", f64::INFINITY), ("d", 0.0)];
        let shares = shares(sums.map(|(name, sum)| (name.to_owned(), sum)).into());
        assert!((shares.iter().map(|it| it.share).sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert_eq!(shares[0].share, shares[1].share);
    }
}
