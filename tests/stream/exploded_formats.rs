//! Rows in an array of a record that was written by a schema: each is the sample that it is alone.

use apache_avro::{Schema as AvroSchema, types::Value as Avro, writer::datum::GenericDatumWriter};
use proptest::prelude::*;
use prost_reflect::{DynamicMessage, MapKey, Value as Proto, prost::Message};
use serde_json::{Value, json};
use thalweg_pipeline::decode::{
    Decoder, Definition, Envelope, Format, Index, Origin, ReadAhead, Rejection, Sample, Schema,
};
use thalweg_topic::record::{Headers, Record};

const AVRO: &str = r#"{"type":"record","name":"Batch","fields":[
    {"name":"device","type":"string"},{"name":"note","type":["null","string"]},
    {"name":"in","type":{"type":"record","name":"In","fields":[
        {"name":"rows","aliases":["lines"],"type":["null",{"type":"array","items":["null",{"type":"record","name":"Row","fields":[
            {"name":"x","type":["null","double"]},{"name":"tags","type":{"type":"array","items":"long"}},{"name":"y","type":"double"}]}]}]},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}},
    {"name":"last","type":"boolean"}]}"#;

const PROTOBUF: &str = r#"syntax = "proto3";
    message Row { optional double x = 1; repeated sint64 tags = 2; double y = 3; }
    message In { int64 at = 1; repeated Row rows = 4; repeated double plain = 5; }
    message Batch { string device = 1; optional string note = 2; In in = 7; bool last = 9; map<string, string> more = 10; }"#;

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

/// What the rows of a record are, by the names of their features.
fn read(decoder: &mut Decoder, ahead: &mut ReadAhead, record: Record) -> Vec<Result<String, String>> {
    let records = ahead.split(vec![record], &[]);
    let rows = ahead.read_records(&records, &[]);
    let mut told = Vec::new();
    for (i, record) in records.iter().enumerate() {
        let owned = |sample: Sample<'_>| {
            (sample.features.values().to_vec(), sample.target, sample.key.map(str::to_owned), sample.timestamp)
        };
        let sample =
            decoder.decode_record(record, rows.get(i)).map(owned).map_err(|it: Rejection| it.reason().to_owned());
        let named = sample.map(|(values, target, key, time)| {
            let mut named: Vec<_> =
                decoder.index().column_names().iter().zip(values).filter(|(_, value)| !value.is_nan()).collect();
            named.sort_by_key(|(name, _)| *name);
            format!("{:?} {named:?} {target:?} {key:?} {time:?}", record.row)
        });
        told.push(named);
    }
    told
}

/// Rows of random values; one that is `None` is null.
type Rows = Vec<Option<(Option<i32>, Vec<i64>, i32)>>;

fn as_json(device: &str, rows: Option<&Rows>, at: i64) -> Value {
    let row = |row: &Option<(Option<i32>, Vec<i64>, i32)>| match row {
        None => Value::Null,
        Some((x, tags, y)) => json!({"x": x.map(|x| f64::from(x) / 8.0), "tags": tags, "y": f64::from(*y) / 8.0}),
    };
    let rows = rows.map_or(Value::Null, |rows| rows.iter().map(row).collect());
    json!({"device": device, "note": null, "in": {"rows": rows, "at": at}, "last": true})
}

fn as_avro(schema: &AvroSchema, device: &str, rows: Option<&Rows>, at: i64) -> Vec<u8> {
    let optional = |value: Option<Avro>| match value {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(value) => Avro::Union(1, Box::new(value)),
    };
    let row = |row: &Option<(Option<i32>, Vec<i64>, i32)>| {
        optional(row.as_ref().map(|(x, tags, y)| {
            Avro::Record(vec![
                ("x".into(), optional(x.map(|x| Avro::Double(f64::from(x) / 8.0)))),
                ("tags".into(), Avro::Array(tags.iter().map(|tag| Avro::Long(*tag)).collect())),
                ("y".into(), Avro::Double(f64::from(*y) / 8.0)),
            ])
        }))
    };
    let rows = optional(rows.map(|rows| Avro::Array(rows.iter().map(row).collect())));
    let batch = Avro::Record(vec![
        ("device".into(), Avro::String(device.into())),
        ("note".into(), optional(None)),
        ("in".into(), Avro::Record(vec![("rows".into(), rows), ("at".into(), Avro::TimestampMillis(at))])),
        ("last".into(), Avro::Boolean(true)),
    ]);
    let writer = GenericDatumWriter::builder(schema).build().expect("a writer");
    writer.write_value_to_vec(batch).expect("a datum")
}

