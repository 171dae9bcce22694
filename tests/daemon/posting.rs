//! `POST /api/v1/samples` on a running daemon: what is taken, what is refused, and what attackers try.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    daemon::Workspace,
    http::{Answer, exchange, get, get_with, post, ready},
};

const PORT: &str = "http.listen=127.0.0.1:0";
const QUIET: &str = "generator.enabled=false";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const SAMPLES: &str = "/api/v1/samples";

fn json_of(answer: &Answer, code: u16) -> Value {
    assert_eq!(answer.code, code, "{} {}", answer.head, answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn code_of(answer: &Answer, code: u16) -> String {
    json_of(answer, code)["error"]["code"].as_str().expect("a code").to_owned()
}

/// Waits until so many samples of all partitions have their answers.
fn confirmed(address: SocketAddr, count: i64) {
    let sum = || {
        let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
        let partitions = status["partitions"].as_array().expect("partitions").iter();
        partitions.filter_map(|it| it["confirmed"].as_i64()).sum::<i64>()
    };
    let begun = Instant::now();
    while sum() < count {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
}

#[test]
fn posted_samples_are_in_the_topic_and_get_one_answer_each_also_across_a_kill() {
    let site = Workspace::new(&[PORT, QUIET, "topics.partitions=2", "schema.key=id", "schema.timestamp=at"]);
    let mut daemon = site.start(&["run"]);
    let first = ready(&mut daemon);
    let one = json!({"x": 1.5, "y": 2, "id": "a", "at": 1_700_000_000_000_i64}).to_string();
    let accepted = json_of(&post(first, SAMPLES, JSON, one.as_bytes()), 202);
    assert_eq!(accepted, json!({"accepted": 1, "partition": 0, "first_offset": 0, "last_offset": 0}));
    // The next request goes to the next partition, and one that names it goes there.
    let many = format!("[{one},{{\"x\":2,\"id\":7}},{{\"x\":NaN,\"y\":3}}]");
    let accepted = json_of(&post(first, SAMPLES, JSON, many.as_bytes()), 202);
    assert_eq!(accepted, json!({"accepted": 3, "partition": 1, "first_offset": 0, "last_offset": 2}));
    let lines = "{\"x\":1}\r\n{\"x\":2,\"y\":1}\n";
    let accepted = json_of(&post(first, &format!("{SAMPLES}?partition=0"), LINES, lines.as_bytes()), 202);
    assert_eq!(accepted, json!({"accepted": 2, "partition": 0, "first_offset": 1, "last_offset": 2}));
    // What was acknowledged outlives a kill at once.
    daemon.kill();
    let mut daemon = site.start(&["run"]);
    confirmed(ready(&mut daemon), 6);
    assert!(daemon.stop().success());
    let sources = |topic: &str| {
        let state = site.state();
        let mut rows = state
            .prepare(&format!("SELECT partition, key, value FROM \"{topic}\" ORDER BY partition, offset"))
            .expect("rows");
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i32>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?))
        };
        rows.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect::<Vec<_>>()
    };
    let keys: Vec<_> = sources("samples").into_iter().map(|(partition, key, _)| (partition, key)).collect();
    let key = |text: &str| Some(text.to_owned());
    assert_eq!(keys, [(0, key("a")), (0, None), (0, None), (1, key("a")), (1, key("7")), (1, None)]);
    let answers: Vec<(i32, i64, Value)> = sources("predictions")
        .into_iter()
        .map(|(partition, _, value)| {
            let value: Value = serde_json::from_str(&value).expect("JSON");
            (partition, value["source"]["offset"].as_i64().expect("an offset"), value["target"].clone())
        })
        .collect();
    let expected = [
        (0, 0, json!(2)),
        (0, 1, Value::Null),
        (0, 2, json!(1)),
        (1, 0, json!(2)),
        (1, 1, Value::Null),
        (1, 2, json!(3)),
    ];
    let as_numbers = |all: &[(i32, i64, Value)]| all.iter().map(|(p, o, t)| (*p, *o, t.as_f64())).collect::<Vec<_>>();
    assert_eq!(as_numbers(&answers), as_numbers(&expected));
}

