//! Dead letters in the state file: read beside the daemon without a lock, sent back by the daemon, or while none runs.
//!
//! Invariant: a letter is marked as sent back in the transaction that appends its sample.

use std::{ops::Range, path::Path, sync::Arc};

use rusqlite::{Connection, Transaction, params};

use super::{Config, Shared, Table};
use thalweg_store::{StateReader, Store, needed_from};
use thalweg_topic::{
    DeadLetters, Error, Fate, Page, Topics,
    dead_letters::{DeadLetter, Source},
};

/// Most records and bytes of a page.
const PAGE_RECORDS: usize = 1000;
const PAGE_BYTES: usize = 2 << 20;

/// Dead letters of a state file. Calls block: nothing else runs in a process that reads them.
#[derive(Debug)]
pub struct EmbeddedDeadLetters {
    connection: Connection,
    letters: Table,
    topics: Topics,
    partitions: Vec<i32>,
    ends: Vec<Range<i64>>,
    /// Present where letters are sent back.
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    store: Arc<Store>,
    samples: Table,
    /// `None` where labels have no topic of their own.
    labels: Option<Table>,
    retention: Config,
}

impl EmbeddedDeadLetters {
    /// Opens them for reading, also while a daemon runs.
    ///
    /// # Errors
    /// When there is no state file, or it has no dead letters.
    pub fn open(topics: Topics, path: &Path) -> Result<Self, Error> {
        Self::over(StateReader::open(path)?.into_connection(), topics, path, None)
    }

    /// Opens them for sending back; holds the state file until dropped.
    ///
    /// # Errors
    /// As [`EmbeddedDeadLetters::open`], and [`thalweg_store::Error::InUse`] while a daemon runs.
    pub fn open_to_retry(retention: Config, topics: Topics, state: &thalweg_store::Config) -> Result<Self, Error> {
        // Opening would make a file where there is none.
        drop(StateReader::open(&state.path)?);
        let store = Arc::new(Store::open(state)?);
        let (samples, labels) = (Table::new(&topics.samples), topics.labels.as_deref().map(Table::new));
        let connection = store.reader()?;
        Self::over(connection, topics, &state.path, Some(Writer { store, samples, labels, retention }))
    }

    /// Opens them for sending back within the daemon.
    pub(super) fn of(shared: &Shared) -> Result<Self, Error> {
        let Shared { store, samples, labels, topics, retention, .. } = shared;
        let (store, samples, labels) = (Arc::clone(store), samples.clone(), labels.clone());
        let writer = Writer { store, samples, labels, retention: retention.clone() };
        Self::over(shared.store.reader()?, topics.clone(), shared.store.path(), Some(writer))
    }

    fn over(connection: Connection, topics: Topics, path: &Path, writer: Option<Writer>) -> Result<Self, Error> {
        let letters = Table::new(&topics.dead_letters);
        let look = || {
            for topic in [&topics.dead_letters, &topics.samples] {
                if !has_table(&connection, topic)? {
                    return Ok(Err(topic.clone()));
                }
            }
            let count = letters.partitions(&connection)?.max(topics.partitions);
            let range = |partition| {
                Ok(letters.first_offset(&connection, partition)?..letters.next_offset(&connection, partition)?)
            };
            Ok(Ok((0..count).map(range).collect::<rusqlite::Result<Vec<_>>>()?))
        };
        let ends = look().map_err(|source| sqlite(path, source))?.map_err(|topic| Error::Topic {
            topic,
            problem: format!("it is not in the state file {}; has the daemon run with these settings?", path.display()),
        })?;
        let partitions = (0..ends.len() as i32).collect();
        Ok(Self { connection, letters, topics, partitions, ends, writer })
    }

