//! `thalweg model`: what was learned, by name, out of the state file.

use std::process::Stdio;

use crate::support::daemon::{Workspace, read, stdout};
use serde_json::Value;

/// Puts samples into the topic, as a producer would.
fn insert(site: &Workspace, values: &[String]) {
    site.run(&["run", "--until-caught-up"]);
    let state = site.state();
    let next: i64 = state
        .query_row("SELECT coalesce(max(offset) + 1, 0) FROM samples", [], |row| row.get(0))
        .expect("the next offset");
    for (offset, value) in (next..).zip(values) {
        state
            .execute("INSERT INTO samples VALUES (0, ?1, 1700000000000, NULL, ?2, NULL)", (offset, value))
            .expect("insert");
    }
    drop(state);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
}

fn export(site: &Workspace, arguments: &[&str]) -> Value {
    let arguments = [&["model", "export"], arguments].concat();
    serde_json::from_str(&stdout(&site.run(&arguments))).expect("JSON")
}

fn show(site: &Workspace, arguments: &[&str]) -> String {
    stdout(&site.run(&[&["model", "show"], arguments].concat()))
}

/// What a command that must fail says.
fn failure(site: &Workspace, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// The line of `text` that starts with `first`, its words.
fn words<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.into_iter().find(|words| words.first() == Some(&first)).unwrap_or_else(|| panic!("no {first} in {text}"))
}

