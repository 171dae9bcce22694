//! Targets that come later than their samples: which sample a label belongs to, what is scored, and what waits.

use std::collections::{HashMap, VecDeque};

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use thalweg_features::{Feature, Kind, Span};
use thalweg_models::{Features, ModelConfig, ModelKind, linear};
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    decode::{Decoder, Index, Schema},
    labels::{Join, Labels, Marker, Mode, OnCorrection, Outcome, Role},
    pending_predictions::PendingPredictions,
    prequential,
    processor::{Config, Processor},
    snapshot::Late,
};
use thalweg_topic::{Outbox, Output, record::Record};

const MINUTE: i64 = 60_000;

fn by_id() -> Labels {
    let join = Join { by: Some("id".into()), marker: None };
    Labels { mode: Mode::SameTopic(join), ..Labels::default() }
}

fn schema(labels: Labels) -> Schema {
    Schema { labels, ..Schema::default() }
}

fn models() -> Vec<ModelConfig> {
    let linear = ModelKind::Linear(linear::Params::river());
    vec![ModelConfig::new("mean", ModelKind::Mean), ModelConfig::new("linear", linear).scaled(true)]
}

fn config(schema: Schema) -> Config {
    Config { topic: "samples".into(), labels: None, schema, race: prequential::Config::of(models()) }
}

fn processor(labels: Labels) -> Processor {
    Processor::new(&config(schema(labels)), 0, 0, None).0
}

/// What a stream has published.
#[derive(Debug, Default, PartialEq)]
struct Published {
    predictions: Vec<Value>,
    reasons: Vec<String>,
    events: Vec<Value>,
}

/// Processes records with these times and keys.
fn process<'k>(
    processor: &mut Processor,
    records: impl IntoIterator<Item = (i64, Option<&'k str>, Value)>,
) -> Published {
    let mut outbox: Outbox<PendingPredictions> = Outbox::at(processor.position());
    for (timestamp, key, value) in records {
        let (offset, key) = (processor.position(), key.map(|key| key.to_owned().into()));
        let record = Record { offset, timestamp, key, value: Some(value.to_string().into()), ..Record::default() };
        // What is refused is told in a dead letter.
        let _ = processor.process(record, &mut outbox);
    }
    outbox.encode();
    let of = |output: Output| outbox.records[output as usize].iter();
    let parsed = |output| {
        let values = of(output).map(|record| record.value.as_deref().expect("a value"));
        values.map(|value| serde_json::from_slice(value).expect("JSON")).collect()
    };
    let reason = |headers: &thalweg_topic::record::Headers| {
        String::from_utf8(headers.get("thalweg.reason").expect("a reason").to_vec()).expect("UTF-8")
    };
    Published {
        predictions: parsed(Output::Predictions),
        reasons: of(Output::DeadLetters).map(|record| reason(&record.headers)).collect(),
        events: parsed(Output::Events),
    }
}

fn late(processor: &Processor) -> Late {
    processor.snapshot().late.expect("targets come late")
}

fn sample(id: impl Into<Value>, x: f64) -> Value {
    json!({"id": id.into(), "x": x, "w": 1.0 - x})
}

fn label(id: impl Into<Value>, y: f64) -> Value {
    json!({"id": id.into(), "y": y})
}

/// Numbers of a stream that can be made again.
fn number(i: usize) -> f64 {
    (i as f64 * 0.754_877_666_246_692_7).fract()
}

/// Samples and labels as they may come, each at a minute of its own: true for the label of a sample.
fn interleaving(seed: u64, count: usize) -> Vec<(bool, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut coming: Vec<(usize, bool, usize)> = Vec::new();
    for i in 0..count {
        coming.push((2 * i, false, i));
        // One in nine never comes, and delays are long and short.
        if rng.random_range(0..9) > 0 {
            coming.push((2 * i + 1 + 2 * rng.random_range(0..40_usize).pow(2) / 10, true, i));
        }
    }
    coming.sort_by_key(|(at, ..)| *at);
    coming.into_iter().map(|(_, is_label, i)| (is_label, i)).collect()
}

