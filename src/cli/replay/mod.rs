//! `thalweg replay`: the daemon's prequential loop over a file, without any transport.
//!
//! Decoding, predicting, scoring and learning are the daemon's own code; a row that cannot be used is counted and
//! named, and the rest goes on.

mod report;

use std::{
    fs::File,
    io::{BufWriter, IsTerminal, Write, stderr, stdout},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::samples::{Format, REJECTIONS_SHOWN, Samples};
use crate::{
    pipeline::{
        decode::{Rejection, Sample},
        prequential::{Prequential, Step},
    },
    settings::Settings,
};

/// What to replay and what to make of it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// CSV with a header, or one JSON object per line; `-` is standard input
    file: PathBuf,
    /// How the file is to be read [default: by its ending, else by its first byte]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Writes a row per sample: i,target,<model name>…
    #[arg(long, value_name = "OUT.csv")]
    predictions: Option<PathBuf>,
    /// Prints the final metrics per model
    #[arg(long, value_enum, default_value_t)]
    report: Report,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum Report {
    Json,
    #[default]
    Text,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    records: u64,
    scored: u64,
    rejected: u64,
}

/// The loop's state.
struct Replay {
    prequential: Prequential,
    predictions: Option<BufWriter<File>>,
    line: Vec<u8>,
    counts: Counts,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let mut samples = Samples::of_file(&options.file, options.format, &settings.schema)?;
    let prequential = Prequential::new(&settings.race);
    let predictions = options.predictions.as_ref().map(|path| {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        header(file, &prequential)
    });
    let mut replay =
        Replay { prequential, predictions: predictions.transpose()?, line: Vec::new(), counts: Counts::default() };
    let progress = progress_bar(samples.size());
    while let Some(decoded) = samples.next_sample()? {
        replay.take(decoded)?;
        if replay.counts.records.is_multiple_of(4096) {
            progress.set_position(samples.position());
        }
    }
    progress.finish_and_clear();
    samples.take_notices().iter().for_each(|notice| eprintln!("{notice}"));
    if let Some(mut predictions) = replay.predictions {
        predictions.flush()?;
    }
    let counts = replay.counts;
    if counts.records == 0 {
        anyhow::bail!("{} holds no records", options.file.display());
    }
    match options.report {
        Report::Json => report::json(&mut stdout().lock(), counts, &replay.prequential)?,
        Report::Text => report::text(&mut stdout().lock(), counts, &replay.prequential)?,
    }
    Ok(())
}

impl Replay {
    fn take(&mut self, decoded: Result<Sample<'_>, Rejection>) -> anyhow::Result<()> {
        let i = self.counts.records;
        self.counts.records += 1;
        let sample = match decoded {
            Ok(sample) => sample,
            Err(rejection) => {
                self.counts.rejected += 1;
                if self.counts.rejected <= REJECTIONS_SHOWN {
                    eprintln!("record {i} cannot be used ({}): {rejection}", rejection.reason());
                }
                return Ok(());
            }
        };
        let step = self.prequential.step(sample.features, sample.target);
        self.counts.scored += u64::from(sample.target.is_some());
        if let Some(out) = &mut self.predictions {
            row(&mut self.line, i, &sample, &step);
            out.write_all(&self.line)?;
        }
        Ok(())
    }
}

fn header(file: File, prequential: &Prequential) -> anyhow::Result<BufWriter<File>> {
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, file));
    let names = prequential.names().map(|name| name.to_string());
    writer.write_record(["i".to_owned(), "target".to_owned()].into_iter().chain(names))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn row(line: &mut Vec<u8>, i: u64, sample: &Sample<'_>, step: &Step<'_>) {
    line.clear();
    line.extend_from_slice(itoa::Buffer::new().format(i).as_bytes());
    line.push(b',');
    if let Some(y) = sample.target {
        line.extend_from_slice(zmij::Buffer::new().format(y).as_bytes());
    }
    for prediction in step.predictions {
        line.push(b',');
        line.extend_from_slice(zmij::Buffer::new().format(*prediction).as_bytes());
    }
    line.push(b'\n');
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match size {
        Some(size) => {
            let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} to go");
            // The template is a constant; were it wrong, the default would do.
            ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => ProgressBar::new_spinner(),
    }
}
