//! What all of a broker's answers tell alike: whether the request failed, and how long the broker asks to be left alone.

use std::time::Duration;

use rskafka::protocol::{
    error::Error as ProtocolError,
    messages::{CreateTopicsResponse, ListOffsetsResponse, ProduceResponse},
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

/// The part of an answer that all of them have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The error with which the request failed as a whole.
    pub(crate) failure: Option<Failure>,
    /// The time for which the client is to send nothing, because it is over a quota.
    pub(crate) throttle: Duration,
}

impl Outcome {
    /// Makes one of an error and a throttle time in milliseconds.
    pub(super) fn new(failure: Option<impl Into<Failure>>, throttle: Option<Int32>) -> Self {
        let milliseconds = u64::try_from(throttle.map_or(0, |time| time.0)).unwrap_or(0);
        Self { failure: failure.map(Into::into), throttle: Duration::from_millis(milliseconds) }
    }
}

/// An answer of a broker.
pub(crate) trait Answer {
    /// Returns how the request went.
    fn outcome(&self) -> Outcome;
}

impl Answer for CreateTopicsResponse {
    fn outcome(&self) -> Outcome {
        let failure = self.topics.first().and_then(|topic| {
            let message = topic.error_message.as_ref().and_then(|message| message.0.clone());
            topic.error.map(|code| Failure { code, message })
        });
        Outcome::new(failure, self.throttle_time_ms)
    }
}

impl Answer for ListOffsetsResponse {
    /// Returns no error: each partition has one of its own.
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<Failure>, self.throttle_time_ms)
    }
}

impl Answer for ProduceResponse {
    /// Returns no error: each partition has one of its own.
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<Failure>, self.throttle_time_ms)
    }
}