#[test]
fn what_was_published_is_scored_when_its_label_comes_and_by_what_was_known_then() {
    for seed in 0..20 {
        let mut stream = processor(by_id());
        let (mut labels, mut mean, mut squares, mut scored) = (0.0, 0.0, 0.0, 0_u32);
        let mut said = HashMap::new();
        for (at, (is_label, i)) in interleaving(seed, 300).into_iter().enumerate() {
            let y = 3.0 * number(i) - 1.0;
            let value = if is_label { label(i, y) } else { sample(i, number(i)) };
            let made = process(&mut stream, [(at as i64 * MINUTE, None, value)]);
            assert!(made.reasons.is_empty(), "{made:?}");
            if is_label {
                let error: f64 = y - said[&i];
                (squares, scored) = (squares + error * error, scored + 1);
                labels += 1.0;
                mean += (y - mean) / labels;
                assert!(made.predictions.is_empty());
            } else {
                let prediction = made.predictions[0]["predictions"]["mean"].as_f64().expect("a number");
                assert!((prediction - mean).abs() < 1e-12, "seed {seed}, sample {i}: {prediction}, not {mean}");
                assert_eq!(made.predictions[0]["target"], Value::Null);
                said.insert(i, prediction);
            }
        }
        let snapshot = stream.snapshot();
        let rmse = (squares / f64::from(scored)).sqrt();
        assert_eq!(snapshot.models[0].total.n(), u64::from(scored));
        assert!((snapshot.models[0].total.rmse() - rmse).abs() < 1e-12);
        let late = snapshot.late.expect("targets come late");
        assert_eq!((late.labelled, late.waiting), (u64::from(scored), 300 - u64::from(scored)));
        assert!(snapshot.coverage.is_some_and(|coverage| coverage.n() > 100));
    }
}

#[test]
fn labels_right_behind_their_samples_give_the_bits_of_targets_in_them() {
    let mut late = processor(by_id());
    let mut inline = processor(Labels::default());
    for i in 0..500 {
        let (x, y) = (number(i), 3.0 * number(i) - 1.0);
        let both = [sample(i, x), label(i, y)].map(|value| (i as i64 * MINUTE, None, value));
        let whole = json!({"x": x, "w": 1.0 - x, "y": y});
        let [made, expected] = [process(&mut late, both), process(&mut inline, [(i as i64 * MINUTE, None, whole)])]
            .map(|it| it.predictions);
        for field in ["predictions", "lower", "upper", "model", "version"] {
            assert_eq!(made[0][field], expected[0][field], "sample {i}, {field}");
        }
    }
    let [late, inline] = [late, inline].map(|stream| stream.snapshot());
    for (late, inline) in late.models.iter().zip(&inline.models) {
        assert_eq!((late.total, late.rolling), (inline.total, inline.rolling));
    }
    assert_eq!((late.published.total, late.coverage), (inline.published.total, inline.coverage));
}

#[test]
fn a_restart_amid_samples_that_wait_changes_no_bit() {
    let labels = Labels { max_wait: 150 * MINUTE as u64, max_early: MINUTE as u64, default: Some(0.5), ..by_id() };
    let derived = vec![
        Feature {
            kind: Kind::Lag { of: vec!["y".into()], at: vec![Span::Samples(1), Span::Time(60 * MINUTE)] },
            by: None,
            name: None,
        },
        Feature {
            kind: Kind::Lag { of: vec!["y".into()], at: vec![Span::Samples(1)] },
            by: Some("who".into()),
            name: None,
        },
    ];
    let config = config(Schema { derived, ..schema(labels) });
    let records: Vec<(i64, Option<&str>, Value)> = interleaving(7, 400)
        .into_iter()
        .enumerate()
        .map(|(at, (is_label, i))| {
            let mut value = if is_label { label(i, 3.0 * number(i)) } else { sample(i, number(i)) };
            if !is_label {
                value["who"] = json!(format!("w{}", i % 5));
            }
            (at as i64 * MINUTE, None, value)
        })
        .collect();
    let new = |stored| Processor::new(&config, 0, 0, stored).0;
    let mut whole = new(None);
    let expected = process(&mut whole, records.iter().cloned());
    let (mut stream, mut made) = (new(None), Published::default());
    for (i, record) in records.iter().enumerate() {
        let Published { predictions, reasons, events } = process(&mut stream, [record.clone()]);
        made.predictions.extend(predictions);
        made.reasons.extend(reasons);
        made.events.extend(events);
        if i % 23 == 0 {
            let mut bytes = Vec::new();
            thalweg_state::write(&stream.checkpoint(), &mut bytes).expect("saved");
            stream = new(Some(thalweg_state::read::<Checkpoint>(&bytes).expect("restored")));
        }
    }
    assert_eq!(made, expected);
    assert!(late(&whole).expired > 0 && late(&whole).waiting > 0 && !expected.events.is_empty());
    // Of the index only what was read since the start differs.
    let [whole, stream] = [whole.checkpoint(), stream.checkpoint()];
    assert!(saved(&whole.pending) == saved(&stream.pending));
    assert!(saved(&whole.past) == saved(&stream.past));
    assert!(saved(&whole.prequential) == saved(&stream.prequential));
}

