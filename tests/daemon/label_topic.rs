//! A daemon whose labels have a topic of their own: which of them comes before which sample is chance, and is kept.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::params;
use serde_json::{Value, json};

use crate::{
    kill::{KEEP_ALL, StateFile},
    support::{
        PATIENCE,
        daemon::{Workspace, read, stdout},
        http::{address, get},
        kill_loop::MODELS,
        proof::Proof,
        two_topics::{SETTINGS, known, label, placed, sample, without_times},
    },
};
use thalweg::topic::Output;

/// Appends to a topic that has records up to there, each with a time of its own.
fn fill(site: &Workspace, topic: &str, range: Range<usize>, record: fn(usize) -> Value, time: impl Fn(usize) -> i64) {
    let state = site.state();
    let tx = state.unchecked_transaction().expect("a transaction");
    for i in range {
        let row = params![i as i64, time(i), record(i).to_string().into_bytes()];
        tx.execute(&format!("INSERT INTO \"{topic}\" VALUES (0, ?1, ?2, NULL, ?3, NULL)"), row).expect("insert");
    }
    tx.commit().expect("commit");
}

/// How many predictions are published.
fn predictions(site: &Workspace) -> i64 {
    ask(site, "SELECT coalesce(max(offset) + 1, 0) FROM predictions") as i64
}

/// The same records in a fresh state file, in one go. Their times say what the predictions of the other run say: which label comes
/// before which sample.
fn undisturbed(battered: &StateFile, samples: usize, labels: usize) -> StateFile {
    let settings: Vec<&str> = battered.site.settings.iter().map(String::as_str).collect();
    let fresh = StateFile { site: Workspace::new(&settings), partitions: 1 };
    assert!(fresh.site.run(&["run", "--until-caught-up"]).status.success(), "the daemon makes the topics");
    let known = known(&battered.topics().of(Output::Predictions)[0]);
    let (of_samples, of_labels) = placed(&known, samples, labels);
    fill(&fresh.site, "samples", 0..samples, sample, |i| of_samples[i]);
    fill(&fresh.site, "labels", 0..labels, label, |i| of_labels[i]);
    let run = fresh.site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    fresh
}

#[test]
fn kills_amid_two_topics_change_no_bit_whatever_came_first() {
    let settings = [SETTINGS, &[KEEP_ALL, MODELS]].concat();
    let ground = StateFile { site: Workspace::new(&settings), partitions: 1 };
    assert!(ground.site.run(&["run", "--until-caught-up"]).status.success());
    let mut rng = ChaCha8Rng::seed_from_u64(81);
    let (mut samples, mut labels) = (0, 0);
    for _ in 0..100 {
        let mut daemon = ground.site.start(&["run"]);
        for _ in 0..rng.random_range(2..6) {
            let more = rng.random_range(1..120);
            fill(&ground.site, "samples", samples..samples + more, sample, |_| 1_700_000_000_000);
            samples += more;
            // Some wait for the next round, and some overtake their samples.
            let more = (samples + 3).saturating_sub(labels).min(rng.random_range(0..160));
            fill(&ground.site, "labels", labels..labels + more, label, |_| 1_700_000_000_000);
            labels += more;
            let (deadline, after) = (Instant::now() + PATIENCE, samples as i64 - rng.random_range(0..100));
            while predictions(&ground.site) < after {
                assert!(Instant::now() < deadline, "{}", daemon.story());
                daemon.watch(Duration::from_millis(1));
            }
        }
        daemon.kill();
    }
    let caught_up = ground.site.run(&["run", "--until-caught-up"]);
    assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));
    let (topics, fresh) = (ground.topics(), undisturbed(&ground, samples, labels));
    let mut proof = Proof::default();
    let predictions = &topics.of(Output::Predictions)[0];
    proof.holds("each sample has one prediction", predictions.len() == samples);
    let known = known(predictions);
    proof.holds("predictions know of ever more labels", known.is_sorted());
    let switches = known.windows(2).filter(|two| two[0] < two[1]).count();
    proof.same_outputs(
        &without_times(topics, ["samples", "labels"]),
        &without_times(fresh.topics(), ["samples", "labels"]),
    );
    proof.same_state(&ground.site, &fresh.site, "samples", 1);
    let shown = stdout(&ground.site.run(&["dead-letters", "show"]));
    for reason in ["already_labelled", "bad_label"] {
        proof.holds(format!("there are dead letters `{reason}`"), shown.contains(reason));
    }
    let events = ground.site.topic("events").into_iter().filter_map(|(_, value, _)| value);
    let events: String = events.map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
    for event in ["label_unmatched", "samples_missed"] {
        proof.holds(format!("there are events `{event}`"), events.contains(event));
    }
    println!("{samples} samples, {labels} labels, {switches} places where labels came; {}", proof.summary());
    proof.hold();
    assert!(switches > 100, "labels came at {switches} places only");
}

