//! Which dead letters were sent back, as the events topic tells it: the log is the lock.
//!
//! Before letters are sent a `retrying` event claims them, after it a `retried` event says that they were. Of two claims
//! the one that the log has first counts. A claim runs out after [`LEASE`]; whoever comes then looks in the samples topic
//! for what the claimant had sent before it ended. These events have no `source`, which a worker's events have, so
//! that reading those back passes over these.
//!
//! Expiry depends on clocks, and a late request may still arrive; so it permits others to try and proves nothing.
//! Invariant: a letter that was claimed under an identity as a producer, which writes one batch, is sent under another one
//! only when that batch is there without it.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::protocol::ProducerId;

/// A claim counts for so long.
const LEASE: Duration = Duration::from_secs(120);

/// An event about dead letters of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) event: Kind,
    pub(super) dead_letters: Letters,
    /// Who does it: another name for every claim.
    pub(super) by: String,
    /// The samples go to this partition, at this offset or behind it.
    pub(super) samples: Place,
    /// The identity under which they are sent. Claims of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) producer: Option<ProducerId>,
    /// The identity of the claim before, where its batch is there and these letters are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<ProducerId>,
    /// Milliseconds since the Unix epoch.
    pub(super) timestamp: i64,
}

impl Note {
    /// Says whether this claim may follow one under the identity `held` that has run out.
    fn may_follow(&self, held: Option<ProducerId>) -> bool {
        held.is_none() || self.producer.is_none() || held == self.producer || held == self.replaces
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Retrying,
    Retried,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letters {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offsets: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) from: i64,
    /// True where it is in the labels topic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) labels: bool,
}

/// The state of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has sent it.
    Free,
    /// Somebody may be sending it, to this place and under this identity.
    Claimed { by: String, at: i64, samples: Place, producer: Option<ProducerId> },
    /// It was sent.
    Retried,
}

/// Everything the events say about one dead-letters topic.
#[derive(Debug)]
pub(super) struct Ledger {
    topic: String,
    /// By partition and offset; those that are free are not in it.
    letters: HashMap<(i32, i64), Standing>,
}

impl Ledger {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), letters: HashMap::new() }
    }

    /// Takes the next record of the events topic, whatever it is.
    pub(super) fn read(&mut self, value: &[u8]) {
        let Ok(note) = serde_json::from_slice::<Note>(value) else { return };
        if note.dead_letters.topic != self.topic {
            return;
        }
        for offset in &note.dead_letters.offsets {
            let place = (note.dead_letters.partition, *offset);
            let standing = self.letters.entry(place).or_insert(Standing::Free);
            match (note.event, &*standing) {
                (Kind::Retried, _) => *standing = Standing::Retried,
                (Kind::Retrying, Standing::Retried) => {}
                (Kind::Retrying, Standing::Claimed { at, producer, .. })
                    if !has_run_out(*at, note.timestamp) || !note.may_follow(*producer) => {}
                (Kind::Retrying, _) => {
                    let (by, at, samples) = (note.by.clone(), note.timestamp, note.samples);
                    *standing = Standing::Claimed { by, at, samples, producer: note.producer };
                }
            }
        }
    }

    pub(super) fn standing(&self, partition: i32, offset: i64) -> &Standing {
        self.letters.get(&(partition, offset)).unwrap_or(&Standing::Free)
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Says whether a claim made at `at` has run out at `now`, both in milliseconds.
pub(super) fn has_run_out(at: i64, now: i64) -> bool {
    now.saturating_sub(at) >= LEASE.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(event: Kind, by: &str, offsets: &[i64], timestamp: i64) -> Vec<u8> {
        let dead_letters = Letters { topic: "letters".into(), partition: 1, offsets: offsets.to_vec() };
        let samples = Place { partition: 0, from: 7, labels: false };
        let note = Note { event, dead_letters, by: by.into(), samples, producer: None, replaces: None, timestamp };
        serde_json::to_vec(&note).expect("JSON")
    }

    /// A claim of letter 1 under an identity.
    fn claim(by: &str, producer: i64, replaces: Option<i64>, timestamp: i64) -> Vec<u8> {
        let note: Note = serde_json::from_slice(&note(Kind::Retrying, by, &[1], timestamp)).expect("a note");
        serde_json::to_vec(&Note { producer: Some(producer), replaces, ..note }).expect("JSON")
    }

    fn after(notes: &[Vec<u8>]) -> Ledger {
        let mut ledger = Ledger::new("letters");
        notes.iter().for_each(|note| ledger.read(note));
        ledger
    }

    fn claimant(ledger: &Ledger, offset: i64) -> &str {
        match ledger.standing(1, offset) {
            Standing::Claimed { by, .. } => by,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_claim_counts_until_it_runs_out() {
        let lease = LEASE.as_millis() as i64;
        let first = note(Kind::Retrying, "a", &[1, 2], 1000);
        let early = note(Kind::Retrying, "b", &[2, 3], 1000 + lease - 1);
        let ledger = after(&[first.clone(), early]);
        assert_eq!([1, 2, 3].map(|offset| claimant(&ledger, offset)), ["a", "a", "b"]);
        let late = note(Kind::Retrying, "b", &[2], 1000 + lease);
        assert_eq!(claimant(&after(&[first, late]), 2), "b");
    }

    #[test]
    fn an_identity_gives_way_to_itself_and_to_one_that_knows_it_is_used_up() {
        let lease = LEASE.as_millis() as i64;
        let first = claim("a", 10, None, 0);
        let takers = [
            (claim("b", 10, None, lease), "b"),
            (claim("b", 11, Some(10), lease), "b"),
            (claim("b", 11, None, lease), "a"),
            // It looked before somebody else took the letter.
            (claim("b", 11, Some(9), lease), "a"),
            (claim("b", 10, None, lease - 1), "a"),
        ];
        for (taker, by) in takers {
            assert_eq!(claimant(&after(&[first.clone(), taker.clone()]), 1), by, "{}", String::from_utf8_lossy(&taker));
        }
        // Claims of versions without producer identities are ordered by time alone.
        let old = note(Kind::Retrying, "old", &[1], lease);
        assert_eq!(claimant(&after(&[first.clone(), old.clone()]), 1), "old");
        assert_eq!(claimant(&after(&[first, old, claim("b", 11, None, 2 * lease)]), 1), "b");
    }

    #[test]
    fn what_was_sent_stays_sent() {
        let sent = note(Kind::Retried, "a", &[1], 1000);
        let ledger = after(&[sent, note(Kind::Retrying, "b", &[1], i64::MAX)]);
        assert_eq!(ledger.standing(1, 1), &Standing::Retried);
        assert_eq!(ledger.standing(0, 1), &Standing::Free);
    }

    #[test]
    fn other_events_and_other_topics_are_passed_over() {
        let mut ledger = Ledger::new("others");
        ledger.read(&note(Kind::Retried, "a", &[1], 1000));
        ledger.read(br#"{"event":"drift","model":"tree","source":{},"timestamp":1}"#);
        ledger.read(b"\xff");
        assert_eq!(ledger.standing(1, 1), &Standing::Free);
    }
}
