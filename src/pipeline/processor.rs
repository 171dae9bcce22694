//! Processes one record: decode, step, encode. Pure: no I/O, no clock, no tasks.
//!
//! Invariant: every record, and every row of one that holds many, gives exactly one prediction or one dead letter, but for labels, and
//! those that say that a row was deleted, which the settings may have skipped; one that had been published before a restart is
//! processed again to the same state and not published again.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use crate::{
    checkpoint::Checkpoint,
    decode::{Decoder, Fields, Implausible, Index, Learned, Notice, Rejection, Row, Sample, Schema, check_key},
    encode::{self, Encoder},
    form::Form,
    gap::{Anchor, Gap},
    label_topic::{LabelTopic, LabelsRead},
    labels::{self, Part, Pending, Role, Told},
    pending_predictions::PendingPredictions,
    prequential::{self, Prequential},
    replica::Replica,
    snapshot::{Late, Remembered, Snapshot},
};
use thalweg_models::Features;
use thalweg_topic::{Interleaving, Outbox, Output, OutputOffsets, Published, record::Record};

/// Records up to which every snapshot evaluates the use of fields anew; later at least so many lie in between.
const FIELDS_REFRESH_RECORDS: u64 = 2000;

/// Checked settings of a processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The samples topic, as predictions name it.
    pub topic: String,
    /// The topic of labels, where they have one of their own.
    pub labels: Option<String>,
    /// Schema of the samples.
    pub schema: Schema,
    /// The models of the race, and how they are watched.
    pub race: prequential::Config,
}

impl Config {
    /// Returns a fingerprint of the settings: equal ones have equal fingerprints, others most likely differ.
    pub fn fingerprint(&self) -> u32 {
        let mut bytes = Vec::new();
        // A vector takes all, and settings are no longer than MessagePack can hold.
        let _ = thalweg_state::write(&(&self.schema, &self.race), &mut bytes);
        crc32fast::hash(&bytes)
    }
}

/// The state of one partition's worker.
#[derive(Debug)]
pub struct Processor {
    partition: i32,
    topic: String,
    settings: u32,
    schema: Schema,
    decoder: Decoder,
    prequential: Prequential,
    encoder: Encoder,
    progress: Progress,
    /// `None` where labels have no topic of their own.
    labels: Option<Box<LabelTopic>>,
    high_watermark: i64,
    end: i64,
    is_end_known: bool,
    published: Published,
    /// Decoder of the earlier schema, present where the outputs hold answers to records that were read under it.
    before: Option<Decoder>,
    /// Use of the fields, and the number of records when it was evaluated last.
    fields: RefCell<(u64, Arc<Fields>)>,
    /// Time of the last record, in milliseconds since the Unix epoch; `None` before the first one since the start.
    time: Option<i64>,
    /// Number of records that could not be used since the start, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// Models per key of which it was told that they forget keys.
    forgetful: Vec<Arc<str>>,
}

/// Progress of the processor.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    position: i64,
    generation: u32,
    anchor: Option<Anchor>,
    /// Gap whose event is published with the next record.
    gap: Option<Gap>,
    records: u64,
    dead_letters: u64,
    skipped: u64,
    missed: u64,
    labels: u64,
}

