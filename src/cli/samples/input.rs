//! Opens a file of samples, or standard input, unpacks it, finds out what it is, and reads it row by row.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

#[cfg(feature = "columnar")]
use super::columnar;
use super::{
    Copied, Position, Unusable,
    avro::{self, AvroFile},
    container::{self, Opened},
    dialect::Asked,
    exploded::Exploded,
    json::{self, Objects},
    table::{self, Table},
};
use crate::pipeline::decode::{Schema, TypedRow};

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(in crate::cli) enum Format {
    Csv,
    Jsonl,
}

/// Options for reading files; the rest is found out.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Reading {
    /// How text files are to be read [default: by their ending, else by their first byte]; .gz and .zst are unpacked
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What separates the cells of a CSV, e.g. ';' or tab [default: found among , ; tab |]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// What stands before the decimals in a CSV, '.' or ',' [default: found; a point where commas separate the cells]
    #[arg(long, value_name = "CHAR", value_parser = decimal)]
    decimal: Option<u8>,
}

impl Reading {
    /// Returns the options as they are typed, with a space in front of each; nothing where none is set.
    pub(in crate::cli) fn arguments(self) -> String {
        let format = self.format.map(|format| match format {
            Format::Csv => " --format csv".to_owned(),
            Format::Jsonl => " --format jsonl".to_owned(),
        });
        let delimiter = self.delimiter.map(|byte| match byte {
            b'\t' => " --delimiter tab".to_owned(),
            byte => format!(" --delimiter '{}'", char::from(byte)),
        });
        let decimal = self.decimal.map(|byte| format!(" --decimal '{}'", char::from(byte)));
        [format, delimiter, decimal].into_iter().flatten().collect()
    }
}

impl From<Option<Format>> for Reading {
    fn from(format: Option<Format>) -> Self {
        Self { format, ..Self::default() }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "pipe" => Ok(b'|'),
        "space" => Ok(b' '),
        _ => match text.as_bytes() {
            [b'"' | b'\n' | b'\r'] => Err("a quote or the end of a line cannot separate cells".to_owned()),
            [byte] if byte.is_ascii() => Ok(*byte),
            _ => Err("one ASCII character, or tab, comma, semicolon, pipe, space".to_owned()),
        },
    }
}

fn decimal(text: &str) -> Result<u8, String> {
    match text {
        "." | "point" => Ok(b'.'),
        "," | "comma" => Ok(b','),
        _ => Err("'.' or ','".to_owned()),
    }
}

