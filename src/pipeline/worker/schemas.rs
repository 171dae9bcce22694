//! Finds out by which schemas the records of a batch were written, before it is decoded.
//!
//! Invariant: what an id means is in the state file before a record is read by it, and a record whose answer was published is read
//! by what was noted then, whatever the registry says now. While the registry is away the stream waits, and nothing is given up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Error, gauges::Counters};
use crate::{
    decode::{Format, Learned, Meaning, Origin, Schema, SchemaHeader, SchemaId, Writer, Writers},
    registry::{Answer, Away, Registry},
};
use thalweg_store::{Backoff, RateLimit, Store};
use thalweg_topic::record::Record;

/// First wait before a registry that is away is asked again.
const INITIAL_WAIT: Duration = Duration::from_millis(200);
/// Longest such wait.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Ids of which it is remembered when they were unknown.
const MAX_UNKNOWN: usize = 1024;

/// An id that the registry does not know.
struct Unknown {
    /// When it was asked for; `None` where the state file says so of records that were answered.
    asked: Option<Instant>,
    /// Offset from which on the state file says something else.
    until: i64,
}

/// The schemas of one partition.
pub(super) struct Schemas {
    registry: Option<Arc<dyn Registry>>,
    store: Arc<Store>,
    topic: String,
    partition: i32,
    format: Format,
    writers: Writers,
    /// Offset before which records are read as the state file says.
    decided: i64,
    unknown: HashMap<SchemaId, Unknown>,
    counters: Arc<Counters>,
}