impl Processor {
    /// Creates a processor that has seen nothing and starts at `position`, or continues from a checkpoint. Returns also
    /// the models that start afresh although there is a checkpoint, because their settings are new.
    pub fn new(config: &Config, partition: i32, position: i64, checkpoint: Option<Checkpoint>) -> (Self, Vec<String>) {
        let progress = match &checkpoint {
            None => Progress { position, ..Progress::default() },
            Some(stored) => Progress {
                position: stored.position,
                generation: stored.generation,
                anchor: stored.anchor,
                gap: stored.gap,
                records: stored.records,
                dead_letters: stored.dead_letters,
                skipped: stored.skipped,
                missed: stored.missed,
                labels: stored.labels,
            },
        };
        let read = checkpoint.as_ref().and_then(|stored| stored.labels_read.clone());
        let before = checkpoint.as_ref().and_then(|stored| {
            let schema = stored.schema.as_ref().filter(|schema| **schema != config.schema)?;
            let (past, pending) = (Arc::clone(&stored.past), stored.pending.clone());
            let mut before = Decoder::with_past(schema, stored.index.clone(), past, pending);
            before.set_beside(stored.prequential.forecast_bytes());
            Some(before)
        });
        let nothing = (Arc::default(), Pending::default());
        let (index, (past, pending), prequential, afresh) = match checkpoint {
            None => (Index::new(&config.schema), nothing, Prequential::new(&config.race), vec![]),
            Some(stored) if stored.index.fits(&config.schema) => {
                let (mut prequential, afresh) = Prequential::restored(stored.prequential, &config.race);
                prequential.retain_forecasts(stored.pending.ids());
                (stored.index, (stored.past, stored.pending), prequential, afresh)
            }
            Some(_) => {
                // Columns have another meaning now, so nothing that was learned fits.
                let afresh = config.race.models.iter().map(|model| model.name.clone()).collect();
                (Index::new(&config.schema), nothing, Prequential::new(&config.race), afresh)
            }
        };
        let mut decoder = Decoder::with_past(&config.schema, index, past, pending);
        decoder.set_beside(prequential.forecast_bytes());
        let labels = config.labels.as_ref().map(|topic| {
            let mut labels = LabelTopic::new(topic, partition, prequential.names().cloned());
            if let Some(read) = read.filter(|read| read.topic == *topic) {
                labels.end = read.position;
                labels.read = read;
            }
            Box::new(labels)
        });
        let processor = Self {
            labels,
            partition,
            topic: config.topic.clone(),
            settings: config.fingerprint(),
            decoder,
            encoder: Encoder::new(
                &config.topic,
                partition,
                prequential.names().cloned(),
                config.race.intervals.is_some(),
            ),
            prequential,
            progress,
            high_watermark: progress.position,
            end: progress.position,
            is_end_known: false,
            published: [progress.position; 3],
            before,
            fields: RefCell::default(),
            time: None,
            rejected: BTreeMap::new(),
            forgetful: Vec::new(),
            schema: config.schema.clone(),
        };
        (processor, afresh)
    }

    /// Creates a processor that learns what records from `position` on say, and publishes nothing. It knows the columns of `index`.
    pub fn learner(config: &Config, partition: i32, position: i64, index: Index) -> Self {
        let (mut learner, _) = Self::new(config, partition, position, None);
        learner.decoder = Decoder::new(&config.schema, index);
        learner.decoder.set_beside(learner.prequential.forecast_bytes());
        learner.published = [i64::MAX; 3];
        learner
    }

    /// Gives a checkpoint what this one has learned of the models that it lacks. Returns false, and leaves it, where the two have come
    /// to different columns, or records.
    pub fn join(self, stored: &mut Checkpoint) -> bool {
        let fits = stored.position == self.progress.position && stored.index.agrees(self.decoder.index());
        if fits {
            stored.prequential = Prequential::joined(stored.prequential.clone(), self.prequential);
        }
        fits
    }

    /// Sets the form of the predictions that are published, which is JSON before.
    pub fn publish_as(&mut self, form: Form) {
        self.encoder.publish_as(form);
    }

    /// Returns the partition of the samples topic.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the input offset of the next record.
    pub fn position(&self) -> i64 {
        self.progress.position
    }

    /// Sets the schema under which the outputs' records were read, where the models start afresh.
    pub fn read_before(&mut self, schema: Schema) {
        self.before = (schema != self.schema).then(|| Decoder::new(&schema, Index::new(&schema)));
    }

    /// Sets how far the outputs have been published.
    pub fn skip_published(&mut self, published: Published) {
        self.published = published;
        let [predictions, dead_letters, _] = published;
        if self.progress.position >= predictions.max(dead_letters) {
            self.before = None;
        }
    }

    /// Moves on to `position`: the input holds no more records before it. `last` is the last record before it, where
    /// there was one.
    pub fn advance(&mut self, position: i64, high_watermark: i64, last: Option<Anchor>) {
        self.progress.position = self.progress.position.max(position);
        self.progress.anchor = last.or(self.progress.anchor);
        self.high_watermark = high_watermark;
        self.end = self.end.max(high_watermark);
    }

    /// Begins an outbox: predictions in it know of all labels that have been read.
    pub fn begin(&self, outbox: &mut Outbox<PendingPredictions>) {
        if let Some(LabelsRead { position, .. }) = self.labels_read() {
            outbox.labels = Some(*position);
            outbox.drafts.know_labels(*position);
        }
    }

