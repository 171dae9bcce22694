//! Rows of columnar files: Apache Parquet, Apache Arrow's file (Feather) and its stream.
//!
//! Reading order: this file (what a file is, row by row), `groups`, `file` and `stream` (its batches), `source` (its bytes), `values`
//! (a row of a batch, value by value).
//!
//! Invariant: of a file no more is held than a batch of rows, with the pages it is read from (Parquet) or the batch as it was
//! written (Arrow). A value is what it is in Avro and in JSON: the same rows give the same samples.

mod file;
mod groups;
mod source;
mod stream;
mod values;

use std::{
    any::Any,
    fs::File,
    io::{BufReader, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use file::Blocks;
use groups::Groups;
use stream::{Failure, Messages};
use thalweg_pipeline::decode::{Rejection, Sink, TypedRow};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Parquet.
    Parquet,
    /// Arrow's IPC file, which is also called Feather.
    ArrowFile,
    /// Arrow's IPC stream.
    ArrowStream,
}

impl Kind {
    /// Returns the kind of a file that begins with these bytes; `None` where it is no columnar one.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            _ if head.starts_with(b"PAR1") => Some(Kind::Parquet),
            _ if head.starts_with(b"ARROW1") => Some(Kind::ArrowFile),
            // The root of a message's table is near behind its size, at a multiple of four.
            [0xff, 0xff, 0xff, 0xff, _, _, _, _, root, 0, 0, 0, ..] if (4..=64).contains(root) && root % 4 == 0 => {
                Some(Kind::ArrowStream)
            }
            _ => None,
        }
    }

    /// Returns its name with an article.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Parquet => "a Parquet file",
            Kind::ArrowFile => "an Arrow file",
            Kind::ArrowStream => "an Arrow stream",
        }
    }

    /// Returns true where the end of a file has to be read first.
    pub fn needs_its_end(self) -> bool {
        self != Kind::ArrowStream
    }
}

/// Reason why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be begun.
    #[error("{0}")]
    Begin(String),
    /// It cannot be read on.
    #[error("{part} is damaged or cut off: {problem}; {rows} records were read before")]
    Damaged {
        /// The row group or the batch.
        part: String,
        /// What is wrong with it.
        problem: String,
        /// Rows that were read before.
        rows: u64,
    },
}

enum Batches {
    Parquet(Groups),
    File(Blocks),
    Stream(Messages),
}

/// Reader of a file, row by row.
pub struct ColumnarFile {
    batches: Batches,
    schema: SchemaRef,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    next: usize,
    /// Rows that were read.
    rows: u64,
    /// Batches that were read.
    count: u64,
    total: Option<u64>,
}

impl ColumnarFile {
    /// Opens a file, of which any part can be read first.
    ///
    /// # Errors
    /// [`Error::Begin`].
    pub fn open(kind: Kind, file: File) -> Result<Self, Error> {
        let opened = guarded(|| match kind {
            Kind::Parquet => Groups::open(file).map(|(groups, schema)| {
                let total = groups.rows().iter().sum();
                Self::new(Batches::Parquet(groups), schema, Some(total))
            }),
            Kind::ArrowFile => {
                Blocks::open(file).map(|(blocks, schema)| Self::new(Batches::File(blocks), schema, None))
            }
            Kind::ArrowStream => Self::streamed(Box::new(BufReader::new(file))),
        });
        opened.map_err(Error::Begin)
    }

    /// Opens an Arrow stream.
    ///
    /// # Errors
    /// [`Error::Begin`].
    pub fn open_stream(read: Box<dyn Read>) -> Result<Self, Error> {
        guarded(|| Self::streamed(read)).map_err(Error::Begin)
    }

    fn streamed(read: Box<dyn Read>) -> Result<Self, Failure> {
        let (messages, schema) = Messages::open(read)?;
        Ok(Self::new(Batches::Stream(messages), schema, None))
    }

    fn new(batches: Batches, schema: SchemaRef, total: Option<u64>) -> Self {
        Self { batches, schema, batch: None, next: 0, rows: 0, count: 0, total }
    }

    /// Returns the share of the file that was read, where the file tells beforehand how much there is.
    pub fn share(&self) -> Option<f64> {
        match &self.batches {
            Batches::Parquet(_) => self.total.map(|total| self.rows as f64 / total.max(1) as f64),
            Batches::File(blocks) => Some(self.count as f64 / blocks.count().max(1) as f64),
            Batches::Stream(_) => None,
        }
    }

    /// Returns the number of rows that were read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Goes to the next row; `false` at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn advance(&mut self) -> Result<bool, Error> {
        while self.batch.as_ref().is_none_or(|batch| self.next == batch.num_rows()) {
            // One batch is given up before the next one is made.
            self.batch = None;
            let Self { batches, .. } = self;
            let read = guarded(|| match batches {
                Batches::Parquet(groups) => groups.next(),
                Batches::File(blocks) => blocks.next(),
                Batches::Stream(messages) => messages.next(),
            });
            let Some(batch) = read.map_err(|problem| self.damaged(problem))? else {
                return match self.total {
                    Some(total) if self.rows < total => Err(self.damaged(format!("{total} records were promised"))),
                    _ => Ok(false),
                };
            };
            self.batch = Some(batch);
            self.next = 0;
            self.count += 1;
        }
        self.next += 1;
        self.rows += 1;
        Ok(true)
    }

    fn damaged(&self, problem: String) -> Error {
        let part = match &self.batches {
            Batches::Parquet(groups) => {
                let (groups, mut end) = (groups.rows(), 0);
                let group = groups.iter().position(|rows| {
                    end += rows;
                    self.rows < end
                });
                format!("row group {} of {}", group.unwrap_or(groups.len()) + 1, groups.len())
            }
            Batches::File(_) | Batches::Stream(_) => format!("record batch {}", self.count + 1),
        };
        Error::Damaged { part, problem, rows: self.rows }
    }
}

impl TypedRow for ColumnarFile {
    fn read(&self, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        let Some(batch) = self.batch.as_ref().filter(|batch| (1..=batch.num_rows()).contains(&self.next)) else {
            return Ok(());
        };
        let level = sink.level();
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            let end = sink.push(field.name());
            values::read(field, column, self.next - 1, sink, level, 0)?;
            sink.pop(end);
        }
        Ok(())
    }
}

/// Calls what parses bytes of others: one that panics has refused them.
fn guarded<T>(parse: impl FnOnce() -> Result<T, Failure>) -> Result<T, String> {
    let parsed = catch_unwind(AssertUnwindSafe(parse));
    let said = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "it panicked".to_owned(), |said| (*said).to_owned()),
    };
    match parsed {
        Ok(Ok(parsed)) => Ok(parsed),
        Ok(Err(error)) => Err(told(&*error)),
        Err(panic) => Err(format!("its parser stopped: {}", said(panic))),
    }
}

/// Returns what an error says, without the name of its kind in front.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let text = match error.downcast_ref::<ArrowError>() {
        Some(
            ArrowError::ParquetError(text)
            | ArrowError::IpcError(text)
            | ArrowError::InvalidArgumentError(text)
            | ArrowError::ParseError(text),
        ) => text.clone(),
        _ => error.to_string(),
    };
    text.trim_end_matches(['.', '\n']).to_owned()
}
