//! What a model takes stays within its bound over a million samples of a stream that never stops changing.

use thalweg_generator::{Config, Drift, Function, Stream};
use thalweg_models::{
    Features, ModelConfig, ModelKind, Pipeline, Scratch, forest, linear,
    optimizer::{Optimizer, Schedule},
    passive_aggressive, rls, rules,
    tree::{self, Splitter, adaptive},
};

const SAMPLES: usize = 1_000_000;

const BUDGET: usize = 1 << 20;

/// Friedman's function, whose features change their roles every 50,000 samples.
fn stream() -> Stream {
    let function = Function::from_name("friedman").expect("a function");
    let positions = (1..20).map(|i| 50_000 * i).collect();
    let drift = Some(Drift { positions, ..Drift::default() });
    Stream::new(&Config { function, drift, ..Config::default() }).expect("a stream")
}

/// Learns a million samples; the most bytes that the model took, and what it took after the first 100,000.
fn most_bytes(kind: ModelKind) -> (usize, usize) {
    let config = ModelConfig::new(kind.name(), kind).scaled(true);
    let (mut model, mut scratch) = (Pipeline::new(&config), Scratch::default());
    let (mut stream, mut x) = (stream(), Vec::new());
    let (mut most, mut early) = (0, 0);
    for i in 1..=SAMPLES {
        let y = stream.next_sample(&mut x);
        model.learn_one(Features::new(&x), y, &mut scratch).expect("learned");
        if i % 1000 == 0 {
            most = most.max(model.memory_bytes());
        }
        if i == SAMPLES / 10 {
            early = most;
        }
    }
    let prediction = model.predict_one(Features::new(&x), &mut scratch);
    assert!(prediction.is_finite(), "{prediction}");
    println!("{}: {most} bytes at most, {early} early", config.name);
    (most, early)
}

fn tree(splitter: Splitter) -> tree::Params {
    tree::Params { splitter, max_bytes: BUDGET, ..tree::Params::default() }
}

fn assert_within_budget(kind: ModelKind) {
    let (most, _) = most_bytes(kind);
    // The steps and the struct itself are beside the budget.
    assert!(most < BUDGET + BUDGET / 20, "{most}");
}

#[test]
fn models_of_a_weight_per_feature_never_grow() {
    let adam = Optimizer::Adam { lr: Schedule::Constant { lr: 0.01 }, beta_1: 0.9, beta_2: 0.999, eps: 1e-8 };
    for kind in [
        ModelKind::Linear(linear::Params::default()),
        ModelKind::Linear(linear::Params { optimizer: adam, ..Default::default() }),
        ModelKind::PassiveAggressive(passive_aggressive::Params::default()),
        ModelKind::Rls(rls::Params::default()),
    ] {
        let (most, early) = most_bytes(kind);
        assert_eq!(most, early);
    }
}

#[test]
fn a_tree_of_exact_values_stays_within_its_budget() {
    assert_within_budget(ModelKind::HoeffdingTree(tree(Splitter::Ebst)));
}

#[test]
fn a_tree_of_rounded_values_stays_within_its_budget() {
    assert_within_budget(ModelKind::HoeffdingTree(tree(Splitter::Tebst { digits: 1 })));
}

#[test]
fn a_tree_of_slots_stays_within_its_budget() {
    assert_within_budget(ModelKind::HoeffdingTree(tree(Splitter::Qo { radius: 0.05 })));
}

#[test]
fn an_adaptive_tree_stays_within_its_budget() {
    let tree = tree(Splitter::Tebst { digits: 1 });
    assert_within_budget(ModelKind::AdaptiveTree(Box::new(adaptive::Params { tree, ..Default::default() })));
}

#[test]
fn a_forest_stays_within_its_budget() {
    let default = forest::Params::default();
    let tree = tree::Params { max_bytes: BUDGET, ..default.tree };
    assert_within_budget(ModelKind::AdaptiveRandomForest(Box::new(forest::Params { n_models: 3, tree, ..default })));
}

#[test]
fn rules_stay_within_a_bound_that_their_number_sets() {
    let params = rules::Params { max_rules: 20, ..rules::Params::default() };
    let (most, _) = most_bytes(ModelKind::AmRules(params));
    // Rounded values of ten features take some ten kilobytes a rule.
    assert!(most < 20 * 32_768, "{most}");
}
