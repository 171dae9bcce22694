//! `thalweg model restore`: lists the checkpoints, and makes the next start continue from one of them.
//!
//! Restoring needs the state file for itself, so the daemon must have stopped; the list can be read at any time.

use std::io::{Write, stdout};

use anyhow::bail;
use clap::Args;

use crate::{
    logging::figures,
    pipeline::{
        checkpoint::Checkpoint,
        checkpoints::{self, Content, Restored},
    },
    settings::Settings,
    store::{Kept, StateReader, Store},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Number of the checkpoint to go back to [default: none, the list is printed]
    #[arg(long, value_name = "N")]
    checkpoint: Option<i64>,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    match options.checkpoint {
        Some(id) => restore(settings, id),
        None => list(settings),
    }
}

fn list(settings: &Settings) -> anyhow::Result<()> {
    let kept = StateReader::open(&settings.state.path)?.checkpoints(&Content::read)?;
    if kept.is_empty() {
        bail!("state file {} holds no checkpoint yet", settings.state.path.display());
    }
    let mut out = stdout().lock();
    writeln!(out, "checkpoint  written (UTC)        topic/partition  position  version  size  models")?;
    for kept in kept {
        let Kept { id, topic, partition, position, written_at, bytes, content } = kept;
        let size = figures::bytes(bytes);
        let content = match content {
            Ok(content) => format!("{}  {size}  {}", content.version, content.models.join(" ")),
            Err(problem) => format!("-  {size}  cannot be used: {problem}"),
        };
        writeln!(out, "{id:>10}  {written_at}  {topic}/{partition}  {position}  {content}")?;
    }
    writeln!(out, "`thalweg model restore --checkpoint N` goes back to one of them; the daemon must have stopped")?;
    Ok(())
}

fn restore(settings: &Settings, id: i64) -> anyhow::Result<()> {
    // We open it before we take the lock, which would create a missing file.
    StateReader::open(&settings.state.path)?;
    let Restored { checkpoint, moved } =
        checkpoints::restore(&Store::open(&settings.state)?, id, &settings.topics.samples)?;
    let Checkpoint { topic, partition, position, .. } = &checkpoint;
    let version = checkpoint.prequential.version();
    let then = if moved {
        "The topic was made anew since, so that nothing is learned or published again"
    } else {
        "What the topic still holds from there on is learned again, and not published again"
    };
    println!(
        "checkpoint {id} is now the newest of {topic}/{partition}: the next start goes on at position {position} with version \
         {version}. {then}"
    );
    Ok(())
}
