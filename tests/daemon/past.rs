//! Features of the past in a daemon that is killed, and in commands that read a stream.

use serde_json::{Value, json};

use crate::{
    kill::{Batches, fill},
    support::daemon::{Workspace, stdout},
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

#[test]
fn kills_amid_features_of_the_past_and_forgotten_keys_change_no_bit() {
    let batches = Batches { rounds: 25, records: 1500, answers: 1500, seed: 26 };
    let (_, topics, proof) = batches.killed_amid(FEATURES, record);
    assert_eq!(topics.outputs[0][0].len(), 25 * 1500);
    println!("{}", proof.summary());
    proof.hold();
}

#[test]
fn replaying_a_file_makes_the_features_of_the_daemon_and_tells_what_it_lacks() {
    let site = Workspace::new(FEATURES);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    fill(&site, 0..600, record);
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
