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

use std::{
    cell::Cell,
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
};

use crate::{decode::Rejection, digest::digest, prequential::Event};
use clock::Clock;
use ring::Ring;
use thalweg_features::Span;

pub use config::{Join, Labels, Marker, Mode, OnCorrection};
pub use waiting::{Answered, Counts, Early, Missed, Outcome, Part, Pending, Role, Settled, Waiting};

/// Part of all bytes that samples may take which have had their label.
const ANSWERED_SHARE: usize = 4;

/// Where a record is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    offset: i64,
    row: Option<u32>,
}

/// Joins labels to the samples that wait for them.
#[derive(Debug)]
pub(crate) struct Joiner {
    config: Labels,
    waiting: Ring<Arc<Waiting>>,
    /// Samples that have had their label, where another one would be told.
    answered: Ring<Answered>,
    /// Labels that wait for their sample.
    early: Ring<Arc<Early>>,
    /// Targets that are held back.
    held: BinaryHeap<Reverse<Held>>,
    clock: Clock,
    /// The latest time of a sample, where targets are held back.
    latest: Option<i64>,
    /// Number of the next sample that waits.
    next: u64,
    /// Samples so far.
    samples: u64,
    counts: Counts,
    /// Bytes that a sample takes elsewhere while it waits.
    beside: usize,
    /// Where the record is that is being read.
    place: Place,
    /// What it shares with a label or a sample, where it has that.
    key: Option<Vec<u8>>,
    /// Room for the next one.
    spare: Vec<u8>,
    /// The record that is being read.
    part: Part,
    /// What was settled behind it.
    behind: Part,
    /// True where these two were handed out.
    is_handed: [Cell<bool>; 2],
    /// What was told since the start: of samples without what joins them, and of samples with their targets.
    told: [bool; 2],
}

/// A target that is known, but held back.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The number of samples, or the time, at which it is known.
    due: i64,
    id: u64,
    target: f64,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.id).cmp(&(other.due, other.id))
    }
}

impl Joiner {
    /// Goes on from what waited; `None` where every target is in its sample.
    pub(crate) fn new(config: &Labels, pending: Pending) -> Option<Box<Self>> {
        if config.is_inline() {
            return None;
        }
        let Pending { next, samples, clock, waiting, answered, early, counts } = pending;
        Some(Box::new(Self {
            config: config.clone(),
            waiting: waiting.into_iter().collect(),
            answered: answered.into_iter().collect(),
            early: early.into_iter().collect(),
            held: BinaryHeap::new(),
            latest: None,
            clock,
            next,
            samples,
            counts,
            beside: 0,
            place: Place::default(),
            key: None,
            spare: Vec::new(),
            part: Part::default(),
            behind: Part::default(),
            is_handed: Default::default(),
            told: [false; 2],
        }))
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
        // The next record makes room, so that what leaves then is told with it.
        self.beside = bytes;
    }

    /// Says where the record is that is read next.
    pub(crate) fn at(&mut self, offset: i64, row: Option<u32>) {
        self.place = Place { offset, row };
    }

    pub(crate) fn config(&self) -> &Labels {
        &self.config
    }

    /// Sets what the record that is being read shares with a label or a sample.
    pub(crate) fn set_key(&mut self, key: Option<&[u8]>) {
        let mut buffer = self.key.take().unwrap_or_else(|| std::mem::take(&mut self.spare));
        match key {
            Some(key) => {
                buffer.clear();
                buffer.extend_from_slice(key);
                self.key = Some(buffer);
            }
            None => self.spare = buffer,
        }
    }

    /// Returns true where it shares something.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
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

    /// Begins a record. What was settled before and nobody has seen, since the record was refused or nobody asked for what is behind
    /// it, counts with this one.
    pub(crate) fn begin(&mut self) {
        let Self { part, behind, is_handed, .. } = self;
        let [part_is_handed, behind_is_handed] = is_handed.each_ref().map(Cell::take);
        if part_is_handed {
            part.clear();
        }
        if !behind_is_handed {
            part.settled.append(&mut behind.settled);
            part.unmatched.append(&mut behind.unmatched);
        }
        behind.clear();
    }

    /// Says what the record is.
    pub(crate) fn is(&mut self, role: Role) {
        self.part.role = role;
    }

    /// Returns what the record is, and what it has brought about.
    pub(crate) fn part(&self) -> &Part {
        self.is_handed[0].set(true);
        &self.part
    }

    /// Returns true the first time that a sample with its target is to be told, or one that nothing can be joined to.
    pub(crate) fn tells(&mut self, has_target: bool) -> bool {
        !std::mem::replace(&mut self.told[usize::from(has_target)], true)
    }

    /// Returns what the record is.
    pub(crate) fn role(&self) -> Role {
        self.part.role
    }

    /// Returns what it has brought about so far.
    pub(crate) fn settled(&self) -> &[Settled] {
        &self.part.settled
    }

