//! What can fail, and what it means: the one place that decides between trying again, a new connection, and a person.

use std::time::Duration;

use rskafka::client::error::{ProtocolError, RequestError};

use crate::protocol::Failure;

const VERSION: &str = "the broker is too old or too new for the client library";
const UNREADABLE: &str = "the broker's answer cannot be read; records that are damaged, or of a format older than Kafka \
    0.11, have to run out, or the topic to be copied without them";

/// A failure, by what can be done about it.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It may pass: try again on a new connection.
    Transient(Trouble),
    /// The topic is not there, or not yet known everywhere.
    NoTopic(Trouble),
    /// The offset is not there.
    OutOfRange,
    /// The batch is larger than the broker takes.
    TooLarge,
    /// The batch does not have the sequence number that the broker expects: one before it is missing, or it is there already.
    OutOfSequence(Trouble),
    /// It will not pass by itself.
    Permanent(Refusal),
}

/// The trouble behind a fault that may pass.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The broker's error code, where it sent one.
    pub(crate) code: Option<ProtocolError>,
    /// The problem, for people.
    pub(crate) problem: String,
}

/// A fault that no further try gets past.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Who has to change what.
    pub(crate) kind: RefusalKind,
    /// The broker's error code, where it sent one.
    pub(crate) code: Option<ProtocolError>,
    /// The action that was under way.
    pub(crate) action: String,
    /// The problem, and what to do about it.
    pub(crate) problem: String,
    /// The words of the broker, or of the library.
    pub(crate) reason: String,
}

/// Who has to change what before another try is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// The broker does not let this client in: the settings of logins and certificates, or the broker's, are to change.
    Access,
    /// The broker does not do what is asked.
    Request,
    /// The broker does not know the request, or not in any version that we do.
    Version,
}

/// Result of one try.
pub(crate) type Try<T> = Result<T, Fault>;

impl Fault {
    /// Accepts an acknowledgement at offset `base` of a topic that ended at `end` when it was read back. One below that end
    /// is a stale duplicate: the broker remembers a batch that was truncated since.
    pub(crate) fn unless_new(base: i64, end: i64) -> Try<i64> {
        if base < end {
            let problem = "the broker acknowledges what is not there any more".to_owned();
            return Err(Fault::OutOfSequence(Trouble { code: None, problem }));
        }
        Ok(base)
    }

    pub(crate) fn transient(problem: impl Into<String>) -> Self {
        Fault::Transient(Trouble { code: None, problem: problem.into() })
    }

    /// Makes the fault of a broker that has not answered in time.
    pub(crate) fn late(deadline: Duration) -> Self {
        Self::transient(format!("no answer within {deadline:?}"))
    }

    /// Makes the fault of an address at which nothing answers.
    pub(crate) fn nobody_there(broker: &str, why: impl std::fmt::Display) -> Self {
        Self::transient(format!("{broker}: {why}. Check that a broker runs there"))
    }

    /// Adds to the problem, where there is hope.
    pub(crate) fn map_transient(self, problem: impl FnOnce(String) -> String) -> Self {
        match self {
            Fault::Transient(trouble) => {
                Fault::Transient(Trouble { problem: problem(trouble.problem), code: trouble.code })
            }
            other => other,
        }
    }

    /// Returns the broker's error code, where it sent one.
    pub(crate) fn code(&self) -> Option<ProtocolError> {
        match self {
            Fault::Transient(trouble) | Fault::NoTopic(trouble) | Fault::OutOfSequence(trouble) => trouble.code,
            Fault::Permanent(refusal) => refusal.code,
            Fault::OutOfRange => Some(ProtocolError::OffsetOutOfRange),
            Fault::TooLarge => Some(ProtocolError::MessageTooLarge),
        }
    }

