//! What a model costs: predict, score and learn, in memory, on Friedman's ten features.
//!
//! `cargo bench --bench engine` prints samples a second for each kind. One run learns 50,000 samples from nothing, on
//! the thread that calls, so trees grow as they do in the first minute of a stream. Scores are the cumulative MAE, RMSE
//! and R2.

use divan::{Bencher, counter::ItemsCount};
use thalweg::{
    generator::{self, Function, Stream},
    metrics::Scores,
    models::{
        Features, ModelConfig, ModelKind, Pipeline, Scratch, ekf_mlp, innovation, linear, mixture, model_tree,
        passive_aggressive, rls, rls_poly, rules, tree,
    },
};

const SAMPLES: usize = 50_000;

fn main() {
    divan::main();
}

/// Rows of ten features, and targets.
fn friedman() -> (Vec<[f64; 10]>, Vec<f64>) {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
    let mut x = Vec::new();
    let sample = |_| {
        let y = stream.next_sample(&mut x);
        (<[f64; 10]>::try_from(x.as_slice()).expect("ten features"), y)
    };
    (0..SAMPLES).map(sample).unzip()
}

fn run(bencher: Bencher<'_, '_>, scale: bool, kind: ModelKind) {
    let (rows, targets) = friedman();
    let config = ModelConfig::new(kind.name(), kind).scaled(scale);
    bencher.counter(ItemsCount::new(SAMPLES)).bench_local(|| {
        let (mut model, mut scratch, mut scores) = (Pipeline::new(&config), Scratch::default(), Scores::default());
        for (x, y) in rows.iter().zip(&targets) {
            let x = Features::new(x);
            scores.update(*y, model.predict_one(x, &mut scratch));
            model.learn_one(x, *y, &mut scratch).expect("learned");
        }
        scores
    });
}

#[divan::bench]
fn mean(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::Mean);
}

#[divan::bench]
fn scaler_linear(bencher: Bencher<'_, '_>) {
    run(bencher, true, ModelKind::Linear(linear::Params::river()));
}

#[divan::bench]
fn scaler_passive_aggressive(bencher: Bencher<'_, '_>) {
    run(bencher, true, ModelKind::PassiveAggressive(passive_aggressive::Params::default()));
}

#[divan::bench]
fn rls(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::Rls(rls::Params::default()));
}

#[divan::bench(sample_count = 5)]
fn rls_poly(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::RlsPoly(rls_poly::Params::default()));
}

#[divan::bench(sample_count = 10)]
fn rls_poly_degree2(bencher: Bencher<'_, '_>) {
    let params = rls_poly::Params { basis: rls_poly::Form::Degree2, ..Default::default() };
    run(bencher, false, ModelKind::RlsPoly(params));
}

#[divan::bench(sample_count = 5)]
fn ekf_mlp(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::EkfMlp(ekf_mlp::Params::default()));
}

#[divan::bench(sample_count = 30)]
fn innovation(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::Innovation(innovation::Params::default()));
}

#[divan::bench(sample_count = 5)]
fn mixture(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::Mixture(mixture::Params::default()));
}

#[divan::bench(sample_count = 10)]
fn model_tree(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::ModelTree(model_tree::Params::default()));
}

#[divan::bench(sample_count = 30)]
fn model_tree_single(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::ModelTree(model_tree::Params { n_models: 1, ..Default::default() }));
}

#[divan::bench(sample_count = 30)]
fn hoeffding_tree(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::HoeffdingTree(tree::Params::default()));
}

#[divan::bench(sample_count = 30)]
fn scaler_hoeffding_tree(bencher: Bencher<'_, '_>) {
    run(bencher, true, ModelKind::HoeffdingTree(tree::Params::default()));
}

#[divan::bench(sample_count = 30)]
fn hoeffding_tree_mean(bencher: Bencher<'_, '_>) {
    let params = tree::Params { leaf_prediction: tree::LeafPrediction::Mean, ..tree::Params::default() };
    run(bencher, false, ModelKind::HoeffdingTree(params));
}

#[divan::bench(sample_count = 30)]
fn adaptive_tree(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::AdaptiveTree(Box::default()));
}

#[divan::bench(sample_count = 5)]
fn adaptive_random_forest(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::AdaptiveRandomForest(Box::default()));
}

#[divan::bench(sample_count = 30)]
fn amrules(bencher: Bencher<'_, '_>) {
    run(bencher, false, ModelKind::AmRules(rules::Params::default()));
}

#[divan::bench(sample_count = 30)]
fn scaler_amrules(bencher: Bencher<'_, '_>) {
    run(bencher, true, ModelKind::AmRules(rules::Params::default()));
}
