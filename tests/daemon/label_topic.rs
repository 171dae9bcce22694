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
        daemon::{Workspace, stdout},
        kill_loop::MODELS,
        proof::{Proof, Topics},
    },
};
use thalweg::topic::{
    Output,
    record::{LABELS, Record, TIMESTAMP},
};

const TOPIC: &[&str] = &[
    "generator.enabled=false",
    "state.every=50ms",
    "schema.timestamp=at",
    "labels.mode=topic",
    "labels.by=id",
    "labels.max_wait=40min",
    "labels.max_early=5min",
    r#"features=[{kind="lag",of="y",at=[1,"30min"]},{kind="rolling",of="y",over=[9],statistics=["mean"],by="who"}]"#,
];

fn at(i: usize) -> i64 {
    1_700_000_000_000 + i as i64 * 30_000
}

fn sample(i: usize) -> Value {
    json!({"at": at(i), "id": i, "who": format!("w{}", i % 7), "x": (i * 31 % 100) as f64 / 10.0})
}

/// Label `i`: of a sample that came before it, or comes a little after, or of none; some say more than a label has to.
fn label(i: usize) -> Value {
    let of = (i + 2).saturating_sub(i * 7919 % 60);
    let y = (of * 31 % 100) as f64 / 5.0 + (of % 3) as f64;
    match i % 13 {
        5 => json!({"at": at(i), "id": format!("nobody {i}"), "y": 1}),
        8 => json!({"at": at(i), "y": 1}),
        9 => json!({"at": at(i), "id": of, "y": y, "x": 5, "by": "a person"}),
        _ => json!({"at": at(i), "id": of, "y": y}),
    }
}

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

/// How many labels each prediction says it knew of, by the offset of its sample.
fn known(predictions: &[Record]) -> Vec<i64> {
    let known = |record: &Record| {
        let header = record.headers.get(LABELS).expect("a prediction says which labels it knew of");
        std::str::from_utf8(header).expect("text").parse().expect("an offset")
    };
    predictions.iter().map(known).collect()
}

/// How many predictions are published.
fn predictions(site: &Workspace) -> i64 {
    let query = "SELECT coalesce(max(offset) + 1, 0) FROM predictions";
    site.state().query_row(query, [], |row| row.get(0)).expect("a count")
}

/// Without the times of records, which the undisturbed run has others of.
fn without_times(mut topics: Topics) -> Topics {
    let [_, letters, events] = &mut topics.outputs;
    letters.iter_mut().flatten().for_each(|letter| letter.headers.retain(|name| name != TIMESTAMP.as_bytes()));
    for event in events.iter_mut().flatten() {
        let mut value: Value = serde_json::from_slice(event.value.as_deref().expect("a value")).expect("JSON");
        value.as_object_mut().expect("an object").remove("timestamp");
        event.value = Some(value.to_string().into());
    }
    topics
}

/// The same records in a fresh state file, in one go. Their times say what the predictions of the other run say: which label comes
/// before which sample.
fn undisturbed(battered: &StateFile, samples: usize, labels: usize) -> StateFile {
    let settings: Vec<&str> = battered.site.settings.iter().map(String::as_str).collect();
    let fresh = StateFile { site: Workspace::new(&settings), partitions: 1 };
    assert!(fresh.site.run(&["run", "--until-caught-up"]).status.success(), "the daemon makes the topics");
    let known = known(&battered.topics().of(Output::Predictions)[0]);
    let time = |offset: usize| 10 * (offset as i64 + 1);
    fill(&fresh.site, "samples", 0..samples, sample, time);
    fill(&fresh.site, "labels", 0..labels, label, |i| time(known.partition_point(|known| *known <= i as i64)));
    let run = fresh.site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    fresh
}

#[test]
fn kills_amid_two_topics_change_no_bit_whatever_came_first() {
    let settings = [TOPIC, &[KEEP_ALL, MODELS]].concat();
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
    proof.same_outputs(&without_times(topics), &without_times(fresh.topics()));
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