    /// Returns what was settled behind the last record.
    pub(crate) fn behind(&self) -> &Part {
        self.is_handed[1].set(true);
        &self.behind
    }

    /// Returns the same, and does not count as having been asked for it.
    pub(crate) fn settled_behind(&self) -> &[Settled] {
        &self.behind.settled
    }

    /// Takes a label.
    ///
    /// # Errors
    /// The reason why it belongs to no sample.
    pub(crate) fn label(&mut self, target: f64, time: Option<i64>) -> Result<(), Rejection> {
        let key = self.key.as_deref().unwrap_or_default();
        if let Some(sample) = self.waiting.take(key) {
            self.answer(sample, target, time);
            return Ok(());
        }
        if let Some(answered) = self.answered.newest(&digest(key).to_be_bytes()) {
            let learns = self.config.on_correction == OnCorrection::Learn;
            let Some(sample) = answered.sample.as_ref().filter(|sample| learns && *sample.key == *key) else {
                return Err(Rejection::AlreadyLabelled { key: shown(key) });
            };
            self.counts.corrected += 1;
            self.part.settled.push(Settled { sample: Arc::clone(sample), outcome: Outcome::Corrected(target) });
            return Ok(());
        }
        if self.config.max_early == 0 {
            return Err(Rejection::NoSample { key: shown(key) });
        }
        // One is of the next sample of that id; by the records' key, each is of one.
        if self.goes_by_id() && self.config.on_correction == OnCorrection::Refuse && self.early.has(key) {
            return Err(Rejection::AlreadyLabelled { key: shown(key) });
        }
        let Place { offset, row, .. } = self.place;
        let time = time.or(self.clock.now());
        self.early.push(Arc::new(Early { key: key.into(), target, time, since: None, offset, row }));
        self.make_room();
        Ok(())
    }

    /// Counts a label's delay, and settles its sample.
    fn answer(&mut self, sample: Arc<Waiting>, target: f64, time: Option<i64>) {
        self.counts.labelled += 1;
        if let Some((label, asked)) = time.or(self.clock.now()).zip(sample.time) {
            self.counts.delays.update(label.saturating_sub(asked).max(0) as f64 / 1000.0);
        }
        if self.goes_by_id() {
            let learns = self.config.on_correction == OnCorrection::Learn;
            self.answered.push(Answered {
                digest: digest(&sample.key).to_be_bytes(),
                since: None,
                sample: learns.then(|| Arc::clone(&sample)),
            });
        }
        self.part.settled.push(Settled { sample, outcome: Outcome::Labelled(target) });
        self.make_room();
    }

    /// Notes the time of a record, and settles what has waited for too long.
    pub(crate) fn tick(&mut self, time: Option<i64>) {
        if let Mode::Delayed(span) = self.config.mode {
            self.release(span, time);
            return;
        }
        // Rows of one record are one time.
        if self.place.row.is_none_or(|row| row == 0) && self.clock.note(time) {
            self.turn_back();
        }
        self.make_room();
        let Some(now) = self.clock.now() else { return };
        // The clock has seen the record that they came with only now: a time that is wrong is not theirs.
        self.waiting.stamp(now, |sample, now| Arc::make_mut(sample).since = Some(now));
        self.early.stamp(now, |early, now| Arc::make_mut(early).since = Some(now));
        self.answered.stamp(now, |answered, now| answered.since = Some(now));
        let before = |wait: u64| now.saturating_sub_unsigned(wait);
        while let Some(sample) = self.waiting.take_before(before(self.config.max_wait)) {
            self.miss(sample, Missed::Expired);
        }
        while self.answered.take_before(before(self.config.max_wait)).is_some() {}
        while let Some(early) = self.early.take_before(before(self.config.max_early)) {
            self.counts.unmatched += 1;
            self.part.unmatched.push(early);
        }
    }

    /// Settles samples whose targets are held back no longer, when the next one comes.
    fn release(&mut self, span: Span, time: Option<i64>) {
        self.latest = time.or(self.latest);
        let now = match span {
            Span::Samples(_) => Some(i64::try_from(self.samples).unwrap_or(i64::MAX)),
            Span::Time(_) => self.latest,
        };
        while let Some(Reverse(held)) = self.held.peek().copied()
            && now.is_some_and(|now| held.due <= now)
        {
            self.held.pop();
            // One that there was no room for has left.
            if let Some(sample) = self.waiting.take(&held.id.to_be_bytes()) {
                self.answer(sample, held.target, time);
            }
        }
    }

    /// Returns when a target that is held back from now on is known.
    fn due(&self, span: Span, time: Option<i64>) -> i64 {
        match span {
            Span::Samples(count) => i64::try_from(self.samples).unwrap_or(i64::MAX).saturating_add(count.into()),
            Span::Time(span) => time.or(self.latest).map_or(i64::MIN, |time| time.saturating_add(span)),
        }
    }

