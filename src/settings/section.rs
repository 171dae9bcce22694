//! Reads the keys of one table and collects the problems with them.
//!
//! Invariant: a reading method always returns something of the right type, so that reading goes on to the end;
//! [`Problems::into_result`] decides once if any of it counts. Keys that nobody asked for are reported when the section
//! is dropped.

use std::{cell::RefCell, collections::HashMap, fmt, ops::RangeInclusive, rc::Rc, time::Duration};

use config::{Value, ValueKind};

use super::{choices::Choices, range::Range, variables};

/// A problem with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key.
    pub path: String,
    /// The problem, and the remedy.
    pub message: String,
}

impl Problem {
    pub(super) fn new(path: &str, message: &str) -> Self {
        Self { path: path.to_owned(), message: message.to_owned() }
    }
}

/// All problems of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    pub(super) fn one(path: &str, message: &str) -> Self {
        Self(vec![Problem::new(path, message)])
    }

    /// Adds `more`. A problem with a variable replaces that of the key it was taken for.
    pub fn and(mut self, more: impl Into<Self>) -> Self {
        let more = more.into().0;
        let taken_for =
            |problem: &Problem| problem.path.strip_prefix("environment variable ").and_then(variables::path);
        let roots: Vec<String> = more.iter().filter_map(taken_for).collect();
        self.0.retain(|problem| !roots.contains(&problem.path));
        self.0.extend(more);
        self
    }

    /// Returns each problem.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Vec<Problem>> for Errors {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} problem{} in the settings:", if count == 1 { "" } else { "s" })?;
        for Problem { path, message } in &self.0 {
            writeln!(f, "  {path}: {message}")?;
        }
        f.write_str("mend them and try again; `thalweg check` only checks, settings.toml describes every key")
    }
}

impl std::error::Error for Errors {}

/// Collects what sections find.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems(Rc<RefCell<Found>>);

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    /// Paths of the keys that nobody asked for, each with a suggestion.
    unknown: Vec<(String, String)>,
    /// Paths of all keys that were asked for.
    known: Vec<String>,
}

impl Problems {
    /// Returns `value` if there is no problem.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Errors> {
        let Found { mut problems, unknown, known } = self.0.take();
        for (path, beside) in unknown {
            // A key in the wrong place is reported with its right place.
            let meant = if beside.is_empty() { elsewhere(&path, &known) } else { beside };
            problems.push(Problem::new(&path, &format!("is not a setting{meant}")));
        }
        if problems.is_empty() { Ok(value) } else { Err(Errors(problems)) }
    }

    /// Returns the paths of all keys that were asked for so far.
    pub(super) fn known(&self) -> Vec<String> {
        self.0.borrow().known.clone()
    }
}

/// Suggests where a key of this name belongs, as the end of a message; below its section rather than anywhere else.
fn elsewhere(path: &str, known: &[String]) -> String {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    let ends = |other: &&String| other.rsplit_once('.').is_some_and(|(_, last)| last == key);
    let below = |other: &&&String| !section.is_empty() && other.starts_with(&format!("{section}."));
    let mut places: Vec<&String> = known.iter().filter(ends).collect();
    places.sort();
    places.dedup();
    let within: Vec<&&String> = places.iter().filter(below).collect();
    match (within[..].first(), &places[..]) {
        (Some(place), _) => format!("; did you mean `{}`?", &place[section.len() + 1..]),
        (None, [place]) => format!("; did you mean `{place}`?"),
        _ => String::new(),
    }
}

/// A table that is being read.
pub(super) struct Section {
    path: String,
    table: HashMap<String, Value>,
    asked: Vec<String>,
    problems: Problems,
}

