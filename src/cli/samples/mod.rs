//! Samples for commands that read a stream without a transport: from a file, a generator function, or records copied
//! from a topic.
//!
//! Invariant: every record goes through the daemon's own decoder, so a model sees here what it would see there, and
//! records that the daemon would refuse are refused.

mod avro;
#[cfg(feature = "columnar")]
mod columnar;
mod container;
mod dialect;
mod exploded;
mod input;
mod joined;
mod json;
mod label_delay;
mod named;
mod spool;
mod table;

use std::{
    fmt,
    io::stdin,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    generator::{self, Stream, encode},
    models::{Features, NamedColumn},
    pipeline::{
        decode::{
            Decoder, Envelope, Fields, Format, Implausible, Index, Leaf, Leaves, Rejection, Sample, Schema, TypedRow,
        },
        labels::{Labels, Mode, Settled},
        snapshot::Late,
    },
};
use exploded::Exploded;
use input::{Input, Row};
use joined::{Found, Joined};
use spool::{Copied, SpoolReader};
use table::Table;

pub(super) use input::Reading;
pub(super) use label_delay::LateLabels;
pub(super) use named::named;
pub(super) use spool::{Spool, SpoolWriter};
pub(super) use table::put_in_front;

/// Most records whose rejection is printed; more are only counted.
pub(super) const MAX_REJECTIONS_SHOWN: u64 = 5;

/// A stream of decoded samples.
pub(super) struct Samples {
    origin: Origin,
    decoder: Decoder,
    /// Rows of a topic's record; a file splits its own.
    exploded: Exploded,
    limit: usize,
    /// True where the last record was decoded.
    is_decoded: bool,
}

enum Origin {
    Rows(Box<Input>),
    Joined(Box<Joined>),
    Generated { stream: Box<Stream>, count: u64, features: Vec<f64>, line: Vec<u8> },
    Records(SpoolReader),
}

/// A record before it is decoded.
pub(super) struct Raw<'a> {
    place: Place,
    content: Content<'a>,
}

