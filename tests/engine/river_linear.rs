//! Scaler and linear regression give River's numbers: every prediction and every final weight of 20 variants.

use crate::vectors::{Table, assert_close};
use thalweg_models::{
    Features, Model, ModelConfig, ModelKind, Pipeline, Scratch,
    linear::Params,
    loss::Loss,
    optimizer::{Optimizer, Schedule},
    steps::StandardScaler,
};

const TOLERANCE: f64 = 1e-9;

fn constant(lr: f64) -> Schedule {
    Schedule::Constant { lr }
}

fn sgd() -> Params {
    Params::river()
}

fn with(optimizer: Optimizer) -> Params {
    Params { optimizer, ..sgd() }
}

fn losing(loss: Loss) -> Params {
    Params { loss, ..sgd() }
}

fn adam(lr: f64) -> Optimizer {
    Optimizer::Adam { lr: constant(lr), beta_1: 0.9, beta_2: 0.999, eps: 1e-8 }
}

fn adagrad() -> Optimizer {
    Optimizer::AdaGrad { lr: constant(0.1), eps: 1e-8 }
}

fn pipeline(params: Params, scale: bool) -> Pipeline {
    Pipeline::new(&ModelConfig::new("linear", ModelKind::Linear(params)).scaled(scale))
}

fn variants() -> Vec<(&'static str, Params, bool)> {
    let slowing = Params {
        intercept_lr: constant(0.1),
        ..with(Optimizer::Sgd { lr: Schedule::InverseScaling { lr: 0.05, power: 0.5 } })
    };
    vec![
        ("default", sgd(), true),
        ("noscaler", sgd(), false),
        ("l2_0.01", Params { l2: 0.01, ..sgd() }, true),
        ("l1_0.001", Params { l1: 0.001, ..sgd() }, true),
        ("clip_1", Params { clip_gradient: 1.0, ..sgd() }, true),
        ("huber_0.1", losing(Loss::Huber { epsilon: 0.1 }), true),
        ("absolute", losing(Loss::Absolute), true),
        ("quantile_0.9", losing(Loss::Quantile { alpha: 0.9 }), true),
        ("cauchy_80", losing(Loss::Cauchy { c: 80.0 }), true),
        ("invscaling", slowing, true),
        ("momentum", with(Optimizer::Momentum { lr: constant(0.01), rho: 0.9 }), true),
        ("adagrad", with(adagrad()), true),
        ("rmsprop", with(Optimizer::RmsProp { lr: constant(0.01), rho: 0.9, eps: 1e-8 }), true),
        ("adam", with(adam(0.1)), true),
        ("adam_0.01", with(adam(0.01)), true),
        ("adam_l2", Params { l2: 0.01, ..with(adam(0.01)) }, true),
    ]
}

/// Compares intercept and weights with the rows of `variant` in a table of final values.
fn assert_final(pipeline: &Pipeline, finals: &Table, variant: &str, prefix: &str) {
    let Model::Linear(model) = pipeline.model() else { panic!("not a linear model") };
    let weights = model.weights();
    let mut compared = 0;
    for row in (0..finals.len()).filter(|row| finals.text(*row, "variant") == variant) {
        let (param, value) = (finals.text(row, "param"), finals.number(row, "value"));
        let got = match param.strip_prefix(prefix).and_then(|i| i.parse::<usize>().ok()) {
            Some(i) => weights[i],
            None => model.intercept(),
        };
        assert_close(got, value, TOLERANCE, &format_args!("{variant}, {param}"));
        compared += 1;
    }
    assert_eq!(compared, weights.len() + 1, "{variant}");
}

/// Learns every sample and compares each prediction before it with the column of `variant`.
fn assert_predictions(pipeline: &mut Pipeline, samples: &Table, predictions: &Table, variant: &str) {
    let mut scratch = Scratch::default();
    for row in 0..samples.len() {
        let values = samples.features(row, "x");
        let x = Features::new(&values);
        let got = pipeline.predict_one(x, &mut scratch);
        assert_close(got, predictions.number(row, variant), TOLERANCE, &format_args!("{variant}, row {row}"));
        pipeline.learn_one(x, samples.number(row, "y"), &mut scratch).expect("learned");
    }
}

