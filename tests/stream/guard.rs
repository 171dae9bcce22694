//! The guard: what is published stays sane whatever a model does, a model that runs away is put back on its feet, and a
//! healthy one is left alone.

use std::thread;

use crate::support::kinds::every_kind;
use thalweg_generator::{Function, Stream};
use thalweg_models::{
    Features, Model, ModelConfig, ModelKind, NamedColumn, linear,
    optimizer::{Optimizer, Schedule},
    steps::StepDescription,
};
use thalweg_pipeline::{
    decode::MAX_MAGNITUDE,
    prequential::{Action, Config, Event, GuardConfig, Prequential, Rescue},
};
use thalweg_state as state;

fn stream(name: &str) -> Stream {
    let function = Function::from_name(name).expect("a function");
    Stream::new(&thalweg_generator::Config { function, ..Default::default() }).expect("a stream")
}

/// Every kind, with and without a scaler in front.
fn everyone() -> Vec<ModelConfig> {
    let of = |scale| {
        let name = move |i: usize, kind: &ModelKind| format!("{i} {} {scale}", kind.name());
        every_kind().into_iter().enumerate().map(move |(i, kind)| ModelConfig::new(&name(i, &kind), kind).scaled(scale))
    };
    of(false).chain(of(true)).collect()
}

/// Pseudo-random numbers in −1..1 without structure that matters here.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0
}

/// A learning rate with which ten features of size 1 converge and features of size 100 blow up.
fn fragile() -> ModelConfig {
    let optimizer = Optimizer::Sgd { lr: Schedule::Constant { lr: 0.05 } };
    let kind = ModelKind::Linear(linear::Params { optimizer, ..Default::default() });
    ModelConfig { robust: false, ..ModelConfig::new("fragile", kind) }
}

fn race(action: Action) -> Prequential {
    let guard = GuardConfig { action, factor: 10.0, every: 100 };
    Prequential::new(&Config { guard, drift: None, ..Config::of(vec![fragile()]) })
}

/// Sample `i` of a plane; `scale` is how large its features are.
fn plane(i: usize, scale: f64) -> ([f64; 2], f64) {
    let x = [noise(i), noise(7919 * i + 13)];
    ([scale * x[0], scale * x[1]], 3.0 * x[0] - x[1] + 10.0)
}

fn saved(race: &Prequential) -> Vec<u8> {
    rmp_serde::to_vec(race.pipeline(0).expect("a model")).expect("saved")
}

fn is_finite(model: &Model) -> bool {
    let finite = |intercept: f64, weights: &[f64]| intercept.is_finite() && weights.iter().all(|w| w.is_finite());
    match model {
        Model::Linear(model) => finite(model.intercept(), model.weights()),
        Model::PassiveAggressive(model) => finite(model.intercept(), model.weights()),
        Model::Rls(model) => finite(model.intercept(), model.weights()) && model.largest_variance().is_finite(),
        // What these predict is checked at every step.
        _ => true,
    }
}

/// Steps until the models diverge, or 1,000 samples; when that was and what the guard did.
fn until_rescued(race: &mut Prequential, samples: impl Iterator<Item = usize>, scale: f64) -> Option<(usize, Rescue)> {
    for i in samples {
        let (x, y) = plane(i, scale);
        let step = race.step(Features::new(&x), Some(y));
        assert!(step.predictions[0].is_finite());
        for event in step.events {
            if let Event::Rescued { model: 0, rescue } = event {
                return Some((i, *rescue));
            }
        }
    }
    None
}

fn learn(race: &mut Prequential, samples: impl Iterator<Item = usize>, scale: f64) {
    let rescued = until_rescued(race, samples, scale);
    assert!(rescued.is_none(), "{rescued:?}");
}

