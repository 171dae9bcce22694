//! Targets that come later than their samples (`[labels]`): which sample a label belongs to, and what waits for one.
//!
//! Invariant: what becomes of a sample is settled once, in the order of the records, and follows from them alone: time is that of the
//! samples. All that waits is within a budget of bytes.
//! What this does not do: predict, score or learn. What was predicted is kept by the race, under the number that a sample waits by.
//!
//! Reading order: `config` (what can be asked), `waiting` (what waits), `ring` (in which order), `clock` (the time of the samples),
//! this file (what a record settles).

mod clock;
mod config;
mod ring;
mod waiting;

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use thalweg_features::Span;
use thalweg_topic::record::Record;

use crate::decode::Rejection;
use clock::Clock;
use ring::Ring;

pub use config::{Join, Labels, Marker, Mode, OnCorrection};
pub use waiting::{Counts, Early, Missed, Outcome, Pending, Role, Settled, Waiting};

/// Where a record is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) offset: i64,
    pub(crate) row: Option<u32>,
    /// Its key.
    pub(crate) key: Option<Vec<u8>>,
}

/// Joins labels to the samples that wait for them.
#[derive(Debug)]
pub(crate) struct Joiner {
    config: Labels,
    waiting: Ring<Waiting>,
    /// Samples that have had their label, where another one would be told.
    answered: Ring<Waiting>,
    /// Labels that wait for their sample.
    early: Ring<Early>,
    /// Targets that are held back.
    held: VecDeque<Held>,
    clock: Clock,
    /// Number of the next sample that waits.
    next: u64,
    /// Samples so far.
    samples: u64,
    counts: Counts,
    /// Bytes that a sample takes elsewhere while it waits.
    beside: usize,
    /// Where the record is that is being read.
    place: Place,
    settled: Vec<Settled>,
    unmatched: Vec<Arc<Early>>,
    /// How many of these two were handed out.
    handed: Cell<[usize; 2]>,
}

/// A target that is known, but held back.
#[derive(Debug)]
struct Held {
    id: u64,
    target: f64,
    /// Samples before its own.
    samples: u64,
    time: Option<i64>,
}

impl Joiner {
    /// Goes on from what waited; `None` where every target is in its sample.
    pub(crate) fn new(config: &Labels, pending: Pending) -> Option<Box<Self>> {
        if config.is_inline() {
            return None;
        }
        let Pending { next, samples, clock, waiting, answered, early, counts } = pending;
        let mut joiner = Self {
            config: config.clone(),
            waiting: waiting.into_iter().collect(),
            answered: answered.into_iter().collect(),
            early: early.into_iter().collect(),
            held: VecDeque::new(),
            clock,
            next,
            samples,
            counts,
            beside: 0,
            place: Place::default(),
            settled: Vec::new(),
            unmatched: Vec::new(),
            handed: Cell::default(),
        };
        joiner.make_room();
        Some(Box::new(joiner))
    }

    /// Returns a copy of all that a later start needs.
    pub(crate) fn pending(&self) -> Pending {
        Pending {
            next: self.next,
            samples: self.samples,
            clock: self.clock,
            waiting: self.waiting.iter().cloned().collect(),
            answered: self.answered.iter().cloned().collect(),
            early: self.early.iter().cloned().collect(),
            counts: self.counts.clone(),
        }
    }

    /// Sets the bytes that a sample takes elsewhere while it waits.
    pub(crate) fn set_beside(&mut self, bytes: usize) {
        self.beside = bytes;
        self.make_room();
    }

    /// Says where the record is that is read next.
    pub(crate) fn at(&mut self, record: &Record) {
        let place = &mut self.place;
        (place.offset, place.row) = (record.offset, record.row);
        match (&record.key, &mut place.key) {
            (Some(key), Some(known)) => {
                known.clear();
                known.extend_from_slice(key);
            }
            (key, known) => *known = key.as_deref().map(<[u8]>::to_vec),
        }
    }

    pub(crate) fn config(&self) -> &Labels {
        &self.config
    }

    /// Returns the key of the record that is being read.
    pub(crate) fn record_key(&self) -> Option<&[u8]> {
        self.place.key.as_deref()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns how many samples wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the bytes of all that waits.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting.bytes() + self.waiting.len() * self.beside + self.answered.bytes() + self.early.bytes()
    }

