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
    type ResponseBody = FetchAnswer;
    const API_KEY: ApiKey = FetchRequest::API_KEY;
    const API_VERSION_RANGE: ApiVersionRange = FetchRequest::API_VERSION_RANGE;
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = FetchRequest::FIRST_TAGGED_FIELD_IN_REQUEST_VERSION;
}

impl WriteVersionedType<Vec<u8>> for Fetch {
    fn write_versioned(&self, writer: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        self.0.write_versioned(writer, version)
    }
}

/// The answer to a fetch.
#[derive(Debug)]
pub(crate) struct FetchAnswer {
    outcome: Outcome,
    /// `None` where the broker says only that this client is over a quota and has to wait (since Kafka 2.0, KIP-219).
    pub(crate) fetched: Option<Fetched>,
}

/// The part of an answer about the one partition asked for.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// See [`Committed`]; batches come whole, so the first records may be older than the offset asked for.
    pub(crate) committed: Committed,
    /// Everything before it is decided: a consumer's end of the partition. Without transactions the high watermark.
    pub(crate) last_stable_offset: i64,
    /// After the last record, be it of an open transaction.
    pub(crate) end: i64,
}

impl Answer for FetchAnswer {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for FetchAnswer {
    /// Version 4, the only one the request has.
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle = Int32::read(reader)?;
        let waits = || Ok(Self { outcome: Outcome::new(None::<ProtocolError>, Some(throttle)), fetched: None });
        if is_empty(reader, "topic", throttle)? {
            return waits();
        }
        String_::read(reader)?;
        if is_empty(reader, "partition", throttle)? {
            return waits();
        }
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
        let fetched = Fetched { committed: found, last_stable_offset, end: high_watermark };
        Ok(Self { outcome, fetched: Some(fetched) })
    }
}

/// Tells an answer without content from one about what was asked for; only a broker that throttles may send the former.
fn is_empty(reader: &mut impl Read, what: &str, throttle: Int32) -> Result<bool, ReadError> {
    match Int32::read(reader)?.0 {
        1 => Ok(false),
        0 if throttle.0 > 0 => Ok(true),
        count => Err(malformed(format!("asked for one {what} and got {count}"))),
    }
}

/// A list that is null when nothing was aborted.
fn aborted(reader: &mut impl Read) -> Result<Vec<Aborted>, ReadError> {
    let count = Int32::read(reader)?.0;
    let read = |_| Ok(Aborted { producer: Int64::read(reader)?.0, first_offset: Int64::read(reader)?.0 });
    (0..count).map(read).collect()
}
