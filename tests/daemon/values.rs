//! What values are taken for: missing ones as producers write them, bad ones, numbers in text; and what is used of it all.

use crate::support::daemon::{Workspace, stdout};
use thalweg::pipeline::decode::{
    Decoder, FeatureKind, Index, Notice, NumericText, OnBad, OnBadField, Rejection, Sample, Schema,
};

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

/// The features by name, unknown ones left out, and the target.
type Row = (Vec<(String, f64)>, Option<f64>);

fn decoded(decoder: &mut Decoder, json: &str) -> Result<Row, Rejection> {
    let sample = decoder.decode(Some(json.as_bytes()))?;
    let (values, target) = (sample.features.values().to_vec(), sample.target);
    let names = decoder.index().column_names().iter().cloned();
    Ok((names.zip(values).filter(|(_, value)| !value.is_nan()).collect(), target))
}

fn named(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// A decoder that knows `x` and `z` as numbers.
fn warmed(schema: &Schema) -> Decoder {
    let mut decoder = decoder(schema);
    decoded(&mut decoder, r#"{"x":1,"z":2,"y":3}"#).expect("good");
    decoder
}

const WORDS: [&str; 17] = [
    "NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None", "", "-",
    "?",
];

#[test]
fn what_stands_for_a_missing_value_is_unknown_in_every_field() {
    let schema =
        Schema { nominal: vec!["c".into()], key: Some("k".into()), timestamp: Some("t".into()), ..Schema::default() };
    for word in WORDS.iter().flat_map(|word| [(*word).to_owned(), format!(" {word} ")]) {
        for first in [true, false] {
            let mut decoder = decoder(&schema);
            if !first {
                decoded(&mut decoder, r#"{"x":1,"c":"red","y":3}"#).expect("good");
            }
            let json = format!(r#"{{"x":"{word}","c":"{word}","k":"{word}","t":"{word}","z":5,"y":"{word}"}}"#);
            let sample: Sample<'_> = decoder.decode(Some(json.as_bytes())).expect(&json);
            let known = sample.features.values().iter().filter(|value| !value.is_nan()).count();
            assert_eq!((known, sample.target, sample.key, sample.timestamp), (1, None, None, None), "{json}");
            assert_eq!(decoder.take_notices(), []);
        }
    }
}

#[test]
fn words_that_python_and_others_write_without_quotes_are_unknown_at_any_depth() {
    for word in ["NaN", "nan", "-nan", "-NaN", "NAN"] {
        let mut decoder = warmed(&Schema::default());
        let json = format!("{{\"x\": {word} ,\"a\":[1,{word},{{\"b\":{word},\"c\":7}}],\n\"z\":5,\"y\":{word}}}");
        let expected = named(&[("z", 5.0), ("a.0", 1.0), ("a.2.c", 7.0)]);
        assert_eq!(decoded(&mut decoder, &json), Ok((expected, None)), "{json}");
    }
}

#[test]
fn an_empty_list_makes_them_bad_values() {
    let schema = Schema { missing: Vec::new(), ..Schema::default() };
    let mut decoder = warmed(&schema);
    for value in ["NaN", "\"NaN\"", "\"\"", "\"NA\""] {
        let (features, target) = decoded(&mut decoder, &format!(r#"{{"x":{value},"z":5,"y":1}}"#)).expect(value);
        assert_eq!((features, target), (named(&[("z", 5.0)]), Some(1.0)));
        assert!(decoded(&mut decoder, &format!(r#"{{"x":1,"y":{value}}}"#)).is_err(), "{value}");
    }
    assert_eq!(decoder.take_notices().len(), 1, "said once per field");
    let own = Schema { missing: vec!["-99.9".into(), "sensor off".into()], ..Schema::default() };
    let (features, target) = decoded(&mut warmed(&own), r#"{"x":"sensor off","z":5,"y":"-99.9"}"#).expect("good");
    assert_eq!((features, target), (named(&[("z", 5.0)]), None));
}

#[test]
fn a_bad_value_costs_its_field_in_a_feature_and_its_record_in_the_target() {
    for (value, reason) in [
        ("Infinity", "not_finite"),
        ("-inf", "not_finite"),
        ("\"Infinity\"", "not_finite"),
        ("1e400", "not_finite"),
        ("1e200", "out_of_range"),
        ("\"-1e200\"", "out_of_range"),
        ("\"hot\"", "not_a_number"),
        ("[1]", "not_a_number"),
        ("{\"v\":1}", "not_a_number"),
    ] {
        let mut decoder = warmed(&Schema::default());
        let (features, target) = decoded(&mut decoder, &format!(r#"{{"x":{value},"z":5,"y":1}}"#)).expect(value);
        assert_eq!((features, target), (named(&[("z", 5.0)]), Some(1.0)), "{value}");
        let notices = decoder.take_notices();
        assert_eq!((notices.len(), notices[0].name()), (1, "bad_value"), "{value}");
        assert!(notices[0].to_string().contains("field `x`"), "{}", notices[0]);
        let refused = decoded(&mut decoder, &format!(r#"{{"x":1,"y":{value}}}"#)).expect_err(value);
        assert_eq!((refused.reason(), refused.field()), (reason, Some("y")), "{value}");

        for (features, target) in [(OnBad::DeadLetter, OnBad::Missing), (OnBad::Missing, OnBad::Missing)] {
            let on_bad_field = OnBadField { features, target, ..OnBadField::DEFAULT };
            let mut decoder = warmed(&Schema { on_bad_field, ..Schema::default() });
            let feature = decoded(&mut decoder, &format!(r#"{{"x":{value},"z":5,"y":1}}"#));
            assert_eq!(feature.is_err(), features == OnBad::DeadLetter, "{value}");
            let json = format!(r#"{{"x":1,"y":{value}}}"#);
            assert_eq!(decoded(&mut decoder, &json), Ok((named(&[("x", 1.0)]), None)), "{value}");
        }
    }
}

/// The time, the known features, the text of the key.
type Timed = (Option<i64>, Vec<(String, f64)>, Option<String>);

fn timed(decoder: &mut Decoder, json: &str) -> Result<Timed, Rejection> {
    let sample = decoder.decode(Some(json.as_bytes()))?;
    let (time, values) = (sample.timestamp, sample.features.values().to_vec());
    let key = sample.key.map(str::to_owned);
    let names = decoder.index().column_names().iter().cloned();
    Ok((time, names.zip(values).filter(|(_, value)| !value.is_nan()).collect(), key))
}

const GOOD: &str = "1357034400000";

/// In JSON: numbers, texts, words, objects and arrays that are no time.
const NO_TIMES: [&str; 14] = [
    "1e300",
    "-1e300",
    "1e999",
    "\"1e300\"",
    "\"soon\"",
    "\"01/02/2013\"",
    "\"2013-02-30\"",
    "Infinity",
    "true",
    "{\"seconds\":1357034400,\"nanos\":5}",
    "{}",
    "[2013,1,1,10,0]",
    "[]",
    "[{\"x\":7}]",
];

#[test]
fn a_time_that_cannot_be_read_costs_the_record_or_only_the_time() {
    for on_bad in [OnBad::DeadLetter, OnBad::Missing] {
        for kept in [false, true] {
            let schema = Schema {
                timestamp: Some("t".into()),
                timestamp_is_feature: kept,
                on_bad_field: OnBadField { timestamp: on_bad, ..OnBadField::DEFAULT },
                ..Schema::default()
            };
            for value in NO_TIMES {
                // Before the field is known and after, and where another record comes between.
                for before in [0, 1, 2] {
                    let mut decoder = decoder(&schema);
                    for i in 0..before {
                        timed(&mut decoder, &format!(r#"{{"t":{GOOD},"x":{i},"y":3}}"#)).expect("good");
                    }
                    decoder.take_notices();
                    let json = format!(r#"{{"t":{value},"x":5,"y":1}}"#);
                    let before = decoder.index().column_names().len();
                    if on_bad == OnBad::DeadLetter {
                        let refused = timed(&mut decoder, &json).expect_err(value);
                        assert_eq!((refused.reason(), refused.field()), ("bad_timestamp", Some("t")), "{value}");
                        assert_eq!(decoder.index().column_names().len(), before, "{value}");
                        continue;
                    }
                    for json in [json.clone(), format!(r#"{{"y":1, "x":5 ,"t":{value}}}"#)] {
                        let (time, features, _) = timed(&mut decoder, &json).expect(value);
                        assert_eq!((time, features), (None, named(&[("x", 5.0)])), "{json}");
                    }
                    let said = decoder.take_notices();
                    assert_eq!((said.len(), said[0].name()), (1, "bad_value"), "once for two records: {value}");
                    let said = said[0].to_string();
                    assert!(said.contains("`t`") && said.contains("record itself stands in"), "{said}");
                    let used = decoder.fields();
                    let columns = decoder.index().column_names();
                    assert!(columns.iter().all(|name| name == "x" || name == "t"), "a time became {columns:?}");
                    assert_eq!((used.bad[0].name.as_str(), used.bad[0].values), ("t", 2), "{value}");
                    assert_eq!((used.records - used.with_timestamp, used.records > 2), (2, before > 0), "{value}");
                    // The next good one is read as ever.
                    let (time, features, _) = timed(&mut decoder, &format!(r#"{{"t":{GOOD},"x":6}}"#)).expect("good");
                    assert_eq!(time, Some(1_357_034_400_000), "{value}");
                    assert_eq!(features.len(), 1 + usize::from(kept), "{value}");
                }
            }
        }
    }
}

#[test]
fn a_time_that_cannot_be_read_may_be_key_or_category_all_the_same() {
    let on_bad_field = OnBadField { timestamp: OnBad::Missing, ..OnBadField::DEFAULT };
    let schema = Schema { timestamp: Some("t".into()), on_bad_field, ..Schema::default() };
    let keyed = Schema { key: Some("t".into()), ..schema.clone() };
    for (value, key) in [("\"soon\"", "soon"), ("true", "true"), ("Infinity", "Infinity")] {
        let (time, _, found) = timed(&mut decoder(&keyed), &format!(r#"{{"t":{value},"x":5}}"#)).expect(value);
        assert_eq!((time, found.as_deref()), (None, Some(key)), "{value}");
    }
    let nominal = Schema { nominal: vec!["t".into()], ..schema };
    for value in ["\"soon\"", "true", "1e300"] {
        let mut decoder = decoder(&nominal);
        let (time, features, _) = timed(&mut decoder, &format!(r#"{{"t":{value},"x":5}}"#)).expect(value);
        assert_eq!((time, features.len()), (None, 2), "{value}");
    }
    // Of two, the last counts, whichever is the good one.
    let plain = || decoder(&Schema { nominal: Vec::new(), ..nominal.clone() });
    let (last, _, _) = timed(&mut plain(), r#"{"t":"soon","x":5,"t":1357034400000}"#).expect("used");
    let (first, _, _) = timed(&mut plain(), r#"{"t":1357034400000,"x":5,"t":"soon"}"#).expect("used");
    assert_eq!((last, first), (Some(1_357_034_400_000), None));
    // Nothing else in the record: the reason is the time's.
    let alone = timed(&mut plain(), r#"{"t":"soon"}"#).expect_err("nothing to use");
    assert_eq!(alone.reason(), "bad_timestamp");
}

#[test]
fn a_time_that_is_missing_is_counted_and_costs_nothing() {
    let schema = Schema { timestamp: Some("t".into()), ..Schema::default() };
    let mut decoder = decoder(&schema);
    for t in ["null", "\"\"", "NaN", "\"NaT\"", GOOD] {
        timed(&mut decoder, &format!(r#"{{"t":{t},"x":5,"y":1}}"#)).expect(t);
    }
    timed(&mut decoder, r#"{"x":5,"y":1}"#).expect("absent");
    let used = decoder.fields();
    assert_eq!((used.records, used.with_timestamp, used.timestamp.as_deref()), (6, 1, Some("t")));
}

#[test]
fn what_keeps_a_time_from_being_read_is_said() {
    let schema = Schema { timestamp: Some("t".into()), ..Schema::default() };
    let said = |value: &str| {
        let json = format!(r#"{{"t":{value},"x":5}}"#);
        timed(&mut decoder(&schema), &json).expect_err(value).to_string()
    };
    for (value, part) in [
        ("\"05/01/2024 10:20\"", "either way round"),
        ("\"2024-01-05 10:20:30 CET\"", "offset such as +01:00"),
        ("\"Jan 5, 2024\"", "year first"),
        ("\"10:20:30\"", "year first"),
        ("[2024,1,5]", "an array"),
        ("{\"seconds\":1}", "an object"),
    ] {
        let said = said(value);
        assert!(said.contains(part) && said.contains("2013-01-31T10:00:00Z") && said.contains("`t`"), "{said}");
    }
    // A number that looks like a date is one since 1970, and a warning tells what to do.
    let mut decoder = decoder(&schema);
    decoder.set_now(1_800_000_000_000);
    for (number, date) in [("20240105", "20240105"), ("20240105102030", "20240105102030")] {
        timed(&mut decoder, &format!(r#"{{"t":{number},"x":5}}"#)).expect("used");
        let told = decoder.take_implausible().expect("told").to_string();
        assert!(told.contains(&format!("has to be text, \"{date}\"")), "{told}");
    }
    timed(&mut decoder, r#"{"t":86400,"x":5}"#).expect("used");
    let told = decoder.take_implausible().expect("told").to_string();
    assert!(!told.contains("has to be text"), "{told}");
}

#[test]
fn every_message_names_the_field_and_shows_the_value_and_gives_fitting_advice() {
    let long = format!("\"{}\"", "ä".repeat(500));
    for (value, parts, not) in [
        ("\"hot\"", &["`y`", "\"hot\"", "schema.missing"][..], "nominal"),
        ("Infinity", &["`y`", "Infinity"], "nominal"),
        ("1e200", &["`y`", "1e200"], "nominal"),
        ("[1.5]", &["`y`", "an array", "schema.target = \"y.0\""], "nominal"),
        ("{\"double\":1.5}", &["`y`", "an object", "schema.target = \"y.double\""], "nominal"),
        (&long, &["`y`", "ääää"], "nominal"),
    ] {
        let message = decoded(&mut warmed(&Schema::default()), &format!(r#"{{"x":1,"y":{value}}}"#)).expect_err(value);
        let message = message.to_string();
        assert!(parts.iter().all(|part| message.contains(part)) && !message.contains(not), "{message}");
        assert!(message.len() < 400, "{message}");
    }
    let strict = Schema { numeric_text: NumericText::Never, ..Schema::default() };
    let message = |value: &str| {
        let mut decoder = warmed(&strict);
        decoded(&mut decoder, &format!(r#"{{"x":{value},"z":5,"y":1}}"#)).expect("only the field");
        decoder.take_notices()[0].to_string()
    };
    assert!(message("\"red\"").contains("schema.nominal"));
    assert!(message("\"7\"").contains("schema.numeric_text") && !message("\"7\"").contains("nominal"));
    assert!(!message("[1]").contains("nominal") && !message("{}").contains("nominal"));
}

#[test]
fn numbers_in_text_are_read_where_a_number_belongs() {
    let mut decoder = warmed(&Schema::default());
    for (text, expected) in [("231.4", 231.4), ("9007199254740993", 9_007_199_254_740_992.0), (" +1e5 ", 1e5)] {
        let json = format!(r#"{{"x":"{text}","z":5,"y":"{text}"}}"#);
        assert_eq!(decoded(&mut decoder, &json), Ok((named(&[("x", expected), ("z", 5.0)]), Some(expected))));
    }
    for text in ["1,234.5", "1_000", "00123", "0x10", "12 %"] {
        let json = format!(r#"{{"x":"{text}","z":5,"y":1}}"#);
        assert_eq!(decoded(&mut decoder, &json), Ok((named(&[("z", 5.0)]), Some(1.0))), "{text}");
    }
    let listed = Schema { features: Some(vec!["p".into()]), ..Schema::default() };
    assert_eq!(
        decoded(&mut self::decoder(&listed), r#"{"p":"7","q":"8","y":1}"#),
        Ok((named(&[("p", 7.0)]), Some(1.0)))
    );
    let category = Schema { nominal: vec!["c".into()], ..Schema::default() };
    assert_eq!(decoded(&mut self::decoder(&category), r#"{"c":"7","y":1}"#), Ok((named(&[("c", 0.0)]), Some(1.0))));
}

#[test]
fn a_field_whose_first_hundred_texts_are_numbers_is_one_and_loses_none_of_them() {
    let mut decoder = decoder(&Schema::default());
    for i in 0..100 {
        let found = decoded(&mut decoder, &format!(r#"{{"p":"{i}.5","y":1}}"#)).expect("good");
        assert_eq!(found.0, named(&[("p", f64::from(i) + 0.5)]), "none is lost");
        let expected = if i == 99 { vec![Notice::NumericText { field: "p".into() }] } else { vec![] };
        assert_eq!(decoder.take_notices(), expected, "after {i}");
    }
    // From now on other text is a bad value.
    assert_eq!(decoded(&mut decoder, r#"{"p":"sold out","z":1,"y":1}"#).expect("good").0, named(&[("z", 1.0)]));
    assert_eq!(decoder.take_notices()[0].name(), "bad_value");
    assert_eq!(decoded(&mut decoder, r#"{"p":"7","y":1}"#).expect("good").0, named(&[("p", 7.0)]));
}

#[test]
fn a_field_with_other_text_among_the_first_hundred_is_text_until_it_holds_a_number() {
    let mut decoder = decoder(&Schema::default());
    for i in 0..99 {
        decoded(&mut decoder, &format!(r#"{{"p":"{i}","z":1,"y":1}}"#)).expect("good");
    }
    for text in ["A7", "8"] {
        let found = decoded(&mut decoder, &format!(r#"{{"p":"{text}","z":1,"y":1}}"#)).expect("good");
        assert_eq!(found.0, named(&[("z", 1.0)]), "{text}");
    }
    assert_eq!(decoder.take_notices(), [Notice::Words { field: "p".into() }]);
    assert_eq!(decoded(&mut decoder, r#"{"p":5,"z":1,"y":1}"#).expect("good").0, named(&[("p", 5.0), ("z", 1.0)]));
    assert_eq!(decoder.index().column_names(), ["p", "z"]);
    // What begins with other text is text, whatever follows.
    for text in ["A7", "8"] {
        let found = decoded(&mut decoder, &format!(r#"{{"id":"{text}","z":1,"y":1}}"#)).expect("good");
        assert_eq!(found.0, named(&[("z", 1.0)]), "{text}");
    }
}

#[test]
fn the_switch_reads_all_numbers_in_text_or_none() {
    let always = Schema { numeric_text: NumericText::Always, ..Schema::default() };
    let mut decoder = self::decoder(&always);
    decoded(&mut decoder, r#"{"p":"A7","z":1,"y":1}"#).expect("good");
    assert_eq!(decoded(&mut decoder, r#"{"p":"8","y":"1"}"#), Ok((named(&[("p", 8.0)]), Some(1.0))));
    let never = Schema { numeric_text: NumericText::Never, ..Schema::default() };
    let mut decoder = warmed(&never);
    assert_eq!(decoded(&mut decoder, r#"{"x":"8","p":"9","z":1,"y":1}"#).expect("good").0, named(&[("z", 1.0)]));
    assert_eq!(decoded(&mut decoder, r#"{"x":8,"y":"1"}"#).expect_err("text").reason(), "not_a_number");
}

#[test]
fn a_restart_amid_the_first_hundred_texts_changes_nothing() {
    let schema = Schema::default();
    let record = |i: usize| match i {
        0..=60 => format!(r#"{{"p":"{i}","q":"{i}","w":"word {i}","z":1,"y":1}}"#),
        61 => r#"{"p":"61","q":"none left","w":"7","z":1,"y":1}"#.to_owned(),
        _ => format!(r#"{{"p":"{i}","q":"{i}","w":"{i}","v":"{i}","z":1,"y":1}}"#),
    };
    for stop in [0, 1, 30, 61, 62, 99, 100, 130] {
        let (mut straight, mut stopped) = (decoder(&schema), decoder(&schema));
        for i in 0..170 {
            if i == stop {
                let bytes = rmp_serde::to_vec_named(stopped.index()).expect("saved");
                stopped = Decoder::new(&schema, thalweg::state::read(&bytes).expect("restored"));
            }
            assert_eq!(
                decoded(&mut straight, &record(i)),
                decoded(&mut stopped, &record(i)),
                "stop {stop}, record {i}"
            );
        }
        let bytes = |decoder: &Decoder| rmp_serde::to_vec_named(decoder.index()).expect("saved");
        assert_eq!(bytes(&straight), bytes(&stopped));
    }
}

#[test]
fn text_cannot_make_the_names_or_the_features_grow_without_end() {
    let mut decoder = decoder(&Schema { max_features: 50, ..Schema::default() });
    for i in 0..5000 {
        decoded(&mut decoder, &format!(r#"{{"x":1,"n{i}":"{i}","w{i}":"word","y":1}}"#)).expect("good");
    }
    assert_eq!(decoder.index().columns(), 50);
    assert!(rmp_serde::to_vec_named(decoder.index()).expect("saved").len() < 100_000);
    assert!(decoder.fields().text.len() <= 1024);
}

#[test]
fn what_is_used_is_told_with_what_is_not() {
    let schema = Schema {
        nominal: vec!["carrier".into(), "orgin".into()],
        ignore: vec!["meta".into(), "debug".into()],
        key: Some("device_id".into()),
        timestamp: Some("at.time".into()),
        ..Schema::default()
    };
    let mut decoder = decoder(&schema);
    for i in 0..10 {
        let json = format!(
            r#"{{"temp":{i},"price":"{i}.5","carrier":"C{}","origin":"JFK","note":"n {}","meta":{{"a":1}},"where":{{"time":7}},"deviceid":3,"y":1}}"#,
            i % 3,
            i % 4
        );
        decoded(&mut decoder, &json).expect("good");
    }
    decoded(&mut decoder, r#"{"temp":"hot","price":"1","y":null}"#).expect("good");
    let fields = decoder.fields();
    assert_eq!((fields.records, fields.with_target), (11, 10));
    let kinds: Vec<(&str, FeatureKind)> = fields.features.iter().map(|it| (it.name.as_str(), it.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("temp", FeatureKind::Number),
            ("price", FeatureKind::NumberInText),
            ("carrier", FeatureKind::Category { categories: 3 }),
            ("where.time", FeatureKind::Number),
            ("deviceid", FeatureKind::Number),
        ]
    );
    let text = fields.text.iter().map(|text| (text.name.as_str(), text.different)).collect::<Vec<_>>();
    assert_eq!(text, [("origin", 1), ("note", 4)]);
    assert_eq!(fields.text[0].example, "\"JFK\"");
    assert_eq!(fields.ignored, ["meta"]);
    let unseen: Vec<(&str, &str, Option<&str>)> =
        fields.never_seen.iter().map(|it| (it.setting, it.name.as_str(), it.nearest.as_deref())).collect();
    assert_eq!(
        unseen,
        [
            ("schema.key", "device_id", Some("deviceid")),
            ("schema.timestamp", "at.time", Some("where.time")),
            ("schema.nominal", "orgin", Some("origin")),
            ("schema.ignore", "debug", None),
        ]
    );
    assert_eq!((fields.bad[0].name.as_str(), fields.bad[0].values), ("temp", 1));
}

#[test]
fn elements_past_the_end_of_an_array_are_not_seen() {
    let schema = Schema { features: Some(["x.0", "x.1", "x.2"].map(str::to_owned).to_vec()), ..Schema::default() };
    let mut decoder = decoder(&schema);
    decoded(&mut decoder, r#"{"x":[1,2],"y":1}"#).expect("good");
    let unseen: Vec<String> = decoder.fields().never_seen.into_iter().map(|unseen| unseen.name).collect();
    assert_eq!(unseen, ["x.2"]);
}

#[test]
fn a_state_from_before_keeps_its_columns_and_reads_numbers_in_text_from_now_on() {
    // As the index was saved before any of this could be set.
    let mut old = decoder(&Schema::default());
    decoded(&mut old, r#"{"x":1,"z":2,"y":3}"#).expect("good");
    let bytes = rmp_serde::to_vec_named(old.index()).expect("saved");
    let mut saved: serde_json::Value = rmp_serde::from_slice(&bytes).expect("a map");
    for key in ["missing", "on_bad_field", "numeric_text"] {
        assert!(saved["schema"].as_object_mut().expect("a map").remove(key).is_some());
    }
    assert!(saved.as_object_mut().expect("a map").remove("texts").is_some());
    let bytes = rmp_serde::to_vec_named(&saved).expect("saved");
    let index: Index = thalweg::state::read(&bytes).expect("it opens");
    assert!(index.fits(&Schema::default()));
    let mut decoder = Decoder::new(&Schema::default(), index);
    assert_eq!(decoded(&mut decoder, r#"{"x":"7","z":NaN,"y":"1"}"#), Ok((named(&[("x", 7.0)]), Some(1.0))));
    assert_eq!(decoder.index().column_names(), ["x", "z"]);
}

#[test]
fn replay_says_what_is_used_and_learns_from_what_python_writes() {
    let site = Workspace::new(&["schema.nominal=[\"orgin\"]"]);
    let rows: String = (0..300)
        .map(|i| {
            let gust = if i % 3 == 0 { "NaN".to_owned() } else { format!("{}", i % 17) };
            format!("{{\"origin\": \"JFK\", \"gust\": {gust}, \"id\": \"{i}\", \"y\": {}}}\n", i % 7)
        })
        .collect();
    site.write("weather.jsonl", &rows);
    let output = site.run(&["replay", "weather.jsonl"]);
    let text = stdout(&output);
    assert!(text.contains("300 records, 300 scored, 0 not usable"), "{text}");
    for part in ["gust", "id (in text)", "origin (", "never seen: `orgin` of schema.nominal; did you mean `origin`?"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let report = stdout(&site.run(&["replay", "weather.jsonl", "--report", "json"]));
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["fields"]["features"][0], serde_json::json!({"name": "id", "kind": "number_in_text"}));
    assert_eq!(report["fields"]["never_seen"][0]["nearest"], "origin");
}

#[test]
fn check_reads_a_file_and_says_what_is_used() {
    let site = Workspace::new(&["schema.target=\"arr_dealy\""]);
    site.write("flights.csv", "arr_delay,dep_delay,carrier\n1,2,UA\nNA,3,AA\n5,soon,B6\n");
    let text = stdout(&site.run(&["check", "flights.csv"]));
    for part in ["arr_dealy", "did you mean `arr_delay`?", "dep_delay", "carrier (", "bad values", "soon"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let missing = site.run(&["check", "nowhere.csv"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.csv"));
}

#[test]
fn the_daemon_says_what_is_used_what_never_came_and_that_there_is_no_target() {
    let site = Workspace::new(&["generator.enabled=false", "schema.target=\"tmep\"", "schema.ignore=[\"stationid\"]"]);
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let state = site.state();
    for i in 0..20 {
        let gust = if i == 3 { "Infinity".to_owned() } else { i.to_string() };
        let value = format!(r#"{{"temp":{i},"gust":{gust},"station":"EWR","price":"{i}.5"}}"#);
        let row = rusqlite::params![i, value.into_bytes()];
        let insert = "INSERT INTO samples (partition, offset, timestamp, value) VALUES (0, ?1, 1700000000000, ?2)";
        state.execute(insert, row).expect("insert");
    }
    drop(state);
    let output = site.run(&["run", "--until-caught-up"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = |event: &str| {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(event)).collect();
        assert_eq!(lines.len(), 1, "{event} in {said}");
        lines[0].to_owned()
    };
    let fields = line("what is used of the samples");
    assert!(["temp", "gust", "price (in text)", "station ("].iter().all(|part| fields.contains(part)), "{fields}");
    let no_target = line("no_target");
    assert!(no_target.contains("WARN") && no_target.contains("did you mean `temp`?"), "{no_target}");
    let never = line("never_seen");
    assert!(["WARN", "schema.ignore", "stationid", "station"].iter().all(|part| never.contains(part)), "{never}");
    let bad = line("event=\"bad_value\"");
    assert!(["WARN", "gust", "Infinity"].iter().all(|part| bad.contains(part)), "{bad}");
    assert_eq!(site.predictions().len(), 20);
}
