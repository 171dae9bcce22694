//! View of a worker for others: immutable, complete, made by the worker itself.
//!
//! Log lines and the status for systemd read snapshots; nobody reaches into a worker.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::{decode::Fields, labels, prequential::Counts};
use thalweg_features::Past;
use thalweg_metrics::{Coverage, Faded, Quantiles, Scores};

/// One model's standing.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSnapshot {
    /// Its configured name.
    pub name: Arc<str>,
    /// Its kind, as in `kind = "…"`.
    pub kind: &'static str,
    /// Errors since the beginning.
    pub total: Scores,
    /// The absolute errors since the beginning.
    pub total_errors: Quantiles,
    /// Errors over the last `metrics.window` scored samples.
    pub rolling: Scores,
    /// The absolute errors over the same samples.
    pub rolling_errors: Quantiles,
    /// Errors with old samples fading by `metrics.fading`.
    pub faded: Faded,
    /// 1 − RMSE / RMSE(mean) over the same window; `None` where nothing was scored, or not on the mean's samples.
    pub skill: Option<f64>,
    /// 1 − RMSE / RMSE(mean) since the beginning; `None` as in `skill`.
    pub total_skill: Option<f64>,
    /// Counts of its refusals, stand-ins, drifts and rescues.
    pub counts: Counts,
    /// Bytes that the model and its steps take.
    pub memory: usize,
    /// Keys that have models of their own, and keys that were forgotten for want of room; `None` where there is one model for all.
    pub keys: Option<[u64; 2]>,
}

/// Errors of the baseline that skill is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselineSnapshot {
    /// Since the beginning.
    pub total: Scores,
    /// Over the last `metrics.window` scored samples.
    pub rolling: Scores,
}

/// A worker's state at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Partition of the samples topic.
    pub partition: i32,
    /// Input offset after the last record processed.
    pub position: i64,
    /// Offset after the last record that may be processed now.
    pub high_watermark: i64,
    /// Offset after the last record there is, be it of a transaction that is open.
    pub end: i64,
    /// True once the topic has told these since the start; until then they are where the worker began.
    pub is_end_known: bool,
    /// Records processed since the beginning, across restarts.
    pub records: u64,
    /// Records that could not be used, since the beginning.
    pub dead_letters: u64,
    /// What features of the past remember.
    pub remembered: Remembered,
    /// Samples whose targets come late; `None` where every target is in its sample.
    pub late: Option<Late>,
    /// Records that were labels of earlier samples, since the beginning.
    pub labels: u64,
    /// Records skipped since the beginning: they only said that a row was deleted, or held no row.
    pub skipped: u64,
    /// Records missed in gaps, since the beginning, as far as they could be counted.
    pub missed: u64,
    /// Time of the last record processed, in milliseconds since the Unix epoch; `None` before the first one since the
    /// start.
    pub time: Option<i64>,
    /// Records that could not be used since the start, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Samples the models have learned from.
    pub version: u64,
    /// Index of the champion among `models`.
    pub champion: usize,
    /// The models, in configured order.
    pub models: Vec<ModelSnapshot>,
    /// Use of the records' fields since the start.
    pub fields: Arc<Fields>,
    /// Scores of the published predictions, whichever model made them; it has no size and learns nothing.
    pub published: ModelSnapshot,
    /// The baseline that skill is measured against.
    pub baseline: BaselineSnapshot,
    /// Coverage of the intervals around published predictions; `None` where none are configured.
    pub coverage: Option<Coverage>,
}

impl Snapshot {
    /// Returns the name of the model whose prediction is published as `prediction`.
    pub fn champion_name(&self) -> &str {
        self.models.get(self.champion).map_or("", |model| &model.name)
    }
}

/// A worker's latest snapshot; `None` until it has started.
pub type SnapshotReceiver = watch::Receiver<Option<Arc<Snapshot>>>;

/// Samples of a partition whose targets come late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Late {
    /// Samples that wait for their targets.
    pub waiting: u64,
    /// Bytes of all that waits.
    pub bytes: u64,
    /// Samples whose labels came, since the beginning.
    pub labelled: u64,
    /// Samples learned once more with another label, since the beginning.
    pub corrected: u64,
    /// Samples that waited for too long, since the beginning.
    pub expired: u64,
    /// Samples that left for want of room, since the beginning.
    pub no_room: u64,
    /// Labels that waited for their sample in vain, since the beginning.
    pub unmatched: u64,
    /// Records of the labels topic that have not been read; `None` where labels have no topic of their own.
    pub unread: Option<u64>,
    /// Time from a sample to its label that half, nine in ten and 99 in 100 did not exceed, in seconds; `None` before the first one.
    pub delays: Option<[f64; 3]>,
}

impl Late {
    /// Returns the sums of both, and the longer delays.
    #[must_use]
    pub fn merged(self, other: &Self) -> Self {
        let delays = match (self.delays, other.delays) {
            (Some(mine), Some(theirs)) => Some([0, 1, 2].map(|i| f64::max(mine[i], theirs[i]))),
            (mine, theirs) => mine.or(theirs),
        };
        Self {
            waiting: self.waiting + other.waiting,
            bytes: self.bytes + other.bytes,
            labelled: self.labelled + other.labelled,
            corrected: self.corrected + other.corrected,
            expired: self.expired + other.expired,
            no_room: self.no_room + other.no_room,
            unmatched: self.unmatched + other.unmatched,
            unread: self.unread.zip(other.unread).map(|(mine, theirs)| mine + theirs).or(self.unread).or(other.unread),
            delays,
        }
    }

    /// Makes it of what a decoder says.
    pub fn of((waiting, bytes, counts): (usize, usize, &labels::Counts)) -> Self {
        let labels::Counts { labelled, corrected, expired, no_room, unmatched, delays } = counts;
        let delay = |q: f64| delays.known(q);
        Self {
            waiting: waiting as u64,
            bytes: bytes as u64,
            labelled: *labelled,
            corrected: *corrected,
            expired: *expired,
            no_room: *no_room,
            unmatched: *unmatched,
            unread: None,
            delays: delay(0.5)
                .zip(delay(0.9))
                .zip(delay(0.99))
                .map(|((half, most), nearly_all)| [half, most, nearly_all]),
        }
    }
}

/// What features of the past remember of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Number of keys.
    pub keys: u64,
    /// Bytes of it all.
    pub bytes: u64,
    /// Keys that were forgotten for want of room, since the beginning.
    pub forgotten: u64,
    /// Values that came too late to count, since the beginning.
    pub late: u64,
}

impl Remembered {
    pub(crate) fn of(past: &Past) -> Self {
        Self {
            keys: past.keys() as u64,
            bytes: past.memory_bytes() as u64,
            forgotten: past.evicted(),
            late: past.late(),
        }
    }
}
