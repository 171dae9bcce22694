//! Structured logs: one line per event, with stable names.
//!
//! Every line carries `event`, a name that does not change between versions, beside the text for people; docs/formats.md lists
//! them with their fields. What this does not do: files or rotation; lines go to standard error or to the journal.

mod fields_in_message;
pub mod figures;
mod screen;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    sync::OnceLock,
};

use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use fields_in_message::FieldsInMessage;
use screen::AboveRows;

pub use screen::{Look, Row, Screen};

/// Socket of systemd's journal.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people, on standard error; on a terminal with a table of the daemon's state that stays in place. Where standard error
    /// is systemd's journal, straight to it.
    #[default]
    Auto,
    /// For people, on standard error.
    Text,
    /// One JSON object per line, on standard error.
    Json,
    /// Straight to systemd's journal, fields and all.
    Journald,
}

/// The configuration of the log, checked (`[logging]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Format of the lines.
    pub format: Format,
    /// Least important level that is shown.
    pub level: LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::default(), level: LevelFilter::INFO }
    }
}

/// Returns true if systemd's journal is on this machine.
pub fn has_journal() -> bool {
    Path::new(JOURNAL_SOCKET).exists()
}

/// The environment of this process's standard error.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Stream that systemd gave to the process (`JOURNAL_STREAM`).
    pub journal_stream: Option<String>,
    /// Name of the terminal (`TERM`); without one nothing stays in place.
    pub term: Option<String>,
}

/// The screen; like the log, there is one per process.
static SCREEN: OnceLock<Screen> = OnceLock::new();

/// Returns the rows at the bottom of the terminal, if there are any.
pub fn screen() -> Option<&'static Screen> {
    SCREEN.get()
}

/// What is shown of the log; like the log, there is one per process.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Shows lines of this level and above from now on.
pub fn set_level(level: LevelFilter) {
    // It fails where the log has not begun, or has ended.
    let _ = FILTER.get().map(|filter| filter.reload(shown(level)));
}

/// Returns what is shown at a level.
fn shown(level: LevelFilter) -> Targets {
    // The client library reports its own retries at info; ours say the same with what a person can do about it.
    Targets::new().with_default(level.min(LevelFilter::ERROR)).with_target("thalweg", level)
}

/// Begins logging for the whole process. If the journal is asked for and missing, lines are text, and the first one
/// says so.
pub fn start(config: &Config, around: &Surroundings) {
    let journal_stream = around.journal_stream.as_deref();
    let (filter, handle) = reload::Layer::new(shown(config.level));
    // The log begins once.
    let _ = FILTER.set(handle);
    let mut missing = None;
    let layer = match config.format {
        // Where the journal does not answer, lines still get to it.
        Format::Auto if goes_to(journal_stream) => journal().unwrap_or_else(|_| text(journal_stream)),
        Format::Auto if around.term.as_deref().is_some_and(|term| !term.is_empty() && term != "dumb") => {
            on_terminal(journal_stream)
        }
        Format::Auto | Format::Text => text(journal_stream),
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_span_list(false);
            layer.with_writer(io::stderr).with_target(false).boxed()
        }
        Format::Journald => journal().unwrap_or_else(|error| {
            missing = Some(error);
            text(journal_stream)
        }),
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

/// Makes a layer of lines that go to the journal, each field as one of its own.
fn journal() -> io::Result<Box<dyn Layer<Registry> + Send + Sync>> {
    // INFO maps to the journal's "informational" and not to its "notice".
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
        ..PriorityMappings::new()
    };
    let layer = tracing_journald::layer()?.with_field_prefix(Some("THALWEG".into()));
    Ok(FieldsInMessage::new(layer.with_priority_mappings(priorities)).boxed())
}

/// Makes a layer of lines for people above the rows of a screen; without a terminal, as [`text`].
fn on_terminal(journal_stream: Option<&str>) -> Box<dyn Layer<Registry> + Send + Sync> {
    let Some(screen) = Screen::of_stderr() else { return text(journal_stream) };
    let screen = SCREEN.get_or_init(|| screen);
    let layer = fmt::layer().with_writer(move || AboveRows(screen)).with_ansi(screen.colours()).with_target(false);
    layer.boxed()
}

/// Makes a layer of lines for people on standard error.
fn text(journal_stream: Option<&str>) -> Box<dyn Layer<Registry> + Send + Sync> {
    // `colors_enabled_stderr` respects NO_COLOR and a dumb terminal.
    let colours = io::stderr().is_terminal() && console::colors_enabled_stderr();
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
    // The journal adds a time to each line.
    if goes_to(journal_stream) { layer.without_time().boxed() } else { layer.boxed() }
}

/// Returns true if standard error is the stream that systemd describes as `device:inode`; a process started from a
/// service inherits the description, though its standard error may be another.
fn goes_to(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let own = io::stderr().as_fd().try_clone_to_owned().and_then(|own| File::from(own).metadata());
    own.is_ok_and(|own| device.parse() == Ok(own.dev()) && inode.parse() == Ok(own.ino()))
}