fn as_protobuf(device: &str, rows: &Rows, at: i64) -> Vec<u8> {
    let pool = pool();
    let make = |name: &str| DynamicMessage::new(pool.get_message_by_name(name).expect("a message"));
    let row = |row: &Option<(Option<i32>, Vec<i64>, i32)>| {
        let mut message = make("Row");
        if let Some((x, tags, y)) = row {
            if let Some(x) = x {
                message.set_field_by_name("x", Proto::F64(f64::from(*x) / 8.0));
            }
            message.set_field_by_name("tags", Proto::List(tags.iter().map(|tag| Proto::I64(*tag)).collect()));
            message.set_field_by_name("y", Proto::F64(f64::from(*y) / 8.0));
        }
        Proto::Message(message)
    };
    let mut inner = make("In");
    inner.set_field_by_name("at", Proto::I64(at));
    inner.set_field_by_name("rows", Proto::List(rows.iter().map(row).collect()));
    let mut batch = make("Batch");
    batch.set_field_by_name("device", Proto::String(device.into()));
    batch.set_field_by_name("in", Proto::Message(inner));
    batch.set_field_by_name("last", Proto::Bool(true));
    let more = [(MapKey::String("a".into()), Proto::String("b".into()))];
    batch.set_field_by_name("more", Proto::Map(more.into_iter().collect()));
    batch.encode_to_vec()
}

fn pool() -> prost_reflect::DescriptorPool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("batch.proto");
    std::fs::write(&path, PROTOBUF).expect("written");
    let mut compiler = protox::Compiler::new([folder.path()]).expect("a compiler");
    compiler.open_file("batch.proto").expect("a file");
    compiler.descriptor_pool()
}

fn format(of: &str) -> Format {
    let definition = |body: &str| Definition { body: body.into(), ..Definition::default() };
    match of {
        "json" => Format::Json,
        "avro" => Format::Avro(Origin::File(definition(AVRO))),
        _ => Format::Protobuf(Origin::File(Definition { message: Some("Batch".into()), ..definition(PROTOBUF) })),
    }
}

fn schema(of: &str) -> Schema {
    Schema {
        format: format(of),
        explode: Some("in.rows".into()),
        key: Some("$.device".into()),
        timestamp: Some("$.in.at".into()),
        nominal: vec!["$.last".into()],
        ..Schema::default()
    }
}

fn plain(value: Vec<u8>) -> Record {
    Record { value: Some(value.into()), ..Record::default() }
}

