//! `thalweg model relearn`: makes the next start learn from the oldest sample that the topic holds.
//!
//! It serves another schema, under which models otherwise start from nothing. It needs the state file for
//! itself, so the daemon must have stopped. Published records stay: the next start reads it back and publishes only
//! what is missing.

use std::collections::BTreeSet;

use clap::Args;

use crate::{
    pipeline::checkpoints::{self, Content},
    settings::Settings,
    store::{StateReader, Store},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Does it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let (path, topic) = (settings.state.path.display(), &settings.topics.samples);
    let kept = StateReader::open(&settings.state.path)?.checkpoints(&Content::read)?;
    let partitions: BTreeSet<i32> =
        kept.iter().filter(|kept| kept.topic == *topic).map(|kept| kept.partition).collect();
    if partitions.is_empty() {
        anyhow::bail!(
            "state file {path} holds no checkpoint of the topic `{topic}`; the next start learns it all anyway"
        );
    }
    if !options.yes {
        println!(
            "this would make the next start forget what was learned of `{topic}`, {} partitions, and learn from the oldest sample \
             the topic holds (transport.kafka.start). Nothing is published twice. `thalweg model relearn --yes` does it; the \
             daemon must have stopped. `thalweg model restore` goes back as long as there are older checkpoints",
            partitions.len()
        );
        return Ok(());
    }
    let count = checkpoints::relearn(&Store::open(&settings.state)?, topic)?;
    println!(
        "the next start learns `{topic}`, {count} partitions, from the oldest sample the topic holds, and publishes only what is \
         missing. `thalweg model restore` lists what can be gone back to"
    );
    Ok(())
}
