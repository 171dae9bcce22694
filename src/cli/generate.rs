//! `thalweg generate`: prints samples of a function.

use std::io::{BufWriter, Write, stdout};

use clap::{Args, ValueEnum};

use crate::{
    generator::{Config, Error, Function, Stream, encode},
    settings::Settings,
};

/// Options: the samples to print; defaults are those of `[generator]`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The function, e.g. friedman, friedman_drift (friedman_drift:lea, :gra, :gsg), planes2d, mv, sine, geometric,
    /// expression
    #[arg(long)]
    function: Option<String>,
    /// Number of samples
    #[arg(short = 'n', long, default_value_t = 1000)]
    count: u64,
    /// Seed; the same one gives the same samples
    #[arg(long)]
    seed: Option<u64>,
    /// One JSON object per line, or comma-separated values with a header
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Jsonl,
    Csv,
}

/// Returns `[generator]` with the function of that name; its parameters are those of the settings if they name the same
/// function.
pub(super) fn configured(settings: &Settings, name: &str) -> Result<Config, Error> {
    let mut config = settings.generator.clone();
    if name != config.function.name() {
        config.function = Function::from_name(name)?;
    }
    Ok(config)
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let mut config = match &options.function {
        Some(name) => configured(settings, name)?,
        None => settings.generator.clone(),
    };
    config.seed = options.seed.unwrap_or(config.seed);
    let mut stream = Stream::new(&config)?;
    let names = stream.feature_names().to_vec();
    let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
    let mut features = Vec::with_capacity(names.len());
    let mut line = Vec::new();
    if matches!(options.format, Format::Csv) {
        encode::csv_header(&names, &mut line);
        out.write_all(&line)?;
    }
    for _ in 0..options.count {
        let target = stream.next_sample(&mut features);
        line.clear();
        match options.format {
            Format::Jsonl => encode::json_line(&names, &features, target, &mut line),
            Format::Csv => encode::csv_row(&features, target, &mut line),
        }
        out.write_all(&line)?;
    }
    out.flush()?;
    Ok(())
}
