//! Where values come from, and how they lie on top of each other.

use std::{collections::HashMap, path::PathBuf};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::section::{Errors, Problem};

/// Environment variables that are settings begin so: `THALWEG__TRANSPORT__KIND` is `transport.kind`.
const PREFIX: &str = "THALWEG__";
/// Read where it exists and no other file is named.
const DEFAULT_FILE: &str = "settings.toml";

/// The layers over the built-in defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    /// Key path, text, and where it is from; later ones win.
    overrides: Vec<(String, String, String)>,
}

impl Sources {
    /// `file` must exist where it is named. Of `environment`, only settings are taken. `overrides` are
    /// `key.path=value`.
    pub fn new(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut variables: Vec<(String, String, String)> = environment
            .into_iter()
            .filter_map(|(name, text)| {
                let path = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
                Some((path, text, format!("environment variable {name}")))
            })
            .collect();
        // The environment has no order of its own; a shorter path first lets a longer one refine it.
        variables.sort();
        let set = overrides.into_iter().map(|text| match text.split_once('=') {
            Some((path, value)) => (path.trim().to_owned(), value.trim().to_owned(), "--set".to_owned()),
            None => (text, String::new(), "--set without `=`".to_owned()),
        });
        variables.extend(set);
        Self { file, overrides: variables }
    }

    /// All layers as one table.
    pub(super) fn merged(&self) -> Result<HashMap<String, Value>, Errors> {
        let named = self.file.clone().map(|path| (path, true));
        let (path, required) = named.unwrap_or_else(|| (DEFAULT_FILE.into(), false));
        let file = File::from(path.clone()).format(FileFormat::Toml).required(required);
        let mut config = Config::builder().add_source(file).build().map_err(|error| {
            let hint =
                if required && !path.exists() { "the file cannot be read".to_owned() } else { error.to_string() };
            Errors::one(&path.display().to_string(), &hint)
        })?;
        let mut problems = Vec::new();
        for (path, text, origin) in &self.overrides {
            if path.is_empty() || origin.ends_with("`=`") {
                problems.push(Problem::new(path, "--set needs key.path=value, e.g. --set transport.kind=kafka"));
                continue;
            }
            match overridden(&config, path, text, origin) {
                Ok(next) => config = next,
                Err(error) => problems.push(Problem::new(path, &format!("cannot be set from the {origin}: {error}"))),
            }
        }
        match config.cache.into_table() {
            Ok(table) if problems.is_empty() => Ok(table),
            Ok(_) => Err(Errors::from(problems)),
            Err(error) => Err(Errors::one("settings", &error.to_string())),
        }
    }
}

fn overridden(config: &Config, path: &str, text: &str, origin: &str) -> Result<Config, config::ConfigError> {
    let value = Value::new(Some(&origin.to_owned()), parsed(text));
    let mut builder = Config::builder().add_source(config.clone());
    if let ValueKind::Table(table) = &value.kind
        && table.contains_key("kind")
    {
        // A choice with its parameters replaces the choice before, whose parameters may not exist here.
        let cleared = Config::builder().add_source(config.clone()).set_override(path, "")?.build()?;
        builder = Config::builder().add_source(cleared);
    }
    builder.set_override(path, value)?.build()
}

/// Text as the TOML value it spells, else as text.
fn parsed(text: &str) -> ValueKind {
    let toml = (!text.contains('\n')).then(|| format!("value = {text}"));
    let parse = |toml: String| {
        let config = Config::builder().add_source(File::from_str(&toml, FileFormat::Toml)).build().ok()?;
        config.get::<Value>("value").ok()
    };
    toml.and_then(parse).map_or_else(|| ValueKind::String(text.to_owned()), |value| value.kind)
}
