//! The requests about topics that rskafka's messages suffice for: making one, offsets of partitions.

use std::{sync::Arc, time::Duration};

use rskafka::protocol::{
    messages::{
        CreateTopicConfig, CreateTopicRequest, CreateTopicsRequest, IsolationLevel, ListOffsetsRequest,
        ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse, ListOffsetsResponsePartition,
        ListOffsetsResponseTopic, NORMAL_CONSUMER,
    },
    primitives::{Int16, Int32, Int64, NullableString, String_},
};

use super::{matched, milliseconds};

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

impl At {
    fn timestamp(self) -> i64 {
        match self {
            At::Earliest => -2,
            At::Latest | At::End | At::Appended => -1,
            At::Time(time) => time.max(0),
        }
    }

    fn replica(self) -> Int32 {
        if self == At::Appended { DEBUGGING_CONSUMER } else { NORMAL_CONSUMER }
    }

    /// Returns a number that all places of a request have in common: it has one isolation level, and one reader.
    pub(crate) fn kind(self) -> u8 {
        match self {
            At::Earliest | At::Latest | At::Time(_) => 0,
            At::End => 1,
            At::Appended => 2,
        }
    }

    fn isolation(self) -> IsolationLevel {
        if self == At::End { IsolationLevel::ReadUncommitted } else { IsolationLevel::ReadCommitted }
    }
}

/// A place in one partition, whose offset is asked for.
#[derive(Clone, Debug)]
pub(crate) struct OffsetQuestion {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) at: At,
}

impl OffsetQuestion {
    /// Returns what an answer says of each question.
    pub(crate) fn answers<'a>(
        questions: &[&Self],
        answer: &'a ListOffsetsResponse,
    ) -> Vec<Option<&'a ListOffsetsResponsePartition>> {
        let of =
            |topic: &'a ListOffsetsResponseTopic| topic.partitions.iter().map(move |found| (&*topic.name.0, found));
        let found: Vec<_> = answer.topics.iter().flat_map(of).collect();
        let is = |question: &&Self, (topic, found): &(&str, &ListOffsetsResponsePartition)| {
            found.partition_index.0 == question.partition && **topic == *question.topic
        };
        matched(questions, &found, is).into_iter().map(|at| at.map(|at| found[at].1)).collect()
    }
}

/// Asks the leader of some partitions for offsets: each partition once, and places of one kind.
pub(crate) fn list_offsets(questions: &[&OffsetQuestion]) -> ListOffsetsRequest {
    let topics = questions.chunk_by(|a, b| a.topic == b.topic).map(|questions| ListOffsetsRequestTopic {
        name: String_(questions[0].topic.to_string()),
        partitions: (questions.iter())
            .map(|question| ListOffsetsRequestPartition {
                partition_index: Int32(question.partition),
                timestamp: Int64(question.at.timestamp()),
                max_num_offsets: None,
            })
            .collect(),
    });
    ListOffsetsRequest {
        replica_id: questions.first().map_or(NORMAL_CONSUMER, |question| question.at.replica()),
        isolation_level: questions.first().map(|question| question.at.isolation()),
        topics: topics.collect(),
    }
}
