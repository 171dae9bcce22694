//! The command line: reads it, loads the settings, calls one command.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line is wrong; 78 the settings are wrong, the broker refuses the login
//! or the certificate that they name, or another Thalweg does the same work (`EX_CONFIG`, after which the service is
//! not restarted).

mod arena;
mod check;
mod compare;
mod dead_letters;
mod descriptors;
mod emphasis;
mod generate;
mod model;
mod replay;
mod samples;
mod signals;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    app,
    logging::{self, Surroundings},
    settings::{Settings, Sources},
    topic,
};

const BAD_SETTINGS: u8 = 78;

#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about = "Learns from a topic while the topic flows", max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// As of `run`
    #[arg(long)]
    until_caught_up: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Global {
    /// Settings file [default: settings.toml where there is one, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Overrides one setting, e.g. --set transport.kind=kafka; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon (the default)
    Run {
        /// Processes what is there at the start, then stops; the generator rests
        #[arg(long)]
        until_caught_up: bool,
    },
    /// Checks the settings, and the files they name, and prints every error at once; of a file, also what of it is used
    Check(usage::Options),
    /// Predicts, scores and learns over a CSV or JSONL file, without any transport
    Replay(replay::Options),
    /// Runs every model over every stream and says which is best
    Compare(compare::Options),
    /// Prints generated samples
    Generate(generate::Options),
    /// Says what the models have learned, out of the state file
    #[command(subcommand)]
    Model(model::Command),
    /// Shows what could not be used, and sends it back once what was wrong is mended
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

/// Reads the command line and runs its command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Run { until_caught_up: false });
    if cli.until_caught_up && !matches!(command, Command::Run { .. }) {
        let problem = "--until-caught-up belongs to `thalweg run`, no other command takes it";
        Cli::command().error(ErrorKind::ArgumentConflict, problem).exit();
    }
    if matches!(command, Command::Run { .. }) {
        arena::share();
        descriptors::raise_limit();
    }
    let sources = Sources::new(cli.global.settings, environment(), cli.global.overrides);
    // Commands that need the files report every problem with them at once, and are not restarted for it.
    let with_files = |settings: Settings| match command {
        Command::Run { .. } => settings.check_files().map(|()| settings),
        Command::Check(_) => match (settings.check_files(), settings.check_state()) {
            (Ok(()), Ok(_)) => Ok(settings),
            (Err(files), Err(state)) => Err(files.and(state)),
            (Err(errors), _) | (_, Err(errors)) => Err(errors),
        },
        Command::Replay(_)
        | Command::Compare(_)
        | Command::Generate(_)
        | Command::Model(_)
        | Command::DeadLetters(_) => Ok(settings),
    };
    let settings = match Settings::load(&sources).and_then(with_files) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let done = match command {
        Command::Run { until_caught_up } => return run(settings, until_caught_up || cli.until_caught_up),
        Command::Check(options) => check::run(&sources, &settings).and_then(|()| usage::run(&settings, &options)),
        Command::Replay(options) => replay::run(&settings, &options),
        Command::Compare(options) => compare::run(&sources, &settings, &options),
        Command::Generate(options) => generate::run(&settings, &options),
        Command::Model(command) => model::run(&settings, &command),
        Command::DeadLetters(command) => dead_letters::run(&settings, &command),
    };
    ended(done)
}

/// Prints the error, if there is one, and returns the exit code.
fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thalweg: {error:#}");
            // Commands may have asked a broker themselves.
            let refused = error.chain().filter_map(|cause| cause.downcast_ref::<topic::Error>());
            code(refused.into_iter().any(topic::Error::is_for_the_settings))
        }
    }
}

/// Returns the exit code of a failure.
fn code(for_the_settings: bool) -> ExitCode {
    if for_the_settings { ExitCode::from(BAD_SETTINGS) } else { ExitCode::FAILURE }
}

/// Returns the environment as text. Values that are not text are none of our settings.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

/// Returns a variable of the system, which is no setting.
#[expect(clippy::disallowed_methods, reason = "what the system says about this process, not a setting")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Most threads that wait for the state file. Each keeps memory of its own for the records that pass through it, so
/// more threads than are useful would only hold more.
const BLOCKING_THREADS: usize = 3;

fn run(settings: Settings, until_caught_up: bool) -> ExitCode {
    let begun = || -> anyhow::Result<_> {
        let around = Surroundings { journal_stream: variable("JOURNAL_STREAM"), term: variable("TERM") };
        logging::start(&settings.logging, &around);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        Ok(runtime)
    };
    let runtime = match begun() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error)),
    };
    runtime.block_on(async {
        let stop = match signals::stop() {
            Ok(stop) => stop,
            Err(error) => return ended(Err(error.into())),
        };
        match app::run(settings, until_caught_up, stop).await {
            Ok(()) => ExitCode::SUCCESS,
            // The error is in the log, as `failed`.
            Err(error) => code(error.is_for_the_settings()),
        }
    })
}

/// Returns `true` where the reader of our output has gone, as `head` does: that is no failure.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
