//! Absurd values: a sensor's 65535 or −9999 must not blind a model, and a stream that has changed must be followed.

use std::thread;

use thalweg_generator::{Function, Stream};
use thalweg_models::{
    Features, ModelConfig, ModelKind, Outlier, aggregation::Rule, ekf_mlp, forest, innovation, linear, mixture,
    model_tree, passive_aggressive, rls, rls_poly, rules, steps::StepKind, tree,
};
use thalweg_pipeline::prequential::{Config, Event, Prequential};
use thalweg_state as state;

/// Each kind as settings.toml has it, under its own name.
fn models() -> Vec<ModelConfig> {
    let scaled = |kind: ModelKind| ModelConfig::new(kind.name(), kind).scaled(true);
    let plain = |kind: ModelKind| ModelConfig::new(kind.name(), kind);
    let ranged = ModelConfig { steps: vec![StepKind::MinMaxScaler], ..plain(ModelKind::Rls(rls::Params::default())) };
    vec![
        plain(ModelKind::Mean),
        plain(ModelKind::Last),
        scaled(ModelKind::Linear(linear::Params::default())),
        scaled(ModelKind::PassiveAggressive(passive_aggressive::Params::default())),
        scaled(ModelKind::Rls(rls::Params::default())),
        ModelConfig { name: "ranged".into(), ..ranged },
        plain(ModelKind::RlsPoly(rls_poly::Params::default())),
        plain(ModelKind::EkfMlp(ekf_mlp::Params::default())),
        plain(ModelKind::Innovation(innovation::Params::default())),
        plain(ModelKind::ModelTree(model_tree::Params::default())),
        scaled(ModelKind::HoeffdingTree(tree::Params::default())),
        plain(ModelKind::AdaptiveTree(Box::default())),
        plain(ModelKind::AdaptiveRandomForest(Box::new(forest::Params { n_models: 3, ..Default::default() }))),
        scaled(ModelKind::AmRules(rules::Params::default())),
        plain(ModelKind::Mixture(mixture::Params::default())),
        ModelConfig::new("blend", {
            let members = ["rls", "hoeffding_tree"].map(str::to_owned).to_vec();
            ModelKind::Mixture(mixture::Params { rule: Rule::Exponential, members })
        }),
    ]
}

/// Samples of Friedman's function without drift.
fn samples(n: usize) -> Vec<(Vec<f64>, f64)> {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&thalweg_generator::Config { function, ..Default::default() }).expect("a stream");
    let mut sample = |_| {
        let mut x = Vec::new();
        let y = stream.next_sample(&mut x);
        (x, y)
    };
    (0..n).map(&mut sample).collect()
}

/// Where the glitches are.
#[derive(Clone, Copy, Debug)]
struct Glitch {
    at: usize,
    long: usize,
    value: f64,
    in_target: bool,
}

fn spoil(samples: &mut [(Vec<f64>, f64)], Glitch { at, long, value, in_target }: Glitch) {
    for (x, y) in &mut samples[at..at + long] {
        // One that matters much to the target.
        *if in_target { y } else { &mut x[3] } = value;
    }
}

fn learn(race: &mut Prequential, samples: &[(Vec<f64>, f64)]) -> Vec<Outlier> {
    let mut outliers = Vec::new();
    for (x, y) in samples {
        for event in race.step(Features::new(x), Some(*y)).events {
            if let Event::Outlier(outlier) = event {
                outliers.push(*outlier);
            }
        }
    }
    outliers
}

/// Each model's rolling RMSE after them.
fn rmses(models: &[ModelConfig], samples: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let mut race = Prequential::new(&Config::of(models.to_vec()));
    learn(&mut race, samples);
    (0..models.len()).map(|i| race.rolling_rmse(i)).collect()
}

#[test]
fn no_kind_of_model_is_blind_five_thousand_records_after_a_glitch() {
    const LATER: usize = 5000;
    let models = models();
    let mut values = [65535.0, -9999.0, 1e6, -1e9, 1e9].into_iter().cycle();
    let kinds = [(1, false), (20, false), (1, true), (20, true)];
    let places = [0, 10, 200, 3000].map(|at| (at, kinds.map(|kind| (kind, values.next().expect("endless")))));
    let found = |at: usize, glitches: &[((usize, bool), f64)]| {
        let clean = samples(at + LATER + 20);
        let before = rmses(&models, &clean);
        let mut blind = Vec::new();
        for &((long, in_target), value) in glitches {
            let glitch = Glitch { at, long, value, in_target };
            let mut spoilt = clean.clone();
            spoil(&mut spoilt, glitch);
            for ((model, without), with) in models.iter().zip(&before).zip(rmses(&models, &spoilt)) {
                // Where it grows another branch hangs on single samples: its error is 0.99 to 1.08 times the one without.
                let most = if model.kind.name() == "adaptive_tree" { 1.1 } else { 1.05 };
                if with > most * without {
                    blind.push(format!("{}: {without} became {with} by {glitch:?}", model.name));
                }
            }
        }
        blind
    };
    // A thread each, since this takes longer than all that is tested beside it.
    let found = &found;
    let blind: Vec<String> = thread::scope(|scope| {
        let started = places.each_ref().map(|(at, glitches)| scope.spawn(move || found(*at, glitches)));
        started.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(blind.is_empty(), "{}", blind.join("\n"));
}

#[test]
fn a_glitch_is_told_of_once_with_its_feature_and_value_and_noise_is_no_flood() {
    let race = || Prequential::new(&Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]));
    let mut spoilt = samples(1000);
    spoil(&mut spoilt, Glitch { at: 500, long: 20, value: 65535.0, in_target: false });
    spoil(&mut spoilt, Glitch { at: 700, long: 1, value: -1e9, in_target: true });
    let told = learn(&mut race(), &spoilt);
    let what: Vec<_> = told.iter().map(|it| (it.column, it.value, it.count)).collect();
    assert_eq!(what, [(Some(3), 65535.0, 1), (None, -1e9, 1)]);
    assert!((0.9..1.0).contains(&told[0].taken_for), "{told:?}");

    let mut noisy = samples(20_000);
    (150..19_000).step_by(50).for_each(|at| spoil(&mut noisy, Glitch { at, long: 1, value: 1e6, in_target: false }));
    assert!(learn(&mut race(), &noisy).len() <= 20);
}

