//! What the API tells of topics and models.

use serde_json::{Value, json};

use crate::support::{
    daemon::{Workspace, stdout},
    http::{Answer, get, ready},
};

const PORT: &str = "http.listen=127.0.0.1:0";

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.code, 200, "{}", answer.body);
    answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn header(answer: &Answer, name: &str) -> i64 {
    let line = answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.expect(name).parse().expect("a number")
}

#[test]
fn records_of_each_topic_are_told_byte_for_byte() {
    let site = Workspace::new(&[PORT, "generator.enabled=false"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    for offset in 0..250_i64 {
        let value = if offset == 3 { b"\xff{".to_vec() } else { format!("{{\"x\":{offset},\"y\":1}}").into_bytes() };
        let row = rusqlite::params![offset, 1_700_000_000_000_i64 + offset, (offset == 5).then_some("key"), value];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, ?3, ?4, NULL)", row).expect("inserted");
    }
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let records = |query: &str| get(address, &format!("/api/v1/topics/{query}"));
    while header(&records("predictions/records"), "thalweg-end-offset") < 249 {}
    let first = records("samples/records?from=0&limit=6");
    let told = lines(&first);
    assert_eq!((told.len(), header(&first, "thalweg-next-offset"), header(&first, "thalweg-end-offset")), (6, 6, 250));
    assert!(first.head.contains("content-type: application/x-ndjson"));
    let expected = json!({"partition":0,"offset":3,"timestamp":1_700_000_000_003_i64,"key":null,"value":{"base64":"/3s="},"headers":{}});
    assert_eq!(told[3], expected);
    assert_eq!((&told[5]["key"], &told[5]["value"]), (&json!({"text":"key"}), &json!({"text":"{\"x\":5,\"y\":1}"})));
    // The newest where nothing is said, and all of them from page to page.
    let newest = lines(&records("samples/records"));
    assert_eq!((newest.len(), &newest[99]["offset"]), (100, &json!(249)));
    let (mut next, mut all) = (0, Vec::new());
    while next < 249 {
        let page = records(&format!("predictions/records?from={next}&limit=70"));
        all.extend(lines(&page));
        next = header(&page, "thalweg-next-offset");
    }
    let values: Vec<Value> = all
        .iter()
        .map(|line| serde_json::from_str(line["value"]["text"].as_str().expect("text")).expect("JSON"))
        .collect();
    assert_eq!(values, site.predictions());
    let letters = lines(&records("dead-letters/records"));
    assert_eq!((letters.len(), &letters[0]["headers"]["thalweg.reason"]), (1, &json!({"text":"not_json"})));
    assert_eq!(lines(&records("events/records")).len(), site.topic("events").len());
    for (query, code, word) in [
        ("nothing/records", 404, "no_such_topic"),
        ("thalweg_checkpoints/records", 404, "no_such_topic"),
        ("samples/records?partition=1", 404, "no_such_partition"),
        ("samples/records?from=251", 416, "out_of_range"),
        ("samples/records?from=-1", 400, "bad_query"),
        ("samples/records?limit=0", 400, "bad_query"),
        ("samples/records?limit=10001", 400, "bad_query"),
        ("samples/records?form=1", 400, "bad_query"),
    ] {
        let answer = records(query);
        let error: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.code, &error["error"]["code"]), (code, &json!(word)), "{query}: {error}");
    }
    assert!(lines(&records("samples/records?from=250")).is_empty());
    assert!(daemon.stop().success());
}

#[test]
fn a_model_is_told_as_it_is_exported() {
    let site = Workspace::new(&[PORT, "generator.count=3000", "generator.rate=0", "topics.partitions=2"]);
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let model = |path: &str| -> (u16, Value) {
        let answer = get(address, &format!("/api/v1/models/{path}"));
        (answer.code, serde_json::from_str(&answer.body).expect("JSON"))
    };
    let told = loop {
        let (code, told) = model("linear");
        if code == 503 {
            // Its workers have not begun.
            assert_eq!(told["error"]["code"], "opening");
            continue;
        }
        let learned = told["partitions"].as_array().expect("partitions").iter().filter_map(|it| it["version"].as_i64());
        if learned.sum::<i64>() == 3000 {
            break told;
        }
        std::thread::yield_now();
    };
    let (_, one) = model("linear?partition=1");
    assert_eq!((one["partitions"].as_array().map(Vec::len), &one["partitions"][0]["partition"]), (Some(1), &json!(1)));
    for (path, code, word) in [
        ("lineer", 404, "no_such_model"),
        ("linear?partition=5", 404, "no_such_partition"),
        ("linear?x=1", 400, "bad_query"),
    ] {
        let (found, error) = model(path);
        assert_eq!((found, &error["error"]["code"]), (code, &json!(word)), "{error}");
    }
    assert!(daemon.stop().success());
    let without_time = |mut document: Value| {
        for partition in document["partitions"].as_array_mut().expect("partitions") {
            assert!(partition["written_at"].take().as_str().is_some_and(|at| at.len() == "2026-01-01 00:00:00".len()));
        }
        document
    };
    let exported: Value = serde_json::from_str(&stdout(&site.run(&["model", "export", "linear"]))).expect("JSON");
    assert_eq!(without_time(told), without_time(exported));
}
