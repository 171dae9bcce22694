//! Models per key: what each learns, which one counts, and what gives way.

use std::collections::BTreeMap;

use crate::support::kinds::{NOMINAL, every_kind, samples};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use thalweg_models::{
    Description, Features, ModelConfig, ModelKind, Regressor, linear,
    per_key::{Given, Learns, Params, PerKey},
};
use thalweg_pipeline::{
    decode::{Notice, Schema},
    labels::{Join, Labels, Mode},
    pending_predictions::PendingPredictions,
    prequential::{self, Prequential},
    processor::{Config, Processor},
};
use thalweg_topic::{Outbox, Output, record::Record};

fn linear() -> ModelConfig {
    ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true)
}

fn params() -> Params {
    Params { by: "device".into(), base: Some("linear".into()), models: vec![linear()], ..Params::default() }
}

fn per_key(params: Params) -> ModelConfig {
    ModelConfig::new("by device", ModelKind::PerKey(params))
}

fn race(params: Params) -> prequential::Config {
    let models = vec![ModelConfig::new("mean", ModelKind::Mean), linear(), per_key(params)];
    prequential::Config { keys: vec!["device".into()], ..prequential::Config::of(models) }
}

/// Samples of devices, half of which react the other way round.
fn devices(count: usize, n: usize, seed: u64) -> Vec<(String, f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let sample = |_| {
        let (device, x) = (rng.random_range(0..count), rng.random_range(-1.0..1.0));
        let slope = if device % 2 == 0 { 3.0 } else { -3.0 };
        (format!("d{device}"), x, 10.0 + slope * x + 0.1 * rng.random_range(-1.0..1.0))
    };
    (0..n).map(sample).collect()
}

fn run(race: &mut Prequential, samples: &[(String, f64, f64)]) -> Vec<Vec<u64>> {
    let step = |(key, x, y): &(String, f64, f64)| {
        let keys = [Some(key.clone())];
        let step = race.step_with_keys(Features::new(&[*x]), &keys, Some(*y));
        step.predictions.iter().map(|it| it.to_bits()).collect()
    };
    samples.iter().map(step).collect()
}

#[test]
fn devices_that_react_the_other_way_round_are_predicted_as_well_as_the_others() {
    let mut race = Prequential::new(&race(params()));
    run(&mut race, &devices(20, 8000, 1));
    let [mean, linear, by_device] = [0, 1, 2].map(|i| race.rolling_rmse(i));
    assert!(linear > 0.95 * mean, "one line for all is of no use here: {linear}, {mean}");
    assert!(by_device < 0.1 * linear, "{by_device}, {linear}");
}

#[test]
fn a_key_that_never_came_up_has_the_prediction_of_the_model_of_all() {
    let mut race = Prequential::new(&race(params()));
    run(&mut race, &devices(20, 2000, 2));
    let keys = [Some("another".to_owned())];
    let mut buffers = race.buffers();
    for x in [-0.5, 0.0, 0.7] {
        let prediction = race.predict_only(Features::new(&[x]), &keys, false, &mut buffers);
        assert_eq!(prediction.predictions[2].to_bits(), prediction.predictions[1].to_bits());
    }
}

fn given(key: &str, prior: f64) -> Given<'_> {
    Given { key: Some(key), prior }
}

/// What is known of a key after these samples, each with what the prior says.
fn alone(samples: &[(f64, f64, f64)]) -> Value {
    let mut model = PerKey::new(&params());
    for (x, prior, y) in samples {
        model.learn(Features::new(&[*x]), given("d", *prior), *y, &[]).expect("learned");
    }
    learned(&model, "d")
}

fn learned(model: &PerKey, key: &str) -> Value {
    let (standing, own) = model.of_key(key, &[]).expect("a key");
    json!({"n": standing.n, "errors": standing.predictors, "own": own})
}

