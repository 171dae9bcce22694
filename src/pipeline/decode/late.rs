//! Records of a stream whose targets come late: which one is a label, and whose.
//!
//! Invariant: as for all records, one that is refused leaves no trace. What a record settles counts before its own features are made,
//! since it is known by then.

use thalweg_models::Features;
use thalweg_topic::record::Record;

use super::{Decoder, Notice, Rejection, Sample, derived::Derived, draft::Draft, index::Index, time::Moment};
use crate::labels::{Counts, Joiner, Mode, Outcome, Part, Pending, Role, Settled};

impl Decoder {
    /// Sets the bytes that a sample takes elsewhere while it waits for its target.
    pub fn set_beside(&mut self, bytes: usize) {
        if let Some(joiner) = &mut self.joiner {
            joiner.set_beside(bytes);
        }
    }

    /// Returns a copy of all that waits.
    pub fn pending(&self) -> Pending {
        self.joiner.as_ref().map(|joiner| joiner.pending()).unwrap_or_default()
    }

    /// Returns how many samples wait for their targets, the bytes of all that waits, and numbers since the beginning; `None` where
    /// every target is in its sample.
    pub fn waits(&self) -> Option<(usize, usize, &Counts)> {
        self.joiner.as_ref().map(|joiner| (joiner.waiting(), joiner.bytes(), joiner.counts()))
    }

    /// Returns what has become of samples behind the last one: where it is not asked for, the next sample tells it.
    pub fn settled_behind(&self) -> Option<&Part> {
        self.joiner.as_ref().map(|joiner| joiner.behind())
    }

    /// Settles samples whose targets are held back, since the stream has ended: what was predicted for them can be scored.
    pub fn end(&mut self) {
        if let Some(joiner) = &mut self.joiner {
            joiner.release_all();
        }
    }

    /// Decodes a record that is a label whatever it holds besides.
    ///
    /// # Errors
    /// As [`Decoder::decode`], and where it is the label of no sample.
    #[inline(never)]
    pub fn decode_label(&mut self, record: &Record) -> Result<Sample<'_>, Rejection> {
        self.record_time = Some(crate::encode::time(record));
        self.note_record(record);
        self.is_label = true;
        self.decode_with(record.value.as_deref(), &record.headers, None)
    }

    /// Returns the row of the last sample.
    pub fn row(&self) -> Features<'_> {
        Features::with_nominal(&self.draft.row, self.index.nominal())
    }

    #[inline(never)]
    pub(super) fn finish_joined(&mut self) -> Result<Sample<'_>, Rejection> {
        let time = match self.index.schema().timestamp {
            // That of the record is of another clock.
            Some(_) => self.draft.timestamp.map(Moment::milliseconds),
            None => self.record_time,
        };
        let Self { joiner: Some(joiner), index, draft, record_key, has_record_key, is_label, .. } = self else {
            return Err(Rejection::NoFeatures);
        };
        joiner.begin();
        let record_key = has_record_key.then_some(&record_key[..]);
        joiner.set_key(match index.join() {
            [Some(place), _] => draft.drawn.keys[place].as_ref().map(String::as_bytes),
            [None, _] => draft.key.as_ref().map(String::as_bytes).or(record_key),
        });
        let known = joiner.settled().len();
        if *is_label || has_form_of_label(joiner, index, draft) {
            self.is_sample = false;
            label(joiner, index, draft, time)?;
            joiner.tick(time);
            draft.usage.count(true, draft.timestamp.is_some(), &[]);
            joiner.is(Role::Label);
            self.remember_targets(known);
            return Ok(self.joined());
        }
        if let Some(rejection) = self.nothing() {
            return Err(rejection);
        }
        self.accept()?;
        self.is_sample = true;
        if let Some(joiner) = &mut self.joiner {
            joiner.tick(time);
        }
        self.remember_targets(known);
        if !self.derived.is_empty() {
            self.fill_derived();
        }
        let Self { joiner: Some(joiner), draft, index, .. } = self else { return Err(Rejection::NoFeatures) };
        let role = joiner.add(draft.target, time, &draft.row, &draft.drawn.keys[..index.row_keys().len()]);
        if matches!(role, Role::Waits { .. }) {
            draft.target = None;
        }
        joiner.is(role);
        if role == Role::Whole {
            self.note_whole();
        }
        Ok(self.joined())
    }

    /// Notes once each what may not be meant: samples with their targets, and samples that no label can find.
    #[cold]
    fn note_whole(&mut self) {
        let Self { joiner: Some(joiner), index, draft, .. } = self else { return };
        let Some(join) = index.schema().labels.join() else { return };
        let (has_target, derived) = (draft.target.is_some(), index.derived_columns());
        if !joiner.tells(has_target) || has_target && join.marker.is_some() {
            return;
        }
        draft.notices.push(if has_target {
            let known = draft.row.iter().enumerate().skip(derived).find(|(_, value)| !value.is_nan());
            Notice::WholeSample { feature: known.and_then(|(i, _)| index.column_names().get(i)).cloned() }
        } else {
            Notice::Unjoinable { field: join.by.clone().or_else(|| index.schema().key.clone()) }
        });
    }

    /// Makes the last sample a part of the past, and settles it where its label came before it.
    #[inline(never)]
    pub(super) fn remember_joined(&mut self) {
        if !std::mem::take(&mut self.is_sample) {
            return;
        }
        if !self.derived.is_empty() {
            self.derived.remember(&self.draft.drawn, self.draft.target);
        }
        let Self { joiner: Some(joiner), draft, .. } = self else { return };
        if draft.target.is_some() || !matches!(joiner.role(), Role::Waits { .. }) {
            return;
        }
        joiner.answer_early();
        let Self { joiner: Some(joiner), derived, .. } = self else { return };
        remember(derived, joiner.settled_behind());
    }

    /// Makes targets that have come with this record a part of the past, but for the first ones, which are `known`.
    fn remember_targets(&mut self, known: usize) {
        let Self { joiner: Some(joiner), derived, .. } = self else { return };
        remember(derived, &joiner.settled()[known..]);
    }

    fn joined(&self) -> Sample<'_> {
        let Self { draft, joiner, .. } = self;
        Sample {
            features: self.row(),
            keys: &draft.drawn.keys,
            target: draft.target,
            key: draft.key.as_deref(),
            timestamp: draft.timestamp.map(Moment::milliseconds),
            late: joiner.as_ref().map(|joiner| joiner.part()),
        }
    }
}