/// One row.
pub(super) enum Row<'a> {
    /// Bytes that should be a JSON object.
    Json(&'a [u8]),
    /// Row of a table.
    Cells(&'a Table),
    /// Row whose values have types.
    Typed(&'a dyn TypedRow),
    /// Row that could not be read.
    Unusable(Unusable),
}

/// An open file, or standard input.
pub(super) struct Input {
    rows: Rows,
    exploded: Exploded,
    size: Option<u64>,
    position: Arc<AtomicU64>,
    /// What is unusual about it beside its rows.
    note: Option<&'static str>,
    name: String,
}

enum Rows {
    Csv(Box<Table>),
    Jsonl(Objects),
    Avro(Box<AvroFile>),
    #[cfg(feature = "columnar")]
    Columnar(Box<columnar::Columnar>),
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, reading: Reading, schema: &Schema) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::over(Box::new(stdin().lock()), None, path, reading, schema);
        }
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let about = file.metadata()?;
        if about.is_dir() {
            let name = path.display();
            bail!("{name} cannot be read: it is a folder; name the files in it: thalweg replay '{name}/*.jsonl'");
        }
        let Some(size) = about.is_file().then_some(about.len()) else {
            return Self::over(Box::new(file), None, path, reading, schema);
        };
        let whole = file.try_clone().with_context(|| format!("{} cannot be read", path.display()))?;
        Self::of(Box::new(file), Some(whole), Some(size), path, reading, schema)
    }

    /// Reads the content of `path` from `read`, `size` bytes where that is known.
    pub(super) fn over(
        read: Box<dyn Read>,
        size: Option<u64>,
        path: &Path,
        reading: Reading,
        schema: &Schema,
    ) -> anyhow::Result<Self> {
        Self::of(read, None, size, path, reading, schema)
    }

    /// Reads what [`over`](Self::over) reads; `file` is the whole of it, where any part can be read first.
    #[cfg_attr(not(feature = "columnar"), allow(unused_variables))]
    fn of(
        read: Box<dyn Read>,
        file: Option<File>,
        size: Option<u64>,
        path: &Path,
        reading: Reading,
        schema: &Schema,
    ) -> anyhow::Result<Self> {
        let position = Arc::new(AtomicU64::new(0));
        let opened = container::opened(Counted { read, position: Arc::clone(&position) }, path)?;
        let Opened { ref head, whole, read, is_packed } = opened;
        let asked = Asked { delimiter: reading.delimiter, decimal: reading.decimal };
        let is_csv = reading.delimiter.is_some() || reading.decimal.is_some();
        let format = reading.format.or(is_csv.then_some(Format::Csv)).or_else(|| by_content(head, path));
        let name = path.display().to_string();
        let cannot = || format!("{name} cannot be read");
        let limit = schema.max_record_bytes;
        if head.starts_with(avro::MAGIC) {
            let file = AvroFile::open(read).with_context(|| format!("{name} is an Avro file that cannot be read"))?;
            let (rows, note) = (Rows::Avro(Box::new(file)), said_in_vain(reading));
            return Ok(Self { rows, exploded: Exploded::new(schema), size, position, note, name });
        }
        #[cfg(feature = "columnar")]
        if let Some(kind) = columnar::Kind::of(head) {
            let file = columnar::open(kind, file.filter(|_| !is_packed), read);
            let file = file.with_context(|| format!("{name} is {} that cannot be read", kind.name()))?;
            let (rows, note) = (Rows::Columnar(Box::new(file)), said_in_vain(reading));
            return Ok(Self { rows, exploded: Exploded::new(schema), size, position, note, name });
        }
        let rows = match format {
            Some(Format::Jsonl) => Rows::Jsonl(Objects::open(read, head).with_context(cannot)?),
            _ => {
                let of = |field: &Option<String>, name: &str| field.as_deref() == Some(name);
                let is_text = |name: &str| {
                    schema.nominal.iter().any(|nominal| nominal == name)
                        || of(&schema.key, name)
                        || of(&schema.timestamp, name)
                };
                let is_name = |name: &str| schema.target == name;
                let table = Table::open(read, head, whole, asked, limit, is_text, is_name);
                Rows::Csv(Box::new(table.with_context(cannot)?))
            }
        };
        Ok(Self { rows, exploded: Exploded::new(schema), size, position, note: None, name })
    }

    /// Returns the bytes of the whole file, where they are known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the number of bytes read.
    pub(super) fn position(&self) -> u64 {
        #[cfg(feature = "columnar")]
        if let (Rows::Columnar(file), Some(size)) = (&self.rows, self.size)
            && let Some(share) = file.share()
        {
            return (share * size as f64) as u64;
        }
        self.position.load(Ordering::Relaxed)
    }

    /// Returns what is unusual about the file, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        match &self.rows {
            Rows::Csv(table) => table.notes(),
            _ => self.note.iter().map(|note| (*note).to_owned()).collect(),
        }
    }

    /// Returns once more the row that was read last, where it was one that could be read.
    pub(super) fn row(&self) -> Row<'_> {
        match &self.rows {
            Rows::Csv(table) => Row::Cells(table),
            Rows::Jsonl(objects) => Row::Json(self.exploded.current().value.unwrap_or_else(|| objects.value())),
            Rows::Avro(file) => Row::Typed(&**file),
            #[cfg(feature = "columnar")]
            Rows::Columnar(file) => Row::Typed(&**file),
        }
    }

    /// Returns the next row and its place; `None` at the end. A row over `limit` bytes is not kept in memory.
    pub(super) fn next_row(&mut self, limit: usize) -> anyhow::Result<Option<(Position, Row<'_>)>> {
        let Self { rows, exploded, name, .. } = self;
        let cannot = || format!("{name} cannot be read to its end");
        match rows {
            Rows::Csv(table) => Ok(match table.next(limit).with_context(cannot)? {
                table::Next::End => None,
                table::Next::Unusable(problem) => Some((Position::Line(table.line()), Row::Unusable(problem))),
                table::Next::Row => Some((Position::Line(table.line()), Row::Cells(table))),
            }),
            Rows::Jsonl(objects) => {
                if exploded.advance() {
                    return Ok(exploded.current().value.map(|row| (Position::Line(objects.line()), Row::Json(row))));
                }
                let line = Position::Line(objects.line() + 1);
                Ok(match objects.next(limit).with_context(cannot)? {
                    json::Next::End => None,
                    json::Next::Unusable(problem) => Some((line, Row::Unusable(problem))),
                    json::Next::Value(value) => {
                        Some((line, Row::Json(exploded.first_of(Copied::of_file(value)).value.unwrap_or(value))))
                    }
                })
            }
            Rows::Avro(file) => Ok(match file.next(limit).with_context(cannot)? {
                avro::Next::End => None,
                avro::Next::Unusable(problem) => Some((file.position(), Row::Unusable(problem))),
                avro::Next::Row => Some((file.position(), Row::Typed(&**file))),
            }),
            #[cfg(feature = "columnar")]
            Rows::Columnar(file) => {
                let is_row = file.advance().with_context(cannot)?;
                Ok(is_row.then(|| (Position::Row(file.rows()), Row::Typed(&**file))))
            }
        }
    }
}

/// Returns what was asked for and says nothing of a file whose values have types.
fn said_in_vain(reading: Reading) -> Option<&'static str> {
    let is_asked = reading.format.is_some() || reading.delimiter.is_some() || reading.decimal.is_some();
    is_asked.then_some("no text, so that --format, --delimiter and --decimal say nothing of it")
}

/// Finds the format by the first byte where that leaves no doubt, else by the file's ending.
fn by_content(head: &[u8], path: &Path) -> Option<Format> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let mut name = path.to_owned();
    while name
        .extension()
        .is_some_and(|ending| ["gz", "zst", "zstd", "gzip"].iter().any(|it| ending.eq_ignore_ascii_case(it)))
    {
        name.set_extension("");
    }
    let ends =
        |endings: &[&str]| name.extension().is_some_and(|is| endings.iter().any(|it| is.eq_ignore_ascii_case(it)));
    if ends(&["csv", "tsv"]) {
        Some(Format::Csv)
    } else if ends(&["jsonl", "ndjson", "json"]) || matches!(text.first(), Some(b'{' | b'[')) {
        Some(Format::Jsonl)
    } else {
        None
    }
}

/// Counts the bytes that are read, for the progress bar.
struct Counted {
    read: Box<dyn Read>,
    position: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
