//! Reads values from their sources and merges the layers.

use std::{
    collections::HashMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::{
    section::{Errors, Problem},
    variables,
};

/// File that is read if it exists and no other is named.
const DEFAULT_FILE: &str = "settings.toml";

/// The layers over the built-in defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    /// Key path, text and origin; later ones win.
    overrides: Vec<(String, String, String)>,
    /// Variables that look like settings and are none.
    strays: Vec<String>,
    /// True where settings.toml is not read unless it is named.
    only_named: bool,
}

impl Sources {
    /// Takes the sources: `file` must exist if it is named; of `environment`, only settings are taken; `overrides` are
    /// `key.path=value`.
    pub fn new(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut strays = Vec::new();
        let mut variables: Vec<(String, String, String)> = environment
            .into_iter()
            .filter_map(|(name, text)| match variables::path(&name) {
                Some(path) => Some((path, text, format!("environment variable {name}"))),
                None => {
                    strays.extend(variables::is_stray(&name).then_some(name));
                    None
                }
            })
            .collect();
        // The environment has no order of its own; a shorter path first lets a longer one refine it.
        variables.sort();
        strays.sort();
        let set = overrides.into_iter().map(|text| match text.split_once('=') {
            Some((path, value)) => (path.trim().to_owned(), value.trim().to_owned(), "--set".to_owned()),
            None => (text, String::new(), "--set without `=`".to_owned()),
        });
        variables.extend(set);
        Self { file, overrides: variables, strays, only_named: false }
    }

    /// Leaves the file in the working folder alone that nobody named: it is about to be written.
    #[must_use]
    pub fn only_named(mut self) -> Self {
        self.only_named = true;
        self
    }

    /// Reads `file` instead of the file named before.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Adds settings, `key.path` and value, below all overrides that there are.
    #[must_use]
    pub fn under(mut self, settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let origin = "command line".to_owned();
        let under = settings.into_iter().map(|(path, text)| (path.to_owned(), text, origin.clone()));
        self.overrides = under.chain(self.overrides).collect();
        self
    }

    /// Returns the file that is read, if there is one.
    pub fn file(&self) -> Option<&Path> {
        let default = Path::new(DEFAULT_FILE);
        self.file.as_deref().or_else(|| (!self.only_named && default.exists()).then_some(default))
    }

    /// Lists what overrides the file, by origin and key path, without values.
    pub fn over_file(&self) -> impl Iterator<Item = String> {
        self.overrides.iter().map(|(path, _, origin)| match origin.as_str() {
            "--set" => format!("--set {path}"),
            origin => origin.to_owned(),
        })
    }

    /// Returns the variables that begin like settings and are none that Thalweg knows.
    pub fn strays(&self) -> &[String] {
        &self.strays
    }

    /// Iterates over the variables that are read as settings, with the key's path.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.overrides.iter().filter_map(|(path, _, origin)| {
            origin.strip_prefix("environment variable ").map(|name| (name, path.as_str()))
        })
    }

    /// Merges all layers into one table.
    pub(super) fn merged(&self) -> Result<HashMap<String, Value>, Errors> {
        let mut config = self.read()?;
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

    /// Reads the file's layer.
    fn read(&self) -> Result<Config, Errors> {
        if self.file.is_none() && self.only_named {
            return Ok(Config::default());
        }
        let path = self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let wrong = |problem: String| Errors::one(&path.display().to_string(), &problem);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && self.file.is_none() => String::new(),
            Err(error) => return Err(wrong(unreadable(&error))),
        };
        // Some editors put this mark at the beginning of a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let file = File::from_str(text, FileFormat::Toml);
        Config::builder().add_source(file).build().map_err(|error| wrong(parser_error(&error.to_string())))
    }
}

/// Explains why a file cannot be read, and what to do.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "the file cannot be read: there is none of this name".to_owned(),
        ErrorKind::IsADirectory => "is a folder; name the file in it, e.g. --settings FOLDER/settings.toml".to_owned(),
        ErrorKind::PermissionDenied => "the file cannot be read: this user may not; see who owns it".to_owned(),
        ErrorKind::InvalidData => "the file cannot be read: it is no UTF-8 text; save it as UTF-8".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    }
}

/// Formats an error of the parser: the place first, and the text there below, indented.
fn parser_error(error: &str) -> String {
    let mut lines = error.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let Some(place) = first.strip_prefix("TOML parse error at ") else { return error.trim().to_owned() };
    let (shown, words): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains('|') && is_margin(line));
    let shown = shown.iter().filter(|line| line.trim() != "|").map(|line| format!("\n    {line}"));
    format!("{place}: {}{}", words.join(" "), shown.collect::<String>())
}

/// Returns true if a line is one of those that the parser draws around the place.
fn is_margin(line: &str) -> bool {
    line.split('|').next().is_some_and(|margin| margin.trim().chars().all(|c| c.is_ascii_digit()))
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

/// Parses text as the TOML value it spells, else as text.
fn parsed(text: &str) -> ValueKind {
    let toml = (!text.contains('\n')).then(|| format!("value = {text}"));
    let parse = |toml: String| {
        let config = Config::builder().add_source(File::from_str(&toml, FileFormat::Toml)).build().ok()?;
        config.get::<Value>("value").ok()
    };
    toml.and_then(parse).map_or_else(|| ValueKind::String(text.to_owned()), |value| value.kind)
}
