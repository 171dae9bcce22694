//! A daemon on a topic whose producer wraps its rows.

use serde_json::{Value, json};

use crate::support::{
    daemon::{Workspace, stdout},
    http::{address, get, post},
};

const PORT: &str = "http.listen=127.0.0.1:0";

/// `x` as Kafka Connect writes a decimal with two digits, in base64.
fn decimal(x: i16) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let [high, low] = x.to_be_bytes().map(u32::from);
    let bits = high << 10 | low << 2;
    let digits = [12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]));
    digits.iter().chain(&['=']).collect()
}

/// A change of row `i`: most are new, one in ten says that one was deleted, and a tombstone follows.
fn change(i: usize) -> Option<Value> {
    let x = (i * 37 % 400) as i16 - 200;
    let row = json!({"x": decimal(x), "y": 2.0 * f64::from(x) / 100.0 + 1.0});
    let (before, after, op) = match i % 10 {
        8 => (row, Value::Null, "d"),
        9 => return None,
        _ => (Value::Null, row, "c"),
    };
    let field = json!({"type": "struct", "field": "after", "fields": [
        {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}, "field": "x"},
        {"type": "double", "field": "y"},
    ]});
    Some(json!({
        "schema": {"type": "struct", "fields": [field]},
        "payload": {"before": before, "after": after, "source": {"lsn": i, "ts_us": i * 1000}, "op": op, "ts_ms": i},
    }))
}

/// A state file with these changes in its samples topic.
fn site(changes: usize, more: &[&str]) -> Workspace {
    let site = Workspace::new(&[&[PORT, "generator.enabled=false", "schema.timestamp=$.ts_ms"], more].concat());
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    for i in 0..changes {
        let row = rusqlite::params![i as i64, 1_700_000_000_000_i64, change(i).map(|change| change.to_string())];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", row).expect("insert");
    }
    site
}

#[test]
fn changes_of_rows_are_learned_and_deletes_skipped_and_counted_across_a_restart() {
    let site = site(300, &[]);
    for start in ["first", "second"] {
        let mut daemon = site.start(&["run"]);
        let address = address(&mut daemon);
        while get(address, "/readyz").code != 200 {
            std::thread::yield_now();
        }
        let status = || -> Value { serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON") };
        // Ready is who has published an answer to all that was there.
        assert_eq!(status()["partitions"][0]["confirmed"], 300, "{start}");
        let status = loop {
            let status = status();
            if status["partitions"][0]["records"] == 300 {
                break status;
            }
            std::thread::yield_now();
        };
        let partition = &status["partitions"][0];
        let counts = ["records", "predictions", "skipped", "dead_letters"].map(|name| partition[name].as_u64());
        assert_eq!(counts, [Some(300), Some(240), Some(60), Some(0)], "{start}: {partition}");
        let metrics = get(address, "/metrics").body;
        assert!(
            metrics.lines().any(|line| line.starts_with("thalweg_skipped_records_total{") && line.ends_with(" 60")),
            "{metrics}"
        );

        // The row alone, its number plain or as it was written, says what the change says.
        let asked = |body: &Value| {
            let answer = post(address, "/api/v1/predict", "application/json", body.to_string().as_bytes());
            assert_eq!(answer.code, 200, "{}", answer.body);
            let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
            answer["prediction"].as_f64().expect("a prediction")
        };
        let wrapped = asked(&change(304).expect("a change"));
        let x = (304 * 37 % 400 - 200) as f64 / 100.0;
        assert_eq!((wrapped, wrapped), (asked(&json!({"x": x})), asked(&json!({"x": x, "y": null}))), "{start}");
        assert!((wrapped - (2.0 * x + 1.0)).abs() < 0.5, "{wrapped} of {x}");
        assert!(daemon.stop().success());
    }
    assert_eq!(site.predictions().len(), 240);
    // The time is that of the change, and none is of a deleted row.
    for prediction in site.predictions() {
        let offset = prediction["source"]["offset"].as_i64().expect("an offset");
        assert!(offset % 10 < 8 && prediction["timestamp"] == json!(offset * 1000), "{prediction}");
    }
}

#[test]
fn deletes_are_dead_letters_where_that_is_set() {
    let site = site(100, &["schema.on_delete=dead_letter"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let letters = site.topic("dead-letters");
    assert_eq!(letters.len(), 20);
    for (_, _, headers) in letters {
        assert!(headers.to_string().contains("deleted"), "{headers}");
    }
    assert_eq!(site.predictions().len(), 80);
}

#[test]
fn init_and_compare_look_into_the_envelope() {
    let site = Workspace::new(&[]);
    let lines: String = (0..300).filter_map(change).map(|change| format!("{change}\n")).collect();
    site.write("changes.jsonl", lines.as_bytes());
    let said = stdout(&site.run(&["init", "changes.jsonl", "--target", "y"]));
    assert!(said.contains("change events of Debezium") && said.contains("x      -2 to 1.99"), "{said}");
    let settings = std::fs::read_to_string(site.path("settings.toml")).expect("settings");
    assert!(settings.contains("\nenvelope = \"debezium\"\n"), "{settings}");
    let report = stdout(&site.run(&["replay", "changes.jsonl", "--report", "json"]));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let names: Vec<&str> = report["fields"]["features"]
        .as_array()
        .expect("features")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!((names, &report["scored"]), (vec!["x"], &json!(240)), "{report}");
}
