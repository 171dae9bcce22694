//! What is asked of a cluster beside reading and writing: which topics there are, where they begin and end; new ones.
//!
//! Invariant: nothing here makes a topic but [`create`], which takes its partitions from whoever wants it.

use std::{
    collections::HashMap,
    io::{Cursor, Write},
    time::Duration,
};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{
        CreateTopicRequest, CreateTopicsRequest, IsolationLevel, ListOffsetsRequest, ListOffsetsRequestPartition,
        ListOffsetsRequestTopic, NORMAL_CONSUMER, ReadVersionedError, ReadVersionedType, RequestBody,
        WriteVersionedError, WriteVersionedType,
    },
    primitives::{Boolean, Int8, Int16, Int32, Int64, NullableString, String_},
    traits::{ReadType, WriteType},
};

use super::{
    cluster::Cluster,
    connection::{self, Connection},
    fault::{Fault, Try},
};
use crate::protocol::milliseconds;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first record there is.
    Earliest,
    /// After the last record before which all is decided: the end, where no transaction is open.
    Latest,
    /// After the last record, be it of an open transaction.
    End,
    /// The first record at or after this time, in milliseconds since the Unix epoch; −1 where there is none.
    Time(i64),
}

/// The number of partitions of a topic, if it exists.
pub(crate) async fn partitions_of(cluster: &Cluster, topic: &str) -> Try<Option<i32>> {
    let metadata = connection::metadata(cluster, Some(topic)).await?;
    let Some(found) = metadata.topics.iter().find(|found| found.name.0 == topic) else { return Ok(None) };
    match found.error {
        None => Ok(Some(found.partitions.len() as i32)),
        Some(ProtocolError::UnknownTopicOrPartition) => Ok(None),
        Some(error) => Err(Fault::of_protocol(&format!("looking for topic `{topic}`"), error, error.to_string())),
    }
}

/// The names of all topics that this user may see, but for the cluster's own.
pub(crate) async fn names(cluster: &Cluster) -> Try<Vec<String>> {
    let metadata = connection::metadata(cluster, None).await?;
    let of_users = metadata.topics.into_iter().filter(|topic| topic.is_internal != Some(Boolean(true)));
    Ok(of_users.map(|topic| topic.name.0).collect())
}

/// Makes a topic. That it is there already is as good.
pub(crate) async fn create(cluster: &Cluster, topic: &str, partitions: i32) -> Try<()> {
    let action = format!("creating topic `{topic}`");
    let config = cluster.config();
    let connection = connection::to_controller(cluster).await?;
    let request = CreateTopicsRequest {
        topics: vec![CreateTopicRequest {
            name: String_(topic.to_owned()),
            num_partitions: Int32(partitions),
            replication_factor: Int16(config.replication_factor),
            assignments: vec![],
            configs: vec![],
            tagged_fields: None,
        }],
        timeout_ms: Int32(milliseconds(config.request_timeout)),
        validate_only: None,
        tagged_fields: None,
    };
    let answer = async { connection.request(request).await.map_err(|error| Fault::of_request(&action, error)) };
    let answer = cluster.bounded(Duration::ZERO, answer).await?;
    let Some(made) = answer.topics.into_iter().next() else {
        return Err(Fault::passing(format!("{action}: the broker acknowledged nothing")));
    };
    let text = |error: ProtocolError| match made.error_message.and_then(|text| text.0) {
        Some(said) => format!("{error}: {said}"),
        None => error.to_string(),
    };
    match made.error {
        None | Some(ProtocolError::TopicAlreadyExists) => Ok(()),
        Some(error) => Err(Fault::of_protocol(&action, error, text(error))),
    }
}

/// Makes those topics again that have gone of those that must be there, where that is allowed.
pub(crate) async fn make_missing(cluster: &Cluster) -> Try<()> {
    if !cluster.config().create_topics {
        return Ok(());
    }
    for (topic, partitions) in cluster.relied_on() {
        if partitions_of(cluster, &topic).await?.is_none() {
            create(cluster, &topic, partitions).await?;
            tracing::warn!(event = "topic_created", topic, partitions, "the topic had gone and was created again");
        }
    }
    Ok(())
}

