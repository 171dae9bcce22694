//! A daemon with models per key, and what it tells of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    kill::{Batches, fill},
    support::{
        daemon::{Workspace, stdout},
        http::{address, get},
    },
};

/// Keys give way, and their labels come late.
const SETTINGS: &[&str] = &[
    "generator.enabled=false",
    "labels.mode=same_topic",
    "labels.by=id",
    r#"schema.ignore=["id"]"#,
    r#"models=[{kind="linear"},{kind="mean"},{name="by who",kind="per_key",by="who",base="linear",budget="128KiB"},{name="by key",kind="per_key",by="$key",models=["mean"],learns="target"},{kind="champion"}]"#,
];

/// Record `i`: every other one is the label of a sample some records before it, which may have had one.
fn record(i: usize) -> Value {
    let half = i / 2;
    if i.is_multiple_of(2) {
        return json!({"id": half, "who": who(half), "x": x(half)});
    }
    let of = labelled(half);
    let slope = if who(of).is_multiple_of(2) { 2.0 } else { -1.0 };
    json!({"id": of, "y": 3.0 + slope * x(of)})
}

/// Some keys come up all the time, and many hardly ever.
fn who(half: usize) -> usize {
    if half.is_multiple_of(2) { half / 2 % 9 } else { half * 7919 % 211 }
}

/// The sample of a label.
fn labelled(half: usize) -> usize {
    half.saturating_sub(if half.is_multiple_of(3) { 17 } else { 3 })
}

fn x(half: usize) -> f64 {
    (half * 31 % 100) as f64 / 10.0
}

#[test]
fn kills_amid_keys_that_give_way_change_no_bit() {
    let batches = Batches { rounds: 25, records: 1200, answers: 600, seed: 27 };
    let (ground, topics, proof) = batches.killed_amid(SETTINGS, record);
    assert_eq!(topics.outputs[0][0].len(), 25 * 600);
    let shown = stdout(&ground.site.run(&["model", "show", "by who"]));
    assert!(shown.contains("forgotten for want of room"), "{shown}");
    println!("{}", proof.summary());
    proof.hold();
}