fn remember(derived: &mut Derived, settled: &[Settled]) {
    for Settled { sample, outcome } in settled {
        if let Outcome::Labelled(target) | Outcome::Defaulted(target) = *outcome {
            derived.remember_target(&sample.keys, sample.time, target);
        }
    }
}

/// Returns true where a record among samples is a label.
fn has_form_of_label(joiner: &Joiner, index: &Index, draft: &Draft) -> bool {
    let Mode::SameTopic(join) = &joiner.config().mode else { return false };
    let [_, marker] = index.join();
    match join.marker.as_ref().zip(marker) {
        Some((marker, place)) => draft.drawn.keys[place].as_ref() == Some(&marker.value),
        None => draft.target.is_some() && draft.lost.is_empty() && draft.known + draft.new.len() == own(index, draft),
    }
}

/// Returns how many features of a record are only what samples and labels share besides: their key, what joins them, and their time.
fn own(index: &Index, draft: &Draft) -> usize {
    let schema = index.schema();
    let by = schema.labels.join().and_then(|join| join.by.as_ref());
    let mut names: Vec<&String> = [by, schema.key.as_ref(), schema.timestamp.as_ref()].into_iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let is_new = |name: &String| draft.new.iter().any(|new| new.name == *name);
    let is_known = |name: &String| {
        let column = index.column_names().iter().position(|known| known == name);
        column.is_some_and(|column| draft.row.get(column).is_some_and(|value| !value.is_nan()))
    };
    names.into_iter().filter(|name| is_new(name) || is_known(name)).count()
}

/// Joins a label to its sample.
fn label(joiner: &mut Joiner, index: &Index, draft: &Draft, time: Option<i64>) -> Result<(), Rejection> {
    let schema = index.schema();
    let Some(target) = draft.target else {
        return Err(Rejection::BadLabel { field: schema.target.clone(), setting: "schema.target" });
    };
    if !joiner.has_key() {
        let by = schema.labels.join().and_then(|join| join.by.as_ref()).or(schema.key.as_ref());
        return Err(Rejection::BadLabel { field: by.map_or("a key", String::as_str).to_owned(), setting: "labels.by" });
    }
    joiner.label(target, time)
}
