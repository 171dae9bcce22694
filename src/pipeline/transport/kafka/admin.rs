//! What is asked of a cluster beside reading and writing: which topics there are, where they begin and end; new ones.
//!
//! Invariant: nothing here makes a topic but [`create`], which takes its partitions from whoever wants it.

use std::time::Duration;

use rskafka::protocol::{
    error::Error as ProtocolError,
    messages::{
        CreateTopicRequest, CreateTopicsRequest, IsolationLevel, ListOffsetsRequest, ListOffsetsRequestPartition,
        ListOffsetsRequestTopic, NORMAL_CONSUMER,
    },
    primitives::{Boolean, Int16, Int32, Int64, String_},
};

use super::{
    cluster::{Cluster, milliseconds},
    connection::{self, Connection},
    fault::{Fault, Try},
};

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
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
pub(super) async fn partitions_of(cluster: &Cluster, topic: &str) -> Try<Option<i32>> {
    let metadata = connection::metadata(cluster, Some(topic)).await?;
    let Some(found) = metadata.topics.iter().find(|found| found.name.0 == topic) else { return Ok(None) };
    match found.error {
        None => Ok(Some(found.partitions.len() as i32)),
        Some(ProtocolError::UnknownTopicOrPartition) => Ok(None),
        Some(error) => Err(Fault::of_protocol(&format!("looking for topic `{topic}`"), error, error.to_string())),
    }
}

/// The names of all topics that this user may see, but for the cluster's own.
pub(super) async fn names(cluster: &Cluster) -> Try<Vec<String>> {
    let metadata = connection::metadata(cluster, None).await?;
    let of_users = metadata.topics.into_iter().filter(|topic| topic.is_internal != Some(Boolean(true)));
    Ok(of_users.map(|topic| topic.name.0).collect())
}

/// Makes a topic. That it is there already is as good.
pub(super) async fn create(cluster: &Cluster, topic: &str, partitions: i32) -> Try<()> {
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

/// Asks the leader of a partition for an offset.
pub(super) async fn offset(connection: &Connection, topic: &str, partition: i32, at: At) -> Try<i64> {
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
