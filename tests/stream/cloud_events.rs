//! An event of CloudEvents is the same sample whichever mode its producer writes: structured, or with its attributes in headers.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use thalweg_pipeline::decode::{
    Decoder, Envelope, Index, Leaf, Leaves, NumericText, OnBad, OnBadField, ReadAhead, Rejection, Sample, Schema,
};
use thalweg_topic::record::{Headers, Record};

use crate::formats::{all, schemas};

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

fn told(result: Result<Sample<'_>, Rejection>) -> String {
    match result {
        Ok(sample) => format!("{sample:?}"),
        // Places in the value differ.
        Err(Rejection::NotJson { .. }) => "no JSON".to_owned(),
        Err(rejection) => format!("{}: {rejection}", rejection.reason()),
    }
}

const ATTRIBUTES: [(&str, &str); 4] = [("specversion", "1.0"), ("id", "7"), ("source", "/s"), ("type", "t")];

/// An event in binary mode.
fn binary(attributes: &[(&str, &str)], data: &str) -> Record {
    let headers =
        attributes.iter().map(|(name, value)| (format!("ce_{name}").into(), Some((*value).to_owned().into())));
    Record { value: Some(data.to_owned().into()), headers: headers.collect(), ..Record::default() }
}

/// The same in structured mode.
fn structured(attributes: &[(&str, &str)], data: &str) -> Record {
    let attributes: Vec<String> =
        attributes.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    let value = format!("{{{},\"data\":{data}}}", attributes.join(","));
    Record { value: Some(value.into()), ..Record::default() }
}

fn settings() -> [Schema; 6] {
    let named = Schema {
        timestamp: Some("$.time".into()),
        key: Some("$.subject".into()),
        nominal: vec!["$.type".into(), "f3".into()],
        target: "f0".into(),
        ..Schema::default()
    };
    let costs_a_field = OnBadField { features: OnBad::Missing, target: OnBad::Missing, timestamp: OnBad::Missing };
    [
        Schema { target: "f0".into(), ..Schema::default() },
        Schema { envelope: Envelope::CloudEvents, ..named.clone() },
        Schema { key: Some("$.id".into()), on_bad_field: costs_a_field, ..named.clone() },
        Schema { features: Some(["f1", "f2.b", "$.level"].map(str::to_owned).to_vec()), ..named.clone() },
        Schema {
            root: Some("data.f2".into()),
            target: "b".into(),
            envelope: Envelope::CloudEvents,
            ..Schema::default()
        },
        Schema { target: "data.f0".into(), key: Some("id".into()), ..Schema::default() },
    ]
}

const VALUES: [&str; 9] = ["#", "\"word\"", "\"#\"", "null", "NaN", "Infinity", "true", "{\"b\":#,\"c\":[#,2]}", "{}"];
const TIMES: [&str; 4] = ["2026-03-29T01:30:00.5Z", "1774747800123", "soon", ""];
const SUBJECTS: [&str; 4] = ["d7", "é \"quoted\"", "", "0123456789012345678901234567890"];
const LEVELS: [&str; 5] = ["3", "-12", "007", "high", "2.5"];

/// Fields with the places of their names and values, and those of the time, the subject and the level.
type Drawn = (Vec<(usize, usize, String)>, usize, usize, usize);