#[test]
fn a_stream_that_runs_away_leaves_every_prediction_finite_and_plausible_for_every_kind() {
    let mut race = Prequential::new(&Config::of(everyone()));
    let mut stream = stream("geometric");
    let (mut x, mut largest) = (Vec::new(), 0.0_f64);
    let mut beyond = 0;
    // Past the end of what floats can say, where the decoder lets nothing through any more.
    for i in 0..5000 {
        let y = stream.next_sample(&mut x);
        if y.is_nan() || y.abs() > MAX_MAGNITUDE || x.iter().any(|value| value.is_nan() || value.abs() > MAX_MAGNITUDE)
        {
            beyond += 1;
            x = vec![MAX_MAGNITUDE, -MAX_MAGNITUDE, 1.0];
        }
        let y = if beyond > 0 { MAX_MAGNITUDE } else { y };
        largest = largest.max(y.abs());
        let step = race.step(Features::new(&x), Some(y));
        for (model, prediction) in step.predictions.iter().enumerate() {
            assert!(prediction.is_finite(), "step {i}: {prediction} of {model}");
            assert!(prediction.abs() <= 1000.0 * largest.max(1.0), "step {i}: {prediction} of {model}, {largest}");
        }
    }
    assert!(beyond > 3000, "{beyond}");
    for (i, standing) in race.standings().iter().enumerate() {
        assert!(is_finite(race.pipeline(i).expect("a model").model()), "{}", standing.name);
        assert_eq!(standing.total.n(), 5000);
        assert!(standing.total.mae().is_finite(), "{}", standing.name);
    }
    // Not all can follow: what was not learned is counted.
    assert!(race.standings().iter().any(|standing| standing.counts.refused > 0));
}

#[test]
fn features_of_very_unequal_size_leave_every_prediction_finite_and_plausible() {
    let mut race = Prequential::new(&Config::of(everyone()));
    let mut stream = stream("friedman");
    let mut x = Vec::new();
    for i in 0..4000 {
        let y = stream.next_sample(&mut x);
        x[0] *= 1e4;
        x[1] *= 1e-2;
        let step = race.step(Features::new(&x), Some(y));
        for (model, prediction) in step.predictions.iter().enumerate() {
            // Targets lie about 15; before the first of them there is nothing to judge by.
            assert!(prediction.abs() < 3000.0, "step {i}: {prediction} of {model}");
        }
    }
    for (i, standing) in race.standings().iter().enumerate() {
        assert!(is_finite(race.pipeline(i).expect("a model").model()), "{}", standing.name);
    }
    let descends = |kind: &ModelKind| matches!(kind, ModelKind::Linear(params) if params.optimizer == Optimizer::RIVER);
    let plain = every_kind().iter().position(descends).expect("gradient descent");
    let of = |scale: bool| {
        let name = format!("{plain} linear {scale}");
        race.standings().into_iter().find(|model| *model.name == *name).expect("a model")
    };
    let unscaled = of(false).counts;
    assert!(unscaled.implausible > 1000 && unscaled.rescues > 0, "{unscaled:?}");
    let scaled = of(true).counts;
    assert_eq!((scaled.implausible, scaled.rescues), (0, 0));
}

#[test]
fn a_model_that_diverges_goes_back_to_its_last_good_state_to_the_bit() {
    let mut race = race(Action::RollBack);
    learn(&mut race, 0..500, 1.0);
    // The guard looks every 100 samples; the last look was at this one.
    let good = saved(&race);
    let (at, rescue) = until_rescued(&mut race, 500..1500, 100.0).expect("it diverges");
    assert_eq!(rescue, Rescue::RolledBack { to: 500 });
    assert!(at < 600, "{at}");
    assert!(saved(&race) == good, "not the state that was kept");
    assert_eq!(race.standings()[0].counts.rescues, 1);
}

#[test]
fn what_led_astray_again_starts_anew() {
    let mut race = race(Action::RollBack);
    learn(&mut race, 0..500, 1.0);
    let (at, first) = until_rescued(&mut race, 500..1500, 100.0).expect("it diverges");
    let (_, second) = until_rescued(&mut race, at + 1..2500, 100.0).expect("it diverges again");
    assert_eq!((first, second), (Rescue::RolledBack { to: 500 }, Rescue::Reset));
    assert!(saved(&race) == saved(&self::race(Action::RollBack)), "not a model that has learned nothing");
    assert_eq!(race.standings()[0].counts.rescues, 2);
}

