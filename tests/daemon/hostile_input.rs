//! Records made to do harm: what becomes of each, that nothing is lost, and that what was refused leaves no trace.
//!
//! `just fuzz-decode` looks for what these miss. `tests/kafka.rs` and the end of this file send a part of them through
//! the daemon.

use std::time::{Duration, Instant};

use crate::formats::damaged;
use crate::hostile::{GOOD, cases};
use crate::support::{
    daemon::Workspace,
    hostile_oracle::{HostileOracle, Outcome, schemas},
    typed_schemas::typed,
};
use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg::{
    pipeline::decode::{Format, Schema},
    topic::record::{Headers, Record},
};

/// "prediction", or the reason of the dead letter.
fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Prediction(_) => "prediction",
        Outcome::DeadLetter(reason, _) => reason,
    }
}

#[test]
fn every_hostile_record_ends_as_it_should() {
    for case in cases() {
        let mut oracle = HostileOracle::new(Schema::default());
        oracle.value(0, Some(GOOD));
        let began = Instant::now();
        let outcome = oracle.value(1, case.value.as_deref());
        assert_eq!(name(&outcome), case.expected, "{}", case.name);
        // Minutes where a cost grows with the square of a record; a loaded machine takes its time, too.
        assert!(began.elapsed() < Duration::from_secs(5), "{} took {:?}", case.name, began.elapsed());
        oracle.value(2, Some(GOOD));
        oracle.finish();
        // The two good ones and the probe.
        assert_eq!(oracle.predictions + oracle.dead_letters, 4, "{}", case.name);
    }
}

#[test]
fn under_every_schema_each_record_is_one_prediction_or_one_dead_letter() {
    for schema in schemas() {
        let mut oracle = HostileOracle::new(schema);
        let cases = cases();
        for (offset, case) in (0..).zip(&cases) {
            oracle.value(offset, case.value.as_deref());
        }
        assert_eq!(oracle.predictions + oracle.dead_letters, cases.len() as u64);
        oracle.finish();
    }
}

#[test]
fn records_of_other_formats_are_one_prediction_or_one_dead_letter_whatever_is_in_them() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for (kind, schema) in typed(&schemas()).into_iter().enumerate() {
        // What a serializer could have written, of numbers and texts in turns.
        let parts: [&[u8]; 11] =
            [&[0; 8], &[4, 2], &[2], &[2, 2, 9, 0], &[2, 2], &[0; 8], &[0, 8], b"\x02k", &[0; 12], &[2], &[0; 8]];
        let mut valid = parts.concat();
        if matches!(schema.format, Format::Protobuf(_)) {
            valid = [
                &b"\x09\0\0\0\0\0\0\xf0\x3f\x18\x01\x22\x02\x18\x01\x3a\x02\x08\x05\x42\x01k\x60\x09\x71"[..],
                &[0; 8],
            ]
            .concat();
        }
        let mut oracle = HostileOracle::new(schema);
        let cases = cases();
        for (offset, case) in (0..).zip(&cases) {
            oracle.value(offset, case.value.as_deref());
        }
        let mut offset = cases.len() as i64;
        for i in 0..1500 {
            // Most damage leaves nothing to read.
            let value =
                if i % 10 == 0 { valid.clone() } else { damaged(&valid, &mut |below| rng.random_range(0..below)) };
            oracle.value(offset, Some(&value));
            offset += 1;
        }
        assert_eq!(oracle.predictions + oracle.dead_letters, offset as u64);
        assert!(oracle.predictions > 20, "schema {kind}: only {} predictions", oracle.predictions);
        oracle.finish();
    }
}