/// `tests/vectors/linreg_optimizers`: River 0.26.1 over the same samples, with a scaler.
fn further_optimizers() -> [(&'static str, Optimizer); 6] {
    let (lr, beta_1, beta_2, eps) = (constant(0.01), 0.9, 0.999, 1e-8);
    [
        ("ams_grad", Optimizer::AmsGrad { lr, beta_1, beta_2, eps, correct_bias: true }),
        ("ada_max", Optimizer::AdaMax { lr, beta_1, beta_2, eps }),
        ("nadam", Optimizer::Nadam { lr, beta_1, beta_2, eps }),
        ("ada_delta", Optimizer::AdaDelta { rho: 0.95, eps }),
        ("ftrl", Optimizer::Ftrl { alpha: 0.05, beta: 1.0, l1: 0.0, l2: 1.0 }),
        ("nesterov", Optimizer::Nesterov { lr, rho: 0.9 }),
    ]
}

#[test]
fn every_further_optimizer_predicts_as_river_does() {
    let (samples, predictions) = (Table::read("friedman_2000"), Table::read("linreg_optimizers"));
    assert_eq!(predictions.len(), 2000);
    for (variant, optimizer) in further_optimizers() {
        assert_predictions(&mut pipeline(with(optimizer), true), &samples, &predictions, variant);
    }
}

/// River 0.26.1, StandardScaler and NesterovMomentum(0.005): predictions of some of the same samples.
#[test]
fn nesterov_takes_penalties_where_it_takes_the_gradient() {
    let samples = Table::read("friedman_2000");
    let nesterov = with(Optimizer::Nesterov { lr: constant(0.005), rho: 0.9 });
    let rows = [1, 10, 100, 500, 1000, 1999];
    let l2 = [
        0.153_224_133_598_782_18,
        -0.962_153_714_714_162_1,
        14.116_064_183_489_614,
        14.751_888_201_103_187,
        15.820_858_249_703_573,
        18.592_741_817_120_19,
    ];
    let l1 = [
        0.153_224_133_598_782_18,
        -0.992_432_012_928_876,
        14.165_693_706_828_062,
        14.721_870_489_699_816,
        15.747_370_157_276_277,
        19.268_018_273_525_96,
    ];
    let variants = [("l2", Params { l2: 0.1, ..nesterov.clone() }, l2), ("l1", Params { l1: 0.01, ..nesterov }, l1)];
    for (name, params, expected) in variants {
        let (mut pipeline, mut scratch) = (pipeline(params, true), Scratch::default());
        let mut expected = rows.into_iter().zip(expected).peekable();
        for row in 0..samples.len() {
            let values = samples.features(row, "x");
            if let Some((_, expected)) = expected.next_if(|(next, _)| *next == row) {
                let got = pipeline.predict_one(Features::new(&values), &mut scratch);
                assert_close(got, expected, TOLERANCE, &format_args!("{name}, row {row}"));
            }
            pipeline.learn_one(Features::new(&values), samples.number(row, "y"), &mut scratch).expect("learned");
        }
        assert!(expected.next().is_none());
    }
}

#[test]
fn every_variant_predicts_and_ends_as_river_does() {
    let (samples, predictions, finals) =
        (Table::read("friedman_2000"), Table::read("linreg_pred"), Table::read("linreg_final"));
    assert_eq!((samples.len(), predictions.len(), finals.len()), (2000, 2000, 176));
    for (variant, params, scale) in variants() {
        let mut pipeline = pipeline(params, scale);
        assert_predictions(&mut pipeline, &samples, &predictions, variant);
        assert_final(&pipeline, &finals, variant, "x");
    }
}

#[test]
fn absent_features_are_left_alone_as_river_leaves_them() {
    let (samples, finals) = (Table::read("sparse_500"), Table::read("sparse_final"));
    assert_eq!((samples.len(), finals.len()), (500, 28));
    let variants = [
        ("ss_sgd", sgd()),
        ("ss_l2", Params { l2: 0.05, ..sgd() }),
        ("ss_adam", with(adam(0.05))),
        ("ss_adagrad", with(adagrad())),
    ];
    for (variant, params) in variants {
        let mut pipeline = pipeline(params, true);
        let mut scratch = Scratch::default();
        for row in 0..samples.len() {
            let values = samples.features(row, "f");
            let x = Features::new(&values);
            let got = pipeline.predict_one(x, &mut scratch);
            let expected = samples.number(row, &format!("pred_{variant}"));
            assert_close(got, expected, TOLERANCE, &format_args!("{variant}, row {row}"));
            pipeline.learn_one(x, samples.number(row, "y"), &mut scratch).expect("learned");
        }
        assert_final(&pipeline, &finals, variant, "f");
    }
}

#[test]
fn the_scaler_ends_with_rivers_means_and_variances() {
    let (samples, finals) = (Table::read("friedman_2000"), Table::read("scaler_final"));
    let mut scaler = StandardScaler::default();
    for row in 0..samples.len() {
        scaler.learn_one(Features::new(&samples.features(row, "x")));
    }
    assert_eq!(finals.len(), 10);
    for (row, column) in (0..finals.len()).zip(scaler.columns()) {
        assert_close(column.mean, finals.number(row, "mean"), TOLERANCE, &format_args!("mean of x{row}"));
        assert_close(column.variance, finals.number(row, "var"), TOLERANCE, &format_args!("variance of x{row}"));
    }
}
