//! The default mixture: its accuracy, its robustness and its size.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg_generator::{Function, Stream};
use thalweg_metrics::Scores;
use thalweg_models::{
    Description, Features, ModelConfig, ModelKind, Pipeline, Scratch, aggregation::Rule, linear, mixture, rls,
    steps::StepKind,
};

/// A model with its buffers and its scores.
struct Learner {
    pipeline: Pipeline,
    scratch: Scratch,
    scores: Scores,
}

impl Learner {
    fn new(kind: ModelKind) -> Self {
        Self::of(&ModelConfig::new("it", kind))
    }

    fn of(config: &ModelConfig) -> Self {
        Self { pipeline: Pipeline::new(config), scratch: Scratch::default(), scores: Scores::default() }
    }

    /// Predicts, scores and learns.
    fn step(&mut self, x: Features<'_>, y: f64) -> f64 {
        let prediction = self.pipeline.predict_one(x, &mut self.scratch);
        assert!(prediction.is_finite(), "{prediction} for {:?}", x.values());
        self.scores.update(y, prediction);
        self.pipeline.learn_one(x, y, &mut self.scratch).expect("learned");
        prediction
    }

    fn members(&self) -> Vec<(String, f64, f64)> {
        let (_, description) = self.pipeline.describe(Vec::new());
        let Description::Mixture(mixture) = description else { panic!("{description:?}") };
        mixture.members.into_iter().map(|member| (member.name, member.weight, member.recent_rmse)).collect()
    }
}

fn default() -> ModelKind {
    ModelKind::Mixture(mixture::Params::default())
}

fn friedman(n: usize) -> Vec<(Vec<f64>, f64)> {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&thalweg_generator::Config { function, ..Default::default() }).expect("a stream");
    let mut x = Vec::new();
    let mut sample = || {
        let y = stream.next_sample(&mut x);
        (x.clone(), y)
    };
    (0..n).map(|_| sample()).collect()
}

/// Friedman's function of the first five of `d` uniform features, those that are missing being 0.5, without noise.
fn smooth(x: &[f64]) -> f64 {
    let x = |i: usize| x.get(i).copied().unwrap_or(0.5);
    10.0 * (std::f64::consts::PI * x(0) * x(1)).sin() + 20.0 * (x(2) - 0.5).powi(2) + 10.0 * x(3) + 5.0 * x(4)
}

/// `n` samples of `d` features.
fn samples(n: usize, d: usize) -> Vec<(Vec<f64>, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut sample = || {
        let x: Vec<f64> = (0..d).map(|_| rng.random()).collect();
        let y = smooth(&x) + 3f64.sqrt() * (2.0 * rng.random::<f64>() - 1.0);
        (x, y)
    };
    (0..n).map(|_| sample()).collect()
}

#[test]
fn it_is_far_more_accurate_than_a_linear_model_within_3000_samples() {
    let (mut mixture, mut linear) = (Learner::new(default()), Learner::new(ModelKind::Rls(rls::Params::default())));
    for (x, y) in friedman(3000) {
        mixture.step(Features::new(&x), y);
        linear.step(Features::new(&x), y);
    }
    // The noise alone has an RMSE of 1.
    assert!(mixture.scores.rmse() < 1.46, "{}", mixture.scores.rmse());
    assert!(mixture.scores.rmse() < 0.6 * linear.scores.rmse(), "{}", linear.scores.rmse());
}

#[test]
fn a_season_in_the_target_alone_is_found() {
    let mut mixture = Learner::new(default());
    for i in 0..1000 {
        if i == 500 {
            mixture.scores = Scores::default();
        }
        // Twelve values that have nothing to do with each other, and a trend.
        let y = 100.0 + 0.1 * f64::from(i) + 10.0 * (f64::from(i % 12 * 7919 % 13) - 6.0);
        mixture.step(Features::new(&[]), y);
    }
    assert!(mixture.scores.rmse() < 1.0, "{}", mixture.scores.rmse());
}

#[test]
fn weights_and_recent_errors_of_the_members_are_told() {
    let mut mixture = Learner::new(default());
    let weights = |members: &[(String, f64, f64)]| members.iter().map(|member| member.1).sum::<f64>();
    assert!((weights(&mixture.members()) - 1.0).abs() < 1e-12);
    friedman(500).iter().for_each(|(x, y)| _ = mixture.step(Features::new(x), *y));
    let members = mixture.members();
    assert!((weights(&members) - 1.0).abs() < 1e-9, "{members:?}");
    let of = |name: &str| members.iter().find(|member| member.0 == name).unwrap_or_else(|| panic!("{name}"));
    assert!(of("last").2 > 2.0 * of("cubic").2, "{members:?}");
    assert!(of("last").1 < 0.05, "{members:?}");
}

