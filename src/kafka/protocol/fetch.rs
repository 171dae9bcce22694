//! The fetch request and its answer, for any number of partitions.
//!
//! rskafka's own fetch stops at a transaction's marker and hands out the records of aborted transactions; this one
//! leaves both out. Brokers since Kafka 3.1 are asked by the identity of a topic, so that one that was made anew under the
//! same name is never taken for the one before; older brokers are asked by the name.
//! What this does not do: read the records. Each reader does that with what it was brought, and not the task that all
//! readers wait for.

use std::{io::Cursor, sync::Arc, time::Duration};

use bytes::Bytes;
use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{CompactStringRef, Int8, Int16, Int32, Int64, String_, TaggedFields, UnsignedVarint},
    traits::{ReadError, ReadType, WriteType},
};

use super::{
    answer::{Answer, Outcome},
    batches::{Aborted, Committed, committed, end_of, malformed},
    compact, matched,
    metadata::TopicId,
    milliseconds,
};

/// The version whose partitions are asked for by the topic's name; every broker since Kafka 0.11 has it.
const BY_NAME: i16 = 4;
/// The version whose partitions are asked for by the topic's identity (KIP-516, Kafka 3.1).
const BY_ID: i16 = 13;

/// A place in a partition to read from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    /// The identity of the topic; `None` where the broker has none.
    pub(crate) id: Option<TopicId>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Asks for what is committed at some places. The broker waits up to `max_wait` until there are `min_bytes` at any of them.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// Places in different partitions; the broker fills its answer in this order.
    pub(crate) places: Vec<Place>,
    pub(crate) min_bytes: i32,
    /// Bytes of one partition at most, but for a single batch that is larger.
    pub(crate) partition_bytes: i32,
    /// Bytes of the whole answer at most, likewise.
    pub(crate) max_bytes: i32,
    pub(crate) max_wait: Duration,
}

impl Fetch {
    /// Places by topic, in order.
    fn topics(&self) -> impl Iterator<Item = &[Place]> {
        self.places.chunk_by(|a, b| a.topic == b.topic && a.id == b.id)
    }

    /// Returns what an answer has brought of each place.
    pub(crate) fn share_out(&self, answer: FetchAnswer) -> Vec<Option<Brought>> {
        let found = matched(&self.places, &answer.brought, |place, brought| brought.is_of(place));
        let mut brought: Vec<Option<Brought>> = answer.brought.into_iter().map(Some).collect();
        found.into_iter().map(|at| brought[at?].take()).collect()
    }

    fn limits(&self, out: &mut Vec<u8>) -> Result<(), WriteVersionedError> {
        // A consumer, and no replica.
        Int32(-1).write(out)?;
        Int32(milliseconds(self.max_wait)).write(out)?;
        Int32(self.min_bytes).write(out)?;
        Int32(self.max_bytes).write(out)?;
        // Of transactions only what is committed.
        Int8(1).write(out)?;
        Ok(())
    }
}

/// A fetch by the names of topics.
#[derive(Debug)]
pub(crate) struct ByName<'a>(pub(crate) &'a Fetch);

/// A fetch by the identities of topics, which all places must have.
#[derive(Debug)]
pub(crate) struct ById<'a>(pub(crate) &'a Fetch);

impl RequestBody for ByName<'_> {
    type ResponseBody = FetchAnswer;
    const API_KEY: ApiKey = ApiKey::Fetch;
    const API_VERSION_RANGE: ApiVersionRange =
        ApiVersionRange::new(ApiVersion(Int16(BY_NAME)), ApiVersion(Int16(BY_NAME)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(12));
}

impl WriteVersionedType<Vec<u8>> for ByName<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        self.0.limits(out)?;
        Int32(self.0.topics().count() as i32).write(out)?;
        for places in self.0.topics() {
            String_(places[0].topic.to_string()).write(out)?;
            Int32(places.len() as i32).write(out)?;
            for place in places {
                Int32(place.partition).write(out)?;
                Int64(place.offset).write(out)?;
                Int32(self.0.partition_bytes).write(out)?;
            }
        }
        Ok(())
    }
}

