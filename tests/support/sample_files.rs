//! Files of samples as the libraries of others wrote them (`tests/formats/files/`), and settings under which all have the same rows.

use std::{fs, path::PathBuf};

/// Settings for the rows of a file.
pub const SETTINGS: [&str; 3] = [
    r#"models=[{kind="mean"},{kind="last"},{kind="rls"},{kind="hoeffding_tree"}]"#,
    r#"schema.nominal=["s","c","id","raw"]"#,
    r#"schema.timestamp="at""#,
];

/// Rows in each file.
pub const ROWS: u64 = 18;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats/files")
}

pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the files that the table lists with one of these endings, which are all that are there.
pub fn named(endings: &[&str]) -> Vec<String> {
    let is_one = |name: &str| endings.iter().any(|ending| name.ends_with(ending));
    let table = String::from_utf8(fixture("table.tsv")).expect("text");
    let listed = table.lines().map(|line| line.split('\t').next().expect("a name"));
    let names: Vec<String> = listed.filter(|name| is_one(name)).map(str::to_owned).collect();
    let there = fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert_eq!(there.filter(|name| is_one(&name.to_string_lossy())).count(), names.len(), "{endings:?}");
    names
}