/// Records of one minute after the other, in a topic that has none.
fn minutes(site: &Workspace, topic: &str, values: &[Value]) {
    let state = site.state();
    for (i, value) in (0..).zip(values) {
        let time = value["at"].as_i64().unwrap_or(60_000 * i);
        let row = params![i, time, value.to_string()];
        let next = format!("SELECT coalesce(max(offset) + 1, 0) FROM \"{topic}\"");
        let next: i64 = state.query_row(&next, [], |row| row.get(0)).expect("an offset");
        let insert = format!("INSERT INTO \"{topic}\" VALUES (0, ?1 + {}, ?2, NULL, ?3, NULL)", next - i);
        state.execute(&insert, row).expect("insert");
    }
}

/// Two models whose numbers are known, and labels that have a topic of their own.
fn plain(more: &[&str]) -> Workspace {
    let settings = [
        "generator.enabled=false",
        "labels.mode=topic",
        "labels.by=id",
        r#"models=[{kind="mean"},{kind="last"}]"#,
        "metrics.report_every=20ms",
    ];
    let site = Workspace::new(&[&settings[..], more].concat());
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    site
}

#[test]
fn a_backlog_of_both_topics_is_worked_off_in_the_order_of_their_times() {
    let site = plain(&[]);
    let samples: Vec<Value> = (0..60).map(|i| json!({"at": 60_000 * i, "id": i, "x": i % 5})).collect();
    // Each is known two and a half minutes after its sample.
    let labels: Vec<Value> =
        (0..60).map(|i| json!({"at": 60_000 * i + 150_000, "id": i, "y": 10 * i, "x": 77, "new": 5})).collect();
    minutes(&site, "labels", &labels);
    minutes(&site, "samples", &samples);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let predictions = site.predictions();
    assert_eq!(predictions.len(), 60);
    for (i, prediction) in predictions.iter().enumerate() {
        let known = i.saturating_sub(2);
        let last = if known == 0 { 0.0 } else { 10.0 * (known - 1) as f64 };
        assert_eq!(prediction["predictions"]["last"].as_f64(), Some(last), "{prediction}");
        assert_eq!(prediction["version"].as_u64(), Some(known as u64), "{prediction}");
    }
    let headers = site.topic("predictions").remove(30).2;
    assert_eq!(headers["thalweg.labels"], "28");
    assert!(site.topic("dead-letters").is_empty());
    let shown = stdout(&site.run(&["model", "show"]));
    assert!(!shown.contains("new"), "what only labels have is no feature: {shown}");
    // The same from the topics as they are now.
    let compared = site.run(&["compare", "--topic", "samples", "--out", &site.path("out").display().to_string()]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let compared: Value = serde_json::from_str(&read(&site.path("out/compare.json"))).expect("JSON");
    let stream = &compared["streams"][0];
    assert_eq!((&stream["dead_letters"], &stream["fields"]["with_target"]), (&0.into(), &60.into()), "{compared}");
    let [last, _] = [0, 1].map(|i| &stream["models"][i]);
    // Three behind, but for the first ones, of which none was known.
    assert_eq!((&last["model"], &last["mae"]), (&"last".into(), &29.0.into()), "{compared}");
}

#[test]
fn a_label_that_was_a_dead_letter_is_one_again_when_it_is_sent_back() {
    let site = plain(&[]);
    minutes(&site, "labels", &[json!({"id": 7, "y": 3, "x": 1}), json!({"id": 8, "y": 4, "x": 1})]);
    minutes(&site, "samples", &[json!({"at": 600_000, "id": 7, "x": 2})]);
    let run = || assert!(site.run(&["run", "--until-caught-up"]).status.success());
    run();
    assert_eq!(site.topic("dead-letters").len(), 2, "both came before their samples");
    let sent = site.run(&["dead-letters", "retry", "--all"]);
    assert!(sent.status.success() && stdout(&sent).contains("2 "), "{sent:?}");
    run();
    let letters = site.topic("dead-letters");
    assert_eq!(letters.len(), 3, "the sample of the second has not come: {letters:?}");
    let [reason, topic] = ["thalweg.reason", "thalweg.topic"].map(|name| &letters[2].2[name]);
    assert_eq!((reason, topic), (&"no_sample".into(), &"labels".into()));
    assert_eq!((site.topic("samples").len(), site.topic("labels").len()), (1, 4));
    minutes(&site, "samples", &[json!({"at": 700_000, "id": 8, "x": 2})]);
    run();
    assert!(site.run(&["dead-letters", "retry", "--all"]).status.success());
    run();
    assert_eq!((site.predictions().len(), site.topic("dead-letters").len()), (2, 3));
    let shown: Value = serde_json::from_str(&stdout(&site.run(&["model", "export"]))).expect("JSON");
    assert_eq!(shown["partitions"][0]["version"], 2, "both samples were learned: {shown}");
}

#[test]
fn labels_come_while_no_sample_does_and_what_is_unread_is_told() {
    let site = plain(&["http.listen=127.0.0.1:0"]);
    minutes(&site, "samples", &[json!({"id": 1, "x": 2}), json!({"id": 2, "x": 2})]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let late = |wanted: &dyn Fn(&Value) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
            let late = &status["partitions"][0]["late"];
            if wanted(late) {
                return late.clone();
            }
            assert!(Instant::now() < deadline, "{status}");
            std::thread::yield_now();
        }
    };
    assert_eq!(late(&|late| late["waiting"] == 2)["unread"], 0);
    minutes(&site, "labels", &[json!({"id": 2, "y": 5}), json!({"id": 1, "y": 7})]);
    let late = late(&|late| late["labelled"] == 2);
    assert_eq!((&late["waiting"], &late["unread"]), (&0.into(), &0.into()));
    assert!(get(address, "/metrics").body.contains("thalweg_unread_labels{"));
    let listed = get(address, "/api/v1/topics/labels/records?partition=0&from=0").body;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(daemon.stop().success());
}

