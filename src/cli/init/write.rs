//! The settings file: what was guessed, each line with its reason, and what the user had set.
//!
//! Invariant: it is valid whatever names and values the data have; what a comment takes from them is on one line.

use std::fmt::Write;

use super::{
    guess::{Guess, Part},
    kind::Form,
    survey::{Column, Survey},
};
use crate::settings::{Given, quoted, variable};

/// Names in one comment.
const MAX_NAMES: usize = 24;

/// Where the sample is from.
pub(super) enum Origin<'a> {
    /// The file's name.
    File(&'a str),
    /// The topic's name.
    Topic(&'a str),
}

/// Writes the settings.
pub(super) fn settings(survey: &Survey, guess: &Guess, given: &Given, origin: &Origin<'_>, usual: &[String]) -> String {
    let mut out = String::new();
    head(&mut out, survey, origin);
    schema(&mut out, survey, guess, given, usual);
    match origin {
        Origin::Topic(topic) => {
            topics(&mut out, given, topic);
            section(&mut out, given, "transport");
            if is_embedded(given) {
                generator(&mut out, given);
            }
        }
        Origin::File(_) => {
            section(&mut out, given, "transport");
            generator(&mut out, given);
        }
    }
    state(&mut out, given, origin);
    let is_rest = matches!(origin, Origin::Topic(_)) && !is_embedded(given);
    let done = ["schema", "topics", "transport", "generator", "state", "models"];
    for other in given.sections().filter(|name| !done.contains(name) || *name == "generator" && is_rest) {
        section(&mut out, given, other);
    }
    if matches!(origin, Origin::File(_)) {
        section(&mut out, given, "topics");
        if given.value("transport", "kind").is_none() {
            out.push_str(
                "\n# When the stream is in a topic of Kafka: thalweg init --topic NAME --brokers HOST:PORT, or add to this file\n\
                 # [transport]\n# kind = \"kafka\"\n# kafka.brokers = [\"localhost:9092\"]\n# [topics]\n# samples = \"my-topic\"\n",
            );
        }
    }
    if !given.models().is_empty() {
        let _ = write!(out, "\n{}", given.models());
    }
    out
}

fn is_embedded(given: &Given) -> bool {
    given.value("transport", "kind") == Some("\"embedded\"")
}

fn head(out: &mut String, survey: &Survey, origin: &Origin<'_>) {
    let (from, check) = match origin {
        Origin::File(name) => {
            let which = if survey.more { "the first " } else { "all " };
            (
                format!("{which}{} records of {}", survey.records, line(name)),
                if *name == super::STDIN { " -".to_owned() } else { format!(" {}", super::shell(name)) },
            )
        }
        Origin::Topic(name) => {
            let which = if survey.more { "the newest " } else { "" };
            (format!("{which}{} records of the topic `{}`", survey.records, line(name)), String::new())
        }
    };
    let _ = write!(
        out,
        "# Thalweg's settings, written by `thalweg init` after a look at {from}.\n\
         # What is under [schema] was guessed from them: change what is wrong, and see what comes of it with\n\
         #   thalweg check{}\n\
         # Keys that are not here have their defaults; docs/settings.md tells of them.\n",
        line(&check),
    );
}

fn schema(out: &mut String, survey: &Survey, guess: &Guess, given: &Given, usual: &[String]) {
    let columns = &survey.columns;
    let of = |i: usize| line(&columns[i].name);
    let target = &columns[guess.target];
    out.push_str("\n[schema]\n");
    if let Some(envelope) = survey.envelope.filter(|_| given.value("schema", "envelope").is_none()) {
        let _ = writeln!(
            out,
            "# Records are {}: fields are named by their paths in the row.\nenvelope = {}",
            envelope.records(),
            quoted(envelope.name())
        );
    }
    let _ = writeln!(out, "# What is predicted: {} ({}).", range(target), line(&guess.why));
    let _ = writeln!(out, "target = {}", quoted(&target.name));

    let numbers: Vec<String> = guess.features().filter(|i| guess.parts[*i] == Part::Number).map(of).collect();
    let _ = write!(
        out,
        "# \"auto\": every field with numbers is a feature, also one that comes later. In the sample ({}): {}.\n\
         features = \"auto\"\n",
        numbers.len(),
        if numbers.is_empty() { "none".to_owned() } else { some(&numbers) }
    );
    let is_category = |i: &usize| guess.parts[*i] == Part::Category;
    let categories: Vec<usize> = guess.features().filter(is_category).collect();
    if !categories.is_empty() {
        let told: Vec<String> =
            categories.iter().map(|i| format!("{} {}", of(*i), super::say::kind(&guess.kinds[*i]))).collect();
        let _ = writeln!(out, "# Features that are categories: {}.", some(&told));
        list(out, "nominal", categories.iter().map(|i| (columns[*i].name.as_str(), String::new())));
    }
    if let Some(key) = guess.key {
        let _ = write!(
            out,
            "# Whose record it is: its value becomes the key of the prediction, and it is a feature all the same.\nkey = {}\n",
            quoted(&columns[key].name)
        );
    }
    if let Some(time) = &guess.time {
        let column = &columns[time.column];
        let example = column.texts.first().map_or_else(|| super::say::first_number(column), |text| format!("{text:?}"));
        let told = match &time.form {
            Form::Text(true) => "text with its zone".to_owned(),
            Form::Text(false) => "text without a zone, which `timezone` gives it".to_owned(),
            Form::Number(_, name) => format!("{name} since 1970"),
            Form::Typed => "a time by its type, here in milliseconds since 1970".to_owned(),
        };
        let _ = writeln!(
            out,
            "# The time of a sample: {told}, such as {}.\ntimestamp = {}",
            line(&example),
            quoted(&column.name)
        );
        match time.form {
            Form::Number(unit, _) if given.value("schema", "timestamp_unit").is_none() => {
                let _ = writeln!(out, "timestamp_unit = \"{unit}\"");
            }
            Form::Text(false) if given.value("schema", "timezone").is_none() => out.push_str("timezone = \"UTC\"\n"),
            _ => {}
        }
        if time.unread > 0 && given.value("schema", "on_bad_field").is_none() {
            let _ = write!(
                out,
                "# {} of its values are no time: the record's own time stands in, instead of losing the record.\n\
                 on_bad_field = {{ timestamp = \"missing\" }}\n",
                time.unread
            );
        }
    }
    missing(out, survey, guess, usual);
    let ignored: Vec<(&str, String)> = (guess.parts.iter().zip(columns))
        .filter_map(|(part, column)| match part {
            Part::Ignored(why) => Some((column.name.as_str(), line(why))),
            _ => None,
        })
        .collect();
    if !ignored.is_empty() {
        out.push_str("# Fields that no model sees, and why. Take out what should count.\n");
        list(out, "ignore", ignored.into_iter());
    }
    for (key, value) in given.keys("schema").iter().filter(|(key, _)| !super::GUESSED.contains(&key.as_str())) {
        let _ = writeln!(out, "{key} = {value}");
    }
    secrets(out, given, "schema");
}

fn missing(out: &mut String, survey: &Survey, guess: &Guess, usual: &[String]) {
    let seen: Vec<String> =
        survey.missing.iter().map(|(word, times)| format!("{} ({times})", line(&format!("{word:?}")))).collect();
    let seen = if seen.is_empty() { String::new() } else { format!(" In the sample: {}.", some(&seen)) };
    if guess.words.is_empty() {
        if !seen.is_empty() {
            let _ = writeln!(
                out,
                "# Texts that stand for an unknown value are the usual ones (the default of `missing`).{seen}"
            );
        }
        return;
    }
    let told: Vec<String> =
        guess.words.iter().map(|(word, field)| format!("{} of {}", line(&format!("{word:?}")), line(field))).collect();
    let _ = writeln!(
        out,
        "# Texts that stand for an unknown value, wherever they are: the usual ones, and {}.{seen}",
        some(&told)
    );
    let mut words: Vec<&str> = usual.iter().map(String::as_str).collect();
    for (word, _) in &guess.words {
        if !words.contains(&word.trim()) {
            words.push(word.trim());
        }
    }
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    let _ = writeln!(out, "missing = [{}]", words.join(", "));
}

/// Writes the names of the topics; those of outputs, on a cluster, so that no other program has them.
fn topics(out: &mut String, given: &Given, topic: &str) {
    let _ = writeln!(out, "\n[topics]\n# Nothing is written to it.\nsamples = {}", quoted(topic));
    let names = [
        ("predictions", "{samples}.predictions"),
        ("dead_letters", "{samples}.dead-letters"),
        ("events", "{samples}.events"),
    ];
    let own = names.into_iter().filter(|(key, _)| !is_embedded(given) && given.value("topics", key).is_none());
    own.for_each(|(key, name)| out.push_str(&format!("{key} = {}\n", quoted(name))));
    for (key, value) in given.keys("topics").iter().filter(|(key, _)| key != "samples") {
        let _ = writeln!(out, "{key} = {value}");
    }
}

fn generator(out: &mut String, given: &Given) {
    out.push_str("\n[generator]\n");
    if given.value("generator", "enabled").is_none() {
        out.push_str("# Nothing is made up: the samples are one's own.\nenabled = false\n");
    }
    for (key, value) in given.keys("generator") {
        let _ = writeln!(out, "{key} = {value}");
    }
}

fn state(out: &mut String, given: &Given, origin: &Origin<'_>) {
    // The topic is in the state file that there is.
    let is_in_it = matches!(origin, Origin::Topic(_)) && is_embedded(given);
    if given.value("state", "path").is_none() && !is_in_it {
        let name = match origin {
            Origin::File(super::STDIN) => "thalweg",
            Origin::File(name) => {
                std::path::Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or("thalweg")
            }
            Origin::Topic(name) => name,
        };
        let name = name.split('.').next().unwrap_or(name);
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
        let name = if is_plain { name } else { "thalweg" };
        let why = "What is learned is kept here, apart from what was learned of other streams.";
        let _ = writeln!(out, "\n[state]\n# {why}\npath = \"data/{name}.db\"");
        given.keys("state").iter().for_each(|(key, value)| out.push_str(&format!("{key} = {value}\n")));
    } else {
        section(out, given, "state");
    }
}

/// Writes what is set in a section, and where the secrets come from that are not written.
fn section(out: &mut String, given: &Given, name: &str) {
    let keys = given.keys(name);
    if keys.is_empty() && !given.secrets().iter().any(|(path, _)| path.starts_with(name)) {
        return;
    }
    let _ = writeln!(out, "\n[{name}]");
    for (key, value) in keys {
        let _ = writeln!(out, "{key} = {value}");
    }
    secrets(out, given, name);
}

/// Says where the secrets of a section come from.
fn secrets(out: &mut String, given: &Given, name: &str) {
    for (path, _) in given.secrets().iter().filter(|(path, _)| path.starts_with(name)) {
        let _ = writeln!(out, "# {path} is not written here; give it in the environment, as {}", variable(path));
    }
}

/// Writes a list, on lines of its own where items have comments or there are many.
fn list<'a>(out: &mut String, key: &str, items: impl Iterator<Item = (&'a str, String)>) {
    let items: Vec<(String, String)> = items.map(|(item, why)| (quoted(item), why)).collect();
    if items.iter().all(|(_, why)| why.is_empty()) && items.len() <= 8 {
        let names: Vec<&str> = items.iter().map(|(item, _)| item.as_str()).collect();
        let _ = writeln!(out, "{key} = [{}]", names.join(", "));
        return;
    }
    let width = items.iter().map(|(item, _)| item.chars().count()).max().unwrap_or(0).min(32) + 1;
    let _ = writeln!(out, "{key} = [");
    for (item, why) in items {
        let row = if why.is_empty() { format!("{item},") } else { format!("{:width$}  # {why}", format!("{item},")) };
        let _ = writeln!(out, "    {row}");
    }
    out.push_str("]\n");
}

fn range(column: &Column) -> String {
    let known = column.numbers().count();
    let records = column.cells().len();
    match known {
        0 => format!("it has no value in {records} records"),
        _ => format!("{}, in {known} of {records} records", super::say::extent(column)),
    }
}

/// Puts a text on one line, as a comment wants it.
pub(super) fn line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// Lists the first of many names.
pub(super) fn some(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