fn saved(part: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    thalweg_state::write(part, &mut bytes).expect("saved");
    bytes
}

#[test]
fn by_the_key_of_the_records_a_label_is_that_of_the_oldest_sample_that_waits() {
    let mut stream = processor(Labels { mode: Mode::SameTopic(Join::default()), ..Labels::default() });
    let x = |x: f64| json!({"x": x});
    let records = [("a", x(1.0)), ("b", x(2.0)), ("a", x(3.0)), ("a", json!({"y": 10.0})), ("b", json!({"y": 20.0}))];
    process(&mut stream, records.into_iter().map(|(key, value)| (0, Some(key), value)));
    let first = |stream: &Processor| stream.snapshot().models[0].total;
    // The mean knew nothing when it predicted either.
    assert_eq!((first(&stream).n(), first(&stream).rmse()), (2, 250.0_f64.sqrt()));
    let made = process(&mut stream, [(0, Some("a"), json!({"y": 1.0})), (0, Some("a"), json!({"y": 1.0}))]);
    assert_eq!((made.reasons, late(&stream).waiting), (vec!["no_sample".to_owned()], 0));
    // Without a key nothing can wait, and a label belongs to nothing.
    let made = process(&mut stream, [(0, None, x(4.0)), (0, None, json!({"y": 1.0}))]);
    assert_eq!((made.predictions.len(), made.reasons, late(&stream).waiting), (1, vec!["bad_label".to_owned()], 0));
}

#[test]
fn a_marker_tells_labels_that_hold_more_than_their_target() {
    let marker = Some(Marker { field: "kind".into(), value: "label".into() });
    let join = Join { by: Some("id".into()), marker };
    let mut stream = processor(Labels { mode: Mode::SameTopic(join), ..Labels::default() });
    let made = process(
        &mut stream,
        [
            (0, None, json!({"kind": "ask", "id": 1, "x": 0.5})),
            (0, None, json!({"kind": "label", "id": 1, "y": 2.0, "source": 3.0})),
            (0, None, json!({"kind": "label", "id": 2, "source": 3.0})),
            (0, None, json!({"kind": "ask", "id": 3, "x": 0.5, "y": 4.0})),
            (0, None, json!({"id": 4, "y": 4.0})),
        ],
    );
    // A sample that brings its own target does not wait, nor does one of a target alone.
    assert_eq!((made.predictions.len(), made.reasons), (3, vec!["bad_label".to_owned()]));
    let snapshot = stream.snapshot();
    assert_eq!((snapshot.models[0].total.n(), late(&stream).waiting, snapshot.labels), (3, 0, 1));
    let names: Vec<&str> = snapshot.fields.features.iter().map(|feature| &feature.name[..]).collect();
    assert_eq!(names, ["x"]);
}

#[test]
fn a_label_without_a_sample_and_another_one_are_dead_letters_and_leave_no_trace() {
    let mut stream = processor(by_id());
    process(&mut stream, [(0, None, sample("a", 0.25)), (0, None, label("a", 1.0))]);
    let all = |stream: &Processor| {
        let mut checkpoint = stream.checkpoint();
        (checkpoint.position, checkpoint.records, checkpoint.dead_letters) = (0, 0, 0);
        saved(&checkpoint)
    };
    let before = all(&stream);
    let made = process(
        &mut stream,
        [
            (0, None, label("a", 2.0)),
            (0, None, label("b", 2.0)),
            (9, None, json!({"y": 2.0})),
            (9, None, json!({"id": "a"})),
        ],
    );
    assert_eq!(made.reasons, ["already_labelled", "no_sample", "bad_label", "no_features"]);
    assert!(all(&stream) == before);
}

