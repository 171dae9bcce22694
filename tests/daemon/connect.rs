//! `thalweg check --connect` without a broker: what this machine has, and brokers that are not there.

use std::{net::TcpListener, process::Output};

use serde_json::Value;

use crate::support::daemon::{Workspace, stdout};

/// What a check found: verdict and text of each thing that was looked at, and the exit code.
fn found(output: &Output) -> (Value, Option<i32>) {
    (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code())
}

/// The finding about a thing.
fn of<'f>(found: &'f Value, check: &str) -> &'f Value {
    let all = found["findings"].as_array().expect("findings");
    all.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("no {check} in {found}"))
}

#[test]
fn without_kafka_all_is_ok_and_nothing_is_left_behind() {
    let site = Workspace::new(&["state.path=deep/er/thalweg.db", "http.listen=127.0.0.1:0"]);
    let text = stdout(&site.run(&["check", "--connect"]));
    assert!(text.lines().last().is_some_and(|line| line.starts_with("all 5 are ok")), "{text}");
    assert!(text.lines().take(5).all(|line| line.starts_with("ok ")), "{text}");
    assert!(!site.path("deep").exists(), "a look leaves nothing behind");
    let (json, code) = found(&site.run(&["check", "--connect", "--json"]));
    assert_eq!((code, &json["verdict"]), (Some(0), &Value::from("ok")), "{json}");
}

#[test]
fn a_broker_that_is_not_there_is_away_and_a_port_that_is_taken_is_wrong() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("its address").to_string();
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").to_string();
    let brokers = format!("transport.kafka.brokers=[\"{closed}\", \"no-such-host.invalid:9092\"]");
    let site =
        Workspace::new(&["transport.kind=kafka", &brokers, "transport.kafka.request_timeout=1s", "http.listen="]);
    let (json, code) = found(&site.run(&["check", "--connect", "--json"]));
    assert_eq!((code, &json["verdict"]), (Some(1), &Value::from("away")), "{json}");
    let brokers: Vec<&Value> =
        json["findings"].as_array().expect("findings").iter().filter(|it| it["check"] == "broker").collect();
    assert_eq!(brokers.len(), 2, "each listed one has a line: {json}");
    for broker in brokers {
        assert_eq!(broker["verdict"], "away", "{broker}");
        assert!(
            broker["told"]
                .as_str()
                .is_some_and(|told| told.contains("Check that a broker runs there") || told.contains("name")),
            "{broker}"
        );
    }
    let output = Workspace::new(&[&format!("http.listen={taken}")]).run(&["check", "--connect"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains(&format!("WRONG    port {taken}: is taken by another program (ss -ltnp")), "{text}");
}

#[test]
fn whoever_holds_the_state_file_is_named() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0"]);
    let mut daemon = site.start(&["run"]);
    daemon.event("report");
    let (json, code) = found(&site.run(&["check", "--connect", "--json"]));
    assert_eq!((code, &json["verdict"]), (Some(0), &Value::from("warning")), "{json}");
    let lock = of(&json, "lock");
    let told = lock["told"].as_str().expect("a text");
    assert!(told.contains(&format!("process {} (", daemon.id())) && told.contains("thalweg"), "{told}");
    assert!(daemon.stop().success(), "{}", daemon.story());
    let (json, _) = found(&site.run(&["check", "--connect", "--json"]));
    assert_eq!(of(&json, "lock")["verdict"], "ok", "{json}");
}

#[test]
fn a_state_file_that_cannot_be_written_is_wrong() {
    let site = Workspace::new(&["state.path=/proc/none/thalweg.db", "http.listen="]);
    let (json, code) = found(&site.run(&["check", "--connect", "--json"]));
    assert_eq!((code, &of(&json, "state")["verdict"]), (Some(78), &Value::from("wrong")), "{json}");
}
