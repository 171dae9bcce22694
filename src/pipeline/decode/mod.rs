//! From a record's bytes to a sample: JSON straight into the dense feature row, without an intermediate tree.
//!
//! Invariant: a record that is refused leaves no trace, neither a value in the row nor a name in the [`Index`], but that the
//! first object shows the form of all; one that is accepted has only finite numbers. A field's meaning is decided by its name once, and never changes while the
//! state lives.

mod avro;
mod bare;
mod cast;
mod categories;
mod cell;
mod cloud_event;
mod datum;
mod decimal;
mod derived;
mod draft;
mod envelope;
mod escapes;
mod explode;
mod fast_path;
mod format;
mod frame;
mod index;
mod json;
mod known;
mod late;
mod leaves;
mod missing;
pub mod naming;
mod notice;
mod numeric_text;
mod protobuf;
mod read_ahead;
mod rejection;
mod role;
mod scanner;
mod schema;
mod schema_id;
mod time;
mod usage;
mod writers;

use derived::Derived;
use draft::Draft;
use envelope::Form;
use fast_path::Texts;
use frame::ConnectFrame;
use known::{KnownLayout, fields_of};
use read_ahead::Reading;
use time::Moment;

pub(crate) use avro::fingerprint;
pub use cast::{Cast, Named};
pub use cloud_event::CloudEvent;
pub use datum::{Datum, Level, MAX_DEPTH, Sink, TypedRow, milliseconds, spelled, uuid};
pub use envelope::{Envelope, OnDelete};
pub use explode::{Explode, Headed};
pub use format::{Definition, Format, Origin, Reference};
pub use index::Index;
pub use leaves::{Leaf, Leaves, doubtful_time, number_in_text, time_in_text};
pub use missing::{BadValues, OnBad, OnBadField};
pub use naming::Rename;
pub use notice::{Implausible, Notice};
pub use numeric_text::NumericText;
pub use protobuf::with_imports;
pub use read_ahead::{Layout, ReadAhead, Row, Rows};
pub use rejection::{Doubt, Found, Rejection};
pub use schema::{Absent, Schema};
pub use schema_id::{SchemaHeader, SchemaId};
pub use time::{Times, Unit, date, zone};
pub use usage::{BadField, Feature, FeatureKind, Fields, Text, Unseen};
pub use writers::{Learned, MAX_DEFINITION_BYTES, Meaning, Writer, Writers};

use std::{ops::RangeInclusive, sync::Arc};

use crate::labels::{Joiner, Part, Pending, Role, Settled};
use thalweg_features::Past;
use thalweg_models::Features;
use thalweg_topic::record::{Headers, LABEL, Record};

/// Numbers beyond this are refused: their squares, which every model and metric needs, overflow or come close to it.
pub const MAX_MAGNITUDE: f64 = 1e150;

/// The largest [`Schema::max_categories`].
pub const MAX_CATEGORIES: usize = 65_536;

/// Longest key, so that a prediction, which carries it, always fits its topic.
const MAX_KEY_BYTES: usize = 64 << 10;

/// A decoded record, borrowed from the decoder until the next one.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Features that the models see.
    pub features: Features<'a>,
    /// Keys by which models are kept apart, in the order of [`Schema::row_keys`]; `None` is one that it does not have. More may follow.
    pub keys: &'a [Option<String>],
    /// Target; `None` where the record has none.
    pub target: Option<f64>,
    /// The key field's value as text, where the schema names one and the record has it.
    pub key: Option<&'a str>,
    /// The timestamp field in milliseconds since the Unix epoch, where the schema names one and the record has it.
    pub timestamp: Option<i64>,
    /// What it is in a stream whose targets come late, and what it brings about; `None` where every target is in its sample.
    pub late: Option<&'a Part>,
}

impl<'a> Sample<'a> {
    /// Returns what it is.
    #[inline]
    pub fn role(&self) -> Role {
        self.late.map_or(Role::Whole, |part| part.role)
    }

