//! `thalweg compare`: runs every model over every stream and finds the best.
//!
//! Reading order: `plan` (pairs of model and stream), `run` (on all cores, with `trace` keeping the points to be
//! drawn), `standings` (leaderboards, and which differences are more than noise), then the output: `text` on the
//! terminal, `files` (JSON and CSV), `html` (the report).
//!
//! Invariant: a model is predicted, scored and learned by the daemon's own loop over the daemon's own decoder, in a
//! race of its own; so its errors are those of `thalweg replay`, whatever else runs and on any number of cores.

mod files;
mod html;
mod plan;
mod run;
mod standings;
mod text;
mod topics;
mod trace;
mod verdict;

use std::{fmt, io::Write, num::NonZero, path::PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Args};

use super::{
    emphasis::Emphasis,
    samples::{LateLabels, Reading},
};
use crate::{
    logging::{self, Surroundings},
    settings::{Settings, Sources},
};
use plan::Plan;
use standings::Standings;
use topics::Offsets;

/// Options: models and streams to compare.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("streams").required(true).multiple(true).args(["files", "function", "topic"])))]
pub(super) struct Options {
    /// CSV with a header, JSON objects, or an Avro container; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    late: LateLabels,
    /// Generator functions, with noise and drift as in `[generator]`
    #[arg(long, value_name = "NAME", num_args = 1..)]
    function: Vec<String>,
    /// Samples of each function
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50_000)]
    count: u64,
    /// Seed of the functions [default: generator.seed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Runs each function on so many seeds, to tell differences from noise
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Records of a topic of the transport that is set; a stream per partition where none is named
    #[arg(long, value_name = "TOPIC[:PARTITION]", num_args = 1..)]
    topic: Vec<String>,
    /// Which offsets, the last one left out: 100..200, 100.., ..200; one for all topics or one for each [default: all]
    #[arg(long, value_name = "FROM..TO", requires = "topic")]
    offsets: Vec<Offsets>,
    /// Models instead of `[[models]]`: a file of them, or the keys of one, in which lists are tried item by item, e.g.
    /// 'kind="linear", optimizer.lr=[0.01, 0.1]'; may be repeated
    #[arg(long, value_name = "FILE|KEYS")]
    grid: Vec<String>,
    /// Folder for compare.html, compare.json and compare.csv
    #[arg(long, value_name = "FOLDER", default_value = "compare")]
    out: PathBuf,
    /// Models that run at once [default: the number of cores]
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
}

/// All problems that keep it from running.
#[derive(Debug)]
struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [problem] => f.write_str(problem),
            problems => {
                write!(f, "{} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// Returns `value` if there are no problems.
    fn none<T>(self, value: T) -> anyhow::Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(self.into()) }
    }
}

pub(super) fn run(sources: &Sources, settings: &Settings, options: &Options) -> anyhow::Result<()> {
    // We find this out before a minute's work, not after it.
    let folder = &options.out;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("folder {} cannot be made; choose another --out", folder.display()))?;
    if !options.topic.is_empty() {
        // We wait for a broker that does not answer, and log it.
        logging::start(&settings.logging, &Surroundings::default());
    }
    let only_topics = options.files.is_empty() && options.function.is_empty();
    if options.late.go_by_time() && !options.function.is_empty() {
        anyhow::bail!(
            "--label-delay takes a number of samples where functions are compared, whose samples have no time"
        );
    }
    let schema = options.late.applied(&settings.schema, only_topics)?;
    let settings = &Settings { schema, ..settings.clone() };
    let plan = Plan::new(sources, settings, options)?;
    let settings = &settings.with_keys_of(plan.models.iter().map(|entry| &entry.config));
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let runs = run::all(&plan, settings, jobs)?;
    let standings = Standings::new(&plan, runs)?;
    // We write nothing while the rest may still fail.
    let written = [
        ("compare.json", files::json(&standings)?),
        ("compare.csv", files::csv(&standings)?),
        ("compare.html", html::page(&standings)?),
    ];
    files::write(folder, &written)?;
    let mut out = std::io::stdout().lock();
    text::print(&mut out, &standings, Emphasis::of_stdout())?;
    let paths = written.map(|(name, _)| folder.join(name).display().to_string());
    writeln!(out, "\nwritten: {}", paths.join(", "))?;
    Ok(())
}
