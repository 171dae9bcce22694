//! Decoding: what becomes a feature, what is refused and why, and that what is refused leaves no trace.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg_models::{ModelConfig, ModelKind, mixture, rls, tree};
use thalweg_pipeline::decode::{
    Absent, Decoder, Index, Notice, OnBad, OnBadField, ReadAhead, Rejection, Sample, Schema, Unit,
};
use thalweg_pipeline::prequential::{self, Prequential};

fn decoder(schema: &Schema) -> Decoder {
    Decoder::new(schema, Index::new(schema))
}

fn plain() -> Decoder {
    decoder(&Schema::default())
}

/// The features by name, unknown ones left out, and the target.
type Row = (Vec<(String, f64)>, Option<f64>);

fn decoded(decoder: &mut Decoder, json: &str) -> Result<Row, Rejection> {
    let (values, target) = {
        let sample = decoder.decode(Some(json.as_bytes()))?;
        (sample.features.values().to_vec(), sample.target)
    };
    let names = decoder.index().column_names().iter().cloned();
    Ok((names.zip(values).filter(|(_, value)| !value.is_nan()).collect(), target))
}

fn named(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn reason(json: &str) -> &'static str {
    plain().decode(Some(json.as_bytes())).expect_err(json).reason()
}

#[test]
fn numbers_and_booleans_are_features_and_text_and_null_are_not() {
    let json = r#"{"a":1.5,"b":true,"c":false,"d":"text","e":null,"f":-3,"y":7}"#;
    let expected = named(&[("a", 1.5), ("b", 1.0), ("c", 0.0), ("f", -3.0)]);
    assert_eq!(decoded(&mut plain(), json), Ok((expected, Some(7.0))));
}

#[test]
fn nested_objects_flatten_with_dots_and_arrays_with_indices() {
    let json = r#"{"x":[1,{"z":2},[3]],"place":{"at":{"lat":4}},"y":0}"#;
    let expected = named(&[("x.0", 1.0), ("x.1.z", 2.0), ("x.2.0", 3.0), ("place.at.lat", 4.0)]);
    assert_eq!(decoded(&mut plain(), json), Ok((expected, Some(0.0))));
}

