//! Records that real serializers wrote by a schema are the same samples as in JSON.

use std::{collections::BTreeMap, sync::Arc};

use crate::formats::{Written, all, damaged, schemas};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg_pipeline::decode::{
    self, Decoder, Definition, Envelope, Format, Index, Learned, OnDelete, Origin, ReadAhead, Rejection, Sample,
    Schema, Writer,
};
use thalweg_topic::record::Record;

/// What a record means, whatever the order of its columns.
#[derive(Debug, PartialEq)]
struct Meaning {
    features: BTreeMap<String, u64>,
    target: Option<u64>,
    key: Option<String>,
    timestamp: Option<i64>,
}

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

/// Reads a record, and says what it means by the names of its columns; a column that was never seen is not there.
fn meaning(
    decoder: &mut Decoder,
    read: impl FnOnce(&mut Decoder) -> Result<(Vec<f64>, Option<f64>, Option<String>, Option<i64>), Rejection>,
) -> Result<Meaning, &'static str> {
    let (row, target, key, timestamp) = read(decoder).map_err(|rejection| rejection.reason())?;
    // Categories are numbers in the order in which they came, which is that of the records.
    let names = decoder.index().column_names().iter().cloned();
    let features = names.zip(row).filter(|(_, value)| !value.is_nan()).map(|(name, value)| (name, value.to_bits()));
    Ok(Meaning { features: features.collect(), target: target.map(f64::to_bits), key, timestamp })
}

fn owned(sample: Sample<'_>) -> (Vec<f64>, Option<f64>, Option<String>, Option<i64>) {
    (sample.features.values().to_vec(), sample.target, sample.key.map(str::to_owned), sample.timestamp)
}

#[test]
fn what_serializers_write_by_a_schema_is_the_same_sample_as_in_json() {
    for written in all() {
        for schema in schemas() {
            let typed = Schema { format: written.format.clone(), ..schema.clone() };
            let (mut json, mut full, mut quick) = (decoder(&schema), decoder(&typed), decoder(&typed));
            let mut ahead = ReadAhead::new(&typed);
            for learned in &written.learned {
                full.learn(learned);
                quick.learn(learned);
            }
            let records: Vec<_> = written.rows.iter().map(|(record, _)| record.clone()).collect();
            let rows = ahead.read_records(&records, &written.learned);
            for (i, (record, text)) in written.rows.iter().enumerate() {
                let expected = meaning(&mut json, |it| it.decode(Some(text.as_bytes())).map(owned));
                let found = meaning(&mut full, |it| it.decode_record(record, None).map(owned));
                assert_eq!(found, expected, "{}, row {i}: {text} by {schema:?}", written.name);
                let found = meaning(&mut quick, |it| it.decode_record(record, rows.get(i)).map(owned));
                assert_eq!(found, expected, "{}, row {i}, read ahead: {text} by {schema:?}", written.name);
                assert_eq!(rows.get(i).is_some(), written.shape != "lists", "{}, row {i}", written.name);
            }
            assert_eq!(quick.index().column_names(), full.index().column_names(), "{}", written.name);
        }
    }
}

#[test]
fn a_record_whose_schema_is_not_known_says_which_one_that_is() {
    let written = all().into_iter().find(|it| !it.learned.is_empty()).expect("one with a registry");
    let mut decoder = decoder(&Schema { format: written.format.clone(), ..Schema::default() });
    let refused = decoder.decode_record(&written.rows[0].0, None).expect_err("nobody said");
    assert_eq!(refused.reason(), "unknown_schema");
    for value in
        [&b""[..], b"\0", b"\0\0\0\0", b"\0\0\0\0\0\0\0\0\x07\x02", b"{\"x\":1}", b"\xc3\x01\0\0\0\0\0\0\0\0\0"]
    {
        let refused = decoder.decode(Some(value)).expect_err("no frame");
        let expected = if value.is_empty() { "empty" } else { "not_framed" };
        assert_eq!(refused.reason(), expected, "{value:?}: {refused}");
    }
}

/// A change of Debezium's, of rows with two numbers.
const CHANGE: &str = r#"{"type":"record","name":"Envelope","fields":[
    {"name":"before","type":["null",{"type":"record","name":"Row","fields":[
        {"name":"x","type":"double"},{"name":"y","type":"double"}]}]},
    {"name":"after","type":["null","Row"]},{"name":"op","type":"string"}]}"#;

