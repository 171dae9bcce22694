//! What all of a broker's answers tell alike: whether the request failed, and how long the broker asks to be left alone.

use std::time::Duration;

use rskafka::protocol::{
    error::Error as ProtocolError,
    messages::{CreateTopicsResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse},
    primitives::Int32,
};

/// A broker's error code, with what it says of it beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ProtocolError,
    pub(crate) message: Option<String>,
}

impl From<ProtocolError> for Failure {
    fn from(code: ProtocolError) -> Self {
        Self { code, message: None }
    }
}

/// An answer of a broker. Requests here are about one topic or partition, so an answer has one error at most.
pub(crate) trait Answer {
    /// Returns the error with which the request failed.
    fn failure(&self) -> Option<Failure>;

    /// Returns how long the client is to send nothing, because it is over a quota.
    fn throttle(&self) -> Duration;
}

/// Converts a throttle time, in milliseconds.
pub(super) fn throttle(milliseconds: Option<Int32>) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds.map_or(0, |time| time.0)).unwrap_or(0))
}

impl Answer for MetadataResponse {
    /// Returns nothing: each topic and each partition has an error of its own, of which callers ask for different ones.
    fn failure(&self) -> Option<Failure> {
        None
    }

    fn throttle(&self) -> Duration {
        throttle(self.throttle_time_ms)
    }
}

impl Answer for CreateTopicsResponse {
    fn failure(&self) -> Option<Failure> {
        let topic = self.topics.first()?;
        let message = topic.error_message.as_ref().and_then(|message| message.0.clone());
        topic.error.map(|code| Failure { code, message })
    }

    fn throttle(&self) -> Duration {
        throttle(self.throttle_time_ms)
    }
}

impl Answer for ListOffsetsResponse {
    fn failure(&self) -> Option<Failure> {
        self.topics.first()?.partitions.first()?.error_code.map(Failure::from)
    }

    fn throttle(&self) -> Duration {
        throttle(self.throttle_time_ms)
    }
}

impl Answer for ProduceResponse {
    fn failure(&self) -> Option<Failure> {
        self.responses.first()?.partition_responses.first()?.error.map(Failure::from)
    }

    fn throttle(&self) -> Duration {
        throttle(self.throttle_time_ms)
    }
}
