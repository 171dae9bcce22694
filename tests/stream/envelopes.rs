//! What producers wrap around a row: it is found, taken off, and says the same as the row alone.

use proptest::prelude::*;
use thalweg_pipeline::decode::{
    Cast, Decoder, Envelope, Index, Named, Notice, OnDelete, ReadAhead, Rejection, Rename, Sample, Schema,
};

/// What a sample says: its features by name, target, key and time.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    features: Vec<(String, f64)>,
    target: Option<f64>,
    key: Option<String>,
    timestamp: Option<i64>,
}

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

fn told(decoder: &mut Decoder, value: Option<&[u8]>) -> Result<Told, Rejection> {
    let Sample { features, target, key, timestamp, .. } = decoder.decode(value)?;
    let (values, key) = (features.values().to_vec(), key.map(str::to_owned));
    let names = decoder.index().column_names().iter().cloned();
    let features = names.zip(values).filter(|(_, value)| !value.is_nan()).collect();
    Ok(Told { features, target, key, timestamp })
}

/// Each record's sample; the same by the short way, the long one, and read ahead.
fn read(schema: &Schema, records: &[&str]) -> Vec<Result<Told, Rejection>> {
    let [mut short, mut long, mut behind] = [(); 3].map(|()| decoder(schema));
    let mut ahead = ReadAhead::new(schema);
    // A record that begins a run is read with what the run before has shown.
    let runs: Vec<_> = records.iter().map(|record| ahead.read([Some(record.as_bytes())].into_iter())).collect();
    let mut samples = Vec::new();
    for (record, rows) in records.iter().zip(&runs) {
        let sample = told(&mut short, Some(record.as_bytes()));
        let bits = |result: Result<Sample<'_>, Rejection>| result.map(|sample| format!("{sample:?}"));
        let full = bits(long.decode_full(record.as_bytes()));
        assert_eq!(full, bits(behind.decode_ahead(Some(record.as_bytes()), rows.get(0))), "{record}");
        assert_eq!(full.map(drop), sample.clone().map(drop), "{record}");
        samples.push(sample);
    }
    let names = |decoder: &Decoder| decoder.index().column_names().to_vec();
    assert_eq!((names(&short), names(&short)), (names(&long), names(&behind)));
    samples
}

