//! `thalweg model relearn`: makes the next start learn from the oldest sample that the topic holds.
//!
//! For models that are new or have changed, which begin at nothing otherwise. It needs the state file for itself, so the
//! daemon must have stopped. What is published stays: the next start reads it back and publishes only what is missing.

use clap::Args;

use crate::{
    pipeline::{archive::Archive, store::Store},
    settings::Settings,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Does it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let (path, topic) = (settings.state.path.display(), &settings.topics.samples);
    let kept = Archive::open(&settings.state.path)?.checkpoints()?;
    let count = kept.iter().filter(|kept| kept.topic == *topic).count();
    if count == 0 {
        anyhow::bail!(
            "state file {path} holds no checkpoint of the topic `{topic}`; the next start learns it all anyway"
        );
    }
    if !options.yes {
        println!(
            "this would drop all {count} checkpoints of `{topic}` from {path}, with all that was learned: copy the file first. \
             The next start then learns from the oldest sample the topic holds (transport.kafka.start) and publishes nothing \
             twice. `thalweg model relearn --yes` does it; the daemon must have stopped"
        );
        return Ok(());
    }
    let dropped = Store::open(&settings.state)?.forget(topic)?;
    println!(
        "{dropped} checkpoints of `{topic}` are dropped: the next start learns from the oldest sample the topic holds, and \
         publishes only what is missing"
    );
    Ok(())
}