    /// Forgets what was handed out.
    pub(crate) fn begin(&mut self) {
        let [settled, unmatched] = self.handed.take();
        self.settled.drain(..settled);
        self.unmatched.drain(..unmatched);
    }

    /// Returns what has been settled since the last record, in order, and labels whose sample never came.
    pub(crate) fn settled(&self) -> (&[Settled], &[Arc<Early>]) {
        let [settled, unmatched] = self.handed.replace([self.settled.len(), self.unmatched.len()]);
        (&self.settled[settled..], &self.unmatched[unmatched..])
    }

    /// Returns what has been settled from number `first` on.
    pub(crate) fn settled_since(&self, first: usize) -> &[Settled] {
        &self.settled[first..]
    }

    /// Returns how much has been settled since the last record.
    pub(crate) fn settled_count(&self) -> usize {
        self.settled.len()
    }

    /// Takes a label.
    ///
    /// # Errors
    /// The reason why it belongs to no sample.
    pub(crate) fn label(&mut self, key: &[u8], target: f64, time: Option<i64>) -> Result<(), Rejection> {
        if let Some(sample) = self.waiting.take(key) {
            self.answer(sample, target, time);
            return Ok(());
        }
        if let Some(sample) = self.answered.newest(key) {
            if self.config.on_correction == OnCorrection::Refuse {
                return Err(Rejection::AlreadyLabelled { key: shown(key) });
            }
            self.counts.corrected += 1;
            self.settled.push(Settled { sample: Arc::clone(sample), outcome: Outcome::Corrected(target) });
            return Ok(());
        }
        if self.config.max_early == 0 {
            return Err(Rejection::NoSample { key: shown(key) });
        }
        let Place { offset, row, .. } = self.place;
        let time = time.or(self.clock.now());
        self.early.push(Arc::new(Early { key: key.into(), target, time, offset, row }));
        self.make_room();
        Ok(())
    }

    /// Counts a label's delay, and settles its sample.
    fn answer(&mut self, sample: Arc<Waiting>, target: f64, time: Option<i64>) {
        self.counts.labelled += 1;
        if let Some((label, asked)) = time.zip(sample.time) {
            self.counts.delays.update(label.saturating_sub(asked).max(0) as f64 / 1000.0);
        }
        if self.config.join().is_some_and(|join| join.by.is_some()) {
            let remembered = match self.config.on_correction {
                OnCorrection::Learn => Arc::clone(&sample),
                OnCorrection::Refuse => Arc::new(sample.without_row()),
            };
            self.answered.push(remembered);
        }
        self.settled.push(Settled { sample, outcome: Outcome::Labelled(target) });
        self.make_room();
    }

    /// Notes the time of a record, and settles what has waited for too long.
    pub(crate) fn tick(&mut self, time: Option<i64>) {
        if let Mode::Delayed(span) = self.config.mode {
            self.release(span, time);
            return;
        }
        self.clock.note(time);
        let Some(now) = self.clock.now() else { return };
        let before = |wait: u64| now.saturating_sub_unsigned(wait);
        while let Some(sample) = self.waiting.take_before(before(self.config.max_wait)) {
            self.miss(sample, Missed::Expired);
        }
        while self.answered.take_before(before(self.config.max_wait)).is_some() {}
        while let Some(early) = self.early.take_before(before(self.config.max_early)) {
            self.counts.unmatched += 1;
            self.unmatched.push(early);
        }
    }

    /// Settles samples whose targets are held back no longer, when the next one comes.
    fn release(&mut self, span: Span, time: Option<i64>) {
        while let Some(held) = self.held.front() {
            let is_due = match span {
                Span::Samples(count) => held.samples + u64::from(count) < self.samples,
                Span::Time(span) => time.zip(held.time).is_some_and(|(now, then)| then.saturating_add(span) <= now),
            };
            if !is_due {
                return;
            }
            let Held { id, target, .. } = *held;
            self.held.pop_front();
            // One that there was no room for has left.
            if let Some(sample) = self.waiting.take(&id.to_be_bytes()) {
                self.answer(sample, target, time);
            }
        }
    }

