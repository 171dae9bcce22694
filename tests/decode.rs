//! Decoding: what becomes a feature, what is refused and why, and that what is refused leaves no trace.

use proptest::prelude::*;
use thalweg::pipeline::decode::{Ahead, Decoder, Index, Rejection, Sample, Schema};

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
        (r#"{"y":1}"#, "no_features"),
        (r#"{"a":null,"b":"text","y":1}"#, "no_features"),
        (r#"{"a":NaN}"#, "not_finite"),
        (r#"{"a": nan}"#, "not_finite"),
        ("{\"b\":1,\n\"a\":\n -Infinity}", "not_finite"),
        (r#"{"a":[1,+inf]}"#, "not_finite"),
        (r#"{"a":1e400}"#, "not_finite"),
        (r#"{"a":1,"y":-1e999}"#, "not_finite"),
        (r#"{"a":1e151}"#, "out_of_range"),
        (r#"{"a":1,"y":-1e200}"#, "out_of_range"),
        (r#"{"a":1,"y":"7"}"#, "not_a_number"),
        (r#"{"a":1,"y":[7]}"#, "not_a_number"),
        (r#"{"a":1,"y":{"z":7}}"#, "not_a_number"),
        (long_name.as_str(), "name_too_long"),
    ] {
        let shown: String = json.chars().take(40).collect();
        assert_eq!(reason(json), expected, "{shown}");
    }
    assert_eq!(plain().decode(None).expect_err("a tombstone").reason(), "tombstone");
    assert_eq!(plain().decode(Some(b"\xff{}")).expect_err("no text").reason(), "not_json");
}

#[test]
fn text_in_a_column_that_holds_numbers_is_refused_elsewhere_ignored() {
    let mut decoder = plain();
    decoded(&mut decoder, r#"{"a":1,"note":"ok","y":1}"#).expect("good");
    let refused = decoded(&mut decoder, r#"{"a":"1","y":1}"#).expect_err("text");
    assert_eq!(refused, Rejection::NotANumber { field: "a".into(), found: "text" });
    assert!(refused.to_string().contains("schema.nominal"));
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
    assert_eq!(decoded(&mut decoder, r#"{"a":1,"y":0}"#), Err(Rejection::NoFeatures));
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
        let mut ahead = Ahead::new(1 << 20);
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
    let index: Index = serde_json::from_value(saved.clone()).expect("opened");
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
    let index: Index = serde_json::from_value(saved).expect("opened");
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
    for i in 1..1024 {
        decoded(&mut decoder, &format!(r#"{{"c":"{i}"}}"#)).expect("good");
    }
    assert!(matches!(decoded(&mut decoder, r#"{"c":"one more"}"#), Err(Rejection::TooManyCategories { .. })));
    decoded(&mut decoder, r#"{"c":"7"}"#).expect("known ones go on");
}

#[test]
fn a_restored_index_goes_on_as_if_it_had_never_stopped() {
    let schema = Schema { nominal: vec!["c".into()], ..Schema::default() };
    let mut first = decoder(&schema);
    decoded(&mut first, r#"{"b":1,"c":"x","a":2}"#).expect("good");
    let bytes = rmp_serde::to_vec_named(first.index()).expect("saved");
    let index: Index = rmp_serde::from_slice(&bytes).expect("restored");
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
    assert_eq!(decoder.decode_row([("a", "nan"), ("y", "3")]).expect_err("NaN").reason(), "not_finite");
    assert_eq!(decoder.decode_row([("a", "x"), ("y", "3")]).expect_err("text").reason(), "not_a_number");
}

/// A decoder that never takes the short way: a nested field that is ignored sends every record the long way.
fn the_long_way(json: &str) -> String {
    format!(r#"{},"long":{{}}}}"#, json.strip_suffix('}').expect("an object"))
}

/// Records of several layouts, some of which are not plain, or refused; `#` is a number.
const RECORDS: [&str; 14] = [
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
];

/// All that a sample says, or why there is none.
fn told(result: Result<Sample<'_>, Rejection>) -> String {
    match result {
        Ok(Sample { features, target, key, timestamp }) => {
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
    ) {
        let schema = Schema {
            nominal: vec!["c".into()],
            key: Some("k".into()),
            timestamp: Some("t".into()),
            timestamp_is_feature: kept && !listed,
            key_is_feature: kept && !listed,
            ignore: vec!["i".into()],
            features: listed.then(|| ["x0", "x2", "c", "k"].map(str::to_owned).to_vec()),
            max_record_bytes: 60,
            ..Schema::default()
        };
        let spelled = |(kind, number, times): &(usize, String, usize)| vec![RECORDS[*kind].replace('#', number); *times];
        let values: Vec<String> = records.iter().flat_map(spelled).collect();
        let (mut straight, mut behind, mut ahead) = (decoder(&schema), decoder(&schema), Ahead::new(60));
        for run in values.chunks(length) {
            let rows = ahead.read(run.iter().map(|value| Some(value.as_bytes())));
            for (i, value) in run.iter().enumerate() {
                let one = told(straight.decode(Some(value.as_bytes())));
                let other = told(behind.decode_ahead(Some(value.as_bytes()), rows.get(i)));
                prop_assert_eq!(one, other, "{}", value);
            }
        }
        let bytes = |decoder: &Decoder| rmp_serde::to_vec_named(decoder.index()).expect("encoded");
        prop_assert_eq!(bytes(&straight), bytes(&behind));
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
