//! What keeps the experts that learn by least squares sound: each safeguard on a stream on which it is needed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg_models::{
    Description, Features, ModelConfig, ModelKind, NamedColumn, Pipeline, Scratch, ekf_mlp, innovation,
    rls_poly::{self, Form},
};

fn polynomial(basis: Form) -> ModelKind {
    ModelKind::RlsPoly(rls_poly::Params { basis, forgetting: 0.999, ..Default::default() })
}

/// Those that can learn any function of the features, more or less.
fn regressions() -> [ModelKind; 4] {
    let network = ModelKind::EkfMlp(ekf_mlp::Params { hidden: 6, ..Default::default() });
    [polynomial(Form::Linear), polynomial(Form::Degree2), polynomial(Form::Pair3), network]
}

fn every_expert() -> impl Iterator<Item = ModelKind> {
    regressions().into_iter().chain([ModelKind::Innovation(innovation::Params::default())])
}

/// A model with what its state is looked at.
struct Learner {
    model: Pipeline,
    scratch: Scratch,
}

impl Learner {
    fn new(kind: &ModelKind) -> Self {
        Self { model: Pipeline::new(&ModelConfig::new(kind.name(), kind.clone())), scratch: Scratch::default() }
    }

    /// The prediction for a sample that is then learned.
    fn step(&mut self, x: &[f64], y: f64) -> f64 {
        let prediction = self.model.predict_one(Features::new(x), &mut self.scratch);
        assert!(prediction.is_finite(), "{prediction}");
        self.model.learn_one(Features::new(x), y, &mut self.scratch).expect("learned");
        prediction
    }

    /// The RMSE of the last `counted` of samples.
    fn rmse(&mut self, samples: impl Iterator<Item = (Vec<f64>, f64)>, skipped: usize) -> f64 {
        let errors: Vec<f64> = samples.map(|(x, y)| y - self.step(&x, y)).collect();
        let counted = &errors[skipped..];
        (counted.iter().map(|error| error * error).sum::<f64>() / counted.len() as f64).sqrt()
    }

    /// Every number of the state, and whether it is one.
    fn is_finite(&self) -> bool {
        // JSON writes what is not finite as null, and a generator's counter is no f64.
        let state = serde_json::to_value(&self.model).expect("saved");
        let known_nulls = ["screening", "sparse"];
        fn sound(value: &serde_json::Value, nulls: &[&str]) -> bool {
            match value {
                serde_json::Value::Object(fields) => {
                    fields.iter().all(|(name, value)| nulls.contains(&name.as_str()) || sound(value, nulls))
                }
                serde_json::Value::Array(items) => items.iter().all(|item| sound(item, nulls)),
                value => !value.is_null(),
            }
        }
        sound(&state, &known_nulls)
    }
}

/// Three features and a target of both kinds of terms, with a little noise.
fn samples(seed: u64, n: usize) -> impl Iterator<Item = (Vec<f64>, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(move |_| {
        let x: Vec<f64> = (0..3).map(|_| rng.random::<f64>()).collect();
        let noise: f64 = rng.random();
        let y = 3.0 * x[0] - 2.0 * x[1] + x[1] * x[2] + 0.1 * (noise - 0.5);
        (x, y)
    })
}

#[test]
fn a_million_samples_of_collinear_features_leave_the_state_sound() {
    for kind in [polynomial(Form::Linear), ModelKind::Innovation(innovation::Params::default())] {
        let mut learner = Learner::new(&kind);
        let collinear = samples(1, 1_000_000).map(|(x, y)| (vec![x[0], x[0], x[1], x[0] + x[1], x[2]], y));
        let rmse = learner.rmse(collinear, 900_000);
        assert!(rmse < 2.0, "{kind:?}: {rmse}");
        assert!(learner.is_finite(), "{kind:?}");
    }
}

