//! Reads one partition of the samples topic.

use std::{ops::Range, sync::Arc};

use super::{
    client::{self, At, Cluster, Fault, Fetcher, Handle, Try, Wait, persist},
    shared::Shared,
};
use thalweg_topic::{Error, Fetched, Reader, Start};

/// A reader of what is committed: where a topic is written in transactions, it ends at the last stable offset, and what
/// was aborted is passed over.
#[derive(Debug)]
pub struct KafkaReader {
    /// Asks for offsets.
    handle: Handle,
    fetcher: Fetcher,
    /// Of the next fetch. It lingers behind records, where there are no more of them.
    wait: Wait,
    /// Whether the log says that the topic is written in transactions.
    said: bool,
    cluster: Arc<Cluster>,
    action: String,
}

impl KafkaReader {
    pub(super) fn new(shared: &Shared, partition: i32) -> Self {
        let topic = &shared.topics.samples;
        Self {
            handle: Handle::new(&shared.cluster, topic, partition),
            fetcher: Fetcher::new(&shared.cluster, topic, partition),
            wait: Wait::First,
            said: false,
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
        let wait = self.wait;
        let fetched =
            persist!(self.cluster, self.action.as_str(), fetched(&mut self.fetcher, &mut self.handle, offset, wait))?;
        let committed = fetched.committed;
        if committed.transactional && !self.said {
            self.said = true;
            tracing::info!(
                event = "transactional_topic",
                topic = self.handle.topic(),
                partition = self.handle.partition(),
                offset,
                "the topic is written in transactions: records come once they are committed, aborted ones never"
            );
        }
        let next_offset = committed.next_offset.map_or(offset, |next| next.max(offset));
        let high_watermark = fetched.last_stable_offset.max(next_offset);
        let linger = self.cluster.config().linger;
        let caught_up = next_offset >= high_watermark && !committed.records.is_empty();
        self.wait = if caught_up && !linger.is_zero() { Wait::Linger } else { Wait::First };
        let end = fetched.end.max(high_watermark);
        Ok(Fetched { records: committed.records, next_offset, high_watermark, end })
    }
}

async fn resolved(handle: &mut Handle, start: Start) -> Try<i64> {
    match start {
        Start::Earliest => handle.offset(At::Earliest).await,
        Start::Latest => handle.offset(At::Latest).await,
        Start::Offset(offset) => Ok(offset),
        Start::Timestamp(time) => match handle.offset(At::Time(time)).await? {
            // Nothing is that young.
            offset if offset < 0 => handle.offset(At::Latest).await,
            offset => Ok(offset),
        },
    }
}

async fn fetched(fetcher: &mut Fetcher, handle: &mut Handle, offset: i64, wait: Wait) -> Try<client::Fetched> {
    match fetcher.fetch(offset, wait).await {
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
