//! The fetch request and its answer.
//!
//! rskafka's own fetch stops at a transaction's marker and hands out the records of aborted transactions; this one
//! leaves both out. It is the same request over the same protocol code, only the answer is read by us.

use std::{
    io::{Cursor, Read},
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
    answer::{Answer, Outcome},
    batches::{Aborted, Committed, committed, malformed},
    milliseconds,
};

/// Asks for what is committed from an offset on.
pub(crate) struct Fetch(FetchRequest);

impl Fetch {
    /// Asks for `max_bytes` of one partition, for which the broker waits up to `max_wait` until there are `min_bytes`.
    pub(crate) fn new(
        topic: &str,
        partition: i32,
        offset: i64,
        min_bytes: i32,
        max_bytes: i32,
        max_wait: Duration,
    ) -> Self {
        Self(FetchRequest {
            replica_id: NORMAL_CONSUMER,
            max_wait_ms: Int32(milliseconds(max_wait)),
            min_bytes: Int32(min_bytes),
            max_bytes: Some(Int32(max_bytes)),
            isolation_level: Some(IsolationLevel::ReadCommitted),
            topics: vec![FetchRequestTopic {
                topic: String_(topic.to_owned()),
                partitions: vec![FetchRequestPartition {
                    partition: Int32(partition),
                    fetch_offset: Int64(offset),
                    partition_max_bytes: Int32(max_bytes),
                }],
            }],
        })
    }
}

impl RequestBody for Fetch {
    type ResponseBody = Fetched;
    const API_KEY: ApiKey = FetchRequest::API_KEY;
    const API_VERSION_RANGE: ApiVersionRange = FetchRequest::API_VERSION_RANGE;
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = FetchRequest::FIRST_TAGGED_FIELD_IN_REQUEST_VERSION;
}

impl WriteVersionedType<Vec<u8>> for Fetch {
    fn write_versioned(&self, writer: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        self.0.write_versioned(writer, version)
    }
}

/// The answer about the one partition asked for.
#[derive(Debug)]
pub(crate) struct Fetched {
    outcome: Outcome,
    /// See [`Committed`]; batches come whole, so the first records may be older than the offset asked for.
    pub(crate) committed: Committed,
    /// Everything before it is decided: a consumer's end of the partition. Without transactions the high watermark.
    pub(crate) last_stable_offset: i64,
    /// After the last record, be it of an open transaction.
    pub(crate) end: i64,
}

impl Answer for Fetched {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Fetched {
    /// Version 4, the only one the request has.
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        // Brokers since Kafka 2.0 hold back a throttled client by themselves.
        let throttle = Int32::read(reader)?;
        exactly_one(reader, "topic")?;
        String_::read(reader)?;
        exactly_one(reader, "partition")?;
        let _partition = Int32::read(reader)?;
        let outcome = Outcome::new(ProtocolError::new(Int16::read(reader)?.0), Some(throttle));
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
        Ok(Self { outcome, committed: found, last_stable_offset, end: high_watermark })
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