    /// Returns how far the labels topic is read; `None` where labels have none.
    pub fn labels_read(&self) -> Option<&LabelsRead> {
        self.labels.as_ref().map(|labels| &labels.read)
    }

    fn unread_labels(&self) -> Option<u64> {
        self.labels.as_ref().map(|labels| labels.end.saturating_sub(labels.read.position).max(0).unsigned_abs())
    }

    /// Returns the offset of the next record of the labels topic, and its end as far as is known.
    pub fn labels_reached(&self) -> Option<(i64, i64)> {
        self.labels.as_ref().map(|labels| (labels.read.position, labels.end))
    }

    /// Sets how far the labels topic is read, its end, and what was published of it and of the samples tells.
    pub fn read_labels(&mut self, read: LabelsRead, end: i64, interleaving: &Interleaving) {
        if let Some(labels) = &mut self.labels {
            (labels.read, labels.end) = (read, end);
            (labels.published, labels.known) = (interleaving.published(), interleaving.known());
        }
    }

    /// Moves on in the labels topic, which ends at `end`: it holds no more records before `position`.
    pub fn advance_labels(&mut self, position: i64, end: i64) {
        if let Some(labels) = &mut self.labels {
            labels.read.position = labels.read.position.max(position);
            labels.end = labels.end.max(end);
        }
    }

    /// Sets the end of the input, including records that may not be processed yet.
    pub fn ends_at(&mut self, end: i64) {
        self.end = end.max(self.high_watermark);
    }

    /// Notes that the topic has told its end, be it that of an empty one.
    pub fn knows_end(&mut self) {
        self.is_end_known = true;
    }

    /// Sets the clock's time, in milliseconds since 1970. It only decides which times are reported as implausible.
    pub fn set_now(&mut self, now: i64) {
        self.decoder.set_now(now);
    }