#[test]
fn a_correction_is_learned_once_more_where_that_is_asked_for() {
    let mut stream = processor(Labels { on_correction: OnCorrection::Learn, ..by_id() });
    let made = process(
        &mut stream,
        [sample("a", 0.25), label("a", 1.0), label("a", 4.0), sample("b", 0.25)].map(|value| (0, None, value)),
    );
    assert!(made.reasons.is_empty());
    let snapshot = stream.snapshot();
    assert_eq!((snapshot.models[0].total.n(), snapshot.version, late(&stream).corrected), (1, 2, 1));
    assert_eq!(made.predictions[1]["predictions"]["mean"], 2.5);
}

#[test]
fn a_label_before_its_sample_waits_as_long_as_it_may() {
    let mut stream = processor(Labels { max_early: 5 * MINUTE as u64, ..by_id() });
    let at = |minute: i64, value| (minute * MINUTE, None, value);
    let made = process(
        &mut stream,
        [at(0, label("a", 3.0)), at(1, label("lost", 7.0)), at(2, sample("a", 0.5)), at(3, sample("b", 0.5))],
    );
    assert!(made.reasons.is_empty() && made.events.is_empty(), "{made:?}");
    assert_eq!((late(&stream).labelled, late(&stream).waiting, stream.snapshot().models[0].total.n()), (1, 1, 1));
    // It was learned behind its own sample, and before the next one.
    assert_eq!(made.predictions[0]["predictions"]["mean"], 0.0);
    assert_eq!(made.predictions[1]["predictions"]["mean"], 3.0);
    let made = process(&mut stream, (4..9).map(|minute| at(minute, sample(minute, 0.5))));
    let [event] = &made.events[..] else { panic!("{made:?}") };
    assert_eq!(
        (&event["event"], &event["key"], &event["target"], &event["offset"]),
        (&json!("label_unmatched"), &json!("lost"), &json!(7.0), &json!(1))
    );
    assert_eq!(late(&stream).unmatched, 1);
}

#[test]
fn what_has_waited_for_too_long_is_told_and_learned_by_the_default_where_there_is_one() {
    for (default, learned) in [(None, 0), (Some(2.0), 3)] {
        let mut stream = processor(Labels { max_wait: 10 * MINUTE as u64, default, ..by_id() });
        let made =
            process(&mut stream, (0..3).chain(20..23).map(|minute| (minute * MINUTE, None, sample(minute, 0.5))));
        let snapshot = stream.snapshot();
        assert_eq!((snapshot.models[0].total.n(), late(&stream).expired, late(&stream).waiting), (learned, 3, 3));
        let counts: Vec<_> =
            made.events.iter().map(|event| [&event["samples"], &event["from"], &event["to"]]).collect();
        // The second record of those moves the clock.
        assert_eq!(counts, [[&json!(3), &json!(0), &json!(2)]], "{made:?}");
        assert_eq!(made.events[0]["reason"], "expired");
        assert_eq!(made.events[0].get("default"), default.map(|target| json!(target)).as_ref());
        let made = process(&mut stream, [(23 * MINUTE, None, label(0, 1.0))]);
        assert_eq!(made.reasons, ["no_sample"]);
    }
}

