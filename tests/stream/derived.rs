//! Features of time and of the past, from records to what models see.

use std::sync::Arc;

use serde_json::{Value, json};
use thalweg_features::{Calendar, Feature, Form, Kind, Part, Since, Span, Statistic};
use thalweg_models::{ModelConfig, ModelKind, linear};
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    decode::{Decoder, Index, ReadAhead, Schema},
    pending_predictions::PendingPredictions,
    prequential,
    processor::{Config, Processor},
    replica::Predictor,
};
use thalweg_topic::{Outbox, Output, record::Record};

const HOUR: i64 = 3_600_000;

fn feature(kind: Kind) -> Feature {
    Feature { kind, by: None, name: None }
}

fn lag(of: &str, at: &[Span]) -> Kind {
    Kind::Lag { of: vec![of.into()], at: at.to_vec() }
}

/// Features of every kind.
fn features() -> Vec<Feature> {
    let rolling = |of: &str| Kind::Rolling {
        of: vec![of.into()],
        over: vec![Span::Samples(5), Span::Time(6 * HOUR)],
        statistics: vec![Statistic::Mean, Statistic::Slope, Statistic::Ewm, Statistic::Count],
    };
    let parts = vec![Part::Hour, Part::Weekday];
    let calendar = |form| Calendar { parts: parts.clone(), zone: "Europe/Berlin".into(), form, holidays: vec![] };
    vec![
        feature(Kind::Calendar(calendar(Form::Cyclic))),
        feature(Kind::Calendar(calendar(Form::Category))),
        feature(lag("y", &[Span::Samples(1), Span::Time(24 * HOUR)])),
        feature(rolling("load.kw")),
        Feature { by: Some("device.id".into()), ..feature(rolling("y")) },
        Feature { by: Some("device.id".into()), ..feature(lag("secret", &[Span::Samples(2)])) },
        Feature { by: Some("device.id".into()), ..feature(Kind::Elapsed(Since::Sample)) },
        Feature { name: Some("double".into()), ..feature(Kind::Expression("2 * {load.kw}".into())) },
    ]
}

fn schema() -> Schema {
    Schema {
        derived: features(),
        timestamp: Some("at".into()),
        ignore: vec!["secret".into(), "device".into()],
        nominal: vec!["city".into()],
        ..Schema::default()
    }
}

/// Record `i` of some devices; fields come and go, and so does the target.
fn record(i: usize) -> Value {
    let number = |k: usize| ((i * 7919 + k * 104_729) as f64 * 0.754_877_666_246_692_7).fract();
    let mut record = json!({
        "at": 1_774_600_000_000_i64 + (i as i64) * HOUR / 3,
        "device": {"id": if i % 5 == 4 { json!(9_007_199_254_740_993_u64) } else { json!(format!("d{}", i % 3)) }},
        "load": {"kw": if i % 7 == 6 { json!(format!("{}", number(0))) } else { json!(number(0)) }},
        "secret": number(1),
        "city": format!("c{}", i % 2),
        "y": 3.0 * number(0) + (i % 3) as f64,
    });
    if i % 11 == 10 {
        record["y"] = Value::Null;
    }
    if i % 13 == 12 {
        record["device"] = json!({});
    }
    record
}

fn config(schema: Schema) -> Config {
    let linear = ModelKind::Linear(linear::Params::river());
    let models = vec![ModelConfig::new("mean", ModelKind::Mean), ModelConfig::new("linear", linear).scaled(true)];
    Config { topic: "samples".into(), labels: None, schema, race: prequential::Config::of(models) }
}

fn process(processor: &mut Processor, values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut outbox: Outbox<PendingPredictions> = Outbox::at(processor.position());
    for value in values {
        let offset = processor.position();
        let record = Record { offset, timestamp: 7, value: Some(value.to_string().into()), ..Record::default() };
        // What is refused is told in a dead letter.
        let _ = processor.process(record, &mut outbox);
    }
    outbox.encode();
    let values = outbox.records[Output::Predictions as usize].iter().map(|record| record.value.as_deref());
    values.map(|value| serde_json::from_slice(value.expect("a value")).expect("JSON")).collect()
}

/// The columns of a decoded record by name, those that are known.
fn row(decoder: &mut Decoder, value: &Value, full: bool) -> Vec<(String, u64)> {
    let bytes = value.to_string().into_bytes();
    let decoded = if full { decoder.decode_full(&bytes) } else { decoder.decode(Some(&bytes)) };
    let values: Vec<u64> = decoded.expect("a sample").features.values().iter().map(|value| value.to_bits()).collect();
    decoder.remember();
    decoder.index().column_names().iter().cloned().zip(values).collect()
}