#[test]
fn a_model_that_was_never_good_starts_anew() {
    let mut race = race(Action::RollBack);
    let (at, rescue) = until_rescued(&mut race, 0..1000, 100.0).expect("it diverges");
    assert_eq!(rescue, Rescue::Reset);
    assert!(at < 200, "{at}");
}

#[test]
fn reset_never_goes_back_and_off_does_nothing_but_stand_in() {
    let mut reset = race(Action::Reset);
    learn(&mut reset, 0..500, 1.0);
    assert_eq!(until_rescued(&mut reset, 500..1500, 100.0).map(|(_, rescue)| rescue), Some(Rescue::Reset));
    assert!(saved(&reset) == saved(&race(Action::Reset)));

    let mut off = race(Action::Off);
    learn(&mut off, 0..500, 1.0);
    learn(&mut off, 500..3000, 100.0);
    let counts = off.standings()[0].counts;
    assert!(counts.implausible > 2000 && counts.rescues == 0, "{counts:?}");
}

/// Without them the next large value would be the first, and lead astray once more.
#[test]
fn the_steps_of_a_rescued_model_keep_what_they_know_of_the_features() {
    for action in [Action::Reset, Action::RollBack] {
        let guard = GuardConfig { action, factor: 10.0, every: 100 };
        let fragile = fragile().scaled(true);
        let mut race = Prequential::new(&Config { guard, drift: None, ..Config::of(vec![fragile]) });
        learn(&mut race, 0..500, 1.0);
        let (at, _) = until_rescued(&mut race, 500..1500, 1e5).expect("it diverges");
        let columns = ["a", "b"].map(|name| NamedColumn::new(name, None));
        let (steps, _) = race.describe(0, &columns).expect("a model");
        let [StepDescription::StandardScaler { features, .. }] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(features[0].n, (at + 1) as f64, "{action:?}: the weight of all samples");
        assert!(features[0].deviation > 100.0, "{action:?}: {features:?}");
    }
}

#[test]
fn a_rescued_model_that_is_given_sound_samples_learns_again() {
    let mut race = race(Action::RollBack);
    learn(&mut race, 0..500, 1.0);
    until_rescued(&mut race, 500..1500, 100.0).expect("it diverges");
    learn(&mut race, 1500..4000, 1.0);
    assert!(race.standings()[0].faded.rmse() < 0.1, "{}", race.standings()[0].faded.rmse());
}

#[test]
fn a_model_that_is_on_its_way_back_is_not_stopped() {
    // Ten standardised features at this rate overshoot for some dozens of samples, and then settle.
    let lr = Schedule::InverseScaling { lr: 0.05, power: 0.3 };
    let kind = ModelKind::Linear(linear::Params { optimizer: Optimizer::Sgd { lr }, ..linear::Params::default() });
    let mut race = Prequential::new(&Config::of(vec![ModelConfig::new("overshoots", kind).scaled(true)]));
    let mut stream = stream("friedman");
    let mut x = Vec::new();
    for _ in 0..3000 {
        let y = stream.next_sample(&mut x);
        race.step(Features::new(&x), Some(y));
    }
    let counts = race.standings()[0].counts;
    assert_eq!((counts.rescues, counts.implausible), (0, 0));
}

#[test]
fn a_burst_that_is_over_when_the_guard_begins_to_judge_condemns_no_model() {
    let optimizer = Optimizer::Sgd { lr: Schedule::Constant { lr: 0.5 } };
    let kind = ModelKind::Linear(linear::Params { optimizer, ..linear::Params::default() });
    let mut race = Prequential::new(&Config::of(vec![ModelConfig::new("thrown", kind)]));
    // One sample throws it off by many times the targets' size, and some dozen bring it back.
    learn(&mut race, 0..24, 1.0);
    learn(&mut race, 24..25, 30.0);
    learn(&mut race, 25..99, 1.0);
    // Ten times the mean's error is 21.
    assert!(race.standings()[0].faded.rmse() > 40.0, "{}", race.standings()[0].faded.rmse());
    learn(&mut race, 99..1500, 1.0);
    assert!(race.standings()[0].faded.rmse() < 1.0, "{}", race.standings()[0].faded.rmse());
}

