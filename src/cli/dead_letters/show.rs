//! `thalweg dead-letters show`: three lines each for a person, or a JSON object a line for a program.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write, stderr, stdout},
};

use clap::Args;
use serde::Serialize;

use super::Which;
use crate::{
    app::{
        dead_letters,
        decoded::{Decoded, Decoding, Value},
        json::{self, Bytes},
    },
    settings::Settings,
    topic::{
        dead_letters::{DeadLetter, Source, Summary},
        record::Headers,
    },
};

/// Characters of an error or a value that are shown.
const MAX_SHOWN_CHARS: usize = 100;
/// Characters of decoded values that are shown.
const MAX_DECODED_CHARS: usize = 300;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    which: Which,
    /// The newest so many; 0 is all, partition by partition
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// One JSON object a line, bytes as {"text":…} or, where they are no UTF-8, {"base64":…}
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
    let mut decoding = Decoding::new(settings);
    let mut print = |letter: &DeadLetter| {
        let decoded = decoding.of(letter);
        if options.json { line(&mut out, letter, decoded) } else { text(&mut out, letter, decoded.as_ref()) }
    };
    let mut newest = Newest::new(options.limit);
    let selection = options.which.selection(&[]);
    let mut see = |letter| {
        match options.limit {
            0 => print(&letter)?,
            _ => newest.take(letter),
        }
        Ok(())
    };
    let summary = dead_letters::list(settings, &selection, &mut see).await?;
    for letter in newest.sorted() {
        print(&letter)?;
    }
    let total: u64 = summary.reasons.values().sum();
    let shown = if options.limit == 0 { total } else { total.min(options.limit as u64) };
    if options.json {
        out.flush()?;
        if shown < total {
            writeln!(stderr(), "the newest {shown} of {total}; --limit 0 gives all")?;
        }
        return Ok(());
    }
    summarize(&mut out, settings, options, &summary, shown, total)?;
    out.flush()?;
    Ok(())
}

fn summarize(
    out: &mut impl Write,
    settings: &Settings,
    options: &Options,
    summary: &Summary,
    shown: u64,
    total: u64,
) -> io::Result<()> {
    let of = options.which.reason.as_ref().map_or(String::new(), |reason| format!(" with reason {reason}"));
    if total == 0 {
        writeln!(out, "no dead letters{of} in `{}`", settings.topics.dead_letters)?;
    } else {
        let retried = if summary.retried > 0 { format!(", {} sent back", summary.retried) } else { String::new() };
        writeln!(out, "{total} dead letters{of} in `{}`{retried}", settings.topics.dead_letters)?;
    }
    for (reason, count) in &summary.reasons {
        writeln!(out, "  {count:>8}  {}", printable(reason))?;
    }
    if shown < total {
        writeln!(out, "these were the newest {shown}; --limit 0 shows all")?;
    }
    if summary.strangers > 0 {
        writeln!(out, "{} records in the topic are not from Thalweg", summary.strangers)?;
    }
    Ok(())
}

/// Keeps the newest letters of all partitions, in the order in which each partition has them.
struct Newest {
    limit: usize,
    letters: Vec<(i64, DeadLetter)>,
    /// Per partition, the latest time so far: samples may come out of order.
    latest: HashMap<i32, i64>,
}

impl Newest {
    fn new(limit: usize) -> Self {
        Self { limit, letters: Vec::new(), latest: HashMap::new() }
    }

    fn take(&mut self, letter: DeadLetter) {
        let latest = self.latest.entry(letter.partition).or_insert(i64::MIN);
        *latest = letter.timestamp.max(*latest);
        self.letters.push((*latest, letter));
        if self.letters.len() >= self.limit.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.letters.sort_by_key(|(time, letter)| (*time, letter.partition, letter.offset));
        self.letters.drain(..self.letters.len().saturating_sub(self.limit));
    }

    fn sorted(mut self) -> impl Iterator<Item = DeadLetter> {
        self.cut();
        self.letters.into_iter().map(|(_, letter)| letter)
    }
}

