//! `thalweg init` through the binary: whatever the data look like, the settings load and learn, and what was left out was
//! said.

use std::{fmt::Write as _, io::Write as _, process::Output};

use flate2::{Compression, write::GzEncoder};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::daemon::{Workspace, read, stdout};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A column of a made-up table: its name, its cells as JSON, and what has to become of it.
struct Column {
    name: &'static str,
    cells: Vec<Value>,
    becomes: Becomes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Becomes {
    Feature,
    /// In JSON a number, in a CSV the texts true and false.
    Flag,
    Category,
    Time,
    Ignored,
    Target,
}

const ROWS: usize = 400;

/// A table whose target follows from two numbers and a category, among columns that say nothing.
fn table(rng: &mut ChaCha8Rng) -> Vec<Column> {
    use Becomes::{Category, Feature, Flag, Ignored, Target, Time};
    let a: Vec<f64> = (0..ROWS).map(|_| (rng.random_range(-1000..1000) as f64) / 100.0).collect();
    let b: Vec<f64> = (0..ROWS).map(|_| (rng.random_range(0..5000) as f64) / 1000.0).collect();
    let towns = ["Oslo", "São Paulo", "it's, \"Rome\"", "Kyiv"];
    let town: Vec<usize> = (0..ROWS).map(|_| rng.random_range(0..towns.len())).collect();
    let y: Vec<f64> = (0..ROWS)
        .map(|i| 3.0 * a[i] - 8.0 * b[i] + 4.0 * town[i] as f64 + f64::from(rng.random_range(-50..50)) / 100.0)
        .map(|y| (y * 100.0).round() / 100.0)
        .collect();
    let gappy: Vec<Value> = b.iter().map(|b| if rng.random_bool(0.1) { json!("NA") } else { json!(b) }).collect();
    let spoilt: Vec<Value> =
        a.iter().map(|a| if rng.random_bool(0.03) { json!("sensor off") } else { json!(-a) }).collect();
    let minute = 60_000 * 10;
    let epoch = rng.random_range(1_000_000_000_000_i64..1_700_000_000_000);
    let column = |name, cells, becomes| Column { name, cells, becomes };
    let mut columns = vec![
        column("a", a.iter().map(|a| json!(a)).collect(), Feature),
        column("b, in m/s", gappy, Feature),
        column("town", town.iter().map(|i| json!(towns[*i])).collect(), Category),
        column("in_text", a.iter().map(|a| json!(a.to_string())).collect(), Feature),
        column("spoilt", spoilt, Feature),
        column("flag", (0..ROWS).map(|i| json!(i % 3 == 0)).collect(), Flag),
        column("device id", (0..ROWS).map(|i| json!(100 + i * 7 % 5)).collect(), Category),
        column("row", (0..ROWS).map(|i| json!(i + 5)).collect(), Ignored),
        column("uuid", (0..ROWS).map(|_| json!(format!("{:032x}", rng.random::<u128>()))).collect(), Ignored),
        column("version", vec![json!("v1.2"); ROWS], Ignored),
        column("zero", vec![json!(0); ROWS], Ignored),
        column("nothing", vec![Value::Null; ROWS], Ignored),
        column("copy", y.iter().map(|y| json!(y)).collect(), Ignored),
        column("in_fahrenheit", y.iter().map(|y| json!(y * 1.8 + 32.0)).collect(), Ignored),
        column("day", (0..ROWS).map(|i| json!(format!("{:02}/{:02}/2025", i % 12 + 1, i % 28 + 1))).collect(), Ignored),
    ];
    columns.shuffle(rng);
    columns.truncate(rng.random_range(4..=columns.len()));
    if !columns.iter().any(|column| column.name == "a" || column.name == "in_text") {
        columns.push(column("a", a.iter().map(|a| json!(a)).collect(), Feature));
    }
    let time: Vec<Value> = match rng.random_range(0..4) {
        0 => (0..ROWS as i64).map(|i| json!(epoch + i * minute)).collect(),
        1 => (0..ROWS as i64).map(|i| json!((epoch + i * minute) / 1000)).collect(),
        2 => (0..ROWS)
            .map(|i| json!(format!("2026-01-{:02} {:02}:{:02}:00", 1 + i / 96, i / 4 % 24, i % 4 * 15)))
            .collect(),
        _ => (0..ROWS)
            .map(|i| json!(format!("2026-01-{:02}T{:02}:{:02}Z", 1 + i / 96, i / 4 % 24, i % 4 * 15)))
            .collect(),
    };
    columns.insert(rng.random_range(0..columns.len()), column("measured_at", time, Time));
    columns.push(column("price", y.iter().map(|y| json!(y)).collect(), Target));
    columns
}

/// A cell of a CSV.
fn cell(value: &Value, separator: char, comma: bool, quoted: bool) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) if comma && text.parse::<f64>().is_ok() => text.replace('.', ","),
        Value::String(text) => text.clone(),
        Value::Number(number) if comma => number.to_string().replace('.', ","),
        other => other.to_string(),
    };
    if quoted || text.contains([separator, '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The table as a file of some kind, and its name.
fn file(columns: &[Column], rng: &mut ChaCha8Rng) -> (&'static str, Vec<u8>) {
    let mut text = String::new();
    let is_json = rng.random_bool(0.4);
    if is_json {
        for i in 0..ROWS {
            let member = |column: &Column| (column.name.to_owned(), column.cells[i].clone());
            let row: serde_json::Map<String, Value> = columns.iter().map(member).collect();
            writeln!(text, "{}", Value::Object(row)).expect("a String takes it");
        }
    } else {
        let separator = *[',', ';', '\t', '|'].get(rng.random_range(0..4)).expect("one of four");
        let (comma, quoted) = (separator != ',' && rng.random_bool(0.5), rng.random_bool(0.3));
        let names = columns.iter().map(|column| cell(&json!(column.name), separator, false, quoted));
        text += &(names.collect::<Vec<_>>().join(&separator.to_string()) + "\n");
        for i in 0..ROWS {
            let row = columns.iter().map(|column| cell(&column.cells[i], separator, comma, quoted));
            text += &(row.collect::<Vec<_>>().join(&separator.to_string()) + "\n");
        }
    }
    if rng.random_bool(0.3) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).expect("memory");
        return (if is_json { "in.jsonl.gz" } else { "in.csv.gz" }, packed.finish().expect("memory"));
    }
    (if is_json { "in.jsonl" } else { "in.csv" }, text.into_bytes())
}