#[test]
fn features_that_say_the_same_do_no_harm() {
    for kind in regressions() {
        let alone = Learner::new(&kind).rmse(samples(2, 4000), 2000);
        let doubled = samples(2, 4000).map(|(x, y)| (vec![x[0], x[1], x[2], x[0], 1e3 * x[1] - 7.0], y));
        let with_doubles = Learner::new(&kind).rmse(doubled, 2000);
        assert!(with_doubles < 1.2 * alone, "{kind:?}: {with_doubles}, {alone} alone");
    }
}

#[test]
fn a_feature_that_was_constant_for_ages_does_not_throw_the_weights_about() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        let before =
            learner.rmse(samples(3, 30_000).map(|(mut x, y)| (x.drain(..2).chain([5.0]).collect(), y)), 20_000);
        // It begins to vary, but says nothing.
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let varying = samples(5, 500).map(|(x, y)| (vec![x[0], x[1], 5.0 + rng.random::<f64>()], y));
        let after = learner.rmse(varying, 0);
        assert!(after < 1.5 * before, "{kind:?}: {after} after {before}");
    }
}

#[test]
fn an_outlier_is_got_over() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        let before = learner.rmse(samples(6, 3000), 2000);
        learner.step(&[0.5; 3], 1e9);
        let after = learner.rmse(samples(7, 4000), 3000);
        assert!(after < 2.0 * before, "{kind:?}: {after} after {before}");
    }
}

#[test]
fn the_unit_of_the_target_makes_no_difference() {
    for kind in every_expert() {
        let of = |unit: f64| Learner::new(&kind).rmse(samples(8, 3000).map(move |(x, y)| (x, unit * y)), 500) / unit;
        let one = of(1.0);
        for unit in [1e-6, 1e9, -1e9] {
            let rmse = of(unit).abs();
            assert!((rmse / one - 1.0).abs() < 0.2, "{kind:?}: {rmse} in units of {unit}, {one} in its own");
        }
    }
}

#[test]
fn the_unit_and_the_origin_of_a_feature_make_no_difference() {
    for kind in every_expert() {
        let of = |unit: f64, origin: f64| {
            let moved = samples(9, 3000).map(move |(x, y)| (x.iter().map(|x| unit * (x + origin)).collect(), y));
            Learner::new(&kind).rmse(moved, 500)
        };
        let one = of(1.0, 0.0);
        for (unit, origin) in [(1e-6, 0.0), (1e9, 0.0), (-1e9, 10.0), (1.0, 1e6)] {
            let rmse = of(unit, origin);
            assert!((rmse / one - 1.0).abs() < 0.05, "{kind:?}: {rmse} in units of {unit} from {origin}, {one} else");
        }
    }
}

#[test]
fn unknown_features_and_columns_that_are_never_known_do_no_harm() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        let gaps = samples(10, 3000).enumerate().map(|(i, (mut x, y))| {
            x.extend([f64::NAN, f64::NAN]);
            if i % 50 == 0 {
                x.fill(f64::NAN);
            }
            (x, y)
        });
        let rmse = learner.rmse(gaps, 1000);
        // The targets' own deviation.
        assert!(rmse < 1.4, "{kind:?}: {rmse}");
        assert!(learner.is_finite(), "{kind:?}");
    }
}

#[test]
fn a_constant_target_is_predicted_exactly_and_left_behind_at_once() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        let constant = learner.rmse(samples(11, 2000).map(|(x, _)| (x, 1e-6)), 1);
        assert!(constant < 1e-12, "{kind:?}: {constant}");
        let varying = learner.rmse(samples(12, 3000), 2000);
        let fresh = Learner::new(&kind).rmse(samples(12, 3000), 2000);
        assert!(varying < 4.0 * fresh, "{kind:?}: {varying}, {fresh} from nothing");
    }
}

#[test]
fn what_would_leave_a_state_that_is_not_finite_is_refused() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        learner.rmse(samples(13, 500), 0);
        let before = serde_json::to_string(&learner.model).expect("saved");
        for y in [f64::NAN, f64::INFINITY, -1e151, 1e308] {
            let refused = learner.model.learn_one(Features::new(&[0.5; 3]), y, &mut learner.scratch);
            assert!(refused.is_err(), "{kind:?}: {y}");
        }
        assert_eq!(serde_json::to_string(&learner.model).expect("saved"), before, "{kind:?}");
    }
}

