//! `thalweg compare` through the binary: which model is best, on what, and beyond noise or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Output, Stdio},
};

use crate::support::{
    PATIENCE,
    daemon::{Workspace, read, stdout},
};
use serde_json::Value;

const TWO: &str = r#"models=[{kind="mean"},{kind="linear",scale=true,optimizer={kind="adam",lr=0.05}}]"#;

/// The JSON that a comparison wrote.
fn document(site: &Workspace) -> Value {
    serde_json::from_str(&read(&site.path("compare/compare.json"))).expect("JSON")
}

fn page(site: &Workspace) -> String {
    read(&site.path("compare/compare.html"))
}

fn failure(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A comparison without what depends on the clock.
fn timeless(document: &Value) -> Value {
    match document {
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| *key != "micros")
            .map(|(key, value)| (key.clone(), timeless(value)))
            .collect(),
        Value::Array(values) => values.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

fn scores<'a>(stream: &'a Value, model: &str) -> &'a Value {
    let models = stream["models"].as_array().expect("models");
    models.iter().find(|it| it["model"] == model).unwrap_or_else(|| panic!("no {model} in {stream}"))
}

#[test]
fn errors_are_those_of_a_replay_of_the_same_samples() {
    let site = Workspace::new(&["schema.nominal=[\"kind\"]", "metrics.window=200"]);
    let function = stdout(&site.run(&["generate", "--function", "planes2d", "-n", "1500", "--format", "csv"]));
    site.write("planes.csv", function);
    // Text and unknown values, and columns that come later.
    let line = |i: u32| match i % 4 {
        0 => format!(r#"{{"a":{i},"kind":"k{}","y":{}}}"#, i % 3, 2 * i),
        1 => format!(r#"{{"a":{i},"y":{}}}"#, 2 * i),
        2 => format!(r#"{{"a":{i},"b":{},"kind":"late","y":{}}}"#, i % 7, 2 * i),
        _ => format!(r#"{{"a":{i}}}"#),
    };
    site.write("mixed.jsonl", (0..900).map(line).collect::<Vec<_>>().join("\n"));
    let arguments = ["compare", "planes.csv", "mixed.jsonl", "--function", "planes2d", "-n", "1500"];
    stdout(&site.run(&arguments));
    let document = document(&site);
    let mut compared = 0;
    for (stream, file) in ["planes.csv", "mixed.jsonl", "planes.csv"].into_iter().enumerate() {
        let replayed: Value =
            serde_json::from_str(&stdout(&site.run(&["replay", file, "--report", "json"]))).expect("JSON");
        let stream = &document["streams"][stream];
        assert_eq!((&stream["records"], &stream["scored"]), (&replayed["records"], &replayed["scored"]), "{file}");
        for model in replayed["models"].as_array().expect("models") {
            let found = scores(stream, model["name"].as_str().expect("a name"));
            for (ours, theirs) in
                [("rmse", "rmse"), ("mae", "mae"), ("r2", "r2"), ("skill", "skill"), ("bytes", "memory_bytes")]
            {
                assert_eq!(found[ours], model[theirs], "{ours} of {} on {file}", model["name"]);
                compared += 1;
            }
        }
        for figure in ["rmse", "mae", "r2", "skill"] {
            assert_eq!(stream["published"][figure], replayed["published"][figure], "{figure} on {file}");
        }
    }
    assert_eq!(compared, 3 * 5 * 5);
}

#[test]
fn what_matters_to_a_model_is_told() {
    let site = Workspace::new(&[r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree"},{kind="mixture"}]"#]);
    stdout(&site.run(&["compare", "--function", "friedman", "-n", "3000"]));
    let document = document(&site);
    let importance = |model: &str| scores(&document["streams"][0], model)["importance"].clone();
    assert_eq!(importance("mean"), Value::Null);
    for (model, method) in [("linear", "standardised_weights"), ("mixture", "permutation")] {
        let found = importance(model);
        assert_eq!(found["method"], method, "{model}");
        // Friedman's function is 10 x3 and less of the others; x5 to x9 are noise.
        assert_eq!(found["features"][0]["feature"], "x3", "{model}: {found}");
        assert_eq!(found["features"].as_array().map(Vec::len), Some(10), "{model}");
    }
    let page = read(&site.path("compare/compare.html"));
    let table = page.split("What matters to mixture").nth(1).expect("a table");
    assert!(table.contains("<td>x3</td>") && table.contains("By permutation over the last"), "{table}");
}

#[test]
fn results_do_not_depend_on_how_many_run_at_once() {
    let mut results = Vec::new();
    for jobs in ["1", "2", "7"] {
        let site = Workspace::new(&[TWO]);
        let arguments =
            ["compare", "--function", "friedman_drift", "sine", "-n", "3000", "--seeds", "3", "--jobs", jobs];
        stdout(&site.run(&arguments));
        let csv = read(&site.path("compare/compare.csv"));
        // Two streams, three seeds, two models and what is published of them, and a header.
        assert_eq!(csv.lines().count(), 19, "{csv}");
        results.push(timeless(&document(&site)));
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn a_clear_difference_is_beyond_noise_and_the_same_model_twice_is_not() {
    let models = r#"models=[{kind="mean"},{kind="rls"},{kind="rls",name="twin"}]"#;
    for (seeds, test) in [("1", "Diebold and Mariano"), ("4", "over 4 seeds")] {
        let site = Workspace::new(&[models]);
        let text = stdout(&site.run(&["compare", "--function", "friedman", "-n", "2000", "--seeds", seeds]));
        let stream = &document(&site)["streams"][0];
        assert_eq!(stream["winner"], "rls");
        assert!(stream["test"].as_str().expect("text").contains(test), "{stream}");
        let pairs: BTreeMap<(&str, &str), &Value> = stream["pairs"]
            .as_array()
            .expect("pairs")
            .iter()
            .map(|pair| ((pair["a"].as_str().expect("a"), pair["b"].as_str().expect("b")), pair))
            .collect();
        assert_eq!(pairs[&("mean", "rls")]["beyond_noise"], true, "{pairs:?}");
        assert_eq!(pairs[&("rls", "twin")]["beyond_noise"], false, "{pairs:?}");
        assert_eq!(pairs[&("rls", "twin")]["p"], 1.0);
        assert!(text.contains("rls wins with RMSE") && text.contains("within noise of twin"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let runs = scores(stream, "rls")["runs"].as_array().expect("runs");
        let seeds: BTreeSet<String> = runs.iter().map(|run| run["seed"].to_string()).collect();
        let errors: BTreeSet<String> = runs.iter().map(|run| run["rmse"].to_string()).collect();
        assert_eq!((seeds.len(), errors.len()), (runs.len(), runs.len()), "every seed is another run");
    }
}

#[test]
fn what_is_published_has_a_row_everywhere_and_is_no_contender() {
    let site = Workspace::new(&[TWO]);
    let text = stdout(&site.run(&["compare", "--function", "friedman", "-n", "2000", "--seeds", "2"]));
    let document = document(&site);
    let published = &document["streams"][0]["published"];
    assert_eq!(published["runs"].as_array().map(Vec::len), Some(2));
    let rmse = published["rmse"].as_f64().expect("a figure");
    assert!(text.lines().any(|line| line.trim_start().starts_with("published ") && line.contains(" %")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(page(&site).contains(&format!("<td>published</td><td>{rmse:.4}</td>")), "{rmse}");
    assert_well_formed(&page(&site));
    let csv = read(&site.path("compare/compare.csv"));
    assert_eq!(csv.lines().filter(|line| line.contains(",published,published,2000,2000,")).count(), 2, "{csv}");
    for rows in ["models", "pairs"] {
        assert!(!document["streams"][0][rows].to_string().contains("published"), "{rows}");
    }
    // One model is what is published.
    stdout(&site.run(&["compare", "--function", "friedman", "-n", "500", "--grid", "kind=\"rls\""]));
    assert!(self::document(&site)["streams"][0]["published"].is_null());
}

#[test]
fn where_nothing_can_be_said_it_is_said() {
    let site = Workspace::new(&[TWO]);
    let text = stdout(&site.run(&["compare", "--function", "friedman", "sine", "-n", "100"]));
    assert!(text.contains("too few records to tell"), "{text}");
    assert!(text.contains("2 are too few to say that of other streams"), "{text}");
    let document = document(&site);
    assert!(document["streams"][0]["pairs"][0]["p"].is_null());
    assert!(document["overall"]["critical_difference"].is_null());
}

#[test]
fn what_runs_away_by_design_still_has_a_row_for_every_model() {
    let site = Workspace::new(&[]);
    let text = stdout(&site.run(&["compare", "--function", "geometric", "-n", "5000"]));
    let stream = &document(&site)["streams"][0];
    assert_eq!(stream["models"].as_array().map(Vec::len), Some(5));
    assert_eq!(stream["records"], 5000);
    assert!(stream["dead_letters"].as_u64().is_some_and(|count| count > 3000), "{stream}");
    assert!(text.contains("not usable"), "{text}");
    for model in stream["models"].as_array().expect("models") {
        assert!(model["rmse"].is_number(), "{model}");
    }
}

#[test]
fn a_grid_is_tried_item_by_item_and_the_winners_settings_give_its_errors_again() {
    let site = Workspace::new(&[]);
    let grid = "[[models]]\nkind = \"rls\"\nforgetting = [0.99, 1.0]\n\n[[models]]\nname = \"a <b> & \\\"c\\\"\"\nkind = \"linear\"\n\
                optimizer = [{ kind = \"adam\", lr = [0.01, 0.1] }, \"sgd\"]\n";
    site.write("grid.toml", grid);
    let arguments = [
        "compare",
        "--function",
        "friedman",
        "-n",
        "1500",
        "--grid",
        "grid.toml",
        "--grid",
        r#"kind="linear", optimizer.lr=[0.01,0.1]"#,
    ];
    stdout(&site.run(&arguments));
    let document = document(&site);
    let names: Vec<&str> =
        document["models"].as_array().expect("models").iter().map(|it| it["name"].as_str().expect("a name")).collect();
    let adam = |lr: &str| format!("a <b> & \"c\" optimizer=adam lr={lr}");
    assert_eq!(
        names,
        [
            "rls forgetting=0.99",
            "rls forgetting=1.0",
            &adam("0.01"),
            &adam("0.1"),
            "a <b> & \"c\" optimizer=sgd",
            "linear lr=0.01",
            "linear lr=0.1"
        ]
    );
    let file = site.write(
        "samples.csv",
        stdout(&site.run(&["generate", "--function", "friedman", "-n", "1500", "--format", "csv"])),
    );
    for model in document["models"].as_array().expect("models") {
        let settings = site.write("pasted.toml", model["settings"].as_str().expect("text"));
        let replay =
            ["replay", &file.display().to_string(), "--report", "json", "--settings", &settings.display().to_string()];
        let replayed: Value = serde_json::from_str(&stdout(&site.run(&replay))).expect("JSON");
        assert_eq!(replayed["models"].as_array().map(Vec::len), Some(1));
        let name = model["name"].as_str().expect("a name");
        assert_eq!(replayed["models"][0]["name"], name);
        assert_eq!(replayed["models"][0]["rmse"], scores(&document["streams"][0], name)["rmse"], "{name}");
    }
    // What the page shows is the same text.
    let winner = document["streams"][0]["winner"].as_str().expect("a name");
    let toml =
        document["models"].as_array().expect("models").iter().find(|it| it["name"] == winner).expect("the winner");
    let shown = toml["settings"]
        .as_str()
        .expect("text")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    assert!(page(&site).contains(&format!("<pre><code>{shown}</code></pre>")), "{shown}");
}

#[test]
fn the_settings_of_the_file_can_be_pasted_too() {
    let site = Workspace::new(&[]);
    site.write("settings.toml", read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("settings.toml")));
    stdout(&site.run(&["compare", "--function", "friedman", "-n", "500"]));
    let document = document(&site);
    for model in document["models"].as_array().expect("models") {
        let settings = site.write("pasted.toml", model["settings"].as_str().expect("text"));
        stdout(&site.run(&["check", "--settings", &settings.display().to_string()]));
    }
}

/// Every tag of a page is closed in its order, every attribute is quoted and there once.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bare > in {:?}", &rest[..at.min(200)]);
        rest = &rest[at + 1..];
        // No attribute holds a bare bracket: what is escaped has none.
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (inside, is_empty) = tag.strip_suffix('/').map_or((tag, false), |inside| (inside, true));
        let (name, mut attributes) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "tag {name:?}");
        let mut names = BTreeSet::new();
        while let Some((attribute, value)) = attributes.split_once("=\"") {
            assert!(names.insert(attribute.trim()), "{attribute} twice in <{tag}>");
            attributes = value.split_once('"').expect("a quote").1;
        }
        assert_eq!(attributes.trim(), "", "in <{tag}>");
        if !is_empty {
            open.push(name);
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").expect("its end")..];
        }
    }
    assert_eq!(open, [""; 0], "still open");
}

#[test]
fn the_page_stands_alone_whatever_streams_and_models_are_called() {
    let models = r#"models=[{kind="mean",name="</pre><script>alert(1)</script>"},{kind="rls",name="\"'><img src=x onerror=y>&amp;"}]"#;
    let site = Workspace::new(&[models]);
    let rows: String = (0..300).map(|i| format!("{},{}\n", i % 17, i % 5)).collect();
    site.write("a<b>&\"c\".csv", format!("x,y\n{rows}oops,<script>\n"));
    let gradual =
        r#"generator.function={kind="friedman_drift",drift_type="gsg",position=[300,700],transition_window=100}"#;
    stdout(&site.run(&["compare", "a<b>&\"c\".csv", "--function", "friedman_drift", "-n", "1000", "--set", gradual]));
    let page = page(&site);
    assert_well_formed(&page);
    for forbidden in ["<script", "<img", "<link", "<iframe", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Names of namespaces are no requests.
    let addresses: BTreeSet<&str> =
        page.split("http").skip(1).map(|rest| rest.split('"').next().expect("a part")).collect();
    assert_eq!(addresses, BTreeSet::from(["-equiv=", "://www.w3.org/1999/xhtml", "://www.w3.org/2000/svg"]));
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 6);
    assert_eq!(page.matches("class=\"drift\" stroke-width").count(), 2, "two drifts are marked");
    assert!(page.contains("The concept changes at 300–400, 700–800."), "and named");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_named() {
    let site = Workspace::new(&[TWO]);
    let rows: String =
        (0..200).map(|i| if i % 20 == 3 { "1,text\n".to_owned() } else { format!("{i},{}\n", 2 * i) }).collect();
    site.write("rows.csv", format!("x,y\n{rows}"));
    let output = site.run(&["compare", "rows.csv"]);
    let text = stdout(&output);
    assert!(text.contains("rows.csv: 200 records, 10 not usable"), "{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.matches("cannot be used (not_a_number)").count(), 5, "the first ones, once each: {errors}");
    assert!(errors.contains("rows.csv: record 3 cannot be used"), "{errors}");
    assert_eq!(document(&site)["streams"][0]["dead_letters"], 10);
}

#[test]
fn what_is_taken_for_granted_of_a_stream_is_told_by_every_command_that_reads_it() {
    let mut site = Workspace::new(&[TWO, "schema.timestamp=at", r#"schema.nominal=["plane","orgin"]"#]);
    site.settings.push("schema.max_categories=20".to_owned());
    let row = |i: usize| {
        let at = if i == 0 { 20_240_105 } else { 1_357_034_400 + i };
        let x = if i == 7 { r#""hot""#.to_owned() } else { i.to_string() };
        format!(r#"{{"at":{at},"x":{x},"plane":"N{i}","origin":"JFK","y":{}}}"#, i % 5)
    };
    site.write("flights.jsonl", (0..300).map(row).collect::<Vec<_>>().join("\n"));
    for command in [&["compare"][..], &["replay"], &["check"]] {
        let output = site.run(&[command, &["flights.jsonl"]].concat());
        let said = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        for (what, times) in [
            ("times are taken to be in s", 1),
            ("is before schema.timestamp_min", 1),
            ("has to be text, \"20240105\"", 1),
            ("more than schema.max_categories = 20", 1),
            ("field `x` holds the text \"hot\"", 2),
            ("bad values, taken as unknown: x (1:", 1),
            ("never seen: `orgin` of schema.nominal; did you mean `origin`?", 1),
            ("text that is ignored", 1),
            ("time: at (in 300 of 300 records)", 1),
        ] {
            assert_eq!(said.matches(what).count(), times, "{command:?}: `{what}` in {said}");
        }
    }
    let notices = document(&site)["streams"][0]["notices"].as_array().map(Vec::len);
    assert_eq!(notices, Some(4), "{}", document(&site)["streams"][0]["notices"]);
    assert!(page(&site).contains("more than schema.max_categories = 20"));
}

#[test]
fn standard_input_is_read_once_and_seen_by_every_model() {
    let site = Workspace::new(&[TWO]);
    let samples = stdout(&site.run(&["generate", "--function", "friedman", "-n", "800"]));
    let file = site.write("samples.jsonl", samples);
    let input = std::fs::File::open(&file).expect("open");
    stdout(&site.command(&["compare", "-", "samples.jsonl"]).stdin(input).output().expect("the binary runs"));
    let document = document(&site);
    let [piped, file] = [0, 1].map(|i| timeless(&document["streams"][i]["models"]));
    assert_eq!(document["streams"][0]["name"], "standard input");
    assert_eq!(piped, file);
}

#[test]
fn a_range_of_a_topic_is_compared_beside_the_daemon() {
    let mut site = Workspace::new(&[
        "generator.count=2000",
        "generator.rate=0",
        "metrics.report_every=50ms",
        TWO,
        "topics.partitions=2",
    ]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 2000);
    let text = stdout(&site.run(&[
        "compare",
        "--topic",
        "samples:1",
        "samples:0",
        "--offsets",
        "100..900",
        "--offsets",
        "..",
    ]));
    assert!(
        text.contains("samples:1 100..900: 800 records") && text.contains("samples:0 0..1000: 1,000 records"),
        "{text}"
    );
    let ranged = document(&site);
    stdout(&site.run(&["compare", "--topic", "samples", "--offsets", "100..900"]));
    let both = document(&site);
    assert_eq!(both["streams"].as_array().map(Vec::len), Some(2), "a stream for each partition");
    assert_eq!(timeless(&both["streams"][1]["models"]), timeless(&ranged["streams"][0]["models"]));
    assert!(daemon.stop().success());
    // The same records out of a file.
    let lines: Vec<u8> = site
        .topic("samples")
        .iter()
        .flat_map(|(_, value, _)| [value.as_deref().expect("a value"), b"\n"].concat())
        .collect();
    site.write("samples.jsonl", lines);
    stdout(&site.run(&["compare", "samples.jsonl"]));
    assert_eq!(timeless(&document(&site)["streams"][0]["models"]), timeless(&ranged["streams"][1]["models"]));

    site.settings.push("generator.enabled=false".into());
    for (arguments, said) in [
        (["--topic", "samples:0", "--offsets", "900..1100"], "holds offsets 0 to 1000, and 900..1100 is not within"),
        (["--topic", "samples:2", "--offsets", ".."], "has no partition 2; it has 2, from 0"),
        (["--topic", "sampels", "--offsets", ".."], "topic `sampels`: it is not in the state file"),
    ] {
        let output = site.run(&[&["compare"], &arguments[..]].concat());
        assert!(failure(&output, 1).contains(said), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let site = Workspace::new(&[]);
    site.write("empty.csv", "x,y\n");
    let said = failure(
        &site.run(&[
            "compare",
            "missing.csv",
            "data",
            "sine",
            "--function",
            "friedmann",
            "expression",
            "--topic",
            "a b",
            "x:y",
            "--grid",
            r#"kind="linear", l2=-1, wrong=1"#,
            "--grid",
            "nowhere.toml",
            "--offsets",
            "1..2",
            "--offsets",
            "3..4",
            "--offsets",
            "5..",
        ]),
        1,
    );
    for part in [
        "missing.csv cannot be read",
        "data cannot be read: it is a folder",
        "write --function sine",
        "no function `friedmann`",
        "an expression needs a table",
        "`a b` names no topic",
        "`x:y`: behind the colon",
        "--offsets is there 3 times for 2 topics",
        "--grid: models[0].l2: must be 0 or more, not -1",
        "--grid: models[0].wrong: is not a setting",
        "nowhere.toml: cannot be read",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let output = site.run(&["compare", "empty.csv"]);
    assert!(failure(&output, 1).contains("empty.csv: it holds no records"));
    let output = site.run(&["compare", "--function", "friedman", "friedman", "-n", "10"]);
    assert!(failure(&output, 1).contains("`friedman` is named twice"));
    site.write("other.csv", "x,z\n1,2\n");
    let output = site.run(&["compare", "other.csv"]);
    assert!(failure(&output, 1).contains("no record of 1 has a target to score; look at schema.target"));
    for wrong in [
        &["compare"][..],
        &["compare", "--function", "sine", "--seeds", "0"],
        &["compare", "--topic", "a", "--offsets", "2..1"],
        &["compare", "--offsets", "1.."],
    ] {
        failure(&site.run(wrong), 2);
    }
    assert!(!site.path("compare/compare.json").exists(), "nothing is written where nothing was compared");
}

#[test]
fn what_is_interrupted_leaves_what_was_there_before() {
    let site = Workspace::new(&[TWO]);
    std::fs::create_dir(site.path("compare")).expect("a folder");
    site.write("compare/compare.html", "before");
    // Long enough to be met on its way.
    let mut child = site
        .command(&["compare", "--function", "friedman", "-n", "1000000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let threads = || std::fs::read_dir(format!("/proc/{}/task", child.id())).map_or(0, Iterator::count);
    let deadline = std::time::Instant::now() + PATIENCE;
    while threads() < 2 {
        assert!(std::time::Instant::now() < deadline, "it never began");
        std::thread::yield_now();
    }
    // Not SIGINT, which what a shell starts in the background ignores, and with it what that starts.
    let end = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(end.expect("kill runs").success());
    assert!(!child.wait().expect("ended").success());
    let left: Vec<_> = std::fs::read_dir(site.path("compare"))
        .expect("a folder")
        .map(|it| it.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["compare.html"]);
    assert_eq!(page(&site), "before");
}

#[test]
fn the_output_folder_may_be_elsewhere_and_is_made() {
    let site = Workspace::new(&[TWO]);
    let text = stdout(&site.run(&["compare", "--function", "sine", "-n", "500", "--out", "a/b"]));
    assert!(text.contains("a/b/compare.html"), "{text}");
    assert!(site.path("a/b/compare.csv").exists() && !site.path("compare").exists());
    site.write("file", "");
    let output = site.run(&["compare", "--function", "sine", "-n", "500", "--out", "file"]);
    assert!(failure(&output, 1).contains("folder file cannot be made; choose another --out"));
}
