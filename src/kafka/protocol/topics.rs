//! The requests about topics that rskafka's messages suffice for: which there are, making one, offsets of a partition.

use std::time::Duration;

use rskafka::protocol::{
    messages::{
        CreateTopicConfig, CreateTopicRequest, CreateTopicsRequest, IsolationLevel, ListOffsetsRequest,
        ListOffsetsRequestPartition, ListOffsetsRequestTopic, MetadataRequest, MetadataRequestTopic, NORMAL_CONSUMER,
    },
    primitives::{Boolean, Int16, Int32, Int64, NullableString, String_},
};

use super::milliseconds;

/// Asks for `topic`, or for all topics, so that no broker takes it as a wish for the topic: by default brokers would make
/// it, as their own settings have it.
pub(crate) fn metadata(topic: Option<&str>) -> MetadataRequest {
    let topics = topic.map(|topic| vec![MetadataRequestTopic { name: String_(topic.to_owned()) }]);
    MetadataRequest { topics, allow_auto_topic_creation: Some(Boolean(false)) }
}

/// A topic that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTopic {
    pub(crate) partitions: i32,
    /// Settings in which it differs from other new topics.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// Asks for a new topic; the broker gives up after `timeout`.
pub(crate) fn create_topic(topic: &str, new: &NewTopic, replicas: i16, timeout: Duration) -> CreateTopicsRequest {
    let setting = |(name, value): &(&'static str, String)| CreateTopicConfig {
        name: String_((*name).to_owned()),
        value: NullableString(Some(value.clone())),
        tagged_fields: None,
    };
    CreateTopicsRequest {
        topics: vec![CreateTopicRequest {
            name: String_(topic.to_owned()),
            num_partitions: Int32(new.partitions),
            replication_factor: Int16(replicas),
            assignments: vec![],
            configs: new.settings.iter().map(setting).collect(),
            tagged_fields: None,
        }],
        timeout_ms: Int32(milliseconds(timeout)),
        validate_only: None,
        tagged_fields: None,
    }
}

/// A reader that is shown the leader's own end. Kafka's tools ask so; a broker that knows it not answers as any consumer.
const DEBUGGING_CONSUMER: Int32 = Int32(-2);

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first record there is.
    Earliest,
    /// After the last record before which all is decided: the end, where no transaction is open.
    Latest,
    /// After the last record, be it of an open transaction.
    End,
    /// After the last record that the leader has appended, though nobody may read it before all replicas in sync have it.
    Appended,
    /// The first record at or after this time, in milliseconds since the Unix epoch; −1 where there is none.
    Time(i64),
}

/// Asks the leader of a partition for an offset.
pub(crate) fn list_offsets(topic: &str, partition: i32, at: At) -> ListOffsetsRequest {
    let timestamp = match at {
        At::Earliest => -2,
        At::Latest | At::End | At::Appended => -1,
        At::Time(time) => time.max(0),
    };
    let committed = if at == At::End { IsolationLevel::ReadUncommitted } else { IsolationLevel::ReadCommitted };
    ListOffsetsRequest {
        replica_id: if at == At::Appended { DEBUGGING_CONSUMER } else { NORMAL_CONSUMER },
        isolation_level: Some(committed),
        topics: vec![ListOffsetsRequestTopic {
            name: String_(topic.to_owned()),
            partitions: vec![ListOffsetsRequestPartition {
                partition_index: Int32(partition),
                timestamp: Int64(timestamp),
                max_num_offsets: None,
            }],
        }],
    }
}