#[test]
fn features_are_the_same_whichever_way_a_record_is_read() {
    let schema = schema();
    let decoder = || Decoder::new(&schema, Index::new(&schema));
    let (mut fast, mut full, mut ahead) = (decoder(), decoder(), decoder());
    let mut reader = ReadAhead::new(&schema);
    for i in 0..300 {
        let value = record(i);
        let expected = row(&mut full, &value, true);
        assert_eq!(row(&mut fast, &value, false), expected, "record {i}: {value}");
        let bytes = value.to_string().into_bytes();
        let rows = reader.read([Some(&bytes[..])].into_iter());
        let sample = ahead.decode_ahead(Some(&bytes), rows.get(0)).expect("a sample");
        let values: Vec<u64> = sample.features.values().iter().map(|value| value.to_bits()).collect();
        ahead.remember();
        assert_eq!(values, expected.iter().map(|(_, bits)| *bits).collect::<Vec<_>>(), "record {i}: {value}");
    }
    assert!(fast.past().keys() == 4 && fast.past().memory_bytes() > 0);
}

#[test]
fn a_sample_sees_what_came_before_it_and_neither_itself_nor_what_is_ignored() {
    let schema = schema();
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    let rows: Vec<_> = (0..40).map(|i| row(&mut decoder, &record(i), false)).collect();
    let get = |i: usize, name: &str| {
        let found = rows[i].iter().find(|(column, _)| column == name);
        f64::from_bits(found.unwrap_or_else(|| panic!("{name} in {:?}", rows[i])).1)
    };
    assert!(get(0, "lag(y, 1)").is_nan());
    assert_eq!(get(1, "lag(y, 1)"), record(0)["y"].as_f64().expect("a number"));
    // Record 10 has no target, so that of the ninth is the latest.
    assert_eq!(get(11, "lag(y, 1)"), record(9)["y"].as_f64().expect("a number"));
    // Records 0, 3 and 6 are of one device.
    assert_eq!(get(6, "lag(secret, 2) by device.id"), record(0)["secret"].as_f64().expect("a number"));
    assert_eq!(get(6, "elapsed by device.id"), 3600.0);
    assert_eq!(get(3, "double"), 2.0 * record(3)["load"]["kw"].as_f64().expect("a number"));
    // 2026-03-27 08:26:40 UTC is 9:26 in Berlin, on a Friday.
    let names = decoder.index().named_columns();
    let category = |name: &str| names.iter().find(|column| column.name == name).expect("a column").categories.clone();
    assert_eq!(category("hour").expect("categories")[get(0, "hour") as usize], "9");
    assert_eq!(category("weekday").expect("categories")[get(0, "weekday") as usize], "Friday");
    assert!(!decoder.index().column_names().iter().any(|name| name == "secret" || name.starts_with("device")));
}

#[test]
fn a_restart_amid_the_stream_changes_no_bit() {
    let config = config(schema());
    let (mut whole, _) = Processor::new(&config, 0, 0, None);
    let expected = process(&mut whole, (0..400).map(record));
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    let mut published = Vec::new();
    for i in 0..400 {
        published.extend(process(&mut processor, std::iter::once(record(i))));
        if i % 37 == 0 {
            let mut bytes = Vec::new();
            thalweg_state::write(&processor.checkpoint(), &mut bytes).expect("saved");
            let stored: Checkpoint = thalweg_state::read(&bytes).expect("restored");
            processor = Processor::new(&config, 0, 0, Some(stored)).0;
        }
    }
    assert_eq!(published, expected);
    let mut saved = [Vec::new(), Vec::new()];
    thalweg_state::write(&whole.checkpoint().past, &mut saved[0]).expect("saved");
    thalweg_state::write(&processor.checkpoint().past, &mut saved[1]).expect("saved");
    assert_eq!(saved[0], saved[1]);
}

#[test]
fn predicting_beside_the_stream_sees_the_past_and_leaves_none() {
    let config = config(schema());
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    process(&mut processor, (0..200).map(record));
    let replica = Arc::new(processor.replica());
    let mut predictor = Predictor::new(replica, false);
    let mut predicted = |value: &Value| -> Value {
        let mut out = Vec::new();
        predictor.predict(value.to_string().as_bytes(), None, &mut out).expect("a sample");
        serde_json::from_slice(&out).expect("JSON")
    };
    let (first, again) = (predicted(&record(200)), predicted(&record(200)));
    predicted(&record(17));
    assert_eq!(first, again);
    assert_eq!(first["predictions"], predicted(&record(200))["predictions"]);
    let published = process(&mut processor, std::iter::once(record(200)));
    assert_eq!(first["predictions"], published[0]["predictions"]);
}

#[test]
fn lags_let_a_linear_model_follow_what_no_field_tells() {
    let wave = |i: usize| json!({"y": (i as f64 / 20.0).sin() * 10.0 + (i as f64 / 7.0).cos()});
    let mut skill = Vec::new();
    for derived in [vec![], vec![feature(lag("y", &[Span::Samples(1), Span::Samples(2), Span::Samples(3)]))]] {
        let (mut processor, _) = Processor::new(&config(Schema { derived, ..Schema::default() }), 0, 0, None);
        assert_eq!(process(&mut processor, (0..3000).map(wave)).len(), 3000);
        skill.push(processor.snapshot().models[1].rolling.rmse());
    }
    assert!(skill[1] < 0.1 * skill[0], "{skill:?}");
}