#[test]
fn columns_keep_their_meaning_whatever_order_and_company_fields_come_in() {
    let mut decoder = plain();
    decoded(&mut decoder, r#"{"a":1,"b":2,"y":0}"#).expect("good");
    let swapped = decoded(&mut decoder, r#"{"y":0,"b":4,"c":5,"a":3}"#).expect("good");
    assert_eq!(swapped.0, named(&[("a", 3.0), ("b", 4.0), ("c", 5.0)]));
    assert_eq!(decoded(&mut decoder, r#"{"c":6,"y":1}"#).expect("good").0, named(&[("c", 6.0)]));
    assert_eq!(decoder.index().column_names(), ["a", "b", "c"]);
}

#[test]
fn a_missing_or_null_target_is_a_sample_to_predict_only() {
    for json in [r#"{"a":1}"#, r#"{"a":1,"y":null}"#] {
        assert_eq!(decoded(&mut plain(), json).expect("good").1, None);
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let long_name = format!(r#"{{"{}":1}}"#, "n".repeat(600));
    for (json, expected) in [
        ("", "empty"),
        ("{", "not_json"),
        ("{\"a\":1}}", "not_json"),
        ("{\"a\":1} {\"a\":1}", "not_json"),
        ("{'a':1}", "not_json"),
        (r#"{"a":nope}"#, "not_json"),
        ("\u{feff}{\"a\":1}", "not_json"),
        (deep.as_str(), "not_json"),
        ("null", "not_an_object"),
        ("[]", "not_an_object"),
        ("\"text\"", "not_an_object"),
        ("true", "not_an_object"),
        ("{}", "no_features"),
        (r#"{"y":null}"#, "no_features"),
        (r#"{"a":null,"b":"text"}"#, "no_features"),
        (r#"{"a":1,"y":Infinity}"#, "not_finite"),
        (r#"{"a":1,"y": -inf}"#, "not_finite"),
        (r#"{"a":1,"y":-1e999}"#, "not_finite"),
        (r#"{"a":1,"y":"1e999"}"#, "not_finite"),
        (r#"{"a":1,"y":-1e200}"#, "out_of_range"),
        (r#"{"a":1,"y":"seven"}"#, "not_a_number"),
        (r#"{"a":1,"y":[7]}"#, "not_a_number"),
        (r#"{"a":1,"y":{"z":7}}"#, "not_a_number"),
        // Of a record's only feature.
        (r#"{"a":1e151}"#, "out_of_range"),
        (r#"{"a":1e400}"#, "not_finite"),
        ("{\"b\":null,\n\"a\":\n -Infinity}", "not_finite"),
        (r#"{"a":[+inf]}"#, "not_finite"),
        (r#"{"a":NaN}"#, "no_features"),
        (long_name.as_str(), "name_too_long"),
    ] {
        let shown: String = json.chars().take(40).collect();
        assert_eq!(reason(json), expected, "{shown}");
    }
    assert_eq!(plain().decode(None).expect_err("a tombstone").reason(), "tombstone");
    assert_eq!(plain().decode(Some(b"\xff{}")).expect_err("no text").reason(), "not_json");
}

#[test]
fn a_refused_record_leaves_no_name_and_no_value_behind() {
    let schema = Schema { nominal: vec!["kind".into()], ..Schema::default() };
    let mut decoder = decoder(&schema);
    decoded(&mut decoder, r#"{"a":1,"kind":"red","y":1}"#).expect("good");
    let before = decoder.index().clone();
    for json in [r#"{"new":1,"kind":"blue","y":"text"}"#, r#"{"new":1,"a":5,"kind":"blue","y":1"#] {
        decoded(&mut decoder, json).expect_err("refused");
        assert_eq!(decoder.index().column_names(), before.column_names());
    }
    // Neither the refused "blue" nor the value of `a` is remembered.
    let (features, _) = decoded(&mut decoder, r#"{"kind":"green","y":1}"#).expect("good");
    assert_eq!(features, named(&[("kind", 1.0)]));
}

#[test]
fn duplicate_names_count_once_with_their_last_value() {
    let mut decoder = plain();
    for _ in 0..2 {
        assert_eq!(decoded(&mut decoder, r#"{"a":1,"a":2,"y":3,"y":4}"#), Ok((named(&[("a", 2.0)]), Some(4.0))));
    }
}

#[test]
fn numbers_read_to_the_last_bit() {
    for text in [
        "0.1",
        "-0.0",
        "5e-324",
        "1e150",
        "0.30000000000000004",
        "123456789012345678901234567890",
        "2.2250738585072011e-308",
    ] {
        let (features, _) = decoded(&mut plain(), &format!(r#"{{"a":{text}}}"#)).expect("good");
        assert_eq!(features[0].1.to_bits(), text.parse::<f64>().expect("a number").to_bits(), "{text}");
    }
}

#[test]
fn listed_features_are_the_only_ones_in_their_order() {
    let schema = Schema { features: Some(vec!["b".into(), "p.q".into()]), ..Schema::default() };
    let mut decoder = decoder(&schema);
    let (features, _) = decoded(&mut decoder, r#"{"a":1,"p":{"q":2,"r":3},"b":4,"y":0}"#).expect("good");
    assert_eq!(features, named(&[("b", 4.0), ("p.q", 2.0)]));
    assert_eq!(decoded(&mut decoder, r#"{"a":1}"#), Err(Rejection::NoFeatures));
    assert_eq!(decoded(&mut decoder, r#"{"a":1,"y":0}"#), Ok((vec![], Some(0.0))));
}

#[test]
fn ignored_fields_are_ignored_with_all_they_hold() {
    let schema = Schema { ignore: vec!["meta".into(), "id".into()], ..Schema::default() };
    let json = r#"{"id":17,"meta":{"a":[1,2],"b":"c"},"x":1,"y":2}"#;
    assert_eq!(decoded(&mut decoder(&schema), json).expect("good").0, named(&[("x", 1.0)]));
}

#[test]
fn nominal_features_number_their_categories_in_order_of_appearance() {
    let schema = Schema { nominal: vec!["c".into()], ..Schema::default() };
    let mut decoder = decoder(&schema);
    let mut category = |json: &str| {
        let sample: Sample<'_> = decoder.decode(Some(json.as_bytes())).expect("good");
        assert!(sample.features.is_nominal(0) && !sample.features.is_nominal(1));
        sample.features.values()[0]
    };
    let categories: Vec<f64> = ["\"red\"", "\"blue\"", "\"red\"", "3", "true", "\"3\""]
        .iter()
        .map(|value| category(&format!(r#"{{"c":{value},"x":1,"y":0}}"#)))
        .collect();
    assert_eq!(categories, [0.0, 1.0, 0.0, 2.0, 3.0, 2.0]);
}

#[test]
fn key_and_timestamp_come_from_their_fields_and_are_no_features() {
    let schema = Schema { key: Some("device".into()), timestamp: Some("at".into()), ..Schema::default() };
    let mut decoder = decoder(&schema);
    for (at, expected) in [("1700000000000", 1_700_000_000_000), ("\"2023-11-14T22:13:20Z\"", 1_700_000_000_000)] {
        let json = format!(r#"{{"device":"d7","at":{at},"x":1}}"#);
        let sample = decoder.decode(Some(json.as_bytes())).expect("good");
        assert_eq!((sample.key, sample.timestamp, sample.features.len()), (Some("d7"), Some(expected), 1));
    }
    for at in ["\"yesterday\"", "1e300"] {
        let json = format!(r#"{{"at":{at},"x":1}}"#);
        assert!(decoder.decode(Some(json.as_bytes())).is_err_and(|refused| refused.reason() == "bad_timestamp"));
    }
}

/// What a sample says: its features by name, target, key and time.
type Told = (Vec<(String, f64)>, Option<f64>, Option<String>, Option<i64>);

/// By the short way, the one that was read ahead, the long one, and as cells: all must agree.
fn every_way(schema: &Schema, json: &str) -> Told {
    let told = |decoder: &mut Decoder, way: usize| -> Told {
        let bytes = json.as_bytes();
        let mut ahead = ReadAhead::new(schema);
        let rows = ahead.read([Some(bytes)].into_iter());
        // A second time, when names and categories are known.
        for _ in 0..2 {
            let sample = match way {
                0 => decoder.decode(Some(bytes)),
                1 => decoder.decode_ahead(Some(bytes), rows.get(0)),
                _ => decoder.decode_full(bytes),
            };
            assert!(sample.is_ok(), "{json}");
        }
        let sample = decoder.decode_ahead(Some(bytes), rows.get(0).filter(|_| way == 1)).expect(json);
        let (values, rest) =
            (sample.features.values().to_vec(), (sample.target, sample.key.map(str::to_owned), sample.timestamp));
        let names = decoder.index().column_names().iter().cloned();
        (names.zip(values).filter(|(_, value)| !value.is_nan()).collect(), rest.0, rest.1, rest.2)
    };
    let ways: Vec<Told> = (0..3).map(|way| told(&mut decoder(schema), way)).collect();
    assert_eq!((&ways[0], &ways[0]), (&ways[1], &ways[2]), "{json}");
    ways.into_iter().next().expect("three")
}

#[test]
fn a_number_as_key_is_the_digits_that_were_written_where_numbers_cannot_tell_them_apart() {
    let keyed = Schema { key: Some("m.id".into()), ..Schema::default() };
    let written =
        ["18446744073709551616", "18446744073709551617", "-9007199254740993", "12.340", "0.5e-3", "1e21", "-7", "-0"];
    // A whole number has one form.
    for (number, key) in written.map(|it| (it, it)).into_iter().chain([("7", "7"), ("7.0", "7"), ("0.7e1", "7")]) {
        let told = every_way(&keyed, &format!(r#"{{"x":2,"m":{{"id":{number}}},"y":3}}"#));
        assert_eq!((told.0, told.2.as_deref()), (named(&[("x", 2.0)]), Some(key)));
        let feature = Schema { key_is_feature: true, ..keyed.clone() };
        let told = every_way(&feature, &format!(r#"{{"m":{{"id": {number} }},"n":NaN,"y":3}}"#));
        assert_eq!((told.0, told.2.as_deref()), (named(&[("m.id", number.parse().expect("a number"))]), Some(key)));
    }
}

#[test]
fn a_field_can_be_key_time_and_feature_at_once() {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let keyed = Schema { key: Some("id".into()), ..Schema::default() };
    let timed = Schema { timestamp: Some("at".into()), ..Schema::default() };
    let at = Some(1_700_000_000_000);
    // Whatever it is written as, the key is a category and copied.
    for (value, key) in [("\"d7\"", "d7"), ("7", "7"), ("true", "true")] {
        let schema = Schema { nominal: texts(&["id"]), ..keyed.clone() };
        let told = every_way(&schema, &format!(r#"{{"id":{value},"x":2,"y":3}}"#));
        let mut features = told.0;
        features.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!((features, told.1, told.2.as_deref()), (named(&[("id", 0.0), ("x", 2.0)]), Some(3.0), Some(key)));
    }
    let json = r#"{"id":7,"x":2,"y":3}"#;
    let only = every_way(&keyed, json);
    assert_eq!((only.0, only.2.as_deref()), (named(&[("x", 2.0)]), Some("7")));
    let kept = every_way(&Schema { key_is_feature: true, ..keyed.clone() }, json);
    assert_eq!((kept.0, kept.2.as_deref()), (named(&[("id", 7.0), ("x", 2.0)]), Some("7")));
    let listed = every_way(&Schema { features: Some(texts(&["x", "id"])), ..keyed.clone() }, json);
    assert_eq!((listed.0, listed.2.as_deref()), (named(&[("x", 2.0), ("id", 7.0)]), Some("7")));

    // A time is a number for the models however it is written.
    for value in ["1700000000000", "\"2023-11-14T22:13:20Z\""] {
        let json = format!(r#"{{"at":{value},"x":2,"y":3}}"#);
        let only = every_way(&timed, &json);
        assert_eq!((only.0, only.3), (named(&[("x", 2.0)]), at));
        let kept = every_way(&Schema { timestamp_is_feature: true, ..timed.clone() }, &json);
        assert_eq!((kept.0, kept.3), (named(&[("at", 1.7e12), ("x", 2.0)]), at));
        let listed = every_way(&Schema { features: Some(texts(&["at"])), ..timed.clone() }, &json);
        assert_eq!((listed.0, listed.3), (named(&[("at", 1.7e12)]), at));
    }
    // All at once.
    let schema = Schema { key: Some("at".into()), timestamp_is_feature: true, ..timed };
    let all = every_way(&schema, r#"{"at":1700000000000,"x":2,"y":3}"#);
    assert_eq!((all.0.len(), all.2.as_deref(), all.3), (2, Some("1700000000000"), at));
    // The target stays the target. The settings refuse this one.
    let schema = Schema { key: Some("y".into()), ..Schema::default() };
    let told = every_way(&schema, r#"{"x":2,"y":3}"#);
    assert_eq!((told.1, told.2.as_deref()), (Some(3.0), Some("3")));
}

#[test]
fn what_is_named_is_found_within_what_is_ignored() {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let schema = Schema {
        ignore: texts(&["meta", "after.raw"]),
        key: Some("meta.device.id".into()),
        timestamp: Some("meta.at".into()),
        target: "meta.list.1".into(),
        nominal: texts(&["after.raw.kind"]),
        ..Schema::default()
    };
    let json = r#"{"meta":{"device":{"id":"d7","n":1},"at":1700000000000,"list":[8,9,10],"other":{"id":3}},
        "after":{"x":1,"raw":{"kind":"a","b":2}}}"#;
    let told = every_way(&schema, json);
    let mut features = told.0;
    features.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(features, named(&[("after.raw.kind", 0.0), ("after.x", 1.0)]));
    assert_eq!((told.1, told.2.as_deref(), told.3), (Some(9.0), Some("d7"), Some(1_700_000_000_000)));
}

#[test]
fn a_time_that_holds_others_is_no_time_and_no_features() {
    for at in [r#"{"seconds":1774747800,"nanos":5}"#, "[2026,3,29,1,30]"] {
        let mut decoder = decoder(&Schema { timestamp: Some("at".into()), ..Schema::default() });
        let json = format!(r#"{{"at":{at},"x":1}}"#);
        assert_eq!(decoder.decode(Some(json.as_bytes())).expect_err(at).reason(), "bad_timestamp");
        assert_eq!(decoder.index().columns(), 0);
    }
}

#[test]
fn a_state_from_when_a_field_had_one_role_opens_with_all_of_them() {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    // As it was written: the last role of a name was the only one.
    let saved = serde_json::json!({
        "schema": {
            "target": "y", "features": null, "nominal": ["id"], "key": "id", "timestamp": "at", "ignore": [],
            "max_features": 4096, "max_record_bytes": 1_048_576
        },
        "names": [
            ["y", "Target"], ["id", {"Nominal": 1}], ["at", "Timestamp"], ["x", {"Column": 0}]
        ],
        "columns": ["x", "id"],
        "nominal": [false, true],
        "categories": [[], ["d1", "d7"]]
    });
    let index: Index = thalweg_state::read(&rmp_serde::to_vec_named(&saved).expect("saved")).expect("opened");
    let schema =
        Schema { nominal: texts(&["id"]), key: Some("id".into()), timestamp: Some("at".into()), ..Schema::default() };
    assert!(index.fits(&schema));
    let mut decoder = Decoder::new(&schema, index);
    let sample = decoder.decode(Some(br#"{"id":"d7","at":1700000000000,"x":2,"y":3}"#)).expect("good");
    assert_eq!((sample.features.values(), sample.key), (&[2.0, 1.0][..], Some("d7")));
    assert_eq!((sample.timestamp, sample.target), (Some(1_700_000_000_000), Some(3.0)));

    // A listed feature that was the key had a column that nothing reached.
    let mut saved = saved;
    saved["schema"]["features"] = serde_json::json!(["x", "id"]);
    saved["schema"]["nominal"] = serde_json::json!([]);
    saved["names"][1][1] = serde_json::json!("Key");
    saved["nominal"] = serde_json::json!([]);
    saved["categories"] = serde_json::json!([[], []]);
    let index: Index = thalweg_state::read(&rmp_serde::to_vec_named(&saved).expect("saved")).expect("opened");
    let schema = Schema { nominal: vec![], features: Some(texts(&["x", "id"])), ..schema };
    let mut decoder = Decoder::new(&schema, index);
    let sample = decoder.decode(Some(br#"{"id":7,"x":2,"y":3}"#)).expect("good");
    assert_eq!((sample.features.values(), sample.key), (&[2.0, 7.0][..], Some("7")));
}

#[test]
fn what_a_stream_can_make_grow_has_a_bound() {
    let schema = Schema { max_features: 2, max_record_bytes: 64, nominal: vec!["c".into()], ..Schema::default() };
    let mut decoder = decoder(&schema);
    decoded(&mut decoder, r#"{"a":1,"c":"x"}"#).expect("good");
    assert_eq!(decoded(&mut decoder, r#"{"a":1,"b":2}"#), Err(Rejection::TooManyFeatures { limit: 2 }));
    assert!(matches!(
        decoded(&mut decoder, &format!("{{\"a\":1{}}}", " ".repeat(64))),
        Err(Rejection::TooLarge { .. })
    ));
}

#[test]
fn too_many_categories_cost_the_detail_and_not_the_record() {
    let nominal = vec!["c".into()];
    let schema = Schema { nominal, max_categories: 3, ..Schema::default() };
    let mut decoder = decoder(&schema);
    let mut category = |text: &str| {
        let json = format!(r#"{{"c":"{text}","y":1}}"#);
        let ways = [0, 1, 2, 3].map(|way| {
            let sample = match way {
                0 | 1 => decoder.decode(Some(json.as_bytes())),
                2 => decoder.decode_full(json.as_bytes()),
                _ => decoder.decode_row([("c", text), ("y", "1")]),
            };
            sample.expect("good").features.values()[0]
        });
        assert!(ways.windows(2).all(|pair| pair[0] == pair[1]), "{ways:?}");
        (ways[0], decoder.take_notices())
    };
    for (i, text) in ["a", "b", "c"].iter().enumerate() {
        assert_eq!(category(text), (i as f64, vec![]));
    }
    let (first, notices) = category("d");
    assert_eq!((first, &notices), (3.0, &vec![Notice::CategoriesShared { field: "c".into(), limit: 3 }]));
    assert!(notices[0].to_string().contains("schema.max_categories") && notices[0].is_warning());
    for i in 0..2000 {
        let (number, notices) = category(&format!("rare {i}"));
        assert!(number < 3.0 + 2.0 && notices.is_empty());
    }
    assert_eq!(category("b"), (1.0, vec![]), "those that were first go on");
    assert_eq!(category("d").0, first);
    // A text without end is one category, and told apart from its like.
    let schema = Schema { max_categories: 10, ..schema };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    let long = |end: &str| format!(r#"{{"c":"{}{end}","y":1}}"#, "x".repeat(5000));
    let mut number = |json: &str| decoder.decode(Some(json.as_bytes())).expect("good").features.values()[0];
    assert_eq!([long("1"), long("2"), long("1")].map(|json| number(&json)), [0.0, 1.0, 0.0]);
    assert_eq!(decoder.take_notices(), [Notice::CategoryCut { field: "c".into() }]);
    let names = decoder.index().named_columns();
    assert!(format!("{names:?}").len() < 1000, "{names:?}");
}

#[test]
fn a_new_limit_of_categories_keeps_what_was_learned() {
    let schema = Schema { nominal: vec!["c".into()], max_categories: 2, ..Schema::default() };
    let mut first = decoder(&schema);
    for i in 0..100 {
        decoded(&mut first, &format!(r#"{{"c":"c{i}","y":1}}"#)).expect("good");
    }
    let bytes = rmp_serde::to_vec_named(first.index()).expect("saved");
    for max_categories in [1, 2, 1000] {
        let index: Index = thalweg_state::read(&bytes).expect("restored");
        let schema = Schema { max_categories, ..schema.clone() };
        assert!(index.fits(&schema));
        let known = index.named_columns();
        let mut second = Decoder::new(&schema, index);
        assert_eq!(decoded(&mut second, r#"{"c":"c1","y":1}"#).expect("good").0, named(&[("c", 1.0)]));
        let (new, _) = decoded(&mut second, r#"{"c":"another","y":1}"#).expect("good");
        let grown = second.index().named_columns() != known;
        assert_eq!(grown, max_categories == 1000, "{new:?}: a number of its own where there is room");
    }
}

#[test]
fn a_series_of_targets_alone_is_a_stream_and_grows_features_later() {
    let schema = Schema { timestamp: Some("at".into()), ..Schema::default() };
    let json = r#"{"at":"2013-01-01 10:00:00","y":3}"#;
    let told = every_way(&schema, json);
    assert_eq!(told, (vec![], Some(3.0), None, Some(1_357_034_400_000)));
    let mut decoder = decoder(&schema);
    assert_eq!(decoded(&mut decoder, json), Ok((vec![], Some(3.0))));
    assert_eq!(decoded(&mut decoder, r#"{"at":1,"x":2,"y":3}"#).expect("good").0, named(&[("x", 2.0)]));
    // All unknown, as a record of a sensor that fell silent.
    assert_eq!(decoded(&mut decoder, r#"{"x":null,"y":4}"#), Ok((vec![], Some(4.0))));
    for nothing in [r#"{"at":1}"#, r#"{"x":null,"y":null}"#, "{}"] {
        assert_eq!(decoded(&mut decoder, nothing), Err(Rejection::NoFeatures), "{nothing}");
    }
    assert_eq!(decoder.decode_row([("at", "2013-01-01"), ("y", "5")]).expect("good").target, Some(5.0));
}

#[test]
fn what_a_sparse_record_leaves_out_is_zero_where_that_is_set() {
    let schema = Schema { absent: Absent::Zero, nominal: vec!["c".into()], ..Schema::default() };
    let mut decoders = [(); 3].map(|()| decoder(&schema));
    let mut rows = |json: &str| {
        let bytes = Some(json.as_bytes());
        let ahead = ReadAhead::new(&Schema::default()).read([bytes].into_iter());
        let [short, read, full] = &mut decoders;
        let rows = [
            short.decode(bytes).map(|sample| sample.features.values().to_vec()),
            read.decode_ahead(bytes, ahead.get(0)).map(|sample| sample.features.values().to_vec()),
            full.decode_full(json.as_bytes()).map(|sample| sample.features.values().to_vec()),
        ];
        let bits = |row: &Vec<f64>| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let rows = rows.map(|row| row.expect(json));
        assert!(rows.iter().all(|row| bits(row) == bits(&rows[0])), "{json}: {rows:?}");
        rows[0].clone()
    };
    assert_eq!(rows(r#"{"a":1,"b":2,"y":0}"#), [1.0, 2.0]);
    assert_eq!(rows(r#"{"b":3,"y":0}"#), [0.0, 3.0]);
    assert_eq!(rows(r#"{"n":5,"y":0}"#), [0.0, 0.0, 5.0]);
    let null = rows(r#"{"a":null,"b":null,"n":4,"y":0}"#);
    assert!(null[0].is_nan() && null[1].is_nan() && null[2] == 4.0, "null says that it is unknown");
    let category = rows(r#"{"a":1,"c":"red","y":0}"#);
    assert_eq!(category, [1.0, 0.0, 0.0, 0.0]);
    let without = rows(r#"{"a":1,"y":0}"#);
    assert!(without[3].is_nan(), "a category that is not there is none");
    assert_eq!(rows(r#"{"y":0}"#)[..3], [0.0; 3]);
    // An empty cell is a value that is missing.
    let sample = decoders[0].decode_row([("a", ""), ("b", "1"), ("y", "0")]).expect("good");
    assert!(sample.features.values()[0].is_nan() && sample.features.values()[2] == 0.0);
}

#[test]
fn sparse_records_are_learned_to_their_noise_where_absent_is_zero() {
    // Uniform noise of ±0.1, whose standard deviation is 0.0577.
    let rolling = |absent: Absent| {
        let kinds = [
            ModelKind::Rls(rls::Params::default()),
            ModelKind::Mixture(mixture::Params::default()),
            ModelKind::HoeffdingTree(tree::Params::default()),
            ModelKind::Mean,
        ];
        let models = kinds.map(|kind| ModelConfig::new(kind.name(), kind).scaled(false)).to_vec();
        let mut race = Prequential::new(&prequential::Config::of(models));
        let mut decoder = decoder(&Schema { absent, ..Schema::default() });
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let weights: Vec<f64> = (0..40).map(|_| rng.random_range(-2.0..2.0)).collect();
        for _ in 0..3000 {
            let mut there = [0; 3].map(|_| rng.random_range(0..40));
            there.sort_unstable();
            let mut there = there.to_vec();
            there.dedup();
            let names: Vec<String> = there.iter().map(|i| format!("\"n{i}\":1")).collect();
            let sum: f64 = there.iter().map(|i| weights[*i]).sum();
            let y = sum + rng.random_range(-0.1..0.1);
            let json = format!("{{{},\"y\":{y}}}", names.join(","));
            let sample = decoder.decode(Some(json.as_bytes())).expect("good");
            race.step(sample.features, sample.target);
        }
        [0, 1, 2, 3].map(|i| race.rolling_rmse(i))
    };
    let [rls, mixture, tree, mean] = rolling(Absent::Zero);
    assert!(
        rls < 0.07 && mixture < 0.08 && tree < 0.4 * mean,
        "rls {rls}, mixture {mixture}, tree {tree}, mean {mean}"
    );
    let [_, mixture, _, mean] = rolling(Absent::Unknown);
    assert!(mixture > 0.8 * mean, "all that is known is one constant: {mixture} {mean}");
}

/// Their times in milliseconds, read one after the other.
fn times(schema: &Schema, values: &[&str]) -> Vec<Option<i64>> {
    let schema = Schema { timestamp: Some("at".into()), ..schema.clone() };
    let [mut short, mut full, mut table, mut behind] = [(); 4].map(|()| decoder(&schema));
    let mut ahead = ReadAhead::new(&Schema::default());
    let one = |value: &&str| {
        let json = format!(r#"{{"at":{value},"x":1}}"#);
        let rows = ahead.read([Some(json.as_bytes())].into_iter());
        let time = |sample: Result<Sample<'_>, Rejection>| match sample {
            Ok(sample) => sample.timestamp,
            Err(refused) => {
                assert_eq!(refused.reason(), "bad_timestamp", "{json}");
                None
            }
        };
        let ways = [
            time(short.decode(Some(json.as_bytes()))),
            time(full.decode_full(json.as_bytes())),
            time(behind.decode_ahead(Some(json.as_bytes()), rows.get(0))),
            time(table.decode_row([("at", value.trim_matches('"')), ("x", "1")])),
        ];
        assert!(ways.iter().all(|way| *way == ways[0]), "{json}: {ways:?}");
        ways[0]
    };
    values.iter().map(one).collect()
}

#[test]
fn times_are_understood_in_every_unit_and_as_text() {
    let at = Some(1_357_034_400_000);
    for value in ["1357034400", "1357034400000", "1357034400000000", "1357034400000000000", "1.3570344e9"] {
        assert_eq!(times(&Schema::default(), &[value, &format!("\"{value}\"")]), [at, at], "{value}");
    }
    assert_eq!(times(&Schema::default(), &["1357034400.25"]), [Some(1_357_034_400_250)]);
    let texts = ["\"2013-01-01 10:00:00\"", "\"2013-01-01T11:00:00+0100\"", "\"Tue, 01 Jan 2013 10:00:00 GMT\""];
    assert_eq!(times(&Schema::default(), &texts), [at; 3]);
    let paris = Schema { timezone: "Europe/Paris".into(), ..Schema::default() };
    assert_eq!(times(&paris, &["\"2013-01-01 11:00:00\"", "\"2013-01-01T10:00:00Z\""]), [at; 2]);
    let refused = ["\"01/02/2013\"", "\"soon\"", "true", "1e300", "\"\\u0000\""];
    let json = |value: &str| format!(r#"{{"at":{value},"x":1}}"#);
    let schema = Schema { timestamp: Some("at".into()), ..Schema::default() };
    for value in refused {
        let refused = decoder(&schema).decode(Some(json(value).as_bytes())).expect_err(value);
        assert_eq!(refused.reason(), "bad_timestamp", "{value}");
    }
    let said = decoder(&schema).decode(Some(json("\"01/02/2013\"").as_bytes())).expect_err("two dates").to_string();
    assert!(said.contains("01/02/2013") && said.contains("either way round") && said.contains("2013-01-31"), "{said}");
}

#[test]
fn the_unit_of_times_is_found_once_said_once_and_kept_across_a_restart() {
    let schema = Schema { timestamp: Some("at".into()), ..Schema::default() };
    let mut first = decoder(&schema);
    let time = |decoder: &mut Decoder, value: &str| {
        let json = format!(r#"{{"at":{value},"x":1}}"#);
        decoder.decode(Some(json.as_bytes())).map(|sample| sample.timestamp)
    };
    // Near 1970 nothing tells; a record that is refused decides nothing.
    assert_eq!(time(&mut first, "0"), Ok(Some(0)));
    first.decode(Some(br#"{"at":1357034400000,"x":1,"y":"no"}"#)).expect_err("refused");
    assert_eq!(first.take_notices(), []);
    assert_eq!(time(&mut first, "1357034400"), Ok(Some(1_357_034_400_000)));
    let [notice] = &first.take_notices()[..] else { panic!("not said once") };
    let said = notice.to_string();
    assert!(
        said.contains("in s,") && said.contains("2013-01-01T10:00:00Z") && said.contains("timestamp_unit"),
        "{said}"
    );
    let bytes = rmp_serde::to_vec_named(first.index()).expect("saved");
    let restored = || thalweg_state::read::<Index>(&bytes).expect("restored");
    let mut second = Decoder::new(&schema, restored());
    for decoder in [&mut first, &mut second] {
        assert_eq!(time(decoder, "1357034401"), Ok(Some(1_357_034_401_000)));
        assert!(time(decoder, "1357034400000").is_err(), "as seconds the year 44,972");
        assert_eq!(decoder.take_notices(), []);
    }
    // What is set comes before what was found, and changes no column.
    let set = Schema { timestamp_unit: Some(Unit::Ms), timezone: "+01:00".into(), ..schema.clone() };
    assert!(restored().fits(&set));
    let mut third = Decoder::new(&set, restored());
    assert_eq!(time(&mut third, "1357034400000"), Ok(Some(1_357_034_400_000)));
    assert_eq!(time(&mut third, "\"1970-01-01 01:00\""), Ok(Some(0)));
}

#[test]
fn an_implausible_time_is_used_and_told() {
    let schema = Schema { timestamp: Some("at".into()), ..Schema::default() };
    let mut decoder = decoder(&schema);
    let mut seen = |at: &str, now: i64| {
        decoder.set_now(now);
        let json = format!(r#"{{"at":{at},"x":1}}"#);
        let time = decoder.decode(Some(json.as_bytes())).expect("used").timestamp.expect("a time");
        (time, decoder.take_implausible())
    };
    let now = 1_800_000_000_000;
    assert_eq!(seen("1799999999999", now), (1_799_999_999_999, None));
    assert_eq!(seen("1800086400000", now).1, None, "a day ahead");
    let late = seen("1800086400001", now).1.expect("told");
    assert_eq!((late.field.as_str(), late.early, late.count), ("at", false, 1));
    assert!(late.to_string().contains("schema.timestamp_ahead") && late.to_string().contains("2027-01-16"), "{late}");
    assert_eq!(seen("631152000000", now).1, None);
    let early = seen("631151999999", now).1.expect("told");
    assert!(early.early && early.to_string().contains("schema.timestamp_min"), "{early}");
}

#[test]
fn a_restored_index_goes_on_as_if_it_had_never_stopped() {
    let schema = Schema { nominal: vec!["c".into()], ..Schema::default() };
    let mut first = decoder(&schema);
    decoded(&mut first, r#"{"b":1,"c":"x","a":2}"#).expect("good");
    let bytes = rmp_serde::to_vec_named(first.index()).expect("saved");
    let index: Index = thalweg_state::read(&bytes).expect("restored");
    let mut second = Decoder::new(&schema, index);
    for json in [r#"{"a":1,"c":"y","z":3}"#, r#"{"c":"x","b":1}"#] {
        assert_eq!(decoded(&mut first, json), decoded(&mut second, json));
    }
}

#[test]
fn cells_of_a_table_are_numbers_text_or_unknown() {
    let mut decoder = plain();
    let row = [("a", "1.5"), ("b", ""), ("c", " 2 "), ("d", "text"), ("y", "3")];
    let sample = decoder.decode_row(row).expect("good");
    assert_eq!((sample.features.values(), sample.target), (&[1.5, 2.0][..], Some(3.0)));
    for unknown in ["nan", "NA", "N/A", "?", "text", "inf", "1e400"] {
        let sample = decoder.decode_row([("a", unknown), ("c", "1"), ("y", "3")]).expect(unknown);
        assert!(sample.features.values()[0].is_nan(), "{unknown}");
    }
    assert_eq!(decoder.decode_row([("c", "1"), ("y", "-")]).expect("unknown").target, None);
    assert_eq!(decoder.decode_row([("c", "1"), ("y", "high")]).expect_err("text").reason(), "not_a_number");
}

/// A decoder that never takes the short way: a nested field that is ignored sends every record the long way.
fn the_long_way(json: &str) -> String {
    format!(r#"{},"long":{{}}}}"#, json.strip_suffix('}').expect("an object"))
}

/// Records of several layouts, some of which are not plain, or refused; `#` is a number.
const RECORDS: [&str; 57] = [
    r#"{"x0":NaN,"x1":#,"y":#}"#,
    r#"{"x0":#,"x1":-Infinity,"y":NaN}"#,
    r#"{"x0":#,"x1":1e400,"y":2}"#,
    r#"{"x0":#,"y":Infinity}"#,
    r##"{"x0":"#","x1":1,"y":"#"}"##,
    r#"{"x0":"word","x1":#,"y":1}"#,
    r##"{"n":"#","x1":1,"y":#}"##,
    r#"{"n":"word","x1":#,"y":1}"#,
    r#"{"n":#,"x1":1,"y":2}"#,
    r##"{"m":"#","y":1}"##,
    r#"{"m":#,"x0":"NaN","y":1}"#,
    r#"{"c":NaN,"k":NaN,"t":"NA","x0":#}"#,
    r#"{"x0":#,"x1":2,"y":#}"#,
    r#"{ "x0": # , "x1": 1, "y" : null }"#,
    r#"{"x1":#,"x0":2,"y":3}"#,
    r#"{"x0":#,"x2":1.5,"y":#}"#,
    r#"{"x0":1,"x0":#,"y":2,"y":null}"#,
    r#"{"x0":null,"y":#}"#,
    r#"{"c":#,"x0":1,"y":2}"#,
    r#"{"k":#,"x0":1,"y":2}"#,
    r#"{"t":#,"i":1,"x0":2,"y":3}"#,
    r#"{"x0":{"a":#},"y":2}"#,
    r#"{"x0":#e200,"y":2}"#,
    r#"{"x0":#,"y":"no"}"#,
    r#"{"x0":#,"x1":2,"x2":3,"x3":4,"x4":5,"x5":6,"x6":7,"x7":8,"y":9}"#,
    r#"{"z":#}"#,
    r#"{"d":{"x0":#,"on":true},"y":1}"#,
    r##"{"d":{"x0":"#","on":null},"y":1}"##,
    r#"{"d":{"x0":null,"on":"yes"},"y":#}"#,
    r#"{"d":#,"y":1}"#,
    r#"{"d":{},"y":#}"#,
    r#"{"d":[#,{"e":2},[3]],"y":1}"#,
    r#"{"d":[],"x0":[],"y":#}"#,
    r#"{"y":{"d":#}}"#,
    r#"{"y":{},"x0":#}"#,
    r#"{"i":{"d":#,"in":{"k":"a"}},"x0":1,"y":2}"#,
    r#"{"i":{"in":{"k":#}},"x0":1,"y":2}"#,
    r#"{"i":{"in":#},"x0":1,"y":2}"#,
    r#"{"k":{"d":#},"t":{"e":1},"y":1}"#,
    r#"{"t":{},"x0":#,"y":2}"#,
    r#"{"t":false,"x0":#,"y":2}"#,
    r#"{"t":"2026-03-29T01:30:00.5Z","x0":#,"y":2}"#,
    r#"{"k":"a\"b","x0":#,"y":2}"#,
    r#"{"k":"\ud83d\ude00\n","x0":#,"y":2}"#,
    r#"{"c":"bl\u00fc\"e","x0":#,"y":2}"#,
    r##"{"x0":"\u0031#","x1":#,"y":2}"##,
    r#"{"t":"2026-03-29T01:30:00.5\u005a","x0":#,"y":2}"#,
    r#"{"i":{"s":"\ud83d"},"x0":#,"y":2}"#,
    r#"{"s":"a\tb\\","i":"\\\"","x0":#,"y":2}"#,
    r#"{"k":true,"c":false,"x0":#,"y":2}"#,
    r#"{"k":90071992547409#,"c":1.50,"y":2}"#,
    r#"{"c":"blue","x0":#,"y":true}"#,
    r#"{"c":{"x0":#},"y":2}"#,
    r#"{"":{"":#},"y":2}"#,
    r#"{"d.x0":#,"d":{"x0":5},"y":2}"#,
    r#"{"x9":{"y":#},"x9":4,"y":2}"#,
    r#"{"é":"ü","x0":#,"y":2}"#,
];

/// All that a sample says, or why there is none.
fn told(result: Result<Sample<'_>, Rejection>) -> String {
    match result {
        Ok(Sample { features, target, key, timestamp, .. }) => {
            let bits: Vec<u64> = features.values().iter().map(|value| value.to_bits()).collect();
            format!("{bits:?} {:?} {key:?} {timestamp:?}", target.map(f64::to_bits))
        }
        Err(rejection) => format!("{rejection:?}"),
    }
}

proptest! {
    #[test]
    fn the_short_way_reads_what_the_long_way_reads(
        values in prop::collection::vec(
            prop_oneof![
                any::<f64>().prop_map(|value| format!("{value:?}")),
                // Longer than f64 can tell apart, so that the last digits decide how it is rounded.
                any::<f64>().prop_map(|value| format!("{value:.40e}")),
                "-?[0-9]{1,30}(\\.[0-9]{0,40})?([eE][+-]?[0-9]{0,4})?",
                any::<i64>().prop_map(|value| value.to_string()),
                "-?[0-9]{1,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?",
                Just("null".to_owned()),
            ],
            1..6,
        ),
        space in "[ \n\t]{0,2}",
    ) {
        let fields: Vec<String> =
            values.iter().enumerate().map(|(i, value)| format!("{space}\"x{i}\"{space}:{space}{value}{space}")).collect();
        let json = format!("{{{}}}", fields.join(","));
        let schema = Schema { ignore: vec!["long".into()], ..Schema::default() };
        let (short, long) = (decoded(&mut decoder(&schema), &json), decoded(&mut decoder(&schema), &the_long_way(&json)));
        let bits = |result: Result<Row, Rejection>| {
            let reason = |rejection: Rejection| rejection.reason();
            result.map(|(x, _)| x.into_iter().map(|(name, value)| (name, value.to_bits())).collect::<Vec<_>>()).map_err(reason)
        };
        prop_assert_eq!(bits(short), bits(long), "{}", json);
    }

    #[test]
    fn reading_ahead_changes_nothing(
        records in prop::collection::vec((0..RECORDS.len(), "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?", 1..24_usize), 1..40),
        length in 1..50_usize,
        listed in any::<bool>(),
        kept in any::<bool>(),
        nested in any::<bool>(),
        lenient in any::<bool>(),
    ) {
        let on_bad = if lenient { OnBad::Missing } else { OnBad::DeadLetter };
        let schema = Schema {
            on_bad_field: OnBadField { features: OnBad::Missing, target: on_bad, timestamp: on_bad },
            nominal: vec!["c".into()],
            key: Some(if nested { "i.in.k" } else { "k" }.into()),
            timestamp: Some("t".into()),
            timestamp_is_feature: kept && !listed,
            key_is_feature: kept && !listed,
            ignore: vec!["i".into()],
            features: listed.then(|| ["x0", "x2", "c", "k"].map(str::to_owned).to_vec()),
            max_record_bytes: 70,
            ..Schema::default()
        };
        let spelled = |(kind, number, times): &(usize, String, usize)| vec![RECORDS[*kind].replace('#', number); *times];
        let values: Vec<String> = records.iter().flat_map(spelled).collect();
        let [mut straight, mut behind, mut long] = [(); 3].map(|()| decoder(&schema));
        let mut ahead = ReadAhead::new(&schema);
        for run in values.chunks(length) {
            let rows = ahead.read(run.iter().map(|value| Some(value.as_bytes())));
            for (i, value) in run.iter().enumerate() {
                let one = told(straight.decode(Some(value.as_bytes())));
                let other = told(behind.decode_ahead(Some(value.as_bytes()), rows.get(i)));
                prop_assert_eq!(&one, &other, "{}", value);
                if value.len() <= schema.max_record_bytes {
                    prop_assert_eq!(one, told(long.decode_full(value.as_bytes())), "{}", value);
                }
            }
        }
        let bytes = |decoder: &Decoder| rmp_serde::to_vec_named(decoder.index()).expect("encoded");
        prop_assert_eq!(bytes(&straight), bytes(&behind));
        prop_assert_eq!(bytes(&straight), bytes(&long));
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_is_accepted_is_finite(
        noise in prop::collection::vec(any::<u8>(), 0..40),
        at in 0..60_usize,
    ) {
        let mut decoder = plain();
        let mut bytes = br#"{"x0":0.25,"x1":[1,-2e3],"s":"text","n":null,"y":14.2}"#.to_vec();
        let at = at.min(bytes.len());
        let end = (at + noise.len()).min(bytes.len());
        bytes.splice(at..end, noise);
        if let Ok(sample) = decoder.decode(Some(&bytes)) {
            prop_assert!(sample.features.values().iter().all(|value| value.is_nan() || value.abs() <= 1e150));
            prop_assert!(sample.target.is_none_or(|y| y.abs() <= 1e150));
        }
    }
}
