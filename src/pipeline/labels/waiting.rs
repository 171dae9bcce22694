//! What waits: samples for their targets, and labels for their samples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_metrics::{Quantiles, checked};

use super::{clock::Clock, ring::Entry};
use crate::decode::MAX_MAGNITUDE;

/// A sample that waits for its target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Number by which the race keeps what it predicted.
    pub id: u64,
    /// Input offset of its record.
    pub offset: i64,
    /// Its row, where the record holds many.
    pub row: Option<u32>,
    /// What its label shares with it.
    pub key: Arc<[u8]>,
    /// Its time, in milliseconds since 1970; that of the stream where it had none.
    pub time: Option<i64>,
    /// The stream's time when it came.
    pub(super) since: Option<i64>,
    /// Its features as they were predicted from, NaN where unknown.
    pub features: Box<[f64]>,
    /// What features of the past are kept apart by, and models.
    pub keys: Box<[Option<String>]>,
}

checked!(Waiting { id, offset, row, key: any, time, since, features: any, keys: any } then is_sound);

impl Waiting {
    fn is_sound(&mut self) -> Result<(), &'static str> {
        let is_sound = self.features.iter().all(|value| value.is_nan() || value.abs() <= MAX_MAGNITUDE);
        if is_sound { Ok(()) } else { Err("a feature is beyond what records can hold") }
    }
}

/// A sample that has had its label.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Digest of what its label shared with it.
    pub(super) digest: [u8; 8],
    /// The stream's time when its label came.
    pub(super) since: Option<i64>,
    /// The sample, where another label would have it learned once more.
    pub(super) sample: Option<Arc<Waiting>>,
}

checked!(Answered { digest: any, since, sample });

impl Entry for Answered {
    fn key(&self) -> &[u8] {
        &self.digest
    }

    fn since(&self) -> Option<i64> {
        self.since
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.sample.as_ref().map_or(0, |sample| sample.key.len() + sample.bytes())
    }
}

impl Entry for Waiting {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn since(&self) -> Option<i64> {
        self.since
    }

    fn bytes(&self) -> usize {
        let text = |key: &Option<String>| size_of::<Option<String>>() + key.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.key.len() + self.features.len() * 8 + self.keys.iter().map(text).sum::<usize>()
    }
}

/// A label that waits for its sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Early {
    /// What it shares with its sample.
    pub key: Arc<[u8]>,
    /// The target.
    pub target: f64,
    /// Its time, in milliseconds since 1970; that of the stream where it had none.
    pub time: Option<i64>,
    /// The stream's time when it came.
    pub(super) since: Option<i64>,
    /// Input offset of its record.
    pub offset: i64,
    /// Its row, where the record holds many.
    pub row: Option<u32>,
}

checked!(Early { key: any, target, time, since, offset, row });

impl Entry for Early {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn since(&self) -> Option<i64> {
        self.since
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.len()
    }
}

/// What a record is in a stream whose targets come late, and what it brings about.
#[derive(Debug, Default)]
pub struct Part {
    /// What it is.
    pub role: Role,
    /// What has become of earlier samples, in order, before this one counts.
    pub settled: Vec<Settled>,
    /// Labels whose samples never came.
    pub unmatched: Vec<Arc<Early>>,
}

impl Part {
    pub(super) fn clear(&mut self) {
        self.settled.clear();
        self.unmatched.clear();
    }
}

/// What a record is in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Role {
    /// A sample; it is learned at once where it has a target.
    #[default]
    Whole,
    /// A sample that waits for its target.
    Waits {
        /// Number by which the race keeps what it predicts.
        id: u64,
        /// The target, where it is known but held back.
        held: Option<f64>,
    },
    /// The target of an earlier sample; it has no features itself.
    Label,
}

/// What became of a sample that waited.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The sample.
    pub sample: Arc<Waiting>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a sample that waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Its target came.
    Labelled(f64),
    /// Another target came, which counts now.
    Corrected(f64),
    /// None came in time, and it is learned with this one.
    Defaulted(f64),
    /// None came.
    Missed(Missed),
}

/// Why a sample waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It has waited as long as it may.
    Expired,
    /// What came later needed its room.
    NoRoom,
}

impl Missed {
    /// Returns its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Missed::Expired => "expired",
            Missed::NoRoom => "no_room",
        }
    }
}

/// Numbers since the beginning.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Samples whose label came.
    pub labelled: u64,
    /// Labels by which a sample was learned once more.
    pub corrected: u64,
    /// Samples that waited for too long.
    pub expired: u64,
    /// Samples that left for want of room.
    pub no_room: u64,
    /// Labels that waited for a sample in vain.
    pub unmatched: u64,
    /// Time from a sample to its label, in seconds.
    pub delays: Quantiles,
}

checked!(Counts { labelled, corrected, expired, no_room, unmatched, delays });

/// All that waits, as it is kept in a state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pending {
    pub(super) next: u64,
    pub(super) samples: u64,
    pub(super) clock: Clock,
    pub(super) waiting: Vec<Arc<Waiting>>,
    pub(super) answered: Vec<Answered>,
    pub(super) early: Vec<Arc<Early>>,
    pub(super) counts: Counts,
}

checked!(Pending { next, samples, clock, waiting, answered, early, counts } then fits);

impl Pending {
    fn fits(&mut self) -> Result<(), &'static str> {
        let mut ids = self.waiting.iter().map(|sample| sample.id);
        let last = ids.next_back();
        if ids.chain(last).is_sorted_by(|one, other| one < other) && last.is_none_or(|last| last < self.next) {
            Ok(())
        } else {
            Err("the numbers of samples that wait are not in order")
        }
    }

    /// Returns true where what waits knows so many keys of each sample.
    pub(crate) fn has_keys(&self, count: usize) -> bool {
        let of_answered = self.answered.iter().filter_map(|answered| answered.sample.as_ref());
        self.waiting.iter().chain(of_answered).all(|sample| sample.keys.len() == count)
    }

    /// Gives samples the keys `now` of those that they had `before`; of one that they had not, none is known.
    pub(crate) fn reorder_keys(&mut self, before: &[String], now: &[String]) {
        if before == now {
            return;
        }
        let places: Vec<Option<usize>> = now.iter().map(|key| before.iter().position(|it| it == key)).collect();
        let reorder = |sample: &mut Arc<Waiting>| {
            let keys = places.iter().map(|place| place.and_then(|i| sample.keys.get(i).cloned().flatten())).collect();
            Arc::make_mut(sample).keys = keys;
        };
        let of_answered = self.answered.iter_mut().filter_map(|answered| answered.sample.as_mut());
        self.waiting.iter_mut().chain(of_answered).for_each(reorder);
    }

    /// Returns the numbers of the samples that wait.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().map(|sample| sample.id)
    }

    /// Returns true where nothing has ever waited, so that it need not be kept.
    pub fn is_empty(&self) -> bool {
        self.samples == 0 && self.early.is_empty() && self.counts.unmatched == 0
    }
}
