//! The predictions of a replay as CSV: a row per sample.
//!
//! Columns: `i` (number of the record, from 0), `target`, a column per model by its name, and the record that the
//! daemon would have published: `prediction`, `lower`, `upper`, `model`, `key`, `timestamp` (milliseconds since 1970).
//! Unknown values are empty. A model of one of those names has `model.` in front of it.

use std::{
    fs::File,
    io::{self, BufWriter, Write, stdout},
    path::Path,
};

use anyhow::Context;

use crate::pipeline::{
    decode::Sample,
    labels::Role,
    prequential::{Prequential, Step},
};

/// Columns in front of the models'.
const LEADING_COLUMNS: [&str; 2] = ["i", "target"];
/// Columns behind the models'.
const TRAILING_COLUMNS: [&str; 6] = ["prediction", "lower", "upper", "model", "key", "timestamp"];

/// Writer of the rows.
pub(super) struct Predictions {
    out: Box<dyn Write>,
    line: Vec<u8>,
    /// Names of the models, as cells.
    names: Vec<Vec<u8>>,
}

impl Predictions {
    /// Creates the file, or takes standard output where it is `-`, and writes the header.
    pub(super) fn create(path: &Path, race: &Prequential) -> anyhow::Result<Self> {
        let out: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(stdout())
        } else {
            let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(file)
        };
        let mut out = BufWriter::with_capacity(1 << 16, out);
        let mut line = Vec::new();
        LEADING_COLUMNS.iter().for_each(|name| cell(&mut line, name));
        for name in race.names() {
            let taken = LEADING_COLUMNS.iter().chain(&TRAILING_COLUMNS).any(|other| **other == **name);
            if taken { cell(&mut line, &format!("model.{name}")) } else { cell(&mut line, name) }
        }
        TRAILING_COLUMNS.iter().for_each(|name| cell(&mut line, name));
        end(&mut line);
        out.write_all(&line)?;
        let quoted = race.names().map(|name| {
            let mut quoted = Vec::new();
            cell(&mut quoted, name);
            quoted.pop();
            quoted
        });
        Ok(Self { out: Box::new(out), line, names: quoted.collect() })
    }

    /// Writes the row of a sample.
    pub(super) fn row(&mut self, i: u64, sample: &Sample<'_>, step: &Step<'_>) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(itoa::Buffer::new().format(i).as_bytes());
        line.push(b',');
        let held = if let Role::Waits { held, .. } = sample.role() { held } else { None };
        number(line, sample.target.or(held));
        step.predictions.iter().for_each(|prediction| number(line, Some(*prediction)));
        number(line, step.predictions.get(step.champion).copied());
        number(line, step.interval.map(|interval| interval.lower));
        number(line, step.interval.map(|interval| interval.upper));
        line.extend_from_slice(self.names.get(step.champion).map_or(&[][..], Vec::as_slice));
        line.push(b',');
        cell(line, sample.key.unwrap_or_default());
        if let Some(timestamp) = sample.timestamp {
            line.extend_from_slice(itoa::Buffer::new().format(timestamp).as_bytes());
        }
        line.push(b',');
        end(line);
        self.out.write_all(line)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn number(line: &mut Vec<u8>, value: Option<f64>) {
    if let Some(value) = value {
        line.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
    line.push(b',');
}

/// Writes a cell, in quotes where it needs them.
fn cell(line: &mut Vec<u8>, text: &str) {
    if text.contains([',', '"', '\n', '\r']) {
        line.push(b'"');
        line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    } else {
        line.extend_from_slice(text.as_bytes());
    }
    line.push(b',');
}

/// Replaces the separator behind the last cell by the end of the row.
fn end(line: &mut Vec<u8>) {
    line.pop();
    line.push(b'\n');
}
