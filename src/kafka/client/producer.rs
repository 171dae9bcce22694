//! An idempotent producer (KIP-98) for one partition.
//!
//! rskafka's own producer has no identity, so that a broker takes every request that reaches it, however late and in
//! whatever order. This one numbers its records. Invariant: the broker appends a batch only right behind the record
//! numbered before it, so what follows a refused batch is refused, too, and a request that was given up lands at most
//! once: before its records are read back, or never. The identity outlives the process in the state file, so this holds
//! for the requests of a process that was killed, too.
//!
//! The requests go over rskafka's protocol code; `InitProducerId`, which it lacks, and the produce request
//! (`produce`) are ours.

use std::{
    io::{Cursor, Write},
    sync::Arc,
    time::Duration,
};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{Int16, Int32, Int64, NullableString},
    traits::{ReadType, WriteType},
};

use super::{
    cluster::Cluster,
    connection::{self, Connection},
    fault::{Fault, Try},
    partition::Handle,
    retry::persist,
};
use crate::protocol::{Batch, Produce, ProducerId, Records, Time};
use thalweg_topic::{Error, record::Outgoing};

/// Asks a broker for an identity until it gives one.
///
/// # Errors
/// When it never will.
pub(crate) async fn identity(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Result<ProducerId, Error> {
    persist!(cluster, "asking for an identity", ask(cluster, topic, partition))
}

async fn ask(cluster: &Cluster, topic: &str, partition: i32) -> Try<ProducerId> {
    let connection = connection::to_leader(cluster, topic, partition).await?;
    let action = "asking for an identity as a producer";
    let answer = async { connection.request(InitProducerId).await.map_err(|error| Fault::of_request(action, error)) };
    let answer: Identity = cluster.bounded(Duration::ZERO, answer).await?;
    match answer.error {
        None => Ok(answer.producer),
        Some(error) => Err(Fault::of_protocol(action, error, error.to_string())),
    }
}

/// Appends records as the only batch that `id` ever writes to a partition: of all requests that are made under it, by
/// whomever and however late, one lands. Returns its offset, or `None` where the broker says that there is another one.
pub(crate) async fn once(handle: &Handle, id: ProducerId, records: Vec<Outgoing>) -> Try<Option<i64>> {
    let producer = Producer::open(handle.cluster(), handle.topic(), handle.partition(), id).await?;
    match producer.append(0, records, Time::Own).await {
        Ok(offset) => Ok(Some(offset)),
        Err(Fault::OutOfSequence(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Appends to one partition over a connection of its own.
#[derive(Debug)]
pub(crate) struct Producer {
    cluster: Arc<Cluster>,
    connection: Connection,
    topic: String,
    partition: i32,
    id: ProducerId,
}

impl Producer {
    /// Connects.
    pub(crate) async fn open(cluster: &Arc<Cluster>, topic: &str, partition: i32, id: ProducerId) -> Try<Self> {
        let connection = connection::to_leader(cluster, topic, partition).await?;
        Ok(Self { cluster: Arc::clone(cluster), connection, topic: topic.to_owned(), partition, id })
    }

    /// Appends records, of which the first has the number `sequence`; returns its offset. Calls on one connection reach
    /// the broker in the order in which they are first polled.
    pub(crate) async fn append(&self, sequence: i32, records: impl Into<Records>, time: Time) -> Try<i64> {
        let action = format!("producing to `{}`/{}", self.topic, self.partition);
        let config = self.cluster.config();
        let request = Produce {
            topic: &self.topic,
            partition: self.partition,
            timeout: config.request_timeout,
            batch: Batch {
                producer: self.id,
                sequence,
                records: records.into(),
                time,
                compression: config.compression,
            },
        };
        let answer =
            async { self.connection.request(request).await.map_err(|error| Fault::of_request(&action, error)) };
        let answer = self.cluster.bounded(Duration::ZERO, answer).await?;
        let answer = answer.responses.into_iter().next().and_then(|topic| topic.partition_responses.into_iter().next());
        let answer = answer.ok_or_else(|| Fault::passing(format!("{action}: the broker acknowledged nothing")))?;
        match answer.error {
            None => Ok(answer.base_offset.0),
            Some(error) => Err(Fault::of_protocol(&action, error, error.to_string())),
        }
    }
}

/// Asks for an identity without transactions.
struct InitProducerId;

impl RequestBody for InitProducerId {
    type ResponseBody = Identity;
    const API_KEY: ApiKey = ApiKey::InitProducerId;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(0)), ApiVersion(Int16(1)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(2));
}

impl<W: Write> WriteVersionedType<W> for InitProducerId {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        NullableString(None).write(writer)?;
        // The timeout of transactions, of which there are none.
        Int32(i32::MAX).write(writer)?;
        Ok(())
    }
}

struct Identity {
    error: Option<ProtocolError>,
    producer: ProducerId,
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Identity {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let _throttle_time = Int32::read(reader)?;
        let error = ProtocolError::new(Int16::read(reader)?.0);
        let producer = Int64::read(reader)?.0;
        // Always 0: only transactions and renewals have others.
        let _epoch = Int16::read(reader)?;
        Ok(Self { error, producer })
    }
}