#[test]
fn what_is_refused_changes_no_later_prediction() {
    let refused: Vec<_> = cases().into_iter().filter(|case| case.expected != "prediction").collect();
    let (mut clean, mut disturbed) = (HostileOracle::new(Schema::default()), HostileOracle::new(Schema::default()));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (i, case) in (0..).zip(&refused) {
        let (a, b): (f64, f64) = (rng.random(), rng.random());
        let good = format!(r#"{{"x":{a},"z":{b},"y":{}}}"#, 3.0 * a - b);
        let expected = clean.value(2 * i, Some(good.as_bytes()));
        assert_eq!(disturbed.value(2 * i, Some(good.as_bytes())), expected, "after {}", case.name);
        disturbed.value(2 * i + 1, case.value.as_deref());
    }
    assert_eq!((disturbed.predictions, disturbed.dead_letters), (refused.len() as u64, refused.len() as u64));
    disturbed.finish();
}

#[test]
fn headers_of_a_sample_stay_and_ours_are_said_anew() {
    let header = |name: &'static str, value: &'static [u8]| (name, value);
    let mut forged = Headers::from([
        header("", b""),
        header("trace", b"\xff\x00"),
        header("n\u{0}\n\"", b"v"),
        header("thalweg.offset", b"999"),
        header("thalweg.reason", b"forged"),
        header("thalweg.truncated", b"12"),
        header("thalweg.other", b"x"),
        header("thalweg.retry", b"0/3"),
        header("trace", b"again"),
    ]);
    forged.push("null".into(), None);
    forged.push(b"\xff"[..].into(), None);
    let mut oracle = HostileOracle::new(Schema::default());
    let record = |value: &[u8]| Record {
        key: Some(b"\xfe\x00key"[..].into()),
        value: Some(Bytes::copy_from_slice(value)),
        headers: forged.clone(),
        ..Record::default()
    };
    let Outcome::DeadLetter("not_json", letter) = oracle.record(record(b"no")) else { panic!("not refused") };
    let (ours, own): (Vec<_>, Vec<_>) = letter.headers.iter().partition(|(name, _)| name.starts_with(b"thalweg."));
    let value = |value: &'static [u8]| Some(value);
    assert_eq!(
        own,
        [
            (&b""[..], value(b"")),
            (b"trace", value(b"\xff\x00")),
            (b"n\0\n\"", value(b"v")),
            (b"trace", value(b"again")),
            (b"null", None),
            (b"\xff", None),
        ]
    );
    let mut names: Vec<_> = ours.iter().map(|(name, _)| String::from_utf8_lossy(&name["thalweg.".len()..])).collect();
    names.sort();
    assert_eq!(names, ["error", "offset", "partition", "reason", "retry", "timestamp", "topic"]);
    assert_eq!(
        (letter.headers.get("thalweg.offset"), letter.headers.get("thalweg.retry")),
        (value(b"0"), value(b"0/3"))
    );
    // A prediction has the key and no headers.
    let Outcome::Prediction(prediction) = oracle.record(record(GOOD)) else { panic!("refused") };
    assert_eq!((prediction.key.as_deref(), prediction.headers.len()), (Some(&b"\xfe\x00key"[..]), 0));
}

#[test]
fn a_key_that_no_prediction_could_carry_is_refused_wherever_it_comes_from() {
    let long = "k".repeat(70_000);
    let mut oracle = HostileOracle::new(Schema { key: Some("k".into()), ..Schema::default() });
    let sample = format!(r#"{{"k":"{long}","x":1,"y":2}}"#);
    assert_eq!(name(&oracle.value(0, Some(sample.as_bytes()))), "key_too_long");
    let record = Record { key: Some(long.into()), value: Some(GOOD.into()), ..Record::default() };
    assert_eq!(name(&oracle.record(Record { offset: 1, ..record })), "key_too_long");
    let most = Record { offset: 2, key: Some(vec![0; 64 << 10].into()), value: Some(GOOD.into()), ..Record::default() };
    assert_eq!(name(&oracle.record(most)), "prediction");
}

/// What a number may be replaced by.
const EXTREMES: [&str; 16] = [
    "1e400",
    "-1e400",
    "1e308",
    "1e150",
    "-1e150",
    "1e151",
    "5e-324",
    "-0.0",
    "NaN",
    "Infinity",
    "null",
    "true",
    "\"7\"",
    "[]",
    "{}",
    "123456789012345678901234567890",
];

/// What is swapped, dropped and doubled.
const TOKENS: [&[u8]; 12] =
    [b"{", b"}", b"[", b"]", b":", b",", b"\"", b"\\", b"null", b"\"y\"", b"\"x0\"", b"\\ud800"];

/// A record like those of the stream, and its like.
fn valid(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let (a, b) = (rng.random::<f64>(), rng.random::<f64>());
    match rng.random_range(0..4) {
        0 => format!(r#"{{"x0":{a},"x1":{b},"y":{}}}"#, a - b),
        1 => format!(r#"{{"x0":{a:.3},"d":{{"e":[{b:.2},1]}},"s":"te\nxt","n":null,"y":{}}}"#, a + b),
        2 => format!(r#"{{"k":"key","t":1700000000000,"c":"k{}","x1":{b},"y":{a}}}"#, (9.0 * a) as u8),
        _ => format!(r#"{{"x0":{},"c":true,"x1":-{b:.1}}}"#, (1000.0 * a) as i32),
    }
    .into_bytes()
}

fn mutate(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let at = rng.random_range(0..=bytes.len());
    match rng.random_range(0..12) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, rng.random()),
        3 if at < bytes.len() => drop(bytes.remove(at)),
        4 => {
            let other = valid(rng);
            let from = rng.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        5 => {
            let token = TOKENS[rng.random_range(0..TOKENS.len())];
            bytes.splice(at..at, token.iter().copied());
        }
        6 | 7 => {
            // Swaps what is on the two sides of a comma, inside of the braces.
            let commas: Vec<usize> = (1..bytes.len()).filter(|&i| bytes[i] == b',').collect();
            if let Some(&comma) = commas.get(at % commas.len().max(1))
                && comma + 1 < bytes.len()
            {
                let end = bytes.len() - 1;
                let swapped = [&bytes[comma + 1..end], b",", &bytes[1..comma]].concat();
                bytes[1..end].copy_from_slice(&swapped);
            }
        }
        _ => {
            let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            let Some(start) = bytes.iter().skip(at).position(|byte| byte.is_ascii_digit()).map(|i| at + i) else {
                return;
            };
            let end = bytes[start..].iter().position(|byte| !is_number(byte)).map_or(bytes.len(), |i| start + i);
            let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())];
            bytes.splice(start..end, extreme.bytes());
        }
    }
}

/// So many mutations through one processor.
fn mutated(oracle: &mut HostileOracle, seed: u64, count: i64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for offset in 0..count {
        let mut bytes = valid(&mut rng);
        for _ in 0..rng.random_range(1..3) {
            mutate(&mut rng, &mut bytes);
        }
        oracle.value(offset, Some(&bytes));
    }
    assert_eq!(oracle.predictions + oracle.dead_letters, count as u64);
    oracle.finish();
}

#[test]
fn a_million_mutations_are_a_million_predictions_and_dead_letters() {
    const COUNT: i64 = 1_000_000;
    let schema = schemas().into_iter().rfind(|schema| !schema.nominal.is_empty()).expect("one with categories");
    let mut oracle = HostileOracle::new(schema);
    oracle.compare_every = 8;
    mutated(&mut oracle, 20_261_124, COUNT);
    let (predictions, dead_letters) = (oracle.predictions, oracle.dead_letters);
    let least = COUNT as u64 / 4;
    assert!(predictions > least && dead_letters > least, "{predictions} and {dead_letters}: one is hardly tried");
}

#[test]
fn mutations_are_survived_under_every_schema() {
    for (seed, schema) in (0..).zip(schemas()) {
        mutated(&mut HostileOracle::new(schema), seed, 30_000);
    }
}

/// Puts records into the samples topic as another program would.
fn insert(site: &Workspace, values: &[Option<Vec<u8>>]) {
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let mut state = site.state();
    let tx = state.transaction().expect("a transaction");
    for (offset, value) in (0_i64..).zip(values) {
        tx.execute(
            "INSERT INTO samples (partition, offset, timestamp, value) VALUES (0, ?1, 1700000000000, ?2)",
            rusqlite::params![offset, value],
        )
        .expect("insert");
    }
    tx.commit().expect("commit");
}

#[test]
fn the_daemon_takes_them_all_and_counts_to_the_record() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let cases = cases();
    let values: Vec<Option<Vec<u8>>> =
        cases.iter().flat_map(|case| [Some(GOOD.to_vec()), case.value.clone()]).collect();
    insert(&site, &values);
    let output = site.run(&["run", "--until-caught-up"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("panicked"), "{said}");

    let letters = site.topic("dead-letters");
    let refused: Vec<_> = (0_i64..).zip(&cases).filter(|(_, case)| case.expected != "prediction").collect();
    let offset =
        |headers: &serde_json::Value| headers["thalweg.offset"].as_str().and_then(|offset| offset.parse::<i64>().ok());
    let is_letter = |i: i64| letters.iter().any(|(_, _, headers)| offset(headers) == Some(2 * i + 1));
    let passed: Vec<&str> = refused.iter().filter(|(i, _)| !is_letter(*i)).map(|(_, case)| case.name).collect();
    assert_eq!((passed, letters.len()), (vec![], refused.len()));
    for ((_, value, headers), (i, case)) in letters.iter().zip(&refused) {
        assert!(*value == case.value, "{}: the dead letter is not what was sent", case.name);
        assert_eq!(headers["thalweg.reason"], case.expected, "{}", case.name);
        assert_eq!(headers["thalweg.offset"], (2 * i + 1).to_string(), "{}", case.name);
    }
    let mut offsets: Vec<i64> =
        site.predictions().iter().map(|it| it["source"]["offset"].as_i64().expect("an offset")).collect();
    offsets.extend(refused.iter().map(|(i, _)| 2 * i + 1));
    offsets.sort_unstable();
    assert_eq!(offsets, (0..values.len() as i64).collect::<Vec<_>>());
}

#[test]
fn rows_that_another_program_wrote_badly_do_not_stop_the_daemon() {
    let site = Workspace::new(&["generator.enabled=false"]);
    insert(&site, &[]);
    // In SQLite a column takes values of any type.
    let rows = [
        r#"(0, 0, 'yesterday', NULL, '{"x":1,"y":2}', NULL)"#,
        r#"(0, 1, 1.5, 7, '{"x":1,"y":2}', 'no JSON')"#,
        r#"(0, 2, x'ff', x'ff', CAST(x'7bff7d' AS TEXT), '{"a":1,"b":[1,999],"c":"text"}')"#,
        "(0, 3, 1700000000000, 1.5, 17, 18)",
        "(0, 4, -9223372036854775808, NULL, 1e999, x'00')",
        r#"(0, 5, 9223372036854775807, NULL, '{"x":1,"y":2}', NULL)"#,
    ];
    let state = site.state();
    for row in rows {
        state.execute(&format!("INSERT INTO samples VALUES {row}"), []).expect("insert");
    }
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let timestamps: Vec<i64> = site.predictions().iter().map(|it| it["timestamp"].as_i64().expect("a time")).collect();
    assert_eq!(timestamps, [0, 1, i64::MAX]);
    let letters = site.topic("dead-letters");
    let reasons: Vec<&str> = letters.iter().map(|it| it.2["thalweg.reason"].as_str().expect("text")).collect();
    assert_eq!(reasons, ["not_json", "not_an_object", "not_json"]);
    // What is a header is kept, whatever else is there.
    let kept = &letters[0].2;
    assert_eq!((&kept["a"], &kept["b"], &kept["c"]), (&"1".into(), &"[1,999]".into(), &"text".into()));
}

/// Not a check: what the fuzzer starts from.
#[test]
#[ignore = "writes fuzz/corpus/decode, for `just fuzz-decode`"]
fn write_the_seed_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for schema in 0..schemas().len() as u8 {
        let sequence: Vec<Vec<u8>> = (0..20).map(|_| valid(&mut rng)).collect();
        let bytes = [&[schema], sequence.join(&0x1e).as_slice()].concat();
        std::fs::write(folder.join(format!("valid-{schema}")), bytes).expect("written");
        // Large ones would only slow it down.
        for case in cases().iter().filter(|case| case.value.as_ref().is_some_and(|value| value.len() < 2000)) {
            let bytes = [&[schema], GOOD, b"\x1e", case.value.as_deref().unwrap_or_default()].concat();
            std::fs::write(folder.join(format!("{} {schema}", case.name)), bytes).expect("written");
        }
    }
}
