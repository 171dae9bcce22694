//! The schemas by which records were written, as far as a stream has brought them.
//!
//! Invariant: who learns the same in the same order knows the same, also of what was given up for want of room. It asks nobody:
//! whoever knows a registry teaches it before a record is read.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::{
    Leaf, Rejection, Schema, avro,
    cell::Cell,
    datum::{Sink, TypedRow},
    format::{Definition, Format, Origin},
    protobuf,
    read_ahead::Layout,
    scanner::{NeedsFullDecode, Read},
    schema_id::{self, Frame, SchemaHeader, SchemaId},
};

/// Most bytes of a schema with all that it refers to.
pub const MAX_DEFINITION_BYTES: usize = 1 << 20;
/// Schemas of a registry that are known at a time.
const MAX_KNOWN: usize = 256;
/// Bytes that they may take.
const MAX_KNOWN_BYTES: usize = 32 << 20;
/// Bytes that the plan of a schema takes for one of its text, about.
const BYTES_PER_BYTE: usize = 8;

/// How records of one schema are read.
#[derive(Debug)]
pub struct Writer {
    plan: Plan,
    size: usize,
}

#[derive(Debug)]
enum Plan {
    Avro(avro::Plan),
    Protobuf(protobuf::File),
}

impl Plan {
    fn new(format: &Format, definition: &Definition) -> Result<Self, String> {
        match format {
            Format::Json => Err("JSON needs no schema".to_owned()),
            Format::Avro(_) => avro::Plan::new(definition).map(Plan::Avro),
            Format::Protobuf(origin) => {
                let mut file = protobuf::File::new(definition)?;
                if matches!(origin, Origin::File(_)) {
                    file.choose()?;
                }
                Ok(Plan::Protobuf(file))
            }
        }
    }
}

impl Writer {
    /// Makes it of a schema.
    ///
    /// # Errors
    /// The reason why the schema cannot be read.
    pub fn new(format: &Format, definition: &Definition) -> Result<Self, String> {
        let size = definition.size();
        if size > MAX_DEFINITION_BYTES {
            return Err(format!("it has {size} bytes, {MAX_DEFINITION_BYTES} is the most"));
        }
        // Parsers of others meet what a registry holds: one that panics has refused it.
        let plan = catch_unwind(AssertUnwindSafe(|| Plan::new(format, definition)));
        let plan = plan.unwrap_or_else(|_| Err("the parser panicked over it".to_owned()))?;
        let layout = match &plan {
            Plan::Avro(plan) => plan.ahead().map_or(0, |ahead| 2 * ahead.layout.size()),
            // Made for the first record of each message, of which there are mostly one.
            Plan::Protobuf(_) => 0,
        };
        Ok(Self { plan, size: BYTES_PER_BYTE * size + layout })
    }

    /// Returns the place behind the datum of Avro that begins at `start`; `None` where the bytes end before it, or it is damaged.
    pub fn end_of(&self, bytes: &[u8], start: usize) -> Option<usize> {
        match &self.plan {
            Plan::Avro(plan) if start <= bytes.len() => avro::end(plan, bytes, start),
            _ => None,
        }
    }

    /// Returns a datum of Avro as a row.
    pub fn row<'w>(&'w self, bytes: &'w [u8]) -> impl TypedRow {
        WrittenRow { writer: self, bytes }
    }
}

/// The elements of an array in a record.
pub(super) enum Elements<'v> {
    Avro(avro::Rows, &'v [u8]),
    /// With the frame of the record.
    Protobuf(protobuf::Rows, &'v [u8]),
}

impl Elements<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Avro(rows, _) => rows.elements.len(),
            Self::Protobuf(rows, _) => rows.elements.len(),
        }
    }

    /// Returns the bytes of all records with one of them each.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Avro(rows, value) => rows.elements.iter().map(|element| rows.size(value, element)).sum(),
            Self::Protobuf(rows, head) => rows.elements.iter().map(|element| head.len() + rows.size(element)).sum(),
        }
    }

    /// Returns a record with one of them alone, for each.
    pub(super) fn rows(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Avro(rows, value) => rows.elements.iter().map(|element| rows.row(value, element)).collect(),
            Self::Protobuf(rows, head) => {
                rows.elements.iter().map(|element| [head, &*rows.row(element)].concat()).collect()
            }
        }
    }
}

/// A datum, and the schema that its file names.
struct WrittenRow<'w> {
    writer: &'w Writer,
    bytes: &'w [u8],
}