#[test]
fn a_stream_that_has_changed_is_followed_within_some_hundred_records() {
    let models = vec![ModelConfig::new("mixture", ModelKind::Mixture(mixture::Params::default()))];
    let mut race = Prequential::new(&Config::of(models));
    // The feature that matters is counted in thousandths from then on, and the target, too.
    let changed = |samples: &mut [(Vec<f64>, f64)]| {
        for (x, y) in samples {
            x[3] *= 1000.0;
            *y *= 1000.0;
        }
    };
    let mut all = samples(4000);
    changed(&mut all[2000..]);
    learn(&mut race, &all[..2000]);
    let before = race.rolling_rmse(0);
    learn(&mut race, &all[2000..]);
    let after = race.rolling_rmse(0) / 1000.0;
    assert!(after < 2.5 * before, "{before} became {after}");
    // The range of what counts is that of now.
    assert!(learn(&mut race, &all[3000..]).is_empty());
}

#[test]
fn a_model_that_is_not_robust_learns_what_there_is() {
    let mean =
        |robust| ModelConfig { robust, ..ModelConfig::new(if robust { "robust" } else { "plain" }, ModelKind::Mean) };
    let mut race = Prequential::new(&Config::of(vec![mean(true), mean(false)]));
    let samples: Vec<(Vec<f64>, f64)> =
        (0..1000).map(|i| (vec![1.0], if i == 500 { 1e9 } else { f64::from(i % 7) })).collect();
    learn(&mut race, &samples);
    let predictions = race.step(Features::new(&[1.0]), None).predictions.to_vec();
    assert!((predictions[0] - 3.0).abs() < 0.1, "{predictions:?}");
    assert!((predictions[1] - 1e6).abs() < 10.0, "{predictions:?}");
}

#[test]
fn what_is_scored_is_the_target_as_it_came() {
    let mut race = Prequential::new(&Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)]));
    let mut spoilt = samples(600);
    spoil(&mut spoilt, Glitch { at: 500, long: 1, value: 1e6, in_target: true });
    learn(&mut race, &spoilt);
    assert!(race.rolling_rmse(0) > 1e6 / 600f64.sqrt() * 0.99);
}

#[test]
fn a_restart_in_the_middle_of_a_burst_changes_nothing() {
    let config = Config::of(vec![ModelConfig::new("rls", ModelKind::Rls(rls::Params::default())).scaled(true)]);
    let mut spoilt = samples(1000);
    spoil(&mut spoilt, Glitch { at: 60, long: 20, value: 65535.0, in_target: false });
    spoil(&mut spoilt, Glitch { at: 500, long: 20, value: -9999.0, in_target: true });
    for cut in [70, 99, 100, 510] {
        let (mut whole, mut parts) = (Prequential::new(&config), Prequential::new(&config));
        learn(&mut whole, &spoilt);
        learn(&mut parts, &spoilt[..cut]);
        let bytes = rmp_serde::to_vec_named(&parts).expect("saved");
        let mut parts: Prequential = state::read(&bytes).expect("restored");
        learn(&mut parts, &spoilt[cut..]);
        let [whole, parts] = [&whole, &parts].map(|race| rmp_serde::to_vec_named(race).expect("saved"));
        assert!(whole == parts, "cut at {cut}");
    }
}

#[test]
fn a_sample_to_predict_only_is_seen_without_its_glitch_and_changes_nothing() {
    let mut race = Prequential::new(&Config::of(vec![
        ModelConfig::new("rls", ModelKind::Rls(rls::Params::default())).scaled(true),
    ]));
    learn(&mut race, &samples(500));
    let (mut x, _) = samples(501).pop().expect("a sample");
    let before = rmp_serde::to_vec_named(&race).expect("saved");
    x[3] = -9999.0;
    let prediction = race.step(Features::new(&x), None).predictions[0];
    assert!(prediction.abs() < 40.0, "{prediction}");
    assert!(before == rmp_serde::to_vec_named(&race).expect("saved"));
}