#[test]
fn keys_are_told_wherever_people_look() {
    let more = ["http.listen=127.0.0.1:0", "metrics.report_every=50ms", "models[2].budget=\"64MiB\""];
    let site = Workspace::new(&[SETTINGS, &more].concat());
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    fill(&site, 0..4000, record);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let model = loop {
        let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
        if status["partitions"][0]["records"] == 4000 {
            break status["partitions"][0]["models"][2].clone();
        }
        std::thread::yield_now();
    };
    // A key has a model once one of its samples is learned.
    let known: BTreeSet<usize> = (0..2000).map(|half| who(labelled(half))).collect();
    let count = known.len();
    assert_eq!(
        (&model["name"], &model["keys"], &model["forgotten_keys"]),
        (&json!("by who"), &json!(count), &json!(0))
    );
    let metrics = get(address, "/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with("thalweg_model_keys{") && line.contains("by who"));
    assert!(line.is_some_and(|line| line.ends_with(&format!(" {count}.0"))), "{line:?}");
    let one: Value = serde_json::from_str(&get(address, "/api/v1/models/by%20who?key=7").body).expect("JSON");
    let one = &one["partitions"][0]["models"][0];
    assert_eq!((&one["learned"]["keys"][0]["key"], &one["learned"]["count"]), (&json!("7"), &json!(count)));
    assert_eq!((&one["own"][0]["name"], &one["own"][1]["name"]), (&json!("linear + linear"), &json!("linear alone")));
    let ends: Value = serde_json::from_str(&get(address, "/api/v1/models/by%20who?keys=3").body).expect("JSON");
    assert_eq!(ends["partitions"][0]["models"][0]["learned"]["keys"].as_array().map(Vec::len), Some(6));
    let unknown = get(address, "/api/v1/models/by%20who?key=nobody");
    assert!(unknown.code == 404 && unknown.body.contains("no_such_key"), "{}", unknown.body);
    assert!(daemon.stop().success());

    let shown = stdout(&site.run(&["model", "show", "by who"]));
    let told = [format!("{count} keys; followed: linear by"), format!("{} more keys are not shown", count - 20)];
    assert!(told.iter().all(|told| shown.contains(told)), "{shown}");
    let shown = stdout(&site.run(&["model", "show", "by who", "--key", "8"]));
    assert!(shown.contains("linear + linear, of this key alone") && shown.contains("(intercept)"), "{shown}");
    let refused = site.run(&["model", "show", "--key", "nobody"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no model knows the key `nobody`"), "{said}");
    let exported: Value = serde_json::from_str(&stdout(&site.run(&["model", "export", "by who"]))).expect("JSON");
    let learned = &exported["partitions"][0]["models"][0]["learned"];
    assert_eq!((&learned["form"], learned["keys"].as_array().map(Vec::len)), (&json!("per_key"), Some(count)));
}

#[test]
fn a_model_per_key_is_compared_with_the_model_that_its_keys_begin_with() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let row = |half: usize| {
        let slope = if (half * 7919 % 211).is_multiple_of(2) { 2.0 } else { -1.0 };
        json!({"who": format!("w{}", half * 7919 % 211), "x": x(half), "y": 3.0 + slope * x(half)})
    };
    let lines: String = (0..20_000).map(|i| format!("{}\n", row(i))).collect();
    let file = site.write("who.jsonl", &lines).display().to_string();
    let models = r#"models=[{kind="linear"},{name="by who",kind="per_key",by="who"}]"#;
    let rmse = |arguments: &[&str]| {
        let replayed = site.run(&[&["replay", &file, "--report", "json", "--set", models], arguments].concat());
        let report: Value = serde_json::from_str(&stdout(&replayed)).expect("JSON");
        [0, 1].map(|i| report["models"][i]["rmse"].as_f64().expect("a figure"))
    };
    let [linear, by_who] = rmse(&[]);
    assert!(by_who < 0.5 * linear, "{by_who}, {linear}");
    let compared = site.run(&["compare", &file, "--set", models, "--out", &site.path("out").display().to_string()]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let table = std::fs::read_to_string(site.path("out/compare.csv")).expect("a table");
    let line = table.lines().find(|line| line.contains("by who")).expect("the model");
    let found: f64 = line.split(',').nth(6).expect("a figure").parse().expect("a number");
    assert!((found - by_who).abs() < 1e-12 * by_who, "{found}, {by_who}");

    let (grid, of_grid) = (site.path("grid").display().to_string(), r#"kind="per_key", name="by who", by="who""#);
    let compared = site.run(&["compare", &file, "--grid", r#"kind="linear""#, "--grid", of_grid, "--out", &grid]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let table = std::fs::read_to_string(site.path("grid/compare.csv")).expect("a table");
    let line = table.lines().find(|line| line.contains("by who")).expect("the model");
    assert_eq!(line.split(',').nth(6).and_then(|it| it.parse().ok()), Some(found), "{table}");
    let leaking = r#"kind="per_key", by="y""#;
    let refused = site.run(&["compare", &file, "--grid", r#"kind="linear""#, "--grid", leaking, "--out", &grid]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("must not be the target `y`"));
}

#[test]
fn a_model_per_key_that_is_new_learns_what_the_topic_holds() {
    let models = r#"models=[{kind="linear"},{name="by who",kind="per_key",by="who"}]"#;
    let before = r#"models=[{kind="linear"}]"#;
    let site = Workspace::new(&["generator.enabled=false", r#"schema.ignore=["who"]"#]);
    assert!(site.run(&["run", "--until-caught-up", "--set", before]).status.success());
    let row = |i: usize| json!({"who": i % 7, "x": x(i), "y": if i % 7 < 3 { x(i) } else { -x(i) }});
    fill(&site, 0..3000, row);
    assert!(site.run(&["run", "--until-caught-up", "--set", before]).status.success());
    fill(&site, 3000..3001, row);
    assert!(site.run(&["run", "--until-caught-up", "--set", models]).status.success());
    let shown = stdout(&site.run(&["model", "show", "--set", models, "by who"]));
    assert!(shown.contains("scored 3001") && shown.contains("7 keys"), "{shown}");
}
