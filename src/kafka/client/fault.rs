//! What can fail, and what it means: the one place that decides between trying again, a new connection, and a person.

use rskafka::client::error::{ProtocolError, RequestError};

use thalweg_topic::Error;

const VERSION: &str = "the broker is too old or too new for the client library";
const UNREADABLE: &str = "the broker's answer cannot be read; records that are damaged, or of a format older than Kafka \
    0.11, have to run out, or the topic to be copied without them";

/// A failure, by what can be done about it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may pass: try again on a new connection.
    Passing(String),
    /// The topic is not there, or not yet known everywhere.
    NoTopic(String),
    /// The offset is not there.
    OutOfRange,
    /// The batch is larger than the broker takes.
    TooLarge,
    /// The batch is not numbered as the broker expects: one before it is missing, or it is there already.
    OutOfSequence(String),
    /// It will not pass by itself.
    Fatal(Error),
}

/// Result of one try.
pub(crate) type Try<T> = Result<T, Fault>;

impl Fault {
    /// What a broker acknowledges at `base` though the topic ended at `end` when it was read back is a batch of before,
    /// with these numbers, that is not there any more.
    pub(crate) fn unless_new(base: i64, end: i64) -> Try<i64> {
        if base < end {
            return Err(Fault::OutOfSequence("the broker acknowledges what is not there any more".to_owned()));
        }
        Ok(base)
    }

    pub(crate) fn passing(problem: impl Into<String>) -> Self {
        Fault::Passing(problem.into())
    }

    pub(crate) fn timeout(after: std::time::Duration) -> Self {
        Fault::Passing(format!("no answer within {after:?}"))
    }

    /// What a broker's answer means while doing `action`.
    pub(crate) fn of_protocol(action: &str, error: ProtocolError, text: String) -> Self {
        let problem = match error {
            ProtocolError::OffsetOutOfRange => return Fault::OutOfRange,
            ProtocolError::UnknownTopicOrPartition => return Fault::NoTopic(text),
            ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => return Fault::TooLarge,
            ProtocolError::OutOfOrderSequenceNumber
            | ProtocolError::DuplicateSequenceNumber
            | ProtocolError::InvalidProducerEpoch
            | ProtocolError::UnknownProducerId => return Fault::OutOfSequence(text),
            ProtocolError::TopicAuthorizationFailed => {
                "the broker's rules do not let this user do that. Thalweg needs the right Read on the samples, Read and Write \
                 on each output (what was published is read back after a crash), and Create for topics that are missing; \
                 grant it (kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic TOPIC), or set \
                 transport.kafka.sasl"
            }
            ProtocolError::ClusterAuthorizationFailed => {
                "the broker's rules do not let this user do this; to create topics, do it by hand and set \
                 transport.kafka.create_topics = false; to produce, brokers before Kafka 3.0 want the right IdempotentWrite"
            }
            ProtocolError::SaslAuthenticationFailed
            | ProtocolError::UnsupportedSaslMechanism
            | ProtocolError::IllegalSaslState => return Self::of_login(action, Some(error), text),
            ProtocolError::InvalidTimestamp => {
                "the topic refuses the time of a record; raise its message.timestamp.before.max.ms and \
                 message.timestamp.after.max.ms, or set its message.timestamp.type to LogAppendTime"
            }
            ProtocolError::InvalidRecord => {
                "the topic does not take such a record: a compacted topic takes only those with a key. Take it off \
                 (kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config cleanup.policy=delete), or \
                 name another topic; for predictions and dead letters a key for every sample helps, too (schema.key)"
            }
            ProtocolError::InvalidReplicationFactor => {
                "there are fewer brokers than copies wanted; lower transport.kafka.replication_factor, start the other \
                 brokers, or create the topic by hand"
            }
            ProtocolError::NotEnoughReplicas | ProtocolError::NotEnoughReplicasAfterAppend => {
                return Fault::Passing(format!(
                    "{text}: fewer copies of the topic are in sync than its min.insync.replicas asks for; it waits until \
                     there are, which is never where the topic has fewer copies at all"
                ));
            }
            ProtocolError::InvalidTopicException => "the broker does not take this topic's name",
            ProtocolError::UnsupportedCompressionType => {
                "the broker does not take this compression; change transport.kafka.compression"
            }
            ProtocolError::PolicyViolation | ProtocolError::InvalidConfig | ProtocolError::InvalidPartitions => {
                "the broker's policy refuses this"
            }
            ProtocolError::UnsupportedVersion | ProtocolError::UnsupportedForMessageFormat => VERSION,
            // Whatever else a broker says has to do with its own state, and that changes.
            _ => return Fault::Passing(text),
        };
        Self::fatal(action, problem, text)
    }

    /// What it means that a request of ours failed.
    pub(crate) fn of_request(action: &str, error: RequestError) -> Self {
        match error {
            RequestError::NoVersionMatch { .. } | RequestError::WriteError(_) => {
                Self::fatal(action, VERSION, error.to_string())
            }
            // It arrived whole (TCP and the length of the answer say so), so that it would be the same again.
            RequestError::ReadVersionedError(_) | RequestError::ReadError(_) => {
                Self::fatal(action, UNREADABLE, error.to_string())
            }
            error => Fault::Passing(error.to_string()),
        }
    }

    /// A login that failed for good, and what the broker says of it.
    pub(crate) fn of_login(action: &str, error: Option<ProtocolError>, text: String) -> Self {
        let problem = match error {
            Some(ProtocolError::SaslAuthenticationFailed) => {
                "the broker does not take this login; check transport.kafka.sasl.username and password"
            }
            Some(ProtocolError::UnsupportedSaslMechanism) => {
                "the broker does not offer this way to log in; change transport.kafka.sasl.mechanism"
            }
            Some(ProtocolError::IllegalSaslState) => {
                "the login failed, since this port of the broker expects a login by nobody; leave out transport.kafka.sasl, or \
                 name the port that wants one in transport.kafka.brokers"
            }
            _ => "the login failed; check transport.kafka.sasl, and that this port of the broker expects a login",
        };
        Self::access(action, problem, text)
    }

    /// What no further try gets past: only other settings, or the broker's, do.
    pub(crate) fn access(action: &str, problem: &str, reason: String) -> Self {
        Fault::Fatal(Error::Access { action: action.to_owned(), problem: problem.to_owned(), reason })
    }

    pub(crate) fn fatal(action: &str, problem: &str, reason: String) -> Self {
        Fault::Fatal(Error::Broker { action: action.to_owned(), problem: problem.to_owned(), reason })
    }
}
