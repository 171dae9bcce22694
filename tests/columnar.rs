//! Files of Parquet and Arrow, as the libraries of others wrote them (`tests/formats/files/`): the same rows as in JSON, to the last
//! bit. Only with the feature `columnar`.

mod support;

use std::{io::Write, process::Stdio};

use flate2::{Compression, write::GzEncoder};
use support::{
    daemon::{Workspace, read, stdout},
    sample_files::{ROWS, SETTINGS, fixture, named},
};

/// Endings of columnar files.
const COLUMNAR: [&str; 4] = [".parquet", ".arrow", ".arrows", ".feather"];

/// The predictions and the figures of the models, and all that was said.
fn replayed(site: &Workspace, files: &[&str]) -> Result<(String, String), String> {
    let output = site.run(&[&["replay", "--report", "json", "--predictions", "out.csv"], files].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(errors);
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Ok((format!("{}{}", read(&site.path("out.csv")), report["models"]), errors))
}

#[test]
fn a_row_of_a_columnar_file_gives_the_bits_that_it_gives_as_json() {
    let site = Workspace::new(&SETTINGS);
    for shape in ["flat", "lists"] {
        let json = format!("{shape}.jsonl");
        site.write(&json, fixture(&json));
        let (expected, _) = replayed(&site, &[&json]).expect("rows");
        assert_eq!(expected.lines().count() as u64, ROWS + 2);
        for name in named(&COLUMNAR).iter().filter(|name| name.starts_with(shape) && !name.contains("brotli")) {
            site.write(name, fixture(name));
            let (found, errors) = replayed(&site, &[name]).unwrap_or_else(|errors| panic!("{name}: {errors}"));
            assert!(!errors.contains("cannot be used"), "{name}: {errors}");
            let differ = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
            assert!(found == expected, "{name}: {differ:?}");
        }
    }
}

#[test]
fn the_first_bytes_show_it_compressed_piped_and_without_an_ending() {
    let site = Workspace::new(&SETTINGS);
    site.write("flat.jsonl", fixture("flat.jsonl"));
    let (expected, _) = replayed(&site, &["flat.jsonl"]).expect("rows");
    for name in ["flat.pyarrow.snappy.parquet", "flat.polars.arrow", "flat.polars.arrows", "flat.pandas.feather"] {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&fixture(name)).expect("room");
        site.write("rows", packed.finish().expect("room"));
        let (found, errors) = replayed(&site, &["rows", "--decimal", "."]).expect("rows");
        assert!(found == expected && errors.contains("--decimal say nothing of it"), "{name}: {errors}");
        let mut child = site
            .command(&["replay", "-", "--predictions", "piped.csv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("piped").write_all(&fixture(name)).expect("it reads");
        stdout(&child.wait_with_output().expect("it ends"));
        assert!(expected.starts_with(&read(&site.path("piped.csv"))), "{name} from standard input");
    }
}

#[test]
fn files_of_every_format_are_joined_in_the_order_of_their_times() {
    let site = Workspace::new(&SETTINGS);
    let json = String::from_utf8(fixture("flat.jsonl")).expect("text");
    site.write("often.jsonl", json.lines().flat_map(|line| [line, "\n"].repeat(4)).collect::<String>());
    let (expected, _) = replayed(&site, &["often.jsonl"]).expect("rows");
    let names = ["flat.jsonl", "flat.java.null.avro", "flat.duckdb.parquet", "flat.polars.arrows"];
    names.iter().for_each(|name| drop(site.write(name, fixture(name))));
    let (found, errors) = replayed(&site, &names).expect("rows");
    assert!(found == expected, "{errors}");
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_told_with_the_place_and_what_was_read() {
    let site = Workspace::new(&SETTINGS);
    let refused = |name: &str, bytes: &[u8]| {
        site.write(name, bytes);
        replayed(&site, &[name]).expect_err(name)
    };
    let parquet = fixture("flat.pyarrow.zstd.parquet");
    let errors = refused("cut.parquet", &parquet[..parquet.len() - 20]);
    assert!(errors.contains("cut.parquet is a Parquet file that cannot be read: "), "{errors}");
    let errors = refused("brotli.parquet", &fixture("flat.pyarrow.brotli.parquet"));
    assert!(errors.contains("brotli"), "{errors}");
    // Somewhere in the middle are the pages of the second of three groups of rows.
    let told = (8..parquet.len() / 2).step_by(64).any(|at| {
        let mut damaged = parquet.clone();
        damaged[at..at + 32].fill(0xff);
        site.write("damaged.parquet", &damaged);
        let errors = replayed(&site, &["damaged.parquet"]).err().unwrap_or_default();
        errors.contains("damaged.parquet cannot be read to its end: row group 2 of 3 is damaged or cut off: ")
            && errors.contains("; 7 records were read before")
    });
    assert!(told, "no damage is told to be in the second group");
    let file = fixture("flat.polars.arrow");
    let errors = refused("cut.arrow", &file[..file.len() / 2]);
    assert!(errors.contains("cut.arrow is an Arrow file that cannot be read: Arrow file does not contain"), "{errors}");
    let stream = fixture("flat.pyarrow.arrows");
    let errors = refused("cut.arrows", &stream[..stream.len() - 3000]);
    assert!(
        errors.contains("cut.arrows cannot be read to its end: record batch 2 is damaged or cut off: "),
        "{errors}"
    );
    assert!(errors.contains("; 7 records were read before"), "{errors}");
}

#[test]
fn whatever_the_damage_rows_come_before_it_or_the_error_says_why() {
    let site = Workspace::new(&[r#"models=[{kind="mean"}]"#]);
    for name in ["lists.pyarrow.zstd.parquet", "flat.duckdb.parquet", "lists.pyarrow.lz4.feather", "flat.polars.arrows"]
    {
        let whole = fixture(name);
        let cut = (1..24).map(|i| whole[..whole.len() * i / 24].to_vec());
        let flipped = (0..60).map(|i| {
            let mut bytes = whole.clone();
            bytes[9 + (whole.len() - 10) * i / 60] ^= 0xff;
            bytes
        });
        for (i, bytes) in cut.chain(flipped).enumerate() {
            site.write("damaged", &bytes);
            let output = site.run(&["replay", "--report", "json", "damaged"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            let told = output.status.success() || (output.status.code() == Some(1) && errors.contains("damaged"));
            assert!(told, "{name} {i}: {:?} {errors}", output.status);
        }
    }
}

#[test]
fn init_and_compare_read_a_columnar_file_and_know_times_by_their_types() {
    let site = Workspace::new(&[]);
    site.write("rows.parquet", fixture("flat.polars.parquet"));
    let said = stdout(&site.run(&["init", "rows.parquet", "--target", "y", "--output", "made.toml"]));
    assert!(said.contains("rows.parquet: 18 records"), "{said}");
    let made = read(&site.path("made.toml"));
    assert!(made.contains("timestamp = \"at\"") && made.contains("a time by its type"), "{made}");
    let models = r#"models=[{kind="mean"},{kind="last"}]"#;
    let said = stdout(&site.run(&["compare", "rows.parquet", "--set", models, "--out", "compared"]));
    assert!(said.contains("rows.parquet"), "{said}");
}
