//! Records that hold many samples in an array: each row counts as a record of its own, and the record's offset stays one.

use proptest::prelude::*;
use serde_json::{Value, json};
use thalweg_models::{ModelConfig, ModelKind, linear};
use thalweg_pipeline::{
    decode::{Decoder, Envelope, Explode, Headed, Index, OnDelete, ReadAhead, Schema},
    prequential,
    processor::{Config, Processor},
};
use thalweg_topic::{
    Outbox, Output,
    record::{Outgoing, Record},
};

fn exploded(path: &str) -> Schema {
    Schema { explode: Some(path.into()), ..Schema::default() }
}

fn processor(schema: Schema) -> Processor {
    let linear = ModelKind::Linear(linear::Params::river());
    let models = vec![ModelConfig::new("mean", ModelKind::Mean), ModelConfig::new("linear", linear).scaled(true)];
    Processor::new(
        &Config { topic: "samples".into(), labels: None, schema, race: prequential::Config::of(models) },
        0,
        0,
        None,
    )
    .0
}

/// A run over whole records, read ahead as a worker does.
struct Run {
    processor: Processor,
    ahead: ReadAhead,
    outputs: [Vec<Outgoing>; 3],
}

impl Run {
    fn new(schema: &Schema) -> Self {
        Self { processor: processor(schema.clone()), ahead: ReadAhead::new(schema), outputs: Default::default() }
    }

    fn over(schema: &Schema, values: impl IntoIterator<Item = String>) -> Self {
        let mut run = Self::new(schema);
        for (offset, value) in (0..).zip(values) {
            run.record(Record { offset, timestamp: 7, value: Some(value.into()), ..Record::default() });
        }
        run
    }

    fn record(&mut self, record: Record) {
        let records = self.ahead.split(vec![record], &[]);
        let rows = self.ahead.read_records(&records, &[]);
        let mut outbox = Outbox::default();
        for (i, record) in records.into_iter().enumerate() {
            // What is refused is told in a dead letter.
            let _ = self.processor.process_ahead(record, rows.get(i), &mut outbox);
        }
        let mut outbox = outbox.take();
        outbox.encode();
        for (all, new) in self.outputs.iter_mut().zip(outbox.records) {
            all.extend(new);
        }
    }

    fn predictions(&self) -> Vec<Value> {
        let values = self.outputs[Output::Predictions as usize].iter().map(|record| record.value.as_deref());
        values.map(|value| serde_json::from_slice(value.expect("a value")).expect("JSON")).collect()
    }

    fn dead_letters(&self) -> &[Outgoing] {
        &self.outputs[Output::DeadLetters as usize]
    }

    /// What has been learned, in the bits of its errors.
    fn learned(&self) -> Vec<(u64, u64)> {
        let models = self.processor.snapshot().models;
        models.iter().map(|model| (model.rolling.rmse().to_bits(), model.total.mae().to_bits())).collect()
    }
}

fn header<'r>(record: &'r Outgoing, name: &str) -> &'r str {
    std::str::from_utf8(record.headers.get(name).expect("a header")).expect("UTF-8")
}

fn sample(i: usize) -> Value {
    let x = (i * 37 % 100) as f64 / 10.0;
    json!({"x": x, "z": (i % 7) as f64, "y": 3.0 * x - (i % 7) as f64})
}

#[test]
fn rows_of_an_array_teach_what_the_same_records_teach_one_by_one() {
    let plain = Run::over(&Schema::default(), (0..600).map(|i| sample(i).to_string()));
    let of = |i: usize| (10 * i..10 * (i + 1)).map(sample).collect::<Vec<_>>();
    let bare = Run::over(&exploded("$"), (0..60).map(|i| json!(of(i)).to_string()));
    let nested = Run::over(
        &exploded("batch.rows"),
        (0..60).map(|i| json!({"n": i, "batch": {"rows": of(i), "m": 1}}).to_string()),
    );
    // Telegraf's batches: a row has its fields a level below.
    let schema = Schema { root: Some("metrics.fields".into()), ..exploded("metrics") };
    let metric = |sample: Value| json!({"fields": sample, "name": "m", "tags": {}, "timestamp": 1});
    let telegraf = Run::over(
        &schema,
        (0..60).map(|i| json!({"metrics": of(i).into_iter().map(metric).collect::<Vec<_>>()}).to_string()),
    );
    for run in [bare, nested, telegraf] {
        assert_eq!(run.learned(), plain.learned());
        assert!(run.dead_letters().is_empty());
        let places = run
            .predictions()
            .iter()
            .map(|made| (made["source"]["offset"].clone(), made["source"]["row"].clone()))
            .collect::<Vec<_>>();
        let expected: Vec<_> = (0..600).map(|i| (json!(i / 10), json!(i % 10))).collect();
        assert_eq!(places, expected);
        assert_eq!(run.processor.snapshot().records, 600);
        assert_eq!(run.processor.position(), 60);
    }
    assert!(plain.predictions().iter().all(|made| made["source"].get("row").is_none()));
}

