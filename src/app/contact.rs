//! How the transport answers, as people are told.

use std::collections::BTreeMap;

use thalweg_pipeline::worker::View;
use thalweg_topic::Transport;

use super::partition_ends::PartitionEnds;

/// How the transport answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// As it should.
    Answers,
    /// Late, since a quota holds this client back.
    Throttled,
    /// Not as it should.
    Outage,
}

impl Contact {
    /// Returns what people are told, as the beginning of a line.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Answers => "",
            Self::Throttled => "a quota of the broker's holds it back; ",
            Self::Outage => "the transport does not answer; ",
        }
    }
}

/// Tells it from one look to the next.
#[derive(Debug)]
pub(super) struct ContactWatch {
    retries: u64,
    /// Number of fetches per worker when something was last retried, until all workers have had another.
    troubled: Option<BTreeMap<i32, u64>>,
}

impl ContactWatch {
    pub(super) fn new(transport: &impl Transport) -> Self {
        Self { retries: transport.retries(), troubled: None }
    }

    /// Looks; what was retried before it `is_open` belongs to the opening, such as the wait for a new topic's leader.
    pub(super) fn look(
        &mut self,
        transport: &impl Transport,
        workers: &BTreeMap<i32, View>,
        ends: &PartitionEnds,
        is_open: bool,
    ) -> Contact {
        let tried_again = std::mem::replace(&mut self.retries, transport.retries()) != self.retries;
        let fetched_since = |then: &BTreeMap<i32, u64>| {
            workers
                .iter()
                .all(|(partition, view)| view.is_done() || then.get(partition).is_none_or(|then| view.polls() != *then))
        };
        if tried_again && is_open {
            self.troubled = Some(workers.iter().map(|(partition, view)| (*partition, view.polls())).collect());
        } else if self.troubled.as_ref().is_some_and(fetched_since) {
            self.troubled = None;
        }
        // An end that could not be asked for may be anywhere.
        match ends.is_unanswered() || self.troubled.is_some() {
            false => Contact::Answers,
            true if transport.is_throttled() => Contact::Throttled,
            true => Contact::Outage,
        }
    }
}
