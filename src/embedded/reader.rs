//! Reads a partition over a connection of its own, so that reading never waits for writing.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ffi};
use tokio::sync::watch;

use super::Table;
use thalweg_topic::{Error, Fetched, Reader, Start};

/// Most records and bytes of one fetch.
const FETCH_RECORDS: usize = 4096;
const FETCH_BYTES: usize = 512 << 10;
/// Time after which an empty fetch returns; records inserted by another program are seen within it.
const FETCH_WAIT: Duration = Duration::from_millis(250);

/// A reader of one partition of a topic.
#[derive(Debug)]
pub struct EmbeddedReader {
    table: Arc<Table>,
    partition: i32,
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    /// Counts commits of samples; kept here, too, so that it never closes.
    appended: (watch::Sender<u64>, watch::Receiver<u64>),
}

impl EmbeddedReader {
    pub(super) fn new(
        connection: Connection,
        path: &Path,
        topic: &str,
        partition: i32,
        appended: watch::Sender<u64>,
    ) -> Self {
        let receiver = appended.subscribe();
        Self {
            table: Arc::new(Table::new(topic)),
            partition,
            path: path.to_owned(),
            connection: Arc::new(Mutex::new(connection)),
            appended: (appended, receiver),
        }
    }

    async fn query<T, F>(&self, query: F) -> Result<T, thalweg_store::Error>
    where
        T: Send + 'static,
        F: FnOnce(&Table, &Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (table, connection) = (Arc::clone(&self.table), Arc::clone(&self.connection));
        let job = move || {
            // Only queries run here: a panic leaves nothing half done.
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            // One view serves all queries: between two of them the first record may arrive.
            let view = connection.unchecked_transaction()?;
            query(&table, &view)
        };
        let path = self.path.clone();
        match tokio::task::spawn_blocking(job).await {
            Ok(result) => result.map_err(|source| thalweg_store::Error::of(path, "the topic cannot be read", source)),
            Err(_) => Err(thalweg_store::Error::Cancelled { path }),
        }
    }
}

impl Reader for EmbeddedReader {
    async fn resolve(&mut self, start: Start) -> Result<i64, Error> {
        let partition = self.partition;
        Ok(self
            .query(move |table, connection| match start {
                Start::Earliest => table.first_offset(connection, partition),
                Start::Latest => table.next_offset(connection, partition),
                Start::Offset(offset) => Ok(offset),
                Start::Timestamp(time) => table.offset_since(connection, partition, time),
            })
            .await?)
    }

    async fn range(&mut self) -> Result<Range<i64>, Error> {
        let partition = self.partition;
        Ok(self
            .query(move |table, connection| {
                Ok(table.first_offset(connection, partition)?..table.next_offset(connection, partition)?)
            })
            .await?)
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let partition = self.partition;
        let deadline = tokio::time::Instant::now() + FETCH_WAIT;
        loop {
            self.appended.1.mark_unchanged();
            let (records, first, next) = self
                .query(move |table, connection| {
                    let next = table.next_offset(connection, partition)?;
                    let records = table.read(connection, partition, offset, FETCH_RECORDS, FETCH_BYTES)?;
                    // One view shows a last record and no record up to it, so keys are out of order.
                    if records.is_empty() && offset < next {
                        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None));
                    }
                    // In the steady state the first record is the requested one, and we need no more.
                    let first = match records.first() {
                        Some(record) if record.offset == offset => offset,
                        _ => table.first_offset(connection, partition)?,
                    };
                    Ok((records, first, next))
                })
                .await?;
            if offset < first || offset > next {
                let missing = (first - offset).max(0);
                let topic = self.table.name().to_owned();
                return Err(Error::Gap { topic, partition, requested: offset, available: first..next, missing });
            }
            if let Some(found) = records.first().filter(|record| record.offset > offset) {
                // Somebody removed records in the middle on purpose; we log it.
                tracing::warn!(
                    event = "hole",
                    topic = self.table.name(),
                    partition,
                    from = offset,
                    to = found.offset,
                    "records have been taken out of the topic; going on behind them"
                );
            }
            let patient = tokio::time::Instant::now() < deadline;
            if records.is_empty() && patient {
                // The next look decides, whether we were woken or the time is over.
                let _ = tokio::time::timeout_at(deadline, self.appended.1.changed()).await;
                continue;
            }
            let next_offset = records.last().map_or(offset, |record| record.offset + 1);
            let end = next.max(next_offset);
            return Ok(Fetched { records, next_offset, high_watermark: end, end });
        }
    }
}
