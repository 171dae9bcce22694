//! Files as they are named on the command line: paths, and patterns such as `'2026-*.csv'`.
//!
//! Invariant: what is there under its very name is that file, whatever signs are in it; a pattern names one file at least, and its
//! files come in the order of their names.

use std::path::{Path, PathBuf};

use anyhow::bail;
use glob::{MatchOptions, glob_with};

/// Returns the files that an argument names.
///
/// # Errors
/// When a pattern is none, or no file is named like it.
pub(in crate::cli) fn named(argument: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Some(pattern) = argument.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(vec![argument.to_owned()]);
    };
    if argument.exists() {
        return Ok(vec![argument.to_owned()]);
    }
    // As shells have it.
    let options =
        MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, case_sensitive: true };
    let found = match glob_with(pattern, options) {
        Ok(found) => found.collect::<Result<Vec<_>, _>>(),
        Err(error) => bail!("{pattern} is no pattern for names of files: {error}"),
    };
    let found =
        found.map_err(|error| anyhow::anyhow!("{} cannot be read: {}", error.path().display(), error.error()))?;
    let files: Vec<PathBuf> = found.into_iter().filter(|path| !path.is_dir()).collect();
    if files.is_empty() {
        bail!("no file is named like {pattern}; a path from another folder begins with that folder, or with /");
    }
    Ok(files)
}
