//! Labels that have a topic of their own: how far it is read, and what is published of it.
//!
//! Invariant: how far it is read is part of the same checkpoint as the samples' position. What comes before what is the worker's to say.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;
use thalweg_topic::{Output, Published};

use crate::{
    encode::Encoder,
    gap::{Anchor, Gap},
};

/// Progress in a partition of the labels topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelsRead {
    /// The topic.
    pub topic: String,
    /// Offset of the next record.
    pub position: i64,
    /// The last record processed.
    pub anchor: Option<Anchor>,
    /// Gap before `position` whose event is not published yet.
    pub gap: Option<Gap>,
}

checked!(LabelsRead { topic, position, anchor, gap });

/// The labels topic of a partition.
#[derive(Debug)]
pub(crate) struct LabelTopic {
    pub(crate) read: LabelsRead,
    pub(crate) encoder: Encoder,
    /// Per output, the offset from which on nothing has been published of it.
    pub(crate) published: Published,
    /// Offset before which all labels came before what was not published, when the worker began.
    pub(crate) known: i64,
    /// Offset after its last record, as far as is known.
    pub(crate) end: i64,
}

impl LabelTopic {
    pub(crate) fn new(topic: &str, partition: i32, names: impl IntoIterator<Item = std::sync::Arc<str>>) -> Self {
        let read = LabelsRead { topic: topic.to_owned(), ..LabelsRead::default() };
        Self { read, encoder: Encoder::new(topic, partition, names, false), published: [0; 3], known: 0, end: 0 }
    }

    /// Says whether what is made for an output of the label at `offset` is not there yet.
    pub(crate) fn wants(&self, output: Output, offset: i64) -> bool {
        offset >= self.published[output as usize]
    }
}