enum Content<'a> {
    Json(&'a [u8]),
    Record(Copied<'a>),
    Cells(&'a Table),
    Typed(&'a dyn TypedRow),
    Unusable(Unusable),
}

/// A value of a record, as it is written.
pub(super) enum Value<'v> {
    /// Of JSON, or of a format whose values have types.
    Leaf(Leaf<'v>),
    /// A cell of a CSV.
    Cell(&'v str),
}

impl Raw<'_> {
    /// Passes each value to `see`, with its name. `leaves` reads records that may have an envelope.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub(super) fn values(self, leaves: &mut Leaves, mut see: impl FnMut(&str, Value<'_>)) -> Result<(), Unusable> {
        let Self { place, content } = self;
        let read = match content {
            Content::Unusable(problem) => return Err(problem),
            Content::Cells(table) => {
                table.cells().for_each(|(name, cell)| see(name, Value::Cell(cell)));
                return Ok(());
            }
            Content::Record(Copied { value: None, .. }) => Err(Rejection::Tombstone),
            Content::Record(Copied { value: Some([]), .. }) | Content::Json([]) => Err(Rejection::Empty),
            Content::Record(Copied { value: Some(value), headers, .. }) => {
                leaves.read_with(value, headers, |name, leaf| see(name, Value::Leaf(leaf)))
            }
            Content::Json(value) => leaves.read(value, |name, leaf| see(name, Value::Leaf(leaf))),
            Content::Typed(row) => leaves.read_typed(row, |name, leaf| see(name, Value::Leaf(leaf))),
        };
        read.map_err(|rejection| Unusable::of(&rejection, place))
    }
}

impl Samples {
    /// Reads the rows of a file; `-` is standard input.
    pub(super) fn of_file(path: &Path, reading: impl Into<Reading>, schema: &Schema) -> anyhow::Result<Self> {
        Ok(Self::new(Origin::Rows(Box::new(Input::open(path, reading.into(), schema)?)), schema))
    }

    /// Reads the rows of several files as one stream: in order of time where the schema names a field with it.
    pub(super) fn of_files(paths: &[PathBuf], reading: Reading, schema: &Schema) -> anyhow::Result<Self> {
        match paths {
            [path] => Self::of_file(path, reading, schema),
            _ => Ok(Self::new(Origin::Joined(Box::new(Joined::open(paths, reading, schema)?)), schema)),
        }
    }

    /// Reads a source that could be read only once from its spool. `path` is its name.
    pub(super) fn of_spool(spool: &Spool, path: &Path, reading: Reading, schema: &Schema) -> anyhow::Result<Self> {
        let reader = Box::new(spool.reader());
        Ok(Self::new(Origin::Rows(Box::new(Input::over(reader, Some(spool.size()), path, reading, schema)?)), schema))
    }

    /// Reads standard input, and keeps what has been read of it, to be read again.
    pub(super) fn of_stdin(reading: Reading, schema: &Schema) -> anyhow::Result<(Self, Spool)> {
        let path = Path::new("-");
        let (tee, spool) = Spool::tee(stdin().lock())?;
        Ok((Self::new(Origin::Rows(Box::new(Input::over(Box::new(tee), None, path, reading, schema)?)), schema), spool))
    }

    /// Makes the first `count` samples of a function, encoded and read like the daemon's.
    ///
    /// # Errors
    /// Errors that name the wrong setting of the generator.
    pub(super) fn generated(config: &generator::Config, count: u64, schema: &Schema) -> Result<Self, generator::Error> {
        let stream = Stream::new(config)?;
        // Functions have field names of their own, whatever the schema in the settings.
        let schema = Schema {
            envelope: Envelope::None,
            root: None,
            explode: None,
            rename: Vec::new(),
            cast: Vec::new(),
            target: encode::TARGET.to_owned(),
            features: None,
            key: None,
            key_is_feature: false,
            timestamp: None,
            timestamp_is_feature: false,
            labels: if schema.labels.join().is_some() { Labels::default() } else { schema.labels.clone() },
            ..schema.clone()
        };
        let origin = Origin::Generated { stream: Box::new(stream), count, features: Vec::new(), line: Vec::new() };
        Ok(Self::new(origin, &schema))
    }

    /// Reads the records of a spool.
    pub(super) fn of_records(spool: &Spool, schema: &Schema) -> Self {
        let mut samples = Self::new(Origin::Records(spool.reader()), schema);
        for learned in spool.learned() {
            samples.decoder.learn(learned);
            samples.exploded.learn(learned);
        }
        samples
    }

    fn new(origin: Origin, schema: &Schema) -> Self {
        // Only a topic holds records in the format of a topic.
        let format = if matches!(origin, Origin::Records(_)) { schema.format.clone() } else { Format::Json };
        // Files of samples and of labels are one stream, and rows say themselves what they are.
        let labels = match &schema.labels.mode {
            Mode::Topic(join) if !matches!(origin, Origin::Records(_)) => {
                Labels { mode: Mode::SameTopic(join.clone()), ..schema.labels.clone() }
            }
            _ => schema.labels.clone(),
        };
        let schema = &Schema { format, labels, ..schema.clone() };
        let mut decoder = Decoder::new(schema, Index::new(schema));
        decoder.set_now(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64));
        Self { origin, decoder, exploded: Exploded::new(schema), limit: schema.max_record_bytes, is_decoded: false }
    }

    /// Makes what reads the values of its records before there are settings for them; `schema` says what is known of their envelope.
    pub(super) fn leaves(&self, schema: &Schema) -> Leaves {
        let Origin::Records(reader) = &self.origin else {
            return Leaves::new(&Schema { format: Format::Json, ..schema.clone() });
        };
        let mut leaves = Leaves::new(schema);
        reader.learned().iter().for_each(|learned| leaves.learn(learned));
        leaves
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

    /// Sets the bytes that a sample takes elsewhere while it waits for its target.
    pub(super) fn set_beside(&mut self, bytes: usize) {
        self.decoder.set_beside(bytes);
    }

    /// Returns what the last record of all has settled, once there are no more.
    pub(super) fn settled(&self) -> &[Settled] {
        self.decoder.settled_behind().map_or(&[], |part| &part.settled)
    }

    /// Returns the row of the last sample.
    pub(super) fn row(&self) -> Features<'_> {
        self.decoder.row()
    }

    /// Returns how many samples wait for their targets, and numbers since the beginning; `None` where every target is in its sample.
    pub(super) fn late(&self) -> Option<Late> {
        self.decoder.waits().map(Late::of)
    }

    /// Returns the use of the fields of the records read so far.
    pub(super) fn fields(&self) -> Fields {
        self.decoder.fields()
    }

    /// Returns the size of the whole stream, in a unit of its own; `None` where it is unknown.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.origin {
            Origin::Rows(input) => input.size(),
            Origin::Joined(files) => files.size(),
            Origin::Generated { count, .. } => Some(*count),
            Origin::Records(reader) => Some(reader.size()),
        }
    }

    /// Returns how much has been read, in the same unit.
    pub(super) fn position(&self) -> u64 {
        match &self.origin {
            Origin::Rows(input) => input.position(),
            Origin::Joined(files) => files.position(),
            Origin::Generated { stream, .. } => stream.position(),
            Origin::Records(reader) => reader.position(),
        }
    }

    /// Returns what is unusual about a file, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = match &self.origin {
            Origin::Rows(input) => input.notes(),
            Origin::Joined(files) => files.notes(),
            Origin::Generated { .. } | Origin::Records(_) => Vec::new(),
        };
        if !matches!(self.origin, Origin::Records(_)) && self.decoder.lacks_time() {
            let note = "features of time are unknown here: these samples have none but that of a field, which schema.timestamp names";
            notes.push(note.to_owned());
        }
        if !matches!(self.origin, Origin::Records(_)) && self.decoder.lacks_key() {
            let note = "these samples have no key but that of a field, so that what goes by the records' own is unknown here: name the field \
                        (labels.by, schema.key, or by of [[features]])";
            notes.push(note.to_owned());
        }
        notes
    }

    /// Returns the next record, decoded or refused; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(super) fn next_sample(&mut self) -> anyhow::Result<Option<Result<Sample<'_>, Unusable>>> {
        let Self { origin, decoder, exploded, limit, is_decoded } = self;
        if std::mem::take(is_decoded) {
            // Whoever asks for the next one has learned from the last one.
            decoder.remember();
        }
        let Some(Raw { place, content }) = origin.next(exploded, *limit)? else {
            decoder.end();
            return Ok(None);
        };
        let decoded = match content {
            Content::Json(value) => decoder.decode(Some(value)),
            Content::Record(Copied { time, key, value, headers }) => {
                decoder.set_record(Some(time), key, headers);
                decoder.decode_with(value, headers, None)
            }
            Content::Cells(table) => decoder.decode_row(table.cells()),
            Content::Typed(row) => decoder.decode_typed_row(row),
            Content::Unusable(problem) => return Ok(Some(Err(problem))),
        };
        *is_decoded = decoded.is_ok();
        Ok(Some(decoded.map_err(|rejection| Unusable::of(&rejection, place))))
    }

    /// Returns the next record as it is written; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(super) fn next_raw(&mut self) -> anyhow::Result<Option<Raw<'_>>> {
        self.origin.next(&mut self.exploded, self.limit)
    }
}