impl TypedRow for WrittenRow<'_> {
    fn read(&self, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        let misfit = |problem| Rejection::DoesNotFit { schema: "in the file".to_owned(), problem };
        match &self.writer.plan {
            Plan::Avro(plan) => avro::read(plan, self.bytes, 0, sink).map_err(|rejection| match rejection {
                Rejection::DoesNotFit { problem, .. } => misfit(problem),
                other => other,
            }),
            Plan::Protobuf(_) => Err(misfit("it is one of Protocol Buffers".to_owned())),
        }
    }
}

/// What is known of a schema's id.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// The schema.
    Known(Arc<Writer>),
    /// The registry has no such schema.
    Unknown,
    /// It cannot be read, and why.
    Unreadable(Arc<str>),
}

impl Meaning {
    fn size(&self) -> usize {
        match self {
            Meaning::Known(writer) => writer.size,
            Meaning::Unknown => 0,
            Meaning::Unreadable(problem) => problem.len(),
        }
    }
}

/// What an id means from an offset on.
#[derive(Clone, Debug)]
pub struct Learned {
    /// First record that is read by it.
    pub offset: i64,
    /// The id.
    pub id: SchemaId,
    /// What it means.
    pub meaning: Meaning,
}

/// The schemas of a stream.
#[derive(Debug)]
pub struct Writers {
    source: Source,
    known: HashMap<SchemaId, Meaning, RandomState>,
    /// Ids in the order in which they were learned.
    order: VecDeque<SchemaId>,
    size: usize,
}

#[derive(Debug)]
enum Source {
    Json,
    File(Result<Arc<Writer>, Arc<str>>),
    Registry,
}

impl Writers {
    /// Begins with what the settings say.
    pub fn new(schema: &Schema) -> Self {
        let source = match &schema.format {
            Format::Json => Source::Json,
            Format::Avro(Origin::Registry) | Format::Protobuf(Origin::Registry) => Source::Registry,
            Format::Avro(Origin::File(definition)) | Format::Protobuf(Origin::File(definition)) => {
                // The settings refuse one that cannot be read.
                Source::File(Writer::new(&schema.format, definition).map(Arc::new).map_err(Arc::from))
            }
        };
        Self { source, known: HashMap::default(), order: VecDeque::new(), size: 0 }
    }

    /// Returns false where records are JSON, which needs no schema.
    #[inline]
    pub(super) fn are_needed(&self) -> bool {
        !matches!(self.source, Source::Json)
    }

    /// Learns what an id means.
    pub fn learn(&mut self, Learned { id, meaning, .. }: &Learned) {
        self.size += meaning.size();
        if let Some(before) = self.known.insert(*id, meaning.clone()) {
            self.size -= before.size();
            self.order.retain(|other| other != id);
        }
        self.order.push_back(*id);
        while self.order.len() > MAX_KNOWN || (self.size > MAX_KNOWN_BYTES && self.order.len() > 1) {
            let oldest = self.order.pop_front().and_then(|id| self.known.remove(&id));
            self.size -= oldest.map_or(0, |oldest| oldest.size());
        }
    }

    /// Returns the id of a record's schema, and what is known of it; `None` where it has none, or needs none.
    pub fn of(&self, value: Option<&[u8]>, header: Option<SchemaHeader<'_>>) -> Option<(SchemaId, Option<&Meaning>)> {
        if !matches!(self.source, Source::Registry) {
            return None;
        }
        let id = Frame::of(value?, header).ok()?.id;
        Some((id, self.known.get(&id)))
    }

    /// Returns a record's writer, and where its own bytes begin.
    #[inline]
    fn find<'w, 'b>(&'w self, value: &'b [u8], header: Option<SchemaHeader<'b>>) -> Result<Found<'w, 'b>, Rejection> {
        match &self.source {
            Source::Registry => {
                let Frame { id, indexes, start } = Frame::of(value, header)?;
                match self.known.get(&id) {
                    Some(Meaning::Known(writer)) => Ok(Found { writer, id: Some(id), indexes, start }),
                    Some(Meaning::Unreadable(problem)) => {
                        Err(Rejection::BadSchema { id: id.to_string(), problem: problem.to_string() })
                    }
                    Some(Meaning::Unknown) | None => Err(Rejection::UnknownSchema { id: id.to_string() }),
                }
            }
            Source::File(Ok(writer)) => {
                let start = match &writer.plan {
                    Plan::Avro(plan) if schema_id::fingerprint(value) == Some(plan.fingerprint) => {
                        schema_id::MARK_BYTES
                    }
                    Plan::Avro(_) | Plan::Protobuf(_) => 0,
                };
                Ok(Found { writer, id: None, indexes: None, start })
            }
            Source::File(Err(problem)) => {
                Err(Rejection::BadSchema { id: "in schema.file".to_owned(), problem: problem.to_string() })
            }
            // Nobody asks for the schema of JSON.
            Source::Json => Err(Rejection::UnknownSchema { id: String::new() }),
        }
    }

