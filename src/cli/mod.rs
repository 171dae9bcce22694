//! The command line: reads it, loads the settings, calls one command.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line is wrong; 78 the settings are wrong, the broker refuses the login
//! or the certificate that they name, or another Thalweg does the same work (`EX_CONFIG`, after which the service is
//! not restarted).

mod arena;
mod check;
mod compare;
mod connect;
mod dead_letters;
mod descriptors;
mod emphasis;
mod examples;
mod generate;
mod health;
mod init;
mod manual;
mod model;
mod replay;
mod samples;
mod signals;
mod usage;

use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    app,
    logging::{self, Surroundings},
    pipeline::form::SCHEMA,
    settings::{Keys, Settings, Sources},
    topic,
};

const BAD_SETTINGS: u8 = 78;

#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about = "Learns from a topic while the topic flows", max_term_width = 100)]
#[command(after_help = examples::THALWEG)]
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
    #[command(after_help = examples::RUN)]
    Run {
        /// Processes what is there at the start, then stops; the generator rests
        #[arg(long)]
        until_caught_up: bool,
    },
    /// Looks at a sample of your data, says what it finds in it, and writes settings that learn from it
    #[command(after_help = examples::INIT)]
    Init(init::Options),
    /// Checks the settings, and the files they name, and prints every error at once; of a file, also what of it is used
    #[command(after_help = examples::CHECK)]
    Check(usage::Options),
    /// Predicts, scores and learns over a file, without any transport
    #[command(after_help = examples::REPLAY)]
    Replay(replay::Options),
    /// Runs every model over every stream and says which is best
    #[command(after_help = examples::COMPARE)]
    Compare(compare::Options),
    /// Prints generated samples
    #[command(after_help = examples::GENERATE)]
    Generate(generate::Options),
    /// Says what the models have learned, out of the state file
    #[command(subcommand, after_help = examples::MODEL)]
    Model(model::Command),
    /// Shows what could not be used, and sends it back once what was wrong is mended
    #[command(subcommand, after_help = examples::DEAD_LETTERS)]
    DeadLetters(dead_letters::Command),
    /// Asks a running daemon over HTTP how it is; the exit code is 1 where it is not well
    #[command(after_help = examples::HEALTH)]
    Health,
    /// Prints the Avro schema of predictions (output.format = "avro"), for who reads or registers it
    #[command(after_help = examples::SCHEMA)]
    Schema,
    /// Writes manual pages and completions of shells into a folder, for packages
    #[command(hide = true)]
    Manual(manual::Options),
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
    match &command {
        Command::Manual(options) => return ended(manual::run(Cli::command(), options)),
        Command::Schema => return ended(print_schema()),
        _ => {}
    }
    let sources = Sources::new(cli.global.settings, environment(), cli.global.overrides);
    let sources = match &command {
        Command::Init(options) => options.sources(sources),
        _ => sources,
    };
    // Commands that need the files report every problem with them at once, and are not restarted for it.
    let with_files = |settings: Settings| match command {
        Command::Run { .. } => settings.check_files().map(|()| settings),
        // A look at everything says it in its own words.
        Command::Check(usage::Options { connect: true, .. }) => settings.check_files().map(|()| settings),
        Command::Check(_) => match (settings.check_files(), settings.check_state()) {
            (Ok(()), Ok(_)) => Ok(settings),
            (Err(files), Err(state)) => Err(files.and(state)),
            (Err(errors), _) | (_, Err(errors)) => Err(errors),
        },
        Command::Init(_)
        | Command::Replay(_)
        | Command::Compare(_)
        | Command::Generate(_)
        | Command::Model(_)
        | Command::DeadLetters(_)
        | Command::Health
        | Command::Schema
        | Command::Manual(_) => Ok(settings),
    };
    let loaded = Settings::load_with_keys(&sources).and_then(|(settings, keys)| Ok((with_files(settings)?, keys)));
    let (settings, keys) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            if !matches!(&command, Command::Check(options) if options.quiet) {
                eprintln!("{errors}");
            }
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let done = match command {
        Command::Run { until_caught_up } => {
            return run(settings, until_caught_up || cli.until_caught_up, sources, keys);
        }
        Command::Check(options) if options.quiet => Ok(()),
        Command::Check(options) if options.connect => {
            return connect::run(&settings, options.json).unwrap_or_else(|error| ended(Err(error)));
        }
        Command::Check(options) => check::run(&sources, &settings).and_then(|()| usage::run(&settings, &options)),
        Command::Init(options) => init::run(&sources, &settings, &options),
        Command::Replay(options) => replay::run(&settings, &options),
        Command::Compare(options) => compare::run(&sources, &settings, &options),
        Command::Generate(options) => generate::run(&settings, &options),
        Command::Model(command) => model::run(&settings, &command),
        Command::DeadLetters(command) => dead_letters::run(&settings, &command),
        Command::Health => health::run(&settings),
        // These read no settings and have ended above.
        Command::Schema => print_schema(),
        Command::Manual(options) => manual::run(Cli::command(), &options),
    };
    ended(done)
}

fn print_schema() -> anyhow::Result<()> {
    Ok(stdout().write_all(SCHEMA.as_bytes())?)
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

fn run(settings: Settings, until_caught_up: bool, sources: Sources, keys: Keys) -> ExitCode {
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
        let (stop, wishes) = match signals::listen() {
            Ok(listening) => listening,
            Err(error) => return ended(Err(error.into())),
        };
        let reload = app::Reload { wishes, sources, keys };
        match app::run(settings, until_caught_up, Some(reload), Box::pin(stop)).await {
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
