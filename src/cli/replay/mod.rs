//! `thalweg replay`: the daemon's prequential loop over a file, without any transport.
//!
//! Decoding, predicting, scoring and learning are the daemon's own code; a row that cannot be used is counted and
//! named, and the rest goes on.

mod predictions;
mod report;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr, stdout},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    emphasis::Emphasis,
    samples::{LateLabels, MAX_REJECTIONS_SHOWN, Reading, Samples, Unusable, named},
};
use crate::{
    app::fields,
    logging::figures::grouped,
    models::Features,
    pipeline::{
        decode::Sample,
        labels::{Role, Settled},
        prequential::Prequential,
    },
    settings::Settings,
};
use predictions::Predictions;

/// Options: the file to replay, and the outputs.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// CSV with a header, JSON objects, or an Avro container; `-` is standard input. Several, also as a pattern in quotes, are joined in
    /// order of time where schema.timestamp is set, else in the order given
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    late: LateLabels,
    /// Writes a row per sample: i,target,<model name>…,prediction,lower,upper,model,key,timestamp; `-` is standard
    /// output
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

/// Counts of the records that were read.
#[derive(Clone, Debug, Default)]
struct Counts {
    records: u64,
    scored: u64,
    rejected: u64,
    /// Those that only said that a row was deleted.
    skipped: u64,
    /// Those that were labels of earlier samples.
    labels: u64,
    /// Number of rejected records by reason.
    reasons: BTreeMap<&'static str, u64>,
}

/// State of the loop.
struct Replay {
    prequential: Prequential,
    predictions: Option<Predictions>,
    counts: Counts,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let named: Vec<Vec<PathBuf>> = options.files.iter().map(|file| named(file)).collect::<anyhow::Result<_>>()?;
    let files = named.concat();
    let name = match &files[..] {
        [file] => file.display().to_string(),
        files => format!("one stream of {} files", files.len()),
    };
    let schema = options.late.applied(&settings.schema, false)?;
    let mut samples = Samples::of_files(&files, options.reading, &schema)?;
    for note in samples.notes() {
        eprintln!("{}{note}", if files.len() == 1 { format!("{name}: ") } else { String::new() });
    }
    let prequential = Prequential::new(&settings.race);
    samples.set_beside(prequential.forecast_bytes());
    let predictions = options.predictions.as_ref().map(|path| Predictions::create(path, &prequential));
    let mut replay = Replay { prequential, predictions: predictions.transpose()?, counts: Counts::default() };
    let progress = progress_bar(samples.size());
    while let Some(decoded) = samples.next_sample()? {
        replay.take(decoded)?;
        if replay.counts.records.is_multiple_of(256) {
            progress.set_position(samples.position());
            progress.set_message(grouped(replay.counts.records as f64));
        }
    }
    replay.counts.scored += settle(&mut replay.prequential, samples.settled(), samples.row());
    progress.finish_and_clear();
    samples.take_notices().iter().for_each(|notice| eprintln!("{notice}"));
    if let Some(predictions) = replay.predictions {
        predictions.finish()?;
    }
    let counts = replay.counts;
    let used = samples.fields();
    if counts.records == 0 {
        anyhow::bail!("{name} holds no records");
    }
    // With predictions on standard output the report would be one more row.
    let aside = options.predictions.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let mut out: Box<dyn Write> = if aside { Box::new(stderr().lock()) } else { Box::new(stdout().lock()) };
    let emphasis = if aside { Emphasis::of_stderr() } else { Emphasis::of_stdout() };
    match options.report {
        Report::Json => report::json(&mut out, &counts, samples.late(), &used, &replay.prequential)?,
        Report::Text => {
            report::text(&mut out, &counts, samples.late(), &replay.prequential, emphasis)?;
            for line in fields::lines(&used) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()?;
    if used.records > 0 && used.with_target == 0 && samples.late().is_none() {
        eprintln!("{}", fields::no_target(&used));
    }
    if counts.rejected + counts.skipped == counts.records {
        anyhow::bail!("no record of {name} can be used, see above");
    }
    if counts.scored == 0 {
        let (records, target) = (counts.records, &settings.schema.target);
        anyhow::bail!(
            "no record of {records} has a target to score: there is no usable `{target}`; look at schema.target"
        );
    }
    Ok(())
}

impl Replay {
    fn take(&mut self, decoded: Result<Sample<'_>, Unusable>) -> anyhow::Result<()> {
        let i = self.counts.records;
        self.counts.records += 1;
        let sample = match decoded {
            Ok(sample) => sample,
            Err(rejection) if rejection.is_skipped() => {
                self.counts.skipped += 1;
                return Ok(());
            }
            Err(rejection) => {
                self.counts.rejected += 1;
                *self.counts.reasons.entry(rejection.reason()).or_default() += 1;
                if self.counts.rejected <= MAX_REJECTIONS_SHOWN {
                    eprintln!("record {i} cannot be used ({}): {rejection}", rejection.reason());
                }
                return Ok(());
            }
        };
        self.counts.scored += settle(&mut self.prequential, sample.settled(), sample.features);
        if sample.role() == Role::Label {
            self.counts.labels += 1;
            return Ok(());
        }
        let step = self.prequential.step_with_keys(sample.features, sample.keys, sample.target);
        self.counts.scored += u64::from(sample.target.is_some());
        if let Some(out) = &mut self.predictions {
            out.row(i, &sample, &step)?;
        }
        if let Role::Waits { id, .. } = sample.role() {
            self.prequential.keep(id, sample.features, sample.keys);
        }
        Ok(())
    }
}

/// Learns samples whose targets have come, and returns how many were scored.
fn settle(race: &mut Prequential, settled: &[Settled], x: Features<'_>) -> u64 {
    let mut scored = 0;
    race.settle_all(settled, x, |_, settlement| scored += u64::from(settlement.scored.is_some()));
    scored
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match size {
        Some(size) => {
            let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {msg} records, {eta} to go");
            // The template is a constant; if it were wrong, the default would do.
            ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => {
            let style = ProgressStyle::with_template("{spinner} {bytes} read, {msg} records");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        }
    }
}
