//! The fetch request and its answer.
//!
//! rskafka's own fetch stops at a transaction's marker and hands out the records of aborted transactions; this one
//! leaves both out. It is the same request over the same protocol code, only the answer is read by us.

use std::{
    io::{Cursor, Read},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{
        FetchRequest, FetchRequestPartition, FetchRequestTopic, IsolationLevel, NORMAL_CONSUMER, ReadVersionedError,
        ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType,
    },
    primitives::{Int16, Int32, Int64, String_},
    traits::{ReadError, ReadType},
};

use super::{
    admin::{self, At},
    cluster::Cluster,
    connection::{self, Connection},
    fault::{Fault, Try},
};
use crate::protocol::{Aborted, Committed, committed, malformed, milliseconds};

/// Fetches from one partition, over a connection of its own, so that a fetch that waits holds nobody up.
#[derive(Debug)]
pub(crate) struct Fetcher {
    cluster: Arc<Cluster>,
    topic: String,
    partition: i32,
    connection: Option<Connection>,
}

/// How long a fetch may wait at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For a first record.
    First,
    /// For the linger, unless there is enough for a whole fetch sooner.
    Linger,
    /// Not at all.
    Never,
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// See [`Committed`]; none before the offset asked for.
    pub(crate) committed: Committed,
    /// Up to here everything is decided: a consumer's end of the partition. Without transactions the high watermark.
    pub(crate) last_stable_offset: i64,
    /// After the last record, be it of an open transaction.
    pub(crate) end: i64,
}

impl Fetcher {
    pub(crate) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self { cluster: Arc::clone(cluster), topic: topic.to_owned(), partition, connection: None }
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

    /// Where the partition begins, ends, or was at a time.
    pub(crate) async fn offset(&mut self, at: At) -> Try<i64> {
        let cluster = Arc::clone(&self.cluster);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connection::to_leader(&cluster, &self.topic, self.partition).await?),
        };
        let asked = admin::offset(connection, &self.topic, self.partition, at);
        let offset = cluster.bounded(Duration::ZERO, asked).await;
        self.judged(offset)
    }

    /// Drops the connection if `result` may be its fault.
    fn judged<T>(&mut self, result: Try<T>) -> Try<T> {
        if matches!(result, Err(Fault::Passing(_) | Fault::NoTopic(_))) {
            self.connection = None;
        }
        result
    }

    /// Committed records from `offset` on; none where none came in time.
    pub(crate) async fn fetch(&mut self, offset: i64, wait: Wait) -> Try<Fetched> {
        let mut fetched = self.whole(offset, wait).await?;
        let records = &mut fetched.committed.records;
        let older = records.partition_point(|record| record.offset < offset);
        records.drain(..older);
        Ok(fetched)
    }

    /// The same in whole batches, of which the first may begin before `offset`.
    pub(crate) async fn whole(&mut self, offset: i64, wait: Wait) -> Try<Fetched> {
        let fetched = self.attempt(offset, wait).await;
        self.judged(fetched)
    }

    async fn attempt(&mut self, offset: i64, wait: Wait) -> Try<Fetched> {
        let cluster = Arc::clone(&self.cluster);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connection::to_leader(&cluster, &self.topic, self.partition).await?),
        };
        let action = format!("fetching from `{}`/{}", self.topic, self.partition);
        let bytes = cluster.config().fetch_bytes;
        let (least, longest) = match wait {
            Wait::First => (1, cluster.config().fetch_wait),
            Wait::Linger => (bytes, cluster.config().linger),
            Wait::Never => (0, Duration::ZERO),
        };
        let request = FetchRequest {
            replica_id: NORMAL_CONSUMER,
            max_wait_ms: Int32(milliseconds(longest)),
            min_bytes: Int32(least),
            max_bytes: Some(Int32(bytes)),
            isolation_level: Some(IsolationLevel::ReadCommitted),
            topics: vec![FetchRequestTopic {
                topic: String_(self.topic.clone()),
                partitions: vec![FetchRequestPartition {
                    partition: Int32(self.partition),
                    fetch_offset: Int64(offset),
                    partition_max_bytes: Int32(bytes),
                }],
            }],
        };
        let request = Request(request);
        let answer = async { connection.request(request).await.map_err(|error| Fault::of_request(&action, error)) };
        let answer = cluster.bounded(longest, answer).await?;
        if let Some(error) = answer.error {
            return Err(Fault::of_protocol(&action, error, error.to_string()));
        }
        let Answer { committed, last_stable_offset, end, .. } = answer;
        Ok(Fetched { committed, last_stable_offset, end })
    }
}

struct Request(FetchRequest);

impl RequestBody for Request {
    type ResponseBody = Answer;
    const API_KEY: ApiKey = FetchRequest::API_KEY;
    const API_VERSION_RANGE: ApiVersionRange = FetchRequest::API_VERSION_RANGE;
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = FetchRequest::FIRST_TAGGED_FIELD_IN_REQUEST_VERSION;
}

impl WriteVersionedType<Vec<u8>> for Request {
    fn write_versioned(&self, writer: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        self.0.write_versioned(writer, version)
    }
}

/// Of the one partition asked for.
struct Answer {
    error: Option<ProtocolError>,
    last_stable_offset: i64,
    end: i64,
    committed: Committed,
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Answer {
    /// Version 4, the only one the request has.
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        // Brokers since Kafka 2.0 hold back a throttled client by themselves.
        let _throttle_time = Int32::read(reader)?;
        exactly_one(reader, "topic")?;
        String_::read(reader)?;
        exactly_one(reader, "partition")?;
        let _partition = Int32::read(reader)?;
        let error = ProtocolError::new(Int16::read(reader)?.0);
        let high_watermark = Int64::read(reader)?.0;
        let last_stable_offset = Int64::read(reader)?.0;
        let aborted = aborted(reader)?;
        let bytes = usize::try_from(Int32::read(reader)?.0).unwrap_or(0);
        // The whole answer becomes the buffer that the records share.
        let (start, answer) = (reader.position() as usize, Bytes::from(std::mem::take(reader).into_inner()));
        if answer.len() - start != bytes {
            return Err(
                malformed(format!("{bytes} bytes of records in an answer that has {}", answer.len() - start)).into()
            );
        }
        let found = committed(&answer.slice(start..), &aborted)?;
        if found.next_offset.is_none() && bytes > 0 {
            return Err(malformed("a broker that sends parts of record batches").into());
        }
        // Topics older than transactions have none.
        let last_stable_offset = if last_stable_offset < 0 { high_watermark } else { last_stable_offset };
        Ok(Self { error, last_stable_offset, end: high_watermark, committed: found })
    }
}

fn exactly_one(reader: &mut impl Read, what: &str) -> Result<(), ReadError> {
    match Int32::read(reader)?.0 {
        1 => Ok(()),
        count => Err(malformed(format!("asked for one {what} and got {count}"))),
    }
}

/// A list that is null when nothing was aborted.
fn aborted(reader: &mut impl Read) -> Result<Vec<Aborted>, ReadError> {
    let count = Int32::read(reader)?.0;
    let read = |_| Ok(Aborted { producer: Int64::read(reader)?.0, first_offset: Int64::read(reader)?.0 });
    (0..count).map(read).collect()
}