proptest! {
    #[test]
    fn each_mode_is_the_same_sample_and_so_are_both_mixed(
        which in 0..6_usize,
        rows in prop::collection::vec(
            (prop::collection::vec((0..5_usize, 0..VALUES.len(), "-?[1-9][0-9]{0,3}"), 0..5), 0..4_usize, 0..4_usize, 0..5_usize),
            1..12,
        ),
        odd in prop::collection::vec(0..12_usize, 12),
        modes in prop::collection::vec(any::<bool>(), 12),
        length in 1..6_usize,
    ) {
        let schema = &settings()[which];
        let event = |((fields, time, subject, level), odd): (&Drawn, &usize)| {
            let fields: Vec<String> =
                fields.iter().map(|(name, value, number)| format!(r#""f{name}":{}"#, VALUES[*value].replace('#', number))).collect();
            let data = match odd {
                0 => "[1,2]".to_owned(),
                1 => "null".to_owned(),
                2 => format!("{{{},", fields.join(",")),
                _ => format!("{{{}}}", fields.join(",")),
            };
            let more = [("time", TIMES[*time]), ("subject", SUBJECTS[*subject]), ("level", LEVELS[*level])];
            ([&ATTRIBUTES[..], &more].concat(), data)
        };
        let mut events: Vec<_> = rows.iter().zip(&odd).map(event).collect();
        // The first one shows that they are events, and whoever wants them whole takes an array, too.
        let is_whole = which == settings().len() - 1;
        for (i, (_, data)) in events.iter_mut().enumerate() {
            if (i == 0 || is_whole) && !data.starts_with('{') {
                *data = r#"{"f1":1}"#.to_owned();
            }
        }
        if !events[0].1.ends_with('}') {
            events[0].1 = r#"{"f0":1,"f1":2}"#.to_owned();
        }
        let of = |mode: &dyn Fn(usize) -> bool| -> Vec<Record> {
            let one = |(i, (attributes, data)): (usize, &(Vec<_>, String))| {
                if mode(i) { binary(attributes, data) } else { structured(attributes, data) }
            };
            events.iter().enumerate().map(one).collect()
        };
        let (theirs, ours, mixed) = (of(&|_| false), of(&|_| true), of(&|i| modes[i]));
        let [mut expected, mut alone, mut behind, mut both] = [(); 4].map(|()| decoder(schema));
        let (mut ahead, mut ahead_of_both) = (ReadAhead::new(schema), ReadAhead::new(schema));
        for first in (0..theirs.len()).step_by(length) {
            let run = first..theirs.len().min(first + length);
            let (rows, rows_of_both) = (ahead.read_records(&ours[run.clone()], &[]), ahead_of_both.read_records(&mixed[run.clone()], &[]));
            for i in run {
                let one = told(expected.decode_record(&theirs[i], None));
                prop_assert_eq!(&one, &told(alone.decode_record(&ours[i], None)), "{:?}", &events[i]);
                prop_assert_eq!(&one, &told(behind.decode_record(&ours[i], rows.get(i - first))), "{:?}", &events[i]);
                prop_assert_eq!(&one, &told(both.decode_record(&mixed[i], rows_of_both.get(i - first))), "{:?}", &events[i]);
            }
        }
        let bytes = |decoder: &Decoder| rmp_serde::to_vec_named(decoder.index()).expect("encoded");
        for other in [&alone, &behind, &both] {
            prop_assert_eq!(bytes(&expected), bytes(other));
        }
    }
}

#[test]
fn data_that_is_written_by_a_schema_is_the_same_sample_as_in_json() {
    let attributes = [&ATTRIBUTES[..], &[("time", "2026-03-29T01:30:00Z")]].concat();
    for written in all() {
        for schema in schemas().into_iter().filter(|schema| schema.root.is_none()) {
            let schema = Schema { envelope: Envelope::CloudEvents, timestamp: Some("$.time".into()), ..schema };
            let typed = Schema { format: written.format.clone(), ..schema.clone() };
            let (mut json, mut full, mut quick) = (decoder(&schema), decoder(&typed), decoder(&typed));
            for learned in &written.learned {
                full.learn(learned);
                quick.learn(learned);
            }
            let with_attributes = |(record, text): &(Record, String)| {
                let of = binary(&attributes, text);
                let headers = record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_vec().into(), value.map(|value| value.to_vec().into())));
                let own: Headers = headers.collect();
                let both = of.headers.iter().chain(own.iter());
                let headers =
                    both.map(|(name, value)| (name.to_vec().into(), value.map(|value| value.to_vec().into())));
                (Record { headers: headers.collect(), ..record.clone() }, of)
            };
            let records: Vec<(Record, Record)> = written.rows.iter().map(with_attributes).collect();
            let typed: Vec<Record> = records.iter().map(|(typed, _)| typed.clone()).collect();
            let rows = ReadAhead::new(&quick_schema(&schema, &written.format)).read_records(&typed, &written.learned);
            for (i, (record, text)) in records.iter().enumerate() {
                let by_name = |decoder: &mut Decoder, record: &Record, row| {
                    let told = decoder.decode_record(record, row).map(|sample| {
                        (
                            sample.features.values().to_vec(),
                            sample.target,
                            sample.key.map(str::to_owned),
                            sample.timestamp,
                        )
                    });
                    let (row, target, key, time) = told.map_err(|rejection| rejection.reason())?;
                    let names = decoder.index().column_names().iter().cloned();
                    let mut features: Vec<_> = names
                        .zip(row)
                        .filter(|(_, value)| !value.is_nan())
                        .map(|(name, value)| (name, value.to_bits()))
                        .collect();
                    features.sort();
                    Ok::<_, &str>((features, target.map(f64::to_bits), key, time))
                };
                let expected = by_name(&mut json, text, None);
                assert_eq!(by_name(&mut full, record, None), expected, "{}, row {i}, by {schema:?}", written.name);
                assert_eq!(by_name(&mut quick, record, rows.get(i)), expected, "{}, row {i}, read ahead", written.name);
            }
        }
    }
}

fn quick_schema(schema: &Schema, format: &thalweg_pipeline::decode::Format) -> Schema {
    Schema { format: format.clone(), ..schema.clone() }
}