#[test]
fn weights_go_by_the_names_of_their_features_and_of_what_steps_made_of_them() {
    // One step of gradient descent from 0 with learning rate 0.5 on (y − 0)² is 2 · 0.5 · y · x: twelve times the row.
    let steps = r#"steps=["one_hot","polynomial"],optimizer={kind="sgd",lr=0.5}"#;
    let models =
        format!(r#"models=[{{kind="linear",{steps}}},{{kind="linear",name="plain",scale=false,optimizer="sgd"}}]"#);
    let site = Workspace::new(&["generator.enabled=false", r#"schema.nominal=["city"]"#, &models]);
    insert(&site, &[r#"{"a":2,"city":"Paris","b":-1,"y":12}"#.to_owned()]);
    let text = show(&site, &["linear"]);
    let expected =
        [("a", "24"), ("b", "-12"), ("city=Paris", "12"), ("a^2", "48"), ("a*b", "-24"), ("b*city=Paris", "-12")];
    for (name, weight) in expected {
        assert_eq!(words(&text, name), [name, weight], "{text}");
    }
    assert!(text.find("a^2").expect("a^2") < text.find("city=Paris  ").expect("city=Paris"), "largest first: {text}");
    assert!(!text.contains("plain"), "{text}");

    // With the default rate 0.01 and no steps; a category that no step made a number of has no weight.
    let plain = &export(&site, &["plain"])["partitions"][0]["models"][0]["learned"];
    assert_eq!(plain["intercept"], 0.01 * 24.0);
    let weights: Vec<(&str, f64)> = plain["weights"]
        .as_array()
        .expect("weights")
        .iter()
        .map(|it| (it["feature"].as_str().expect("a name"), it["weight"].as_f64().expect("a number")))
        .collect();
    assert_eq!(weights, [("a", 0.01 * (2.0 * 24.0)), ("b", 0.01 * -24.0)]);
}

#[test]
fn exported_weights_give_the_daemons_next_prediction_to_the_bit() {
    let mut site = Workspace::new(&[
        "generator.count=500",
        "generator.rate=0",
        "metrics.report_every=50ms",
        r#"models=[{kind="linear"}]"#,
    ]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 500);
    assert!(daemon.stop().success());
    let document = export(&site, &[]);
    let model = &document["partitions"][0]["models"][0];
    // It is alone, so that it is what was published.
    let published = &document["partitions"][0]["published"];
    assert_eq!((&published["total"], &published["rolling"]), (&model["total"], &model["rolling"]));
    assert!(published["total"]["n"] == 500 && published["total_skill"].is_number(), "{published}");
    let number = |value: &Value| value.as_f64().expect("a number");
    let learned = &model["learned"];
    let scaler = model["steps"][1]["features"].as_array().expect("statistics");
    let weights = learned["weights"].as_array().expect("weights");
    let x: Vec<f64> = (0..10).map(|i| 0.1 + 0.07 * f64::from(i)).collect();
    let terms = scaler.iter().zip(weights).zip(&x).map(|((column, weight), x)| {
        assert_eq!(column["feature"], weight["feature"]);
        number(&weight["weight"]) * ((x - number(&column["mean"])) / number(&column["deviation"]))
    });
    let expected = terms.fold(0.0, |sum, term| sum + term) + number(&learned["intercept"]);

    let fields: Vec<String> = x.iter().enumerate().map(|(i, x)| format!("\"x{i}\":{x}")).collect();
    site.settings = ["generator.enabled=false", r#"models=[{kind="linear"}]"#].map(str::to_owned).to_vec();
    insert(&site, &[format!("{{{}}}", fields.join(","))]);
    let predictions = site.predictions();
    let last = predictions.last().expect("a prediction");
    assert_eq!(last["version"], document["partitions"][0]["version"]);
    assert_eq!(number(&last["prediction"]).to_bits(), expected.to_bits());
}

/// 10 up to a half, 20 above it; 5 more in Rome.
fn steps_and_cities(n: u32) -> Vec<String> {
    let city = |i: u32| ["Oslo", "Rome", "Paris"][i as usize % 3];
    let y = |i: u32| if i % 20 <= 10 { 10 } else { 20 } + if i % 3 == 1 { 5 } else { 0 };
    (0..n).map(|i| format!(r#"{{"x":{},"city":"{}","y":{}}}"#, f64::from(i % 20) / 20.0, city(i), y(i))).collect()
}

#[test]
fn a_tree_is_printed_with_its_splits_in_the_features_own_unit_and_categories_by_name() {
    let tree =
        |name: &str, more: &str| format!(r#"{{kind="hoeffding_tree",name="{name}",leaf_prediction="mean",{more}}}"#);
    let models = format!(
        r#"models=[{},{}]"#,
        tree("plain", "scale=false,splitter={kind=\"ebst\"}"),
        tree("scaled", "scale=true,splitter={kind=\"ebst\"}")
    );
    let site = Workspace::new(&["generator.enabled=false", r#"schema.nominal=["city"]"#, &models]);
    insert(&site, &steps_and_cities(1200));
    let text = show(&site, &["plain"]);
    // The split is known: the largest value of the lower step.
    assert!(text.contains("x <= 0.5000  n="), "{text}");
    assert!(text.contains("x > 0.5000  n="), "{text}");
    for city in ["Oslo", "Rome", "Paris"] {
        assert!(text.contains(&format!("city = {city}  n=")), "{city} in {text}");
    }
    assert!(text.contains(" mean=20 deviation=0"), "{text}");
    assert!(show(&site, &["plain", "--depth", "1"]).contains("nodes below; --depth "), "what is left out is said");

    let root = |name: &str| export(&site, &[name])["partitions"][0]["models"][0]["learned"]["root"].clone();
    let plain = root("plain");
    assert_eq!((&plain["feature"], &plain["test"], &plain["threshold"]), (&"x".into(), &"at_most".into(), &0.5.into()));
    assert_eq!(plain["children"].as_array().map(Vec::len), Some(2));
    // In deviations from the mean, which moved while the tree grew; back in x it lies between the steps.
    let scaled = root("scaled");
    let own = scaled["in_feature_unit"].as_f64().expect("a number");
    assert!((0.45..0.6).contains(&own) && scaled["threshold"] != scaled["in_feature_unit"], "{scaled}");
}

#[test]
fn it_runs_beside_the_daemon_and_writes_to_a_file() {
    let site = Workspace::new(&["state.every=50ms", "metrics.report_every=50ms"]);
    let mut daemon = site.start(&[]);
    // A first checkpoint, seen by another connection.
    let path = site.path("data/thalweg.db");
    daemon.line("a checkpoint", |_| {
        let count = rusqlite::Connection::open(&path)
            .and_then(|state| state.query_row("SELECT count(*) FROM thalweg_checkpoints", [], |row| row.get(0)));
        count.is_ok_and(|count: i64| count > 0)
    });
    let file = site.path("models.json");
    stdout(&site.run(&["model", "export", "--output", &file.display().to_string()]));
    let document: Value = serde_json::from_str(&read(&file)).expect("JSON");
    assert_eq!(document["partitions"][0]["models"].as_array().map(Vec::len), Some(5));
    assert!(show(&site, &[]).contains("partition 0 of samples"));
    assert!(daemon.stop().success());
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let site = Workspace::new(&["generator.count=300", "generator.rate=0", "metrics.report_every=50ms"]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 300);
    assert!(daemon.stop().success());
    for command in ["show", "export"] {
        let mut child = site.command(&["model", command]);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ended");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{command}: {said}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let site = Workspace::new(&["generator.enabled=false", r#"models=[{kind="mean"},{kind="linear",name="price"}]"#]);
    let said = failure(&site, &["model", "show"]);
    assert!(said.contains("thalweg.db does not exist"), "{said}");
    assert!(!site.path("data/thalweg.db").exists(), "reading made a state file");

    insert(&site, &[r#"{"x":1,"y":2}"#.to_owned()]);
    let said = failure(&site, &["model", "show", "prise"]);
    assert!(said.contains("there is no model `prise`; there are mean, price; did you mean `price`?"), "{said}");
    let said = failure(&site, &["model", "export", "--partition", "7"]);
    assert!(said.contains("no checkpoint of partition 7 of `samples`; there is of 0"), "{said}");
    let said = failure(&site, &["model", "show", "--set", "topics.samples=others"]);
    assert!(said.contains("holds no checkpoint of the topic `others`"), "{said}");

    site.state().execute("UPDATE thalweg_meta SET value = 99 WHERE name = 'format'", []).expect("update");
    let said = failure(&site, &["model", "show"]);
    assert!(said.contains("format 99"), "{said}");
    site.write("data/thalweg.db", "this is text");
    for leftover in ["data/thalweg.db-wal", "data/thalweg.db-shm"] {
        let _ = std::fs::remove_file(site.path(leftover));
    }
    let said = failure(&site, &["model", "show"]);
    assert!(said.contains("is it a state file of Thalweg"), "{said}");
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_and_that_is_said() {
    let site = Workspace::new(&["generator.enabled=false", r#"models=[{kind="mean"}]"#]);
    insert(&site, &[r#"{"x":1,"y":2}"#.to_owned()]);
    insert(&site, &[r#"{"x":1,"y":4}"#.to_owned()]);
    let damage = "UPDATE thalweg_checkpoints SET state = zeroblob(9) WHERE position = 2";
    assert!(site.state().execute(damage, []).expect("damage") > 0);
    let output = site.run(&["model", "show"]);
    let text = stdout(&output);
    assert!(text.contains("version 1 ") && text.contains("predicts 2\n"), "{text}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its checksum is wrong; this is the one before"), "{said}");
    site.state().execute("UPDATE thalweg_checkpoints SET checksum = 1", []).expect("damage");
    let said = failure(&site, &["model", "show"]);
    assert!(said.contains("no checkpoint of partition 0 is intact"), "{said}");
}

#[test]
fn the_features_that_matter_now_are_named_for_every_kind_of_model() {
    let models = r#"models=[{kind="mean"},{kind="linear"},{kind="rls",scale=false},{kind="hoeffding_tree",grace_period=50},{kind="amrules"}]"#;
    let site = Workspace::new(&["generator.enabled=false", models]);
    // `big` counts nothing however large it is; `b` takes over from `a` half way.
    let values = |i: u32| [i * 7 % 11, i * 5 % 13, i * 3 % 17 * 1000];
    let y = |i: u32, [a, b, _]: [u32; 3]| if i < 2000 { 3 * a } else { 3 * b };
    let sample = |i: u32| {
        let [a, b, big] = values(i);
        format!(r#"{{"a":{a},"b":{b},"big":{big},"y":{}}}"#, y(i, values(i)))
    };
    let samples: Vec<String> = (0..5000).map(sample).collect();
    insert(&site, &samples[..2000]);
    let importance = |name: &str| export(&site, &[name])["partitions"][0]["models"][0]["importance"].clone();
    let expected = [
        ("linear", "standardised_weights", "importance by standardised weights"),
        ("rls", "standardised_weights", "importance by standardised weights"),
        ("hoeffding_tree", "variance_reduction", "importance by variance reduction"),
        ("amrules", "permutation", "importance by permutation"),
    ];
    for (name, method, heading) in expected {
        let found = importance(name);
        assert_eq!((&found["method"], &found["samples"]), (&method.into(), &200.into()), "{name}");
        assert_eq!(found["features"][0]["feature"], "a", "{name}: {found}");
        assert!(found["features"][0]["share"].as_f64().is_some_and(|share| share > 0.9), "{name}: {found}");
        let text = show(&site, &[name]);
        let told = text.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading} in {text}"));
        assert_eq!(words(told, "share").len(), 1, "{told}");
        let first = words(told, "a");
        assert!(first[1].parse::<f64>().is_ok_and(|share| share > 0.9), "{told}");
        assert!(told.contains("over the last 200 samples"), "{told}");
    }
    assert_eq!(importance("mean"), Value::Null);
    assert!(!show(&site, &["mean"]).contains("importance"));

    insert(&site, &samples[2000..]);
    for name in ["linear", "rls", "amrules"] {
        assert_eq!(importance(name)["features"][0]["feature"], "b", "{name}: {}", importance(name));
    }
}

fn plane(n: u32) -> Vec<String> {
    (0..n).map(|i| format!(r#"{{"a":{},"b":{},"y":{}}}"#, i % 7, i % 5, 2 * (i % 7) + i % 5)).collect()
}

/// Numbers of the checkpoints listed, oldest first.
fn checkpoints(site: &Workspace) -> Vec<String> {
    let text = stdout(&site.run(&["model", "restore"]));
    let number =
        |line: &str| line.split_whitespace().next().filter(|word| word.parse::<i64>().is_ok()).map(str::to_owned);
    text.lines().filter_map(number).collect()
}

#[test]
fn a_model_taken_out_of_the_race_can_be_gone_back_to_many_checkpoints_later() {
    let both = r#"models=[{kind="mean"},{kind="linear"}]"#;
    let mut site = Workspace::new(&["generator.enabled=false", "state.keep=2", both]);
    insert(&site, &plane(50));
    let before = export(&site, &["linear"])["partitions"][0].clone();

    *site.settings.last_mut().expect("settings") = r#"models=[{kind="mean"}]"#.into();
    for _ in 0..5 {
        insert(&site, &plane(10));
    }
    let listed = checkpoints(&site);
    assert_eq!(listed.len(), 3, "the last two, and the last one of the settings before: {listed:?}");

    *site.settings.last_mut().expect("settings") = both.into();
    let said = stdout(&site.run(&["model", "restore", "--checkpoint", &listed[0]]));
    assert!(said.contains("position 50") && said.contains("version 50"), "{said}");
    let after = export(&site, &["linear"])["partitions"][0].clone();
    assert_eq!(before["models"], after["models"]);
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert_eq!(daemon.event("worker_started")["replay"], 50);
    assert!(daemon.wait().success());
    assert_eq!(daemon.lines_of("model_afresh").len(), 0);
    assert_eq!(export(&site, &["linear"])["partitions"][0]["version"], 100, "what came since is learned again");
    let offsets: Vec<i64> =
        site.predictions().iter().map(|it| it["source"]["offset"].as_i64().expect("an offset")).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
}

#[test]
fn restoring_what_is_not_there_or_in_use_says_so() {
    let site = Workspace::new(&["generator.enabled=false"]);
    assert!(failure(&site, &["model", "restore", "--checkpoint", "1"]).contains("does not exist"));
    insert(&site, &plane(3));
    assert!(failure(&site, &["model", "restore", "--checkpoint", "99"]).contains("no checkpoint 99"));
    site.state().execute("UPDATE thalweg_checkpoints SET state = x'00' WHERE id = 1", []).expect("damaged");
    let listed = stdout(&site.run(&["model", "restore"]));
    assert!(listed.contains("cannot be used: its checksum is wrong"), "{listed}");
    assert!(failure(&site, &["model", "restore", "--checkpoint", "1"]).contains("checksum"));
    let mut daemon = site.start(&[]);
    daemon.event("report");
    let refused = failure(&site, &["model", "restore", "--checkpoint", "2"]);
    assert!(refused.contains("in use by process"), "{refused}");
    assert!(daemon.stop().success());
}