#[test]
fn of_a_request_with_a_bad_sample_nothing_is_taken() {
    let site =
        Workspace::new(&[PORT, QUIET, "schema.max_record_bytes=4096", "transport.embedded.retention_records=50"]);
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    json_of(&post(address, SAMPLES, JSON, b"{\"x\":1}"), 202);
    let good = "{\"x\":1,\"y\":2}";
    let long = format!("{{\"x\":1,\"note\":\"{}\"}}", "x".repeat(5000));
    let bodies = [
        (LINES, format!("{good}\n{{\"x\":\n"), 400, "not_json", json!(2)),
        (LINES, format!("{good}\n\n{good}\n7\n"), 422, "not_an_object", json!(4)),
        (JSON, format!("[{good},\n{{\"x\":1,\"y\":[1]}}]"), 422, "not_a_number", json!(2)),
        (JSON, format!("[{good},{{\"note\":\"words\"}}]"), 422, "no_features", json!(1)),
        (JSON, format!("[{good},{long}]"), 413, "too_large", json!(1)),
        (JSON, format!("[{}]", vec![good; 51].join(",")), 413, "batch_too_large", Value::Null),
        (JSON, "{\"x\":1} {\"x\":2}".to_owned(), 400, "not_json", json!(1)),
    ];
    for (kind, body, code, word, line) in bodies {
        let error = json_of(&post(address, SAMPLES, kind, body.as_bytes()), code)["error"].clone();
        assert_eq!((&error["code"], &error["line"]), (&json!(word), &line), "{error}");
    }
    for query in ["?partition=1", "?partition=-1"] {
        assert_eq!(
            code_of(&post(address, &format!("{SAMPLES}{query}"), JSON, good.as_bytes()), 404),
            "no_such_partition"
        );
    }
    assert_eq!(site.topic("samples").len(), 1);
    // The same for what is good, once more.
    assert_eq!(json_of(&post(address, SAMPLES, JSON, good.as_bytes()), 202)["first_offset"], 1);
    assert!(daemon.stop().success());
}

#[test]
fn made_up_samples_give_way_to_posted_ones_and_a_generator_that_was_asked_for_is_left_alone() {
    let site = Workspace::new(&[PORT, "generator.rate=1000"]);
    let mut daemon = site.start(&["run"]);
    let posted_to = ready(&mut daemon);
    json_of(&post(posted_to, SAMPLES, JSON, b"{\"x0\":0.5}"), 202);
    daemon.event("generator_rests");
    assert!(daemon.stop().success());
    // It rests at the next start, too, and never comes back among them.
    let held = site.topic("samples").len();
    let mut daemon = site.start(&["run"]);
    confirmed(ready(&mut daemon), held as i64);
    assert_eq!(daemon.lines_of("generator_rests").len(), 1);
    assert!(daemon.stop().success());
    assert_eq!(site.topic("samples").len(), held);

    let site = Workspace::new(&[PORT, "generator.rate=1000", "generator.enabled=true"]);
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let refused = post(address, SAMPLES, JSON, b"{\"x0\":0.5}");
    assert_eq!(code_of(&refused, 409), "generated_topic");
    assert!(refused.body.contains("generator.into_foreign_topic"));
    confirmed(address, 100);
    assert!(daemon.stop().success());
}

#[test]
fn a_page_of_somebody_else_s_cannot_post_and_odd_bodies_are_refused() {
    let site = Workspace::new(&[PORT, QUIET]);
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    json_of(&post(address, SAMPLES, JSON, b"{\"x\":1}"), 202);
    // What a browser sends without asking first.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
    {
        assert_eq!(code_of(&post(address, SAMPLES, kind, b"{\"x\":1}"), 415), "content_type", "{kind}");
    }
    // It asks first for these, and is told of no other origin.
    let asked = exchange(
        address,
        format!("OPTIONS {SAMPLES} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    assert!(asked.code == 405 && !asked.head.contains("access-control"), "{}", asked.head);
    let with = |headers: &str, body: &[u8]| {
        let head = format!(
            "POST {SAMPLES} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}\r\nConnection: close\r\n{headers}\r\n"
        );
        exchange(address, &[head.as_bytes(), body].concat())
    };
    assert_eq!(code_of(&with("Content-Encoding: gzip\r\nContent-Length: 7\r\n", b"{\"x\":1}"), 415), "encoded");
    assert_eq!(code_of(&with("Content-Length: 9000000\r\n", b""), 413), "body_too_large");
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 1 << 16], b"\r\n"].concat();
    let endless = chunk.repeat(140);
    assert_eq!(code_of(&with("Transfer-Encoding: chunked\r\n", &endless), 413), "body_too_large");
    assert_eq!(code_of(&with("Transfer-Encoding: chunked\r\n", b"zz\r\n"), 400), "body_broken");
    assert_eq!(with("Content-Length: 7\r\nContent-Length: 8\r\n", b"{\"x\":1}").code, 400);
    assert_eq!(with(&"X: y\r\n".repeat(500), b"").code, 431);
    assert_eq!(site.topic("samples").len(), 1);
    assert!(daemon.stop().success());
}