    fn goes_by_id(&self) -> bool {
        self.config.join().is_some_and(|join| join.by.is_some())
    }

    /// Has what came when the clock was wrong stand at what it is now.
    fn turn_back(&mut self) {
        let Some(now) = self.clock.now() else { return };
        self.waiting.turn_back(now, |sample, now| Arc::make_mut(sample).since = Some(now));
        self.early.turn_back(now, |early, now| Arc::make_mut(early).since = Some(now));
        self.answered.turn_back(now, |answered, now| answered.since = Some(now));
    }

    /// Settles all samples whose targets are held back, since the stream has ended.
    pub(crate) fn release_all(&mut self) {
        self.begin();
        for Reverse(Held { id, target, .. }) in std::mem::take(&mut self.held).into_sorted_vec().into_iter().rev() {
            if let Some(sample) = self.waiting.take(&id.to_be_bytes()) {
                self.answer(sample, target, None);
            }
        }
        std::mem::swap(&mut self.part, &mut self.behind);
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
        self.part.settled.push(Settled { sample, outcome });
    }

    /// Counts a sample. One without a target that has a key waits for its label, and one whose `target` is held back for that.
    pub(crate) fn add(
        &mut self,
        target: Option<f64>,
        time: Option<i64>,
        features: &[f64],
        keys: &[Option<String>],
    ) -> Role {
        let delay = match self.config.mode {
            Mode::Delayed(span) => Some(self.due(span, time)),
            Mode::Inline | Mode::SameTopic(_) | Mode::Topic(_) => None,
        };
        self.samples += 1;
        let is_delayed = delay.is_some();
        let id = self.next;
        let number = id.to_be_bytes();
        let key = match (is_delayed, target) {
            (true, Some(_)) => &number[..],
            (false, None) if self.key.is_some() => self.key.as_deref().unwrap_or_default(),
            (false, Some(_)) if self.goes_by_id() && self.key.is_some() => {
                // Another label would be a second one.
                let key = self.key.as_deref().unwrap_or_default();
                self.answered.push(Answered { digest: digest(key).to_be_bytes(), since: None, sample: None });
                return Role::Whole;
            }
            _ => return Role::Whole,
        };
        self.next += 1;
        let Place { offset, row, .. } = self.place;
        self.waiting.push(Arc::new(Waiting {
            id,
            offset,
            row,
            key: key.into(),
            time: time.or(self.clock.now()),
            since: None,
            features: features.into(),
            keys: keys.into(),
        }));
        if let Some((due, target)) = delay.zip(target) {
            self.held.push(Reverse(Held { due, id, target }));
        }
        Role::Waits { id, held: target }
    }

    /// Settles the newest sample where its label came before it, once it has been predicted.
    pub(crate) fn answer_early(&mut self) {
        // What it settles is behind the record, and has a place of its own.
        self.behind.clear();
        self.is_handed[1].set(false);
        std::mem::swap(&mut self.part, &mut self.behind);
        if let Some(key) = self.key.as_deref().filter(|key| self.early.has(key) && self.waiting.has(key))
            && let (Some(early), Some(sample)) = (self.early.take(key), self.waiting.take(key))
        {
            let corrected = if self.goes_by_id() { self.early.take(key) } else { None };
            self.answer(Arc::clone(&sample), early.target, early.time);
            if let Some(early) = corrected {
                self.counts.corrected += 1;
                self.part.settled.push(Settled { sample, outcome: Outcome::Corrected(early.target) });
            }
        }
        self.make_room();
        std::mem::swap(&mut self.part, &mut self.behind);
    }

    /// Lets go of what has waited longest until the rest fits.
    fn make_room(&mut self) {
        let Self { answered, config, .. } = self;
        while answered.bytes() > config.max_pending / ANSWERED_SHARE && answered.take_oldest().is_some() {}
        while self.bytes() > self.config.max_pending {
            if self.answered.take_oldest().is_some() {
                continue;
            }
            if let Some(early) = self.early.take_oldest() {
                self.counts.unmatched += 1;
                self.part.unmatched.push(early);
                continue;
            }
            let Some(sample) = self.waiting.take_oldest() else { return };
            self.miss(sample, Missed::NoRoom);
        }
    }
}

/// What a record brought about, which is published as an event.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Something of the race.
    Race(Event),
    /// Samples that wait no longer: why, how many, and the input offsets of the first and the last; they were learned with `default`
    /// where there is one.
    Missed { why: Missed, samples: u64, offsets: [i64; 2], default: Option<f64> },
    /// A label whose sample never came.
    Unmatched(Arc<Early>),
}

/// Adds what is to be published of what a record brought about.
#[cold]
pub(crate) fn tell(part: &Part, told: &mut Vec<Told>) {
    let Part { settled, unmatched, .. } = part;
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
}

/// Returns the beginning of a key, for people.
fn shown(key: &[u8]) -> String {
    const MOST: usize = 40;
    let text = String::from_utf8_lossy(key);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}