    /// Returns what has become of earlier samples, in order, before this one counts.
    #[inline]
    pub fn settled(&self) -> &'a [Settled] {
        self.late.map_or(&[], |part| &part.settled)
    }
}

/// Decodes the records of one partition, in order; reuses all its buffers.
///
/// ```
/// use thalweg_pipeline::decode::{Decoder, Index, Schema};
///
/// let schema = Schema { target: "price".into(), ..Schema::default() };
/// let mut decoder = Decoder::new(&schema, Index::new(&schema));
/// let sample = decoder.decode(Some(br#"{"size":80,"price":40.5}"#)).expect("a sample");
/// assert_eq!(sample.target, Some(40.5));
/// assert!(decoder.decode(Some(b"80,40.5")).is_err());
/// ```
#[derive(Debug)]
pub struct Decoder {
    index: Index,
    max_record_bytes: usize,
    writers: Writers,
    explode: Explode,
    draft: Draft,
    derived: Derived,
    /// Joins labels to samples; `None` where every target is in its sample.
    joiner: Option<Box<Joiner>>,
    /// True where the last record was a sample.
    is_sample: bool,
    /// True where the record that is being read is of the labels topic.
    is_label: bool,
    /// Time of the record itself, in milliseconds since 1970.
    record_time: Option<i64>,
    /// Key of the record itself, where it has one and that is needed.
    record_key: Vec<u8>,
    has_record_key: bool,
    /// True where that and its place are needed.
    wants_record: bool,
    connect: ConnectFrame,
    /// Connect's schema by which types are known.
    typed_by: Vec<u8>,
    /// The latest layouts, the last one first.
    known: Vec<KnownLayout>,
    /// The same of the data of events whose attributes are headers.
    known_data: Vec<KnownLayout>,
    /// Range of plausible times, in milliseconds since 1970.
    plausible: RangeInclusive<i64>,
    /// Milliseconds by which times may be ahead of the clock.
    ahead: u64,
    implausible: Option<Implausible>,
}

impl Decoder {
    /// Creates a decoder that continues from `index`, which [`Index::new`] starts or a checkpoint holds, with no past.
    pub fn new(schema: &Schema, index: Index) -> Self {
        Self::with_past(schema, index, Arc::default(), Pending::default())
    }

    /// Creates a decoder that continues from `index`, and the `past` and the samples without a target that go with it.
    pub fn with_past(schema: &Schema, mut index: Index, past: Arc<Past>, mut pending: Pending) -> Self {
        if index.fits(schema) {
            let before = index.row_keys().to_vec();
            index.adopt(schema);
            pending.reorder_keys(&before, index.row_keys());
        }
        let wants_record = !schema.labels.is_inline() || index.place_of_record_key().is_some();
        if schema.format != Format::Json && index.form().is_none() {
            index.set_form(Form::of_typed(schema));
        }
        Self {
            index,
            max_record_bytes: schema.max_record_bytes,
            writers: Writers::new(schema),
            explode: Explode::new(schema),
            draft: Draft::default(),
            derived: Derived::new(schema, past),
            joiner: Joiner::new(&schema.labels, pending),
            is_sample: false,
            is_label: false,
            record_time: None,
            record_key: Vec::new(),
            has_record_key: false,
            wants_record,
            connect: ConnectFrame::default(),
            typed_by: Vec::new(),
            known: Vec::new(),
            known_data: Vec::new(),
            plausible: schema.timestamp_min..=i64::MAX,
            ahead: schema.timestamp_ahead,
            implausible: None,
        }
    }

    /// Sets the clock's time, in milliseconds since 1970. It only decides which times are reported as implausible.
    pub fn set_now(&mut self, now: i64) {
        self.plausible = *self.plausible.start()..=now.saturating_add_unsigned(self.ahead);
    }