#[test]
fn a_change_in_avro_is_the_row_after_it_and_one_that_deletes_is_skipped() {
    let definition = Definition { body: CHANGE.into(), ..Definition::default() };
    for on_delete in [OnDelete::Skip, OnDelete::DeadLetter] {
        let schema = Schema {
            format: Format::Avro(Origin::File(definition.clone())),
            envelope: Envelope::Debezium,
            on_delete,
            ..Schema::default()
        };
        let row = [&[2][..], &1.5_f64.to_le_bytes(), &7_f64.to_le_bytes()].concat();
        let insert = [&[0][..], &row, &[2, b'c']].concat();
        let delete = [&row[..], &[0, 2, b'd']].concat();
        let mut decoder = decoder(&schema);
        let mut ahead = ReadAhead::new(&schema);
        let records = [insert, delete].map(|value| Record { value: Some(value.into()), ..Record::default() });
        let rows = ahead.read_records(&records, &[]);
        for row in [None, rows.get(0)] {
            let sample = decoder.decode_record(&records[0], row).expect("a row");
            assert_eq!((sample.features.values(), sample.target), (&[1.5][..], Some(7.0)));
        }
        for row in [None, rows.get(1)] {
            let refused = decoder.decode_record(&records[1], row).expect_err("nothing to learn");
            assert_eq!((refused.reason(), refused.is_skipped()), ("deleted", on_delete == OnDelete::Skip));
        }
        assert_eq!(decoder.index().column_names(), ["x"]);
    }
    let format = Format::Avro(Origin::File(definition));
    let mut rooted = decoder(&Schema { format, root: Some("before".into()), ..Schema::default() });
    let insert = [&[0, 2][..], &[0; 16], &[2, b'c']].concat();
    assert_eq!(rooted.decode(Some(&insert)).expect_err("no row there").reason(), "no_root");
}

#[test]
fn every_truncation_of_a_record_is_refused_or_read_the_same_both_ways() {
    for written in all() {
        let typed = Schema { format: written.format.clone(), ..Schema::default() };
        let (mut full, mut quick) = (decoder(&typed), decoder(&typed));
        let mut ahead = ReadAhead::new(&typed);
        for learned in &written.learned {
            full.learn(learned);
            quick.learn(learned);
        }
        for (record, _) in written.rows.iter().take(3) {
            let whole = record.value.clone().expect("a value");
            for end in 0..whole.len() {
                let cut = Record { value: Some(whole.slice(..end)), ..record.clone() };
                let rows = ahead.read_records(std::slice::from_ref(&cut), &written.learned);
                let found = [
                    meaning(&mut full, |it| it.decode_record(&cut, None).map(owned)),
                    meaning(&mut quick, |it| it.decode_record(&cut, rows.get(0)).map(owned)),
                ];
                assert_eq!(found[0], found[1], "{} cut at {end}", written.name);
                // What Protocol Buffers leave out has its default.
                let may_fit = matches!(written.format, Format::Protobuf(_));
                assert!(may_fit || found[0].is_err(), "{} cut at {end}", written.name);
            }
        }
    }
}

#[test]
fn a_million_damaged_records_are_read_the_same_both_ways_in_bounded_memory() {
    const MUTATIONS: usize = 1_000_000;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let all = all();
    for written in &all {
        let typed = Schema { format: written.format.clone(), ..Schema::default() };
        let (mut full, mut quick) = (decoder(&typed), decoder(&typed));
        let mut ahead = ReadAhead::new(&typed);
        for learned in &written.learned {
            full.learn(learned);
            quick.learn(learned);
        }
        for i in 0..MUTATIONS / all.len() {
            let (record, _) = &written.rows[i % written.rows.len()];
            let whole = record.value.as_deref().expect("a value");
            let value = damaged(whole, &mut |below| rng.random_range(0..below));
            let record = Record { value: Some(value.clone().into()), ..record.clone() };
            let rows = ahead.read_records(std::slice::from_ref(&record), &written.learned);
            let mut found = None;
            let memory = allocation_counter::measure(|| {
                found = Some(meaning(&mut full, |it| it.decode_record(&record, None).map(owned)))
            });
            // A value of a list takes a cell or a name, whatever its bytes say of their number.
            let bound = (1 << 16) + 400 * value.len() as u64;
            assert!(memory.bytes_max < bound, "{}: {} bytes for {value:x?}", written.name, memory.bytes_max);
            let other = meaning(&mut quick, |it| it.decode_record(&record, rows.get(0)).map(owned));
            assert_eq!(found, Some(other), "{}: {value:x?}", written.name);
        }
    }
}