#[test]
fn any_number_of_features_is_learned_in_bounded_memory() {
    for d in [0, 1, 3, 50, 300] {
        let (mut mixture, mut mean) = (Learner::new(default()), Learner::new(ModelKind::Mean));
        for (x, y) in samples(700, d) {
            mixture.step(Features::new(&x), y);
            mean.step(Features::new(&x), y);
        }
        let (own, mean) = (mixture.scores.rmse(), mean.scores.rmse());
        assert!(own < if d == 0 { 1.05 } else { 0.75 } * mean, "{own} against the mean's {mean} of {d} features");
        assert!(mixture.pipeline.memory_bytes() < 10 << 20, "{} bytes", mixture.pipeline.memory_bytes());
    }
}

#[test]
fn another_unit_of_the_target_is_one_of_the_errors() {
    let rows = samples(800, 5);
    let rmse = |scale: f64| {
        let mut mixture = Learner::new(default());
        rows.iter().for_each(|(x, y)| _ = mixture.step(Features::new(x), y * scale));
        mixture.scores.rmse() / scale
    };
    let plain = rmse(1.0);
    for scale in [1e-6, 1e9] {
        let scaled = rmse(scale);
        assert!((scaled / plain - 1.0).abs() < 0.02, "{scaled} in units of {scale}, {plain} in its own");
    }
}

#[test]
fn one_wild_target_is_forgotten() {
    let mut mixture = Learner::new(default());
    for (i, (x, y)) in samples(2000, 5).iter().enumerate() {
        if i == 1000 {
            mixture.scores = Scores::default();
        }
        mixture.step(Features::new(x), if i == 800 { 1e12 } else { *y });
    }
    assert!(mixture.scores.rmse() < 1.6, "{}", mixture.scores.rmse());
}

#[test]
fn a_jump_to_another_level_is_followed_within_a_few_samples() {
    let mut mixture = Learner::new(default());
    for (i, (x, y)) in samples(1400, 5).iter().enumerate() {
        if i == 1030 {
            mixture.scores = Scores::default();
        }
        mixture.step(Features::new(x), if i < 1000 { *y } else { 1e5 + y });
    }
    assert!(mixture.scores.rmse() < 15.0, "{}", mixture.scores.rmse());
}

#[test]
fn targets_that_run_away_or_never_change_or_have_no_variance_leave_it_sound() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cauchy = || (std::f64::consts::PI * (rng.random::<f64>() - 0.5)).tan();
    let heavy: Vec<f64> = (0..500).map(|_| cauchy()).collect();
    let growing: Vec<f64> = (0..900).map(|i| 1.4f64.powi(i)).collect();
    for targets in [vec![3.0; 300], vec![0.0; 300], heavy, growing] {
        let mut mixture = Learner::new(default());
        for ((x, _), y) in samples(targets.len(), 3).iter().zip(&targets) {
            mixture.step(Features::new(x), *y);
        }
        if targets[0] == targets[1] {
            assert!((mixture.step(Features::new(&[0.5; 3]), targets[0]) - targets[0]).abs() < 1e-9);
        }
    }
}

#[test]
fn categories_are_learned_behind_a_target_encoder_and_gaps_do_no_harm() {
    let steps = vec![StepKind::TargetEncoder { smoothing: 10.0 }];
    let mut mixture = Learner::of(&ModelConfig { steps, ..ModelConfig::new("it", default()) });
    for (i, (mut x, y)) in samples(1500, 5).into_iter().enumerate() {
        let category = (i * 7919 % 5) as f64;
        if i % 4 == 0 {
            x[i / 4 % 3 + 2] = f64::NAN;
        }
        x.push(category);
        let nominal = [false, false, false, false, false, true];
        if i == 750 {
            mixture.scores = Scores::default();
        }
        mixture.step(Features::with_nominal(&x, &nominal), y + 20.0 * (category * 2.0 % 5.0));
    }
    // Without the category the deviation is over 28.
    assert!(mixture.scores.rmse() < 4.0, "{}", mixture.scores.rmse());
}

#[test]
fn every_rule_makes_it_better_than_a_linear_model() {
    let rows = friedman(1500);
    let mut linear = Learner::of(&ModelConfig::new("it", ModelKind::Linear(linear::Params::river())).scaled(true));
    rows.iter().for_each(|(x, y)| _ = linear.step(Features::new(x), *y));
    for rule in Rule::ALL {
        let mut mixture = Learner::new(ModelKind::Mixture(mixture::Params { rule, members: Vec::new() }));
        rows.iter().for_each(|(x, y)| _ = mixture.step(Features::new(x), *y));
        assert!(mixture.scores.rmse() < 0.75 * linear.scores.rmse(), "{rule:?}: {}", mixture.scores.rmse());
    }
}