#[test]
fn a_function_that_comes_back_is_recalled() {
    // Two functions of many terms take turns, each for long enough to be learned.
    let turns = || wide(10, 8000).enumerate().map(|(i, (x, y))| (x, if (i / 1000) % 2 == 0 { y } else { 30.0 - y }));
    let rmse = |recall| {
        let params = rls_poly::Params { basis: Form::Pair3, forgetting: 0.9998, recall, ..Default::default() };
        Learner::new(&ModelKind::RlsPoly(params)).rmse(turns(), 4000)
    };
    let (with, without) = (rmse(3), rmse(0));
    assert!(with < 0.75 * without, "{with} with recall, {without} without");
}

#[test]
fn after_a_drift_a_polynomial_learns_anew() {
    for kind in regressions() {
        let mut learner = Learner::new(&kind);
        let before = learner.rmse(samples(15, 20_000), 15_000);
        let after = learner.rmse(samples(16, 1000).map(|(x, y)| (x, 20.0 - 5.0 * y)), 500);
        assert!(after < 10.0 * before, "{kind:?}: {after} after {before}");
    }
}

/// A target of five of the features, those at the end.
fn wide(d: usize, n: usize) -> impl Iterator<Item = (Vec<f64>, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    (0..n).map(move |_| {
        let x: Vec<f64> = (0..d).map(|_| rng.random::<f64>()).collect();
        let [a, b, c, e, f] = *x.last_chunk().expect("five features");
        let y = 10.0 * (std::f64::consts::PI * a * b).sin() + 20.0 * (c - 0.5) * (c - 0.5) + 10.0 * e + 5.0 * f;
        (x, y)
    })
}

#[test]
fn of_too_many_features_those_are_chosen_that_matter() {
    for (kind, d, most) in [
        (polynomial(Form::Degree2), 50, 1.6),
        (polynomial(Form::Pair3), 50, 0.6),
        (polynomial(Form::Pair3), 150, 0.8),
        (ModelKind::EkfMlp(ekf_mlp::Params::default()), 50, 0.8),
        (ModelKind::EkfMlp(ekf_mlp::Params::default()), 150, 0.8),
    ] {
        let rmse = Learner::new(&kind).rmse(wide(d, 4000), 3000);
        assert!(rmse < most, "{kind:?} of {d}: {rmse}");
    }
}

#[test]
fn no_number_of_features_makes_an_expert_large() {
    for kind in every_expert() {
        let mut learner = Learner::new(&kind);
        learner.rmse(wide(300, 200), 0);
        let bytes = learner.model.memory_bytes();
        assert!(bytes < 1_200_000, "{kind:?}: {bytes}");
    }
}

#[test]
fn a_polynomial_is_described_as_powers_of_standardised_features() {
    let mut learner = Learner::new(&polynomial(Form::Pair3));
    learner.rmse(samples(18, 2000), 0);
    let columns = ["a", "b", "c"].map(|name| NamedColumn::new(name, None));
    let (_, description) = learner.model.describe(columns.to_vec());
    let Description::Linear(sum) = description else { panic!("{description:?}") };
    let weight = |name: &str| {
        let of = sum.weights.iter().find(|weight| weight.feature == name);
        of.unwrap_or_else(|| panic!("{name} in {sum:?}")).weight
    };
    // Uniform features have a deviation of √(1/12).
    let deviation = (1.0_f64 / 12.0).sqrt();
    assert!((weight("b*c") - deviation * deviation).abs() < 0.02, "{sum:?}");
    assert!((weight("a") - 3.0 * deviation).abs() < 0.02, "{sum:?}");
    assert!(weight("a^2").abs() < 0.02 && weight("a^3").abs() < 0.02 && weight("a^2*b").abs() < 0.02, "{sum:?}");
}
