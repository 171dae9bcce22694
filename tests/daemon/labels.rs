//! A daemon whose samples get their targets later, and commands that hold targets back.

use serde_json::{Value, json};

use crate::{
    kill::{Batches, fill},
    support::{
        daemon::{Workspace, stdout},
        http::{address, get},
    },
};

const LATE: &[&str] = &[
    "generator.enabled=false",
    "schema.timestamp=at",
    "labels.mode=same_topic",
    "labels.by=id",
    "labels.max_wait=40min",
    "labels.max_early=5min",
    "labels.default=1.5",
    r#"features=[{kind="lag",of="y",at=[1,"30min"]},{kind="rolling",of="y",over=[9],statistics=["mean"],by="who"}]"#,
];

/// Record `i`: every other one is a label, of a sample that came long before it or a little after, or of none.
fn record(i: usize) -> Value {
    let half = i / 2;
    if i.is_multiple_of(2) {
        let x = (half * 31 % 100) as f64 / 10.0;
        return json!({"at": at(i), "id": half, "who": format!("w{}", half % 7), "x": x});
    }
    let of = (half + 2).saturating_sub(half * 7919 % 60);
    match half % 13 {
        // It never comes, for that one at least.
        5 => json!({"at": at(i), "id": format!("nobody {half}"), "y": 1}),
        8 => json!({"at": at(i), "y": 1}),
        _ => json!({"at": at(i), "id": of, "y": (of * 31 % 100) as f64 / 5.0 + (of % 3) as f64}),
    }
}

fn at(i: usize) -> i64 {
    1_700_000_000_000 + i as i64 * 30_000
}

#[test]
fn kills_amid_samples_that_wait_for_their_labels_change_no_bit() {
    let batches = Batches { rounds: 25, records: 1500, answers: 900, seed: 62 };
    let (ground, topics, proof) = batches.killed_amid(LATE, record);
    let [predictions, letters, events] = [0, 1, 2].map(|output| topics.outputs[output][0].len());
    assert_eq!(predictions, 25 * 750);
    assert!(letters > 1000 && events > 100, "{letters} dead letters, {events} events");
    let shown = stdout(&ground.site.run(&["dead-letters", "show"]));
    assert!(shown.contains("already_labelled") && shown.contains("bad_label"), "{shown}");
    println!("{letters} dead letters, {events} events; {}", proof.summary());
    proof.hold();
}