#[test]
fn bodies_that_do_not_come_are_given_up_and_all_together_take_no_more_than_their_room() {
    let site = Workspace::new(&[PORT, QUIET]);
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let begun = Instant::now();
    let announce = |length: usize| {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let head = format!(
            "POST {SAMPLES} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).expect("written");
        stream
    };
    let mut slow: Vec<TcpStream> = (0..8).map(|_| announce(8 << 20)).collect();
    let busy = loop {
        let answer = post(address, SAMPLES, JSON, b"{\"x\":1}");
        if answer.code != 202 {
            break answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "there was room for all");
    };
    assert_eq!((code_of(&busy, 503).as_str(), busy.head.contains("retry-after: 1")), ("busy", true));
    // What has no body is answered.
    assert_eq!(get(address, "/healthz").code, 200);
    for stream in &mut slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"too_slow\""), "{answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    json_of(&post(address, SAMPLES, JSON, b"{\"x\":1}"), 202);
    assert!(daemon.stop().success());
}

#[test]
fn who_has_no_token_neither_posts_nor_predicts() {
    let site = Workspace::new(&[PORT, QUIET]);
    let token = "0123456789abcdefghij";
    let file = site.write("token", token);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let mut daemon = site.start(&["run", "--set", &format!("http.token_file={}", file.display())]);
    let address = ready(&mut daemon);
    for path in [SAMPLES, "/api/v1/predict"] {
        assert_eq!(code_of(&post(address, path, JSON, b"{\"x\":1}"), 401), "unauthorized", "{path}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(code_of(&exchange(address, head.as_bytes()), 421), "misdirected", "{path}");
    }
    let records = "/api/v1/topics/samples/records";
    assert_eq!(code_of(&get(address, records), 401), "unauthorized");
    let told = get_with(address, records, &format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n"));
    assert_eq!((told.code, told.body.as_str()), (200, ""));
    assert!(daemon.stop().success());
}

#[test]
fn dead_letters_go_back_while_the_daemon_runs_and_no_letter_twice() {
    let site = Workspace::new(&[PORT, QUIET]);
    let small = ["run", "--until-caught-up", "--set", "schema.max_record_bytes=30"];
    assert!(site.run(&small).status.success());
    let large = r#"{"x":1.5,"y":2,"note":"rather long, as notes are"}"#;
    for (offset, value) in ["not json", large, r#"{"x":1,"y":2}"#].iter().enumerate() {
        let row = rusqlite::params![offset as i64, 1_700_000_000_000_i64, value];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", row).expect("inserted");
    }
    assert!(site.run(&small).status.success());
    // The cause is mended for one of them.
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let retry = |body: &str| post(address, "/api/v1/dead-letters/retry", JSON, body.as_bytes());
    while get(address, "/readyz").code != 200 {}
    let told = json_of(&retry(r#"{"reason":"too_large"}"#), 200);
    assert_eq!((&told["selected"], &told["sent"], &told["already"]), (&json!(1), &json!(1), &json!(0)), "{told}");
    confirmed(address, 4);
    let told = json_of(&retry("{}"), 200);
    assert_eq!((&told["selected"], &told["sent"], &told["already"]), (&json!(2), &json!(1), &json!(1)), "{told}");
    confirmed(address, 5);
    for (body, code, word) in [
        ("{\"reson\":\"x\"}", 422, "not_a_selection"),
        ("[{}]", 422, "not_a_selection"),
        ("{\"reason\":", 400, "not_json"),
        ("{\"partition\":7}", 404, "no_such_partition"),
    ] {
        assert_eq!(code_of(&retry(body), code), word, "{body}");
    }
    assert_eq!(code_of(&post(address, "/api/v1/dead-letters/retry", "text/plain", b"{}"), 415), "content_type");
    assert!(daemon.stop().success());
    let predicted: Vec<i64> = site.predictions().iter().filter_map(|it| it["source"]["offset"].as_i64()).collect();
    // The one that is still no JSON is a dead letter again.
    assert_eq!((predicted, site.topic("dead-letters").len()), (vec![2, 3], 3));
}
