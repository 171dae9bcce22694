//! `thalweg dead-letters`: lists records that could not be used, and sends them back once the cause is mended.

mod retry;
mod show;

use clap::{Args, Subcommand};

use super::examples;
use crate::{logging, settings::Settings, topic::dead_letters::Selection};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists dead letters, newest last, also while the daemon runs
    #[command(after_help = examples::DEAD_LETTERS_SHOW)]
    Show(show::Options),
    /// Sends dead letters back to the samples topic, each once
    #[command(after_help = examples::DEAD_LETTERS_RETRY)]
    Retry(retry::Options),
}

/// Choice of dead letters.
#[derive(Debug, Args)]
struct Which {
    /// Only of this partition of the dead-letters topic
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// Only with this reason, e.g. too_large
    #[arg(long, value_name = "R")]
    reason: Option<String>,
}

impl Which {
    fn selection(&self, offsets: &[i64]) -> Selection {
        Selection { partition: self.partition, reason: self.reason.clone(), offsets: offsets.to_vec() }
    }
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(settings: &Settings, command: &Command) -> anyhow::Result<()> {
    // We wait for a broker that does not answer, and log it.
    logging::start(&settings.logging, &logging::Surroundings::default());
    match command {
        Command::Show(options) => show::run(settings, options).await,
        Command::Retry(options) => retry::run(settings, options).await,
    }
}
