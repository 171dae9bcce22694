//! The client's failures as those of a transport: the one place where one becomes the other.

use thalweg_topic::Error;

use super::client::{Fault, Refusal, RefusalKind};

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, action, problem, reason, .. } = refusal;
        match kind {
            RefusalKind::Access => Error::Access { action, problem, reason },
            RefusalKind::Request | RefusalKind::Version => Error::Broker { action, problem, reason },
        }
    }
}

/// Makes an error of a fault that is not tried again here: what may pass interrupts the work on `partition`.
pub(crate) fn not_retried(fault: Fault, partition: i32) -> Error {
    let problem = match fault {
        Fault::Permanent(refusal) => return refusal.into(),
        Fault::Transient(trouble) | Fault::NoTopic(trouble) | Fault::OutOfSequence(trouble) => trouble.problem,
        Fault::OutOfRange => "the broker has lost its place".to_owned(),
        Fault::TooLarge => "a batch was too large".to_owned(),
    };
    Error::Interrupted { partition, problem }
}

/// Makes the error of a topic that is missing and may not be made.
pub(crate) fn missing(topic: &str) -> Error {
    let problem = "it does not exist; create it, or set transport.kafka.create_topics = true".to_owned();
    Error::Topic { topic: topic.to_owned(), problem }
}
