//! Features of the past in a daemon that is killed, and in commands that read a stream.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{
    kill::{KEEP_ALL, StateFile, undisturbed},
    support::{
        PATIENCE,
        daemon::{Workspace, stdout},
        kill_loop::{Ground, MODELS},
        proof::Proof,
    },
};

/// Features by key, in so little room that keys are forgotten.
const FEATURES: &[&str] = &[
    "generator.enabled=false",
    "schema.timestamp=at",
    "keys.budget=65536",
    r#"features=[{kind="lag",of="y",at=[1,"1h"],by="device"},{kind="rolling",of=["x","y"],over=[7,"2h"],statistics=["mean","slope","ewm"],by="device"},{kind="calendar",parts=["hour","weekday"],zone="Asia/Tokyo"},{kind="elapsed",by="device"},{kind="lag",of="y",at=3}]"#,
];

fn record(i: usize) -> Value {
    let x = (i * 31 % 100) as f64 / 10.0;
    let y = if i.is_multiple_of(17) { Value::Null } else { json!(2.0 * x + (i % 9) as f64) };
    json!({"at": 1_700_000_000_000_i64 + i as i64 * 60_000, "device": format!("d{}", i * i % 997), "x": x, "y": y})
}

fn fill(site: &Workspace, range: std::ops::Range<usize>) {
    let state = site.state();
    let tx = state.unchecked_transaction().expect("a transaction");
    for i in range {
        let row = rusqlite::params![i as i64, 1_700_000_000_000_i64, record(i).to_string().into_bytes()];
        tx.execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", row).expect("insert");
    }
    tx.commit().expect("commit");
}

#[test]
fn kills_amid_features_of_the_past_and_forgotten_keys_change_no_bit() {
    let settings = [FEATURES, &["state.every=50ms", KEEP_ALL, MODELS]].concat();
    let ground = StateFile { site: Workspace::new(&settings), partitions: 1 };
    assert!(ground.site.run(&["run", "--until-caught-up"]).status.success());
    let mut rng = ChaCha8Rng::seed_from_u64(26);
    let (rounds, each) = (25, 1500);
    for round in 0..rounds {
        fill(&ground.site, round * each..(round + 1) * each);
        let (before, mut daemon) = (ground.published(), ground.site.start(&["run"]));
        let (deadline, after) = (Instant::now() + PATIENCE, before + rng.random_range(0..each as i64));
        while ground.published() < after && Instant::now() < deadline {
            daemon.watch(Duration::from_millis(1));
        }
        daemon.kill();
    }
    let caught_up = ground.site.run(&["run", "--until-caught-up"]);
    assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));
    let (topics, fresh) = (ground.topics(), undisturbed(&ground));
    let theirs = fresh.topics();
    let mut proof = Proof::default();
    proof.same_outputs(&topics, &theirs);
    proof.same_state(&ground.site, &fresh.site, "samples", 1);
    assert_eq!(topics.outputs[0][0].len(), rounds * each);
    println!("{} records, {rounds} kills; {}", rounds * each, proof.summary());
    proof.hold();
}

#[test]
fn replaying_a_file_makes_the_features_of_the_daemon_and_tells_what_it_lacks() {
    let site = Workspace::new(FEATURES);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    fill(&site, 0..600);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let lines: String = (0..600).map(|i| format!("{}\n", record(i))).collect();
    let file = site.write("past.jsonl", &lines).display().to_string();
    let replayed = site.run(&["replay", &file, "--predictions", "-"]);
    let text = stdout(&replayed);
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let column = header.iter().position(|name| *name == "prediction").expect("a column");
    for (i, (made, row)) in site.predictions().iter().zip(rows).enumerate() {
        let theirs: f64 = row[column].parse().expect("a number");
        assert_eq!(made["prediction"].as_f64().map(f64::to_bits), Some(theirs.to_bits()), "record {i}");
    }
    // A file has no times besides those of a field.
    let untimed = Workspace::new(&[&FEATURES[..1], &FEATURES[3..]].concat());
    let replayed = untimed.run(&["replay", &file]);
    let told = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success() && told.contains("features of time are unknown here"), "{told}");
}
