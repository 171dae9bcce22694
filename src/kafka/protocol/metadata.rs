//! What a cluster is made of: its brokers, its topics with their identities, and who leads which partition.
//!
//! Brokers since Kafka 2.8 tell the identity of a topic; older ones are asked with rskafka's request, which has none.

use std::io::{Cursor, Read, Write};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{
        MetadataRequest, MetadataRequestTopic, MetadataResponse, ReadVersionedError, ReadVersionedType, RequestBody,
        WriteVersionedError, WriteVersionedType,
    },
    primitives::{
        Boolean, CompactArray, CompactNullableString, CompactNullableStringRef, CompactString, Int16, Int32, String_,
        TaggedFields, UnsignedVarint,
    },
    traits::{ReadError, ReadType, WriteError, WriteType},
};

use super::{
    answer::{Answer, Outcome},
    compact,
};

/// The identity of a topic, which another one of the same name does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicId([u8; 16]);

impl TopicId {
    /// Returns half of it, which is random enough to tell topics apart.
    pub(crate) fn short(self) -> i64 {
        let Self([a, b, c, d, e, f, g, h, ..]) = self;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    #[cfg(test)]
    pub(crate) fn of(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) fn read(reader: &mut impl Read) -> Result<Self, ReadError> {
        let mut id = Self::default();
        reader.read_exact(&mut id.0)?;
        Ok(id)
    }

    pub(super) fn write(self, out: &mut impl Write) -> Result<(), WriteError> {
        Ok(out.write_all(&self.0)?)
    }

    /// Returns `None` for the identity that stands for none.
    fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// The topics that are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topics<'a> {
    /// Only about the brokers.
    None,
    One(&'a str),
    All,
}

/// Asks so that no broker takes it as a wish for a topic: by default brokers would make it, as their own settings have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskMetadata<'a>(pub(crate) Topics<'a>);

impl AskMetadata<'_> {
    /// The same for brokers before Kafka 2.8.
    pub(crate) fn without_identities(self) -> MetadataRequest {
        let topics = match self.0 {
            Topics::None => Some(vec![]),
            Topics::One(topic) => Some(vec![MetadataRequestTopic { name: String_(topic.to_owned()) }]),
            Topics::All => None,
        };
        MetadataRequest { topics, allow_auto_topic_creation: Some(Boolean(false)) }
    }
}

impl RequestBody for AskMetadata<'_> {
    type ResponseBody = Metadata;
    const API_KEY: ApiKey = ApiKey::Metadata;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(11)), ApiVersion(Int16(12)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(9));
}

impl<W: Write> WriteVersionedType<W> for AskMetadata<'_> {
    fn write_versioned(&self, out: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        match self.0 {
            Topics::All => UnsignedVarint(0).write(out)?,
            Topics::None => compact::length(out, 0)?,
            Topics::One(topic) => {
                compact::length(out, 1)?;
                TopicId::default().write(out)?;
                CompactNullableStringRef(Some(topic)).write(out)?;
                TaggedFields::default().write(out)?;
            }
        }
        // The topic is not to be made, and rights are not asked for.
        Boolean(false).write(out)?;
        Boolean(false).write(out)?;
        TaggedFields::default().write(out)?;
        Ok(())
    }
}

/// What a broker knows of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    throttle_ms: Option<i32>,
    pub(crate) brokers: Vec<BrokerMetadata>,
    /// The broker that takes requests for new topics.
    pub(crate) controller: Option<i32>,
    pub(crate) topics: Vec<TopicMetadata>,
}

/// A broker of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerMetadata {
    pub(crate) number: i32,
    /// `host:port`
    pub(crate) address: String,
}

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicMetadata {
    pub(crate) name: String,
    /// `None` where the cluster is older than identities.
    pub(crate) id: Option<TopicId>,
    pub(crate) failure: Option<ProtocolError>,
    /// Whether it is one of the cluster's own.
    pub(crate) is_internal: bool,
    pub(crate) partitions: Vec<PartitionMetadata>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionMetadata {
    pub(crate) number: i32,
    pub(crate) failure: Option<ProtocolError>,
    /// The broker that leads it, negative where none does.
    pub(crate) leader: i32,
}

impl Metadata {
    /// Returns `host:port` of a broker.
    pub(crate) fn address(&self, broker: i32) -> Option<&str> {
        self.brokers.iter().find(|found| found.number == broker).map(|found| &*found.address)
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.iter().find(|found| found.name == name)
    }
}

impl Answer for Metadata {
    /// Returns no error: each topic and each partition has one of its own, of which callers ask for different ones.
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<ProtocolError>, self.throttle_ms.map(Int32))
    }
}

impl Answer for MetadataResponse {
    /// Returns no error, as [`Metadata`].
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<ProtocolError>, self.throttle_time_ms)
    }
}

impl From<MetadataResponse> for Metadata {
    fn from(answer: MetadataResponse) -> Self {
        let brokers = answer.brokers.into_iter().map(|broker| BrokerMetadata {
            number: broker.node_id.0,
            address: format!("{}:{}", broker.host.0, broker.port.0),
        });
        let topics = answer.topics.into_iter().map(|topic| TopicMetadata {
            name: topic.name.0,
            id: None,
            failure: topic.error,
            is_internal: topic.is_internal == Some(Boolean(true)),
            partitions: (topic.partitions.into_iter())
                .map(|partition| PartitionMetadata {
                    number: partition.partition_index.0,
                    failure: partition.error,
                    leader: partition.leader_id.0,
                })
                .collect(),
        });
        Self {
            throttle_ms: answer.throttle_time_ms.map(|time| time.0),
            brokers: brokers.collect(),
            controller: answer.controller_id.map(|id| id.0),
            topics: topics.collect(),
        }
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Metadata {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle_ms = Some(Int32::read(reader)?.0);
        let brokers = list(reader, |reader| {
            let number = Int32::read(reader)?.0;
            let (host, port) = (CompactString::read(reader)?.0, Int32::read(reader)?.0);
            let _rack = CompactNullableString::read(reader)?;
            Ok(BrokerMetadata { number, address: format!("{host}:{port}") })
        })?;
        let _cluster = CompactNullableString::read(reader)?;
        let controller = Some(Int32::read(reader)?.0);
        let topics = list(reader, |reader| {
            let failure = ProtocolError::new(Int16::read(reader)?.0);
            let name = CompactNullableString::read(reader)?.0.unwrap_or_default();
            let id = TopicId::read(reader)?.known();
            let is_internal = Boolean::read(reader)?.0;
            let partitions = list(reader, |reader| {
                let failure = ProtocolError::new(Int16::read(reader)?.0);
                let (number, leader) = (Int32::read(reader)?.0, Int32::read(reader)?.0);
                let _leader_epoch = Int32::read(reader)?;
                // All of them, those in sync, and those that are away.
                for _ in 0..3 {
                    CompactArray::<Int32>::read(reader)?;
                }
                Ok(PartitionMetadata { number, failure, leader })
            })?;
            let _rights = Int32::read(reader)?;
            Ok(TopicMetadata { name, id, failure, is_internal, partitions })
        })?;
        TaggedFields::read(reader)?;
        Ok(Self { throttle_ms, brokers, controller, topics })
    }
}

/// Reads a compact list, whose elements end in tagged fields.
fn list<T>(
    reader: &mut Cursor<Vec<u8>>,
    mut element: impl FnMut(&mut Cursor<Vec<u8>>) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let count = UnsignedVarint::read(reader)?.0.saturating_sub(1);
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(element(reader)?);
        TaggedFields::read(reader)?;
    }
    Ok(elements)
}