fn features(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// The same row in each envelope.
const WRAPPED: [(&str, Envelope); 7] = [
    (r#"{"schema":{"type":"struct","fields":[]},"payload":{"a":1.5,"in":{"b":2},"y":7}}"#, Envelope::Connect),
    (
        r#"{"before":null,"after":{"a":1.5,"in":{"b":2},"y":7},"source":{"lsn":5,"db":"d"},"op":"c","ts_ms":9}"#,
        Envelope::Debezium,
    ),
    (
        r#"{"schema":{"type":"struct"},"payload":{"before":{"a":3,"in":{"b":4},"y":5},"after":{"a":1.5,"in":{"b":2},"y":7},"source":{"lsn":5},"op":"u"}}"#,
        Envelope::Debezium,
    ),
    (
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1.5,"in":{"b":2},"y":7},"level":3}"#,
        Envelope::CloudEvents,
    ),
    (r#"{"fields":{"a":1.5,"in":{"b":2},"y":7},"name":"m","tags":{"host":"h"},"timestamp":4}"#, Envelope::Telegraf),
    (r#"{"a":{"double":1.5},"in":{"acme.In":{"b":{"int":2}}},"y":{"float":7}}"#, Envelope::AvroJson),
    (
        r#"{"_id":{"$oid":"65a"},"a":{"$numberDouble":"1.5"},"in":{"b":{"$numberInt":"2"}},"y":{"$numberLong":"7"}}"#,
        Envelope::MongoDb,
    ),
];

#[test]
fn a_row_in_an_envelope_is_the_row() {
    let row = features(&[("a", 1.5), ("in.b", 2.0)]);
    for (json, envelope) in WRAPPED {
        for schema in [Schema::default(), Schema { envelope, ..Schema::default() }] {
            let samples = read(&schema, &[json; 3]);
            for sample in samples {
                let sample = sample.expect(json);
                assert_eq!((sample.features, sample.target), (row.clone(), Some(7.0)), "{json}");
            }
        }
    }
}

#[test]
fn what_was_found_is_said_once_and_kept_across_a_restart() {
    for (json, envelope) in WRAPPED {
        let schema = Schema::default();
        let mut first = decoder(&schema);
        told(&mut first, Some(json.as_bytes())).expect(json);
        let notices = first.take_notices();
        let said = |notice: &&Notice| notice.name() == "envelope";
        let [notice] = notices.iter().filter(said).collect::<Vec<_>>()[..] else { panic!("{json}: {notices:?}") };
        assert!(matches!(notice, Notice::Envelope { envelope: found, .. } if *found == envelope), "{json}");
        assert!(notice.to_string().contains("schema.envelope = \"none\""), "{notice}");
        let stored = rmp_serde::to_vec_named(first.index()).expect("encoded");
        let index: Index = thalweg_state::read(&stored).expect("readable");
        // A row alone would be another form, had it come first.
        let mut again = Decoder::new(&schema, index);
        let alone = again.decode(Some(br#"{"a":1,"y":2}"#)).map(drop);
        let is_wrapped_value_only = matches!(envelope, Envelope::AvroJson | Envelope::MongoDb);
        assert_eq!(alone.is_ok(), is_wrapped_value_only, "{json}: {alone:?}");
        told(&mut again, Some(json.as_bytes())).expect(json);
        assert!(!again.take_notices().iter().any(|notice| notice.name() == "envelope"), "{json}");
    }
}

#[test]
fn a_record_without_the_envelope_says_where_its_row_should_be() {
    for (json, _) in WRAPPED.iter().filter(|(_, envelope)| !matches!(envelope, Envelope::AvroJson | Envelope::MongoDb))
    {
        let samples = read(&Schema::default(), &[json, r#"{"a":1,"y":2}"#]);
        let refused = samples[1].as_ref().expect_err(json);
        assert_eq!(refused.reason(), "no_root");
        assert!(refused.to_string().starts_with("the record has nothing at `"), "{refused}");
    }
    let schema = Schema { root: Some("p.row".into()), ..Schema::default() };
    for (record, found) in
        [(r#"{"p":{"row":[1]}}"#, "an array"), (r#"{"p":{"row":"x"}}"#, "text"), (r#"{"p":3}"#, "nothing")]
    {
        let refused = read(&schema, &[record]).remove(0).expect_err(record);
        assert_eq!(
            refused.to_string().split(" at `p.row`").next(),
            Some(&*format!("the record has {found}")),
            "{refused}"
        );
    }
}

#[test]
fn whoever_names_fields_by_their_whole_paths_gets_the_records_as_they_are() {
    let json = WRAPPED[1].0;
    let schema = Schema { target: "after.y".into(), ..Schema::default() };
    let sample = read(&schema, &[json]).remove(0).expect(json);
    assert_eq!(sample.target, Some(7.0));
    assert_eq!(
        sample.features,
        features(&[("after.a", 1.5), ("after.in.b", 2.0), ("source.lsn", 5.0), ("ts_ms", 9.0)])
    );
    let sample = read(&Schema { envelope: Envelope::None, ..schema }, &[json]).remove(0).expect(json);
    assert_eq!(sample.features.len(), 4);
    // A record that has the target itself is a row, whatever else it looks like.
    let both = r#"{"fields":{"a":1},"name":"m","tags":{},"timestamp":4,"y":3}"#;
    assert_eq!(read(&Schema::default(), &[both]).remove(0).expect(both).target, Some(3.0));
}

#[test]
fn what_is_around_the_row_counts_where_it_is_named() {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let schema = Schema {
        timestamp: Some("$.ts_ms".into()),
        key: Some("$.source.db".into()),
        features: Some(texts(&["a", "$.source.lsn"])),
        ..Schema::default()
    };
    let sample = read(&schema, &[WRAPPED[1].0; 2]).remove(1).expect("a sample");
    assert_eq!(sample.features, features(&[("a", 1.5), ("$.source.lsn", 5.0)]));
    assert_eq!((sample.key.as_deref(), sample.timestamp), (Some("d"), Some(9000)));
    let schema = Schema { nominal: texts(&["$.tags.host"]), ..Schema::default() };
    let sample = read(&schema, &[WRAPPED[4].0; 2]).remove(1).expect("a sample");
    assert_eq!(sample.features, features(&[("a", 1.5), ("in.b", 2.0), ("$.tags.host", 0.0)]));
}

#[test]
fn a_deleted_row_is_skipped_or_a_dead_letter_and_never_learned() {
    let deletes = [
        r#"{"before":{"a":1,"y":2},"after":null,"source":{},"op":"d","ts_ms":9}"#,
        r#"{"before":{"a":1,"y":2},"source":{},"op":"d","ts_ms":9}"#,
        r#"{"source":{},"before":null,"after":null,"op":"t"}"#,
    ];
    for on_delete in [OnDelete::Skip, OnDelete::DeadLetter] {
        let schema = Schema { on_delete, ..Schema::default() };
        for delete in deletes {
            let samples = read(&schema, &[delete, WRAPPED[1].0, delete]);
            assert!(samples[1].is_ok());
            for refused in [&samples[0], &samples[2]] {
                let refused = refused.as_ref().expect_err(delete);
                assert_eq!(
                    (refused.reason(), refused.is_skipped()),
                    ("deleted", on_delete == OnDelete::Skip),
                    "{delete}"
                );
            }
        }
        let mut decoder = decoder(&schema);
        assert_eq!(decoder.decode(None).expect_err("no value").reason(), "tombstone");
        told(&mut decoder, Some(WRAPPED[2].0.as_bytes())).expect("a sample");
        let payload = br#"{"schema":null,"payload":null}"#;
        for value in [None, Some(&payload[..])] {
            let refused = decoder.decode(value).expect_err("nothing");
            assert_eq!((refused.reason(), refused.is_skipped()), ("deleted", on_delete == OnDelete::Skip));
        }
    }
}

/// As Kafka Connect's JsonConverter writes it.
const TYPED: &str = r#"{"schema":{"type":"struct","fields":[{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"3"},"field":"price"},{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"day"},{"type":"double","optional":false,"field":"y"}],"optional":false},"payload":{"price":"MDQ=","day":20541,"y":1.5}}"#;

#[test]
fn decimals_and_dates_have_the_types_of_their_schema() {
    let schema = Schema { timestamp: Some("day".into()), ..Schema::default() };
    let other = TYPED.replace(r#""scale":"3""#, r#""scale":"1""#);
    // The payload may come first, and another schema at any time.
    let turned = format!(
        r#"{{"payload":{{"price":"MDQ=","day":20541,"y":1.5}},{}}}"#,
        TYPED.split_once(",\"payload\"").and_then(|(schema, _)| schema.strip_prefix('{')).expect("a schema")
    );
    let samples = read(&schema, &[TYPED, TYPED, &other, TYPED, &turned, &other]);
    let prices: Vec<f64> = samples.iter().map(|sample| sample.as_ref().expect("a sample").features[0].1).collect();
    assert_eq!(prices, [12.34, 12.34, 1234.0, 12.34, 12.34, 1234.0]);
    for sample in samples {
        assert_eq!(sample.expect("a sample").timestamp, Some(20541 * 86_400_000));
    }
}

#[test]
fn a_decimal_with_its_own_scale_is_a_number() {
    let record = |d: &str| format!(r#"{{"before":null,"after":{{"d":{d},"y":1}},"source":{{}},"op":"c"}}"#);
    let both =
        [record(r#"{"scale":3,"value":"MDQ="}"#), record(r#"{"scale":1,"value":"MDQ="}"#), record("null"), record("7")];
    let samples = read(&Schema::default(), &both.each_ref().map(String::as_str));
    let found: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| sample.as_ref().expect("a sample").features.iter().map(|(_, x)| *x).collect())
        .collect();
    assert_eq!(found, [vec![12.34], vec![1234.0], vec![], vec![7.0]]);
    // What is nearly one is an object like others.
    let samples = read(
        &Schema::default(),
        &[&record(r#"{"scale":3,"value":"MDQ=","unit":1}"#), &record(r#"{"scale":3,"other":4}"#)],
    );
    assert_eq!(samples[1].as_ref().expect("a sample").features.len(), 2);
}

#[test]
fn casts_say_what_values_do_not_show() {
    let schema = Schema {
        cast: [("d", Cast::Decimal(3)), ("n", Cast::Number), ("t", Cast::Time)]
            .map(|(field, cast)| Named { field: field.into(), cast })
            .to_vec(),
        ..Schema::default()
    };
    let samples = read(
        &schema,
        &[
            r#"{"d":"MDQ=","n":"1.5","t":"1970-01-01T00:00:01Z","y":1}"#,
            r#"{"d":"MDQ=","n":"2.5","t":1774747800,"y":1}"#,
            r#"{"d":5,"n":"many","t":"soon","y":1}"#,
        ],
    );
    let values: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| sample.as_ref().expect("a sample").features.iter().map(|(_, x)| *x).collect())
        .collect();
    assert_eq!(values, [vec![12.34, 1.5, 1000.0], vec![12.34, 2.5, 1_774_747_800_000.0], vec![5.0]]);
}

#[test]
fn renamed_fields_go_by_their_new_names_with_all_that_is_nested_in_them() {
    let rename = |from: &str, to: &str| Rename { from: from.into(), to: to.into() };
    let schema = Schema {
        rename: vec![rename("sensor.t", "celsius"), rename("value", "y"), rename("in", "out")],
        ignore: vec!["out.c".into()],
        ..Schema::default()
    };
    let record = r#"{"sensor":{"t":20,"u":3},"in":{"b":1,"c":2},"value":7,"y":9}"#;
    let samples = read(&schema, &[record; 2]);
    let sample = samples[1].as_ref().expect("a sample");
    assert_eq!(sample.features, features(&[("celsius", 20.0), ("sensor.u", 3.0), ("out.b", 1.0)]));
    // The field whose name was given away is not it.
    assert_eq!(sample.target, Some(7.0));
}

#[test]
fn a_renamed_field_can_have_the_name_of_what_it_is_nested_in() {
    let rename = |from: &str, to: &str| Rename { from: from.into(), to: to.into() };
    let schema =
        Schema { rename: vec![rename("a.0", "a"), rename("x.Float64", "x"), rename("y.0", "y")], ..Schema::default() };
    let record = r#"{"a":[1],"x":{"Float64":2.5,"Valid":true},"b":3,"y":[4]}"#;
    let others = [r#"{"a":7,"x":null,"b":3,"y":[4]}"#, r#"{"a":[1,2],"x":{"Valid":true},"b":3,"y":[4]}"#];
    let samples = read(&schema, &[record, record, others[0], others[1], record]);
    let values = [&[("a", 1.0), ("x", 2.5), ("b", 3.0)][..], &[("b", 3.0)], &[("a", 1.0), ("b", 3.0)]];
    for (sample, of) in samples.iter().zip([0, 0, 1, 2, 0]) {
        let sample = sample.as_ref().expect("a sample");
        assert_eq!((&sample.features, sample.target), (&features(values[of]), Some(4.0)));
    }
}

#[test]
fn a_star_in_a_name_stands_for_any_text() {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let record = r#"{"s":{"a":1,"id":2,"deep":{"b":3,"id":4}},"meta":{"k":5,"kind":"x"},"y":6,"z":7}"#;
    let of = |schema: &Schema| read(schema, &[record; 3]).remove(2).expect("a sample");
    let listed = Schema { features: Some(texts(&["s.*", "z"])), ignore: texts(&["*.id"]), ..Schema::default() };
    assert_eq!(of(&listed).features, features(&[("z", 7.0), ("s.a", 1.0), ("s.deep.b", 3.0)]));
    let open = Schema { ignore: texts(&["s*", "meta.*"]), key: Some("meta.k".into()), ..Schema::default() };
    let sample = of(&open);
    assert_eq!((sample.features, sample.key.as_deref()), (features(&[("z", 7.0)]), Some("5")));
    let nominal = Schema { nominal: texts(&["meta.*"]), ignore: texts(&["s"]), ..Schema::default() };
    assert_eq!(of(&nominal).features, features(&[("meta.k", 0.0), ("meta.kind", 0.0), ("z", 7.0)]));
    let mut decoder = decoder(&Schema { ignore: texts(&["s*", "nothing.*"]), ..Schema::default() });
    told(&mut decoder, Some(record.as_bytes())).expect("a sample");
    let unseen: Vec<String> = decoder.fields().never_seen.into_iter().map(|unseen| unseen.name).collect();
    assert_eq!(unseen, ["nothing.*"]);
}

#[test]
fn json_behind_a_registrys_bytes_is_read_and_other_formats_are_named() {
    // Apicurio's numbers have eight bytes.
    for bytes in [&[0, 0, 0, 1, 7][..], &[0, 0, 0, 0, 0, 0, 0, 1, 7]] {
        let framed = [bytes, br#"{"a":1,"y":2}"#].concat();
        let mut one = decoder(&Schema::default());
        assert_eq!(told(&mut one, Some(&framed)).expect("JSON").features, features(&[("a", 1.0)]));
        let mut ahead = ReadAhead::new(&Schema::default());
        let rows = ahead.read([Some(&framed[..])].into_iter());
        assert!(rows.get(0).is_some() && one.decode_ahead(Some(&framed), rows.get(0)).is_ok());
    }
    let others: [(&[u8], &str); 5] = [
        (&[0, 0, 0, 1, 7, 2, 4], "it begins with a schema registry's five bytes (schema 263)"),
        (&[0xc3, 0x01, 1, 2, 3], "single-object encoding"),
        (&[0x1f, 0x8b, 8, 0], "gzip"),
        (b"Obj\x01\x02", "a container file of Avro"),
        (b"<a>1</a>", "XML"),
    ];
    for (bytes, words) in others {
        let refused = decoder(&Schema::default()).decode(Some(bytes)).expect_err("no JSON");
        assert_eq!(refused.reason(), "not_json");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let otlp = br#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#;
    let refused = decoder(&Schema::default()).decode(Some(otlp)).expect_err("an export");
    assert!(refused.reason() == "other_form" && refused.to_string().contains("OTLP"), "{refused}");
}

#[test]
fn a_stream_that_is_not_what_the_settings_promise_is_refused_in_their_words() {
    let schema = Schema { envelope: Envelope::Debezium, ..Schema::default() };
    let samples = read(&schema, &[r#"{"a":1,"y":2}"#, WRAPPED[1].0]);
    let refused = samples[0].as_ref().expect_err("a row");
    assert!(refused.reason() == "other_form" && refused.to_string().contains("schema.envelope"), "{refused}");
    assert!(samples[1].is_ok());
}

/// Values in the rows of the property below; `#` is a number.
const VALUES: [&str; 15] = [
    "#",
    r#""word""#,
    r##""#""##,
    "null",
    "NaN",
    "Infinity",
    "true",
    r#"{"scale":2,"value":"MDQ="}"#,
    r#"{"scale":2,"value":"MDQ\u003d"}"#,
    r#""a\tb""#,
    r##"{"double":#}"##,
    r##"{"$numberLong":"#"}"##,
    r##"{"$numberLong":"\u0031#"}"##,
    r##"{"b":#,"c":[#,2]}"##,
    "{}",
];

proptest! {
    #[test]
    fn each_way_reads_the_same_in_every_envelope(
        envelope in 0..WRAPPED.len() + 2,
        rows in prop::collection::vec(prop::collection::vec((0..5_usize, 0..VALUES.len(), "-?[1-9][0-9]{0,3}"), 0..5), 1..12),
        odd in prop::collection::vec(any::<bool>(), 12),
        spaced in any::<bool>(),
        length in 1..6_usize,
    ) {
        let row = |fields: &Vec<(usize, usize, String)>| {
            let fields: Vec<String> =
                fields.iter().map(|(name, value, number)| format!(r#""f{name}":{}"#, VALUES[*value].replace('#', number))).collect();
            format!("{{{}}}", fields.join(","))
        };
        let around = match envelope {
            0 => (r#"{"schema":{"type":"struct"},"payload":"#, "}"),
            1 => (r#"{"before":null,"after":"#, r#","source":{"lsn":5},"op":"c"}"#),
            2 => (r#"{"schema":{"type":"struct"},"payload":{"before":null,"after":"#, r#","source":{},"op":"c"}}"#),
            3 => (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"#, "}"),
            4 => (r#"{"fields":"#, r#","name":"m","tags":{},"timestamp":4}"#),
            5 => (r#"{"in":{"double":1},"x":"#, "}"),
            6 => (r#"{"_id":{"$oid":"1"},"x":"#, "}"),
            7 => (r#"{"root":"#, r#","f1":3}"#),
            _ => (r#"{"x":"#, "}"),
        };
        let schema = Schema {
            target: "f0".into(),
            root: (envelope == 7).then(|| "root".into()),
            nominal: vec!["f3".into()],
            ignore: vec!["f2.b".into()],
            rename: vec![Rename { from: "f4".into(), to: "g".into() }],
            ..Schema::default()
        };
        let space = |json: String| if spaced { json.replace(':', " : ").replace("},", "}\n,") } else { json };
        let wrapped = |(fields, odd): (&Vec<_>, &bool)| {
            let row = row(fields);
            // Some come without, with nothing in it, or cut.
            match (odd, fields.len()) {
                (true, 0) => space(format!("{}null{}", around.0, around.1)),
                (true, 1) => row,
                (true, 2) => space(format!("{}{row}", around.0)),
                _ => space(format!("{}{row}{}", around.0, around.1)),
            }
        };
        let records: Vec<String> = rows.iter().zip(&odd).map(wrapped).collect();
        let [mut short, mut long, mut behind] = [(); 3].map(|()| decoder(&schema));
        let mut ahead = ReadAhead::new(&schema);
        for run in records.chunks(length) {
            let rows = ahead.read(run.iter().map(|record| Some(record.as_bytes())));
            for (i, record) in run.iter().enumerate() {
                let bits = |result: Result<Sample<'_>, Rejection>| match result {
                    Ok(sample) => format!("{sample:?}"),
                    Err(rejection) => format!("{rejection:?}"),
                };
                let one = bits(short.decode(Some(record.as_bytes())));
                prop_assert_eq!(&one, &bits(behind.decode_ahead(Some(record.as_bytes()), rows.get(i))), "{}", record);
                prop_assert_eq!(&one, &bits(long.decode_full(record.as_bytes())), "{}", record);
            }
        }
        let bytes = |decoder: &Decoder| rmp_serde::to_vec_named(decoder.index()).expect("encoded");
        prop_assert_eq!(bytes(&short), bytes(&behind));
        prop_assert_eq!(bytes(&short), bytes(&long));
    }
}
