//! A daemon on a topic whose records hold many samples each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    kill::Batches,
    support::{
        PATIENCE,
        daemon::{Workspace, stdout},
        http::{address, get, post},
    },
};

const EXPLODED: &[&str] = &["generator.enabled=false", "schema.explode=rows", "schema.key=$.device"];

/// Record `i`: some have many rows, some none, some a row that cannot be used, and a few are no array at all.
fn record(i: usize) -> Value {
    let row = |j: usize| {
        let x = ((i * 31 + j * 17) % 100) as f64 / 10.0;
        if (i + j).is_multiple_of(23) {
            json!({"x": x, "y": "bad"})
        } else {
            json!({"x": x, "z": j, "y": 2.0 * x + j as f64})
        }
    };
    match i % 20 {
        7 => json!({"device": "none", "rows": []}),
        11 => json!({"device": "one", "rows": row(0)}),
        _ => json!({"device": format!("d{}", i % 3), "rows": (0..i % 40).map(row).collect::<Vec<_>>()}),
    }
}

#[test]
fn kills_amid_records_of_many_rows_lose_no_row_and_double_none() {
    let batches = Batches { rounds: 25, records: 400, answers: 6000, seed: 11 };
    let (ground, topics, proof) = batches.killed_amid(EXPLODED, record);
    let rows = |i: usize| match record(i)["rows"].as_array() {
        Some(rows) => rows.len(),
        None => 1,
    };
    let wanted: usize = (0..25 * 400).map(rows).sum();
    let answers = topics.outputs[0][0].len() + topics.outputs[1][0].len();
    assert_eq!(answers, wanted);
    let shown = stdout(&ground.site.run(&["dead-letters", "show"]));
    assert!(shown.contains("from samples/0/") && shown.contains(", row "), "{shown}");
    println!("{wanted} rows in 10,000 records, 25 kills; {}", proof.summary());
    proof.hold();
}

#[test]
fn posting_predicting_replaying_and_comparing_take_records_of_many_rows() {
    let site = Workspace::new(&[EXPLODED, &["http.listen=127.0.0.1:0"]].concat());
    let lines: String = (0..200).map(|i| format!("{}\n", record(i))).collect();
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    while get(address, "/readyz").code != 200 {
        std::thread::yield_now();
    }
    let accepted =
        post(address, "/api/v1/samples", "application/x-ndjson", lines.lines().next().expect("a line").as_bytes());
    // A record with no row has nothing to be learned from.
    assert_eq!(accepted.code, 422, "{}", accepted.body);
    let good = json!({"device": "d1", "rows": [{"x": 1.0, "y": 2.0}, {"x": 2.0, "y": 4.0}]}).to_string();
    let bad = json!({"device": "d1", "rows": [{"x": 1.0, "y": 2.0}, {"x": 2.0, "y": "bad"}]}).to_string();
    assert_eq!(post(address, "/api/v1/samples", "application/json", good.as_bytes()).code, 202);
    let refused = post(address, "/api/v1/samples", "application/json", bad.as_bytes());
    assert_eq!(refused.code, 422, "{}", refused.body);
    let deadline = Instant::now() + PATIENCE;
    while site.predictions().len() < 2 {
        assert!(Instant::now() < deadline, "{}", daemon.story());
        daemon.watch(Duration::from_millis(5));
    }
    let keys: Vec<_> = site.predictions().iter().map(|made| made["source"]["row"].clone()).collect();
    assert_eq!(keys, [json!(0), json!(1)]);
    for (sample, code) in [
        (json!({"x": 1.0}), 200),
        (json!({"device": "d1", "rows": {"x": 1.0}}), 200),
        (json!({"device": "d1", "rows": [{"x": 1.0}]}), 200),
        (json!({"device": "d1", "rows": [{"x": 1.0}, {"x": 2.0}]}), 422),
    ] {
        let answer = post(address, "/api/v1/predict", "application/json", sample.to_string().as_bytes());
        assert_eq!(answer.code, code, "{sample}: {}", answer.body);
    }
    while !get(address, "/api/v1/status").body.contains("\"records\":2") {
        assert!(Instant::now() < deadline, "{}", daemon.story());
        std::thread::yield_now();
    }
    assert!(daemon.stop().success());

    let file = site.write("batches.jsonl", &lines);
    let rows: usize = (0..200).map(|i| record(i)["rows"].as_array().map_or(1, Vec::len)).sum();
    let unusable = (0..200).flat_map(|i| record(i)["rows"].as_array().cloned().unwrap_or_default());
    let unusable = unusable.filter(|row| row["y"] == "bad").count();
    let file = file.display().to_string();
    let replayed = site.run(&["replay", &file, "--report", "json"]);
    let told: Value = serde_json::from_str(&stdout(&replayed)).expect("JSON");
    let empty = (0..200).filter(|i| record(*i)["rows"].as_array().is_some_and(Vec::is_empty)).count();
    let counts = ["scored", "dead_letters", "skipped"].map(|name| told[name].as_u64());
    assert_eq!(counts, [rows - unusable, unusable, empty].map(|count| Some(count as u64)), "{told}");
}
