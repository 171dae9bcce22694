//! One broker, and the connections to it: three, however many partitions it leads.
//!
//! | connection | for | since |
//! | --- | --- | --- |
//! | questions | metadata, offsets, identities, settings, records that are there | an answer comes at once |
//! | `polls` | records that are yet to come | a fetch waits at the broker, which meanwhile answers nothing else |
//! | `sends` | batches | an acknowledgement may wait for replicas |
//!
//! Each is made when it is needed, and anew after it has failed.

use std::{sync::Arc, time::Duration};

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};

use super::{
    access::Access,
    connection::{self, Connection},
    fault::{Fault, Try},
    polls::Polls,
    sends::Sends,
    slot::Slot,
    together::{Asked, Question, Together},
};
use crate::protocol::{
    Answer, AskMetadata, Brought, ById, ByName, Fetch, FetchAnswer, Metadata, OffsetQuestion, Place, Topics,
    list_offsets,
};

/// Fetches of one partition that an answer has room for, at most.
const ANSWER_FETCHES: i32 = 4;
/// No answer is asked to be larger.
const MAX_ANSWER_BYTES: i32 = 64 << 20;

/// A broker, connected or not.
#[derive(Debug)]
pub(crate) struct Broker {
    access: Arc<Access>,
    address: String,
    questions: Slot<Connection>,
    polls: Slot<Polls>,
    sends: Slot<Sends>,
    offsets: Together<OffsetQuestion>,
    reads: Together<Place>,
}

impl Question for OffsetQuestion {
    type Answer = i64;

    fn partition(&self) -> (&Arc<str>, i32) {
        (&self.topic, self.partition)
    }

    fn kind(&self) -> u8 {
        self.at.kind()
    }
}

impl Question for Place {
    type Answer = Brought;

    fn partition(&self) -> (&Arc<str>, i32) {
        (&self.topic, self.partition)
    }

    /// A request has all topics by identity or all by name.
    fn kind(&self) -> u8 {
        self.id.is_some().into()
    }
}

impl Broker {
    pub(super) fn new(access: &Arc<Access>, address: &str) -> Self {
        Self {
            access: Arc::clone(access),
            address: address.to_owned(),
            questions: Slot::default(),
            polls: Slot::default(),
            sends: Slot::default(),
            offsets: Together::default(),
            reads: Together::default(),
        }
    }

    /// Says whether it can be asked at once.
    pub(super) fn is_connected(&self) -> bool {
        self.questions.is_open()
    }

    /// Sends a request, as [`Connection::call`] does.
    pub(super) async fn call<R>(&self, action: &str, request: R) -> Try<R::ResponseBody>
    where
        R: RequestBody + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: Answer + ReadVersionedType<std::io::Cursor<Vec<u8>>>,
    {
        self.questions().await?.call(action, Duration::ZERO, request).await
    }

    /// Returns the way to records that are yet to come.
    pub(super) async fn polls(&self) -> Try<Arc<Polls>> {
        self.polls.get(&self.access, async { Ok(Polls::new(&self.access, self.connect().await?)) }).await
    }

    /// Returns the way for batches.
    pub(super) async fn sends(&self) -> Try<Arc<Sends>> {
        self.sends.get(&self.access, async { Ok(Sends::new(&self.access, self.connect().await?)) }).await
    }

    async fn questions(&self) -> Try<Arc<Connection>> {
        self.questions.get(&self.access, self.connect()).await
    }

    async fn connect(&self) -> Try<Connection> {
        let connected = connection::connect(&self.access, &self.address).await?;
        // What was there before has ended, and the broker may have been away.
        self.access.note_change();
        Ok(connected)
    }

    /// Asks about some topics.
    pub(super) async fn metadata(&self, topics: Topics<'_>) -> Try<Metadata> {
        let action = format!("asking {} for its topics", self.address);
        let connection = self.questions().await?;
        let is_new = !connection.has_answered();
        let request = AskMetadata(topics);
        let answer = match connection.call(&action, Duration::ZERO, request).await {
            Err(fault) if fault.is_version() => {
                let answer = connection.call(&action, Duration::ZERO, request.without_identities()).await;
                answer.map(Metadata::from)
            }
            answer => answer,
        };
        let fault = match answer {
            Ok(metadata) => {
                self.access.note_let_in();
                return Ok(metadata);
            }
            Err(fault) => fault,
        };
        // Where no login is configured and one is wanted, the broker hangs up at the first request.
        if is_new
            && self.access.config().sasl.is_none()
            && matches!(fault, Fault::Transient(_))
            && let Some(offered) = connection::logins(&self.access, &self.address).await
        {
            let problem = "this port wants a login; set transport.kafka.sasl, or name the port of a listener without one in \
                           transport.kafka.brokers";
            let fault = Fault::access(&action, problem, format!("it offers {}", offered.join(", ")));
            return Err(self.access.at_the_door(fault));
        }
        Err(fault.map_transient(|problem| format!("{}: {problem}", self.address)))
    }