    /// Reads a record's values into cells, and returns their layout.
    #[inline]
    pub(super) fn read_ahead(
        &self,
        value: &[u8],
        header: Option<SchemaHeader<'_>>,
        bare_nan: bool,
        out: &mut Vec<Cell>,
    ) -> Read<&Arc<Layout>> {
        let found = self.find(value, header).map_err(|_| NeedsFullDecode)?;
        match &found.writer.plan {
            Plan::Avro(plan) => {
                let program = plan.ahead().ok_or(NeedsFullDecode)?;
                program.read(value, found.start, bare_nan, out)?;
                Ok(&program.layout)
            }
            Plan::Protobuf(file) => {
                let (message, start) = found.message(file, value).map_err(|_| NeedsFullDecode)?;
                let program = message.ahead().ok_or(NeedsFullDecode)?;
                program.read(value, start, bare_nan, out)?;
                Ok(&program.layout)
            }
        }
    }

    /// Passes the values of a record to `see`, with their flattened names, as far as it can be read.
    ///
    /// # Errors
    /// The reason why there are no more.
    pub fn look(
        &self,
        value: &[u8],
        header: Option<SchemaHeader<'_>>,
        see: &mut dyn FnMut(&str, Leaf<'_>),
    ) -> Result<(), Rejection> {
        self.read(value, header, &mut Sink::seen_by(see))
    }

    /// Finds the array at `path` in a record; `None` where there is none, or the record cannot be read up to it.
    pub(super) fn elements<'v>(
        &self,
        value: &'v [u8],
        header: Option<SchemaHeader<'v>>,
        path: &[String],
    ) -> Option<Elements<'v>> {
        let found = self.find(value, header).ok()?;
        match &found.writer.plan {
            Plan::Avro(plan) => Some(Elements::Avro(avro::Rows::find(plan, value, found.start, path)?, value)),
            Plan::Protobuf(file) => {
                let (message, start) = found.message(file, value).ok()?;
                let (head, own) = value.split_at_checked(start)?;
                Some(Elements::Protobuf(protobuf::Rows::find(&message.descriptor, own, path)?, head))
            }
        }
    }

    /// Reads a record's values into a sink.
    ///
    /// # Errors
    /// The reason why the record is refused.
    pub(super) fn read(
        &self,
        value: &[u8],
        header: Option<SchemaHeader<'_>>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Rejection> {
        let found = self.find(value, header)?;
        let read = match &found.writer.plan {
            Plan::Avro(plan) => avro::read(plan, value, found.start, sink),
            Plan::Protobuf(file) => found.message(file, value).and_then(|(message, start)| {
                protobuf::read(&message.descriptor, value.get(start..).unwrap_or_default(), sink)
            }),
        };
        read.map_err(|rejection| match rejection {
            Rejection::DoesNotFit { problem, .. } => Rejection::DoesNotFit { schema: found.name(), problem },
            other => other,
        })
    }
}

struct Found<'w, 'b> {
    writer: &'w Arc<Writer>,
    id: Option<SchemaId>,
    indexes: Option<&'b [u8]>,
    start: usize,
}

impl Found<'_, '_> {
    /// Returns the message of a record, and where its own bytes begin.
    fn message<'f>(&self, file: &'f protobuf::File, value: &[u8]) -> Result<(&'f protobuf::Message, usize), Rejection> {
        match (self.id, self.indexes) {
            (None, _) => {
                let chosen = file.chosen().map(|message| (message, 0));
                chosen.ok_or_else(|| Rejection::DoesNotFit {
                    schema: String::new(),
                    problem: "no message was chosen".to_owned(),
                })
            }
            (Some(_), Some([])) => Err(Rejection::DoesNotFit {
                schema: String::new(),
                problem: "its headers do not say which message it holds".to_owned(),
            }),
            (Some(_), Some(indexes)) => file.framed(indexes).map(|(message, _)| (message, self.start)),
            (Some(_), None) => {
                let (message, taken) = file.framed(value.get(self.start..).unwrap_or_default())?;
                Ok((message, self.start + taken))
            }
        }
    }

    fn name(&self) -> String {
        self.id.map_or_else(|| "in schema.file".to_owned(), |id| id.to_string())
    }
}