    /// Settles all samples whose targets are held back, since the stream has ended.
    pub(crate) fn release_all(&mut self) {
        for Held { id, target, .. } in std::mem::take(&mut self.held) {
            if let Some(sample) = self.waiting.take(&id.to_be_bytes()) {
                self.answer(sample, target, None);
            }
        }
    }

    fn miss(&mut self, sample: Arc<Waiting>, missed: Missed) {
        let outcome = match (missed, self.config.default) {
            (Missed::Expired, Some(target)) => Outcome::Defaulted(target),
            _ => Outcome::Missed(missed),
        };
        match missed {
            Missed::Expired => self.counts.expired += 1,
            Missed::NoRoom => self.counts.no_room += 1,
        }
        self.settled.push(Settled { sample, outcome });
    }

    /// Counts a sample. One without a target that has a key waits for its label, and one whose `target` is held back for that.
    pub(crate) fn add(
        &mut self,
        key: Option<&[u8]>,
        target: Option<f64>,
        time: Option<i64>,
        features: &[f64],
        keys: &[Option<String>],
    ) -> Role {
        self.samples += 1;
        let is_delayed = matches!(self.config.mode, Mode::Delayed(_));
        let id = self.next;
        let number = id.to_be_bytes();
        let key = match (is_delayed, target) {
            (true, Some(_)) => &number[..],
            (false, None) if key.is_some() => key.unwrap_or_default(),
            _ => return Role::Whole,
        };
        self.next += 1;
        let Place { offset, row, .. } = self.place;
        let stands_for = time.or(self.clock.now());
        self.waiting.push(Arc::new(Waiting {
            id,
            offset,
            row,
            key: key.into(),
            time: stands_for,
            features: features.into(),
            keys: keys.into(),
        }));
        if let Some(target) = target {
            self.held.push_back(Held { id, target, samples: self.samples - 1, time });
        }
        Role::Waits { id, held: target }
    }

    /// Settles the newest sample where its label came before it, once it has been predicted.
    pub(crate) fn answer_early(&mut self, key: Option<&[u8]>) {
        if let Some(key) = key.filter(|key| self.early.has(key) && self.waiting.has(key))
            && let (Some(early), Some(sample)) = (self.early.take(key), self.waiting.take(key))
        {
            self.answer(sample, early.target, early.time);
        }
        self.make_room();
    }

    /// Lets go of what has waited longest until the rest fits.
    fn make_room(&mut self) {
        while self.bytes() > self.config.max_pending {
            if self.answered.take_oldest().is_some() {
                continue;
            }
            if let Some(early) = self.early.take_oldest() {
                self.counts.unmatched += 1;
                self.unmatched.push(early);
                continue;
            }
            let Some(sample) = self.waiting.take_oldest() else { return };
            self.miss(sample, Missed::NoRoom);
        }
    }
}

/// Something about samples or labels that is published as an event.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Samples that wait no longer: why, how many, and the input offsets of the first and the last; they were learned with `default`
    /// where there is one.
    Missed { why: Missed, samples: u64, offsets: [i64; 2], default: Option<f64> },
    /// A label whose sample never came.
    Unmatched(Arc<Early>),
}

/// Returns what is to be published of what a record settled.
pub(crate) fn told(settled: &[Settled], unmatched: &[Arc<Early>]) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for Settled { sample, outcome } in settled {
        let (missed, learned_with) = match *outcome {
            Outcome::Missed(missed) => (missed, None),
            Outcome::Defaulted(target) => (Missed::Expired, Some(target)),
            Outcome::Labelled(_) | Outcome::Corrected(_) => continue,
        };
        match told.last_mut() {
            Some(Told::Missed { why, samples, offsets: [_, last], .. }) if *why == missed => {
                *samples += 1;
                *last = sample.offset;
            }
            _ => {
                told.push(Told::Missed { why: missed, samples: 1, offsets: [sample.offset; 2], default: learned_with })
            }
        }
    }
    told.extend(unmatched.iter().cloned().map(Told::Unmatched));
    told
}

/// Returns the beginning of a key, for people.
fn shown(key: &[u8]) -> String {
    const MOST: usize = 40;
    let text = String::from_utf8_lossy(key);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}
