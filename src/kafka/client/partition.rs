//! One partition of one topic, as the broker that leads it knows it: where it begins and ends, and what is in it.

use std::{
    io::Cursor,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};

use super::{
    cluster::Cluster,
    connection::{self, Connection},
    fault::{Fault, Try},
};
use crate::protocol::{self, Answer, At, Fetch, Fetched};

/// A partition over one connection of its own, which is made when it is needed and dropped when it fails. A fetch that waits
/// at the broker holds up nobody else.
#[derive(Debug)]
pub(crate) struct Partition {
    cluster: Arc<Cluster>,
    topic: String,
    partition: i32,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// The time that a fetch may wait at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For a first record.
    First,
    /// For the linger, unless there is enough for a whole fetch sooner.
    Linger,
    /// Not at all.
    Never,
}

impl Partition {
    pub(crate) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self { cluster: Arc::clone(cluster), topic: topic.to_owned(), partition, connection: Mutex::default() }
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the first offset, and the end of what is committed.
    pub(crate) async fn range(&self) -> Try<Range<i64>> {
        Ok(self.offset(At::Earliest).await?..self.offset(At::Latest).await?)
    }

    /// Returns where the partition begins, ends, or was at a time.
    pub(crate) async fn offset(&self, at: At) -> Try<i64> {
        let action = format!("asking for offsets of `{}`/{}", self.topic, self.partition);
        let request = protocol::list_offsets(&self.topic, self.partition, at);
        let answer = self.call(&action, Duration::ZERO, request).await?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first()).and_then(|found| found.offset);
        found.map(|offset| offset.0).ok_or_else(|| Fault::transient(format!("{action}: the broker answered nothing")))
    }

    /// Fetches committed records from `offset` on; none where none came in time.
    pub(crate) async fn fetch(&self, offset: i64, wait: Wait) -> Try<Fetched> {
        let mut fetched = self.batches(offset, wait).await?;
        let records = &mut fetched.committed.records;
        let older = records.partition_point(|record| record.offset < offset);
        records.drain(..older);
        Ok(fetched)
    }

    /// Fetches committed records in whole batches, of which the first may begin before `offset`.
    pub(crate) async fn batches(&self, offset: i64, wait: Wait) -> Try<Fetched> {
        let config = self.cluster.config();
        let bytes = config.fetch_bytes;
        let (min_bytes, max_wait) = match wait {
            Wait::First => (1, config.fetch_wait),
            Wait::Linger => (bytes, config.linger),
            Wait::Never => (0, Duration::ZERO),
        };
        let action = format!("fetching from `{}`/{}", self.topic, self.partition);
        loop {
            let request = Fetch::new(&self.topic, self.partition, offset, min_bytes, bytes, max_wait);
            if let Some(fetched) = self.call(&action, max_wait, request).await?.fetched {
                return Ok(fetched);
            }
        }
    }

    /// Sends a request to the leader; drops the connection where a failure may be its fault.
    async fn call<R>(&self, action: &str, wait: Duration, request: R) -> Try<R::ResponseBody>
    where
        R: RequestBody + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: Answer + ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let open = self.connection().clone();
        let connection = match open {
            Some(connection) => connection,
            None => {
                let opened = Arc::new(connection::to_leader(&self.cluster, &self.topic, self.partition).await?);
                self.connection().insert(opened).clone()
            }
        };
        let answer = connection.call(action, wait, request).await;
        if matches!(answer, Err(Fault::Transient(_) | Fault::NoTopic(_))) {
            *self.connection() = None;
        }
        answer
    }

    fn connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