impl Section {
    /// Makes the section of the whole settings.
    pub(super) fn root(table: HashMap<String, Value>) -> (Self, Problems) {
        let problems = Problems::default();
        (Self { path: String::new(), table, asked: Vec::new(), problems: problems.clone() }, problems)
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a problem with a key.
    pub(super) fn problem(&self, key: &str, message: &str) {
        self.problems.0.borrow_mut().problems.push(Problem::new(&self.at(key), message));
    }

    fn wrong_type(&self, key: &str, wanted: &str, value: &Value) {
        let from = value.origin().filter(|origin| !origin.is_empty());
        let from = from.map_or(String::new(), |origin| format!(" (from {origin})"));
        self.problem(key, &format!("must be {wanted}, not {}{from}", kind_of(&value.kind)));
    }

    fn ask(&mut self, key: &str) {
        self.asked.push(key.to_owned());
        self.problems.0.borrow_mut().known.push(self.at(key));
    }

    /// Registers keys of the table `key` of this section, for suggestions to users who write them here.
    pub(super) fn holds(&mut self, key: &str, names: &[&str]) {
        let at = self.at(key);
        self.problems.0.borrow_mut().known.extend(names.iter().map(|name| format!("{at}.{name}")));
    }

    /// Takes the raw value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.ask(key);
        self.table.remove(key).filter(|value| !matches!(value.kind, ValueKind::Nil))
    }

    /// Reads a table within; an empty one if there is none.
    pub(super) fn section(&mut self, key: &str) -> Section {
        let table = match self.take(key) {
            None => HashMap::new(),
            Some(Value { kind: ValueKind::Table(table), .. }) => table,
            Some(value) => {
                self.wrong_type(key, "a table", &value);
                HashMap::new()
            }
        };
        self.within(key, table)
    }

    fn within(&self, key: &str, table: HashMap<String, Value>) -> Section {
        Section { path: self.at(key), table, asked: Vec::new(), problems: self.problems.clone() }
    }

