//! Records that should have been read and are not there: how it is noticed, and what is done about it.
//!
//! Invariant: nothing is skipped in silence. A gap stops the worker, or, where the settings say so, is logged, counted
//! and published as an event with the first record after it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;
use thalweg_topic::record::Record;

/// What to do about a gap (`transport.on_gap`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Stop, and say what would be missed.
    #[default]
    Stop,
    /// Go on behind it with what has been learned.
    Continue,
}

/// How a gap came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The topic no longer holds records that have not been read.
    Retention,
    /// The topic has lost its newest records, for which there are predictions already.
    Truncated,
    /// The topic was made anew: its offsets mean other records now.
    Recreated,
    /// The state was learned from another topic.
    OtherTopic,
}

checked!(enum Reason = Retention | Truncated | Recreated | OtherTopic);

impl Reason {
    /// Its name in log lines and events.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Retention => "retention",
            Reason::Truncated => "truncated",
            Reason::Recreated => "recreated",
            Reason::OtherTopic => "other_topic",
        }
    }

    /// Whether offsets mean other records than before.
    pub fn changes_offsets(self) -> bool {
        matches!(self, Reason::Truncated | Reason::Recreated)
    }
}

/// Records that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How it came about.
    pub reason: Reason,
    /// Input offset that would have been next.
    pub requested: i64,
    /// Input offset that is next instead.
    pub resumed: i64,
    /// How many records lie between, where that is known.
    pub missed: Option<u64>,
}

checked!(Gap { reason, requested, resumed, missed: any });

impl Gap {
    /// What is missing of a partition that holds `range`, when `position` is next and the record before it looks as
    /// `anchor` says (`None`: that is not known); `found` is the record that is there in its place.
    pub fn in_range(position: i64, range: &Range<i64>, anchor: Option<Anchor>, found: Option<&Record>) -> Option<Self> {
        let other = anchor.zip(found).is_some_and(|(anchor, found)| anchor.is_another(found));
        let gap = |reason, missed| Self { reason, requested: position, resumed: range.start, missed };
        if position > range.end || other {
            Some(gap(Reason::Recreated, None))
        } else if position < range.start {
            Some(gap(Reason::Retention, Some(position.abs_diff(range.start))))
        } else {
            None
        }
    }

    /// What is missing of a partition that ends at `end` when records up to `published` have been published.
    pub fn at_the_end(published: i64, end: i64) -> Option<Self> {
        let gap = Self { reason: Reason::Truncated, requested: published, resumed: end, missed: None };
        (published > end).then_some(gap)
    }

    /// It in words, with what can be done, where `topic`/`partition` holds `available`.
    pub fn told(&self, topic: &str, partition: i32, available: &Range<i64>, learned_from: &str) -> String {
        let Range { start, end } = available;
        let requested = self.requested;
        let what = match self.reason {
            Reason::Retention => format!(
                "`{topic}`/{partition} holds offsets {start} to {end} and no longer {requested}, which is next: {} records would \
             be missed",
                self.missed.unwrap_or(0)
            ),
            Reason::Truncated => format!(
                "`{topic}`/{partition} ends at offset {end}, but there are predictions for its records up to {requested}: it has \
             lost its newest records"
            ),
            Reason::Recreated => format!(
                "`{topic}`/{partition} has been made anew: it holds offsets {start} to {end} and other records than those \
             before {requested} that were read; how many were missed is not known"
            ),
            Reason::OtherTopic => format!(
                "the state was learned from `{learned_from}`/{partition} up to offset {requested}, and the settings name \
             `{topic}` (offsets {start} to {end})"
            ),
        };
        format!(
            "{what}. To go on with what has been learned set transport.on_gap = \"continue\"; to begin with nothing name \
         another state.path"
        )
    }
}

/// By which the last record that was processed is known again: a topic made anew has another one at its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its offset.
    pub offset: i64,
    timestamp: i64,
    /// CRC-32 of key and value.
    checksum: u32,
}

checked!(Anchor { offset, timestamp, checksum });

impl Anchor {
    /// The anchor that a record is.
    pub fn of(record: &Record) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        for part in [&record.key, &record.value].into_iter().flatten() {
            checksum.update(part);
        }
        Self { offset: record.offset, timestamp: record.timestamp, checksum: checksum.finalize() }
    }

    /// Whether `record` is at its offset and is not the one.
    fn is_another(&self, record: &Record) -> bool {
        record.offset == self.offset && Self::of(record) != *self
    }
}
