//! Topics as tables of the state file, for running without a broker.
//!
//! A topic is a table `(partition, offset, timestamp, key, value, headers)` that any SQLite client can read while the
//! daemon runs. Invariant: a worker's outputs, its consumed offset and its checkpoint commit in one transaction, and
//! generated samples commit together with their number; so nothing is lost or doubled at whatever moment the process
//! ends.
//! What this does not do: serve other processes. One process at a time owns the file.

mod dead_letters;
mod headers;
mod publisher;
mod reader;
mod table;
mod topics;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::watch;

pub use dead_letters::EmbeddedDeadLetters;
pub use publisher::EmbeddedPublisher;
pub use reader::EmbeddedReader;
pub use topics::EmbeddedTopics;

use table::Table;
use thalweg_store::{Store, meta, needed_from, set_meta};
use thalweg_topic::{Error, Fixed, NotTaken, Opening, Reader, SampleLog, Source, Timestamps, Topics, Transport};
use thalweg_topic::{
    dead_letters::{Retried, Selection},
    record::Outgoing,
};

/// Checked limits of the embedded topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Newest records kept per topic and partition, ≥ 1. Samples that a restart would need are kept beyond it, and
    /// when this many wait to be consumed the generator waits too.
    pub retention_records: u64,
    /// Approximate newest bytes kept per topic and partition.
    pub retention_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { retention_records: 1_000_000, retention_bytes: 1 << 30 }
    }
}

/// The open embedded transport.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
}

/// State that readers, publishers and the generator's side share.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    samples: Table,
    /// `None` where labels come with the samples.
    labels: Option<Table>,
    /// In the order of [`super::Output`].
    outputs: [Table; 3],
    topics: Topics,
    retention: Config,
    /// Counts commits of samples, to wake readers.
    appended: watch::Sender<u64>,
    /// Counts commits of outputs, to wake a generator that waits for room.
    consumed: watch::Sender<u64>,
    /// Time that published records carry.
    timestamps: Timestamps,
    /// True where samples may be appended among rows that another program has written.
    among_others: bool,
}

/// Time after which a generator that waits for room looks again in any case.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the name in `thalweg_meta` of the number of samples that Thalweg has appended, over all partitions. Samples
/// beyond that number were written by another program.
fn appended_name(topic: &str) -> String {
    format!("appended:{topic}")
}

/// Adds to the number of samples that Thalweg has appended.
fn count_appended(tx: &rusqlite::Transaction<'_>, topic: &str, count: i64) -> rusqlite::Result<()> {
    let name = appended_name(topic);
    match meta(tx, &name)? {
        Some(before) => set_meta(tx, &name, before + count),
        // Without a count from the beginning there is nothing to add to.
        None => Ok(()),
    }
}

/// Returns the name in `thalweg_meta` of the number of generated samples.
fn generated_name(topics: &Topics) -> String {
    format!("generated:{}", topics.samples)
}

impl Embedded {
    /// Opens the topics, creating those that are missing.
    ///
    /// # Errors
    /// When the state file cannot be written, or holds more partitions than it now should, or when the generator would
    /// write among somebody's samples ([`Error::Foreign`]).
    pub async fn open(config: Config, topics: Topics, store: Arc<Store>, opening: &Opening) -> Result<Self, Error> {
        let table = |name: &str| Table::new(name);
        let shared = Shared {
            samples: table(&topics.samples),
            labels: topics.labels.as_deref().map(table),
            outputs: [table(&topics.predictions), table(&topics.dead_letters), table(&topics.events)],
            retention: config,
            appended: watch::Sender::new(0),
            consumed: watch::Sender::new(0),
            timestamps: opening.timestamps,
            among_others: opening.generating.is_none_or(|generating| generating.into_foreign_topic),
            topics,
            store,
        };
        let tables: Vec<Table> = shared.tables().cloned().collect();
        let (samples, generated) = (shared.samples.clone(), generated_name(&shared.topics));
        let (present, own) = shared
            .store
            .write("its topics cannot be made", move |tx| {
                table::create_progress(tx)?;
                tables.iter().try_for_each(|table| table.create(tx))?;
                let present = samples.partitions(tx)?;
                let (held, name) = (samples.appended(tx)?, appended_name(samples.name()));
                let own = match meta(tx, &name)? {
                    Some(appended) => held <= appended,
                    // The state is older than this count.
                    None if held == 0 || meta(tx, &generated)?.unwrap_or(0) > 0 => {
                        set_meta(tx, &name, held)?;
                        true
                    }
                    None => false,
                };
                Ok((present, own))
            })
            .await?;
        let count = shared.topics.partitions;
        if present > count {
            return Err(Error::Topic {
                topic: shared.topics.samples.clone(),
                problem: format!(
                    "it holds {present} partitions but topics.partitions is {count}; raise it to {present}"
                ),
            });
        }
        if !own && !shared.among_others {
            return Err(foreign(&shared.topics.samples));
        }
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Source for Embedded {
    type Reader = EmbeddedReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        if self.shared.tables().any(|table| table.name() == topic) {
            return Ok(self.shared.topics.partitions);
        }
        let (connection, path) = (self.shared.store.reader()?, self.shared.store.path());
        topics::partitions(&connection, topic, path)
    }

    async fn reader(&self, topic: &str, partition: i32) -> Result<EmbeddedReader, Error> {
        let Shared { store, appended, .. } = &*self.shared;
        Ok(EmbeddedReader::new(store.reader()?, store.path(), topic, partition, appended.clone()))
    }
}

impl Transport for Embedded {
    type Assignments = Fixed;
    type Publisher = EmbeddedPublisher;

    fn assignments(&self) -> Fixed {
        Fixed::of(0..self.shared.topics.partitions)
    }