#[test]
fn what_waits_is_within_its_bytes_and_what_leaves_is_told() {
    let mut stream = processor(Labels { max_pending: 1 << 16, ..by_id() });
    let mut told = 0;
    for i in 0..3000_i64 {
        let made = process(&mut stream, [(i, None, sample(format!("{i:>200}"), 0.5))]);
        told += made.events.iter().filter_map(|event| event["samples"].as_i64()).sum::<i64>();
        assert!(late(&stream).bytes <= 1 << 16);
    }
    let found = late(&stream);
    assert!(found.waiting > 50 && found.no_room as i64 == told && found.no_room + found.waiting == 3000, "{found:?}");
    // A label for one that has left has no sample, and neither a million of them nor wild times change that.
    let made = process(&mut stream, [(0, None, label(format!("{:>200}", 0), 1.0))]);
    assert_eq!(made.reasons, ["no_sample"]);
    let times = [i64::MIN, i64::MAX, 0, 9_214_646_400_000, -1];
    for (i, time) in (0..2000).zip(times.into_iter().cycle()) {
        process(&mut stream, [(time, None, label(i, 1.0)), (time, None, sample(i + 10_000, 0.5))]);
        assert!(late(&stream).bytes <= 1 << 16);
    }
}

#[test]
fn other_models_after_a_restart_score_what_was_predicted_before_it() {
    let first = config(schema(by_id()));
    let mut stream = Processor::new(&first, 0, 0, None).0;
    process(&mut stream, (0..50).map(|i| (0, None, sample(i, number(i as usize)))));
    let more = vec![ModelConfig::new("last", ModelKind::Last), ModelConfig::new("mean", ModelKind::Mean)];
    let other = Config { race: prequential::Config::of(more), ..first };
    let mut stream = Processor::new(&other, 0, 0, Some(stream.checkpoint())).0;
    process(&mut stream, (0..50).map(|i| (0, None, label(i, 2.0))));
    let models = stream.snapshot().models;
    assert!(models.iter().all(|model| (model.total.n(), model.total.rmse()) == (50, 2.0)), "{models:?}");
}

#[test]
fn targets_that_are_held_back_come_after_so_many_samples_or_so_much_time() {
    let delays = [
        (Span::Samples(0), 0),
        (Span::Samples(1), 0),
        (Span::Samples(4), 3),
        (Span::Time(2 * MINUTE), 1),
        (Span::Time(0), 0),
    ];
    for (span, behind) in delays {
        let labels = Labels { mode: Mode::Delayed(span), ..Labels::default() };
        let schema = Schema { timestamp: Some("at".into()), ..schema(labels) };
        let mut decoder = Decoder::new(&schema, Index::new(&schema));
        let mut waiting = VecDeque::new();
        for i in 0..50_i64 {
            let value = json!({"at": 1_700_000_000_000 + i * MINUTE, "x": 1.0, "y": i}).to_string();
            let sample = decoder.decode(Some(value.as_bytes())).expect("a sample");
            assert_eq!(sample.target, None);
            for settled in sample.settled() {
                let (id, target) = waiting.pop_front().expect("one that waits");
                assert_eq!((settled.sample.id, settled.outcome), (id, Outcome::Labelled(target)));
            }
            // Before sample i is predicted, the last target that is known is that of i - 1 - behind.
            assert_eq!(waiting.len() as i64, behind.min(i), "{span:?}, sample {i}");
            let Role::Waits { id, held: Some(target) } = sample.role() else { panic!("{:?}", sample.role()) };
            waiting.push_back((id, target));
            decoder.remember();
        }
    }
}

#[test]
fn labels_in_any_order_settle_each_sample_once() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut stream = processor(by_id());
    let mut ids: Vec<i64> = (0..500).collect();
    process(&mut stream, ids.iter().map(|&i| (0, None, sample(i, number(i as usize)))));
    ids.shuffle(&mut rng);
    let made = process(&mut stream, ids.iter().map(|&i| (0, None, label(i, 1.0))));
    assert!(made.reasons.is_empty() && late(&stream).waiting == 0);
    assert_eq!(stream.snapshot().models[0].total.n(), 500);
    assert_eq!(process(&mut stream, ids.iter().map(|&i| (0, None, label(i, 1.0)))).reasons.len(), 500);
}