#[test]
fn healthy_models_are_never_touched() {
    // A thread each, since this takes longer than all that is tested beside it.
    thread::scope(|scope| {
        for name in ["friedman", "friedman_drift", "sine", "mv", "planes2d"] {
            scope.spawn(move || none_is_touched(name));
        }
    });
}

fn none_is_touched(name: &str) {
    let mut race = Prequential::new(&Config::of(everyone()));
    let mut stream = stream(name);
    let mut x = Vec::new();
    for _ in 0..20_000 {
        let y = stream.next_sample(&mut x);
        race.step(Features::new(&x), Some(y));
    }
    for (standing, config) in race.standings().iter().zip(&race.config().models) {
        let touched = standing.counts.rescues + standing.counts.implausible > 0;
        assert!(!touched || is_ill(config, name), "{name}: {:?} of {config:?}", standing.counts);
    }
}

/// What diverges in River, too, because its steps are too large for these features.
fn is_ill(config: &ModelConfig, stream: &str) -> bool {
    let ModelKind::Linear(params) = &config.kind else { return false };
    let momentum = matches!(params.optimizer, Optimizer::Momentum { .. });
    // The features of `mv` go up to 1,000.
    if config.steps.is_empty() { stream == "mv" } else { momentum && stream != "sine" }
}

#[test]
fn a_single_outlier_condemns_no_model() {
    for outlier in [1e3, 1e6, -1e9, 1e140] {
        let guard = GuardConfig { every: 100, ..GuardConfig::default() };
        let mut models = everyone();
        // Unscaled features are sound here; what learns from squared errors without a bound is thrown far off, and has
        // to find back by itself or with the guard's help.
        models.retain(|model| !model.steps.is_empty());
        let mut race = Prequential::new(&Config { guard, ..Config::of(models) });
        for i in 0..1000 {
            let (x, y) = plane(i, 1.0);
            let step = race.step(Features::new(&x), Some(if i == 500 { outlier } else { y }));
            if i == 500 {
                let rescued = step.events.iter().any(|event| matches!(event, Event::Rescued { .. }));
                assert!(!rescued, "at the outlier {outlier} itself: {:?}", step.events);
            }
        }
        // The baseline is off, too: whoever is not ten times worse than the mean is left alone.
        for standing in race.standings() {
            assert!(standing.faded.rmse().is_finite(), "{outlier}: {}", standing.name);
            if standing.kind == "hoeffding_tree" || standing.kind == "passive_aggressive" {
                assert_eq!(standing.counts.rescues, 0, "{outlier}: {}", standing.name);
            }
        }
    }
}

#[test]
fn the_guard_goes_on_after_a_restart_as_if_there_had_been_none() {
    for stop in [1, 99, 500, 505, 560, 700] {
        let (mut straight, mut stopped) = (race(Action::RollBack), race(Action::RollBack));
        for i in 0..1500 {
            if i == stop {
                let bytes = rmp_serde::to_vec_named(&stopped).expect("saved");
                let config = stopped.config().clone();
                let stored = state::read(&bytes).expect("restored");
                stopped = Prequential::restored(stored, &config).0;
            }
            let (x, y) = plane(i, if i < 500 { 1.0 } else { 100.0 });
            let expected = straight.step(Features::new(&x), Some(y)).events.to_vec();
            assert_eq!(stopped.step(Features::new(&x), Some(y)).events, expected, "sample {i}, stopped at {stop}");
        }
        assert!(straight.standings()[0].counts.rescues > 1);
        assert_eq!(straight.standings(), stopped.standings());
        assert!(rmp_serde::to_vec(&straight).expect("saved") == rmp_serde::to_vec(&stopped).expect("saved"));
    }
}

