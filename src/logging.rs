//! Structured logs: one line per event, with stable names.
//!
//! Every line carries `event`, a name that does not change between versions, beside the text for people; README lists
//! them with their fields. What this does not do: files or rotation; lines go to standard error or to the journal.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people, on standard error.
    #[default]
    Text,
    /// One JSON object per line, on standard error.
    Json,
    /// Straight to systemd's journal, fields and all.
    Journald,
}

/// What is logged and how, checked (`[logging]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How lines look.
    pub format: Format,
    /// The least important level that is shown.
    pub level: LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::default(), level: LevelFilter::INFO }
    }
}

/// Begins logging for the whole process.
///
/// # Errors
/// When the journal is asked for and not there.
pub fn start(config: &Config) -> io::Result<()> {
    // The client library reports its own retries at info; ours say the same with what a person can do about it.
    let library = config.level.min(LevelFilter::ERROR);
    let filter = Targets::new().with_default(library).with_target("thalweg", config.level);
    let layer = match config.format {
        Format::Text => {
            fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false).boxed()
        }
        Format::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).with_target(false).boxed(),
        Format::Journald => tracing_journald::layer()?.with_field_prefix(Some("THALWEG".into())).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
}
