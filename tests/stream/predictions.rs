//! Forms of predictions: what is published in Avro is what is published in JSON, for whoever reads it, to the bit.

use apache_avro::{reader::datum::GenericDatumReader, schema::Schema as AvroSchema, types::Value as AvroValue};
use proptest::prelude::*;
use serde_json::{Map, Value};
use thalweg_models::{ModelConfig, ModelKind};
use thalweg_pipeline::{
    decode::{ReadAhead, Schema},
    form::{Form, Frame, SCHEMA, to_json},
    prequential,
    processor::{Config, Processor},
};
use thalweg_topic::{
    Outbox, Output,
    record::{Headers, Outgoing, Record},
    source,
};

use crate::support::kinds::every_kind;

const FORMS: [Form; 2] = [Form::Avro(Frame::Registered(0x0102_0304)), Form::Avro(Frame::SingleObject)];

/// All that is published in a form for these records.
fn published(form: Form, schema: &Schema, intervals: bool, records: &[Record]) -> Vec<Outgoing> {
    // A name is any text.
    let model = |(i, kind): (usize, ModelKind)| ModelConfig::new(&format!("{} \"{i}\" é", kind.name()), kind);
    let mut race = prequential::Config::of(every_kind().into_iter().enumerate().map(model).collect());
    if !intervals {
        race.intervals = None;
    }
    let config = Config { topic: "some.samples-1".into(), labels: None, schema: schema.clone(), race };
    let (mut processor, _) = Processor::new(&config, 3, 0, None);
    processor.publish_as(form);
    let mut outbox = Outbox::at(0);
    let records = records.to_vec();
    for record in ReadAhead::new(schema).split(records, &[]) {
        // What is refused is told in a dead letter.
        let _ = processor.process(record, &mut outbox);
    }
    let mut outbox = outbox.take();
    let bytes = outbox.bytes();
    outbox.encode();
    let predictions = std::mem::take(&mut outbox.records[Output::Predictions as usize]);
    let taken: usize = predictions.iter().map(Outgoing::size).sum();
    assert!(taken <= bytes, "{taken} bytes of at most {bytes}");
    predictions
}

fn json(value: &[u8]) -> Value {
    serde_json::from_slice(value).expect("JSON")
}

