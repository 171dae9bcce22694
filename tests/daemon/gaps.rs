//! Records that should be read and are not there: never skipped in silence, whichever way they went.

use crate::support::daemon::Workspace;
use rusqlite::params;
use serde_json::Value;

/// Settings of a site that has learned 500 samples, and stopped in order.
const SETTINGS: [&str; 3] =
    ["generator.enabled=false", r#"models=[{kind="mean"},{kind="linear"}]"#, "state.every=50ms"];

fn learned(more: &[&str]) -> Workspace {
    let settings: Vec<&str> = SETTINGS.iter().chain(more).copied().collect();
    let site = Workspace::new(&settings);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    append(&site, "samples", 0..500, "one");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    site
}

fn append(site: &Workspace, topic: &str, offsets: std::ops::Range<i64>, tag: &str) {
    let state = site.state();
    for offset in offsets {
        let value = format!(r#"{{"x":{},"y":{},"tag":"{tag}"}}"#, offset % 7, offset % 11);
        let insert =
            format!("INSERT INTO \"{topic}\" (partition, offset, timestamp, value) VALUES (0, ?1, 1700000000000, ?2)");
        state.execute(&insert, params![offset, value]).expect("insert");
    }
}

fn execute(site: &Workspace, statement: &str) {
    site.state().execute_batch(statement).expect("executed");
}

/// Runs until caught up with the policy that stops, which must say all of `parts`, and then with the other one.
fn stops_then_continues(site: &mut Workspace, parts: &[&str]) -> Value {
    let output = site.run(&["run", "--until-caught-up"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts.iter().chain(&["transport.on_gap = \"continue\"", "state.path"]) {
        assert!(said.contains(part), "{part} in {said}");
    }
    site.settings.push("transport.on_gap=continue".into());
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    let line = daemon.event("gap");
    assert!(daemon.wait().success());
    assert_eq!(daemon.lines_of("model_afresh").len(), 0, "models keep what they learned");
    // And only once.
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success());
    assert_eq!(daemon.lines_of("gap").len(), 0);
    line
}

fn sources(site: &Workspace) -> Vec<i64> {
    let offset = |prediction: &Value| prediction["source"]["offset"].as_i64().expect("an offset");
    site.predictions().iter().map(offset).collect()
}

/// The one gap event, without its timestamp.
fn gap_event(site: &Workspace) -> Value {
    let parse = |value: Option<Vec<u8>>| -> Value { serde_json::from_slice(&value.expect("a value")).expect("JSON") };
    let events = site.topic("events").into_iter().map(|(_, value, _)| parse(value));
    let mut gaps: Vec<Value> = events.filter(|event| event["event"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let mut gap = gaps.remove(0);
    gap.as_object_mut().expect("an object").remove("timestamp");
    gap
}

#[test]
fn retention_that_has_overtaken_the_position_stops_or_is_counted_and_told() {
    let mut site = learned(&[]);
    append(&site, "samples", 500..600, "one");
    execute(&site, "DELETE FROM samples WHERE offset < 540");
    let line = stops_then_continues(&mut site, &["`samples`/0", "540 to 600", "500", "40 records would be missed"]);
    assert_eq!((&line["missed"], &line["reason"]), (&40.into(), &"retention".into()));
    let expected = serde_json::json!({"event": "gap", "reason": "retention", "requested": 500, "resumed": 540,
        "missed": 40, "source": {"topic": "samples", "partition": 0, "offset": 540}});
    assert_eq!(gap_event(&site), expected);
    assert_eq!(sources(&site), (0..500).chain(540..600).collect::<Vec<_>>());
    let last = site.predictions().pop().expect("a prediction");
    assert_eq!(last["version"], 559, "models go on with what they learned");
    let mut daemon = site.start(&[]);
    assert_eq!(daemon.event("report")["missed"], 40);
    assert!(daemon.stop().success());
}

#[test]
fn a_topic_made_anew_with_fewer_records_stops_or_is_read_from_its_beginning() {
    let mut site = learned(&[]);
    execute(&site, "DELETE FROM samples");
    append(&site, "samples", 0..200, "two");
    let line = stops_then_continues(&mut site, &["`samples`/0", "made anew", "0 to 200", "before 500"]);
    assert_eq!((&line["missed"], &line["reason"]), (&Value::Null, &"recreated".into()));
    let expected = serde_json::json!({"event": "gap", "reason": "recreated", "requested": 500, "resumed": 0,
        "missed": null, "source": {"topic": "samples", "partition": 0, "offset": 0}});
    assert_eq!(gap_event(&site), expected);
    assert_eq!(sources(&site), (0..500).chain(0..200).collect::<Vec<_>>());
}

#[test]
fn a_topic_made_anew_with_more_records_is_not_taken_for_the_old_one() {
    let mut site = learned(&[]);
    execute(&site, "DELETE FROM samples");
    append(&site, "samples", 0..800, "two");
    let line = stops_then_continues(&mut site, &["`samples`/0", "made anew", "0 to 800"]);
    assert_eq!(line["reason"], "recreated");
    assert_eq!(sources(&site), (0..500).chain(0..800).collect::<Vec<_>>());
}

#[test]
fn going_back_to_before_a_topic_was_made_anew_keeps_the_place_in_it() {
    let mut site = learned(&[]);
    execute(&site, "DELETE FROM samples");
    append(&site, "samples", 0..200, "two");
    site.settings.push("transport.on_gap=continue".into());
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let id: i64 = {
        let query = "SELECT max(id) FROM thalweg_checkpoints WHERE position = 500";
        site.state().query_row(query, [], |row| row.get(0)).expect("a checkpoint at 500")
    };
    let output = site.run(&["model", "restore", "--checkpoint", &id.to_string()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["position 200", "version 500", "made anew since"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    append(&site, "samples", 200..210, "two");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(sources(&site), (0..500).chain(0..210).collect::<Vec<_>>());
    assert_eq!(site.predictions().pop().expect("a prediction")["version"], 509);
}

#[test]
fn settings_that_name_another_topic_stop_or_carry_over_what_was_learned() {
    let mut site = learned(&[]);
    execute(
        &site,
        "CREATE TABLE other AS SELECT * FROM samples WHERE 0; CREATE UNIQUE INDEX o ON other(partition, offset)",
    );
    append(&site, "other", 0..100, "three");
    site.settings.push("topics.samples=other".into());
    let line = stops_then_continues(&mut site, &["learned from `samples`/0 up to offset 500", "name `other`"]);
    assert_eq!(line["reason"], "other_topic");
    let last = site.predictions().pop().expect("a prediction");
    assert_eq!((&last["version"], &last["source"]["topic"]), (&599.into(), &"other".into()));
    assert_eq!(sources(&site), (0..500).chain(0..100).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_lost_its_newest_records_goes_on_at_its_end_and_nothing_is_published_again() {
    let mut site = learned(&["state.keep=5"]);
    // The checkpoint at 500 tells that it is the same topic still.
    append(&site, "samples", 500..700, "one");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    execute(&site, "DELETE FROM samples WHERE offset >= 600");
    let line = stops_then_continues(&mut site, &["`samples`/0 ends at offset 600", "up to 700", "newest records"]);
    assert_eq!((&line["reason"], &line["resumed"]), (&"truncated".into(), &600.into()));
    append(&site, "samples", 600..650, "two");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(gap_event(&site)["reason"], "truncated");
    assert_eq!(sources(&site), (0..700).chain(600..650).collect::<Vec<_>>());
}

#[test]
fn another_predictions_topic_begins_empty_and_a_kill_doubles_nothing_in_it() {
    let mut site = learned(&["state.every=1h"]);
    append(&site, "samples", 500..600, "one");
    site.settings.push("topics.predictions=others".into());
    let mut daemon = site.start(&[]);
    daemon.line("all published", |line| line["event"] == "report" && line["records"] == 600 && line["lag"] == 0);
    let published =
        || -> i64 { site.state().query_row("SELECT count(*) FROM others", [], |row| row.get(0)).expect("a count") };
    while published() < 100 {
        std::thread::yield_now();
    }
    daemon.signal("KILL");
    daemon.wait();
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(published(), 100);
}

#[test]
fn records_that_vanish_while_the_daemon_runs_are_a_gap_too() {
    let site = learned(&["transport.on_gap=continue"]);
    let mut daemon = site.start(&[]);
    daemon.event("report");
    // In one transaction, so that the reader sees either nothing new or the gap.
    let state = site.state();
    state.execute_batch("BEGIN IMMEDIATE; DELETE FROM samples").expect("deleted");
    let insert = "INSERT INTO samples (partition, offset, timestamp, value) VALUES (0, ?1, 0, '{\"x\":1,\"y\":2}')";
    for offset in 700..750 {
        state.execute(insert, [offset]).expect("insert");
    }
    state.execute_batch("COMMIT").expect("committed");
    let line = daemon.event("gap");
    assert_eq!((&line["requested"], &line["resumed"], &line["missed"]), (&500.into(), &700.into(), &200.into()));
    daemon.line("the rest", |line| line["event"] == "report" && line["records"] == 550);
    assert!(daemon.stop().success());
    assert_eq!(sources(&site), (0..500).chain(700..750).collect::<Vec<_>>());
}

#[test]
fn a_state_file_of_the_first_format_is_gone_on_with() {
    // So small that it is kept whole, as all were then.
    let site = learned(&["metrics.window=50"]);
    // As the first version wrote it, without what came later.
    execute(
        &site,
        "ALTER TABLE thalweg_checkpoints DROP COLUMN settings; DROP TRIGGER thalweg_checkpoint_dropped;
         DROP TABLE thalweg_checkpoint_parts; UPDATE thalweg_meta SET value = 1 WHERE name = 'format'",
    );
    let shown = site.run(&["model", "show"]);
    assert!(shown.status.success(), "{shown:?}");
    append(&site, "samples", 500..510, "one");
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert_eq!(daemon.event("worker_started")["position"], 500);
    assert!(daemon.wait().success());
    assert_eq!(sources(&site), (0..510).collect::<Vec<_>>());
    let format: i64 = site
        .state()
        .query_row("SELECT value FROM thalweg_meta WHERE name = 'format'", [], |row| row.get(0))
        .expect("a format");
    assert_eq!(format, 3);
}

#[test]
fn labels_that_are_gone_before_they_were_read_are_told_and_missed_only_where_that_is_meant() {
    let topic = ["labels.mode=topic", "labels.by=x", "labels.on_correction=refuse"];
    let mut site = learned(&topic);
    append(&site, "labels", 0..40, "one");
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    append(&site, "labels", 40..90, "two");
    execute(&site, "DELETE FROM labels WHERE offset < 60");
    let line = stops_then_continues(&mut site, &["`labels`/0 holds offsets 60 to 90 and no longer 40", "20 records"]);
    assert_eq!((&line["topic"], &line["requested"], &line["resumed"]), (&"labels".into(), &40.into(), &60.into()));
    let events = site.topic("events");
    let gap = events.iter().filter_map(|(_, value, _)| serde_json::from_slice::<Value>(value.as_deref()?).ok());
    let gap = gap.filter(|event| event["event"] == "gap").collect::<Vec<_>>();
    assert_eq!(gap.len(), 1, "{gap:?}");
    assert_eq!((&gap[0]["source"]["topic"], &gap[0]["missed"]), (&"labels".into(), &20.into()));

    // Made anew, with others in the place of those that were read.
    execute(&site, "DELETE FROM labels");
    append(&site, "labels", 0..100, "three");
    site.settings.retain(|setting| setting != "transport.on_gap=continue");
    let line = stops_then_continues(&mut site, &["`labels`/0 has been made anew"]);
    assert_eq!((&line["reason"], &line["resumed"]), (&"recreated".into(), &0.into()));
}

#[test]
fn a_gap_in_the_samples_doubles_no_dead_letter_of_a_label() {
    let mut site = learned(&["labels.mode=topic", "labels.by=x", "state.every=1h"]);
    append(&site, "labels", 0..10, "nobody's");
    let mut daemon = site.start(&["run", "--set", "metrics.report_every=20ms"]);
    daemon.line("all of them", |line| line["event"] == "report" && line["records"] == 510);
    let letters = site.topic("dead-letters");
    daemon.kill();
    append(&site, "samples", 500..560, "two");
    execute(&site, "DELETE FROM samples WHERE offset < 520");
    stops_then_continues(&mut site, &["`samples`/0 holds offsets 520 to 560 and no longer 500"]);
    assert_eq!(site.topic("dead-letters"), letters);
}

#[test]
fn labels_that_predictions_knew_of_and_that_are_gone_are_told_and_not_waited_for() {
    let mut site = learned(&["labels.mode=topic", "labels.by=x", "state.every=1h"]);
    append(&site, "labels", 0..10, "one");
    let mut daemon = site.start(&["run", "--set", "metrics.report_every=20ms"]);
    daemon.line("the labels", |line| line["event"] == "report" && line["records"] == 510);
    append(&site, "samples", 500..510, "two");
    daemon.line("all of them", |line| line["event"] == "report" && line["records"] == 520);
    daemon.kill();
    execute(&site, "DELETE FROM labels WHERE offset >= 6");
    stops_then_continues(
        &mut site,
        &["`labels`/0 ends at offset 6, but there are predictions for its records up to 10"],
    );
    assert_eq!(sources(&site), (0..510).collect::<Vec<_>>());
}