impl Origin {
    fn next<'a>(&'a mut self, exploded: &'a mut Exploded, limit: usize) -> anyhow::Result<Option<Raw<'a>>> {
        let (place, content) = match self {
            Origin::Rows(input) => match input.next_row(limit)? {
                None => return Ok(None),
                Some((position, row)) => (position.into(), Content::of(row)),
            },
            Origin::Joined(files) => match files.next_row(limit)? {
                None => return Ok(None),
                Some(Found { file, position, row }) => {
                    let place = Place { position: Some(position), file: Some(Arc::clone(file)) };
                    (place.clone(), Content::of(row).in_file(&place))
                }
            },
            Origin::Generated { stream, count, .. } if stream.position() == *count => return Ok(None),
            Origin::Generated { stream, features, line, .. } => {
                let target = stream.next_sample(features);
                line.clear();
                encode::json(stream.feature_names(), features, target, line);
                (Place::default(), Content::Json(line))
            }
            Origin::Records(_) if exploded.advance() => (Place::default(), Content::Record(exploded.current())),
            Origin::Records(reader) => match reader.next_record()? {
                None => return Ok(None),
                Some(record) => (Place::default(), Content::Record(exploded.first_of(record))),
            },
        };
        Ok(Some(Raw { place, content }))
    }
}

impl<'a> Content<'a> {
    fn of(row: Row<'a>) -> Self {
        match row {
            Row::Json(value) => Self::Json(value),
            Row::Cells(table) => Self::Cells(table),
            Row::Typed(row) => Self::Typed(row),
            Row::Unusable(problem) => Self::Unusable(problem),
        }
    }