#[test]
fn a_datum_of_a_container_ends_where_it_is_read_to() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut files, mut misread) = (0, 0);
    for written in all() {
        if !matches!(written.format, Format::Avro(Origin::File(_))) || !written.name.contains("none") {
            continue;
        }
        files += 1;
        let writer = Writer::new(&written.format, &written.definition).expect("a schema");
        let values: Vec<&[u8]> = written.rows.iter().filter_map(|(record, _)| record.value.as_deref()).collect();
        let (block, mut at) = (values.concat(), 0);
        for value in &values {
            assert_eq!(writer.end_of(&block, at), Some(at + value.len()), "{}", written.name);
            assert_eq!(writer.end_of(&block[..at + value.len() - 1], at), None, "{}", written.name);
            at += value.len();
        }
        // Whatever can be read has that end, and what has an end elsewhere cannot be read.
        let mut decoder = decoder(&Schema { format: written.format.clone(), ..Schema::default() });
        for _ in 0..2_000 {
            let value = damaged(values[random.random_range(0..values.len())], &mut |most| random.random_range(0..most));
            let is_whole = writer.end_of(&value, 0) == Some(value.len());
            match decoder.decode(Some(&value)) {
                Ok(_) => assert!(is_whole, "{}: {value:x?}", written.name),
                Err(rejection) if rejection.reason() == "does_not_fit" => misread += u32::from(is_whole),
                Err(_) => {}
            }
        }
    }
    assert!(files >= 6 && misread > 10, "{files} files, {misread} with an end that cannot be read");
}

#[test]
fn damaged_schemas_are_refused_or_used_and_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut used = 0;
    // What is no text is in a file of one's own.
    let is_text =
        |written: &Written| std::str::from_utf8(&written.definition.body).is_ok_and(|text| !text.contains('\u{1}'));
    for written in all().into_iter().filter(is_text) {
        for i in 0..200 {
            let mut body = written.definition.body.clone();
            // One letter for another leaves many of them good.
            let [at, from] = [(); 2].map(|()| rng.random_range(0..body.len()));
            body[at] = body[from];
            if i % 4 == 0 {
                body = damaged(&body, &mut |below| rng.random_range(0..below));
            }
            let definition = Definition { body, ..written.definition.clone() };
            let Ok(writer) = Writer::new(&written.format, &definition) else { continue };
            used += 1;
            let Some(learned) = written.learned.first() else { continue };
            let mut decoder = decoder(&Schema { format: written.format.clone(), ..Schema::default() });
            decoder.learn(&Learned { meaning: decode::Meaning::Known(Arc::new(writer)), ..learned.clone() });
            for (record, _) in &written.rows {
                drop(decoder.decode_record(record, None).map(owned));
            }
        }
    }
    assert!(used > 100, "only {used} could be used: this test does not see what it should");
}

/// Reads a record of Avro by a schema.
fn avro(schema: &str, value: &[u8]) -> Result<(Decoder, Option<f64>), Rejection> {
    let definition = Definition { body: schema.into(), ..Definition::default() };
    let typed = Schema { format: Format::Avro(Origin::File(definition)), ..Schema::default() };
    let mut decoder = decoder(&typed);
    let target = decoder.decode(Some(value))?.target;
    Ok((decoder, target))
}

#[test]
fn what_a_schema_claims_costs_no_more_than_the_record_has_bytes() {
    // A list of a million million nulls, which take no bytes; types that double eighty times; a list of itself.
    let nulls = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}"#;
    let refused = avro(nulls, &[0x80, 0x80, 0xa0, 0xf8, 0xb8, 0x74, 0]).expect_err("too many");
    assert_eq!(refused.reason(), "does_not_fit", "{refused}");
    let mut doubling = r#"{"type":"record","name":"R0","fields":[{"name":"n","type":"null"}]}"#.to_owned();
    for i in 1..40 {
        doubling = format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":{doubling}}},{{"name":"b","type":"R{}"}}]}}"#,
            i - 1
        );
    }
    let refused = avro(&doubling, &[0]).expect_err("too many");
    assert!(["does_not_fit", "bad_schema"].contains(&refused.reason()), "{refused}");
    let itself =
        r#"{"type":"record","name":"R","fields":[{"name":"x","type":"double"},{"name":"next","type":["null","R"]}]}"#;
    let deep = [[0, 0, 0, 0, 0, 0, 0, 0, 2].as_slice(); 100].concat();
    assert_eq!(avro(itself, &deep).expect_err("too deep").reason(), "does_not_fit");
    let (decoder, _) = avro(itself, &[[0, 0, 0, 0, 0, 0, 0, 0, 2].as_slice(), &[0; 9]].concat()).expect("two");
    assert_eq!(decoder.index().column_names(), ["x", "next.x"]);
}