/// Asks the leader of a partition for an offset.
pub(crate) async fn offset(connection: &Connection, topic: &str, partition: i32, at: At) -> Try<i64> {
    let action = format!("asking for offsets of `{topic}`/{partition}");
    let timestamp = match at {
        At::Earliest => -2,
        At::Latest | At::End => -1,
        At::Time(time) => time.max(0),
    };
    let committed = if at == At::End { IsolationLevel::ReadUncommitted } else { IsolationLevel::ReadCommitted };
    let request = ListOffsetsRequest {
        replica_id: NORMAL_CONSUMER,
        isolation_level: Some(committed),
        topics: vec![ListOffsetsRequestTopic {
            name: String_(topic.to_owned()),
            partitions: vec![ListOffsetsRequestPartition {
                partition_index: Int32(partition),
                timestamp: Int64(timestamp),
                max_num_offsets: None,
            }],
        }],
    };
    let answer = connection.request(request).await.map_err(|error| Fault::of_request(&action, error))?;
    let found = answer.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
    let found = found.ok_or_else(|| Fault::passing(format!("{action}: the broker answered nothing")))?;
    match (found.error_code, found.offset) {
        (Some(error), _) => Err(Fault::of_protocol(&action, error, error.to_string())),
        (None, Some(offset)) => Ok(offset.0),
        (None, None) => Err(Fault::passing(format!("{action}: the broker answered nothing"))),
    }
}

/// How long a topic keeps records by the time that their producer gives them, in milliseconds; `None` where it does not
/// delete by that. `Err` with the broker's words where this user may not ask.
pub(crate) async fn retention(cluster: &Cluster, topic: &str) -> Try<Result<Option<i64>, String>> {
    let action = format!("asking for the settings of `{topic}`");
    let connection = connection::to_controller(cluster).await?;
    let request = DescribeConfigs { topic: topic.to_owned() };
    let answer = async { connection.request(request).await.map_err(|error| Fault::of_request(&action, error)) };
    let Configs { error, values } = cluster.bounded(Duration::ZERO, answer).await?;
    match error {
        Some(error @ (ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed)) => {
            return Ok(Err(error.to_string()));
        }
        Some(error) => return Err(Fault::of_protocol(&action, error, error.to_string())),
        None => {}
    }
    let value = |name: &str| values.get(name).map_or("", String::as_str);
    let deletes = value(CLEANUP).contains("delete") && value(TIME) != "LogAppendTime";
    let retention = value(RETENTION).parse().ok().filter(|retention| deletes && *retention >= 0);
    Ok(Ok(retention))
}

const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";
const TIME: &str = "message.timestamp.type";

/// Asks for settings of a topic.
struct DescribeConfigs {
    topic: String,
}

impl RequestBody for DescribeConfigs {
    type ResponseBody = Configs;
    const API_KEY: ApiKey = ApiKey::DescribeConfigs;
    /// What brokers from Kafka 1.1 to 4 have in common.
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(1)), ApiVersion(Int16(1)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(4));
}

impl<W: Write> WriteVersionedType<W> for DescribeConfigs {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        const TOPIC: Int8 = Int8(2);
        Int32(1).write(writer)?;
        TOPIC.write(writer)?;
        String_(self.topic.clone()).write(writer)?;
        let names = [RETENTION, CLEANUP, TIME];
        Int32(names.len() as i32).write(writer)?;
        for name in names {
            String_(name.to_owned()).write(writer)?;
        }
        // Without where else a value might come from.
        Boolean(false).write(writer)?;
        Ok(())
    }
}

struct Configs {
    error: Option<ProtocolError>,
    values: HashMap<String, String>,
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Configs {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let _throttle_time = Int32::read(reader)?;
        let mut configs = Self { error: None, values: HashMap::new() };
        for _ in 0..Int32::read(reader)?.0 {
            configs.error = ProtocolError::new(Int16::read(reader)?.0);
            let _said = NullableString::read(reader)?;
            let _kind = Int8::read(reader)?;
            let _topic = String_::read(reader)?;
            for _ in 0..Int32::read(reader)?.0 {
                let (name, value) = (String_::read(reader)?.0, NullableString::read(reader)?.0);
                let _read_only = Boolean::read(reader)?;
                let _source = Int8::read(reader)?;
                let _is_sensitive = Boolean::read(reader)?;
                for _ in 0..Int32::read(reader)?.0 {
                    let _synonym = (String_::read(reader)?, NullableString::read(reader)?, Int8::read(reader)?);
                }
                configs.values.insert(name, value.unwrap_or_default());
            }
        }
        Ok(configs)
    }
}