    /// Adds the file to a problem.
    fn in_file(self, place: &Place) -> Self {
        match self {
            Self::Unusable(problem) => {
                Self::Unusable(Unusable { place: Place { file: place.file.clone(), ..problem.place }, ..problem })
            }
            other => other,
        }
    }
}

/// Place of a record: in its file, and its file where there are several.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    file: Option<Arc<str>>,
    position: Option<Position>,
}

/// Place in a file, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    Line(u64),
    Row(u64),
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self { file: None, position: Some(position) }
    }
}

/// Reason why a record cannot be used, as in a dead letter, with its place in the file.
#[derive(Debug)]
pub(super) struct Unusable {
    place: Place,
    reason: &'static str,
    problem: String,
    is_skipped: bool,
}

impl Unusable {
    fn at(line: u64, reason: &'static str, problem: String) -> Self {
        Self { place: Position::Line(line).into(), reason, problem, is_skipped: false }
    }

    fn of(rejection: &Rejection, place: Place) -> Self {
        let problem = rejection.to_string();
        Self { place, reason: rejection.reason(), problem, is_skipped: rejection.is_skipped() }
    }

    fn too_long(line: u64, size: usize, limit: usize) -> Self {
        Self::of(&Rejection::TooLarge { size, limit }, Position::Line(line).into())
    }

    /// Returns the stable code, as in the header `thalweg.reason`.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Returns `true` where it is skipped, and no dead letter.
    pub(super) fn is_skipped(&self) -> bool {
        self.is_skipped
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.place.file {
            write!(f, "{file} ")?;
        }
        match self.place.position {
            Some(Position::Line(line)) => write!(f, "line {line}: ")?,
            Some(Position::Row(row)) => write!(f, "row {row}: ")?,
            None => {}
        }
        f.write_str(&self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        features::{Feature, Kind, Since},
        pipeline::labels::{Join, Mode, Outcome},
        topic::record::Record,
    };

    #[test]
    fn labels_of_a_topic_are_joined_by_the_keys_of_their_records() {
        let mut writer = SpoolWriter::new().expect("a file");
        for (key, value) in [("a", r#"{"x":1}"#), ("b", r#"{"x":2}"#), ("a", r#"{"y":3}"#)] {
            let record = Record { key: Some(key.into()), ..Record::default() };
            writer.push(Some(value.as_bytes()), &record).expect("room");
        }
        let labels = Labels { mode: Mode::SameTopic(Join::default()), ..Labels::default() };
        let schema = Schema { labels, ..Schema::default() };
        let mut samples = Samples::of_records(&writer.finish().expect("room"), &schema);
        let mut settled = Vec::new();
        while let Some(sample) = samples.next_sample().expect("read") {
            let settles = sample.expect("a record").settled().iter();
            settled.extend(settles.map(|it| (it.sample.features.to_vec(), it.outcome)));
        }
        assert_eq!(settled, [(vec![1.0], Outcome::Labelled(3.0))]);
        assert!(samples.notes().is_empty());
    }

    #[test]
    fn samples_of_a_topic_have_the_times_of_their_records() {
        let mut writer = SpoolWriter::new().expect("a file");
        for (i, rows) in [(0, "[{\"y\":1}]"), (1, "[{\"y\":2},{\"y\":3}]"), (3, "[{\"y\":4}]")] {
            let record = Record { timestamp: 1_700_000_000_000 + 60_000 * i, ..Record::default() };
            writer.push(Some(rows.as_bytes()), &record).expect("room");
        }
        let elapsed = Feature { kind: Kind::Elapsed(Since::Sample), by: None, name: None };
        let schema = Schema { derived: vec![elapsed], explode: Some("$".into()), ..Schema::default() };
        let mut samples = Samples::of_records(&writer.finish().expect("room"), &schema);
        assert!(samples.notes().is_empty(), "{:?}", samples.notes());
        let mut seconds = Vec::new();
        while let Some(sample) = samples.next_sample().expect("read") {
            seconds.push(sample.expect("a sample").features.values()[0]);
        }
        assert!(seconds[0].is_nan());
        assert_eq!(seconds[1..], [60.0, 0.0, 120.0]);
    }
}