/// A datum as another implementation of Avro reads it, in the order of its fields.
fn by_another(datum: &mut &[u8]) -> Value {
    fn value(of: AvroValue) -> Value {
        match of {
            AvroValue::Null => Value::Null,
            AvroValue::Union(_, inner) => value(*inner),
            AvroValue::Record(fields) => fields.into_iter().map(|(name, of)| (name, value(of))).collect(),
            AvroValue::Map(entries) => Value::Object(entries.into_iter().map(|(name, of)| (name, value(of))).collect()),
            AvroValue::String(text) => text.into(),
            AvroValue::Int(number) => number.into(),
            AvroValue::Long(number) | AvroValue::TimestampMillis(number) => number.into(),
            AvroValue::Double(number) => number.into(),
            other => panic!("{other:?} is in no prediction"),
        }
    }
    let schema = AvroSchema::parse_str(SCHEMA).expect("a schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    value(reader.read_value(datum).expect("a datum"))
}

/// Without what a form says although there is none.
fn known(value: &Value) -> Value {
    let of = |object: &Map<String, Value>, optional: &[&str]| -> Map<String, Value> {
        let is_said = |(name, value): &(&String, &Value)| !(value.is_null() && optional.contains(&name.as_str()));
        object.iter().filter(is_said).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut known = of(value.as_object().expect("an object"), &["lower", "upper"]);
    let source = of(value["source"].as_object().expect("a source"), &["row"]);
    known.insert("source".into(), source.into());
    known.into()
}

/// Names in the order in which they are written.
fn names(text: &str) -> Vec<String> {
    let inner = text.trim().strip_prefix('{').expect("an object");
    let (mut depth, mut names, mut rest) = (0, Vec::new(), inner);
    while let Some(at) = rest.find(['{', '}', '"']) {
        let (mark, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = behind;
        match mark {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {
                let end = behind.find('"').expect("an end");
                rest = &behind[end + 1..];
                if depth == 0 && rest.starts_with(':') {
                    names.push(behind[..end].to_owned());
                }
            }
        }
    }
    names
}

fn agree(schema: &Schema, intervals: bool, records: &[Record]) -> usize {
    let expected = published(Form::Json, schema, intervals, records);
    for form in FORMS {
        let found = published(form, schema, intervals, records);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(
                (found.source, found.timestamp, &found.key),
                (expected.source, expected.timestamp, &expected.key)
            );
            let (value, text) = (found.value.as_deref().expect("a value"), expected.value.as_deref().expect("a value"));
            let (frame, mut datum) = value.split_at(if value[0] == 0 { 5 } else { 10 });
            match form {
                Form::Avro(Frame::Registered(_)) => assert_eq!(frame, [0, 1, 2, 3, 4]),
                _ => assert_eq!(frame[..2], [0xc3, 0x01]),
            }
            assert_eq!(known(&by_another(&mut datum)), known(&json(text)));
            assert!(datum.is_empty(), "{} bytes are left", datum.len());
            let shown = to_json(value).expect("a prediction");
            if intervals {
                assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(text));
            } else {
                assert_eq!(known(&json(&shown)), known(&json(text)));
            }
            let of = |value| source::row(Output::Predictions, Some(value), &Headers::new(), "some.samples-1", 3);
            assert!(of(value).is_some_and(|source| Some(source) == of(text)), "{:?}", of(value));
            assert!((0..value.len()).all(|end| to_json(&value[..end]).is_none()), "a part is taken for the whole");
        }
    }
    expected.len()
}

fn record(offset: i64, value: String) -> Record {
    Record { offset, timestamp: 1_700_000_000_000 + offset, value: Some(value.into()), ..Record::default() }
}

#[test]
fn predictions_of_every_kind_of_model_say_in_avro_what_they_say_in_json() {
    let mut records: Vec<Record> = (0..80)
        .map(|i| {
            let (x, target) = (f64::from(i as i32 % 17) / 7.0, format!(r#","y":{}"#, (i * i) % 23));
            record(3 * i, format!(r#"{{"x":{x},"z":{i}{}}}"#, if i % 5 == 4 { "" } else { &target }))
        })
        .collect();
    records[1].key = Some("a key".into());
    records[2].key = Some(b"\xff\x00"[..].to_vec().into());
    records[3].key = Some(b""[..].to_vec().into());
    records[4].timestamp = -1;
    records[5].timestamp = i64::MAX;
    for intervals in [true, false] {
        assert_eq!(agree(&Schema::default(), intervals, &records), records.len());
    }
}

#[test]
fn rows_of_one_record_say_in_avro_which_they_are() {
    let schema = Schema { explode: Some("$".into()), ..Schema::default() };
    let records = [
        record(7, r#"[{"x":1,"y":2},{"x":2,"y":3},{"x":"no"},{"x":3}]"#.into()),
        record(8, r#"{"x":4,"y":5}"#.into()),
        record(9, r#"[{"x":5,"y":9}]"#.into()),
    ];
    assert!(agree(&schema, true, &records) >= 5);
}

#[test]
fn the_schema_has_the_fields_of_the_json_in_their_order() {
    let predictions = published(Form::Json, &Schema::default(), true, &[record(0, r#"{"x":1,"y":2}"#.into())]);
    let text = String::from_utf8(predictions[0].value.clone().expect("a value")).expect("text");
    let schema = json(SCHEMA.as_bytes());
    let fields = |of: &Value| -> Vec<String> {
        let fields = of["fields"].as_array().expect("fields").iter();
        fields.map(|field| field["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(fields(&schema), names(&text));
    // What is read back without a schema.
    assert_eq!(schema["fields"][0]["name"], "source");
    assert_eq!(fields(&schema["fields"][0]["type"]), ["topic", "partition", "offset", "row"]);
}

proptest! {
    #[test]
    fn bytes_that_are_no_prediction_are_told_from_one(bytes in prop::collection::vec(any::<u8>(), 0..200), framed: bool) {
        let value = if framed { [&[0, 0, 0, 0, 1], &bytes[..]].concat() } else { bytes };
        // Neither may panic.
        let _ = to_json(&value);
        let _ = source::place(Output::Predictions, Some(&value), &Headers::new());
    }
}