#[test]
fn a_time_alone_is_enough_to_predict_with_and_nothing_at_all_is_not() {
    let parts = vec![Part::Hour];
    let calendar = Calendar { parts, zone: "UTC".into(), form: Form::Number, holidays: vec![] };
    let derived = vec![feature(Kind::Calendar(calendar))];
    let schema = Schema { derived, timestamp: Some("at".into()), ..Schema::default() };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    let sample = decoder.decode(Some(br#"{"at":"2026-11-30T12:30:00Z"}"#)).expect("a sample");
    assert_eq!((sample.features.values(), sample.target), (&[12.5][..], None));
    assert_eq!(decoder.decode(Some(b"{}")).expect_err("refused").reason(), "no_features");
}

#[test]
fn whether_a_record_is_a_sample_does_not_hang_on_what_is_remembered() {
    let derived = vec![feature(lag("y", &[Span::Samples(1)]))];
    let schema = Schema { derived, ..Schema::default() };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    for past in ["none", "some"] {
        let refused = decoder.decode(Some(b"{}")).expect_err("refused");
        assert_eq!(refused.reason(), "no_features", "{past}");
        row(&mut decoder, &json!({"y": 1.0}), false);
    }
}

#[test]
fn a_field_of_the_name_of_a_feature_is_told_to_be_left_out_and_one_that_never_comes_too() {
    let named = Feature { name: Some("trend".into()), ..feature(lag("y", &[Span::Samples(1)])) };
    let derived = vec![named, Feature { by: Some("devise".into()), ..feature(lag("lod", &[Span::Samples(1)])) }];
    let schema = Schema { derived, ..Schema::default() };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    for i in 0..3 {
        let value = json!({"trend": 7.0, "x": i, "y": i});
        let row = row(&mut decoder, &value, false);
        assert_eq!(row.len(), 3, "{row:?}");
        assert_ne!(f64::from_bits(row[0].1), 7.0);
    }
    let fields = decoder.fields();
    assert_eq!(fields.ignored, ["trend"]);
    let unseen: Vec<(&str, &str)> = fields.never_seen.iter().map(|it| (it.setting, &it.name[..])).collect();
    assert_eq!(unseen, [("of or formula in [[features]]", "lod"), ("by in [[features]]", "devise")]);
}

#[test]
fn pasts_are_kept_apart_by_the_key_of_the_records_whatever_bytes_it_has() {
    let derived = vec![Feature { by: Some("$key".into()), ..feature(lag("y", &[Span::Samples(1)])) }];
    let schema = Schema { derived, ..Schema::default() };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    let mut ahead = ReadAhead::new(&schema);
    let mut seen = |i: i64, key: Option<&'static [u8]>| {
        let value = json!({"x": 0.5, "y": i}).to_string();
        let key = key.map(Into::into);
        let record = Record { offset: i, key, value: Some(value.into()), ..Record::default() };
        let rows = ahead.read([record.value.as_deref()].into_iter());
        let sample = decoder.decode_record(&record, rows.get(0)).expect("a sample");
        let lag = sample.features.get(0);
        decoder.remember();
        lag
    };
    let keys: [Option<&[u8]>; 8] =
        [Some(b"a"), Some(b"b"), None, Some(b"a"), Some(&[0xff, 1]), Some(&[0xff, 2]), Some(&[0xff, 1]), None];
    let lags: Vec<Option<f64>> = (0..).zip(keys).map(|(i, key)| seen(i, key)).collect();
    assert_eq!(lags, [None, None, None, Some(0.0), None, None, Some(4.0), None]);
    assert_eq!(decoder.index().column_names()[0], "lag(y, 1) by $key");
    assert!(decoder.fields().never_seen.is_empty());
}

#[test]
fn a_state_whose_past_is_that_of_other_features_is_refused() {
    let with = |derived: Vec<Feature>| {
        let (mut processor, _) = Processor::new(&config(Schema { derived, ..schema() }), 0, 0, None);
        process(&mut processor, (0..50).map(record));
        processor.checkpoint()
    };
    let one = with(vec![feature(lag("y", &[Span::Samples(1)]))]);
    let other = with(vec![
        feature(lag("y", &[Span::Samples(1), Span::Time(HOUR)])),
        feature(lag("load.kw", &[Span::Samples(1)])),
    ]);
    let read = |checkpoint: &Checkpoint| {
        let mut bytes = Vec::new();
        thalweg_state::write(checkpoint, &mut bytes).expect("saved");
        thalweg_state::read::<Checkpoint>(&bytes)
    };
    assert!(read(&one).is_ok());
    let refused = read(&Checkpoint { past: Arc::clone(&other.past), ..one }).expect_err("refused").to_string();
    assert!(refused.contains("what is remembered does not fit the features"), "{refused}");
}
