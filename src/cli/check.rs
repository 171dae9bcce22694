//! `thalweg check`: prints the settings and their origins.
//!
//! The settings and the files they name have been checked before this is called. What this does not do: connect to
//! anything.

use std::io::{Write, stdout};

use crate::{
    logging,
    settings::{Settings, Sources},
};

pub(super) fn run(sources: &Sources, settings: &Settings) -> anyhow::Result<()> {
    let state = if settings.state.path.exists() { "is there" } else { "is made at the first start" };
    let mut out = stdout().lock();
    writeln!(out, "settings are good: {}", settings.summary())?;
    match sources.file() {
        Some(file) => writeln!(out, "  file         {}", file.display())?,
        None => writeln!(out, "  file         none: there is no settings.toml here, the built-in defaults hold")?,
    }
    for over in sources.over_file() {
        writeln!(out, "  over it      {over}")?;
    }
    let topics = &settings.topics;
    writeln!(
        out,
        "  topics       {}{} -> {}, {}, {}",
        topics.samples,
        topics.labels.as_ref().map(|labels| format!(" and {labels}, with the labels")).unwrap_or_default(),
        topics.predictions,
        topics.dead_letters,
        topics.events
    )?;
    for line in settings.places() {
        writeln!(out, "               {line}")?;
    }
    let schema = &settings.schema;
    let features = schema.features.as_ref().map_or("every number".to_owned(), |list| list.join(", "));
    let nominal =
        if schema.nominal.is_empty() { String::new() } else { format!("; categories {}", schema.nominal.join(", ")) };
    if let Some(written) = settings.written() {
        writeln!(out, "  format       {written}")?;
    }
    if let Some(published) = settings.published() {
        writeln!(out, "  predictions  {published}")?;
    }
    writeln!(out, "  target       {}; features {features}{nominal}", schema.target)?;
    let shipped = settings.race.models == Settings::default().race.models;
    let origin =
        if shipped { "as shipped; `[[models]]` of one's own replace them all" } else { "instead of the shipped ones" };
    writeln!(out, "  models       {} ({origin})", settings.race.models.len())?;
    writeln!(out, "  state        {} ({state})", settings.state.path.display())?;
    if settings.logging.format == logging::Format::Journald && !logging::has_journal() {
        writeln!(out, "  logging      no journal on this machine: the log would be text on standard error")?;
    }
    for stray in sources.strays() {
        writeln!(out, "  note         environment variable {stray} is no setting; those begin with THALWEG__")?;
    }
    Ok(())
}
