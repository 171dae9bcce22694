//! `thalweg model export`: writes everything as one JSON document, every number exact to the bit.

use std::{
    fs::File,
    io::{BufWriter, Write, stdout},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;

use super::{Learned, Selection};
use crate::{
    pipeline::learned::{Document, Keys, Partition},
    settings::Settings,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let learned = super::read(settings, &options.selection, Keys::All)?;
    let mut partitions = Vec::with_capacity(learned.len());
    for Learned { found, models } in &learned {
        let checkpoint = &found.checkpoint;
        let (partition, position, written_at) = (checkpoint.partition, checkpoint.position, &found.written_at);
        partitions.push(Partition::new(partition, position, written_at, &checkpoint.prequential, models)?);
    }
    let document = Document::new(&settings.topics.samples, partitions);
    match &options.output {
        None => write(&document, stdout().lock()),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            write(&document, file)
        }
    }
}

fn write(document: &Document<'_>, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer_pretty(&mut out, document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}
