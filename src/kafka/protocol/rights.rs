//! The request for what this user may do with topics and the cluster (KIP-430), which rskafka's metadata leave out.
//!
//! Asking changes nothing. Brokers since Kafka 2.3 answer it.

use std::io::{Cursor, Write};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{Array, Boolean, Int16, Int32, NullableString, String_},
    traits::{ReadError, ReadType, WriteType},
};

use super::answer::{Answer, Outcome};

/// Asks for the rights that this user has on topics, and on the cluster.
pub(crate) struct AskRights<'a> {
    pub(crate) topics: &'a [&'a str],
}

impl RequestBody for AskRights<'_> {
    type ResponseBody = Rights;
    const API_KEY: ApiKey = ApiKey::Metadata;
    /// The last version before compact texts.
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(8)), ApiVersion(Int16(8)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(9));
}

impl<W: Write> WriteVersionedType<W> for AskRights<'_> {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(self.topics.len() as i32).write(writer)?;
        for topic in self.topics {
            String_((*topic).to_owned()).write(writer)?;
        }
        // No topic is to be made; the rights on the cluster and on the topics are asked for.
        for flag in [false, true, true] {
            Boolean(flag).write(writer)?;
        }
        Ok(())
    }
}

/// An operation that a right is about, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    IdempotentWrite = 12,
}

impl Operation {
    /// Returns its name, as Kafka's tools spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Create => "Create",
            Operation::IdempotentWrite => "IdempotentWrite",
        }
    }
}

/// The operations that are allowed, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operations(i32);

impl Operations {
    /// Stands for an answer without rights.
    const UNKNOWN: i32 = i32::MIN;

    /// Says whether an operation is allowed; `None` where the broker does not tell.
    pub(crate) fn allows(self, operation: Operation) -> Option<bool> {
        (self.0 != Self::UNKNOWN).then_some(self.0 & 1 << operation as i32 != 0)
    }
}

/// The rights of this user.
#[derive(Debug)]
pub(crate) struct Rights {
    throttle: Int32,
    pub(crate) topics: Vec<TopicRights>,
    pub(crate) cluster: Operations,
}

/// The rights on a topic.
#[derive(Debug)]
pub(crate) struct TopicRights {
    pub(crate) topic: String,
    pub(crate) failure: Option<ProtocolError>,
    pub(crate) operations: Operations,
    /// Copies that each partition has, at least.
    pub(crate) replicas: Option<usize>,
}

impl Answer for Rights {
    /// Returns no error: each topic has one of its own.
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<ProtocolError>, Some(self.throttle))
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Rights {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle = Int32::read(reader)?;
        for _ in 0..Int32::read(reader)?.0 {
            let _broker = (Int32::read(reader)?, String_::read(reader)?, Int32::read(reader)?);
            let _rack = NullableString::read(reader)?;
        }
        let _cluster = (NullableString::read(reader)?, Int32::read(reader)?);
        let topics = (0..Int32::read(reader)?.0).map(|_| topic(reader)).collect::<Result<_, _>>()?;
        Ok(Self { throttle, topics, cluster: Operations(Int32::read(reader)?.0) })
    }
}

fn topic(reader: &mut Cursor<Vec<u8>>) -> Result<TopicRights, ReadError> {
    let failure = ProtocolError::new(Int16::read(reader)?.0);
    let topic = String_::read(reader)?.0;
    let _is_internal = Boolean::read(reader)?;
    let mut replicas = None;
    for _ in 0..Int32::read(reader)?.0 {
        let _failure = Int16::read(reader)?;
        let _partition_leader_epoch = (Int32::read(reader)?, Int32::read(reader)?, Int32::read(reader)?);
        let copies = Array::<Int32>::read(reader)?.0.map_or(0, |copies| copies.len());
        replicas = Some(replicas.map_or(copies, |least: usize| least.min(copies)));
        let _in_sync_and_away = (Array::<Int32>::read(reader)?, Array::<Int32>::read(reader)?);
    }
    Ok(TopicRights { topic, failure, operations: Operations(Int32::read(reader)?.0), replicas })
}