fn names(of: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        of.as_array().expect("a list").iter().map(|it| it["name"].as_str().or(it.as_str()).expect("a name")).collect();
    names.sort_unstable();
    names
}

#[test]
fn whatever_the_table_the_settings_load_learn_and_leave_out_what_says_nothing() {
    for seed in 0..24 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let columns = table(&mut rng);
        let (name, bytes) = file(&columns, &mut rng);
        let site = Workspace::new(&[]);
        site.write(name, &bytes);
        // The members of a JSON object have no order that says which is last.
        let arguments: &[&str] = if name.contains("json") { &["--target", "price"] } else { &[] };
        let said = stdout(&site.run(&[&["init", name], arguments].concat()));
        let context = format!("seed {seed}: {name}\n{said}\n{}", read(&site.path("settings.toml")));
        assert!(said.contains(&format!("thalweg replay {name}")), "{context}");
        let checked = site.run(&["check"]);
        assert!(checked.status.success(), "{context}\n{}", stderr(&checked));

        let replayed = site.run(&["replay", name, "--report", "json"]);
        let report: Value = serde_json::from_str(&stdout(&replayed)).expect("JSON");
        assert_eq!((&report["records"], &report["dead_letters"]), (&json!(ROWS), &json!(0)), "{context}");
        let skill = report["models"].as_array().expect("models").iter().filter_map(|model| model["skill"].as_f64());
        assert!(skill.fold(f64::MIN, f64::max) > 0.3, "{context}\n{report}");
        let fields = &report["fields"];
        let of = |wanted: &[Becomes]| {
            let mut names: Vec<&str> =
                columns.iter().filter(|column| wanted.contains(&column.becomes)).map(|column| column.name).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&fields["features"]), of(&[Becomes::Feature, Becomes::Flag, Becomes::Category]), "{context}");
        assert_eq!(names(&fields["ignored"]), of(&[Becomes::Ignored]), "{context}");
        assert_eq!(
            (fields["text"].clone(), fields["bad"].clone(), fields["never_seen"].clone()),
            (json!([]), json!([]), json!([])),
            "{context}"
        );
        assert_eq!((&fields["target"], &fields["timestamp"]), (&json!("price"), &json!("measured_at")), "{context}");
        assert_eq!((&fields["with_target"], &fields["with_timestamp"]), (&json!(ROWS), &json!(ROWS)), "{context}");
        let is_category = |it: &&Value| it["kind"] == "category";
        let categories: Value =
            fields["features"].as_array().expect("a list").iter().filter(is_category).cloned().collect();
        assert_eq!(
            names(&categories),
            of(if name.contains("json") { &[Becomes::Category] } else { &[Becomes::Category, Becomes::Flag] }),
            "{context}"
        );
        // Each reason is said to the person and stands in the file.
        for column in columns.iter().filter(|column| column.becomes == Becomes::Ignored) {
            let rows = said.lines().filter(|row| row.trim_start().starts_with(column.name));
            assert!(rows.clone().any(|row| row.contains("ignored: ")), "{}: {context}", column.name);
        }
        assert_eq!(said.contains("ignored: "), read(&site.path("settings.toml")).contains("  # "), "{context}");
    }
}