proptest! {
    #[test]
    fn rows_of_an_array_are_the_samples_that_they_are_in_json(
        records in prop::collection::vec(
            prop::option::of(prop::collection::vec(
                prop::option::weighted(0.9, (prop::option::of(-99..99_i32), prop::collection::vec(-9..9_i64, 0..3), -99..99_i32)), 0..5)),
            1..6,
        ),
    ) {
        let avro = AvroSchema::parse_str(AVRO).expect("a schema");
        let [mut json_decoder, mut avro_decoder, mut proto_decoder] = ["json", "avro", "protobuf"].map(|of| decoder(&schema(of)));
        let [mut json_ahead, mut avro_ahead, mut proto_ahead] = ["json", "avro", "protobuf"].map(|of| ReadAhead::new(&schema(of)));
        for (i, rows) in records.iter().enumerate() {
            let (device, at) = (format!("d{}", i % 2), 1_700_000_000_000 + i as i64);
            let text = as_json(&device, rows.as_ref(), at).to_string();
            let expected = read(&mut json_decoder, &mut json_ahead, plain(text.into()));
            let found = read(&mut avro_decoder, &mut avro_ahead, plain(as_avro(&avro, &device, rows.as_ref(), at)));
            prop_assert_eq!(&found, &expected, "{:?}", rows);
            // A list that is not there is an empty one, and an element is never null.
            let Some(rows) = rows.as_ref().filter(|rows| rows.iter().all(Option::is_some)) else { continue };
            // What is not on the wire has its default.
            let found = read(&mut proto_decoder, &mut proto_ahead, plain(as_protobuf(&device, rows, at)));
            prop_assert_eq!(&found, &expected, "{:?}", rows);
        }
    }

    #[test]
    fn damage_of_a_record_of_rows_is_refused_or_read_and_never_costs_more(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), is_cut in any::<bool>(), of in 0..2_usize,
    ) {
        let rows: Rows = (0..4).map(|i| Some((Some(i), vec![1, 2], 3 * i))).collect();
        let avro = AvroSchema::parse_str(AVRO).expect("a schema");
        let (name, mut bytes) = match of {
            0 => ("avro", as_avro(&avro, "d1", Some(&rows), 7)),
            _ => ("protobuf", as_protobuf("d1", &rows, 7)),
        };
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let schema = schema(name);
        let told = read(&mut decoder(&schema), &mut ReadAhead::new(&schema), plain(bytes.clone()));
        prop_assert!(!told.is_empty() && told.len() <= bytes.len().max(1));
    }
}

#[test]
fn a_row_that_is_refused_is_a_record_of_its_own() {
    let rows: Rows = [(Some(1), 2), (None, 9), (Some(3), 4)].map(|(x, y)| Some((x, vec![], y))).to_vec();
    let avro = AvroSchema::parse_str(AVRO).expect("a schema");
    for (of, value) in [("avro", as_avro(&avro, "d1", Some(&rows), 7)), ("protobuf", as_protobuf("d1", &rows, 7))] {
        let schema = schema(of);
        let mut ahead = ReadAhead::new(&schema);
        let records = ahead.split(vec![plain(value.clone())], &[]);
        assert_eq!(records.iter().map(|record| record.row).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)], "{of}");
        // Sent back, it is the one row that it was.
        for record in &records {
            let again = ahead.split(vec![Record { row: None, ..record.clone() }], &[]);
            assert_eq!((again.len(), &again[0].value), (1, &record.value), "{of}");
        }
        for (limits, reason) in [
            (Schema { max_rows: 2, ..schema.clone() }, "too_many_rows"),
            (Schema { max_record_bytes: value.len() / 8, ..schema.clone() }, "too_large"),
        ] {
            let told = read(&mut decoder(&limits), &mut ReadAhead::new(&limits), plain(value.clone()));
            assert_eq!(told, [Err(reason.to_owned())], "{of}");
        }
        // Whoever has not taken them apart is told.
        assert_eq!(decoder(&schema).decode(Some(&value)).expect_err("three rows").reason(), "too_many_rows", "{of}");
    }
}

#[test]
fn rows_in_the_data_of_an_event_are_taken_apart_whatever_it_is_written_in() {
    let headers = [("ce_specversion", "1.0"), ("ce_id", "7"), ("ce_source", "/s"), ("ce_type", "t")];
    let rows: Rows = (0..3).map(|i| Some((Some(i), vec![], 3 * i))).collect();
    let avro = AvroSchema::parse_str(AVRO).expect("a schema");
    let told = ["json", "avro", "protobuf"].map(|of| {
        let value = match of {
            "json" => as_json("d1", Some(&rows), 7).to_string().into_bytes(),
            "avro" => as_avro(&avro, "d1", Some(&rows), 7),
            _ => as_protobuf("d1", &rows, 7),
        };
        let schema = Schema {
            explode: Some("data.in.rows".into()),
            envelope: Envelope::CloudEvents,
            key: Some("$.id".into()),
            timestamp: None,
            nominal: vec!["$.data.device".into()],
            ..schema(of)
        };
        let record = Record { headers: Headers::from(headers), ..plain(value) };
        read(&mut decoder(&schema), &mut ReadAhead::new(&schema), record)
    });
    assert!(told[0].len() == 3 && told[0].iter().all(Result::is_ok), "{told:?}");
    assert!(told[1] == told[0] && told[2] == told[0], "{told:?}");
}
