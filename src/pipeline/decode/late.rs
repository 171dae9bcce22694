//! Records of a stream whose targets come late: which one is a label, and whose.
//!
//! Invariant: as for all records, one that is refused leaves no trace. What a record settles counts before its own features are made,
//! since it is known by then.

use std::sync::Arc;

use thalweg_models::Features;

use super::{Decoder, Rejection, Sample, draft::Draft, index::Index, time::Moment};
use crate::labels::{Counts, Early, Joiner, Mode, Outcome, Pending, Role, Settled};

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

    /// Returns what has become of samples that waited since that was last returned, by this or with a sample.
    pub fn settled(&self) -> (&[Settled], &[Arc<Early>]) {
        match &self.joiner {
            Some(joiner) => joiner.settled(),
            None => (&[], &[]),
        }
    }

    /// Settles samples whose targets are held back, since the stream has ended: what was predicted for them can be scored.
    pub fn end(&mut self) {
        if let Some(joiner) = &mut self.joiner {
            joiner.release_all();
        }
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
        let Self { joiner: Some(joiner), index, draft, .. } = self else { return Err(Rejection::NoFeatures) };
        joiner.begin();
        let first = joiner.settled_count();
        if is_label(joiner, index, draft) {
            self.is_sample = false;
            label(joiner, index, draft, time)?;
            joiner.tick(time);
            draft.usage.count(true, draft.timestamp.is_some(), &[]);
            self.remember_targets(first);
            return Ok(self.sample(Role::Label));
        }
        if let Some(rejection) = self.nothing() {
            return Err(rejection);
        }
        self.accept()?;
        self.is_sample = true;
        if let Some(joiner) = &mut self.joiner {
            joiner.tick(time);
        }
        self.remember_targets(first);
        if !self.derived.is_empty() {
            self.fill_derived();
        }
        let Self { joiner: Some(joiner), index, draft, derived, .. } = self else { return Err(Rejection::NoFeatures) };
        let key = join_key(index, draft, joiner).map(<[u8]>::to_vec);
        let role = joiner.add(key.as_deref(), draft.target, time, &draft.row, derived.keys_of(&draft.drawn));
        if matches!(role, Role::Waits { .. }) {
            draft.target = None;
        }
        Ok(self.sample(role))
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
        let Self { joiner: Some(joiner), index, draft, .. } = self else { return };
        joiner.begin();
        let first = joiner.settled_count();
        if draft.target.is_none() {
            let key = join_key(index, draft, joiner).map(<[u8]>::to_vec);
            joiner.answer_early(key.as_deref());
        }
        self.remember_targets(first);
    }

    /// Makes targets that have come a part of the past, from number `first` of what was settled on.
    fn remember_targets(&mut self, first: usize) {
        let Self { joiner: Some(joiner), derived, .. } = self else { return };
        for Settled { sample, outcome } in joiner.settled_since(first) {
            if let Outcome::Labelled(target) | Outcome::Defaulted(target) = *outcome {
                derived.remember_target(&sample.keys, sample.time, target);
            }
        }
    }

    fn sample(&self, role: Role) -> Sample<'_> {
        let Self { draft, .. } = self;
        let (settled, unmatched) = self.settled();
        Sample {
            features: self.row(),
            target: draft.target,
            key: draft.key.as_deref(),
            timestamp: draft.timestamp.map(Moment::milliseconds),
            role,
            settled,
            unmatched,
        }
    }
}

/// Returns true where a record is a label.
fn is_label(joiner: &Joiner, index: &Index, draft: &Draft) -> bool {
    let Mode::SameTopic(join) = &joiner.config().mode else { return false };
    let [_, marker] = index.join();
    match join.marker.as_ref().zip(marker) {
        Some((marker, place)) => draft.drawn.keys[place].as_ref() == Some(&marker.value),
        None => draft.target.is_some() && draft.known + draft.new.len() + draft.lost.len() == 0,
    }
}

/// Joins a label to its sample.
fn label(joiner: &mut Joiner, index: &Index, draft: &Draft, time: Option<i64>) -> Result<(), Rejection> {
    let schema = index.schema();
    let Some(target) = draft.target else {
        return Err(Rejection::BadLabel { field: schema.target.clone(), setting: "schema.target" });
    };
    let Some(key) = join_key(index, draft, joiner).map(<[u8]>::to_vec) else {
        let by = schema.labels.join().and_then(|join| join.by.as_ref()).or(schema.key.as_ref());
        return Err(Rejection::BadLabel { field: by.map_or("a key", String::as_str).to_owned(), setting: "labels.by" });
    };
    joiner.label(&key, target, time)
}

/// Returns what a label shares with its sample, as this record has it.
fn join_key<'d>(index: &Index, draft: &'d Draft, joiner: &'d Joiner) -> Option<&'d [u8]> {
    match index.join() {
        [Some(place), _] => draft.drawn.keys[place].as_ref().map(String::as_bytes),
        [None, _] => draft.key.as_ref().map(String::as_bytes).or(joiner.record_key()),
    }
}
