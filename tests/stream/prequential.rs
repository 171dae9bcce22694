//! The one place where the order is written: predictions never see their target, a restored state goes on to the bit,
//! and runaway input leaves every prediction finite.

use thalweg_generator::{Config, Function, Stream};
use thalweg_models::{Features, ModelConfig, ModelKind, linear, tree};
use thalweg_pipeline::{
    decode::MAX_MAGNITUDE,
    prequential::{Config as Race, Event, Prequential},
};
use thalweg_state as state;

fn models() -> Vec<ModelConfig> {
    let model = |name: &str, scale, kind| ModelConfig::new(name, kind).scaled(scale);
    vec![
        model("mean", false, ModelKind::Mean),
        model("last", false, ModelKind::Last),
        model("linear", true, ModelKind::Linear(linear::Params::default())),
        model("unscaled", false, ModelKind::Linear(linear::Params::default())),
        model("tree", false, ModelKind::HoeffdingTree(tree::Params::default())),
        model("scaled_tree", true, ModelKind::HoeffdingTree(tree::Params::default())),
    ]
}

fn race(models: Vec<ModelConfig>, window: usize) -> Race {
    Race { window, ..Race::of(models) }
}

fn stream(name: &str) -> Stream {
    let function = Function::from_name(name).expect("a function");
    Stream::new(&Config { function, ..Config::default() }).expect("a stream")
}

fn bits(predictions: &[f64]) -> Vec<u64> {
    predictions.iter().map(|prediction| prediction.to_bits()).collect()
}

/// Runs `count` samples of a stream and returns all predictions as bits.
fn run(prequential: &mut Prequential, stream: &mut Stream, count: usize) -> Vec<Vec<u64>> {
    let mut x = Vec::new();
    let step = |_| {
        let y = stream.next_sample(&mut x);
        bits(prequential.step(Features::new(&x), Some(y)).predictions)
    };
    (0..count).map(step).collect()
}

#[test]
fn a_prediction_does_not_depend_on_its_own_target() {
    let mut one = Prequential::new(&race(models(), 100));
    let mut x = Vec::new();
    let mut stream = stream("friedman_drift");
    for _ in 0..3000 {
        let y = stream.next_sample(&mut x);
        let mut other = one.clone();
        let expected = bits(other.step(Features::new(&x), Some(y + 1000.0)).predictions);
        let unknown = bits(one.clone().step(Features::new(&x), None).predictions);
        let step = one.step(Features::new(&x), Some(y));
        assert_eq!((&bits(step.predictions), &unknown), (&expected, &expected));
    }
}

#[test]
fn a_sample_without_target_changes_nothing() {
    let mut prequential = Prequential::new(&race(models(), 100));
    let mut stream = stream("friedman");
    run(&mut prequential, &mut stream, 500);
    let before = rmp_serde::to_vec(&prequential).expect("saved");
    prequential.step(Features::new(&[0.5; 10]), None);
    assert!(before == rmp_serde::to_vec(&prequential).expect("saved"));
}

#[test]
fn a_restored_state_goes_on_to_the_bit_at_any_record() {
    for stop in [0, 1, 2, 199, 200, 1234, 4000] {
        let mut uninterrupted = Prequential::new(&race(models(), 100));
        let mut stream = stream("friedman_drift");
        run(&mut uninterrupted, &mut stream, stop);
        let saved = rmp_serde::to_vec_named(&uninterrupted).expect("saved");
        let restored: Prequential = state::read(&saved).expect("restored");
        let (mut restored, afresh) = Prequential::restored(restored, &race(models(), 100));
        assert!(afresh.is_empty());
        let mut again = self::stream("friedman_drift");
        again.seek(stop as u64);
        assert!(run(&mut uninterrupted, &mut stream, 1500) == run(&mut restored, &mut again, 1500), "after {stop}");
        assert_eq!(uninterrupted.standings(), restored.standings());
        assert_eq!(uninterrupted.champion(), restored.champion());
    }
}

#[test]
fn a_model_with_new_parameters_starts_afresh_and_the_others_go_on() {
    let mut prequential = Prequential::new(&race(models(), 100));
    run(&mut prequential, &mut stream("friedman"), 1000);
    let before = prequential.standings();
    let mut changed = models();
    changed.swap(0, 2);
    changed[0].kind = ModelKind::Linear(linear::Params { l2: 0.5, ..linear::Params::default() });
    let (restored, afresh) = Prequential::restored(prequential, &race(changed, 100));
    assert_eq!(afresh, ["linear"]);
    let after = restored.standings();
    assert_eq!(after[0].total.n(), 0);
    assert_eq!(after[2].total, before[0].total);
    assert_eq!(after[4].total, before[4].total);
    assert_eq!(restored.version(), 1000);
}

#[test]
fn skill_is_against_the_mean_even_where_it_does_not_race() {
    let (with, without) = (models(), models()[2..3].to_vec());
    let (mut with, mut without) = (Prequential::new(&race(with, 200)), Prequential::new(&race(without, 200)));
    run(&mut with, &mut stream("friedman"), 1000);
    run(&mut without, &mut stream("friedman"), 1000);
    assert_eq!(with.standings()[2].skill, without.standings()[0].skill);
    assert_eq!(with.standings()[0].skill, Some(0.0));
    assert!(without.standings()[0].skill > Some(0.3));
}

#[test]
fn the_leader_becomes_champion() {
    let mut prequential = Prequential::new(&race(models(), 1000));
    let mut stream = stream("friedman");
    let mut x = Vec::new();
    let mut changes = 0;
    for _ in 0..2000 {
        let y = stream.next_sample(&mut x);
        let step = prequential.step(Features::new(&x), Some(y));
        let published = step.champion;
        for event in step.events {
            if let Event::ChampionChanged { from, .. } = event {
                assert_eq!(*from, published, "the change counts from the next sample on");
                changes += 1;
            }
        }
    }
    let standings = prequential.standings();
    let best = standings.iter().map(|model| model.rolling.rmse()).fold(f64::INFINITY, f64::min);
    // The champion is judged by the latter half of the samples: 1,000, as in the window.
    assert!(standings[prequential.champion()].rolling.rmse() * 0.98 <= best, "no other is better by more than 2 %");
    assert!(changes >= 1);
}

#[test]
fn runaway_and_unscaled_input_leaves_every_prediction_finite() {
    let mut runaway = stream("geometric");
    let mut friedman = stream("friedman");
    let mut prequential = Prequential::new(&race(models(), 100));
    let mut x = Vec::new();
    for i in 0..1500 {
        let y = runaway.next_sample(&mut x);
        if y.abs() > MAX_MAGNITUDE || x.iter().any(|value| value.abs() > MAX_MAGNITUDE) {
            break;
        }
        let step = prequential.step(Features::new(&x), Some(y));
        assert!(step.predictions.iter().all(|prediction| prediction.is_finite()), "step {i}: {:?}", step.predictions);
    }
    // Great features beside small ones, and the odd huge outlier.
    let mut prequential = Prequential::new(&race(models(), 100));
    for i in 0..3000 {
        let y = friedman.next_sample(&mut x);
        x[0] *= 1e4;
        x[1] *= 1e-2;
        if i % 500 == 499 {
            x[2] = MAX_MAGNITUDE;
        }
        let step = prequential.step(Features::new(&x), Some(if i % 700 == 699 { -MAX_MAGNITUDE } else { y }));
        assert!(step.predictions.iter().all(|prediction| prediction.is_finite()), "step {i}: {:?}", step.predictions);
    }
}
