//! `POST /api/v1/predict` on a running daemon.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{
    daemon::{Daemon, Workspace},
    http::{Answer, address, get, post},
};

const PORT: &str = "http.listen=127.0.0.1:0";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn json_of(answer: &Answer, code: u16) -> Value {
    assert_eq!(answer.code, code, "{} {}", answer.head, answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn predict(address: SocketAddr, query: &str, kind: &str, body: &str) -> Answer {
    post(address, &format!("/api/v1/predict{query}"), kind, body.as_bytes())
}

/// A daemon that has learned so many made-up samples and has nothing left to do.
fn learned(site: &Workspace, samples: i64) -> (Daemon, SocketAddr) {
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    loop {
        let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
        let confirmed =
            status["partitions"].as_array().expect("partitions").iter().filter_map(|it| it["confirmed"].as_i64());
        if confirmed.sum::<i64>() == samples {
            return (daemon, address);
        }
        std::thread::yield_now();
    }
}

fn row(i: usize) -> Value {
    let numbers = (0..10).map(|k| (format!("x{k}"), json!(((i * 31 + k * 7) % 100) as f64 / 100.0)));
    numbers.collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_prediction_is_the_one_that_the_stream_publishes_for_the_same_sample() {
    let site = Workspace::new(&[PORT, "generator.count=2000", "generator.rate=0"]);
    let (mut daemon, address) = learned(&site, 2000);
    for i in 0..20 {
        let mut sample = row(i);
        if i % 4 == 3 {
            sample["x3"] = json!(1e9);
            sample["new"] = json!(i);
        }
        let found = json_of(&predict(address, "", JSON, &sample.to_string()), 200);
        // Without a target nothing is learned, so that the version stays.
        let offset = 2000 + i as i64;
        let values = rusqlite::params![offset, 1_700_000_000_000_i64, sample.to_string()];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", values).expect("inserted");
        let published = loop {
            if let Some(published) = site.predictions().into_iter().find(|it| it["source"]["offset"] == offset) {
                break published;
            }
            std::thread::yield_now();
        };
        assert_eq!(found["version"], 2000);
        for part in ["version", "model", "prediction", "lower", "upper", "predictions"] {
            assert_eq!(found[part], published[part], "{part} of {sample}");
        }
    }
    assert!(daemon.stop().success());
}

#[test]
fn an_answer_has_the_form_of_its_question() {
    let site = Workspace::new(&[PORT, "generator.count=500", "generator.rate=0", "topics.partitions=2"]);
    let (mut daemon, address) = learned(&site, 500);
    let rows: Vec<Value> = (0..1000).map(row).collect();
    let all = json_of(&predict(address, "", JSON, &Value::from(rows.clone()).to_string()), 200);
    let all = all.as_array().expect("an array");
    assert_eq!(all.len(), 1000);
    assert_eq!(json_of(&predict(address, "", JSON, &format!(" {}\n", rows[7])), 200), all[7]);
    let text: String = rows.iter().take(3).map(|row| format!("{row}\r\n\n")).collect();
    let answer = predict(address, "?partition=0", LINES, &text);
    assert!(answer.code == 200 && answer.head.contains("content-type: application/x-ndjson"), "{}", answer.head);
    let lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines, all[..3]);
    // Each partition has learned from its own samples.
    let other = json_of(&predict(address, "?partition=1", JSON, &rows[7].to_string()), 200);
    assert_eq!((&all[7]["partition"], &other["partition"]), (&json!(0), &json!(1)));
    assert_ne!(all[7]["prediction"], other["prediction"]);
    let explained = json_of(&predict(address, "?explain=true&partition=1", JSON, &rows[7].to_string()), 200);
    assert_eq!(explained["explanation"]["contributions"].as_object().expect("contributions").len(), 10);
    assert_eq!(explained["prediction"], other["prediction"]);
    assert!(daemon.stop().success());
}

#[test]
fn what_cannot_be_predicted_is_said_with_its_place() {
    let site = Workspace::new(&[PORT, "generator.count=100", "generator.rate=0", "schema.max_record_bytes=4096"]);
    let (mut daemon, address) = learned(&site, 100);
    let good = row(1).to_string();
    let long = format!("{{\"x0\":1,\"note\":\"{}\"}}", "x".repeat(5000));
    let refusals = [
        ("", JSON, "".to_owned(), 400, "no_sample", Value::Null, Value::Null),
        ("", JSON, "[]".to_owned(), 400, "no_sample", Value::Null, Value::Null),
        ("", JSON, format!("[{good}"), 400, "not_json", Value::Null, Value::Null),
        ("", JSON, format!("[{good},\n{{\"x0\":}}]"), 400, "not_json", json!(2), json!(2)),
        ("", LINES, format!("{good}\n\n{good}\n[1]\n"), 422, "not_an_object", json!(3), json!(4)),
        ("", LINES, format!("{good}\n{{\"x0\":1,\"y\":[1]}}"), 422, "not_a_number", json!(2), json!(2)),
        ("", JSON, "{}".to_owned(), 422, "no_features", json!(1), json!(1)),
        ("", JSON, format!("[{good},{long}]"), 413, "too_large", json!(2), json!(1)),
        ("?partition=9", JSON, good.clone(), 404, "no_such_partition", Value::Null, Value::Null),
        ("?partition=x", JSON, good.clone(), 400, "bad_query", Value::Null, Value::Null),
        ("?explian=true", JSON, good.clone(), 400, "bad_query", Value::Null, Value::Null),
    ];
    for (query, kind, body, code, word, sample, line) in refusals {
        let error = json_of(&predict(address, query, kind, &body), code)["error"].clone();
        let place = (&error["code"], &error["sample"], &error["line"]);
        assert_eq!(place, (&json!(word), &sample, &line), "{query} {body}: {error}");
        assert!(error["message"].as_str().is_some_and(|it| it.len() > 10), "{error}");
    }
    let field = json_of(&predict(address, "", JSON, "{\"x0\":1,\"y\":\"high\"}"), 422);
    assert_eq!(field["error"]["field"], "y");
    let many = format!("[{}]", vec!["{\"x0\":1}"; 10_001].join(","));
    assert_eq!(json_of(&predict(address, "", JSON, &many), 413)["error"]["code"], "too_many_samples");
    assert!(daemon.stop().success());
}
