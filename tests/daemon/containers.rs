//! Container files, as the libraries of others wrote them (`tests/formats/files/`): the same rows as in JSON, to the last bit.

use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::support::{
    daemon::{Workspace, read, stdout},
    sample_files::{ROWS, SETTINGS, fixture, named},
};

/// What comes of files: the predictions, the figures of the models, and all that was said.
fn replayed(site: &Workspace, files: &[&str]) -> (Output, String, Value, String) {
    let output = site.run(&[&["replay", "--report", "json", "--predictions", "out.csv"], files].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let rows = fs::read_to_string(site.path("out.csv")).unwrap_or_default();
    (output, rows, report["models"].clone(), errors)
}

#[test]
fn a_row_of_a_container_gives_the_bits_that_it_gives_as_json() {
    let site = Workspace::new(&SETTINGS);
    for shape in ["flat", "lists"] {
        let json = format!("{shape}.jsonl");
        site.write(&json, fixture(&json));
        let (output, rows, models, _) = replayed(&site, &[&json]);
        stdout(&output);
        assert_eq!(rows.lines().count() as u64, ROWS + 1);
        for name in named(&[".avro"]).iter().filter(|name| name.starts_with(shape)) {
            if name.contains("bzip2") || name.contains(".xz.") {
                continue;
            }
            site.write(name, fixture(name));
            let (output, found, figures, errors) = replayed(&site, &[name]);
            stdout(&output);
            assert_eq!(found, rows, "{name}: {errors}");
            assert_eq!(figures, models, "{name}");
            assert!(!errors.contains("cannot be used"), "{name}: {errors}");
        }
    }
}

#[test]
fn the_first_bytes_show_a_container_compressed_piped_and_without_an_ending() {
    let site = Workspace::new(&SETTINGS);
    let bytes = fixture("flat.java.snappy.avro");
    site.write("plain.avro", &bytes);
    let (_, expected, ..) = replayed(&site, &["plain.avro"]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&bytes).expect("room");
    site.write("rows.csv", packed.finish().expect("room"));
    let (output, rows, _, errors) = replayed(&site, &["rows.csv", "--delimiter", ";"]);
    stdout(&output);
    assert_eq!(rows, expected, "{errors}");
    assert!(errors.contains("--delimiter and --decimal say nothing of it"), "{errors}");
    let mut child = site
        .command(&["replay", "-", "--predictions", "piped.csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(&bytes).expect("it reads");
    stdout(&child.wait_with_output().expect("it ends"));
    assert_eq!(read(&site.path("piped.csv")), expected);
}

#[test]
fn files_of_several_formats_are_joined_in_the_order_of_their_times() {
    let site = Workspace::new(&SETTINGS);
    let json = String::from_utf8(fixture("flat.jsonl")).expect("text");
    let thrice: String = json.lines().flat_map(|line| [line, "\n"].repeat(3)).collect();
    site.write("thrice.jsonl", thrice);
    let (output, expected, ..) = replayed(&site, &["thrice.jsonl"]);
    stdout(&output);
    for name in ["flat.jsonl", "flat.java.deflate.avro", "flat.fastavro.zstandard.avro"] {
        site.write(name, fixture(name));
    }
    let (output, rows, _, errors) = replayed(&site, &["flat.java.deflate.avro", "flat.jsonl", "flat.fast*.avro"]);
    stdout(&output);
    assert_eq!(rows, expected, "{errors}");
    assert!(errors.contains("3 files are joined in the order of `at`"), "{errors}");
}

#[test]
fn a_container_that_is_cut_off_or_damaged_is_told_with_the_place_and_what_was_read() {
    let site = Workspace::new(&SETTINGS);
    let whole = fixture("flat.java.snappy.avro");
    let half = whole.len() / 4 * 3;
    let mut flipped = whole.clone();
    flipped[half] ^= 0x10;
    let mut other_mark = whole.clone();
    *other_mark.last_mut().expect("bytes") ^= 1;
    for (name, bytes, words) in [
        ("cut.avro", whole[..half].to_vec(), "cut.avro cannot be read to its end: it is cut off in block "),
        ("flipped.avro", flipped, "is damaged: "),
        ("mark.avro", other_mark, "the mark at its end is not the file's; "),
        ("header.avro", whole[..40].to_vec(), "its header is cut off at byte 40"),
        (
            "bzip2.avro",
            fixture("flat.java.bzip2.avro"),
            "its blocks are packed by bzip2, and null, deflate, snappy and",
        ),
        ("xz.avro", fixture("flat.java.xz.avro"), "recodec --codec deflate"),
        ("named.avro", b"\x02\x04\x06".to_vec(), "named.avro is no container file of Avro"),
    ] {
        site.write(name, bytes);
        let (output, _, _, errors) = replayed(&site, &[name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {errors}");
        assert!(errors.contains(words), "{name}: {errors}");
        if errors.contains(" were read before") {
            let read = errors.split(" records were read before").next().and_then(|text| text.rsplit(' ').next());
            let count: u64 = read.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{name}: {errors}"));
            assert!((1..ROWS).contains(&count), "{name}: {errors}");
        }
    }
}

#[test]
fn whatever_the_damage_rows_come_before_it_or_the_error_says_why() {
    let site = Workspace::new(&[r#"models=[{kind="mean"}]"#]);
    for name in ["flat.fastavro.null.avro", "lists.java.zstandard.avro", "lists.apache.deflate.avro"] {
        let whole = fixture(name);
        let cut = (0..whole.len()).step_by(139).map(|end| whole[..end].to_vec());
        let flipped = (1..whole.len()).step_by(97).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            bytes
        });
        for (i, bytes) in cut.chain(flipped).enumerate() {
            site.write("damaged.avro", &bytes);
            let output = site.run(&["replay", "--report", "json", "damaged.avro"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            let told = output.status.success() || (output.status.code() == Some(1) && errors.contains("damaged.avro"));
            assert!(told && !errors.contains("panicked"), "{name} {i}: {errors}");
        }
    }
}

#[test]
fn a_row_that_cannot_be_used_costs_itself_alone_and_is_told_with_its_place() {
    let site = Workspace::new(&[SETTINGS[0], r#"schema.target="n""#, r#"schema.timestamp="place""#]);
    site.write("rows.avro", fixture("flat.fastavro.null.avro"));
    let (_, _, _, errors) = replayed(&site, &["rows.avro"]);
    assert!(errors.contains("record 4 cannot be used (bad_timestamp): row 5: "), "{errors}");
    let site = Workspace::new(&[SETTINGS[0], "schema.max_record_bytes=140"]);
    site.write("rows.avro", fixture("flat.fastavro.null.avro"));
    let output = site.run(&["replay", "--report", "json", "rows.avro"]);
    let report: Value = serde_json::from_slice(stdout(&output).as_bytes()).expect("JSON");
    assert_eq!(report["records"], ROWS);
    let refused = report["reasons"]["too_large"].as_u64().expect("some");
    assert_eq!(report["scored"], ROWS - refused, "{report}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("(too_large): row "), "{errors}");
}

#[test]
fn init_check_and_compare_read_a_container_and_know_times_by_their_types() {
    let site = Workspace::new(&[]);
    site.write("rows.avro", fixture("flat.java.zstandard.avro"));
    let said = stdout(&site.run(&["init", "rows.avro", "--target", "y", "--output", "made.toml"]));
    assert!(said.contains("rows.avro: 18 records"), "{said}");
    let made = read(&site.path("made.toml"));
    assert!(made.contains("timestamp = \"at\"") && made.contains("a time by its type"), "{made}");
    stdout(&site.run(&["replay", "rows.avro", "--settings", "made.toml"]));
    let said = stdout(&site.run(&["check", "rows.avro"]));
    assert!(said.contains("rows.avro: 18 records, 18 usable"), "{said}");
    let models = r#"models=[{kind="mean"},{kind="last"}]"#;
    let said = stdout(&site.run(&["compare", "rows.avro", "--set", models, "--out", "compared"]));
    assert!(said.contains("rows.avro"), "{said}");
}
