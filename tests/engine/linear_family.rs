//! Recursive least squares and passive-aggressive regression do what their papers promise, and stay sound on what would
//! break a careless implementation.

use thalweg_metrics::Checked;
use thalweg_models::{
    Features, Regressor,
    passive_aggressive::{self, Mode, PassiveAggressive},
    rls::{self, RecursiveLeastSquares},
};

/// Rows of `d` pseudo-random numbers in −1..1 without structure that matters here.
fn rows(n: usize, d: usize) -> impl Iterator<Item = Vec<f64>> {
    let number = |i: usize| ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0;
    let scrambled = move |row: usize, i: usize| number((row * 7919 + i * 104_729) % 1_000_003);
    (0..n).map(move |row| (0..d).map(|i| scrambled(row, i)).collect())
}

fn plane(x: &[f64]) -> f64 {
    3.0 + x.iter().enumerate().map(|(i, value)| (i as f64 - 2.0) * value).sum::<f64>()
}

fn rls(forgetting: f64) -> RecursiveLeastSquares {
    RecursiveLeastSquares::new(rls::Params { forgetting, ..rls::Params::default() })
}

#[test]
fn rls_without_forgetting_is_ridge_regression() {
    // Two samples of one feature, the intercept's variance 1000 and the weight's 1: (XᵀX + diag(1/1000, 1))⁻¹ Xᵀy.
    let mut model = rls(1.0);
    for (x, y) in [(1.0, 2.0), (3.0, 5.0)] {
        model.learn_one(Features::new(&[x]), y, 1.0).expect("learned");
    }
    let (a, b, c) = (2.0 + 1e-3, 4.0, 10.0 + 1.0);
    let (u, v) = (7.0, 17.0);
    let det = a * c - b * b;
    assert!((model.intercept() - (c * u - b * v) / det).abs() < 1e-9);
    assert!((model.weights()[0] - (a * v - b * u) / det).abs() < 1e-9);
}

#[test]
fn rls_finds_a_plane_and_follows_it_when_it_tilts() {
    let mut model = rls(0.99);
    for x in rows(500, 5) {
        model.learn_one(Features::new(&x), plane(&x), 1.0).expect("learned");
    }
    let tilted = |x: &[f64]| 10.0 - plane(x);
    let mut worst: f64 = 0.0;
    for (i, x) in rows(2000, 5).enumerate() {
        if i >= 1900 {
            worst = worst.max((model.predict_one(Features::new(&x)) - tilted(&x)).abs());
        }
        model.learn_one(Features::new(&x), tilted(&x), 1.0).expect("learned");
    }
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn rls_does_not_wind_up_on_constant_input() {
    let mut model = rls(0.9);
    for _ in 0..100_000 {
        model.learn_one(Features::new(&[1.0, 0.0, 2.0]), 5.0, 1.0).expect("learned");
    }
    assert!(model.largest_variance() <= 1000.0, "{}", model.largest_variance());
    assert!((model.predict_one(Features::new(&[1.0, 0.0, 2.0])) - 5.0).abs() < 1e-6);
    // The direction that was never excited moves as at the start, not without bound.
    model.learn_one(Features::new(&[1.0, 1.0, 2.0]), 6.0, 1.0).expect("learned");
    assert!(model.weights().iter().all(|weight| weight.abs() < 10.0), "{:?}", model.weights());
}

#[test]
fn rls_with_a_short_memory_follows_a_curve_along_a_feature_that_moves_slowly() {
    let mut model = rls(0.9);
    let (mut squares, waves, period) = (0.0, 20, 1000);
    for i in 0..waves * period {
        let x = f64::from(i % period) / f64::from(period);
        let y = 10.0 * (std::f64::consts::TAU * x).sin();
        let error = y - model.predict_one(Features::new(&[x]));
        assert!(error.abs() < 100.0, "sample {i}: off by {error}");
        squares += error * error;
        model.learn_one(Features::new(&[x]), y, 1.0).expect("learned");
    }
    // A line through the last ten samples is off by the tangent's rise, 63, where the wave begins anew, and nowhere else.
    let rmse = (squares / f64::from(waves * period)).sqrt();
    assert!(rmse < 4.0, "{rmse}");
}

#[test]
fn rls_counts_a_weight_as_that_many_samples_where_nothing_is_forgotten() {
    let (mut once, mut thrice) = (rls(1.0), rls(1.0));
    for x in rows(50, 3) {
        let y = plane(&x);
        once.learn_one(Features::new(&x), y, 3.0).expect("learned");
        (0..3).for_each(|_| thrice.learn_one(Features::new(&x), y, 1.0).expect("learned"));
    }
    for (a, b) in once.weights().iter().zip(thrice.weights()) {
        assert!((a - b).abs() < 1e-8, "{a} {b}");
    }
}

#[test]
fn rls_takes_columns_that_appear_late_or_are_unknown() {
    let mut model = rls(0.999);
    for x in rows(300, 4) {
        model.learn_one(Features::new(&x[..2]), plane(&x[..2]), 1.0).expect("learned");
    }
    for (i, x) in rows(2000, 4).enumerate() {
        let mut known = x.clone();
        // What is unknown counts as 0, and so does its share of the target.
        if i % 3 == 0 {
            known[1] = f64::NAN;
        }
        let y = plane(&known.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect::<Vec<_>>());
        model.learn_one(Features::new(&known), y, 1.0).expect("learned");
    }
    let x = [0.5, -0.5, 0.25, 1.0];
    assert!((model.predict_one(Features::new(&x)) - plane(&x)).abs() < 1e-2);
}

#[test]
fn rls_refuses_a_saved_state_that_does_not_fit_together() {
    let mut model = rls(0.999);
    model.learn_one(Features::new(&[1.0, 2.0]), 3.0, 1.0).expect("learned");
    let saved = serde_json::to_value(&model).expect("saved");
    let restore = |key: &str, value: serde_json::Value| {
        let mut saved = saved.clone();
        saved[key] = value;
        let mut read: RecursiveLeastSquares = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())
    };
    assert!(restore("weights", saved["weights"].clone()).is_ok());
    for (key, value) in [("weights", vec![]), ("weights", vec![1.0; 4]), ("covariance", vec![1.0; 5])] {
        let error = restore(key, value.clone().into()).expect_err("it does not fit");
        assert!(error.contains("covariance"), "{key} = {value:?}: {error}");
    }
}