    fn page(&self, partition: i32, offset: i64) -> rusqlite::Result<Page> {
        let end = self.ends.get(partition as usize).map_or(0, |range| range.end);
        let records = self.letters.read(&self.connection, partition, offset, PAGE_RECORDS, PAGE_BYTES)?;
        let next = records.last().map(|record| record.offset + 1).filter(|next| *next < end);
        let mut page = Page { next, ..Page::default() };
        let knows = has_table(&self.connection, RETRIED)?;
        for record in records.into_iter().filter(|record| record.offset < end) {
            let Some(mut letter) = DeadLetter::read(partition, &record) else {
                page.strangers += 1;
                continue;
            };
            letter.retried = knows && is_retried(&self.connection, &self.topics.dead_letters, &letter)?;
            page.letters.push(letter);
        }
        Ok(page)
    }
}

impl DeadLetters for EmbeddedDeadLetters {
    fn topic(&self) -> &str {
        &self.topics.dead_letters
    }

    fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    fn takes_back(&self, source: &Source) -> bool {
        let is_ours = source.topic == self.topics.samples || Some(&source.topic) == self.topics.labels.as_ref();
        is_ours && (0..self.topics.partitions).contains(&source.partition)
    }

    async fn read(&mut self, partition: i32, offset: i64) -> Result<Page, Error> {
        let path = self.connection.path().unwrap_or_default().to_owned();
        self.page(partition, offset).map_err(|source| sqlite(Path::new(&path), source))
    }

    async fn retry(&mut self, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
        let Some(Writer { store, samples, labels, retention }) = &self.writer else { return Ok(Vec::new()) };
        let topics = &self.topics;
        let first = |letter: &DeadLetter| self.ends.get(letter.partition as usize).map_or(0, |range| range.start);
        let done = store.write_blocking("dead letters cannot be sent back", |tx| {
            create_retried(tx)?;
            let mut fates = Vec::with_capacity(letters.len());
            let mut samples_sent = 0;
            for letter in &letters {
                if !remember(tx, &topics.dead_letters, letter)? {
                    fates.push(Fate::Already);
                    continue;
                }
                let of = labels.as_ref().filter(|labels| labels.name() == letter.source.topic).unwrap_or(samples);
                of.append(tx, letter.source.partition, None, |rows| rows.records([&letter.sample()]))?;
                samples_sent += i64::from(of.name() == samples.name());
                fates.push(Fate::Sent);
            }
            super::count_appended(tx, &topics.samples, samples_sent)?;
            if let Some(letter) = letters.first() {
                forget(tx, &topics.dead_letters, letter.partition, first(letter))?;
            }
            for partition in 0..topics.partitions {
                let needed = needed_from(tx, &topics.samples, partition, store.keep())?;
                samples.retain(tx, partition, retention, needed)?;
            }
            Ok(fates)
        })?;
        Ok(done)
    }
}

/// Name of the table of letters that were sent back.
const RETRIED: &str = "thalweg_retried";

fn create_retried(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS thalweg_retried (topic TEXT, partition INTEGER, offset INTEGER,
             PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID",
    )
}

/// Remembers a letter that is sent back, and returns `true` where it was not remembered yet.
fn remember(tx: &Transaction<'_>, topic: &str, letter: &DeadLetter) -> rusqlite::Result<bool> {
    let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO thalweg_retried VALUES (?1, ?2, ?3)")?;
    Ok(insert.execute(params![topic, letter.partition, letter.offset])? > 0)
}

/// Forgets letters before `offset`, which retention has dropped.
fn forget(tx: &Transaction<'_>, topic: &str, partition: i32, offset: i64) -> rusqlite::Result<()> {
    tx.execute(
        "DELETE FROM thalweg_retried WHERE topic = ?1 AND partition = ?2 AND offset < ?3",
        params![topic, partition, offset],
    )?;
    Ok(())
}

fn is_retried(connection: &Connection, topic: &str, letter: &DeadLetter) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM thalweg_retried WHERE topic = ?1 AND partition = ?2 AND offset = ?3")?
        .exists(params![topic, letter.partition, letter.offset])
}

pub(super) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")?.exists([name])
}

fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
    let (path, source) = (path.to_owned(), Arc::new(source));
    Error::Store(thalweg_store::Error::Sqlite { path, action: "dead letters cannot be read", source })
}