impl RequestBody for ById<'_> {
    type ResponseBody = FetchAnswer;
    const API_KEY: ApiKey = ApiKey::Fetch;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(BY_ID)), ApiVersion(Int16(BY_ID)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(12));
}

impl WriteVersionedType<Vec<u8>> for ById<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        self.0.limits(out)?;
        // No session: its number, and its epoch.
        Int32(0).write(out)?;
        Int32(-1).write(out)?;
        compact::length(out, self.0.topics().count())?;
        for places in self.0.topics() {
            places[0].id.unwrap_or_default().write(out)?;
            compact::length(out, places.len())?;
            for place in places {
                Int32(place.partition).write(out)?;
                // The epoch of the leader is not told, nor that of the record before.
                Int32(-1).write(out)?;
                Int64(place.offset).write(out)?;
                Int32(-1).write(out)?;
                // Only replicas have a log start of their own.
                Int64(-1).write(out)?;
                Int32(self.0.partition_bytes).write(out)?;
                TaggedFields::default().write(out)?;
            }
            TaggedFields::default().write(out)?;
        }
        // No partition is left out of a session, and the rack is not told.
        compact::length(out, 0)?;
        CompactStringRef("").write(out)?;
        TaggedFields::default().write(out)?;
        Ok(())
    }
}

/// The answer to a fetch. A broker over whose quota this client is answers with a wait and without partitions (since Kafka
/// 2.0, KIP-219).
#[derive(Debug)]
pub(crate) struct FetchAnswer {
    outcome: Outcome,
    pub(crate) brought: Vec<Brought>,
}

/// The part of an answer about one partition.
#[derive(Debug)]
pub(crate) struct Brought {
    topic: Topic,
    partition: i32,
    pub(crate) failure: Option<ProtocolError>,
    /// Everything before it is decided: a consumer's end of the partition. Without transactions the high watermark.
    pub(crate) last_stable_offset: i64,
    /// After the last record, be it of an open transaction.
    pub(crate) end: i64,
    aborted: Vec<Aborted>,
    log: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
enum Topic {
    Name(String),
    Id(TopicId),
}

/// Committed records of one partition.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// See [`Committed`]; batches come whole, so the first records may be older than the offset asked for.
    pub(crate) committed: Committed,
    /// As in [`Brought`].
    pub(crate) last_stable_offset: i64,
    /// As in [`Brought`].
    pub(crate) end: i64,
    /// Set where the topic was asked for by name, so that it is whichever has the name by now.
    pub(crate) by_name: bool,
}

impl Brought {
    fn is_of(&self, place: &Place) -> bool {
        let same = match &self.topic {
            Topic::Name(name) => **name == *place.topic,
            Topic::Id(id) => place.id == Some(*id),
        };
        same && self.partition == place.partition
    }

    /// Returns the bytes of the records.
    pub(crate) fn bytes(&self) -> usize {
        self.log.len()
    }

    /// Returns the offset after the last whole batch, as the headers have it; `None` where there is none.
    pub(crate) fn next_offset(&self) -> Option<i64> {
        end_of(&self.log)
    }

    /// Reads the records.
    ///
    /// # Errors
    /// When the first batch is not what a broker sends, or is damaged.
    pub(crate) fn read(self) -> Result<Fetched, ReadError> {
        let committed = committed(&self.log, &self.aborted)?;
        if committed.next_offset.is_none() && !self.log.is_empty() {
            return Err(malformed("a broker that sends parts of record batches"));
        }
        let by_name = matches!(self.topic, Topic::Name(_));
        Ok(Fetched { committed, last_stable_offset: self.last_stable_offset, end: self.end, by_name })
    }
}

impl FetchAnswer {
    /// Says whether it is about topics of these names, whichever they are by now.
    pub(crate) fn is_by_name(&self) -> bool {
        self.brought.iter().any(|brought| matches!(brought.topic, Topic::Name(_)))
    }
}

