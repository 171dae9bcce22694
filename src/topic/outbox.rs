//! Outputs that a worker made from a run of input records, on their way to the publisher.

use std::{fmt, ops::ControlFlow};

use thalweg_store::State;

use crate::{
    Held, Output, Outputs,
    record::{Headers, Outgoing},
};

/// A prediction encoded as a record.
#[derive(Clone, Copy, Debug)]
pub struct EncodedPrediction<'a> {
    /// See [`Outgoing::source`].
    pub source: i64,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// See [`Outgoing::key`].
    pub key: Option<&'a [u8]>,
    /// Value of the record.
    pub value: &'a [u8],
    /// Headers of the record: how many labels it knew of, where these have a topic of their own.
    pub headers: &'a Headers,
}

/// Predictions that wait as numbers and are encoded where and when they are sent.
pub trait PendingPredictions: fmt::Debug + Send + Sync {
    /// Returns the number of predictions.
    fn len(&self) -> usize;

    /// Returns `true` where there is no prediction.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an empty collection with capacity for as many predictions.
    fn another(&self) -> Self
    where
        Self: Sized;

    /// Returns an upper bound of the bytes that they take as records.
    fn bytes(&self) -> usize;

    /// Returns the sources of the first and the last prediction; `None` where there is none.
    fn sources(&self) -> Option<(i64, i64)>;

    /// Calls `take` with the time of each sample, in milliseconds since the Unix epoch.
    fn each_time(&self, take: &mut dyn FnMut(i64));

    /// Calls `take` with each encoded prediction, in the order of their sources, until it breaks off.
    fn each(&self, take: &mut dyn FnMut(EncodedPrediction<'_>) -> ControlFlow<()>);

    /// Calls `take` as [`PendingPredictions::each`] does, until it fails.
    ///
    /// # Errors
    /// That of `take`.
    fn try_each<E>(&self, mut take: impl FnMut(EncodedPrediction<'_>) -> Result<(), E>) -> Result<(), E>
    where
        Self: Sized,
    {
        let mut result = Ok(());
        self.each(&mut |spelled| {
            result = take(spelled);
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        result
    }
}

/// An empty collection.
#[derive(Debug)]
struct Nothing;

impl PendingPredictions for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn another(&self) -> Self {
        Self
    }

    fn bytes(&self) -> usize {
        0
    }

    fn sources(&self) -> Option<(i64, i64)> {
        None
    }

    fn each_time(&self, _: &mut dyn FnMut(i64)) {}

    fn each(&self, _: &mut dyn FnMut(EncodedPrediction<'_>) -> ControlFlow<()>) {}
}

impl Default for Box<dyn PendingPredictions> {
    fn default() -> Self {
        Box::new(Nothing)
    }
}

impl PendingPredictions for Box<dyn PendingPredictions> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn another(&self) -> Self {
        Self::default()
    }

    fn bytes(&self) -> usize {
        (**self).bytes()
    }

    fn sources(&self) -> Option<(i64, i64)> {
        (**self).sources()
    }

    fn each_time(&self, take: &mut dyn FnMut(i64)) {
        (**self).each_time(take);
    }

    fn each(&self, take: &mut dyn FnMut(EncodedPrediction<'_>) -> ControlFlow<()>) {
        (**self).each(take);
    }
}

/// A worker's state, which is saved once everything before it is published.
pub trait Savepoint: State {
    /// Records the current ends of the outputs.
    fn stand_at(&mut self, outputs: Outputs);
}

/// Records that are published as one step. While it is filled, its pending predictions have a concrete type.
#[derive(Debug, Default)]
pub struct Outbox<D = Box<dyn PendingPredictions>> {
    /// Predictions that are not encoded yet.
    pub drafts: D,
    /// Records for each [`Output`], in source order.
    pub records: [Vec<Outgoing>; 3],
    /// Input offset after the last record this covers.
    pub position: i64,
    /// Offset after the last label this covers; `None` where labels have no topic of their own.
    pub labels: Option<i64>,
    /// The worker's state at `position`, which is saved once everything up to here is published.
    pub checkpoint: Option<Box<dyn Savepoint>>,
    /// Bytes of what it was made from and of itself, given back once it is published.
    pub held: Vec<Held>,
    bytes: usize,
}

impl<D: PendingPredictions + Default> Outbox<D> {
    /// Makes an empty outbox at an input offset.
    pub fn at(position: i64) -> Self {
        Self { position, ..Self::default() }
    }
}

impl<D: PendingPredictions + 'static> Outbox<D> {
    /// Takes everything out for the publisher and leaves an empty outbox at the same position.
    #[must_use]
    pub fn take(&mut self) -> Outbox {
        let Self { position, labels, bytes, .. } = *self;
        let drafts = self.drafts.another();
        let drafts: Box<dyn PendingPredictions> = Box::new(std::mem::replace(&mut self.drafts, drafts));
        let (records, checkpoint) = (std::mem::take(&mut self.records), self.checkpoint.take());
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        Outbox { drafts, records, position, labels, checkpoint, held, bytes }
    }
}

impl<D: PendingPredictions> Outbox<D> {
    /// Adds a record for one output.
    pub fn push(&mut self, output: Output, record: Outgoing) {
        self.bytes += record.size();
        self.records[output as usize].push(record);
    }

    /// Encodes the pending predictions into records.
    pub fn encode(&mut self)
    where
        D: Default,
    {
        let drafts = std::mem::take(&mut self.drafts);
        let records = &mut self.records[Output::Predictions as usize];
        records.reserve(drafts.len());
        drafts.each(&mut |EncodedPrediction { source, timestamp, key, value, headers }| {
            records.push(Outgoing {
                source,
                timestamp,
                key: key.map(<[u8]>::to_vec),
                value: Some(value.to_vec()),
                headers: if headers.is_empty() { Headers::new() } else { headers.clone() },
            });
            ControlFlow::Continue(())
        });
    }

    /// Returns the approximate bytes of all records.
    pub fn bytes(&self) -> usize {
        self.drafts.bytes() + self.bytes
    }

    /// Returns the number of records for one output.
    pub fn count(&self, output: Output) -> usize {
        let drafts = if output == Output::Predictions { self.drafts.len() } else { 0 };
        drafts + self.records[output as usize].len()
    }

    /// Number of records for all outputs.
    pub fn len(&self) -> usize {
        Output::ALL.into_iter().map(|output| self.count(output)).sum()
    }

    /// Returns `true` where there is nothing to publish; a checkpoint may still be there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
