//! Reads one partition of the samples topic.

use std::{ops::Range, sync::Arc};

use rskafka::{client::partition::OffsetAt, record::RecordAndOffset};

use super::{
    Shared,
    cluster::{Cluster, Handle, persist},
    fault::{Fault, Try},
};
use crate::pipeline::{
    record::Record,
    transport::{Error, Fetched, Reader, Start},
};

/// A reader; it holds a connection of its own, so that a fetch that waits holds nobody up.
#[derive(Debug)]
pub struct KafkaReader {
    handle: Handle,
    cluster: Arc<Cluster>,
    action: String,
}

impl KafkaReader {
    pub(super) fn new(shared: &Shared, partition: i32) -> Self {
        let topic = &shared.topics.samples;
        Self {
            handle: Handle::new(&shared.cluster, topic, partition),
            cluster: Arc::clone(&shared.cluster),
            action: format!("reading `{topic}`/{partition}"),
        }
    }
}

impl Reader for KafkaReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        persist!(self.cluster, self.action.as_str(), resolved(&mut self.handle, start))
    }

    async fn range(&mut self) -> Result<Range<i64>, Error> {
        persist!(self.cluster, self.action.as_str(), self.handle.range())
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let (records, high_watermark) =
            persist!(self.cluster, self.action.as_str(), fetched(&mut self.handle, offset))?;
        let records: Vec<Record> = records.into_iter().map(record).collect();
        let next_offset = records.last().map_or(offset, |record| record.offset + 1);
        Ok(Fetched { records, next_offset, high_watermark: high_watermark.max(next_offset) })
    }
}

async fn resolved(handle: &mut Handle, start: Start) -> Try<i64> {
    match start {
        Start::Earliest => handle.offset(OffsetAt::Earliest).await,
        Start::Latest => handle.offset(OffsetAt::Latest).await,
        Start::Offset(offset) => Ok(offset),
        Start::Timestamp(time) => {
            let time = chrono::DateTime::from_timestamp_millis(time).unwrap_or_default();
            match handle.offset(OffsetAt::Timestamp(time)).await? {
                // Nothing is that young.
                offset if offset < 0 => handle.offset(OffsetAt::Latest).await,
                offset => Ok(offset),
            }
        }
    }
}

async fn fetched(handle: &mut Handle, offset: i64) -> Try<(Vec<RecordAndOffset>, i64)> {
    let wait = handle.cluster().config().fetch_wait;
    match handle.fetch(offset, wait).await {
        Err(Fault::OutOfRange) => Err(out_of_range(handle, offset).await?),
        // When it is back it may be another one, so the worker has to look anew.
        Err(Fault::NoTopic(problem)) => {
            Err(Fault::Fatal(Error::Interrupted { partition: handle.partition(), problem }))
        }
        other => other,
    }
}

/// Whether the offset is really not there, or the broker is only behind for a moment.
async fn out_of_range(handle: &mut Handle, offset: i64) -> Result<Fault, Fault> {
    let available = handle.range().await?;
    if (available.start..=available.end).contains(&offset) {
        return Ok(Fault::passing("the broker does not know an offset that it lists"));
    }
    Ok(Fault::Fatal(Error::Gap {
        topic: handle.topic().to_owned(),
        partition: handle.partition(),
        requested: offset,
        missing: (available.start - offset).max(0),
        available,
    }))
}

pub(super) fn record(RecordAndOffset { record, offset }: RecordAndOffset) -> Record {
    let timestamp = record.timestamp.timestamp_millis();
    Record { offset, timestamp, key: record.key, value: record.value, headers: record.headers }
}