#[test]
fn a_header_that_is_no_text_costs_the_event_and_says_which_one_it_is() {
    let mut record = binary(&ATTRIBUTES, r#"{"x":1,"y":2}"#);
    record.headers.push("ce_subject".into(), Some(b"\xff".as_slice().into()));
    for schema in [Schema::default(), Schema { envelope: Envelope::CloudEvents, ..Schema::default() }] {
        let refused = decoder(&schema).decode_record(&record, None).expect_err("no text");
        assert_eq!(refused.reason(), "bad_header");
        assert!(refused.to_string().starts_with("the header `ce_subject` is not UTF-8"), "{refused}");
    }
    // Whoever wants no envelope has no attributes.
    let plain = Schema { envelope: Envelope::None, ..Schema::default() };
    assert_eq!(decoder(&plain).decode_record(&record, None).expect("a row").target, Some(2.0));
}

#[test]
fn a_stream_of_rows_stays_one_whatever_headers_come() {
    let mut decoder = decoder(&Schema::default());
    let mut ahead = ReadAhead::new(&Schema::default());
    let row = Record { value: Some(r#"{"x":1,"y":2}"#.into()), ..Record::default() };
    let event = binary(&ATTRIBUTES, r#"{"x":3,"y":4}"#);
    let records = [row, event.clone(), event];
    let rows = ahead.read_records(&records, &[]);
    for (i, record) in records.iter().enumerate() {
        let row = rows.get(i).filter(|_| i < 2);
        assert!(decoder.decode_record(record, row).is_ok_and(|sample| sample.target.is_some()), "{i}");
    }
    assert_eq!(decoder.index().column_names(), ["x"]);
    assert!(decoder.take_notices().is_empty());
}

#[test]
fn who_looks_before_there_are_settings_sees_the_attributes_beside_the_row() {
    let mut leaves = Leaves::new(&Schema::default());
    let record = binary(&[&ATTRIBUTES[..], &[("time", "2026-03-29T01:30:00Z")]].concat(), r#"{"x":1,"in":{"b":2}}"#);
    let mut seen = Map::new();
    let value = record.value.as_deref().expect("a value");
    let mut see = |name: &str, leaf: Leaf<'_>| {
        let value: Value = match leaf {
            Leaf::Number(number) => number.into(),
            Leaf::Text(text) => text.into(),
            _ => Value::Null,
        };
        seen.insert(name.to_owned(), value);
    };
    leaves.read_with(value, &record.headers, &mut see).expect("an event");
    let expected = json!({
        "$.specversion": "1.0", "$.id": "7", "$.source": "/s", "$.type": "t", "$.time": "2026-03-29T01:30:00Z", "x": 1.0, "in.b": 2.0,
    });
    assert_eq!(Value::Object(seen), expected);
    assert_eq!(leaves.envelope(), Some(Envelope::CloudEvents));
    assert!(leaves.read_with(b"[1]", &record.headers, |_, _| ()).is_err());
}

#[test]
fn a_whole_number_or_a_truth_value_is_one_without_a_type() {
    let features = ["x", "$.level", "$.ok"].map(str::to_owned).to_vec();
    for numeric_text in [NumericText::Auto, NumericText::Never] {
        let envelope = Envelope::CloudEvents;
        let schema = Schema { envelope, features: Some(features.clone()), numeric_text, ..Schema::default() };
        let value =
            r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","level":-3,"ok":true,"data":{"x":1,"y":2}}"#;
        let structured = Record { value: Some(value.into()), ..Record::default() };
        let expected = told(decoder(&schema).decode_record(&structured, None));
        for ok in ["true", "True"] {
            let attributes = [&ATTRIBUTES[..], &[("level", "-3"), ("ok", ok)]].concat();
            let binary = binary(&attributes, r#"{"x":1,"y":2}"#);
            assert_eq!(told(decoder(&schema).decode_record(&binary, None)), expected);
        }
    }
}

#[test]
fn rows_in_the_data_of_an_event_are_samples_whichever_mode_it_is_in() {
    for (explode, data) in [
        ("data.rows", r#"{"site":"s1","rows":[{"x":1,"y":2},{"x":3,"y":"bad"},{"x":5,"y":6}]}"#),
        ("data", r#"[{"x":1,"y":2},{"x":3,"y":"bad"},{"x":5,"y":6}]"#),
        ("data", "[]"),
    ] {
        let schema = Schema {
            explode: Some(explode.into()),
            envelope: Envelope::CloudEvents,
            key: Some("$.id".into()),
            timestamp: Some("$.time".into()),
            nominal: vec!["$.data.site".into()],
            ..Schema::default()
        };
        let attributes = [&ATTRIBUTES[..], &[("time", "2026-03-29T01:30:00Z")]].concat();
        let [theirs, ours] = [structured(&attributes, data), binary(&attributes, data)].map(|record| {
            let (mut decoder, mut ahead) = (decoder(&schema), ReadAhead::new(&schema));
            let records = ahead.split(vec![record], &[]);
            let rows = ahead.read_records(&records, &[]);
            let one = |(i, record): (usize, &Record)| (record.row, told(decoder.decode_record(record, rows.get(i))));
            records.iter().enumerate().map(one).collect::<Vec<_>>()
        });
        assert_eq!(ours, theirs, "{data}");
        assert_eq!(ours.len(), if data == "[]" { 1 } else { 3 }, "{data}");
    }
}
