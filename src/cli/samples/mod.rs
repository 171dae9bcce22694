//! Samples for commands that read a stream without a transport: from a file, a generator function, or records copied
//! from a topic.
//!
//! Invariant: every record goes through the daemon's own decoder, so a model sees here what it would see there, and
//! records that the daemon would refuse are refused.

mod container;
mod dialect;
mod input;
mod json;
mod spool;
mod table;

use std::{
    fmt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    generator::{self, Stream, encode},
    models::NamedColumn,
    pipeline::decode::{Decoder, Fields, Implausible, Index, Rejection, Sample, Schema},
};
use input::{Input, Row};
use spool::SpoolReader;

pub(super) use input::Reading;
pub(super) use spool::{Spool, SpoolWriter};

/// Most records whose rejection is printed; more are only counted.
pub(super) const MAX_REJECTIONS_SHOWN: u64 = 5;

/// A stream of decoded samples.
pub(super) struct Samples {
    origin: Origin,
    decoder: Decoder,
    limit: usize,
}

enum Origin {
    Rows(Input),
    Generated { stream: Box<Stream>, count: u64, features: Vec<f64>, line: Vec<u8> },
    Records(SpoolReader),
}

impl Samples {
    /// Reads the rows of a file; `-` is standard input.
    pub(super) fn of_file(path: &Path, reading: impl Into<Reading>, schema: &Schema) -> anyhow::Result<Self> {
        Ok(Self::new(Origin::Rows(Input::open(path, reading.into(), schema)?), schema))
    }

    /// Reads a source that could be read only once from its spool. `path` is its name.
    pub(super) fn of_spool(spool: &Spool, path: &Path, reading: Reading, schema: &Schema) -> anyhow::Result<Self> {
        let reader = Box::new(spool.reader());
        Ok(Self::new(Origin::Rows(Input::over(reader, Some(spool.size()), path, reading, schema)?), schema))
    }

    /// Makes the first `count` samples of a function, encoded and read like the daemon's.
    ///
    /// # Errors
    /// Errors that name the wrong setting of the generator.
    pub(super) fn generated(config: &generator::Config, count: u64, schema: &Schema) -> Result<Self, generator::Error> {
        let stream = Stream::new(config)?;
        // Functions have field names of their own, whatever the schema in the settings.
        let schema = Schema {
            target: encode::TARGET.to_owned(),
            features: None,
            key: None,
            key_is_feature: false,
            timestamp: None,
            timestamp_is_feature: false,
            ..schema.clone()
        };
        let origin = Origin::Generated { stream: Box::new(stream), count, features: Vec::new(), line: Vec::new() };
        Ok(Self::new(origin, &schema))
    }

    /// Reads the records of a spool.
    pub(super) fn of_records(spool: &Spool, schema: &Schema) -> Self {
        Self::new(Origin::Records(spool.reader()), schema)
    }

    fn new(origin: Origin, schema: &Schema) -> Self {
        let mut decoder = Decoder::new(schema, Index::new(schema));
        decoder.set_now(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64));
        Self { origin, decoder, limit: schema.max_record_bytes }
    }

    /// Takes the notices about the stream since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        let notices = self.decoder.take_notices().into_iter().map(|notice| notice.to_string());
        let told = |times: Implausible| match times.count {
            1 => times.to_string(),
            count => format!("{times} ({count} such times)"),
        };
        notices.chain(self.decoder.take_implausible().map(told)).collect()
    }

    /// Returns, per column seen so far, `true` where it holds categories.
    pub(super) fn nominal(&self) -> &[bool] {
        self.decoder.index().nominal()
    }

    /// Returns the columns seen so far, with their names.
    pub(super) fn named_columns(&self) -> Vec<NamedColumn> {
        self.decoder.index().named_columns()
    }

    /// Returns the use of the fields of the records read so far.
    pub(super) fn fields(&self) -> Fields {
        self.decoder.fields()
    }

    /// Returns the size of the whole stream, in a unit of its own; `None` where it is unknown.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.origin {
            Origin::Rows(input) => input.size(),
            Origin::Generated { count, .. } => Some(*count),
            Origin::Records(reader) => Some(reader.size()),
        }
    }

    /// Returns how much has been read, in the same unit.
    pub(super) fn position(&self) -> u64 {
        match &self.origin {
            Origin::Rows(input) => input.position(),
            Origin::Generated { stream, .. } => stream.position(),
            Origin::Records(reader) => reader.position(),
        }
    }

    /// Returns what is unusual about a file, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        match &self.origin {
            Origin::Rows(input) => input.notes(),
            Origin::Generated { .. } | Origin::Records(_) => Vec::new(),
        }
    }

    /// Returns the next record, decoded or refused; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(super) fn next_sample(&mut self) -> anyhow::Result<Option<Result<Sample<'_>, Unusable>>> {
        let Self { origin, decoder, limit } = self;
        let mut line = None;
        let decoded = match origin {
            Origin::Rows(input) => {
                let Some((number, row)) = input.next_row(*limit)? else { return Ok(None) };
                line = Some(number);
                match row {
                    Row::Json(value) => decoder.decode(Some(value)),
                    Row::Cells(table) => decoder.decode_row(table.cells()),
                    Row::Unusable(problem) => return Ok(Some(Err(problem))),
                }
            }
            Origin::Generated { stream, count, features, line } => {
                if stream.position() == *count {
                    return Ok(None);
                }
                let target = stream.next_sample(features);
                line.clear();
                encode::json(stream.feature_names(), features, target, line);
                decoder.decode(Some(line))
            }
            Origin::Records(reader) => match reader.next_record()? {
                None => return Ok(None),
                Some(value) => decoder.decode(value),
            },
        };
        Ok(Some(decoded.map_err(|rejection| Unusable::of(&rejection, line))))
    }
}

/// Reason why a record cannot be used, as in a dead letter, with the line of the file.
#[derive(Debug)]
pub(super) struct Unusable {
    line: Option<u64>,
    reason: &'static str,
    problem: String,
}

impl Unusable {
    fn at(line: u64, reason: &'static str, problem: String) -> Self {
        Self { line: Some(line), reason, problem }
    }

    fn of(rejection: &Rejection, line: Option<u64>) -> Self {
        Self { line, reason: rejection.reason(), problem: rejection.to_string() }
    }

    fn too_long(line: u64, size: usize, limit: usize) -> Self {
        Self::of(&Rejection::TooLarge { size, limit }, Some(line))
    }

    /// Returns the stable code, as in the header `thalweg.reason`.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.problem)
    }
}
