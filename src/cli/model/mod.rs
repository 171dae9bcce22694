//! `thalweg model`: shows what the daemon has learned, from the newest intact checkpoint of each partition.
//!
//! But for `restore` and `relearn` it may run beside the daemon: nothing is locked or written. The engine says what
//! there is ([`Description`]); here it is only laid out, in `show` for a person and in `export` for a program.

mod export;
mod relearn;
mod restore;
mod show;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::examples;
use crate::{
    pipeline::{
        checkpoint::Checkpoint,
        checkpoints,
        learned::{self, Keys, LearnedModel},
    },
    settings::{Settings, suggestion},
    store::{Found, StateReader},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prints weights, trees and feature statistics
    #[command(after_help = examples::MODEL_SHOW)]
    Show(show::Options),
    /// Writes the same, exactly, as JSON
    #[command(after_help = examples::MODEL_EXPORT)]
    Export(export::Options),
    /// Lists the checkpoints there are, or goes back to one of them
    #[command(after_help = examples::MODEL_RESTORE)]
    Restore(restore::Options),
    /// Makes the next start learn anew from the oldest sample there is
    #[command(after_help = examples::MODEL_RELEARN)]
    Relearn(relearn::Options),
}

/// Choice of models.
#[derive(Debug, Args)]
struct Selection {
    /// Names of models [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only this partition of the samples [default: all there are]
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// Only this key of models per key, with what its own models have learned
    #[arg(long, value_name = "KEY", conflicts_with = "keys")]
    key: Option<String>,
    /// Only so many keys of models per key with the largest recent errors, and as many with the least
    #[arg(long, value_name = "N")]
    keys: Option<usize>,
}

/// Checkpoint of a partition, with the selected models.
struct Learned {
    found: Found<Checkpoint>,
    models: Vec<LearnedModel>,
}

pub(super) fn run(settings: &Settings, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Show(options) => show::run(settings, options),
        Command::Export(options) => export::run(settings, options),
        Command::Restore(options) => restore::run(settings, options),
        Command::Relearn(options) => relearn::run(settings, options),
    }
}

/// Reads the selected models; reports on standard error where a damaged checkpoint had to be passed over.
fn read(settings: &Settings, selection: &Selection, usual: Keys) -> anyhow::Result<Vec<Learned>> {
    let keys = Keys::of(selection.key.clone(), selection.keys).unwrap_or(usual);
    let path = &settings.state.path;
    let topic = &settings.topics.samples;
    let archive = StateReader::open(path)?;
    let known = archive.partitions(topic)?;
    if known.is_empty() {
        bail!("state file {} holds no checkpoint of the topic `{topic}` yet", path.display());
    }
    let wanted = match selection.partition {
        Some(partition) if !known.contains(&partition) => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            bail!("there is no checkpoint of partition {partition} of `{topic}`; there is of {}", known.join(", "));
        }
        Some(partition) => vec![partition],
        None => known,
    };
    let mut learned = Vec::new();
    for partition in wanted {
        let Some(found) = archive.newest(topic, partition, &checkpoints::read)? else { continue };
        for problem in &found.damaged {
            eprintln!("partition {partition}: {problem}; this is the one before");
        }
        let models = select(&found, &selection.names, &keys)?;
        learned.push(Learned { found, models });
    }
    if let Some(key) = &selection.key
        && learned.iter().flat_map(|it| &it.models).all(|model| model.own.is_empty())
    {
        bail!("no model knows the key `{key}`; thalweg model show --keys 20 lists some");
    }
    Ok(learned)
}

/// Returns the models of those names, all where none is given, in configured order.
fn select(found: &Found<Checkpoint>, names: &[String], keys: &Keys) -> anyhow::Result<Vec<LearnedModel>> {
    let race = &found.checkpoint.prequential;
    let known: Vec<&str> = race.names().map(AsRef::as_ref).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let meant = suggestion(unknown, known.iter().copied());
        bail!("there is no model `{unknown}`; there are {}{meant}", known.join(", "));
    }
    Ok(learned::models(race, &found.checkpoint.index, keys, |name| {
        names.is_empty() || names.iter().any(|it| it == name)
    }))
}