fn text(out: &mut impl Write, letter: &DeadLetter, decoded: Option<&Decoded>) -> io::Result<()> {
    let Source { topic, partition, offset, row } = &letter.source;
    let row = row.map(|row| format!(", row {row}")).unwrap_or_default();
    let sent = if letter.retried { "  sent back" } else { "" };
    let time = time(letter.timestamp);
    let reason = printable(&letter.reason);
    let topic = printable(topic);
    writeln!(out, "{}  {time}  {reason}  from {topic}/{partition}/{offset}{row}{sent}", letter.place())?;
    writeln!(out, "  {}", cut(letter.error.as_bytes()))?;
    match &letter.value {
        None => writeln!(out, "  (null)")?,
        Some(value) => {
            let size = letter.truncated.unwrap_or(value.len() as u64);
            let kept = if letter.truncated.is_some() { ", of which the rest is lost" } else { "" };
            let culprit = culprit_of(letter.field.as_deref(), &letter.error, value);
            writeln!(out, "  {}  ({size} bytes{kept})", window(value, culprit))?;
        }
    }
    if let Some(decoded) = decoded {
        writeln!(out, "  {}", view(decoded, letter))?;
    }
    writeln!(out)
}

/// Returns what a letter holds, on one line, from the value on that is to blame.
fn view(decoded: &Decoded, letter: &DeadLetter) -> String {
    let Decoded { values, problem } = decoded;
    let problem = problem.as_ref().map(|problem| match *problem == letter.error {
        true => "as said above".to_owned(),
        false => printable(problem),
    });
    if values.is_empty() {
        return format!("not decoded: {}", problem.as_deref().unwrap_or("it holds no values"));
    }
    let parts: Vec<String> =
        values.iter().map(|(name, value)| format!("{}={}", printable(name), shown(value))).collect();
    let blamed = letter.field.as_ref().and_then(|field| values.iter().position(|(name, _)| name == field));
    let before = |i: usize| parts[..i].iter().map(|part| part.chars().count() + 2).sum::<usize>();
    let first = blamed.filter(|i| before(*i) > MAX_DECODED_CHARS / 2).unwrap_or(0);
    let text = parts[first..].join(", ");
    let end = text.char_indices().nth(MAX_DECODED_CHARS).map_or(text.len(), |(end, _)| end);
    let (start, rest) = (if first > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    let problem = problem.map_or_else(String::new, |problem| format!("; not decoded further: {problem}"));
    format!("decoded: {start}{}{rest}{problem}", &text[..end])
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Truth(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Time(milliseconds) => time(*milliseconds as i64),
        Value::Text(text) => format!("\"{}\"", cut(text.as_bytes())),
    }
}

fn time(milliseconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(milliseconds);
    time.map_or_else(|| milliseconds.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// Finds the place in the value that caused the rejection, if it can be told.
fn culprit_of(field: Option<&str>, error: &str, value: &[u8]) -> Option<usize> {
    if let Some(field) = field {
        // A record names members by their last part only, and elements of arrays not at all.
        let own = field.rsplit('.').find(|part| part.parse::<u64>().is_err());
        return place(value, field).or_else(|| place(value, own?));
    }
    let (line, column) = error.rsplit_once(" at line ")?.1.split_once(" column ")?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let start: usize = value.split_inclusive(|byte| *byte == b'\n').take(line.checked_sub(1)?).map(<[u8]>::len).sum();
    Some(start.saturating_add(column).min(value.len()))
}

/// Finds a name as such: in quotes, with a colon behind.
fn place(value: &[u8], name: &str) -> Option<usize> {
    let quoted = serde_json::to_vec(name).ok()?;
    let is_name = |(_, bytes): &(usize, &[u8])| {
        let behind = bytes.strip_prefix(&*quoted).map(<[u8]>::trim_ascii_start);
        behind.is_some_and(|behind| behind.first() == Some(&b':'))
    };
    (0..value.len()).map(|at| (at, &value[at..])).find(is_name).map(|(at, _)| at)
}

/// Returns the part of bytes around a place, or their beginning, on one line.
fn window(bytes: &[u8], place: Option<usize>) -> String {
    let before = MAX_SHOWN_CHARS / 3;
    match place.filter(|place| *place > MAX_SHOWN_CHARS / 2) {
        None => cut(bytes),
        Some(place) => {
            let mut start = place - before;
            // The part must not begin inside a character.
            while start < place && bytes.get(start).is_some_and(|byte| byte & 0xc0 == 0x80) {
                start += 1;
            }
            format!("…{}", cut(&bytes[start.min(bytes.len())..]))
        }
    }
}

/// Returns the beginning of bytes, on one line.
fn cut(bytes: &[u8]) -> String {
    // An escaped byte takes up to four characters.
    let head = &bytes[..bytes.len().min(4 * MAX_SHOWN_CHARS)];
    let mut whole = String::new();
    for chunk in head.utf8_chunks() {
        whole.push_str(&printable(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| whole.push_str(&format!("\\x{byte:02x}")));
    }
    match whole.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None if head.len() < bytes.len() => format!("{whole}…"),
        None => whole,
    }
}

/// Escapes characters that could move the cursor, colour the terminal or reverse the line.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if is_safe(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

fn is_safe(c: char) -> bool {
    // Debug escapes control and format characters; quotes and backslashes are harmless.
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[derive(Serialize)]
struct Line<'a> {
    partition: i32,
    offset: i64,
    source: Place<'a>,
    timestamp: i64,
    reason: &'a str,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    retried: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<u64>,
    key: Option<Bytes<'a>>,
    value: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_decoded: Option<String>,
    #[serde(serialize_with = "json::headers")]
    headers: &'a Headers,
}

#[derive(Serialize)]
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u32>,
}

fn line(out: &mut impl Write, letter: &DeadLetter, decoded: Option<Decoded>) -> io::Result<()> {
    let Source { topic, partition, offset, row } = &letter.source;
    let (decoded, not_decoded) = decoded.map_or((None, None), |it| (Some(object(it.values)), it.problem));
    let line = Line {
        partition: letter.partition,
        offset: letter.offset,
        source: Place { topic, partition: *partition, offset: *offset, row: *row },
        timestamp: letter.timestamp,
        reason: &letter.reason,
        error: &letter.error,
        field: letter.field.as_deref(),
        retried: letter.retried,
        truncated: letter.truncated,
        key: letter.key.as_deref().map(Bytes::from),
        value: letter.value.as_deref().map(Bytes::from),
        decoded: decoded.filter(|values| !values.is_empty() || not_decoded.is_none()),
        not_decoded,
        headers: &letter.headers,
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

/// Returns values as JSON has them; times are milliseconds since 1970.
fn object(values: Vec<(String, Value)>) -> serde_json::Map<String, serde_json::Value> {
    let json = |value| match value {
        Value::Null => serde_json::Value::Null,
        Value::Truth(truth) => truth.into(),
        Value::Number(number) | Value::Time(number) => number.into(),
        Value::Text(text) => text.into(),
    };
    values.into_iter().map(|(name, value)| (name, json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(cut(b"a\x1b[31m\"\\\xff\r\n\xe2\x80\xae!"), "a\\u{1b}[31m\"\\\\xff\\r\\n\\u{202e}!");
        assert_eq!(cut("käse".as_bytes()), "käse");
    }

    #[test]
    fn what_is_to_blame_is_shown_however_far_back_it_is() {
        let filler: String = (0..50).map(|i| format!("\"x{i}\":0.123456789,")).collect();
        let value = format!("{{{filler}\"place\":{{\"temp\":  \"hot\"}},\"z\":\"temp\"}}");
        for field in ["place.temp", "temp", "place.temp.0"] {
            let shown = window(value.as_bytes(), culprit_of(Some(field), "", value.as_bytes()));
            assert!(shown.starts_with('…') && shown.contains("\"temp\":  \"hot\""), "{shown}");
        }
        let shown = window(value.as_bytes(), culprit_of(None, "expected value at line 1 column 900", value.as_bytes()));
        assert!(shown.contains(&value[895..905]), "{shown}");
        assert!(window(value.as_bytes(), culprit_of(None, "odd at line x", value.as_bytes())).starts_with("{\"x0\""));
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let shown = cut("ä".repeat(1000).as_bytes());
        assert_eq!(shown.chars().count(), MAX_SHOWN_CHARS + 1);
        assert!(shown.ends_with("ä…"));
    }

    #[test]
    fn the_newest_are_kept_in_the_order_of_their_partition() {
        let letter = |partition, offset, timestamp| DeadLetter {
            partition,
            offset,
            timestamp,
            source: Source { topic: String::new(), partition, offset, row: None },
            reason: String::new(),
            error: String::new(),
            field: None,
            key: None,
            value: None,
            headers: Headers::new(),
            truncated: None,
            retried: false,
        };
        let mut newest = Newest::new(4);
        for (partition, offset, time) in [(0, 0, 10), (0, 1, 50), (0, 2, 20), (1, 0, 5), (1, 1, 40), (1, 2, 60)] {
            newest.take(letter(partition, offset, time));
        }
        let kept: Vec<String> = newest.sorted().map(|letter| letter.place()).collect();
        assert_eq!(kept, ["1/1", "0/1", "0/2", "1/2"]);
    }
}
