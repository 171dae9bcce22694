//! `thalweg check FILE`: prints which fields of a file's records are used, and which are not.
//!
//! It learns nothing; it only decodes the records, as the daemon would.

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
    path::PathBuf,
};

use clap::Args;

use super::samples::{Reading, Samples};
use crate::{app::fields, settings::Settings};

/// Options: the file to look at, if any.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// CSV, JSON or Avro of which to say what is used under these settings; `-` is standard input
    file: Option<PathBuf>,
    /// Prints nothing: the exit code tells
    #[arg(long, conflicts_with = "file")]
    pub(super) quiet: bool,
    /// Tries the brokers, the login, topics, rights, the disk and the port, and changes nothing
    #[arg(long, conflicts_with_all = ["file", "quiet"])]
    pub(super) connect: bool,
    /// With --connect: prints what was found as JSON
    #[arg(long, requires = "connect")]
    pub(super) json: bool,
    #[command(flatten)]
    reading: Reading,
    /// Records to look at
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "file")]
    records: u64,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let Some(file) = &options.file else { return Ok(()) };
    let mut samples = Samples::of_file(file, options.reading, &settings.schema)?;
    let (mut records, mut usable, mut skipped) = (0_u64, 0_u64, 0_u64);
    let mut refused: BTreeMap<&'static str, (u64, String)> = BTreeMap::new();
    while records < options.records
        && let Some(decoded) = samples.next_sample()?
    {
        match decoded {
            Ok(_) => usable += 1,
            Err(rejection) if rejection.is_skipped() => skipped += 1,
            Err(rejection) => {
                let first = || (0, format!("record {records}: {rejection}"));
                refused.entry(rejection.reason()).or_insert_with(first).0 += 1;
            }
        }
        records += 1;
    }
    if records == 0 {
        anyhow::bail!("{} holds no records", file.display());
    }
    let mut out = stdout().lock();
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    writeln!(out, "{}: {records} records, {usable} usable{skipped}", file.display())?;
    for note in samples.notes() {
        writeln!(out, "  {note}")?;
    }
    let used = samples.fields();
    for line in fields::lines(&used) {
        writeln!(out, "  {line}")?;
    }
    for notice in samples.take_notices() {
        writeln!(out, "  {notice}")?;
    }
    for (reason, (times, first)) in refused {
        writeln!(out, "  not usable, {reason} ({times}), first {first}")?;
    }
    if used.records > 0 && used.with_target == 0 {
        writeln!(out, "  {}", fields::no_target(&used))?;
    }
    Ok(())
}