/// Streams on which gradient descent runs away at some rate, for good or now and then, or does well.
fn demanding(name: &str, i: usize) -> (Vec<f64>, f64) {
    let wild = |i: usize| 1.0 / (noise(i).abs() + 1e-3).powi(2);
    let x: Vec<f64> = match name {
        // Thirty features that say nearly the same.
        "collinear" => (0..30).map(|j| 3.0 + noise(i) + 0.1 * noise(i * 31 + j)).collect(),
        // Now and then a thousand times as large.
        "heavy" => (0..4).map(|j| noise(i * 5 + j) * wild(i * 7 + j * 7919)).collect(),
        // For some hundred samples thirty times as large.
        "episodes" => (0..4).map(|j| noise(i * 5 + j) * if i % 2000 > 1700 { 30.0 } else { 1.0 }).collect(),
        _ => (0..4).map(|j| noise(i * 5 + j)).collect(),
    };
    let y = 10.0 + 2.0 * x[0].clamp(-3.0, 3.0) - x[1].clamp(-3.0, 3.0) + noise(i * 13 + 5);
    (x, if name == "noise" { noise(i * 13 + 5) } else { y })
}

#[test]
fn a_model_is_never_worse_with_the_guard_than_both_without_it_and_the_mean() {
    for name in ["collinear", "heavy", "episodes", "noise", "plain"] {
        for lr in [0.001, 0.01, 0.05, 0.2] {
            for scale in [false, true] {
                let optimizer = Optimizer::Sgd { lr: Schedule::Constant { lr } };
                let kind = ModelKind::Linear(linear::Params { optimizer, ..Default::default() });
                let models =
                    vec![ModelConfig::new("mean", ModelKind::Mean), ModelConfig::new("sgd", kind).scaled(scale)];
                let errors = |action| {
                    let guard = GuardConfig { action, ..GuardConfig::default() };
                    let mut race = Prequential::new(&Config { guard, drift: None, ..Config::of(models.clone()) });
                    let mut sums = [0.0; 2];
                    for i in 0..8000 {
                        let (x, y) = demanding(name, i);
                        let step = race.step(Features::new(&x), Some(y));
                        if i >= 200 {
                            sums.iter_mut()
                                .zip(step.predictions)
                                .for_each(|(sum, said)| *sum += (said - y) * (said - y));
                        }
                    }
                    sums.map(|sum| (sum / 7800.0).sqrt())
                };
                let [mean, off] = errors(Action::Off);
                for action in [Action::RollBack, Action::Reset] {
                    let [_, on] = errors(action);
                    assert!(on <= 1.02 * off.min(mean), "{name}, lr {lr}, {scale}: {on} for {off} without, {mean}");
                }
            }
        }
    }
}

#[test]
fn a_model_that_was_worse_than_the_mean_is_believed_again_once_it_is_better() {
    let mut race = race(Action::RollBack);
    learn(&mut race, 0..500, 1.0);
    until_rescued(&mut race, 500..1500, 100.0).expect("it diverges");
    learn(&mut race, 1500..3000, 1.0);
    let before = race.standings()[0].counts.stood_in;
    assert!(before > 0);
    learn(&mut race, 3000..4000, 1.0);
    assert_eq!(race.standings()[0].counts.stood_in, before);
}

/// What was known of the mean's errors went with what had been learned from absurd values.
#[test]
fn a_model_that_has_just_learned_anew_is_not_judged_by_the_first_sample_after_that() {
    let kind = ModelKind::Linear(linear::Params::river());
    let models = vec![ModelConfig::new("mean", ModelKind::Mean), ModelConfig::new("sgd", kind).scaled(true)];
    let mut race = Prequential::new(&Config { drift: None, ..Config::of(models) });
    let mut relearned = false;
    for i in 0..149 {
        let (mut x, y) = plane(i, 1.0);
        if i == 10 {
            x[0] = 1e9;
        }
        // The mean is right just after, and the model cannot be.
        let y = if i == 100 { 10.0 } else { y };
        let step = race.step(Features::new(&x), Some(y));
        relearned |= step.events.iter().any(|event| matches!(event, Event::Outlier(_)));
        let stood_in = step.events.iter().any(|event| matches!(event, Event::StandIn { .. }));
        assert!(!stood_in || i < 100, "sample {i}: {:?}", step.events);
    }
    assert!(relearned, "the absurd value was learned");
}
