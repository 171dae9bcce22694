//! Reads one partition of a topic.

use std::{ops::Range, sync::Arc};

use super::{
    client::{Cluster, Fault, Partition, Try, Wait, retry_on},
    open_transaction::OpenTransaction,
    protocol::{self, At},
};
use thalweg_topic::{Error, Fetched, Reader, Start};

/// A reader of what is committed: where a topic is written in transactions, it ends at the last stable offset, and what
/// was aborted is passed over.
#[derive(Debug)]
pub struct KafkaReader {
    partition: Partition,
    /// The wait of the next fetch, which lingers where the one before has brought all records there were.
    wait: Wait,
    open_transaction: OpenTransaction,
    /// Set once the log says that the topic is written in transactions.
    said: bool,
    action: String,
}

impl KafkaReader {
    pub(super) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self {
            partition: Partition::new(cluster, topic, partition),
            wait: Wait::First,
            open_transaction: OpenTransaction::default(),
            said: false,
            action: format!("reading `{topic}`/{partition}"),
        }
    }
}

impl Reader for KafkaReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        Ok(retry_on(&self.partition, &self.action, || resolved(&self.partition, start)).await?)
    }

    async fn range(&mut self) -> Result<Range<i64>, Error> {
        Ok(retry_on(&self.partition, &self.action, || self.partition.range()).await?)
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let (partition, wait) = (&self.partition, self.wait);
        let fetched = retry_on(partition, &self.action, || fetched(partition, offset, wait)).await??;
        let committed = fetched.committed;
        if committed.transactional && !self.said {
            self.said = true;
            tracing::info!(
                event = "transactional_topic",
                topic = self.partition.topic(),
                partition = self.partition.partition(),
                offset,
                "the topic is written in transactions: records come once they are committed, aborted ones never"
            );
        }
        let next_offset = committed.next_offset.map_or(offset, |next| next.max(offset));
        let high_watermark = fetched.last_stable_offset.max(next_offset);
        let linger = self.partition.cluster().config().linger;
        let caught_up = next_offset >= high_watermark && !committed.records.is_empty();
        self.wait = if caught_up && !linger.is_zero() { Wait::Linger } else { Wait::First };
        let end = fetched.end.max(high_watermark);
        self.open_transaction.saw(partition, next_offset, fetched.last_stable_offset, end).await;
        Ok(Fetched { records: committed.records, next_offset, high_watermark, end })
    }
}

async fn resolved(partition: &Partition, start: Start) -> Try<i64> {
    match start {
        Start::Earliest => partition.offset(At::Earliest).await,
        Start::Latest => partition.offset(At::Latest).await,
        Start::Offset(offset) => Ok(offset),
        Start::Timestamp(time) => match partition.offset(At::Time(time)).await? {
            // Nothing is that young.
            offset if offset < 0 => partition.offset(At::Latest).await,
            offset => Ok(offset),
        },
    }
}

/// Fetches once; an inner error is for the worker, and not to be tried again here.
async fn fetched(partition: &Partition, offset: i64, wait: Wait) -> Try<Result<protocol::Fetched, Error>> {
    match partition.fetch(offset, wait).await {
        Err(Fault::OutOfRange) => out_of_range(partition, offset).await.map(Err),
        // When it is back it may be another one, so the worker has to look anew.
        Err(Fault::NoTopic(trouble)) => {
            Ok(Err(Error::Interrupted { partition: partition.partition(), problem: trouble.problem }))
        }
        other => other.map(Ok),
    }
}

/// Tells an offset that is really not there from a broker that is only behind for a moment.
async fn out_of_range(partition: &Partition, offset: i64) -> Try<Error> {
    let available = partition.range().await?;
    if (available.start..=available.end).contains(&offset) {
        return Err(Fault::transient("the broker does not know an offset that it lists"));
    }
    Ok(Error::Gap {
        topic: partition.topic().to_owned(),
        partition: partition.partition(),
        requested: offset,
        missing: (available.start - offset).max(0),
        available,
    })
}
