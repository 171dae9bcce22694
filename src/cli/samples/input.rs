//! Rows of a CSV or JSONL file, one at a time and bounded in size.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, stdin},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use clap::ValueEnum;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(in crate::cli) enum Format {
    Csv,
    Jsonl,
}

/// One row.
pub(super) enum Row<'a> {
    /// A line that should hold an object.
    Json(&'a [u8]),
    /// The cells of a table's row.
    Cells(csv::StringRecordIter<'a>),
    /// More than this many bytes without an end; passed over.
    TooLong(usize),
}

/// An open file, or standard input.
pub(super) struct Input {
    rows: Rows,
    size: Option<u64>,
    position: Arc<AtomicU64>,
}

enum Rows {
    Csv { reader: Box<csv::Reader<Box<dyn BufRead>>>, record: csv::StringRecord },
    Jsonl { reader: Box<dyn BufRead>, line: Vec<u8> },
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, format: Option<Format>) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::over(Box::new(stdin().lock()), None, path, format);
        }
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let size = file.metadata()?.len();
        Self::over(Box::new(file), Some(size), path, format)
    }

    /// Reads what `path` names from elsewhere, `size` bytes where that is known.
    pub(super) fn over(
        read: Box<dyn Read>,
        size: Option<u64>,
        path: &Path,
        format: Option<Format>,
    ) -> anyhow::Result<Self> {
        let position = Arc::new(AtomicU64::new(0));
        let counted = Counted { read, position: Arc::clone(&position) };
        let mut reader: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, counted));
        let format = match format.or_else(|| by_ending(path)) {
            Some(format) => format,
            None => by_first_byte(reader.fill_buf()?),
        };
        let rows = match format {
            Format::Csv => Rows::Csv {
                reader: Box::new(csv::ReaderBuilder::new().flexible(true).from_reader(reader)),
                record: csv::StringRecord::new(),
            },
            Format::Jsonl => Rows::Jsonl { reader, line: Vec::new() },
        };
        Ok(Self { rows, size, position })
    }

    /// Bytes of the whole file, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes read.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// The names over a table's columns.
    pub(super) fn names(&mut self) -> anyhow::Result<Vec<String>> {
        match &mut self.rows {
            Rows::Csv { reader, .. } => {
                let header = reader.headers().context("the header of the CSV cannot be read")?;
                Ok(header.iter().map(|name| name.trim().to_owned()).collect())
            }
            Rows::Jsonl { .. } => Ok(Vec::new()),
        }
    }

    /// The next row; `None` at the end. A line over `limit` bytes is not kept in memory.
    pub(super) fn next_row(&mut self, limit: usize) -> anyhow::Result<Option<Row<'_>>> {
        match &mut self.rows {
            Rows::Csv { reader, record } => Ok(reader.read_record(record)?.then(|| Row::Cells(record.iter()))),
            Rows::Jsonl { reader, line } => {
                loop {
                    line.clear();
                    if reader.as_mut().take(limit as u64 + 2).read_until(b'\n', line)? == 0 {
                        return Ok(None);
                    }
                    if line.len() > limit && !line.ends_with(b"\n") {
                        return Ok(Some(Row::TooLong(line.len() + skip_line(reader.as_mut())?)));
                    }
                    // A mark that some editors put at the beginning of a text.
                    if line.starts_with(b"\xef\xbb\xbf") {
                        line.drain(..3);
                    }
                    if !line.trim_ascii().is_empty() {
                        break;
                    }
                }
                Ok(Some(Row::Json(line.trim_ascii())))
            }
        }
    }
}

/// Passes over the rest of a line; says how long it was.
fn skip_line(reader: &mut dyn BufRead) -> std::io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        skipped += used;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

fn by_ending(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        _ => None,
    }
}

fn by_first_byte(bytes: &[u8]) -> Format {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => Format::Jsonl,
        _ => Format::Csv,
    }
}

/// Counts what is read, for the progress bar.
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
