//! Every kind of model, and samples on which each learns something.

use thalweg_models::{
    ModelKind,
    aggregation::Rule,
    ekf_mlp,
    forest::{self, Aggregation},
    innovation, linear,
    loss::Loss,
    mixture, model_tree,
    optimizer::{Optimizer, Schedule},
    passive_aggressive::{self, Mode},
    rls,
    rls_poly::{self, Form},
    rules::{self, PredType},
    tree::{self, LeafPrediction, MaxFeatures, Splitter, adaptive},
};

/// Every kind with its defaults, and in further forms that run different code.
pub fn every_kind() -> Vec<ModelKind> {
    let linear = |optimizer| ModelKind::Linear(linear::Params { optimizer, ..Default::default() });
    let lossy = |loss| ModelKind::Linear(linear::Params { loss, ..linear::Params::river() });
    let hedged = |loss| ModelKind::Linear(linear::Params { loss, ..Default::default() });
    let tree = |leaf_prediction, splitter| {
        ModelKind::HoeffdingTree(tree::Params { leaf_prediction, splitter, ..Default::default() })
    };
    let aggressive = |mode| ModelKind::PassiveAggressive(passive_aggressive::Params { mode, ..Default::default() });
    let rules = |pred_type, splitter, ordered_rule_set| {
        ModelKind::AmRules(rules::Params {
            pred_type,
            splitter,
            ordered_rule_set,
            n_min: 50,
            delta: 0.1,
            ..Default::default()
        })
    };
    let lr = Schedule::Constant { lr: 0.01 };
    let (beta_1, beta_2, eps) = (0.9, 0.999, 1e-8);
    let more = [
        linear(Optimizer::RIVER),
        linear(Optimizer::Momentum { lr, rho: 0.9 }),
        linear(Optimizer::Nesterov { lr, rho: 0.9 }),
        linear(Optimizer::AdaGrad { lr, eps }),
        linear(Optimizer::RmsProp { lr, rho: 0.9, eps }),
        linear(Optimizer::Adam { lr, beta_1, beta_2, eps }),
        linear(Optimizer::AmsGrad { lr, beta_1, beta_2, eps, correct_bias: true }),
        linear(Optimizer::AdaMax { lr, beta_1, beta_2, eps }),
        linear(Optimizer::Nadam { lr, beta_1, beta_2, eps }),
        linear(Optimizer::AdaDelta { rho: 0.95, eps }),
        linear(Optimizer::Ftrl { alpha: 0.05, beta: 1.0, l1: 0.1, l2: 1.0 }),
        lossy(Loss::Absolute),
        lossy(Loss::EpsilonInsensitive { epsilon: 0.1 }),
        ModelKind::Linear(linear::Params { l1: 0.001, ..linear::Params::river() }),
        ModelKind::Linear(linear::Params { l2: 0.001, ..linear::Params::river() }),
        hedged(Loss::Quantile { alpha: 0.7 }),
        hedged(Loss::Cauchy { c: 10.0 }),
        ModelKind::Linear(linear::Params { l1: 0.001, ..Default::default() }),
        ModelKind::Linear(linear::Params { l2: 0.001, ..Default::default() }),
        aggressive(Mode::Pa),
        aggressive(Mode::PaII),
        ModelKind::Rls(rls::Params { forgetting: 0.9, regularization: 0.01 }),
        ModelKind::RlsPoly(rls_poly::Params { basis: Form::Degree2, recall: 0, ..Default::default() }),
        ModelKind::RlsPoly(rls_poly::Params { basis: Form::Linear, forgetting: 0.99, ..Default::default() }),
        ModelKind::EkfMlp(ekf_mlp::Params { hidden: 3, forgetting: 1.0, seed: 7 }),
        ModelKind::Innovation(innovation::Params { lags: 24, forgetting: 0.999, regularization: 10.0 }),
        ModelKind::Mixture(mixture::Params { rule: Rule::Exponential, members: Vec::new() }),
        ModelKind::ModelTree(model_tree::Params {
            n_models: 1,
            max_nodes: 7,
            max_features: MaxFeatures::All,
            grace_period: 20,
            ..Default::default()
        }),
        tree(LeafPrediction::Mean, Splitter::Ebst),
        tree(LeafPrediction::Model, Splitter::Tebst { digits: 1 }),
        tree(LeafPrediction::Adaptive, Splitter::Qo { radius: 0.1 }),
        rules(PredType::Mean, Splitter::Ebst, true),
        rules(PredType::Model, Splitter::Tebst { digits: 1 }, true),
        rules(PredType::Adaptive, Splitter::Qo { radius: 0.1 }, false),
        ModelKind::AdaptiveTree(Box::new(adaptive::Params { bootstrap_sampling: false, ..Default::default() })),
        ModelKind::AdaptiveRandomForest(Box::new(forest::Params {
            n_models: 3,
            max_features: MaxFeatures::Share(0.5),
            aggregation_method: Aggregation::Mean,
            disable_weighted_vote: false,
            ..Default::default()
        })),
    ];
    // A champion sees others' predictions instead of features; `ensembles` has it.
    let plain = ModelKind::all().into_iter().filter(|kind| !matches!(kind, ModelKind::Champion(_)));
    plain.chain(more).collect()
}

/// Which columns of [`samples`] are nominal.
pub const NOMINAL: [bool; 6] = [false, false, false, false, false, true];

/// Samples with a step, a slope, a category, and gaps; the last column appears after a while.
pub fn samples(n: usize) -> impl Iterator<Item = (Vec<f64>, f64)> {
    let noise = |i: usize| ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract();
    (0..n).map(move |row| {
        let number = |i: usize| noise((row * 7919 + i * 104_729) % 1_000_003);
        let mut x: Vec<f64> = (0..5).map(number).chain([(row % 3) as f64]).collect();
        let y = 10.0 * x[0] + if x[1] > 0.5 { 5.0 } else { 0.0 } + x[5] + 0.1 * number(9);
        if row % 7 == 0 {
            x[row % 6] = f64::NAN;
        }
        x.truncate(if row < 50 { 4 } else { 6 });
        (x, y)
    })
}
