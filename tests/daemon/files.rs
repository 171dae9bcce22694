//! Files as people have them: each is read, or a sentence says what to do.

use std::{
    io::{Read, Write},
    process::{Output, Stdio},
};

use crate::support::daemon::{Workspace, read, stdout};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// Numbers with fractions, so that decimals matter: a, b, and a target that is not zero.
fn sample(i: u32) -> (f64, u32, f64) {
    (f64::from(i % 7) + 0.5, i % 5, 3.0 * f64::from(i % 7) + 0.25)
}

const COUNT: u32 = 40;

/// A CSV of the samples, its lines ended by `end`.
fn csv(separator: &str, decimal: &str, end: &str) -> String {
    let number = |x: f64| x.to_string().replace('.', decimal);
    let rows = (0..COUNT).map(sample).map(|(a, b, y)| [number(a), b.to_string(), number(y)].join(separator));
    [["a", "b", "y"].join(separator)].into_iter().chain(rows).map(|row| row + end).collect()
}

fn site() -> Workspace {
    Workspace::new(&[r#"models=[{kind="mean"},{kind="last"}]"#])
}

fn replayed(site: &Workspace, arguments: &[&str]) -> (Output, Value, String) {
    let output = site.run(&[&["replay", "--report", "json", "--predictions", "out.csv"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, report, errors)
}

/// What must come of the samples, however they are written: the plain CSV's predictions.
fn expected(site: &Workspace) -> String {
    site.write("plain.csv", csv(",", ".", "\n"));
    let (output, ..) = replayed(site, &["plain.csv"]);
    stdout(&output);
    let rows = read(&site.path("out.csv"));
    assert_eq!(rows.lines().count() as u32, COUNT + 1);
    rows
}

fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("room");
    encoder.finish().expect("room")
}

fn zst(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("room")
}

#[test]
fn the_same_samples_give_the_same_predictions_however_they_are_written() {
    let site = site();
    let expected = expected(&site);
    let plain = csv(",", ".", "\n");
    let (first, second) = plain.as_bytes().split_at(300);
    let objects: Vec<String> =
        (0..COUNT).map(sample).map(|(a, b, y)| format!(r#"{{"a":{a},"b":{b},"y":{y}}}"#)).collect();
    let named = |names: &str| plain.replacen("a,b,y", names, 1);
    let mut pandas: Vec<String> = plain.lines().enumerate().map(|(i, row)| format!("{i},{row}")).collect();
    let mut r = pandas.clone();
    pandas[0] = ",a,b,y".to_owned();
    r[0] = "\"a\",\"b\",\"y\"".to_owned();
    let quoted: String = plain.lines().map(|row| format!("\"{}\"\r\n", row.replace(',', "\",\""))).collect();
    let files: Vec<(&str, Vec<u8>, &[&str], &str)> = vec![
        ("semicolons.csv", csv(";", ",", "\r\n").into(), &[], "semicolons, 1,5 is one and a half"),
        ("points.csv", csv(";", ".", "\n").into(), &[], "semicolons;"),
        ("excel.csv", format!("\u{feff}sep=;\r\n{}", csv(";", ",", "\r\n")).into(), &[], "semicolons, 1,5"),
        ("tabs.tsv", csv("\t", ".", "\n").into(), &[], "tabs"),
        ("pipes.txt", csv("|", ",", "\n").into(), &[], "pipes, 1,5"),
        ("colons.csv", csv(":", ",", "\n").into(), &["--delimiter", ":", "--decimal", ","], "`:`, 1,5"),
        ("returns.csv", csv(",", ".", "\r").into(), &[], ""),
        ("blank.csv", plain.replace('\n', "\n\n  \n").into(), &[], ""),
        ("quoted.csv", quoted.into(), &[], ""),
        ("spaced.csv", plain.replace(',', " , ").into(), &[], ""),
        ("numpy.csv", named("# a,b,y").into(), &[], ""),
        ("comments.csv", format!("# of the station\n#\n{plain}").into(), &[], "2 lines before"),
        ("ends.csv", plain.replace('\n', ",\n").replacen(",\n", "\n", 1).into(), &[], ""),
        ("pandas.csv", pandas.join("\n").into(), &[], "first column has no name"),
        ("r.csv", r.join("\n").into(), &[], "no name and is left out"),
        ("plain.csv.gz", gz(plain.as_bytes()), &[], ""),
        ("no_ending", gz(plain.as_bytes()), &[], ""),
        ("members.csv.gz", [gz(first), gz(second)].concat(), &[], ""),
        ("plain.csv.zst", zst(plain.as_bytes()), &[], ""),
        ("frames", [zst(first), zst(second)].concat(), &[], ""),
        ("lines.jsonl.gz", gz(objects.join("\n\n").as_bytes()), &[], ""),
        ("lines", format!("\u{feff}{}\r\n", objects.join("\r\n")).into(), &[], ""),
        ("array.json", format!("[{}]", objects.join(", ")).into(), &[], ""),
        ("spread.json", format!("[\n{}\n]\n", objects.join(",\n").replace(',', ",\n   ")).into(), &[], ""),
        ("array", format!(" [ {} ]", objects.join(",")).into(), &[], ""),
    ];
    for (name, bytes, arguments, note) in files {
        site.write(name, &bytes);
        let (output, _, errors) = replayed(&site, &[&[name], arguments].concat());
        stdout(&output);
        assert_eq!(read(&site.path("out.csv")), expected, "{name}: {errors}");
        assert!(!errors.contains("cannot be used"), "{name}: {errors}");
        let told = if note.is_empty() { errors.is_empty() } else { errors.contains(note) };
        assert!(told, "{name}: {errors}");
        // From standard input there is no name to go by.
        let mut child = site
            .command(&[&["replay", "-", "--predictions", "piped.csv"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("piped").write_all(&bytes).expect("it reads");
        stdout(&child.wait_with_output().expect("it ends"));
        assert_eq!(read(&site.path("piped.csv")), expected, "{name} from standard input");
    }
}

#[test]
fn a_row_that_is_wrong_costs_one_row_and_is_told_with_its_line() {
    let site = site();
    let rows: String = (0..4).map(sample).map(|(a, b, y)| format!("{a},{b},{y}\n")).collect();
    for (wrong, reason, words) in [
        (&b"1,2\n"[..], "wrong_width", "2 cells where there are 3 names"),
        (b"1,2,3,4\n", "wrong_width", "4 cells"),
        (b"1\n", "wrong_width", "1 cell "),
        (b"\"1,2,3\n", "wrong_width", "quote left open"),
        (b"1,2,\"3\n", "wrong_width", "quote left open"),
        (b"1,\xe4,3\n", "not_utf8", "UTF-8"),
    ] {
        let bytes = [b"a,b,y\n", rows.as_bytes(), wrong, rows.as_bytes()].concat();
        site.write("wrong.csv", &bytes);
        let (output, report, errors) = replayed(&site, &["wrong.csv"]);
        stdout(&output);
        let shown = String::from_utf8_lossy(wrong);
        assert_eq!((&report["records"], &report["scored"]), (&9.into(), &8.into()), "{shown}: {errors}");
        assert_eq!(report["reasons"], serde_json::json!({ reason: 1 }), "{shown}");
        assert!(errors.contains(&format!("({reason}): line 6: ")) && errors.contains(words), "{shown}: {errors}");
    }
}

#[test]
fn a_row_too_long_and_a_quote_never_closed_are_bounded_and_told() {
    let site = Workspace::new(&[r#"models=[{kind="mean"}]"#, "schema.max_record_bytes=200"]);
    let rows = "1,2,3\n".repeat(100);
    let long = format!("1,{},3\n", "2".repeat(500));
    site.write("long.csv", format!("a,b,y\n{rows}{long}{rows}\"1,2,3\n{rows}"));
    let (output, report, errors) = replayed(&site, &["long.csv"]);
    stdout(&output);
    assert_eq!((&report["records"], &report["scored"]), (&302.into(), &300.into()), "{errors}");
    assert!(errors.contains("line 102: ") && errors.contains("line 203: "), "{errors}");
}

#[test]
fn elements_of_an_array_that_are_wrong_cost_themselves_alone() {
    let site = site();
    site.write("array.json", "[{\"a\":1,\"y\":2}, 5, \"],[\\\"\", [1], {\"a\":1,\"y\":2},\n{\"a\":1,\"y\":2}, {\"a\":");
    let (output, report, errors) = replayed(&site, &["array.json"]);
    stdout(&output);
    assert_eq!(report["reasons"], serde_json::json!({ "not_an_object": 3, "not_json": 1 }), "{errors}");
    assert_eq!(report["scored"], 3);
}

#[test]
fn what_is_neither_csv_nor_json_is_told_with_the_way_there() {
    let site = site();
    std::fs::create_dir(site.path("folder")).expect("a folder");
    let utf16: Vec<u8> = "a,b,y\n1,2,3\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let padded = |magic: &[u8]| [magic, &[0; 300]].concat();
    let is_columnar = cfg!(feature = "columnar");
    let or_damaged = |way: &'static str, what: &'static str| if is_columnar { what } else { way };
    let files = [
        ("p.parquet", padded(b"PAR1"), or_damaged("read_parquet('p.parquet')", "a Parquet file that cannot be read: ")),
        ("renamed.csv", padded(b"PAR1"), "a Parquet file"),
        (
            "f.feather",
            padded(b"ARROW1\0\0"),
            or_damaged("with the feature columnar", "an Arrow file that cannot be read: "),
        ),
        ("book.xlsx", padded(b"PK\x03\x04"), "save it as CSV"),
        ("a.zip", padded(b"PK\x03\x04"), "unzip -p"),
        ("a.csv.xz", padded(b"\xfd7zXZ\0"), "xz -dc"),
        ("a.csv.bz2", padded(b"BZh9"), "bzip2 -dc"),
        ("marked.csv", [b"\xff\xfe", &utf16[..]].concat(), "iconv -f UTF-16 "),
        ("unmarked.csv", utf16.clone(), "iconv -f UTF-16LE"),
        ("inside.csv.gz", gz(&padded(b"PAR1")), "a Parquet file"),
        ("cut.csv.gz", gz(csv(",", ".", "\n").as_bytes())[..100].to_vec(), "cut.csv.gz cannot be read"),
        ("numbers.csv", b"1,2,3\n4,5,6\n".to_vec(), "no names"),
        ("latin.csv", b"a,b\xe4,y\n1,2,3\n".to_vec(), "iconv -f LATIN1"),
        ("pretty.json", b"{\n \"a\": 1\n}\n".to_vec(), "jq -c"),
        ("empty.csv", Vec::new(), "holds no records"),
        ("header.csv", b"a,b,y\n".to_vec(), "holds no records"),
        ("bad.jsonl", b"x\ny\n".to_vec(), "no record of bad.jsonl can be used"),
    ];
    for (name, bytes, words) in &files {
        site.write(name, bytes);
        let (output, _, errors) = replayed(&site, &[name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {errors}");
        assert!(errors.contains(words), "{name}: {errors}");
    }
    for command in ["replay", "compare"] {
        let errors = String::from_utf8_lossy(&site.run(&[command, "folder"]).stderr).into_owned();
        assert!(errors.contains("folder cannot be read: it is a folder"), "{errors}");
    }
}

#[test]
fn text_columns_keep_their_commas_and_names_that_are_there_twice_are_told_apart() {
    let site = Workspace::new(&[r#"models=[{kind="mean"}]"#, "schema.nominal=[\"size\"]", "schema.key=id"]);
    site.write("text.csv", "id;size;size;;y\n1,5;\"2,5;\n\"\"x\"\"\";1,5;1;3,5\n2,5;\"2,5\";2,5;2;4,5\n");
    let (output, _, errors) = replayed(&site, &["text.csv"]);
    stdout(&output);
    assert!(errors.contains("`size.1`") && errors.contains("`column_4`"), "{errors}");
    let out = read(&site.path("out.csv"));
    let keys: Vec<&str> = out.lines().skip(1).collect();
    assert!(keys.iter().all(|row| row.contains(",\"1,5\",") || row.contains(",\"2,5\",")), "{out}");
    assert!(out.contains("\n0,3.5,") && out.contains("\n1,4.5,"), "{out}");
}

#[test]
fn predictions_have_what_the_daemon_would_publish_and_go_to_standard_output() {
    let site = Workspace::new(&[
        r#"models=[{kind="mean"},{kind="last",name="a, \"b\""},{kind="last",name="key"}]"#,
        "schema.key=id",
        "schema.timestamp=at",
    ]);
    site.write(
        "in.jsonl",
        "{\"id\":\"x, \\\"y\\\"\\n\",\"at\":1700000000000,\"a\":1,\"y\":2}\n{\"a\":1,\"y\":4}\n{\"a\":2}\n",
    );
    let output = site.run(&["replay", "in.jsonl", "--predictions", "-"]);
    let text = stdout(&output);
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<&str> = rows.headers().expect("a header").iter().collect();
    assert_eq!(
        header,
        ["i", "target", "mean", "a, \"b\"", "model.key", "prediction", "lower", "upper", "model", "key", "timestamp"]
    );
    let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0][9], &rows[0][10]), ("x, \"y\"\n", "1700000000000"));
    assert_eq!((&rows[0][1], &rows[0][5], &rows[0][6], &rows[0][8]), ("2.0", "0.0", "", "mean"));
    assert_eq!((&rows[2][1], &rows[2][9], &rows[2][10]), ("", "", ""));
    for row in &rows[1..] {
        let [lower, prediction, upper] = [6, 5, 7].map(|i| row[i].parse::<f64>().expect("a number"));
        assert!(lower <= prediction && prediction <= upper, "{row:?}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 records, 2 scored"), "the report is beside it");
    let mut file = Vec::new();
    std::fs::File::open(site.path("-")).map(|mut it| it.read_to_end(&mut file)).expect_err("no file of that name");
}

/// The samples in turns over so many files, each with its second as the field `at`, as rows that `row` writes.
fn dealt(site: &Workspace, files: usize, ending: &str, header: &str, row: impl Fn(u32, f64, u32, f64) -> String) {
    for file in 0..files {
        let of = (0..COUNT).filter(|i| (i * i + i / 7) as usize % files == file);
        let rows: String = of.map(|i| (i, sample(i))).map(|(i, (a, b, y))| row(1_700_000_000 + i, a, b, y)).collect();
        site.write(&format!("part-{file}.{ending}"), format!("{header}{rows}"));
    }
}

#[test]
fn several_files_are_joined_in_order_of_time_or_in_the_order_given() {
    let site = site();
    let at = "schema.timestamp=at";
    let all: String = (0..COUNT)
        .map(|i| (i, sample(i)))
        .map(|(i, (a, b, y))| format!("{{\"at\":{},\"a\":{a},\"b\":{b},\"y\":{y}}}\n", 1_700_000_000 + i))
        .collect();
    site.write("all.jsonl", all);
    let predictions = |arguments: &[&str]| {
        let (output, _, errors) = replayed(&site, arguments);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        (read(&site.path("out.csv")), errors)
    };
    let (expected, _) = predictions(&["all.jsonl", "--set", at]);
    dealt(&site, 3, "jsonl", "", |at, a, b, y| format!("{{\"at\":{at},\"a\":{a},\"b\":{b},\"y\":{y}}}\n"));
    dealt(&site, 3, "csv", "y,b,at,a\n", |at, a, b, y| {
        format!("{y},{b},{},{a}\n", chrono::DateTime::from_timestamp(i64::from(at), 0).expect("a time").to_rfc3339())
    });
    site.write("part-1.csv.gz", gz(read(&site.path("part-1.csv")).as_bytes()));
    for files in [
        &["part-2.jsonl", "part-0.jsonl", "part-1.jsonl"][..],
        &["part-*.jsonl"],
        &["part-0.jsonl", "part-1.csv.gz", "part-2.csv"],
        &["part-[0-2].csv"],
    ] {
        let (joined, errors) = predictions(&[files, &["--set", at]].concat());
        assert_eq!(joined, expected, "{files:?}");
        assert!(errors.contains("3 files are joined in the order of `at`"), "{errors}");
    }
    // Without a time, one behind the other.
    let (one_by_one, errors) = predictions(&["part-1.jsonl", "part-0.jsonl", "part-2.jsonl"]);
    assert!(errors.contains("one behind the other") && errors.contains("schema.timestamp"), "{errors}");
    let cat: String = [1, 0, 2].map(|file| read(&site.path(&format!("part-{file}.jsonl")))).concat();
    site.write("cat.jsonl", cat);
    assert_eq!(predictions(&["cat.jsonl"]).0, one_by_one);
    // A file in that the names begin with a star is itself.
    site.write("*.jsonl", read(&site.path("cat.jsonl")));
    assert_eq!(predictions(&["*.jsonl"]).0, one_by_one);
}

#[test]
fn a_row_without_a_time_stays_where_it_is_and_problems_name_their_file() {
    let site = site();
    site.write(
        "a.jsonl",
        "{\"at\":1700000001,\"y\":1}\n{\"at\":null,\"y\":2}\nnonsense\n{\"at\":1700000004,\"y\":4}\n",
    );
    site.write("b.csv", "at,y\n1700000002,5\n1700000000,6\n1700000003,7\n1700000003,8,9\n");
    let (output, report, errors) = replayed(&site, &["a.jsonl", "b.csv", "--set", "schema.timestamp=at"]);
    assert!(output.status.success(), "{errors}");
    let targets: Vec<String> = (read(&site.path("out.csv")).lines().skip(1))
        .map(|row| row.split(',').nth(1).expect("a target").to_owned())
        .collect();
    assert_eq!(targets, ["1.0", "2.0", "5.0", "6.0", "7.0", "4.0"], "{errors}");
    assert_eq!(report["dead_letters"], 2, "{report}");
    for told in ["a.jsonl line 3: ", "b.csv line 5: the row has 3 cells"] {
        assert!(errors.contains(told), "`{told}` in {errors}");
    }
}

#[test]
fn files_that_cannot_be_joined_are_told_before_anything_is_read() {
    let site = site();
    site.write("a.csv", csv(",", ".", "\n"));
    std::fs::create_dir(site.path("folder")).expect("a folder");
    for (files, words) in [
        (&["a.csv", "not-there.csv"][..], &["not-there.csv", "cannot be read"][..]),
        (&["a.csv", "-"], &["standard input", "cannot be joined"]),
        (&["day-*.csv"], &["no file is named like day-*.csv"]),
        (&["a[.csv"], &["a[.csv", "no pattern"]),
        (&["folder"], &["is a folder", "'folder/*.jsonl'"]),
    ] {
        let (output, _, errors) = replayed(&site, files);
        assert!(!output.status.success());
        for word in words {
            assert!(errors.contains(word), "{files:?}: `{word}` in {errors}");
        }
    }
    for i in 0..501 {
        site.write(&format!("many-{i}.csv"), csv(",", ".", "\n"));
    }
    let (_, _, errors) = replayed(&site, &["many-*.csv", "--set", "schema.timestamp=at"]);
    assert!(errors.contains("501 files cannot be joined in order of time, but 500 at once"), "{errors}");
    // One behind the other there may be any number, since one is open at a time.
    let (output, report, errors) = replayed(&site, &["many-*.csv"]);
    assert!(output.status.success(), "{errors}");
    assert_eq!(report["records"], 501 * COUNT);
}

#[test]
fn a_comparison_takes_a_pattern_as_one_stream_and_each_file_as_its_own() {
    let site = site();
    dealt(&site, 3, "csv", "at,a,b,y\n", |at, a, b, y| format!("{at},{a},{b},{y}\n"));
    let arguments = ["compare", "part-*.csv", "part-1.csv", "--out", "compared", "--set", "schema.timestamp=at"];
    let output = site.run(&arguments);
    stdout(&output);
    let compared: Value = serde_json::from_str(&read(&site.path("compared/compare.json"))).expect("JSON");
    let streams: Vec<(&str, u64)> = (compared["streams"].as_array().expect("streams").iter())
        .map(|stream| (stream["name"].as_str().expect("a name"), stream["records"].as_u64().expect("records")))
        .collect();
    let one = read(&site.path("part-1.csv")).lines().count() as u64 - 1;
    assert_eq!(streams, [("part-*.csv", u64::from(COUNT)), ("part-1.csv", one)]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("part-*.csv: 3 files are joined in the order of `at`"));
}