#[test]
fn intervals_of_targets_that_come_late_are_as_wide_as_those_of_targets_that_do_not() {
    let width = |delay: usize| {
        let mut race = prequential::Prequential::new(&prequential::Config::of(models()));
        let mut widths = Vec::new();
        for i in 0..8000 {
            let x = [number(i), number(7 * i + 3)];
            let of = |i: usize| 3.0 * number(i) + number(3 * i + 1);
            if i >= delay {
                let then = i - delay;
                let x = [number(then), number(7 * then + 3)];
                race.settle(then as u64, Features::new(&x), &[], Outcome::Labelled(of(then)));
            }
            let step = race.step(Features::new(&x), None);
            widths.extend(step.interval.map(|interval| interval.upper - interval.lower));
            race.keep(i as u64, Features::new(&x), &[]);
        }
        let coverage = race.coverage().expect("intervals").total();
        assert!((coverage - 0.9).abs() < 0.02, "{delay}: {coverage}");
        widths.into_iter().fold(0.0, f64::max)
    };
    let prompt = width(1);
    for delay in [100, 1000] {
        let late = width(delay);
        assert!(late < 3.0 * prompt, "{delay}: {late}, {prompt} where targets come at once");
    }
}

#[test]
fn one_sample_that_never_gets_its_label_keeps_no_room_for_those_that_do() {
    let mut stream = processor(by_id());
    process(&mut stream, [(0, None, sample("stays", 0.5))]);
    process(&mut stream, (1..4000).flat_map(|i| [(i, None, sample(i, 0.5)), (i, None, label(i, 1.0))]));
    let found = late(&stream);
    assert_eq!((found.waiting, found.labelled), (1, 3999));
}

#[test]
fn a_sample_of_another_century_holds_up_none_and_two_wrong_times_do_not_stay() {
    let labels = Labels { max_wait: 10 * MINUTE as u64, ..by_id() };
    for wild in [9_214_646_400_000, -2_000_000_000_000] {
        let mut stream =
            Processor::new(&config(Schema { timestamp: Some("at".into()), ..schema(labels.clone()) }), 0, 0, None).0;
        let at = |minute: i64, id: i64| {
            let time = 1_700_000_000_000 + minute * MINUTE;
            json!({"at": if id == 0 { wild } else { time }, "id": id, "x": 0.5})
        };
        process(&mut stream, (0..40).map(|i| (0, None, at(i, i))));
        // The first one came at the beginning, whatever time it says.
        assert_eq!((late(&stream).expired, late(&stream).waiting), (28, 12), "{wild}");
        process(&mut stream, [(0, None, at(40, 0)), (0, None, at(40, 0))]);
        process(&mut stream, (41..300).map(|i| (0, None, at(i, i))));
        assert_eq!(late(&stream).waiting, 12, "{wild}");
    }
}

#[test]
fn what_a_label_has_besides_the_target_and_its_key_is_told_to_make_a_sample_of_it() {
    let schema = Schema { nominal: vec!["device".into()], key: Some("device".into()), ..schema(by_id()) };
    let join = Join { by: Some("device".into()), marker: None };
    let schema = Schema { labels: Labels { mode: Mode::SameTopic(join), ..Labels::default() }, ..schema };
    let mut stream = Processor::new(&config(schema), 0, 0, None).0;
    process(
        &mut stream,
        [json!({"device": "d1", "x": 1.0}), json!({"device": "d1", "y": 2.0})].map(|value| (0, None, value)),
    );
    assert_eq!((late(&stream).labelled, stream.take_notices().len()), (1, 0));
    let whole = [json!({"device": "d2", "x": 1.0, "y": 2.0}), json!({"x": 1.0})];
    process(&mut stream, whole.map(|value| (0, None, value)));
    let told: Vec<&str> = stream.take_notices().iter().map(|notice| notice.name()).collect();
    assert_eq!((late(&stream).labelled, told), (1, vec!["whole_sample", "unjoinable"]));
    // It has had its target.
    assert_eq!(process(&mut stream, [(0, None, json!({"device": "d2", "y": 3.0}))]).reasons, ["already_labelled"]);
}

#[test]
fn two_labels_before_their_sample_are_one_and_another() {
    for (on_correction, reasons, version) in [(OnCorrection::Refuse, 1, 1), (OnCorrection::Learn, 0, 2)] {
        let mut stream = processor(Labels { max_early: 5 * MINUTE as u64, on_correction, ..by_id() });
        let records = [label("a", 1.0), label("a", 3.0), sample("a", 0.5)];
        let made = process(&mut stream, records.map(|value| (0, None, value)));
        assert_eq!((made.reasons.len(), stream.snapshot().version), (reasons, version), "{made:?}");
    }
}