#[test]
fn what_cannot_be_looked_at_says_why_and_writes_nothing() {
    let site = Workspace::new(&[]);
    let numbers: String = (0..40).map(|i| format!("{i},{}.5\n", i * i)).collect();
    let records: String =
        (0..40).map(|i| format!("{},{}.25,2026-01-{:02}\n", ["a", "b"][i % 2], i * i % 7, 1 + i % 28)).collect();
    let texts: String = (0..40).map(|i| format!("{{\"a\":\"{}\"}}\n", ["x", "y"][i % 2])).collect();
    for (name, bytes, arguments, words) in [
        ("empty.csv", Vec::new(), &[][..], "holds no records"),
        ("names.csv", b"a,b,y\n".to_vec(), &[], "holds no records"),
        ("binary", (0..=255).cycle().take(9000).collect(), &[], "binary, neither CSV nor JSON"),
        ("numbers.csv", numbers.into(), &[], "(echo x0,y; cat FILE) > named.csv"),
        ("records.csv", records.into(), &[], "(echo x0,x1,y; cat FILE) > named.csv"),
        ("texts.jsonl", texts.clone().into(), &[], "no field holds numbers"),
        ("bad.jsonl", b"hello\nworld\n".to_vec(), &[], "no record of bad.jsonl can be read; line 1"),
        ("good.csv", b"price,town\n1,x\n2,y\n3,x\n".to_vec(), &["--target", "prise"], "did you mean `price`?"),
        ("good.csv", b"price,town\n1,x\n2,y\n3,x\n".to_vec(), &["--target", "town"], "holds text such as \"x\""),
        ("good.csv", b"price,town\n1,x\n2,y\n3,x\n".to_vec(), &["--set", "schema.key=town"], "schema.key is set"),
        (
            "good.csv",
            b"price,town\n1,x\n2,y\n3,x\n".to_vec(),
            &["--output", "no/such.toml"],
            "no/such.toml cannot be written",
        ),
    ] {
        site.write(name, &bytes);
        let output = site.run(&[&["init", name], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{name}: {}", stderr(&output));
        assert!(!site.path("settings.toml").exists(), "{name}");
    }
    let there = std::fs::read_dir(site.path("")).expect("a folder").count();
    assert_eq!(there, 9, "nothing else is left behind");
    assert_eq!(site.run(&["init"]).status.code(), Some(2));
    assert_eq!(site.run(&["init", "good.csv", "--topic", "t"]).status.code(), Some(2));
}

#[test]
fn no_file_is_overwritten_unasked_and_a_broken_one_is_no_obstacle() {
    let site = Workspace::new(&[]);
    site.write("good.csv", "price,town\n1,x\n2,y\n3,x\n");
    site.write("settings.toml", "this is [no TOML");
    let output = site.run(&["init", "good.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(read(&site.path("settings.toml")), "this is [no TOML");
    let printed = stdout(&site.run(&["init", "good.csv", "--output", "-"]));
    stdout(&site.run(&["init", "good.csv", "--force"]));
    assert_eq!(read(&site.path("settings.toml")), printed, "what is printed is what is written");
    stdout(&site.run(&["init", "good.csv", "--output", "other.toml"]));
    assert_eq!(read(&site.path("other.toml")), printed);
}

#[test]
fn standard_input_is_read_as_a_file_is() {
    let site = Workspace::new(&[]);
    let columns = table(&mut ChaCha8Rng::seed_from_u64(7));
    let (name, bytes) = file(&columns, &mut ChaCha8Rng::seed_from_u64(7));
    let path = site.write(name, &bytes);
    let of_file = stdout(&site.run(&["init", name, "--output", "file.toml", "--target", "price"]));
    let piped = site
        .command(&["init", "-", "--output", "piped.toml", "--target", "price"])
        .stdin(std::fs::File::open(path).expect("open"))
        .output();
    let of_pipe = stdout(&piped.expect("the binary runs"));
    let schema = |file: &str| {
        read(&site.path(file))
            .split("\n[schema]\n")
            .nth(1)
            .expect("a schema")
            .split("[generator]")
            .next()
            .expect("it")
            .to_owned()
    };
    assert_eq!(schema("file.toml"), schema("piped.toml"));
    let verdict = |said: &str| said.lines().find(|line| line.starts_with("tried on them")).map(str::to_owned);
    assert_eq!(verdict(&of_file), verdict(&of_pipe));
    assert!(verdict(&of_file).is_some_and(|line| line.contains("skill 0.")), "{of_file}");
}

#[test]
fn settings_of_ones_own_stay_and_secrets_are_not_written() {
    let site = Workspace::new(&[]);
    site.write("good.csv", "price,town\n1,x\n2,y\n3,x\n");
    site.write(
        "base.toml",
        "[schema]\ntimezone = \"Europe/Paris\"\n[transport]\nkind = \"kafka\"\n[transport.kafka]\nbrokers = [\"b:9\"]\n\
         sasl = { mechanism = \"plain\", username = \"me\", password = \"hunter2\" }\n[metrics]\nwindow = 77\n\
         [[models]]\nkind = \"mean\"\n",
    );
    stdout(&site.run(&["init", "good.csv", "--settings", "base.toml"]));
    let written = read(&site.path("settings.toml"));
    for part in [
        "timezone = \"Europe/Paris\"",
        "kafka.brokers = [\"b:9\"]",
        "username = \"me\"",
        "window = 77",
        "kind = \"mean\"",
        "THALWEG__TRANSPORT__KAFKA__SASL__PASSWORD",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(!written.contains("hunter2"), "{written}");
    let check = site.command(&["check"]).env("THALWEG__TRANSPORT__KAFKA__SASL__PASSWORD", "hunter2").output();
    let checked = stdout(&check.expect("the binary runs"));
    assert!(checked.contains("Kafka at b:9") && checked.contains("models       1"), "{checked}");
}

#[test]
fn a_topic_is_looked_at_and_the_daemon_learns_from_it() {
    let site = Workspace::new(&[]);
    let mut daemon = site.start(&["run", "--set", "topics.samples=mine"]);
    daemon.line("some records", |line| line["records"].as_u64() > Some(1000));
    assert!(daemon.stop().success());
    let said = stdout(&site.run(&["init", "--topic", "mine", "--set", "transport.kind=embedded", "--records", "500"]));
    assert!(said.contains("mine: 500 records") && said.contains("thalweg run"), "{said}");
    let written = read(&site.path("settings.toml"));
    assert!(written.contains("samples = \"mine\"") && written.contains("target = \"y\""), "{written}");
    stdout(&site.run(&["check"]));
    let ran = site.run(&["run", "--until-caught-up"]);
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("restored=true"), "it goes on where it was: {}", stderr(&ran));
    let none = site.run(&["init", "--topic", "other", "--set", "transport.kind=embedded", "--force"]);
    assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
}

#[test]
fn names_and_values_may_be_anything() {
    let site = Workspace::new(&[]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rows: String = (0..200)
        .map(|i| {
            let a: f64 = rng.random();
            let row = json!({
                "a\nb": a, "c\"d'e": (if i % 2 == 0 { "x\ny" } else { "#z" }), "": rng.random::<f64>(), "\u{7f}\u{1}": (["p", "q"][i % 2]),
                "flat.dot": "same", "n": {"y": 1, "z": [{"k": rng.random::<f64>()}]}, "u": format!("\n{i}\t"), "y": 3.0 * a,
                "z": rng.random::<f64>(), ("long".repeat(200)): rng.random::<f64>(),
            });
            format!("{row}\n")
        })
        .collect();
    site.write("odd.jsonl", rows);
    stdout(&site.run(&["init", "odd.jsonl", "--target", "y"]));
    let report: Value =
        serde_json::from_str(&stdout(&site.run(&["replay", "odd.jsonl", "--report", "json"]))).expect("JSON");
    assert_eq!((&report["dead_letters"], &report["fields"]["never_seen"]), (&json!(0), &json!([])), "{report}");
    // What gives the target away is left out, though nothing else is of use.
    let features = names(&report["fields"]["features"]);
    assert_eq!(features, ["", "c\"d'e", "n.z.0.k", "z", "\u{7f}\u{1}"], "{report}");
}