    async fn publisher(&self, partition: i32) -> Result<EmbeddedPublisher, Error> {
        Ok(EmbeddedPublisher::new(Arc::clone(&self.shared), partition))
    }

    async fn ends(&self, partitions: &[i32]) -> Result<Vec<i64>, Error> {
        let mut ends = Vec::with_capacity(partitions.len());
        for &partition in partitions {
            ends.push(self.reader(&self.shared.topics.samples, partition).await?.range().await?.end);
        }
        Ok(ends)
    }

    fn retries(&self) -> u64 {
        0
    }
}

impl SampleLog for Embedded {
    fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> impl Future<Output = Result<(), Error>> + Send {
        append(Arc::clone(&self.shared), first, samples)
    }

    async fn generated(&self) -> Result<u64, Error> {
        Ok(self.shared.store.meta(&generated_name(&self.shared.topics))?.unwrap_or(0).cast_unsigned())
    }

    async fn take_samples(&self, partition: i32, samples: Vec<Outgoing>) -> Result<Option<i64>, NotTaken> {
        let count = self.shared.topics.partitions;
        if !(0..count).contains(&partition) {
            return Err(NotTaken::Partition { partition, count });
        }
        let (size, limit) = (samples.len(), self.shared.retention.retention_records.cast_signed());
        if size as i64 > limit {
            return Err(NotTaken::TooLarge { size, limit: limit as usize, unit: "records" });
        }
        let job = Arc::clone(&self.shared);
        let taken = self.shared.store.write("samples cannot be appended", move |tx| {
            let next = job.samples.next_offset(tx, partition)?;
            let waiting = next - job.consumed(tx, partition)?;
            if waiting + samples.len() as i64 > limit {
                return Ok(Err(NotTaken::Full { waiting, limit }));
            }
            // They are not counted among Thalweg's own, so that a generator that is to be alone here rests.
            job.samples.append(tx, partition, None, |rows| rows.records(&samples))?;
            let needed = needed_from(tx, &job.topics.samples, partition, job.store.keep())?;
            job.samples.retain(tx, partition, &job.retention, needed)?;
            Ok(Ok(next))
        });
        let first = taken.await.map_err(Error::from)??;
        self.shared.appended.send_modify(|count| *count += 1);
        Ok(Some(first))
    }

    async fn send_back(&self, selection: Selection) -> Result<Retried, Error> {
        let (shared, runtime) = (Arc::clone(&self.shared), tokio::runtime::Handle::current());
        let job = move || {
            let mut letters = EmbeddedDeadLetters::of(&shared)?;
            let sent = runtime.block_on(thalweg_topic::dead_letters::retry(&mut letters, &selection));
            shared.appended.send_modify(|count| *count += 1);
            sent
        };
        // Calls of theirs block.
        tokio::task::spawn_blocking(job).await.unwrap_or(Err(Error::Stopped))
    }
}

/// Outcome of an attempt to append.
enum Room {
    Taken,
    None,
    /// There is room, but another program has written to the topic.
    Foreign,
}

fn foreign(topic: &str) -> Error {
    let found = "its table holds rows that its generator did not write".to_owned();
    Error::Foreign { topic: topic.to_owned(), found }
}

async fn append(shared: Arc<Shared>, first: u64, samples: Vec<Outgoing>) -> Result<(), Error> {
    let partitions = u64::from(shared.topics.partitions.unsigned_abs());
    // Every attempt gets a clone, since one that finds no room does not return the samples.
    let samples = Arc::new(samples);
    let mut consumed = shared.consumed.subscribe();
    loop {
        consumed.mark_unchanged();
        let (job, records) = (Arc::clone(&shared), Arc::clone(&samples));
        let room = shared
            .store
            .write("samples cannot be appended", move |tx| {
                let limit = job.retention.retention_records.cast_signed();
                let mut held = 0;
                for partition in 0..partitions {
                    let next = job.samples.next_offset(tx, partition as i32)?;
                    held += next;
                    if next - job.consumed(tx, partition as i32)? >= limit {
                        return Ok(Room::None);
                    }
                }
                if !job.among_others && meta(tx, &appended_name(&job.topics.samples))?.is_none_or(|own| held > own) {
                    return Ok(Room::Foreign);
                }
                for partition in 0..partitions {
                    let numbered = (first..).zip(records.iter());
                    let mine = numbered.filter(|(i, _)| i % partitions == partition).map(|(_, record)| record);
                    job.samples.append(tx, partition as i32, None, |rows| rows.records(mine))?;
                    let needed = needed_from(tx, &job.topics.samples, partition as i32, job.store.keep())?;
                    job.samples.retain(tx, partition as i32, &job.retention, needed)?;
                }
                let generated = first + records.len() as u64;
                set_meta(tx, &generated_name(&job.topics), generated.cast_signed())?;
                count_appended(tx, &job.topics.samples, records.len() as i64)?;
                Ok(Room::Taken)
            })
            .await?;
        match room {
            Room::Taken => {
                shared.appended.send_modify(|count| *count += 1);
                return Ok(());
            }
            Room::Foreign => return Err(foreign(&shared.topics.samples)),
            Room::None => {}
        }
        if shared.store.is_closing() {
            return Err(Error::Stopped);
        }
        // Either a commit made room, or it is time to look again.
        let _ = tokio::time::timeout(POLL_INTERVAL, consumed.changed()).await;
    }
}

impl Shared {
    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.samples].into_iter().chain(&self.labels).chain(&self.outputs)
    }

    /// Returns the input offset up to which the outputs of a partition are committed.
    fn consumed(&self, tx: &rusqlite::Transaction<'_>, partition: i32) -> rusqlite::Result<i64> {
        table::progress(tx, &self.topics.samples, partition)
    }
}