#[test]
fn what_stands_around_the_array_is_reached_by_name_from_each_row() {
    let mut schema = exploded("rows");
    schema.key = Some("$.device".into());
    schema.timestamp = Some("$.time".into());
    let record = json!({"device": "d7", "time": 1_700_000_000, "rows": [sample(1), sample(2)]}).to_string();
    let run = Run::over(&schema, [record]);
    let predictions = &run.outputs[Output::Predictions as usize];
    assert!(predictions.iter().all(|made| made.key.as_deref() == Some(b"d7") && made.timestamp == 1_700_000_000_000));
    assert_eq!(predictions.len(), 2);
}

#[test]
fn a_bad_row_alone_is_a_dead_letter_and_sent_back_mended_it_is_a_sample() {
    let value = r#"{"device":"a","rows":[{"x":1,"y":2},{"x":"no","y":"bad"},7,{"x":3,"y":6}]}"#;
    let mut run = Run::over(&exploded("rows"), [value.to_owned()]);
    let places: Vec<Value> = run.predictions().iter().map(|made| made["source"]["row"].clone()).collect();
    assert_eq!(places, [json!(0), json!(3)]);
    let letters: Vec<(String, String, String)> = run
        .dead_letters()
        .iter()
        .map(|letter| {
            let value = String::from_utf8(letter.value.clone().expect("a value")).expect("UTF-8");
            (header(letter, "thalweg.row").to_owned(), header(letter, "thalweg.reason").to_owned(), value)
        })
        .collect();
    let expected = [
        ("1", "not_a_number", r#"{"device":"a","rows":{"x":"no","y":"bad"}}"#),
        ("2", "no_root", r#"{"device":"a","rows":7}"#),
    ];
    assert_eq!(letters, expected.map(|(row, reason, value)| (row.into(), reason.into(), value.into())));
    let mended = letters[0].2.replace(r#""bad""#, "4");
    run.record(Record { offset: 1, value: Some(mended.into()), ..Record::default() });
    let last = run.predictions().pop().expect("a prediction");
    assert_eq!((&last["target"], &last["source"]["offset"]), (&json!(4.0), &json!(1)));
    assert!(last["source"].get("row").is_none());
}

#[test]
fn an_empty_array_is_skipped_and_one_of_too_many_rows_refused_whole() {
    let schema = Schema { max_rows: 3, ..exploded("$") };
    let many = json!([sample(1), sample(2), sample(3), sample(4)]).to_string();
    let run = Run::over(&schema, ["[]".to_owned(), many.clone(), json!([sample(1)]).to_string()]);
    let snapshot = run.processor.snapshot();
    assert_eq!((snapshot.skipped, snapshot.dead_letters, run.predictions().len()), (1, 1, 1));
    let letter = &run.dead_letters()[0];
    assert_eq!((header(letter, "thalweg.reason"), letter.value.as_deref()), ("too_many_rows", Some(many.as_bytes())));
    assert!(
        header(letter, "thalweg.error").contains("4 rows, schema.max_rows allows 3"),
        "{}",
        header(letter, "thalweg.error")
    );
    assert!(letter.headers.get("thalweg.row").is_none());
}

#[test]
fn records_that_hold_no_array_are_read_or_refused_as_ever() {
    let run = Run::over(
        &exploded("rows"),
        [
            json!({"rows": sample(1)}).to_string(),
            json!({"other": [sample(1)]}).to_string(),
            r#"{"rows":[{"x":1}"#.to_owned(),
            json!({"rows": null}).to_string(),
        ],
    );
    assert_eq!(run.predictions().len(), 1);
    let reasons: Vec<&str> = run.dead_letters().iter().map(|letter| header(letter, "thalweg.reason")).collect();
    assert_eq!(reasons, ["no_root", "not_json", "no_root"]);
}

#[test]
fn changes_of_maxwell_canal_and_goldengate_are_learned_and_deletes_are_not() {
    let row = |i: usize| {
        sample(i)
            .as_object()
            .expect("an object")
            .iter()
            .map(|(name, value)| (name.clone(), json!(value.to_string())))
            .collect::<serde_json::Map<_, _>>()
    };
    let maxwell = |kind: &str, i: usize| {
        json!({"database": "d", "table": "t", "type": kind, "ts": 1_700_000_000, "xid": 7, "commit": true, "data": sample(i)}).to_string()
    };
    let canal = |kind: &str, rows: Vec<usize>| {
        let data: Vec<_> = rows.into_iter().map(row).collect();
        json!({"data": data, "database": "d", "es": 1_700_000_000_000_i64, "id": 1, "isDdl": false, "mysqlType": {"x": "double"}, "old": null,
            "pkNames": ["id"], "sql": "", "sqlType": {"x": 8}, "table": "t", "ts": 1_700_000_000_001_i64, "type": kind}).to_string()
    };
    let ogg = |kind: &str, i: usize| {
        let mut change = json!({"table": "D.T", "op_type": kind, "op_ts": "2026-05-31 10:00:00.000000", "pos": "7"});
        change[if kind == "D" { "before" } else { "after" }] = sample(i);
        change.to_string()
    };
    let plain = Run::over(&Schema::default(), (0..4).map(|i| sample(i).to_string()));
    let auto = Schema::default();
    let set = Schema { envelope: Envelope::Canal, ..Schema::default() };
    for (schema, records) in [
        (
            &auto,
            vec![
                maxwell("insert", 0),
                maxwell("update", 1),
                maxwell("delete", 9),
                maxwell("bootstrap-insert", 2),
                maxwell("insert", 3),
            ],
        ),
        (&set, vec![canal("INSERT", vec![0, 1]), canal("DELETE", vec![9]), canal("UPDATE", vec![2, 3])]),
        (&auto, vec![ogg("I", 0), ogg("U", 1), ogg("D", 9), ogg("I", 2), ogg("U", 3)]),
    ] {
        let run = Run::over(schema, records.clone());
        let snapshot = run.processor.snapshot();
        assert_eq!((snapshot.skipped, snapshot.dead_letters), (1, 0), "{records:?}");
        assert_eq!(run.learned(), plain.learned(), "{records:?}");
        // The same one by one, and without reading ahead.
        let mut decoder = Decoder::new(schema, Index::new(schema));
        let deleted =
            records.iter().filter(|record| decoder.decode_full(record.as_bytes()).is_err_and(|why| why.is_skipped()));
        assert_eq!(deleted.count(), 1);
    }
    // Its rows stand in an array, which is taken apart before anything is known of the form.
    let unset = Run::over(&auto, [canal("INSERT", vec![0])]);
    assert!(header(&unset.dead_letters()[0], "thalweg.error").contains(r#"schema.envelope = "canal""#));
    let letters = Schema { on_delete: OnDelete::DeadLetter, ..set };
    let run = Run::over(&letters, [canal("INSERT", vec![0]), canal("DELETE", vec![1, 2])]);
    assert_eq!(
        run.dead_letters().iter().map(|letter| header(letter, "thalweg.reason")).collect::<Vec<_>>(),
        ["deleted"; 2]
    );
}

/// JSON of any shape, brackets and quotes in its texts.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        r#"[\[\]{}",:\\a é]{0,6}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\]\\\\]{1,2}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A parser takes the array apart, too, and both agree.
    #[test]
    fn each_row_is_the_record_with_it_in_the_place_of_the_array(
        rows in prop::collection::vec(anything(), 1..5),
        around in prop::collection::vec(("[b-d\"]{1,2}", anything()), 0..4),
        pretty: bool,
    ) {
        let mut record: serde_json::Map<String, Value> = around.into_iter().collect();
        record.insert("in".to_owned(), json!({"a": rows, "b": [1]}));
        let record = Value::Object(record);
        let text = if pretty { serde_json::to_string_pretty(&record) } else { serde_json::to_string(&record) }.expect("JSON");
        let found = Explode::new(&exploded("in.a")).rows(&text.into(), Headed::default()).expect("rows");
        let found: Vec<Value> = found.iter().map(|row| serde_json::from_slice(row).expect("JSON")).collect();
        let expected: Vec<Value> = rows.iter().map(|row| {
            let mut record = record.clone();
            record["in"]["a"] = row.clone();
            record
        }).collect();
        prop_assert_eq!(found, expected);
    }

    /// Whatever is written over a good record, as many answers come as there are rows, and nothing panics.
    #[test]
    fn damage_never_loses_a_row_in_silence(place in 0_usize..120, byte: u8) {
        let mut value = json!({"d": "[", "rows": [sample(1), sample(2), sample(3)], "e": {"f": "]"}}).to_string().into_bytes();
        let place = place % value.len();
        value[place] = byte;
        let schema = exploded("rows");
        let mut run = Run::new(&schema);
        let record = Record { value: Some(value.clone().into()), ..Record::default() };
        let rows = run.ahead.split(vec![record.clone()], &[]).len();
        run.record(record);
        let skipped = run.processor.snapshot().skipped as usize;
        prop_assert_eq!(run.predictions().len() + run.dead_letters().len() + skipped, rows);
        // The decoder alone refuses what was split.
        let mut decoder = Decoder::new(&schema, Index::new(&schema));
        let _ = decoder.decode(Some(&value));
    }
}
