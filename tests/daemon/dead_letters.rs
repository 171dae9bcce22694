//! `thalweg dead-letters` through the binary, on the embedded transport. `tests/kafka.rs` has the same on Kafka.

use crate::support::daemon::{Workspace, stdout};
use serde_json::Value;

/// Puts records into the samples topic as another program would: value, and headers as JSON.
fn insert(site: &Workspace, samples: &[(&[u8], Option<&str>)]) {
    // The daemon makes the tables.
    run(site);
    let state = site.state();
    let next: i64 = state
        .query_row("SELECT coalesce(max(offset) + 1, 0) FROM samples", [], |row| row.get(0))
        .expect("the next offset");
    for (offset, (value, headers)) in (next..).zip(samples) {
        let row = rusqlite::params![offset, 1_700_000_000_000 + offset, b"k\xff", value, headers];
        state.execute("INSERT INTO samples VALUES (0, ?1, ?2, ?3, ?4, ?5)", row).expect("insert");
    }
    run(site);
}

fn run(site: &Workspace) {
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn letters(site: &Workspace, arguments: &[&str]) -> String {
    stdout(&site.run(&[&["dead-letters"], arguments].concat()))
}

fn lines(site: &Workspace, arguments: &[&str]) -> Vec<Value> {
    let text = letters(site, &[&["show", "--json"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a command that must fail says, and its exit code.
fn failure(site: &Workspace, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.run(&[&["dead-letters"], arguments].concat());
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

const LARGE: &[u8] = br#"{"x":1.5,"y":2,"note":"rather long, as notes are"}"#;

#[test]
fn show_lists_what_was_refused_and_why_newest_last() {
    let site = Workspace::new(&["generator.enabled=false", "schema.max_record_bytes=30"]);
    let headers = r#"{"trace":"a1","raw":[255,0],"null":null,"thalweg.reason":"forged"}"#;
    insert(&site, &[(b"\x1b[31mno", Some(headers)), (br#"{"x":1,"y":2}"#, None), (LARGE, None), (b"\xff{", None)]);
    let text = letters(&site, &["show"]);
    let expected = "0/0  2023-11-14T22:13:20.000Z  not_json  from samples/0/0\n  the record is not JSON: expected value \
                    at line 1 column 1\n  \\u{1b}[31mno  (7 bytes)\n\n0/1  2023-11-14T22:13:20.002Z  too_large  from \
                    samples/0/2\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("  \\xff{  (2 bytes)\n\n3 dead letters in `dead-letters`\n"), "{text}");
    assert!(text.ends_with("         2  not_json\n         1  too_large\n"), "{text}");

    let all = lines(&site, &[]);
    assert_eq!(all.len(), 3);
    let first = r#"{"partition":0,"offset":0,"source":{"topic":"samples","partition":0,"offset":0},
        "timestamp":1700000000000,"reason":"not_json","error":"the record is not JSON: expected value at line 1 column 1",
        "retried":false,"key":{"base64":"a/8="},"value":{"text":"\u001b[31mno"},
        "headers":{"trace":{"text":"a1"},"raw":{"base64":"/wA="},"null":null}}"#;
    assert_eq!(all[0], serde_json::from_str::<Value>(first).expect("JSON"));
    assert_eq!(all[2]["value"]["base64"], "/3s=");
    let offsets = |lines: Vec<Value>| lines.iter().map(|line| line["offset"].as_i64()).collect::<Vec<_>>();
    assert_eq!(offsets(lines(&site, &["--limit", "2"])), [Some(1), Some(2)]);
    assert_eq!(offsets(lines(&site, &["--reason", "not_json"])), [Some(0), Some(2)]);
    assert!(letters(&site, &["show", "--limit", "1"]).ends_with("these were the newest 1; --limit 0 shows all\n"));
    assert!(letters(&site, &["show", "--reason", "nope"]).contains("no dead letters with reason nope"));
    let (code, said) = failure(&site, &["show", "--partition", "3"]);
    assert!(code == Some(1) && said.contains("no partition 3"), "{said}");
}

#[test]
fn what_is_sent_back_after_mending_is_learned_from_once() {
    let mut site = Workspace::new(&["generator.enabled=false", "schema.max_record_bytes=30"]);
    insert(
        &site,
        &[(LARGE, Some(r#"{"trace":"a1","null":null,"empty":""}"#)), (b"no", None), (br#"{"x":1,"y":2}"#, None)],
    );
    site.settings.pop();
    let said = letters(&site, &["retry", "--reason", "too_large"]);
    assert_eq!(said, "1 of 1 dead letters sent back to `samples`\n");
    run(&site);
    let offsets = |site: &Workspace| {
        let offset = |it: &Value| it["source"]["offset"].as_i64().expect("an offset");
        site.predictions().iter().map(offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&site), [2, 3]);
    let samples = site.topic("samples");
    assert_eq!(samples[3].1.as_deref(), Some(LARGE));
    assert_eq!(samples[3].2, serde_json::json!({"trace": "a1", "null": null, "empty": "", "thalweg.retry": "0/0"}));
    let (key, time): (Vec<u8>, i64) = site
        .state()
        .query_row("SELECT key, timestamp FROM samples WHERE offset = 3", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("the sample");
    assert_eq!((&*key, time), (&b"k\xff"[..], 1_700_000_000_000));

    // Again, whatever way it is asked for, nothing goes.
    for which in [&["--reason", "too_large"][..], &["--offset", "0"], &["--partition", "0", "--offset", "0"]] {
        let said = letters(&site, &[&["retry"], which].concat());
        assert_eq!(said, "0 of 1 dead letters sent back to `samples`\n  1 not: sent back before\n");
    }
    assert_eq!(site.topic("samples").len(), 4);
    assert!(letters(&site, &["show"]).contains("from samples/0/0  sent back\n"));

    // The other one fails again and is a dead letter of its own, which says what it was.
    let said = letters(&site, &["retry", "--all"]);
    assert_eq!(said, "1 of 2 dead letters sent back to `samples`\n  1 not: sent back before\n");
    run(&site);
    let last = lines(&site, &[]).pop().expect("a dead letter");
    assert_eq!((&last["offset"], &last["source"]["offset"]), (&2.into(), &4.into()));
    assert_eq!((&last["reason"], &last["retried"]), (&"not_json".into(), &false.into()));
    assert_eq!(last["headers"], serde_json::json!({"thalweg.retry": {"text": "0/1"}}));
    assert_eq!(
        letters(&site, &["retry", "--all"]),
        "1 of 3 dead letters sent back to `samples`\n  2 not: sent back before\n"
    );
    assert_eq!(site.topic("samples")[5].2["thalweg.retry"], "0/2");
}

#[test]
fn a_field_made_nominal_lets_its_records_in() {
    let mut site = Workspace::new(&["generator.enabled=false", "schema.on_bad_field=\"dead_letter\""]);
    let text: &[u8] = br#"{"city":"Paris","y":2}"#;
    insert(&site, &[(br#"{"city":1,"y":2}"#, None), (text, None), (text, None)]);
    site.settings.push(r#"schema.nominal=["city"]"#.into());
    assert!(letters(&site, &["retry", "--reason", "not_a_number"]).starts_with("2 of 2 "));
    run(&site);
    assert_eq!((site.predictions().len(), lines(&site, &[]).len()), (3, 2));
}

#[test]
fn beside_a_daemon_they_are_shown_and_not_sent() {
    let site = Workspace::new(&["generator.enabled=false"]);
    insert(&site, &[(b"no", None)]);
    let mut daemon = site.start(&[]);
    daemon.event("worker_started");
    assert_eq!(lines(&site, &[]).len(), 1);
    let (code, said) = failure(&site, &["retry", "--all"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("process ") && said.contains("systemctl stop thalweg"), "{said}");
    assert!(daemon.stop().success());
    assert_eq!(site.topic("samples").len(), 1);
}

#[test]
fn what_was_cut_or_has_no_way_back_is_counted_and_not_sent() {
    let site = Workspace::new(&["generator.enabled=false"]);
    insert(&site, &[(b"no", None)]);
    let letter = |topic: &str, partition: i32, more: &str| {
        format!(
            r#"{{"thalweg.reason":"not_json","thalweg.topic":"{topic}","thalweg.partition":"{partition}",
                "thalweg.offset":"9"{more}}}"#
        )
    };
    let rows = [
        letter("samples", 0, r#","thalweg.truncated":"5000000""#),
        letter("others", 0, ""),
        letter("samples", 7, ""),
        r#"{"who":"somebody else"}"#.to_owned(),
    ];
    let state = site.state();
    for (offset, headers) in (1..).zip(rows) {
        let row = rusqlite::params![offset, headers];
        state.execute("INSERT INTO \"dead-letters\" VALUES (0, ?1, 0, NULL, 'cut', ?2)", row).expect("insert");
    }
    drop(state);
    let said = letters(&site, &["retry", "--all"]);
    assert!(said.starts_with("1 of 4 dead letters sent back to `samples`\n  1 not: cut "), "{said}");
    assert!(said.contains("\n  2 not: from another topic"), "{said}");
    assert_eq!(site.topic("samples").len(), 2);
    let shown = letters(&site, &["show"]);
    assert!(shown.contains("cut  (5000000 bytes, of which the rest is lost)"), "{shown}");
    assert!(shown.ends_with("1 records in the topic are not from Thalweg\n"), "{shown}");
}

#[test]
fn what_is_missing_or_not_said_is_named() {
    let site = Workspace::new(&["generator.enabled=false"]);
    for command in [&["show"][..], &["retry", "--all"]] {
        let (code, said) = failure(&site, command);
        assert!(code == Some(1) && said.contains("does not exist"), "{said}");
        assert!(!site.path("data/thalweg.db").exists(), "{command:?} made a state file");
    }
    let (code, said) = failure(&site, &["retry"]);
    assert!(code == Some(2) && said.contains("--all"), "{said}");
    insert(&site, &[(b"no", None)]);
    let (code, said) = failure(&site, &["show", "--set", "topics.dead_letters=others"]);
    assert!(code == Some(1) && said.contains("topic `others`"), "{said}");
    let (code, said) = failure(&site, &["retry", "--offset", "7"]);
    assert!(code == Some(1) && said.contains("no such dead letter"), "{said}");
}