    /// Reads the tables of an array; `None` if there is no such key.
    pub(super) fn sections(&mut self, key: &str) -> Option<Vec<Section>> {
        let value = self.take(key)?;
        let ValueKind::Array(values) = value.kind else {
            self.wrong_type(key, "a list of tables", &value);
            return Some(Vec::new());
        };
        let mut sections = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            match value.kind {
                ValueKind::Table(table) => sections.push(self.within(&format!("{key}[{i}]"), table)),
                _ => self.wrong_type(&format!("{key}[{i}]"), "a table", &value),
            }
        }
        Some(sections)
    }

    /// Undoes [`Section::take`], for a key that has two forms.
    pub(super) fn put_back(&mut self, key: &str, value: Value) {
        self.table.insert(key.to_owned(), value);
    }

    /// Returns true if there is such a key; counts as asking for it.
    pub(super) fn has(&mut self, key: &str) -> bool {
        self.ask(key);
        self.table.get(key).is_some_and(|value| !matches!(value.kind, ValueKind::Nil))
    }

    pub(super) fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.kind, ValueKind::Table(_)))
    }

    pub(super) fn is_number(&self, key: &str) -> bool {
        let number = |value: &Value| matches!(value.kind, ValueKind::Float(_) | ValueKind::I64(_) | ValueKind::U64(_));
        self.table.get(key).is_some_and(number)
    }

    /// Reads a finite number within `range`.
    pub(super) fn number(&mut self, key: &str, default: f64, range: impl Into<Range<f64>>) -> f64 {
        let Some(value) = self.take(key) else { return default };
        let number = match value.kind {
            ValueKind::Float(number) => number,
            ValueKind::I64(number) => number as f64,
            ValueKind::U64(number) => number as f64,
            _ => {
                self.wrong_type(key, "a number", &value);
                return default;
            }
        };
        let range = range.into();
        if number.is_finite() && range.contains(&number) {
            return number;
        }
        self.problem(key, &format!("must be {range}, not {number}"));
        default
    }

    /// Reads a whole number within `range`.
    pub(super) fn integer<T>(&mut self, key: &str, default: T, range: impl Into<Range<T>>) -> T
    where
        T: TryFrom<i128> + PartialOrd + fmt::Display,
    {
        let Some(value) = self.take(key) else { return default };
        let number = match value.kind {
            ValueKind::I64(number) => i128::from(number),
            ValueKind::U64(number) => i128::from(number),
            ValueKind::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => number as i128,
            _ => {
                self.wrong_type(key, "a whole number", &value);
                return default;
            }
        };
        let range = range.into();
        match T::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.problem(key, &format!("must be {range}, not {number}"));
                default
            }
        }
    }

    /// Reads a number of bytes within `range`: a whole number, or text such as "64MiB".
    pub(super) fn bytes(&mut self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        const UNITS: [(&str, usize); 6] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("kB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
        ];
        let Some(Value { kind: ValueKind::String(text), .. }) = self.table.get(key) else {
            return self.integer(key, default, range);
        };
        let text = text.clone();
        self.ask(key);
        self.table.remove(key);
        let unit =
            UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim().parse::<usize>().ok()?, *unit)));
        let bytes = unit.and_then(|(number, unit)| number.checked_mul(unit));
        bytes.filter(|bytes| range.contains(bytes)).unwrap_or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.problem(
                key,
                &format!("`{text}` is no number of bytes from {least} to {most}; write it like \"64MiB\""),
            );
            default
        })
    }

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.take(key) else { return default };
        match value.kind {
            ValueKind::Boolean(value) => value,
            _ => {
                self.wrong_type(key, "true or false", &value);
                default
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn optional_text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        match value.kind {
            ValueKind::String(text) => Some(text),
            _ => {
                self.wrong_type(key, "text", &value);
                None
            }
        }
    }

    /// Reads text that is never shown. A number or a truth value is taken as it is written.
    pub(super) fn secret(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        let text = value.into_string().ok();
        if text.is_none() {
            self.problem(key, "must be text");
        }
        text
    }

    /// Reads a list of texts; empty if there is none.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let value = self.take(key);
        value.and_then(|value| self.list_of_texts(key, value, "a list of texts")).unwrap_or_default()
    }

    /// Reads a name, or a list of them; empty if there is none.
    pub(super) fn names(&mut self, key: &str) -> Vec<String> {
        match self.take(key) {
            Some(Value { kind: ValueKind::String(name), .. }) => vec![name],
            Some(value) => self.list_of_texts(key, value, "a name or a list of names").unwrap_or_default(),
            None => Vec::new(),
        }
    }

    pub(super) fn list_of_texts(&self, key: &str, value: Value, wanted: &str) -> Option<Vec<String>> {
        let ValueKind::Array(values) = value.kind else {
            self.wrong_type(key, wanted, &value);
            return None;
        };
        let mut texts = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            match value.kind {
                ValueKind::String(text) => texts.push(text),
                _ => self.wrong_type(&format!("{key}[{i}]"), "text", &value),
            }
        }
        Some(texts)
    }

    /// Reads a list of whole numbers; `None` if the key is absent.
    pub(super) fn integers(&mut self, key: &str) -> Option<Vec<u64>> {
        let value = self.take(key)?;
        let ValueKind::Array(values) = value.kind else {
            self.wrong_type(key, "a list of whole numbers", &value);
            return None;
        };
        let mut numbers = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            match value.kind {
                ValueKind::I64(number) if number >= 0 => numbers.push(number.cast_unsigned()),
                _ => self.wrong_type(&format!("{key}[{i}]"), "a whole number, 0 or more", &value),
            }
        }
        Some(numbers)
    }

    /// Reads a time such as "5s" or "250ms", at least `least`.
    pub(super) fn duration(&mut self, key: &str, default: Duration, least: Duration) -> Duration {
        let Some(value) = self.take(key) else { return default };
        let text = match value.kind {
            ValueKind::String(text) => text,
            ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::Float(_) => {
                let number = kind_of(&value.kind);
                self.problem(key, &format!("{number} has no unit; write it like \"{number}s\" or \"{number}ms\""));
                return default;
            }
            _ => {
                self.wrong_type(key, "a time such as \"5s\"", &value);
                return default;
            }
        };
        match humantime::parse_duration(&text) {
            Ok(duration) if duration >= least => duration,
            Ok(_) => {
                self.problem(key, &format!("must be {} or more, not {text}", humantime::format_duration(least)));
                default
            }
            Err(error) => {
                self.problem(key, &format!("`{text}` is no time ({error}); write it like \"5s\", \"250ms\", \"1h\""));
                default
            }
        }
    }

    /// Reads a name and returns its value.
    pub(super) fn one_of<T: Clone>(&mut self, key: &str, default: T, choices: &Choices<T>) -> T {
        self.optional_text(key).and_then(|text| self.chosen(key, &text, choices)).unwrap_or(default)
    }

    /// Returns the value that `text` names.
    pub(super) fn chosen<T: Clone>(&self, key: &str, text: &str, choices: &Choices<T>) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let meant = suggestion(text, choices.iter().map(|(name, _)| *name));
            self.problem(key, &format!("`{text}` is not one of {}{meant}", names(choices)));
        }
        found
    }

    /// Reads a choice with parameters: its name, or a table with its name as `kind`. `None` if the key is absent or
    /// wrong.
    pub(super) fn choice<T: Clone>(&mut self, key: &str, choices: &Choices<T>) -> Option<(T, Section)> {
        let value = self.take(key)?;
        self.choice_of(key, value, choices)
    }

    /// As [`Section::choice`], with `default` as the kind of a table that names none.
    pub(super) fn choice_or<T: Clone>(
        &mut self,
        key: &str,
        default: &'static str,
        choices: &Choices<T>,
    ) -> Option<(T, Section)> {
        let mut value = self.take(key)?;
        if let ValueKind::Table(table) = &mut value.kind {
            table.entry("kind".to_owned()).or_insert_with(|| default.into());
        }
        self.choice_of(key, value, choices)
    }

    /// Reads a list of such choices; `None` if the key is absent.
    pub(super) fn choices<T: Clone>(&mut self, key: &str, choices: &Choices<T>) -> Option<Vec<(T, Section)>> {
        let value = self.take(key)?;
        let ValueKind::Array(values) = value.kind else {
            self.wrong_type(key, "a list of names or of tables with `kind`", &value);
            return None;
        };
        let chosen = values.into_iter().enumerate();
        Some(chosen.filter_map(|(i, value)| self.choice_of(&format!("{key}[{i}]"), value, choices)).collect())
    }

    fn choice_of<T: Clone>(&self, key: &str, value: Value, choices: &Choices<T>) -> Option<(T, Section)> {
        match value.kind {
            ValueKind::String(text) => {
                let chosen = self.chosen(key, &text, choices)?;
                Some((chosen, self.within(key, HashMap::new())))
            }
            ValueKind::Table(table) => {
                let mut section = self.within(key, table);
                let chosen = section.kind(choices)?;
                Some((chosen, section))
            }
            _ => {
                self.wrong_type(key, "a name or a table with `kind`", &value);
                None
            }
        }
    }

    /// Reads `kind`. If it names nothing, nothing more is reported of this section, since it is unknown whose
    /// parameters it holds.
    pub(super) fn kind<T: Clone>(&mut self, choices: &Choices<T>) -> Option<T> {
        let chosen = match self.optional_text("kind") {
            Some(text) => self.chosen("kind", &text, choices),
            None => {
                self.problem("kind", &format!("is missing; it is one of {}", names(choices)));
                None
            }
        };
        if chosen.is_none() {
            self.table.clear();
        }
        chosen
    }

    /// Returns the keys that are left, for tables whose keys are the user's own.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.table.keys().cloned().collect();
        keys.sort();
        keys
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        for key in self.rest() {
            let beside = suggestion(&key, self.asked.iter().map(String::as_str));
            self.problems.0.borrow_mut().unknown.push((self.at(&key), beside));
        }
    }
}

/// Suggests what was probably meant, as the end of a message; empty if nothing is similar.
pub fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let likeness = |other: &&str| strsim::jaro_winkler(word, other);
    let best = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|best| likeness(best) > 0.8) {
        Some(best) => format!("; did you mean `{best}`?"),
        None => String::new(),
    }
}

fn names<T>(choices: &Choices<T>) -> String {
    choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn kind_of(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Nil => "nothing".into(),
        ValueKind::Boolean(value) => format!("{value}"),
        ValueKind::String(_) => "text".into(),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::Array(_) => "a list".into(),
        ValueKind::Float(value) => format!("{value}"),
        ValueKind::I64(value) => format!("{value}"),
        ValueKind::U64(value) => format!("{value}"),
        ValueKind::I128(value) => format!("{value}"),
        ValueKind::U128(value) => format!("{value}"),
    }
}