/// Ids and schemas of a stream, as they come.
struct Evolving {
    decoder: Decoder,
    ahead: ReadAhead,
    format: Format,
}

impl Evolving {
    fn new(format: Format) -> Self {
        let schema = Schema { format: format.clone(), ..Schema::default() };
        Self { decoder: decoder(&schema), ahead: ReadAhead::new(&schema), format }
    }

    /// Reads a record by a schema, both ways; returns what is known by name.
    fn read(&mut self, id: u8, schema: &str, own: &[u8], is_ahead: bool) -> BTreeMap<String, f64> {
        let definition = Definition { body: schema.into(), ..Definition::default() };
        let writer = Writer::new(&self.format, &definition).expect("a schema");
        let meaning = decode::Meaning::Known(Arc::new(writer));
        let learned = Learned { offset: 0, id: decode::SchemaId::Number(id.into()), meaning };
        self.decoder.learn(&learned);
        let value = [&[0, 0, 0, 0, id], own].concat();
        let record = Record { value: Some(value.into()), ..Record::default() };
        let rows = self.ahead.read_records(std::slice::from_ref(&record), &[learned]);
        assert!(rows.get(0).is_some());
        let row = rows.get(0).filter(|_| is_ahead);
        let (values, ..) = self.decoder.decode_record(&record, row).map(owned).expect("a sample");
        let names = self.decoder.index().column_names().iter().cloned();
        names.zip(values).filter(|(_, value)| !value.is_nan()).collect()
    }
}

#[test]
fn a_schema_evolves_without_a_restart() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let first = record(r#"{"name":"temperature","type":"int"},{"name":"old","type":"int"}"#);
    // Renamed, promoted, removed, added.
    let second = record(
        r#"{"name":"temp","type":"double","aliases":["temperature","t"]},
           {"name":"place","type":{"type":"record","name":"P","fields":[{"name":"lat","type":"float"}]}}"#,
    );
    // Renamed once more, with what it is within.
    let third = record(
        r#"{"name":"degrees","type":["null","long"],"aliases":["temp","temperature"]},
           {"name":"site","aliases":["place"],"type":{"type":"record","name":"P","fields":[
             {"name":"latitude","type":"float","aliases":["lat"]}]}}"#,
    );
    for is_ahead in [false, true] {
        let mut stream = Evolving::new(Format::Avro(Origin::Registry));
        let mut read = |id, schema: &str, own: &[u8]| stream.read(id, schema, own, is_ahead);
        let known = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let half = 0.5_f32.to_le_bytes();
        assert_eq!(read(1, &first, &[6, 2]), known(&[("temperature", 3.0), ("old", 1.0)]));
        let own = [&4.5_f64.to_le_bytes()[..], &half].concat();
        assert_eq!(read(2, &second, &own), known(&[("temperature", 4.5), ("place.lat", 0.5)]), "{is_ahead}");
        assert_eq!(
            read(3, &third, &[&[2, 10][..], &half].concat()),
            known(&[("temperature", 5.0), ("place.lat", 0.5)])
        );
        // Producers of before may still be there.
        assert_eq!(read(1, &first, &[8, 2]), known(&[("temperature", 4.0), ("old", 1.0)]));
    }
    for is_ahead in [false, true] {
        let mut stream = Evolving::new(Format::Protobuf(Origin::Registry));
        let mut read = |id, schema: &str, own: &[u8]| stream.read(id, schema, own, is_ahead);
        let known = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let first = "syntax = \"proto3\"; message R { int32 a = 1; optional int32 b = 2; }";
        let second = "syntax = \"proto3\"; message R { int64 a = 1; reserved 2; double c = 3; }";
        assert_eq!(read(1, first, &[0, 8, 3, 16, 4]), known(&[("a", 3.0), ("b", 4.0)]));
        assert_eq!(read(2, second, &[0, 16, 9]), known(&[("a", 0.0), ("c", 0.0)]));
        assert_eq!(read(1, first, &[0, 8, 5, 25, 0, 0, 0, 0, 0, 0, 0, 0]), known(&[("a", 5.0)]));
    }
}