    /// Asks for an offset, together with whoever else asks.
    pub(super) async fn offset(self: &Arc<Self>, question: OffsetQuestion) -> Try<i64> {
        let this = Arc::clone(self);
        self.offsets.ask(question, || async move { this.send_offsets().await }).await
    }

    async fn send_offsets(&self) {
        let _sender = self.offsets.sender();
        while let Some(asked) = self.offsets.take() {
            let questions: Vec<&OffsetQuestion> = asked.iter().map(|asked| &asked.question).collect();
            let answer = self.call("asking for offsets", list_offsets(&questions)).await;
            let found = answer.as_ref().map(|answer| OffsetQuestion::answers(&questions, answer));
            let found: Vec<_> = match found {
                Ok(found) => asked.iter().zip(found).map(|(asked, found)| offset(&asked.question, found)).collect(),
                Err(fault) => asked.iter().map(|_| Err(fault.clone())).collect(),
            };
            asked.into_iter().zip(found).for_each(|(asked, found)| asked.answer(found));
        }
    }

    /// Reads what is at a place, together with whoever else reads; nothing where nothing is there.
    pub(super) async fn read(self: &Arc<Self>, place: Place) -> Try<Brought> {
        let this = Arc::clone(self);
        self.reads.ask(place, || async move { this.send_reads().await }).await
    }

    async fn send_reads(&self) {
        let _sender = self.reads.sender();
        while let Some(asked) = self.reads.take() {
            let places = asked.iter().map(|asked| asked.question.clone()).collect();
            let fetch = fetch(&self.access, places, 1, Duration::ZERO);
            let answer = match self.questions().await {
                Ok(connection) => call(&connection, "fetching", &fetch).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(answer) => self.reads.put_back(share_out(asked, &fetch, answer)),
                Err(fault) => asked.into_iter().for_each(|asked| asked.answer(Err(fault.clone()))),
            }
        }
    }
}

/// Answers those whom an answer has something for; returns the others. What others were brought may have left no room.
fn share_out(asked: Vec<Asked<Place>>, fetch: &Fetch, answer: FetchAnswer) -> Vec<Asked<Place>> {
    let is_throttled = answer.brought.is_empty() && !answer.outcome().throttle.is_zero();
    let bytes: usize = answer.brought.iter().map(Brought::bytes).sum();
    let mut left = Vec::new();
    for (asked, brought) in asked.into_iter().zip(fetch.share_out(answer)) {
        match brought {
            None if is_throttled => left.push(asked),
            None => asked.answer(Err(Fault::transient("the broker answered nothing about a partition"))),
            Some(brought) => {
                let had_no_room = brought.failure.is_none()
                    && brought.bytes() == 0
                    && bytes > 0
                    && asked.question.offset < brought.last_stable_offset;
                if had_no_room { left.push(asked) } else { asked.answer(Ok(brought)) }
            }
        }
    }
    left
}

/// Makes a request for some places.
pub(super) fn fetch(access: &Access, places: Vec<Place>, min_bytes: i32, max_wait: Duration) -> Fetch {
    let fetch_bytes = access.config().fetch_bytes;
    let max_bytes = fetch_bytes.saturating_mul(ANSWER_FETCHES).min(MAX_ANSWER_BYTES).max(fetch_bytes);
    Fetch { places, min_bytes, partition_bytes: access.fetch_bytes(), max_bytes, max_wait }
}

/// Fetches by the identities of the topics, where they and the broker have them.
pub(super) async fn call(connection: &Connection, action: &str, fetch: &Fetch) -> Try<FetchAnswer> {
    if fetch.places.iter().all(|place| place.id.is_some()) {
        match connection.call(action, fetch.max_wait, ById(fetch)).await {
            Err(fault) if fault.is_version() => {}
            answer => return answer,
        }
    }
    connection.call(action, fetch.max_wait, ByName(fetch)).await
}

fn offset(
    question: &OffsetQuestion,
    found: Option<&rskafka::protocol::messages::ListOffsetsResponsePartition>,
) -> Try<i64> {
    let action = || format!("asking for offsets of `{}`/{}", question.topic, question.partition);
    match found.map(|found| (found.error_code, found.offset)) {
        Some((Some(code), _)) => Err(Fault::of_answer(&action(), code.into())),
        Some((None, Some(offset))) => Ok(offset.0),
        _ => Err(Fault::transient(format!("{}: the broker answered nothing", action()))),
    }
}
