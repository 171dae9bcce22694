//! `thalweg manual`: writes the manual pages and the completions of shells, for who packages the program.
//!
//! Invariant: all of it comes from the definition of the command line, so that it tells what the program takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Folder for the files, made where it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Shells of which the completions are written.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Writes `man1/*.1` and `completions/SHELL/*`.
pub(super) fn run(command: Command, options: &Options) -> anyhow::Result<()> {
    let command = command.disable_help_subcommand(true);
    let pages = made(options.folder.join("man1"))?;
    clap_mangen::generate_to(command.clone(), &pages).with_context(|| pages.display().to_string())?;
    for shell in SHELLS {
        let folder = made(options.folder.join("completions").join(shell.to_string()))?;
        let file = clap_complete::generate_to(shell, &mut command.clone(), "thalweg", &folder);
        file.with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn made(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let make = |folder: &Path| fs::create_dir_all(folder);
    make(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}
