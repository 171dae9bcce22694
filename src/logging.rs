//! Structured logs: one line per event, with stable names.
//!
//! Every line carries `event`, a name that does not change between versions, beside the text for people; docs/formats.md lists
//! them with their fields. What this does not do: files or rotation; lines go to standard error or to the journal.

mod screen;
mod worded;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    sync::OnceLock,
};

use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use screen::Above;
use worded::Worded;

pub use screen::{Look, Row, Screen};

/// Where systemd's journal takes lines.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people, on standard error; on a terminal how the daemon stands is a table that stays in place.
    #[default]
    Auto,
    /// For people, on standard error.
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

/// Whether systemd's journal is on this machine.
pub fn has_journal() -> bool {
    Path::new(JOURNAL_SOCKET).exists()
}

/// What the environment says of this process's standard error.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The stream that systemd gave to the process (`JOURNAL_STREAM`).
    pub journal_stream: Option<String>,
    /// The terminal's name (`TERM`); without one nothing stays in place.
    pub term: Option<String>,
}

/// Where the log is, there are the rows that stay in place; both are the process's own.
static SCREEN: OnceLock<Screen> = OnceLock::new();

/// The rows at the bottom of the terminal, where there are any.
pub fn screen() -> Option<&'static Screen> {
    SCREEN.get()
}

/// Begins logging for the whole process. Where the journal is asked for and not there, lines are text, and the first of them
/// says so.
pub fn start(config: &Config, around: &Surroundings) {
    let journal_stream = around.journal_stream.as_deref();
    // The client library reports its own retries at info; ours say the same with what a person can do about it.
    let library = config.level.min(LevelFilter::ERROR);
    let filter = Targets::new().with_default(library).with_target("thalweg", config.level);
    let mut missing = None;
    let layer = match config.format {
        Format::Auto if around.term.as_deref().is_some_and(|term| !term.is_empty() && term != "dumb") => {
            on_terminal(journal_stream)
        }
        Format::Auto | Format::Text => text(journal_stream),
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_span_list(false);
            layer.with_writer(io::stderr).with_target(false).boxed()
        }
        Format::Journald => match tracing_journald::layer() {
            Ok(layer) => {
                // As the journal ranks lines itself, for which INFO is no notice.
                let priorities = PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    trace: Priority::Debug,
                    ..PriorityMappings::new()
                };
                let layer = layer.with_field_prefix(Some("THALWEG".into())).with_priority_mappings(priorities);
                Worded::new(layer).boxed()
            }
            Err(error) => {
                missing = Some(error);
                text(journal_stream)
            }
        },
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    if let Some(error) = missing {
        tracing::warn!(
            event = "journal_unreachable",
            %error,
            "logging.format is \"journald\", but {JOURNAL_SOCKET} does not answer; is this machine run by systemd? The log is \
             text on standard error instead"
        );
    }
}

/// Lines for people above the rows of a screen; where standard error is no terminal, as ever.
fn on_terminal(journal_stream: Option<&str>) -> Box<dyn Layer<Registry> + Send + Sync> {
    let Some(screen) = Screen::of_stderr() else { return text(journal_stream) };
    let screen = SCREEN.get_or_init(|| screen);
    let layer = fmt::layer().with_writer(move || Above(screen)).with_ansi(screen.colours()).with_target(false);
    layer.boxed()
}

/// Lines for people on standard error.
fn text(journal_stream: Option<&str>) -> Box<dyn Layer<Registry> + Send + Sync> {
    // NO_COLOR and a dumb terminal are heeded, too.
    let colours = io::stderr().is_terminal() && console::colors_enabled_stderr();
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
    // The journal has a time of its own for each line.
    if goes_to(journal_stream) { layer.without_time().boxed() } else { layer.boxed() }
}

/// Whether standard error is the stream that systemd describes as `device:inode`; a process that was started from a service
/// inherits the description, though its standard error may be another.
fn goes_to(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let own = io::stderr().as_fd().try_clone_to_owned().and_then(|own| File::from(own).metadata());
    own.is_ok_and(|own| device.parse() == Ok(own.dev()) && inode.parse() == Ok(own.ino()))
}
