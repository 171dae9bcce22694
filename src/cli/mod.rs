//! The command line: reads it, loads the settings, calls one command.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line is wrong; 78 the settings are wrong (`EX_CONFIG`, on which the
//! service is not restarted).

mod arena;
mod compare;
mod dead_letters;
mod figures;
mod generate;
mod model;
mod replay;
mod samples;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    app, logging,
    settings::{Settings, Sources},
};

const BAD_SETTINGS: u8 = 78;

#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about = "Learns from a topic while the topic flows", max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
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
    /// Checks the settings and prints every error at once
    Check,
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

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, None | Some(Command::Run { .. })) {
        arena::share();
    }
    let sources = Sources::new(cli.global.settings, environment(), cli.global.overrides);
    let settings = match Settings::load(&sources) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let done = match cli.command.unwrap_or(Command::Run { until_caught_up: false }) {
        Command::Run { until_caught_up } => run(settings, until_caught_up),
        Command::Check => {
            println!("settings are good: {}", settings.summary());
            Ok(())
        }
        Command::Replay(options) => replay::run(&settings, &options),
        Command::Compare(options) => compare::run(&sources, &settings, &options),
        Command::Generate(options) => generate::run(&settings, &options),
        Command::Model(command) => model::run(&settings, &command),
        Command::DeadLetters(command) => dead_letters::run(&settings, &command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thalweg: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The environment as text. What is not text is not one of our settings.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

/// Threads that wait for the state file. Each keeps memory of its own for the records that pass through it, so more than
/// are of use would only hold more.
const BLOCKING_THREADS: usize = 3;

fn run(settings: Settings, until_caught_up: bool) -> anyhow::Result<()> {
    logging::start(&settings.logging)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    runtime.block_on(async {
        let stop = signal()?;
        Ok(app::run(settings, until_caught_up, stop).await?)
    })
}

/// Resolves at the first SIGINT or SIGTERM; a second one ends the process at once.
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (told, stop) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut told = Some(told);
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match told.take() {
                // The daemon may have ended by itself.
                Some(told) => drop(told.send(())),
                None => {
                    tracing::warn!(event = "killed", "second signal: stopping at once, without a checkpoint");
                    #[expect(clippy::disallowed_methods, reason = "told twice: now, whatever is lost")]
                    std::process::exit(130);
                }
            }
        }
    });
    Ok(async move {
        // A sender that is gone means the same: nobody can tell us any more.
        let _ = stop.await;
    })
}

/// Whether the reader of our output has gone, as `head` does: that is no failure.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