impl Answer for FetchAnswer {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for FetchAnswer {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        let start = reader.position() as usize;
        // The whole answer becomes the buffer that the records share.
        let answer = Bytes::from(std::mem::take(reader).into_inner()).slice(start..);
        let mut parts = Parts { cursor: Cursor::new(&answer), whole: &answer, compact: version.0.0 >= BY_ID };
        let throttle = Int32::read(&mut parts.cursor)?;
        let mut failure = None;
        if parts.compact {
            failure = ProtocolError::new(Int16::read(&mut parts.cursor)?.0);
            let _session = Int32::read(&mut parts.cursor)?;
        }
        let mut brought = Vec::new();
        for _ in 0..parts.count()? {
            let topic = parts.topic()?;
            for _ in 0..parts.count()? {
                brought.push(parts.brought(&topic)?);
            }
            parts.tags()?;
        }
        parts.tags()?;
        let left = answer.len() - parts.cursor.position() as usize;
        if left > 0 {
            return Err(malformed(format!("{left} bytes behind the end of an answer")).into());
        }
        Ok(Self { outcome: Outcome::new(failure, Some(throttle)), brought })
    }
}

/// An answer that is being read, in the old form or the compact one.
struct Parts<'a> {
    cursor: Cursor<&'a Bytes>,
    whole: &'a Bytes,
    compact: bool,
}