    /// Takes the notices about the stream since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.decoder.take_notices();
        for (name, budget) in self.prequential.forgetful() {
            if !self.forgetful.contains(name) {
                self.forgetful.push(Arc::clone(name));
                notices.push(Notice::KeysForgotten { budget, model: Some(Arc::clone(name)) });
            }
        }
        notices
    }

    /// Takes the implausible times of samples since the last call.
    pub fn take_implausible(&mut self) -> Option<Implausible> {
        self.decoder.take_implausible()
    }

    /// Returns the offset up to which an output has been published.
    pub fn published_up_to(&self) -> i64 {
        let [predictions, dead_letters, _] = self.published;
        predictions.max(dead_letters)
    }

    /// Returns the offset up to which one output has been published.
    pub fn published_up_to_in(&self, output: Output) -> i64 {
        self.published[output as usize]
    }

    /// Learns what the id of a schema means, from the next record on.
    pub fn learn_schema(&mut self, learned: &Learned) {
        self.decoder.learn(learned);
        if let Some(before) = &mut self.before {
            before.learn(learned);
        }
    }

    /// Processes one record; its outputs go into `outbox`.
    ///
    /// # Errors
    /// The reason why the record could not be used; it has become a dead letter, and the processor goes on with the
    /// next one.
    pub fn process(&mut self, record: Record, outbox: &mut Outbox<PendingPredictions>) -> Result<(), Rejection> {
        self.process_ahead(record, None, outbox)
    }

    /// Processes one record with its flat row, where it has been read ahead.
    ///
    /// # Errors
    /// As [`Processor::process`].
    pub fn process_ahead(
        &mut self,
        record: Record,
        row: Option<Row<'_>>,
        outbox: &mut Outbox<PendingPredictions>,
    ) -> Result<(), Rejection> {
        let offset = record.offset;
        let published = self.published_for(&record);
        let wanted = |output: Output| offset >= published[output as usize];
        self.progress.records += 1;
        self.progress.position = offset + 1;
        self.time = Some(record.timestamp);
        outbox.position = self.progress.position;
        if let Some(gap) = self.progress.gap.take_if(|gap| offset >= gap.resumed)
            && wanted(Output::Events)
        {
            outbox.push(Output::Events, self.encoder.gap(offset, encode::time(&record), gap));
        }
        let usable = check_key(record.key.as_deref());
        match usable.and_then(|()| self.decoder.decode_record(&record, row)) {
            Ok(sample) => {
                let Sample { features, keys, target, late, .. } = sample;
                let mut told = Vec::new();
                let mut role = Role::Whole;
                if let Some(part) = late {
                    role = part.role;
                    settle(&mut self.prequential, part, features, &mut told);
                }
                if role == Role::Label {
                    self.progress.labels += 1;
                } else {
                    let step = self.prequential.step_with_keys(features, keys, target);
                    if wanted(Output::Predictions) {
                        self.encoder.prediction(&record, &sample, &step, &mut outbox.drafts);
                    }
                    if !step.events.is_empty() {
                        // We copy, because the step borrows the models that an event is made from.
                        told.extend(step.events.iter().copied().map(Told::Race));
                    }
                    if let Role::Waits { id, .. } = role {
                        self.prequential.keep(id, features, keys);
                    }
                    self.decoder.remember();
                    if role != Role::Whole
                        && let Some(part) = self.decoder.settled_behind()
                    {
                        settle(&mut self.prequential, part, self.decoder.row(), &mut told);
                    }
                }
                if !told.is_empty() && wanted(Output::Events) {
                    self.publish_events(&self.encoder, &record, &told, outbox);
                }
            }
            Err(rejection) if rejection.is_skipped() => self.progress.skipped += 1,
            Err(rejection) => {
                self.refused(&rejection);
                if wanted(Output::DeadLetters) {
                    outbox.push(Output::DeadLetters, self.encoder.dead_letter(&record, &rejection));
                }
                return Err(rejection);
            }
        }
        Ok(())
    }

    /// Processes one record of the labels topic; its outputs go into `outbox`.
    ///
    /// # Errors
    /// The reason why it is the label of no sample; it has become a dead letter.
    pub fn process_label(&mut self, record: &Record, outbox: &mut Outbox<PendingPredictions>) -> Result<(), Rejection> {
        let Some(labels) = &mut self.labels else { return Ok(()) };
        let offset = record.offset;
        self.progress.records += 1;
        labels.read.position = offset + 1;
        labels.read.anchor = Some(Anchor::of(record));
        outbox.labels = Some(offset + 1);
        outbox.drafts.know_labels(offset + 1);
        if let Some(gap) = labels.read.gap.take()
            && labels.wants(Output::Events, offset)
        {
            outbox.push(Output::Events, labels.encoder.gap(offset, encode::time(record), gap));
        }
        let usable = check_key(record.key.as_deref());
        match usable.and_then(|()| self.decoder.decode_label(record)) {
            Ok(sample) => {
                let mut told = Vec::new();
                if let Some(part) = sample.late {
                    settle(&mut self.prequential, part, sample.features, &mut told);
                }
                self.progress.labels += 1;
                if !told.is_empty() && labels.wants(Output::Events, offset) {
                    self.tell_of_label(record, &told, outbox);
                }
                Ok(())
            }
            Err(rejection) if rejection.is_skipped() => {
                self.progress.skipped += 1;
                Ok(())
            }
            Err(rejection) => {
                if labels.wants(Output::DeadLetters, offset) {
                    outbox.push(Output::DeadLetters, labels.encoder.dead_letter(record, &rejection));
                }
                self.refused(&rejection);
                Err(rejection)
            }
        }
    }

    fn tell_of_label(&self, record: &Record, told: &[Told], outbox: &mut Outbox<PendingPredictions>) {
        if let Some(labels) = &self.labels {
            self.publish_events(&labels.encoder, record, told, outbox);
        }
    }

    fn refused(&mut self, rejection: &Rejection) {
        self.progress.dead_letters += 1;
        *self.rejected.entry(rejection.reason()).or_default() += 1;
    }

    /// Publishes what a record brought about.
    #[cold]
    fn publish_events(
        &self,
        encoder: &Encoder,
        record: &Record,
        told: &[Told],
        outbox: &mut Outbox<PendingPredictions>,
    ) {
        let (offset, at, names) = (record.offset, encode::time(record), self.decoder.index().column_names());
        for told in told {
            outbox.push(Output::Events, encoder.told(offset, at, told, &self.prequential, names));
        }
    }

    /// Returns how far each output has been published for this record. The earlier schema decided between prediction
    /// and dead letter, so its decoder is asked, and both outputs are treated alike.
    fn published_for(&mut self, record: &Record) -> Published {
        let offset = record.offset;
        let [predictions, dead_letters, events] = self.published;
        if offset >= predictions.max(dead_letters) {
            self.before = None;
        }
        let Some(before) = &mut self.before else { return self.published };
        let usable = check_key(record.key.as_deref()).and_then(|()| before.decode_record(record, None));
        let usable = usable.map(|sample| sample.role());
        if usable.is_ok() {
            before.remember();
        }
        let is_split_alike = before.index().explodes_like(&self.schema);
        let is_published = match usable {
            _ if !is_split_alike => offset < predictions.max(dead_letters),
            // There was nothing to publish.
            Ok(Role::Label) => true,
            Ok(_) => offset < predictions,
            // There was nothing to publish.
            Err(rejection) => rejection.is_skipped() || offset < dead_letters,
        };
        let up_to = if is_published { offset + 1 } else { offset };
        [up_to, up_to, events]
    }

    /// Returns `true` where a restart may begin here: not amid records that were read under an earlier schema, which
    /// only the earlier checkpoint holds, nor amid samples and labels of which what was published tells the order, since it is read
    /// back from where the outputs end at the checkpoint.
    pub fn may_begin_here(&self) -> bool {
        let is_behind = |labels: &LabelTopic| {
            self.progress.position >= self.published_up_to_in(Output::Predictions)
                && labels.read.position >= labels.known
        };
        self.before.is_none() && self.labels.as_ref().is_none_or(|labels| is_behind(labels))
    }

    /// Returns a copy of the state after the last record; the publisher fills in `outputs`.
    pub fn checkpoint(&self) -> Checkpoint {
        let Progress { position, generation, anchor, gap, records, dead_letters, skipped, missed, labels } =
            self.progress;
        Checkpoint {
            topic: self.topic.clone(),
            partition: self.partition,
            position,
            generation,
            anchor,
            gap,
            outputs: OutputOffsets::default(),
            numbers: None,
            topics: 0,
            published: self.published,
            relearn: false,
            settings: self.settings,
            schema: Some(self.schema.clone()),
            index: self.decoder.index().clone(),
            past: Arc::clone(self.decoder.past()),
            pending: self.decoder.pending(),
            prequential: self.prequential.clone(),
            records,
            dead_letters,
            skipped,
            missed,
            labels,
            labels_read: self.labels_read().cloned(),
        }
    }

    /// Returns a copy of what has been learned, to predict with.
    pub fn replica(&self) -> Replica {
        Replica {
            partition: self.partition,
            position: self.progress.position,
            schema: self.schema.clone(),
            index: self.decoder.index().clone(),
            past: Arc::clone(self.decoder.past()),
            time: self.time,
            race: self.prequential.clone(),
        }
    }

    /// Returns the use of the records' fields; after many records the latest few may be missing in it.
    fn fields(&self) -> Arc<Fields> {
        let records = self.progress.records;
        let (seen, fields) = &mut *self.fields.borrow_mut();
        if records > *seen
            && (*seen < FIELDS_REFRESH_RECORDS || records - *seen >= FIELDS_REFRESH_RECORDS.max(*seen / 8))
        {
            (*seen, *fields) = (records, Arc::new(self.decoder.fields()));
        }
        Arc::clone(fields)
    }

    /// Returns an immutable view of the state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            partition: self.partition,
            position: self.progress.position,
            high_watermark: self.high_watermark,
            end: self.end,
            is_end_known: self.is_end_known,
            records: self.progress.records,
            dead_letters: self.progress.dead_letters,
            remembered: Remembered::of(self.decoder.past()),
            late: self.decoder.waits().map(|waits| Late { unread: self.unread_labels(), ..Late::of(waits) }),
            labels: self.progress.labels,
            skipped: self.progress.skipped,
            missed: self.progress.missed,
            time: self.time,
            rejected: self.rejected.clone(),
            version: self.prequential.version(),
            champion: self.prequential.champion(),
            models: self.prequential.standings(),
            fields: self.fields(),
            published: self.prequential.published(),
            baseline: self.prequential.baseline(),
            coverage: self.prequential.coverage(),
        }
    }
}

/// Has the race take what has become of samples that waited, and adds what is to be told of it.
#[inline(never)]
fn settle(race: &mut Prequential, part: &Part, row: Features<'_>, told: &mut Vec<Told>) {
    if part.settled.len() + part.unmatched.len() > 0 {
        labels::tell(part, told);
    }
    race.settle_all(&part.settled, row, |_, settlement| told.extend(settlement.events.iter().copied().map(Told::Race)));
}
