//! What was found in the data, for a person: a row per field with what it holds and what becomes of it.

use std::io::{self, Write};

use super::{
    guess::{Guess, Part},
    kind::{Form, Kind},
    survey::{Cell, Column, Survey},
    write::{line, some},
};
use crate::logging::figures::{grouped, rounded};

/// Rows of the table; further fields are only named.
const MAX_ROWS: usize = 40;
/// Characters of a cell of the table.
const MAX_WIDTH: usize = 46;

/// Prints the fields and the doubts.
pub(super) fn fields(out: &mut dyn Write, survey: &Survey, guess: &Guess) -> io::Result<()> {
    let mut order: Vec<usize> = (0..survey.columns.len()).collect();
    // In a wide table, what is more than one number among many comes first.
    if order.len() > MAX_ROWS {
        order.sort_by_key(|i| guess.parts[*i] == Part::Number);
    }
    let (shown, rest) = order.split_at(order.len().min(MAX_ROWS));
    let rows: Vec<[String; 3]> = shown
        .iter()
        .map(|&i| {
            let column = &survey.columns[i];
            [cut(&line(&column.name)), cut(&holds(column, &guess.kinds[i])), becomes(guess, i)]
        })
        .collect();
    let width = |k: usize| rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0);
    let (name, holds) = (width(0).max(5), width(1).max(5));
    writeln!(out, "  {:name$}  {:holds$}  becomes", "field", "holds")?;
    for [field, what, part] in &rows {
        writeln!(out, "  {field:name$}  {what:holds$}  {part}")?;
    }
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|i| line(&survey.columns[*i].name)).collect();
        let counted = |is: fn(&Part) -> bool| rest.iter().filter(|i| is(&guess.parts[**i])).count();
        let (numbers, ignored) =
            (counted(|part| *part == Part::Number), counted(|part| matches!(part, Part::Ignored(_))));
        let told = if ignored > 0 {
            format!("{numbers} features and {ignored} ignored")
        } else {
            format!("{numbers} features")
        };
        writeln!(out, "  and {} more ({told}): {}", rest.len(), some(&names))?;
    }
    Ok(())
}

/// Returns what a part of a sentence says of a kind, in brackets.
pub(super) fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Category(different) => format!("({different})"),
        _ => String::new(),
    }
}

fn holds(column: &Column, kind: &Kind) -> String {
    let records = column.cells().len();
    let known = column.cells().iter().filter(|cell| **cell != Cell::Unknown).count();
    let unknown = match records - known {
        0 => String::new(),
        count => format!(", unknown in {:.0} %", (100.0 * count as f64 / records as f64).max(1.0)),
    };
    let example = || column.texts.first().map_or_else(|| first_number(column), |text| format!("{text:?}"));
    let what = match kind {
        Kind::Empty => return "nothing".to_owned(),
        Kind::Constant(value) => format!("{value} alone"),
        Kind::Number { words } => {
            let truths = column.truths > 0 && column.truths == known;
            let told = if column.spelled > 0 { " in text" } else { "" };
            let words: Vec<String> = words.iter().map(|(word, times)| format!("{word:?} {times} times")).collect();
            let words = if words.is_empty() { String::new() } else { format!("; {}", words.join(", ")) };
            if truths { "true or false".to_owned() } else { format!("{}{told}{words}", extent(column)) }
        }
        Kind::Category(different) if column.texts.is_empty() => format!("{different} codes, {}", extent(column)),
        Kind::Category(1) => example(),
        Kind::Category(different) => format!("{different} texts, e.g. {}", example()),
        Kind::Counter => format!("counts on, {}", extent(column)),
        Kind::Identifier(different) => format!("{different} different, e.g. {}", example()),
        Kind::Prose | Kind::Unreadable(_) => example(),
        Kind::Time { form: Form::Text(_), .. } => format!("times, e.g. {}", example()),
        Kind::Time { form: Form::Number(_, name), .. } => format!("times, {name}, e.g. {}", example()),
        Kind::Time { form: Form::Typed, .. } => format!("times, e.g. {} milliseconds since 1970", example()),
    };
    line(&format!("{what}{unknown}"))
}

/// Returns the least and the greatest number.
pub(super) fn extent(column: &Column) -> String {
    let (least, greatest) = column.numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)));
    if least == greatest { number(least) } else { format!("{} to {}", number(least), number(greatest)) }
}

/// Returns a number as people write it: whole as it is, else with some digits.
pub(super) fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { number.to_string() } else { rounded(number).to_string() }
}

/// Returns the first number as text.
pub(super) fn first_number(column: &Column) -> String {
    column.numbers().next().map_or_else(String::new, |number| number.to_string())
}

fn becomes(guess: &Guess, i: usize) -> String {
    let key = if guess.key == Some(i) { ", and the key of the prediction" } else { "" };
    match &guess.parts[i] {
        Part::Target if guess.asked => "the target".to_owned(),
        Part::Target => format!("the target ({}; --target NAME chooses another)", line(&guess.why)),
        Part::Time => "the time of the sample".to_owned(),
        Part::Number => "a feature".to_owned(),
        Part::Category => format!("a feature, as categories{key}"),
        Part::Ignored(why) => format!("ignored: {}", line(why)),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns how many records were looked at.
pub(super) fn looked_at(survey: &Survey) -> String {
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let (records, fields) = (survey.records, survey.columns.len());
    let more = if survey.more { ", and there are more" } else { "" };
    let bad = match survey.unusable {
        0 => String::new(),
        count => {
            format!(", {count} cannot be read (the first: {})", survey.problems.first().map_or("", String::as_str))
        }
    };
    let form = survey.envelope.map_or(String::new(), |envelope| format!(" ({})", envelope.records()));
    format!("{} record{}{form}, {fields} field{}{bad}{more}", grouped(records as f64), s(records), s(fields))
}
