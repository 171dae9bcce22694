//! Reference vectors: what River 0.26.1 computed, as CSV compressed with gzip in `tests/vectors/`.
#![allow(dead_code)]

use std::{collections::BTreeMap, fs::File, path::Path};

use flate2::read::GzDecoder;

/// A table of texts with named columns.
pub struct Table {
    columns: BTreeMap<String, usize>,
    rows: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads `tests/vectors/<name>.csv.gz`; a missing file fails the test.
    pub fn read(name: &str) -> Self {
        let path = Path::new(crate::ROOT).join(format!("tests/vectors/{name}.csv.gz"));
        let file = File::open(&path).unwrap_or_else(|error| panic!("reference vector {}: {error}", path.display()));
        let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
        let columns = reader.headers().expect("a header").iter().map(str::to_owned).zip(0..).collect();
        let rows = reader.records().map(|row| row.expect("a row")).collect();
        Self { columns, rows }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    pub fn text(&self, row: usize, column: &str) -> &str {
        &self.rows[row][self.columns[column]]
    }

    /// The number in a cell; NaN where it is empty.
    pub fn number(&self, row: usize, column: &str) -> f64 {
        match self.text(row, column) {
            "" => f64::NAN,
            text => text.parse().unwrap_or_else(|_| panic!("row {row}, {column}: `{text}` is no number")),
        }
    }

    /// The numbers of a row in the columns `<prefix>0`, `<prefix>1`, …
    pub fn features(&self, row: usize, prefix: &str) -> Vec<f64> {
        let names = (0..).map(|i| format!("{prefix}{i}")).take_while(|name| self.has(name));
        names.map(|name| self.number(row, &name)).collect()
    }
}

/// How far `got` is from `expected`, relative to its size, and absolutely below a size of 1e-3.
pub fn deviation(got: f64, expected: f64) -> f64 {
    if got == expected { 0.0 } else { (got - expected).abs() / expected.abs().max(1e-3) }
}

/// Fails when `got` is further from `expected` than `tolerance`, naming the place.
pub fn assert_close(got: f64, expected: f64, tolerance: f64, place: &dyn std::fmt::Display) {
    let far = deviation(got, expected);
    assert!(far <= tolerance, "{place}: got {got}, expected {expected}, deviation {far:e}");
}