#[test]
fn what_a_key_has_learned_is_of_its_own_samples_alone() {
    for seed in 0..20 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut model = PerKey::new(&params());
        let mut of_keys: BTreeMap<String, Vec<(f64, f64, f64)>> = BTreeMap::new();
        for (key, x, y) in devices(5, 300, 100 + seed) {
            let prior = rng.random_range(5.0..15.0);
            model.learn(Features::new(&[x]), given(&key, prior), y, &[]).expect("learned");
            of_keys.entry(key).or_default().push((x, prior, y));
        }
        for (key, samples) in of_keys {
            assert_eq!(learned(&model, &key), alone(&samples), "seed {seed}, {key}");
        }
    }
}

/// Nothing is to be gained by models of their own, and each key comes up a few times only.
#[test]
fn keys_that_are_all_alike_cost_hardly_anything() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut race = Prequential::new(&race(params()));
    let (mut base, mut ours) = (0.0, 0.0);
    for _ in 0..20_000 {
        let (device, x) = (rng.random_range(0..1000), rng.random_range(-1.0..1.0));
        let y: f64 = 3.0 * x + rng.random_range(-1.0..1.0);
        let keys = [Some(format!("d{device}"))];
        let step = race.step_with_keys(Features::new(&[x]), &keys, Some(y));
        base += (step.predictions[1] - y).powi(2);
        ours += (step.predictions[2] - y).powi(2);
    }
    assert!(ours < 1.005 * base, "{}", ours / base);
}