#[test]
fn passive_aggressive_ends_exactly_at_the_edge_of_the_sample_it_learned() {
    let params = passive_aggressive::Params { mode: Mode::Pa, eps: 0.5, ..passive_aggressive::Params::default() };
    let mut model = PassiveAggressive::new(params);
    for x in rows(100, 3) {
        let y = 100.0 * plane(&x);
        model.learn_one(Features::new(&x), y, 1.0).expect("learned");
        let error = (model.predict_one(Features::new(&x)) - y).abs();
        assert!(error <= 0.5 + 1e-9, "{error}");
    }
}

#[test]
fn passive_aggressive_stays_where_the_error_is_within_eps() {
    let mut model = PassiveAggressive::new(passive_aggressive::Params { eps: 10.0, ..Default::default() });
    model.learn_one(Features::new(&[1.0, 2.0]), 9.9, 1.0).expect("learned");
    assert_eq!((model.intercept(), model.weights()), (0.0, [0.0, 0.0].as_slice()));
}

#[test]
fn passive_aggressive_bounds_or_damps_the_pull_of_an_outlier() {
    let pull = |mode, c| {
        let mut model =
            PassiveAggressive::new(passive_aggressive::Params { mode, c, eps: 0.0, learn_intercept: false });
        model.learn_one(Features::new(&[2.0]), 1000.0, 1.0).expect("learned");
        model.weights()[0]
    };
    assert_eq!(pull(Mode::Pa, 0.1), 500.0);
    assert_eq!(pull(Mode::PaI, 0.1), 0.1 * 2.0);
    assert_eq!(pull(Mode::PaII, 0.1), 1000.0 / (4.0 + 5.0) * 2.0);
}

#[test]
fn what_would_overflow_is_refused_and_leaves_the_model_as_it_was() {
    let (mut rls, mut pa) = (rls(0.999), PassiveAggressive::new(passive_aggressive::Params::default()));
    for x in rows(50, 3) {
        rls.learn_one(Features::new(&x), plane(&x), 1.0).expect("learned");
        pa.learn_one(Features::new(&x), plane(&x), 1.0).expect("learned");
    }
    let x = [0.1, 0.2, 0.3];
    let before = [rls.predict_one(Features::new(&x)), pa.predict_one(Features::new(&x))];
    for (bad, y) in [([1e300, 1.0, 1.0], 1.0), ([1.0, 1.0, 1.0], f64::INFINITY), ([1.0, 1.0, 1.0], f64::NAN)] {
        rls.learn_one(Features::new(&bad), y, 1.0).expect_err("overflow");
        pa.learn_one(Features::new(&bad), y, 1.0).expect_err("overflow");
    }
    assert_eq!([rls.predict_one(Features::new(&x)), pa.predict_one(Features::new(&x))], before);
}