#[test]
fn where_labels_come_changes_with_a_restart_and_a_reload_says_so() {
    let text = |mode: &str| format!("[labels]\nmode = \"{mode}\"\n[metrics]\nreport_every = \"20ms\"\n");
    let site = Workspace::new(&[]);
    site.write("settings.toml", text("same_topic"));
    let mut daemon = site.start(&["run"]);
    daemon.event("report");
    site.write("settings.toml", text("topic"));
    daemon.signal("HUP");
    let told = daemon.event("reloaded");
    assert_eq!((&told["waiting"], &told["changed"]), (&"labels.mode".into(), &"".into()), "{}", daemon.story());
    assert!(daemon.stop().success());
    let mut daemon = site.start(&["run"]);
    daemon.event("report");
    assert!(daemon.stop().success(), "{}", daemon.story());
}

#[test]
fn labels_that_come_before_any_sample_are_taken_and_those_of_a_topic_that_ends_short_are_not_waited_for() {
    let site = plain(&[]);
    minutes(&site, "labels", &[json!({"id": 1, "y": 5}), json!({"id": 2, "y": 7})]);
    let mut daemon = site.start(&["run"]);
    daemon.line("both", |line| line["event"] == "report" && line["dead_letters"] == 2);
    minutes(&site, "samples", &[json!({"id": 1, "x": 5})]);
    daemon.line("a sample", |line| line["event"] == "report" && line["records"] == 3);
    // Whoever takes records out of a topic is told, and not left alone with what is there.
    site.state().execute_batch("DELETE FROM labels").expect("deleted");
    let gap = daemon.line("the end", |line| line["event"] == "failed");
    assert!(gap["error"].as_str().is_some_and(|error| error.contains("`labels`/0")), "{gap}");
    assert!(!daemon.wait().success());
}

fn ask(site: &Workspace, query: &str) -> usize {
    site.state().query_row(query, [], |row| row.get::<_, i64>(0)).expect("a number") as usize
}

/// A label of each sample, but for one in ten, which is of nobody.
fn tenth(i: usize) -> Value {
    let id = if i % 10 == 3 { json!(format!("nobody {i}")) } else { json!(i) };
    json!({"id": id, "y": i % 7})
}

#[test]
fn kills_amid_what_is_done_again_double_no_dead_letter_of_a_label() {
    const COUNT: usize = 40_000;
    let count = |site: &Workspace, topic: &str| ask(site, &format!("SELECT count(*) FROM \"{topic}\""));
    let mut site = plain(&[KEEP_ALL, "state.every=1h"]);
    fill(&site, "samples", 0..COUNT, sample, |i| 10 * i as i64);
    fill(&site, "labels", 0..COUNT, tenth, |i| 10 * i as i64 + 25);
    let mut daemon = site.start(&["run"]);
    let deadline = Instant::now() + PATIENCE;
    while [count(&site, "predictions"), count(&site, "dead-letters")] != [COUNT, COUNT / 10] {
        assert!(Instant::now() < deadline, "{}", daemon.story());
        daemon.watch(Duration::from_millis(1));
    }
    daemon.kill();
    // It is killed as soon as there is another checkpoint to begin at.
    site.settings.retain(|setting| setting != "state.every=1h");
    site.settings.push("state.every=10ms".to_owned());
    let mut again = site.start(&["run"]);
    while ask(&site, "SELECT max(position) FROM thalweg_checkpoints") == 0 {
        assert!(Instant::now() < deadline, "{}", again.story());
        again.watch(Duration::from_millis(1));
    }
    again.kill();
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!([count(&site, "predictions"), count(&site, "dead-letters")], [COUNT, COUNT / 10]);
    let export: Value = serde_json::from_str(&stdout(&site.run(&["model", "export"]))).expect("JSON");
    assert_eq!(export["partitions"][0]["version"], COUNT - COUNT / 10, "{export}");
}
