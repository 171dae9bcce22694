//! Gaps: records that should have been read and are not there. Finds them, and says what can be done.
//!
//! Invariant: no record is skipped in silence. A gap stops the worker, or, where the settings say so, is logged,
//! counted and published as an event with the first record after it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;
use thalweg_topic::record::Record;

/// Policy for a gap (`transport.on_gap`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Stops and names the records that would be missed.
    #[default]
    Stop,
    /// Continues behind the gap with what has been learned.
    Continue,
}

/// Cause of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The topic no longer holds records that have not been read.
    Retention,
    /// The topic has lost its newest records, for which there are predictions already.
    Truncated,
    /// The topic was re-created: its offsets now mean other records.
    Recreated,
    /// The state was learned from another topic.
    OtherTopic,
}

checked!(enum Reason = Retention | Truncated | Recreated | OtherTopic);

impl Reason {
    /// Returns its name in log lines and events.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Retention => "retention",
            Reason::Truncated => "truncated",
            Reason::Recreated => "recreated",
            Reason::OtherTopic => "other_topic",
        }
    }

    /// Returns `true` where offsets now mean other records.
    pub fn changes_offsets(self) -> bool {
        matches!(self, Reason::Truncated | Reason::Recreated)
    }
}

/// Records that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Cause of the gap.
    pub reason: Reason,
    /// Input offset that would have been next.
    pub requested: i64,
    /// Input offset that is next instead.
    pub resumed: i64,
    /// Number of records between the two, where it is known.
    pub missed: Option<u64>,
}

checked!(Gap { reason, requested, resumed, missed: any });

impl Gap {
    /// Finds the gap of a partition that holds `range` when `position` is next. `anchor` identifies the record before
    /// it, where it is known; `found` is the record now in its place. `anew` says that the topic has another identity, which a
    /// copy of it has, too: it is the same one where the record is.
    pub fn in_range(
        position: i64,
        range: &Range<i64>,
        anchor: Option<Anchor>,
        found: Option<&Record>,
        anew: bool,
    ) -> Option<Self> {
        let same = anchor.zip(found).is_some_and(|(anchor, found)| anchor == Anchor::of(found));
        let other = anchor.zip(found).is_some_and(|(anchor, found)| anchor.is_another(found))
            || (anew && !same && position > 0);
        let gap = |reason, missed| Self { reason, requested: position, resumed: range.start, missed };
        if position > range.end || other {
            Some(gap(Reason::Recreated, None))
        } else if position < range.start {
            Some(gap(Reason::Retention, Some(position.abs_diff(range.start))))
        } else {
            None
        }
    }

    /// Finds the gap of a partition that ends at `end` when records up to `published` have been published.
    pub fn at_the_end(published: i64, end: i64) -> Option<Self> {
        let gap = Self { reason: Reason::Truncated, requested: published, resumed: end, missed: None };
        (published > end).then_some(gap)
    }

    /// Returns the message about the gap, with what can be done, where `topic`/`partition` holds `available`.
    pub fn message(&self, topic: &str, partition: i32, available: &Range<i64>, learned_from: &str) -> String {
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

/// Identifies the last processed record: a re-created topic has another one at its offset.
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
    /// Makes the anchor of a record.
    pub fn of(record: &Record) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        for part in [&record.key, &record.value].into_iter().flatten() {
            checksum.update(part);
        }
        Self { offset: record.offset, timestamp: record.timestamp, checksum: checksum.finalize() }
    }

    /// Returns `true` where `record` has its offset but another content.
    fn is_another(&self, record: &Record) -> bool {
        record.offset == self.offset && Self::of(record) != *self
    }
}