    /// Takes the notices about the stream since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.index.take_notices();
        notices.append(&mut self.draft.notices);
        notices.append(&mut self.derived.take_notices());
        notices
    }

    /// Takes the implausible times since the last call.
    pub fn take_implausible(&mut self) -> Option<Implausible> {
        self.implausible.take()
    }

    /// Returns the index, which holds the names of the columns.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Sets the time of samples that hold none and come without a record, in milliseconds since 1970, and the key and the headers of
    /// that record.
    pub fn set_record(&mut self, time: Option<i64>, key: Option<&[u8]>, headers: &Headers) {
        self.record_time = time;
        self.set_record_key(key);
        self.is_label = headers.get(LABEL).is_some() && self.index.schema().labels.have_topic();
    }

    fn set_record_key(&mut self, key: Option<&[u8]>) {
        let known = &mut self.record_key;
        known.clear();
        known.extend_from_slice(key.unwrap_or_default());
        self.has_record_key = key.is_some();
    }

    /// Returns true where features need the samples' time, which only records have: the schema names no field with it.
    pub fn lacks_time(&self) -> bool {
        self.derived.needs_time() && self.index.schema().timestamp.is_none()
    }

    /// Returns true where features, or labels, go by the key of a record, which only records have.
    pub fn lacks_key(&self) -> bool {
        let schema = self.index.schema();
        let is_joined_by_it = schema.key.is_none() && schema.labels.join().is_some_and(|join| join.by.is_none());
        is_joined_by_it || self.index.place_of_record_key().is_some()
    }

    /// Returns what is remembered of the samples, for the features of later ones.
    pub fn past(&self) -> &Arc<Past> {
        self.derived.past()
    }

    /// Makes the last sample a part of the past that later ones see.
    #[inline]
    pub fn remember(&mut self) {
        if self.joiner.is_some() {
            self.remember_joined();
        } else if !self.derived.is_empty() {
            self.derived.remember(&self.draft.drawn, self.draft.target);
        }
    }

    /// Goes back to `index`, which this decoder has begun with, where a record has left a trace since: the next one is read as the
    /// first one was.
    pub fn forget(&mut self, index: &Index) {
        if self.index.changes() == index.changes() {
            return;
        }
        // The settings that it was given are the same as of its beginning.
        let schema = self.index.schema().clone();
        self.index = index.clone();
        self.index.adopt(&schema);
        self.known.clear();
        self.known_data.clear();
        self.typed_by.clear();
        (self.draft, self.implausible) = (Draft::default(), None);
    }

    /// Decodes one record's value; `None` is a tombstone.
    ///
    /// # Errors
    /// A [`Rejection`] that says why the record cannot be used.
    pub fn decode(&mut self, value: Option<&[u8]>) -> Result<Sample<'_>, Rejection> {
        if self.writers.are_needed() { self.decode_typed(value, None, None) } else { self.decode_json(value) }
    }

    fn decode_json(&mut self, value: Option<&[u8]>) -> Result<Sample<'_>, Rejection> {
        let Some(bytes) = self.usable(value) else { return Err(self.unusable(value)) };
        let json = if self.index.is_bare() { Some(frame::behind_registry(bytes)) } else { self.opened(bytes)? };
        let Some(json) = json else { return self.decode_full(bytes) };
        self.start(true);
        if fast_path::read_object(json, &mut self.index, &mut self.draft).is_ok() && self.draft.has_root {
            return self.finish();
        }
        self.decode_full(bytes)
    }

    /// Decodes like [`Decoder::decode`], for a value that may have been read ahead.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_ahead(&mut self, value: Option<&[u8]>, row: Option<Row<'_>>) -> Result<Sample<'_>, Rejection> {
        if self.writers.are_needed() { self.decode_typed(value, None, row) } else { self.decode_json_ahead(value, row) }
    }

    #[inline]
    fn decode_json_ahead(&mut self, value: Option<&[u8]>, row: Option<Row<'_>>) -> Result<Sample<'_>, Rejection> {
        let (Some(row), Some(bytes)) = (row, self.usable(value)) else { return self.decode_json(value) };
        let json = if self.index.is_bare() { Some(frame::behind_registry(bytes)) } else { self.opened(bytes)? };
        let Some(json) = json.filter(|_| self.reading() == row.reading) else { return self.decode_json(value) };
        // The fast path would refuse what it brings, too.
        if self.take_row(row, json) { self.finish() } else { self.decode_full(bytes) }
    }

    /// Decodes like [`Decoder::decode_ahead`], for a record whose headers may name its schema, or be an event's attributes.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    #[inline]
    pub fn decode_record(&mut self, record: &Record, row: Option<Row<'_>>) -> Result<Sample<'_>, Rejection> {
        self.record_time = Some(crate::encode::time(record));
        if self.wants_record {
            self.note_record(record);
        }
        self.decode_with(record.value.as_deref(), &record.headers, row)
    }

    #[cold]
    fn note_record(&mut self, record: &Record) {
        self.set_record_key(record.key.as_deref());
        if let Some(joiner) = &mut self.joiner {
            joiner.at(record.offset, record.row);
        }
        self.is_label = false;
    }

    /// Decodes like [`Decoder::decode_record`], for a value and its headers.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    #[inline]
    pub fn decode_with(
        &mut self,
        value: Option<&[u8]>,
        headers: &Headers,
        row: Option<Row<'_>>,
    ) -> Result<Sample<'_>, Rejection> {
        if let Some(event) = CloudEvent::of(headers)
            && self.takes(event, value)
        {
            return self.decode_event(event, value, SchemaHeader::of(headers), row);
        }
        if !self.writers.are_needed() {
            return self.decode_json_ahead(value, row);
        }
        self.decode_typed(value, SchemaHeader::of(headers), row)
    }

    /// Takes a record that was read ahead; false where only the full decoder can read it.
    #[inline]
    fn take_row(&mut self, row: Row<'_>, bytes: &[u8]) -> bool {
        self.start(true);
        self.fill(row, bytes, None)
    }

    /// Adds the values of a record that was read ahead, which stand `within` something.
    #[inline(always)]
    fn fill(&mut self, row: Row<'_>, bytes: &[u8], within: Option<&str>) -> bool {
        let Self { index, draft, known, known_data, .. } = self;
        let known = if within.is_some() { known_data } else { known };
        let Some((slots, has_root, layout)) = fields_of(row.layout, known, index, within) else { return false };
        draft.has_root = has_root;
        let texts = Texts { record: bytes, symbols: layout.symbols() };
        for (i, (slot, cell)) in slots.iter().zip(row.cells).enumerate() {
            // This covers nearly all numbers of a stream, and is false for all else.
            if slot.column != u32::MAX && cell.0.abs() <= MAX_MAGNITUDE {
                draft.set(slot.column as usize, cell.0);
            } else if fast_path::take(index, draft, slot.field, || layout.name(i), *cell, texts).is_err() {
                return false;
            }
        }
        has_root
    }

    /// Learns what a schema's id means.
    pub fn learn(&mut self, learned: &Learned) {
        self.explode.learn(learned);
        self.writers.learn(learned);
    }

    /// Decodes a value of a format with a schema, which `header` may name.
    fn decode_typed(
        &mut self,
        value: Option<&[u8]>,
        header: Option<SchemaHeader<'_>>,
        row: Option<Row<'_>>,
    ) -> Result<Sample<'_>, Rejection> {
        let Some(bytes) = self.usable(value) else { return Err(self.unusable(value)) };
        if row.is_some_and(|row| self.take_row(row, bytes)) {
            return self.finish();
        }
        self.refuse_rows(bytes, Headed::of_schema(header))?;
        self.start(false);
        let mut sink = Sink::new(&mut self.index, &mut self.draft);
        sink.take_apart(self.explode.array());
        let read = self.writers.read(bytes, header, &mut sink);
        sink.end();
        read?;
        self.finish_typed()
    }

    /// Refuses a record that was written by a schema and holds none or several rows.
    fn refuse_rows(&self, bytes: &[u8], headed: Headed<'_>) -> Result<(), Rejection> {
        let is_typed = self.explode.is_typed();
        let refusal = if is_typed { self.explode.refusal_of_row(bytes, headed) } else { None };
        refusal.map_or(Ok(()), Err)
    }

    /// Decodes like [`Decoder::decode`], for a record whose values have types, whatever the schema says of the format. The form of
    /// such records is what the settings say.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_typed_row(&mut self, row: &dyn TypedRow) -> Result<Sample<'_>, Rejection> {
        if self.index.form().is_none() {
            let form = Form::of_typed(self.index.schema());
            self.index.set_form(form);
        }
        self.start(false);
        let mut sink = Sink::new(&mut self.index, &mut self.draft);
        let read = row.read(&mut sink);
        sink.end();
        read?;
        self.finish_typed()
    }

    fn finish_typed(&mut self) -> Result<Sample<'_>, Rejection> {
        if !self.draft.has_root {
            let rejection = self.index.form().map(|form| form.without_row(None, self.index.schema().on_delete));
            return Err(rejection.unwrap_or(Rejection::NoFeatures));
        }
        self.finish()
    }

    /// Decodes like [`Decoder::decode`], for a value within the limits, without trying the fast path first. Tests hold
    /// the two against each other.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_full(&mut self, bytes: &[u8]) -> Result<Sample<'_>, Rejection> {
        if self.writers.are_needed() {
            return self.decode_typed(Some(bytes), None, None);
        }
        let mut json = frame::behind_registry(bytes);
        self.find_form(json)?;
        if self.is_delete(json) {
            return Err(self.deleted());
        }
        if self.is_framed() {
            match self.connect.open_other(json) {
                Some(b"null") => return Err(self.deleted()),
                Some(payload) => json = payload,
                None => return Err(self.without_payload(json)),
            }
            self.know_types();
        }
        self.start(false);
        match json::read_object(json, &mut self.index, &mut self.draft) {
            Ok(()) if self.draft.has_root => self.finish(),
            Ok(()) => {
                let record = envelope::parsed(json);
                let on_delete = self.index.schema().on_delete;
                let rejection = self.index.form().map(|form| form.without_row(record.as_ref(), on_delete));
                // An array is split before; what is left of them is one that may not be.
                Err(self.explode.refusal(bytes, Headed::default()).or(rejection).unwrap_or(Rejection::NoFeatures))
            }
            Err(rejection @ Rejection::NotAnObject { .. }) => {
                Err(self.explode.refusal(bytes, Headed::default()).unwrap_or(rejection))
            }
            Err(Rejection::NotJson { problem }) => {
                Err(Rejection::NotJson { problem: frame::other_format(bytes).unwrap_or(problem) })
            }
            Err(rejection) => Err(rejection),
        }
    }

    /// Returns `true` where a record has the stream's envelope around its row.
    pub fn is_wrapped(&mut self, bytes: &[u8]) -> bool {
        let json = frame::behind_registry(bytes);
        let Some(form) = self.index.form() else { return true };
        if form.is_framed && self.connect.open(json).is_none() {
            return false;
        }
        form.root.is_empty() || form.is_framed || envelope::has_path(json, &form.root)
    }

    /// Returns a value's bytes where there are any and they are within the limits.
    #[inline]
    fn usable<'v>(&self, value: Option<&'v [u8]>) -> Option<&'v [u8]> {
        value.filter(|bytes| !bytes.is_empty() && bytes.len() <= self.max_record_bytes)
    }

    /// Returns the reason why a value is not [usable](Self::usable).
    #[cold]
    fn unusable(&self, value: Option<&[u8]>) -> Rejection {
        match value {
            None if self.index.form().is_some_and(Form::has_deletes) => self.deleted(),
            None => Rejection::Tombstone,
            Some([]) => Rejection::Empty,
            Some(bytes) => Rejection::TooLarge { size: bytes.len(), limit: self.max_record_bytes },
        }
    }

    fn deleted(&self) -> Rejection {
        Rejection::Deleted { is_skipped: self.index.schema().on_delete == OnDelete::Skip }
    }

    /// Returns the JSON of the row, without the frame around it; `None` where only the full decoder finds it.
    fn opened<'v>(&mut self, bytes: &'v [u8]) -> Result<Option<&'v [u8]>, Rejection> {
        let json = frame::behind_registry(bytes);
        self.find_form(json)?;
        if self.is_delete(json) {
            return Err(self.deleted());
        }
        if !self.is_framed() {
            return Ok(Some(json));
        }
        let payload = self.connect.open(json);
        self.know_types();
        Ok(payload)
    }

    /// Returns true where a word beside the row says that it was deleted.
    fn is_delete(&self, json: &[u8]) -> bool {
        self.index.form().is_some_and(|form| form.is_marked(json))
    }

    /// Finds the form of the records, unless it is known; one that is no object leaves it open.
    #[inline]
    fn find_form(&mut self, json: &[u8]) -> Result<(), Rejection> {
        if self.index.form().is_none()
            && let Some(form) = envelope::find(json, self.index.schema())?
        {
            self.index.set_form(form);
        }
        Ok(())
    }

    #[inline]
    fn is_framed(&self) -> bool {
        self.index.form().is_some_and(|form| form.is_framed)
    }

    #[inline]
    fn reading(&self) -> Reading {
        Reading { is_framed: !self.index.is_bare() && self.is_framed(), syntax: self.index.syntax() }
    }

    /// Takes the types of fields from Connect's schema, where that is another one than before.
    #[inline]
    fn know_types(&mut self) {
        if self.connect.schema() != self.typed_by {
            self.typed_by.clear();
            self.typed_by.extend_from_slice(self.connect.schema());
            self.index.set_types(frame::types(&self.typed_by));
        }
    }

    /// Returns the reason why a record has no payload beside Connect's schema.
    #[cold]
    fn without_payload(&mut self, json: &[u8]) -> Rejection {
        self.start(false);
        match json::read_object(json, &mut self.index, &mut self.draft) {
            Err(rejection @ (Rejection::NotJson { .. } | Rejection::NotAnObject { .. })) => rejection,
            _ => Rejection::NoRoot { root: "payload".into(), found: None },
        }
    }

    /// Decodes like [`Decoder::decode`], for a row of a table: names and the text of their cells. A cell that reads as
    /// a number is one, an empty one is unknown, anything else is text.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_row<'r>(
        &mut self,
        cells: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> Result<Sample<'_>, Rejection> {
        // Tables have no envelope.
        if self.index.form() != Some(&Form::plain()) {
            self.index.set_form(Form::plain());
        }
        self.start(false);
        let mut cursor = 0;
        for (name, cell) in cells {
            let field = self.index.field(name, &mut cursor);
            let taken = match cell.trim() {
                "" => {
                    self.draft.null(&self.index, field);
                    Ok(())
                }
                cell => match cell.parse::<f64>() {
                    Ok(number) if number.is_finite() => {
                        self.draft.number(&self.index, field, name, number, || cell.to_owned())
                    }
                    Ok(_) => self.draft.bare(&self.index, field, name, cell),
                    Err(_) => self.draft.text(&self.index, field, name, cell),
                },
            };
            taken?;
        }
        self.finish()
    }

    /// Returns the fields of the records that are used, and those that are not.
    pub fn fields(&self) -> Fields {
        self.draft.usage.fields(&self.index, &self.draft.bad)
    }

    #[inline]
    fn start(&mut self, on_fast_path: bool) {
        self.draft.start(&self.index);
        self.draft.on_fast_path = on_fast_path;
        if self.wants_record {
            self.draw_record_key();
        }
    }

    /// Takes the record's own key, where pasts or models are kept apart by it.
    #[cold]
    fn draw_record_key(&mut self) {
        if let Some(place) = self.index.place_of_record_key() {
            self.draft.drawn.keys[place] = self.has_record_key.then(|| key_in_text(&self.record_key));
        }
    }

    fn finish(&mut self) -> Result<Sample<'_>, Rejection> {
        if self.joiner.is_some() {
            return self.finish_joined();
        }
        if let Some(rejection) = self.nothing() {
            return Err(rejection);
        }
        if !self.derived.is_empty() {
            self.fill_derived();
        }
        self.accept()?;
        let Self { index, draft, .. } = self;
        Ok(Sample {
            features: Features::with_nominal(&draft.row, index.nominal()),
            keys: &draft.drawn.keys,
            target: draft.target,
            key: draft.key.as_deref(),
            timestamp: draft.timestamp.map(Moment::milliseconds),
            late: None,
        })
    }

    /// Returns the reason why there is nothing to predict from, where that is so.
    #[inline(always)]
    fn nothing(&mut self) -> Option<Rejection> {
        let draft = &mut self.draft;
        // A target alone is one more point of a series, and so is a time or a key where features are made of these. Not what is
        // remembered decides it, since another decoder may have to decide the same.
        if draft.known + draft.new.len() == 0
            && draft.target.is_none()
            && !self.index.keeps_models_apart(&draft.drawn)
            && (self.derived.is_empty()
                || draft.timestamp.is_none() && self.derived.pasts_of(&draft.drawn).iter().all(Option::is_none))
        {
            return Some(draft.lost.drain(..).next().map_or(Rejection::NoFeatures, |(_, first)| first));
        }
        None
    }

    /// Commits what a record brings, once nothing is left that could refuse it but the number of features.
    #[inline(always)]
    fn accept(&mut self) -> Result<(), Rejection> {
        let Self { index, draft, .. } = self;
        index.extend(&mut draft.new, &mut draft.new_categories, &mut draft.row)?;
        if draft.turns.len() + draft.words.len() > 0 {
            index.learn_texts(&mut draft.turns, &mut draft.words);
        }
        draft.usage.count(draft.target.is_some(), draft.timestamp.is_some(), &draft.texts);
        for (name, rejection) in draft.lost.drain(..) {
            draft.notices.extend(draft.bad.count(name, rejection).map(Notice::BadValue));
        }
        if let Some(moment) = draft.timestamp {
            if let Some(unit) = draft.unit {
                index.decide(unit, moment);
            }
            let time = moment.milliseconds();
            if !self.plausible.contains(&time) {
                note(&mut self.implausible, &self.index, moment, &self.plausible);
            }
        }
        Ok(())
    }

    /// Writes the features that the record does not hold.
    #[inline(never)]
    fn fill_derived(&mut self) {
        let Self { draft, derived, record_time, .. } = self;
        let time = draft.timestamp.map(Moment::milliseconds).or(*record_time);
        derived.fill(time, &draft.drawn, &mut draft.row);
    }
}

/// Returns a key as text: bytes that are none in hexadecimal digits, behind `0x`.
fn key_in_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => key.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

#[cold]
fn note(implausible: &mut Option<Implausible>, index: &Index, moment: Moment, plausible: &RangeInclusive<i64>) {
    match implausible {
        Some(implausible) => implausible.count += 1,
        None => {
            let time = moment.milliseconds();
            let (field, early) = (index.timestamp().to_owned(), time < *plausible.start());
            *implausible = Some(Implausible { field, time, early, date: moment.like_date(), count: 1 });
        }
    }
}

/// Checks that a key is short enough to go with a prediction.
///
/// # Errors
/// [`Rejection::KeyTooLong`].
pub fn check_key(key: Option<&[u8]>) -> Result<(), Rejection> {
    match key.map(<[u8]>::len) {
        Some(size) if size > MAX_KEY_BYTES => Err(Rejection::KeyTooLong { size, limit: MAX_KEY_BYTES }),
        _ => Ok(()),
    }
}