    /// Judges a broker's error while doing `action`.
    pub(crate) fn of_answer(action: &str, failure: Failure) -> Self {
        let Failure { code, message } = failure;
        let reason = match message {
            Some(message) => format!("{code}: {message}"),
            None => code.to_string(),
        };
        let trouble = |problem| Trouble { code: Some(code), problem };
        let problem = match code {
            ProtocolError::OffsetOutOfRange => return Fault::OutOfRange,
            ProtocolError::UnknownTopicOrPartition => return Fault::NoTopic(trouble(reason)),
            ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => return Fault::TooLarge,
            ProtocolError::OutOfOrderSequenceNumber
            | ProtocolError::DuplicateSequenceNumber
            | ProtocolError::InvalidProducerEpoch
            | ProtocolError::UnknownProducerId => return Fault::OutOfSequence(trouble(reason)),
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
            | ProtocolError::IllegalSaslState => return Self::of_login(action, Some(code), reason),
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
                return Fault::Transient(trouble(format!(
                    "{reason}: fewer copies of the topic are in sync than its min.insync.replicas asks for; it waits until \
                     there are, which is never where the topic has fewer copies at all"
                )));
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
            _ => return Fault::Transient(trouble(reason)),
        };
        Self::permanent(RefusalKind::Request, action, Some(code), problem, reason)
    }

    /// Judges a request of ours that failed without an answer.
    pub(crate) fn of_request(action: &str, error: &RequestError) -> Self {
        match error {
            RequestError::NoVersionMatch { .. } => {
                Self::permanent(RefusalKind::Version, action, None, VERSION, error.to_string())
            }
            RequestError::WriteError(_) => Self::unwritable(action, error.to_string()),
            RequestError::ReadVersionedError(_) | RequestError::ReadError(_) => {
                Self::unreadable(action, error.to_string())
            }
            error => Fault::transient(error.to_string()),
        }
    }

    /// Makes the fault of a request that cannot be written.
    pub(crate) fn unwritable(action: &str, reason: String) -> Self {
        Self::permanent(
            RefusalKind::Request,
            action,
            None,
            "what is to be sent does not fit into Kafka's format",
            reason,
        )
    }

    /// Makes the fault of an answer that cannot be read. It arrived whole (TCP and its length say so), so it would be the same
    /// again.
    pub(crate) fn unreadable(action: &str, reason: String) -> Self {
        Self::permanent(RefusalKind::Request, action, None, UNREADABLE, reason)
    }

    /// Says whether the broker lacks a version of the request that we know, so that it was not sent.
    pub(crate) fn is_version(&self) -> bool {
        matches!(self, Fault::Permanent(refusal) if refusal.kind == RefusalKind::Version)
    }

    /// Makes a refusal of a login, from the broker's code where it sent one.
    pub(crate) fn of_login(action: &str, code: Option<ProtocolError>, reason: String) -> Self {
        let problem = match code {
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
        Self::permanent(RefusalKind::Access, action, code, problem, reason)
    }

    /// Makes a refusal that only other settings of logins and certificates, or the broker's, get past.
    pub(crate) fn access(action: &str, problem: &str, reason: String) -> Self {
        Fault::Permanent(Refusal::access(action, problem, reason))
    }

    fn permanent(kind: RefusalKind, action: &str, code: Option<ProtocolError>, problem: &str, reason: String) -> Self {
        Fault::Permanent(Refusal { kind, code, action: action.to_owned(), problem: problem.to_owned(), reason })
    }
}

impl Refusal {
    /// Makes one that only other settings of logins and certificates, or the broker's, get past.
    pub(crate) fn access(action: &str, problem: &str, reason: String) -> Self {
        let (action, problem) = (action.to_owned(), problem.to_owned());
        Self { kind: RefusalKind::Access, code: None, action, problem, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_s_code_decides_and_its_words_do_not() {
        let words = "UnknownTopicOrPartition, SaslAuthenticationFailed: fatal alert";
        let fault = |code| Fault::of_answer("asking", Failure { code, message: Some(words.to_owned()) });
        assert!(matches!(fault(ProtocolError::NotLeaderOrFollower), Fault::Transient(_)));
        assert!(matches!(fault(ProtocolError::UnknownTopicOrPartition), Fault::NoTopic(_)));
        assert!(matches!(fault(ProtocolError::UnknownProducerId), Fault::OutOfSequence(_)));
        let kind = |code| match fault(code) {
            Fault::Permanent(refusal) => (refusal.kind, refusal.code, refusal.reason.contains(words)),
            other => panic!("{other:?}"),
        };
        for (code, expected) in [
            (ProtocolError::SaslAuthenticationFailed, RefusalKind::Access),
            (ProtocolError::TopicAuthorizationFailed, RefusalKind::Request),
        ] {
            assert_eq!(kind(code), (expected, Some(code), true));
        }
    }
}
