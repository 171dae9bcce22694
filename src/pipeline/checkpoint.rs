//! The one truth about progress: the state a worker needs to continue as if it had never stopped.
//!
//! Invariant: a checkpoint at `position` holds the state after exactly the input records before `position`, and is
//! written only once everything made from them is published. It is an owned copy: whoever writes it does not hold up
//! the worker.
//! It does not hold the generator's position, which commits with the samples it counts, since going back to an
//! earlier checkpoint must not make samples again that are in the topic already.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use thalweg_features::Past;
use thalweg_metrics::checked;
use thalweg_topic::{OutputOffsets, Outputs, Savepoint, Sequences};

use crate::{
    decode::{Index, Schema},
    gap::{Anchor, Gap},
    label_topic::LabelsRead,
    labels::Pending,
    prequential::Prequential,
};

/// A worker's state at an input offset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The topic it was reading.
    pub topic: String,
    /// The partition it was reading.
    pub partition: i32,
    /// Input offset of the next record.
    pub position: i64,
    /// Number of times the topic had been re-created or truncated: in another generation the same offsets mean other
    /// records.
    #[serde(default)]
    pub generation: u32,
    /// The last record processed.
    #[serde(default)]
    pub anchor: Option<Anchor>,
    /// Gap before `position` whose event is not published yet.
    #[serde(default)]
    pub gap: Option<Gap>,
    /// Ends of the outputs, filled in by the publisher: after a restart the outputs are read back from here.
    pub outputs: OutputOffsets,
    /// Likewise.
    #[serde(default)]
    pub numbers: Option<Sequences>,
    /// Likewise.
    #[serde(default)]
    pub topics: u32,
    /// Per output, the source offset up to which it was published when the worker began, whatever it holds by now.
    #[serde(default)]
    pub published: [i64; 3],
    /// True where only its [`schema`](Self::schema) still counts: the next start learns from the oldest sample, and
    /// needs the schema under which the outputs' records were read.
    #[serde(default)]
    pub relearn: bool,
    /// Fingerprint of the settings it was made under.
    #[serde(default)]
    pub settings: u32,
    /// Schema under which the samples were read.
    #[serde(default)]
    pub schema: Option<Schema>,
    /// Features and categories by name.
    pub index: Index,
    /// What features of later samples are made of.
    #[serde(default)]
    pub past: Arc<Past>,
    /// Samples whose targets have not come.
    #[serde(default, skip_serializing_if = "Pending::is_empty")]
    pub pending: Pending,
    /// Models and metrics.
    pub prequential: Prequential,
    /// Records processed since the beginning.
    pub records: u64,
    /// Dead letters since the beginning.
    pub dead_letters: u64,
    /// Records skipped since the beginning, since they only said that a row was deleted, or held no row.
    #[serde(default)]
    pub skipped: u64,
    /// Records missed in gaps since the beginning, as far as they could be counted.
    #[serde(default)]
    pub missed: u64,
    /// Records that were labels, since the beginning.
    #[serde(default, skip_serializing_if = "is_none")]
    pub labels: u64,
    /// Progress in the labels topic, where labels have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_read: Option<LabelsRead>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

// Offsets and the numbers of a transport may have any value: only the topic can tell whether they are right.
checked!(Checkpoint {
    topic,
    partition,
    position,
    generation,
    anchor,
    gap,
    outputs,
    numbers: any,
    topics,
    published,
    relearn,
    settings,
    schema,
    index,
    past,
    pending,
    prequential,
    records,
    dead_letters,
    skipped,
    missed,
    labels,
    labels_read,
} then fits);

impl Checkpoint {
    fn fits(&mut self) -> Result<(), &'static str> {
        if !self.index.remembers(&self.past) {
            return Err("what is remembered does not fit the features");
        }
        if self.pending.has_keys(self.index.row_keys().len()) {
            Ok(())
        } else {
            Err("what waits does not fit the features")
        }
    }

    /// Returns the ends of the outputs.
    pub fn outputs(&self) -> Outputs {
        Outputs { offsets: self.outputs, sequences: self.numbers, topics: self.topics }
    }

    /// Returns its learned state, moved to the position of `newest`.
    #[must_use]
    pub fn moved_to(self, newest: &Self) -> Self {
        Self {
            position: newest.position,
            generation: newest.generation,
            anchor: newest.anchor,
            gap: newest.gap,
            published: newest.published,
            labels_read: newest.labels_read.clone(),
            ..self
        }
        .at(newest.outputs())
    }

    /// Returns it with these ends of the outputs.
    #[must_use]
    pub fn at(mut self, outputs: Outputs) -> Self {
        self.stand_at(outputs);
        self
    }
}