#[test]
fn what_waits_is_told_wherever_people_look() {
    let site = Workspace::new(&[LATE, &["http.listen=127.0.0.1:0", "metrics.report_every=50ms"]].concat());
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    fill(&site, 0..1000, record);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let partition = loop {
        let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
        if status["partitions"][0]["records"] == 1000 {
            break status["partitions"][0].clone();
        }
        std::thread::yield_now();
    };
    let late = &partition["late"];
    let [waiting, expired, labelled] =
        ["waiting", "expired", "labelled"].map(|name| late[name].as_u64().expect("a count"));
    let labels = partition["labels"].as_u64().expect("a count");
    assert_eq!(partition["predictions"], 500);
    assert_eq!(500 + labels + partition["dead_letters"].as_u64().expect("a count"), 1000, "{partition}");
    assert_eq!(labelled + waiting + expired, 500, "{partition}");
    assert!(labelled > 200 && waiting > 5 && expired > 50 && late["unmatched"].as_u64() > Some(5), "{partition}");
    assert!(late["delay_p50_seconds"].as_f64().is_some_and(|delay| (60.0..2400.0).contains(&delay)), "{partition}");
    let metrics = get(address, "/metrics").body;
    for (name, value) in [
        ("thalweg_labels_total", labels),
        ("thalweg_waiting_samples", waiting),
        ("thalweg_expired_samples_total", expired),
        ("thalweg_labelled_samples_total", labelled),
    ] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap_or_default();
        let found = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        assert_eq!(found, Some(value as f64), "{name}: {line}");
    }
    assert!(metrics.contains(r#"quantile="0.99"}"#), "{metrics}");
    let report = daemon.line("a report", |line| line["event"] == "report" && line["waiting"] == waiting);
    assert_eq!((report["labels"].as_u64(), report["expired"].as_u64()), (Some(labels), Some(expired)));
    assert!(daemon.stop().success());
}

/// Samples whose target is that of their time, each with a label file of its own.
fn files(site: &Workspace) -> [String; 2] {
    let rows = (0..500).filter(|i| i % 2 == 0).map(record);
    let samples: String = rows.map(|row| format!("{row}\n")).collect();
    let labels: String = (0..500).filter(|i| i % 2 == 1).map(|i| format!("{}\n", record(i))).collect();
    [site.write("samples.jsonl", &samples), site.write("labels.jsonl", &labels)].map(|path| path.display().to_string())
}

#[test]
fn replaying_samples_beside_their_labels_is_what_the_daemon_does() {
    let site = Workspace::new(LATE);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    fill(&site, 0..500, record);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let [samples, labels] = files(&site);
    let replayed = site.run(&["replay", &samples, &labels, "--predictions", "-"]);
    let text = stdout(&replayed);
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let column = header.iter().position(|name| *name == "prediction").expect("a column");
    let theirs: Vec<u64> = rows.map(|row| row[column].parse::<f64>().expect("a number").to_bits()).collect();
    let ours: Vec<u64> =
        site.predictions().iter().map(|made| made["prediction"].as_f64().expect("a number").to_bits()).collect();
    assert_eq!(ours, theirs, "{}", stderr(&replayed));
    assert!(stderr(&replayed).contains("targets came after their samples"), "{}", stderr(&replayed));
    let compared = site.run(&["compare", "--grid", r#"kind="mean""#, &site.path("*s.jsonl").display().to_string()]);
    assert!(stdout(&compared).contains("targets had not come"), "{}", stderr(&compared));
}

#[test]
fn models_are_compared_under_the_delay_that_their_targets_have() {
    let site = Workspace::new(&["generator.enabled=false", "schema.timestamp=at"]);
    let row = |i: usize| json!({"at": at(2 * i), "x": 1.0, "y": i});
    let lines: String = (0..200).map(|i| format!("{}\n", row(i))).collect();
    let file = site.write("rising.jsonl", &lines).display().to_string();
    let rmse = |arguments: &[&str]| {
        let all = [&["replay", &file, "--report", "json", "--set", r#"models=[{kind="last"}]"#], arguments].concat();
        let replayed = site.run(&all);
        let report: Value =
            serde_json::from_str(&stdout(&replayed)).unwrap_or_else(|_| panic!("{}", stderr(&replayed)));
        (report["scored"].as_u64(), report["models"][0]["rmse"].as_f64().expect("a figure"))
    };
    // The last target that is known lies so far behind; at the beginning there is none, which is 0.
    let expected = |behind: usize| {
        let errors = (0..200).map(|i| if i <= behind { i } else { behind + 1 } as f64);
        (errors.map(|error| error * error).sum::<f64>() / 200.0).sqrt()
    };
    for (delay, behind) in [("0", 0), ("1", 0), ("10", 9), ("10m", 9)] {
        let (scored, found) = rmse(&["--label-delay", delay]);
        // When the stream has ended, the last predictions are scored, too.
        assert_eq!(scored, Some(200), "{delay}");
        assert!((found - expected(behind)).abs() < 1e-9, "{delay}: {found}, not {}", expected(behind));
    }
    assert!(rmse(&["--label-delay", "10"]).1 > 5.0 * rmse(&[]).1);
    let untimed = Workspace::new(&["generator.enabled=false"]);
    let refused = untimed.run(&["replay", &file, "--label-delay", "1h"]);
    assert!(stderr(&refused).contains("needs the samples' times"), "{}", stderr(&refused));
    let late = Workspace::new(LATE);
    let refused = late.run(&["replay", &file, "--label-delay", "10"]);
    assert!(stderr(&refused).contains("labels.mode says that these come later"), "{}", stderr(&refused));
    let refused = site.run(&["replay", &file, "--label-delay", "soon"]);
    assert!(
        stderr(&refused).contains("no number of samples, such as 500, and no time, such as 1h"),
        "{}",
        stderr(&refused)
    );
    let compared = site.run(&["compare", &file, "--label-delay", "10", "--grid", r#"kind="last""#]);
    assert!(compared.status.success() && !stdout(&compared).contains("had not come"), "{}", stderr(&compared));
}

/// Errors of River 0.26.1: `evaluate.progressive_val_score(rows, model, metrics.RMSE(), moment="at", delay=timedelta(minutes=…))` of
/// `dummy.StatisticRegressor(stats.Mean())`, and of `StandardScaler() | LinearRegression(optim.SGD(0.01))`.
const RIVER: [(&str, [f64; 2]); 3] = [
    ("0s", [1.804_300_849_811_309_3, 1.590_089_265_577_927]),
    ("7min", [1.822_368_943_551_225_6, 1.620_835_615_085_292_7]),
    ("60min", [2.025_587_126_214_473, 1.861_598_797_985_896_6]),
];

#[test]
fn what_is_held_back_is_scored_as_rivers_delayed_progressive_validation_scores_it() {
    let race = r#"models=[{kind="mean"},{kind="linear",optimizer={kind="sgd",lr=0.01},robust=false}]"#;
    let site = Workspace::new(&["schema.timestamp=at", "guard.action=off", race]);
    let number = |i: usize| (i as f64 * 0.754_877_666_246_692_7).fract();
    let row = |i: usize| {
        let (x, z) = (number(i), number(3 * i + 1));
        let minutes = i + i * i % 3;
        json!({"at": 1_767_225_600_000 + minutes * 60_000, "x": x, "z": z, "y": 3.0 * x - 2.0 * z + (i % 5) as f64})
    };
    let lines: String = (0..400).map(|i| format!("{}\n", row(i))).collect();
    let file = site.write("river.jsonl", &lines).display().to_string();
    for (delay, expected) in RIVER {
        let replayed = site.run(&["replay", &file, "--report", "json", "--label-delay", delay]);
        let report: Value = serde_json::from_str(&stdout(&replayed)).expect("JSON");
        for (i, expected) in expected.into_iter().enumerate() {
            let found = report["models"][i]["rmse"].as_f64().expect("a figure");
            assert!((found - expected).abs() < 1e-12, "{delay}, model {i}: {found}, River has {expected}");
        }
    }
}

#[test]
fn settings_of_labels_that_cannot_be_are_refused_by_name() {
    for (settings, path) in [
        (&["labels.by=id"][..], "labels.mode"),
        (&["labels.mode=same_topic", "labels.by=y"], "labels.by"),
        (&["labels.mode=same_topic", "labels.on_correction=learn"], "labels.on_correction"),
        (&["labels.mode=same_topic", "labels.marker.field=kind"], "labels.marker.value"),
        (&["labels.mode=later"], "labels.mode"),
        (&["labels.mode=topic", "topics.labels=samples"], "topics.labels"),
        (&["topics.labels=deliveries"], "topics.labels"),
        (&["labels.mode=topic", "topics.events=labels"], "topics.events"),
        (&["labels.mode=topic", "labels.by=y"], "labels.by"),
        (&["labels.max_pending=12"], "labels.max_pending"),
        (&["labels.default=none"], "labels.default"),
    ] {
        let checked = Workspace::new(settings).run(&["check"]);
        let told = stderr(&checked);
        assert!(!checked.status.success() && told.contains(&format!("{path}: ")), "{settings:?}: {told}");
    }
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