impl Schemas {
    /// Begins with nothing known. `decided` is the offset up to which outputs have been published.
    pub(super) fn new(
        registry: Option<Arc<dyn Registry>>,
        store: Arc<Store>,
        (topic, partition): (&str, i32),
        schema: &Schema,
        decided: i64,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            registry,
            store,
            topic: topic.to_owned(),
            partition,
            format: schema.format.clone(),
            writers: Writers::new(schema),
            decided,
            unknown: HashMap::new(),
            counters,
        }
    }

    /// Returns what has to be learned to read some records; waits for the registry as long as it is away.
    ///
    /// # Errors
    /// Those of the state file.
    pub(super) async fn learn(&mut self, records: &[Record]) -> Result<Vec<Learned>, Error> {
        let mut all = Vec::new();
        if !matches!(self.format, Format::Avro(Origin::Registry) | Format::Protobuf(Origin::Registry)) {
            return Ok(all);
        }
        for record in records {
            let header = SchemaHeader::of(&record.headers);
            let Some((id, known)) = self.writers.of(record.value.as_deref(), header) else { continue };
            let is_settled = match known {
                Some(Meaning::Known(_) | Meaning::Unreadable(_)) => true,
                Some(Meaning::Unknown) => self.stays_unknown(id, record.offset),
                None => false,
            };
            if is_settled {
                continue;
            }
            let meaning = self.meaning(id, record.offset).await?;
            let learned = Learned { offset: record.offset, id, meaning };
            self.writers.learn(&learned);
            all.push(learned);
        }
        Ok(all)
    }

    /// Returns true where an id that was unknown is so to the record at an offset, too, without another question.
    fn stays_unknown(&self, id: SchemaId, offset: i64) -> bool {
        let Some(Unknown { asked, until }) = self.unknown.get(&id) else { return false };
        let pause = self.registry.as_ref().map_or(Duration::MAX, |registry| registry.asks_again_after());
        offset < *until && (offset < self.decided || asked.is_some_and(|asked| asked.elapsed() < pause))
    }

    fn note_unknown(&mut self, id: SchemaId, unknown: Unknown) {
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(id, unknown);
    }

    /// Returns what an id means to the record at an offset.
    async fn meaning(&mut self, id: SchemaId, offset: i64) -> Result<Meaning, Error> {
        let key = id.to_string().into_bytes();
        let mut noted = self.store.meanings(&self.topic, self.partition, &key)?;
        let is_decided = offset < self.decided;
        // A schema that was found means the same for ever; only what was unknown may have become known.
        let found = noted.iter().rposition(|(since, _)| *since <= offset);
        let until = noted.iter().map(|(since, _)| *since).find(|since| *since > offset).unwrap_or(i64::MAX);
        let (_, bytes) = match found {
            Some(place) => noted.swap_remove(place),
            None => noted.pop().unwrap_or_default(),
        };
        let noted = Answer::noted(&bytes);
        match noted {
            Some(answer @ (Answer::Found(_) | Answer::Unusable(_))) => return Ok(self.read(answer)),
            Some(Answer::Unknown) if is_decided && found.is_some() => {
                self.note_unknown(id, Unknown { asked: None, until });
                return Ok(Meaning::Unknown);
            }
            Some(Answer::Unknown) | None => {}
        }
        let Some(registry) = self.registry.clone() else { return Ok(Meaning::Unknown) };
        let answer = self.ask(&*registry, id).await;
        if answer == Answer::Unknown {
            self.note_unknown(id, Unknown { asked: Some(Instant::now()), until: i64::MAX });
        }
        if found.is_none() || answer != Answer::Unknown {
            let mut bytes = Vec::new();
            // A vector takes all.
            let _ = thalweg_state::write(&answer, &mut bytes);
            self.store.keep_meaning(&self.topic, self.partition, key, offset, bytes).await?;
        }
        Ok(self.read(answer))
    }

    /// Makes of an answer what records are read by.
    fn read(&self, answer: Answer) -> Meaning {
        match answer {
            Answer::Found(definition) => match Writer::new(&self.format, &definition) {
                Ok(writer) => Meaning::Known(Arc::new(writer)),
                Err(problem) => Meaning::Unreadable(problem.into()),
            },
            Answer::Unknown => Meaning::Unknown,
            Answer::Unusable(problem) => Meaning::Unreadable(problem.into()),
        }
    }

    /// Asks until there is an answer.
    async fn ask(&self, registry: &dyn Registry, id: SchemaId) -> Answer {
        let mut backoff = Backoff::new(INITIAL_WAIT, MAX_WAIT);
        let mut limit = RateLimit::default();
        // Also where the stream is told to stop while it waits.
        let _held = Held(&self.counters);
        loop {
            let Away(problem) = match registry.schema(id).await {
                Ok(answer) => {
                    if limit.has_spoken() {
                        tracing::info!(
                            event = "registry_answers",
                            partition = self.partition,
                            "the schema registry answers again"
                        );
                    }
                    return answer;
                }
                Err(away) => away,
            };
            self.counters.waits_for_registry(true);
            let wait = backoff.next_wait();
            if !limit.has_spoken() && limit.is_due() {
                tracing::warn!(
                    event = "registry_away", partition = self.partition, schema = %id, problem, next_try = ?wait,
                    "waiting for the schema registry; records wait in the topic, and none is lost"
                );
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// A stream that may wait for the registry.
struct Held<'c>(&'c Counters);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.waits_for_registry(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use futures_util::future::{BoxFuture, FutureExt};

    use super::*;
    use crate::decode::Definition;

    /// Knows what it is told; away where that is nothing.
    #[derive(Debug, Default)]
    struct Told {
        answer: Mutex<Option<Answer>>,
        asked: Mutex<usize>,
    }

    impl Told {
        fn tell(&self, answer: Option<Answer>) {
            *self.answer.lock().expect("nothing panics with it") = answer;
        }

        fn asked(&self) -> usize {
            *self.asked.lock().expect("nothing panics with it")
        }
    }

    impl Registry for Told {
        fn schema(&self, _: SchemaId) -> BoxFuture<'_, Result<Answer, Away>> {
            *self.asked.lock().expect("nothing panics with it") += 1;
            let answer = self.answer.lock().expect("nothing panics with it").clone();
            std::future::ready(answer.ok_or_else(|| Away("nobody is there".to_owned()))).boxed()
        }

        fn asks_again_after(&self) -> Duration {
            Duration::from_secs(60)
        }
    }

    fn found(field: &str) -> Option<Answer> {
        let body = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{field}","type":"int"}}]}}"#);
        Some(Answer::Found(Definition { body: body.into(), ..Definition::default() }))
    }

    fn records(offsets: std::ops::Range<i64>) -> Vec<Record> {
        let value = Some(Bytes::from_static(&[0, 0, 0, 0, 5, 2]));
        offsets.map(|offset| Record { offset, value: value.clone(), ..Record::default() }).collect()
    }

    struct Site {
        store: Arc<Store>,
        registry: Arc<Told>,
        _folder: tempfile::TempDir,
    }

    impl Site {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let config = thalweg_store::Config { path: folder.path().join("state.db"), ..Default::default() };
            Self { store: Arc::new(Store::open(&config).expect("open")), registry: Arc::default(), _folder: folder }
        }

        /// As after a start with outputs up to an offset.
        fn started(&self, decided: i64) -> Schemas {
            let registry = Arc::clone(&self.registry) as Arc<dyn Registry>;
            let schema = Schema { format: Format::Avro(Origin::Registry), ..Schema::default() };
            Schemas::new(Some(registry), Arc::clone(&self.store), ("samples", 0), &schema, decided, Arc::default())
        }
    }

    /// Offsets with what the id means from there on.
    async fn learned(schemas: &mut Schemas, offsets: std::ops::Range<i64>) -> Vec<(i64, &'static str)> {
        let name = |meaning: &Meaning| match meaning {
            Meaning::Known(_) => "known",
            Meaning::Unknown => "unknown",
            Meaning::Unreadable(_) => "unreadable",
        };
        let learned = schemas.learn(&records(offsets)).await.expect("learned");
        learned.iter().map(|it| (it.offset, name(&it.meaning))).collect()
    }

    #[tokio::test]
    async fn a_record_that_was_answered_is_read_as_it_was_whatever_the_registry_says_since() {
        let site = Site::new();
        site.registry.tell(Some(Answer::Unknown));
        assert_eq!(learned(&mut site.started(0), 3..5).await, [(3, "unknown")]);
        site.registry.tell(found("x"));
        // The first two had been answered when it was started again.
        assert_eq!(learned(&mut site.started(5), 3..8).await, [(3, "unknown"), (5, "known")]);
        // Deleted, and away: what was noted holds.
        for answer in [Some(Answer::Unknown), None, found("y")] {
            site.registry.tell(answer);
            let asked = site.registry.asked();
            assert_eq!(learned(&mut site.started(6), 3..8).await, [(3, "unknown"), (5, "known")]);
            assert_eq!(learned(&mut site.started(6), 7..8).await, [(7, "known")]);
            assert_eq!(site.registry.asked(), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_id_is_asked_for_again_after_a_while_and_not_for_every_record() {
        let site = Site::new();
        site.registry.tell(Some(Answer::Unknown));
        let mut schemas = site.started(0);
        assert_eq!(learned(&mut schemas, 0..100).await, [(0, "unknown")]);
        assert_eq!(site.registry.asked(), 1);
        site.registry.tell(found("x"));
        assert_eq!(learned(&mut schemas, 100..200).await, []);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(learned(&mut schemas, 200..300).await, [(200, "known")]);
        assert_eq!(site.registry.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_away_is_waited_for() {
        let site = Site::new();
        let mut schemas = site.started(0);
        let counters = Arc::clone(&schemas.counters);
        let gauges = crate::worker::Gauges { counters, ..Default::default() };
        let view = gauges.view();
        let waiting = tokio::spawn(async move { learned(&mut schemas, 0..1).await });
        while site.registry.asked() < 5 {
            assert!(!waiting.is_finished());
            tokio::time::advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        assert!(view.waits_for_registry() && view.registry_tries() >= 4);
        site.registry.tell(found("x"));
        assert_eq!(waiting.await.expect("no panic"), [(0, "known")]);
        assert!(!view.waits_for_registry());
    }
}