impl Parts<'_> {
    /// Reads the length of a list; a null one is empty.
    fn count(&mut self) -> Result<usize, ReadError> {
        if self.compact {
            return Ok(usize::try_from(UnsignedVarint::read(&mut self.cursor)?.0).unwrap_or(0).saturating_sub(1));
        }
        Ok(usize::try_from(Int32::read(&mut self.cursor)?.0).unwrap_or(0))
    }

    fn topic(&mut self) -> Result<Topic, ReadError> {
        if self.compact {
            return Ok(Topic::Id(TopicId::read(&mut self.cursor)?));
        }
        Ok(Topic::Name(String_::read(&mut self.cursor)?.0))
    }

    fn tags(&mut self) -> Result<(), ReadError> {
        if self.compact {
            TaggedFields::read(&mut self.cursor)?;
        }
        Ok(())
    }

    fn brought(&mut self, topic: &Topic) -> Result<Brought, ReadError> {
        let partition = Int32::read(&mut self.cursor)?.0;
        let failure = ProtocolError::new(Int16::read(&mut self.cursor)?.0);
        let end = Int64::read(&mut self.cursor)?.0;
        let last_stable_offset = Int64::read(&mut self.cursor)?.0;
        if self.compact {
            let _log_start = Int64::read(&mut self.cursor)?;
        }
        let mut aborted = Vec::new();
        for _ in 0..self.count()? {
            let producer = Int64::read(&mut self.cursor)?.0;
            aborted.push(Aborted { producer, first_offset: Int64::read(&mut self.cursor)?.0 });
            self.tags()?;
        }
        if self.compact {
            let _preferred_replica = Int32::read(&mut self.cursor)?;
        }
        let bytes = self.count()?;
        let from = self.cursor.position() as usize;
        let left = self.whole.len() - from;
        if bytes > left {
            return Err(malformed(format!("{bytes} bytes of records in an answer that has {left}")));
        }
        self.cursor.set_position((from + bytes) as u64);
        self.tags()?;
        let mut log = self.whole.slice(from..from + bytes);
        // The whole answer would stay in memory for as long as any of its partitions waits to be read.
        if bytes * 2 < self.whole.len() {
            log = Bytes::copy_from_slice(&log);
        }
        // Topics older than transactions have no last stable offset.
        let last_stable_offset = if last_stable_offset < 0 { end } else { last_stable_offset };
        let topic = match topic {
            Topic::Name(name) => Topic::Name(name.clone()),
            Topic::Id(id) => Topic::Id(*id),
        };
        Ok(Brought { topic, partition, failure, last_stable_offset, end, aborted, log })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(topic: &str, id: u8, partition: i32, offset: i64) -> Place {
        Place { topic: topic.into(), id: Some(TopicId::of([id; 16])), partition, offset }
    }

    /// An answer about two partitions, of which the first has brought `log`, in either form.
    fn answer(compact: bool, log: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let count = |out: &mut Vec<u8>, count: usize| {
            if compact {
                compact::length(out, count).expect("written");
            } else {
                out.extend_from_slice(&(count as i32).to_be_bytes());
            }
        };
        out.extend_from_slice(&0_i32.to_be_bytes());
        if compact {
            out.extend_from_slice(&[0; 6]);
        }
        count(&mut out, 1);
        if compact {
            out.extend_from_slice(&[7; 16]);
        } else {
            out.extend_from_slice(b"\0\x01t");
        }
        count(&mut out, 2);
        for (partition, error, log) in [(3_i32, 0_i16, log), (5, 6, &[])] {
            out.extend_from_slice(&partition.to_be_bytes());
            out.extend_from_slice(&error.to_be_bytes());
            out.extend_from_slice(&90_i64.to_be_bytes());
            out.extend_from_slice(&80_i64.to_be_bytes());
            if compact {
                out.extend_from_slice(&[0; 8]);
            }
            count(&mut out, 1);
            out.extend_from_slice(&11_i64.to_be_bytes());
            out.extend_from_slice(&60_i64.to_be_bytes());
            out.extend(compact.then_some(0));
            if compact {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
            }
            count(&mut out, log.len());
            out.extend_from_slice(log);
            out.extend(compact.then_some(0));
        }
        if compact {
            out.extend_from_slice(&[0, 0]);
        }
        out
    }

    #[test]
    fn an_answer_is_read_in_both_forms() {
        for (compact, version) in [(false, BY_NAME), (true, BY_ID)] {
            let mut reader = Cursor::new(answer(compact, b"log"));
            let read = FetchAnswer::read_versioned(&mut reader, ApiVersion(Int16(version))).expect("an answer");
            let [first, second] = &read.brought[..] else { panic!("{read:?}") };
            assert!(first.is_of(&place("t", 7, 3, 0)) && second.is_of(&place("t", 7, 5, 0)));
            assert!(!first.is_of(&place("t", 7, 4, 0)) && !first.is_of(&place("u", 8, 3, 0)));
            assert_eq!((first.failure, second.failure), (None, Some(ProtocolError::NotLeaderOrFollower)));
            assert_eq!((first.end, first.last_stable_offset, &first.log[..]), (90, 80, &b"log"[..]));
            assert_eq!(first.aborted, [Aborted { producer: 11, first_offset: 60 }]);
        }
    }

    #[test]
    fn an_answer_that_says_more_than_it_has_is_an_error() {
        for (compact, version) in [(false, BY_NAME), (true, BY_ID)] {
            let whole = answer(compact, b"log");
            for cut in [whole.len() - 1, whole.len() / 2, 4] {
                let mut reader = Cursor::new(whole[..cut].to_vec());
                FetchAnswer::read_versioned(&mut reader, ApiVersion(Int16(version))).expect_err("cut off");
            }
            let mut reader = Cursor::new([&whole[..], &[0]].concat());
            FetchAnswer::read_versioned(&mut reader, ApiVersion(Int16(version))).expect_err("too long");
        }
    }

    #[test]
    fn partitions_of_a_topic_are_asked_for_together() {
        let places = vec![place("a", 1, 0, 5), place("a", 1, 1, 6), place("b", 2, 0, 7)];
        let fetch = Fetch { places, min_bytes: 1, partition_bytes: 10, max_bytes: 40, max_wait: Duration::ZERO };
        assert_eq!(fetch.topics().map(<[Place]>::len).collect::<Vec<_>>(), [2, 1]);
    }
}
