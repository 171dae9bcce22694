//! A topic in the state file, read beside the daemon without a lock.

use std::{ops::Range, path::Path, sync::Arc};

use rusqlite::Connection;

use super::Table;
use thalweg_store::Archive;
use thalweg_topic::{Error, Fetched, History};

/// Records and bytes of one look.
const PAGE_RECORDS: usize = 4096;
const PAGE_BYTES: usize = 2 << 20;

/// A topic of a state file. Calls block: nothing else runs in a process that looks at it.
#[derive(Debug)]
pub struct EmbeddedHistory {
    connection: Connection,
    table: Table,
    partitions: i32,
}

impl EmbeddedHistory {
    /// Opens a topic for reading, also while a daemon runs.
    ///
    /// # Errors
    /// When there is no state file, or no such topic in it.
    pub fn open(topic: &str, path: &Path) -> Result<Self, Error> {
        let connection = Archive::open(path)?.into_connection();
        let table = Table::new(topic);
        let present = super::dead_letters::has_table(&connection, topic);
        if !present.map_err(|source| sqlite(path, source))? {
            return Err(Error::Topic {
                topic: topic.to_owned(),
                problem: format!(
                    "it is not in the state file {}; has the daemon run with these settings?",
                    path.display()
                ),
            });
        }
        let partitions = table.partitions(&connection).map_err(|source| sqlite(path, source))?;
        Ok(Self { connection, table, partitions })
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        sqlite(Path::new(self.connection.path().unwrap_or_default()), source)
    }
}

fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
    thalweg_store::Error::Sqlite { path: path.to_owned(), action: "the topic cannot be read", source: Arc::new(source) }
        .into()
}

impl History for EmbeddedHistory {
    fn partitions(&self) -> i32 {
        self.partitions
    }

    async fn range(&mut self, partition: i32) -> Result<Range<i64>, Error> {
        let look = || {
            let (table, connection) = (&self.table, &self.connection);
            Ok(table.first_offset(connection, partition)?..table.next_offset(connection, partition)?)
        };
        look().map_err(|source| self.failed(source))
    }

    async fn read(&mut self, partition: i32, offset: i64) -> Result<Fetched, Error> {
        let read = self.table.read(&self.connection, partition, offset, PAGE_RECORDS, PAGE_BYTES);
        let records = read.map_err(|source| self.failed(source))?;
        // Offsets here have no holes, so what comes first is `offset` or that is gone.
        let there = records.first().is_some_and(|record| record.offset == offset);
        let next_offset = records.last().filter(|_| there).map_or(offset, |record| record.offset + 1);
        Ok(Fetched { records, next_offset, high_watermark: next_offset, end: next_offset })
    }
}