#[test]
fn a_glitch_in_one_key_hurts_none_of_the_others() {
    let quiet = devices(10, 4000, 4);
    let mut loud = quiet.clone();
    // It is the key's own, and the model of all does not learn it as it is.
    for sample in loud.iter_mut().skip(2000).filter(|(key, ..)| key == "d3").take(3) {
        sample.2 = 1e12;
    }
    let error = |samples: &[(String, f64, f64)]| {
        let mut race = Prequential::new(&race(params()));
        let predictions = run(&mut race, samples);
        let of_others = quiet.iter().zip(predictions).skip(2500).filter(|((key, ..), _)| key != "d3");
        let squares = of_others.map(|((_, _, y), made)| (f64::from_bits(made[2]) - y).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let (without, with) = (error(&quiet), error(&loud));
    assert!(with < 1.5 * without, "{with}, {without}");
}

fn key_model(race: &Prequential) -> &PerKey {
    race.pipeline(2).and_then(|pipeline| pipeline.per_key()).expect("models per key")
}

#[test]
fn keys_beyond_the_budget_give_way_and_begin_anew_alike_after_a_restart() {
    let config = race(Params { budget: 64 << 10, ..params() });
    let samples = devices(500, 6000, 5);
    let mut whole = Prequential::new(&config);
    let (first, second) = samples.split_at(3500);
    run(&mut whole, first);
    let mut state = Vec::new();
    thalweg_state::write(&whole, &mut state).expect("written");
    let (mut again, afresh) = Prequential::restored(thalweg_state::read(&state).expect("read"), &config);
    assert!(afresh.is_empty(), "{afresh:?}");
    assert_eq!(run(&mut whole, second), run(&mut again, second));
    for race in [&whole, &again] {
        let model = key_model(race);
        assert!((10..500).contains(&model.keys()) && model.evicted() > 1000, "{} {}", model.keys(), model.evicted());
        assert!(model.memory_bytes() <= (64 << 10) + 1024, "{}", model.memory_bytes());
    }
    let states = [&whole, &again].map(|race| {
        let mut bytes = Vec::new();
        thalweg_state::write(race, &mut bytes).expect("written");
        bytes
    });
    assert!(states[0] == states[1], "their states differ");
}

#[test]
fn keys_are_described_with_those_in_front_that_are_predicted_worst() {
    let mut race = Prequential::new(&race(params()));
    run(&mut race, &devices(30, 6000, 6));
    let Some((_, Description::PerKey(mut described))) = race.describe(2, &[]) else { panic!("no keys") };
    assert_eq!((described.count, described.keys.len(), described.evicted), (30, 30, 0));
    assert_eq!(described.followed.iter().map(|it| it.keys).sum::<usize>(), 30);
    let names: Vec<&str> = described.followed.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["linear", "linear + linear", "linear alone"]);
    described.keep_ends(3);
    let errors: Vec<f64> = described.keys.iter().map(|key| key.recent_rmse()).collect();
    assert!(errors.len() == 6 && errors.is_sorted_by(|one, other| one >= other), "{errors:?}");
}

fn schema(model_keys: &[&str]) -> Schema {
    Schema { model_keys: model_keys.iter().map(ToString::to_string).collect(), ..Schema::default() }
}

fn config(schema: Schema, models: Vec<ModelConfig>) -> Config {
    let keys = if schema.model_keys.is_empty() { Vec::new() } else { schema.row_keys() };
    let race = prequential::Config { keys, ..prequential::Config::of(models) };
    Config { topic: "samples".into(), labels: None, schema, race }
}

fn process(processor: &mut Processor, records: impl IntoIterator<Item = (Option<&'static str>, Value)>) -> Vec<Value> {
    let mut outbox: Outbox<PendingPredictions> = Outbox::at(processor.position());
    for (key, value) in records {
        let (offset, key) = (processor.position(), key.map(Into::into));
        let timestamp = 1_700_000_000_000 + offset;
        let record = Record { offset, timestamp, key, value: Some(value.to_string().into()), ..Record::default() };
        processor.process(record, &mut outbox).expect("usable");
    }
    outbox.encode();
    let made = outbox.records[Output::Predictions as usize].iter();
    made.map(|it| serde_json::from_slice(it.value.as_deref().expect("a value")).expect("JSON")).collect()
}

fn value(key: &Value, x: f64, y: f64) -> Value {
    json!({"device": key, "x": x, "y": y})
}

fn made_by(made: &[Value], model: &str) -> Vec<u64> {
    made.iter().map(|it| it["predictions"][model].as_f64().expect("a prediction").to_bits()).collect()
}

#[test]
fn numbers_texts_and_the_records_own_keys_are_all_keys() {
    let samples = devices(8, 3000, 7);
    let record = |i: usize, as_key: fn(usize) -> Value| {
        let (key, x, y) = &samples[i];
        value(&as_key(key[1..].parse().expect("a number")), *x, *y)
    };
    let run = |by: &str, as_key: fn(usize) -> Value, own: bool| {
        let models = vec![linear(), per_key(Params { by: by.into(), ..params() })];
        let (mut processor, _) = Processor::new(&config(schema(&[by]), models), 0, 0, None);
        const KEYS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let records = (0..samples.len()).map(|i| {
            let number: usize = samples[i].0[1..].parse().expect("a number");
            (own.then_some(KEYS[number]), record(i, as_key))
        });
        made_by(&process(&mut processor, records), "by device")
    };
    let texts = run("device", |number| json!(number.to_string()), false);
    assert_eq!(texts, run("device", |number| json!(number), false));
    assert_eq!(texts, run("$key", |_| json!("none"), true));
}

#[test]
fn samples_without_a_key_share_a_model() {
    let models = vec![linear(), per_key(params())];
    let (mut processor, _) = Processor::new(&config(schema(&["device"]), models), 0, 0, None);
    let records = devices(2, 2000, 8)
        .into_iter()
        .map(|(key, x, y)| (None, if key == "d1" { json!({"x": x, "y": y}) } else { value(&json!(key), x, y) }));
    process(&mut processor, records);
    let race = processor.replica().race;
    let model = race.pipeline(1).and_then(|pipeline| pipeline.per_key()).expect("models per key");
    assert_eq!(model.keys(), 2);
    assert!(model.knows("") && race.rolling_rmse(1) < 0.2 * race.rolling_rmse(0));
}

#[test]
fn models_per_key_come_and_go_and_the_others_keep_what_they_know() {
    let samples = devices(6, 3000, 9);
    let records = |range: std::ops::Range<usize>| {
        let samples = samples[range].to_vec();
        samples.into_iter().map(|(key, x, y)| (None, value(&json!(key), x, y))).collect::<Vec<_>>()
    };
    let (with, without) = (vec![linear(), per_key(params())], vec![linear()]);
    // The field is ignored in both, so that no other model sees it.
    let ignoring = |keys: &[&str]| Schema { ignore: vec!["device".into()], ..schema(keys) };
    let (mut plain, _) = Processor::new(&config(ignoring(&[]), without.clone()), 0, 0, None);
    let expected = made_by(&process(&mut plain, records(0..3000)), "linear");
    let steps = [(0..1000, &without, &[][..]), (1000..2000, &with, &["device"][..]), (2000..3000, &without, &[][..])];
    let (mut made, mut stored) = (Vec::new(), None);
    for (range, models, keys) in steps {
        let config = config(ignoring(keys), models.clone());
        let (mut processor, afresh) = Processor::new(&config, 0, range.start as i64, stored.take());
        assert!(!afresh.iter().any(|name| name == "linear"), "{afresh:?}");
        made.extend(process(&mut processor, records(range)));
        let mut bytes = Vec::new();
        thalweg_state::write(&processor.checkpoint(), &mut bytes).expect("written");
        stored = Some(thalweg_state::read(&bytes).expect("read"));
    }
    assert_eq!(made_by(&made, "linear"), expected);
}

/// Labels that come right behind their samples are as good as targets in these, and those that wait keep their keys over a restart.
#[test]
fn late_labels_are_learned_by_the_keys_of_their_samples() {
    let samples = devices(6, 2000, 10);
    let models = || vec![linear(), per_key(params())];
    let inline =
        samples.iter().enumerate().map(|(i, (key, x, y))| (None, json!({"id": i, "device": key, "x": x, "y": y})));
    let ignoring = |mode| Schema {
        ignore: vec!["id".into()],
        labels: Labels { mode, ..Labels::default() },
        ..schema(&["device"])
    };
    let (mut plain, _) = Processor::new(&config(ignoring(Mode::Inline), models()), 0, 0, None);
    let expected = process(&mut plain, inline);
    let by_id = || ignoring(Mode::SameTopic(Join { by: Some("id".into()), marker: None }));
    let halves = |i: usize| {
        let (key, x, y) = &samples[i];
        [(None, json!({"id": i, "device": key, "x": x})), (None, json!({"id": i, "y": y}))]
    };
    let (mut late, _) = Processor::new(&config(by_id(), models()), 0, 0, None);
    let made = process(&mut late, (0..samples.len()).flat_map(halves));
    for model in ["linear", "by device"] {
        assert_eq!(made_by(&made, model), made_by(&expected, model), "{model}");
    }

    // Each label comes fifty samples later, and in between the daemon starts anew with one more key in front.
    let delayed = |range: std::ops::Range<usize>| {
        range.flat_map(|i| {
            let label = i.checked_sub(50).map(|of| halves(of)[1].clone());
            [Some(halves(i)[0].clone()), label].into_iter().flatten()
        })
    };
    let site = || per_key(Params { by: "x".into(), ..params() });
    let more = || vec![ModelConfig { name: "by x".into(), ..site() }, linear(), per_key(params())];
    let with_more = || Schema { model_keys: vec!["x".into(), "device".into()], ..by_id() };
    let run = |restart: bool| {
        let (mut processor, _) = Processor::new(&config(by_id(), models()), 0, 0, None);
        let mut made = process(&mut processor, delayed(0..1000));
        if restart {
            let (mut next, afresh) =
                Processor::new(&config(with_more(), more()), 0, processor.position(), Some(processor.checkpoint()));
            assert_eq!(afresh, ["by x"]);
            made.extend(process(&mut next, delayed(1000..2000)));
        } else {
            made.extend(process(&mut processor, delayed(1000..2000)));
        }
        made_by(&made, "by device")
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn that_keys_are_forgotten_is_told_once() {
    let models = vec![linear(), per_key(Params { budget: 64 << 10, ..params() })];
    let (mut processor, _) = Processor::new(&config(schema(&["device"]), models), 0, 0, None);
    let mut told = Vec::new();
    for (i, (key, x, y)) in devices(1000, 2000, 11).into_iter().enumerate() {
        process(&mut processor, [(None, value(&json!(key), x, y))]);
        told.extend(processor.take_notices().into_iter().map(|notice| (i, notice)));
    }
    let forgets = told.iter().filter(|(_, notice)| matches!(notice, Notice::KeysForgotten { model: Some(_), .. }));
    assert_eq!(forgets.count(), 1, "{told:?}");
    assert!(told[0].1.to_string().contains("`by device`") && told[0].0 > 20, "{told:?}");
}

#[test]
fn what_a_model_learns_of_a_key_is_what_was_asked_for() {
    let by = |learns: Vec<Learns>| {
        let mut model =
            PerKey::new(&Params { learns, models: vec![ModelConfig::new("mean", ModelKind::Mean)], ..params() });
        for y in [7.0, 9.0] {
            model.learn(Features::new(&[]), given("d", 5.0), y, &[]).expect("learned");
        }
        let (_, own) = model.of_key("d", &[]).expect("a key");
        let mean = |learned: &Description| match learned {
            Description::Constant(constant) => constant.prediction,
            other => panic!("{other:?}"),
        };
        own.iter().map(|it| (it.name.clone(), mean(&it.learned))).collect::<Vec<_>>()
    };
    let (residual, target) = (("linear + mean".to_owned(), 3.0), ("mean alone".to_owned(), 8.0));
    assert_eq!(by(vec![Learns::Residual]), std::slice::from_ref(&residual));
    assert_eq!(by(vec![Learns::Target, Learns::Residual]), [target, residual]);
}

#[test]
fn targets_and_priors_at_the_limits_are_refused_or_learned_and_the_state_is_sound() {
    let mut model = PerKey::new(&params());
    let limits = [0.0, 1e150, -1e150, 1e151, f64::NAN];
    for (prior, y) in limits.into_iter().flat_map(|prior| limits.map(|y| (prior, y))) {
        let learnable = [prior, y, y - prior].into_iter().all(|it| it.abs() <= 1e150);
        assert_eq!(model.learn(Features::new(&[1.0]), given("d", prior), y, &[]).is_ok(), learnable, "{prior} {y}");
        let mut state = Vec::new();
        thalweg_state::write(&model, &mut state).expect("written");
        thalweg_state::read::<PerKey>(&state).expect("sound");
    }
}

/// Few keys come up all the time and many hardly ever, so that some have not come up between a restart and what gives way.
#[test]
fn keys_of_every_kind_of_model_give_way_alike_after_a_restart() {
    let of_key = |i: usize| if i.is_multiple_of(2) { i % 5 } else { 5 + i * 7919 % 40 };
    for kind in every_kind().into_iter().filter(|kind| kind.key().is_none()) {
        let models = vec![ModelConfig::with_default_steps(kind.clone())];
        let learn = |model: &mut PerKey, range: std::ops::Range<usize>| {
            for (i, (x, y)) in samples(range.end).enumerate().skip(range.start) {
                let key = of_key(i).to_string();
                let x = Features::with_nominal(&x, &NOMINAL);
                model.learn(x, given(&key, 2.0), y, &[]).expect("learned");
            }
        };
        let mut one = PerKey::new(&Params { models: models.clone(), ..params() });
        learn(&mut one, 0..100);
        let budget = one.memory_bytes() / one.keys() * 12;
        let mut whole = PerKey::new(&Params { models, budget, ..params() });
        learn(&mut whole, 0..400);
        let mut state = Vec::new();
        thalweg_state::write(&whole, &mut state).expect("written");
        let mut again: PerKey = thalweg_state::read(&state).expect("read");
        assert_eq!((whole.memory_bytes(), whole.keys()), (again.memory_bytes(), again.keys()), "{kind:?}");
        learn(&mut whole, 400..700);
        learn(&mut again, 400..700);
        let states = [&whole, &again].map(|model| {
            let mut bytes = Vec::new();
            thalweg_state::write(model, &mut bytes).expect("written");
            bytes
        });
        assert!(states[0] == states[1] && whole.evicted() > 20, "{} evicted of {kind:?}", whole.evicted());
    }
}

#[test]
fn a_sample_that_is_only_a_key_is_predicted() {
    let models =
        vec![ModelConfig::new("mean", ModelKind::Mean), per_key(Params { base: Some("mean".into()), ..params() })];
    let (mut processor, _) = Processor::new(&config(schema(&["device"]), models), 0, 0, None);
    let known = (0..100).map(|i| (None, json!({"device": i % 2, "y": i % 2})));
    process(&mut processor, known);
    let made = process(&mut processor, [(None, json!({"device": 1}))]);
    assert!(made[0]["predictions"]["by device"].as_f64().is_some_and(|it| (it - 1.0).abs() < 0.1), "{made:?}");
}

#[test]
fn a_state_whose_keys_say_they_take_more_than_there_can_be_is_read_or_refused() {
    let mut model = PerKey::new(&params());
    for i in 0..40 {
        model.learn(Features::new(&[1.0]), given(&i.to_string(), 0.0), 1.0, &[]).expect("learned");
    }
    let mut state = Vec::new();
    thalweg_state::write(&model, &mut state).expect("written");
    let places: Vec<usize> =
        state.windows(6).enumerate().filter(|(_, it)| *it == b"\xa5bytes").map(|(i, _)| i).collect();
    assert_eq!(places.len(), 40);
    for number in [&b"\xcf\x10\0\0\0\0\0\0\0"[..], b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xce\xff\xff\xff\xff"] {
        let mut damaged = Vec::new();
        let mut rest = 0;
        for place in &places {
            let end = place + 6;
            damaged.extend_from_slice(&state[rest..end]);
            damaged.extend_from_slice(number);
            // A number of two or three bytes stands there.
            rest = end + if state[end] == 0xcd { 3 } else { 5 };
        }
        damaged.extend_from_slice(&state[rest..]);
        let read = thalweg_state::read::<PerKey>(&damaged);
        assert_eq!(read.is_ok(), number[0] == 0xce, "{number:?}");
    }
}

#[test]
fn another_budget_or_margin_costs_no_key_that_has_room() {
    let of = |budget| race(Params { budget, margin: 0.01, ..params() });
    let mut race = Prequential::new(&race(Params { budget: 64 << 10, ..params() }));
    run(&mut race, &devices(200, 4000, 12));
    let before = key_model(&race).keys();
    let (wider, afresh) = Prequential::restored(race.clone(), &of(1 << 20));
    assert_eq!((key_model(&wider).keys(), afresh), (before, Vec::new()));
    let (mut narrower, _) = Prequential::restored(race, &of(65_536 / 2));
    assert!((1..before).contains(&key_model(&narrower).keys()));
    run(&mut narrower, &devices(200, 500, 13));
    assert!(key_model(&narrower).memory_bytes() < 34_000, "{}", key_model(&narrower).memory_bytes());
    let other = Params { models: vec![ModelConfig::new("mean", ModelKind::Mean)], ..params() };
    let (_, afresh) = Prequential::restored(wider, &self::race(other));
    assert_eq!(afresh, ["by device"]);
}
