//! Reads the state file, also while a daemon works on it.
//!
//! Invariant: it writes nothing and takes no lock, so it does not disturb a daemon that runs or starts.
//! Checkpoints are read newest first, one at a time, until one is intact.

use std::{path::PathBuf, sync::Arc};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{
    Error, FORMAT, Read,
    checkpoints::{CREATE_TEMP_PARTS, decode, newest, whole},
};

/// A state file that is open for reading.
#[derive(Debug)]
pub struct StateReader {
    path: PathBuf,
    connection: Connection,
}

/// The newest intact checkpoint of a partition.
#[derive(Debug)]
pub struct Found<T> {
    /// Content of the checkpoint.
    pub checkpoint: T,
    /// Date and time of day of the write, UTC.
    pub written_at: String,
    /// Problems of newer checkpoints, newest first.
    pub damaged: Vec<String>,
}

/// A checkpoint that the file holds.
#[derive(Debug)]
pub struct Kept<T> {
    /// Its number.
    pub id: i64,
    /// Topic of its samples.
    pub topic: String,
    /// Partition of its samples.
    pub partition: i32,
    /// Input offset of the next record.
    pub position: i64,
    /// Date and time of day of the write, UTC.
    pub written_at: String,
    /// Its size.
    pub bytes: u64,
    /// Its content, or the reason why it cannot be used.
    pub content: Result<T, String>,
}

impl StateReader {
    /// Opens the file.
    ///
    /// # Errors
    /// When there is none, when it is from a newer version, or when it is no state file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if !path.exists() {
            return Err(Error::Missing { path });
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.execute_batch("PRAGMA busy_timeout = 10000;")?;
            let query = "SELECT value FROM thalweg_meta WHERE name = 'format'";
            let format: Option<i64> = connection.query_row(query, [], |row| row.get(0)).optional()?;
            if format.is_some_and(|found| found < FORMAT) {
                // Only the daemon migrates the file; until then an empty temporary table stands for the missing one.
                connection.execute_batch(CREATE_TEMP_PARTS)?;
            }
            Ok((connection, format))
        };
        match open() {
            Ok((_, Some(found))) if found > FORMAT => Err(Error::Newer { path, found }),
            Ok((connection, _)) => Ok(Self { path, connection }),
            Err(source) => {
                let action =
                    "it cannot be read; is it a state file of Thalweg, and may this user read it and its folder?";
                Err(Error::Sqlite { path, action, source: Arc::new(source) })
            }
        }
    }

    /// Returns the connection, for other tables of the file.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Returns the partitions of `topic` with a checkpoint, ascending.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let query = "SELECT DISTINCT partition FROM thalweg_checkpoints WHERE topic = ?1 ORDER BY partition";
        let read = || {
            let mut query = self.connection.prepare(query)?;
            query.query_map([topic], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i32>>>()
        };
        read().map_err(|source| self.sqlite(source))
    }

    /// Returns the newest intact checkpoint of a partition; `None` where it has none at all.
    ///
    /// # Errors
    /// [`Error::Damaged`] when none of them is intact, or when SQLite fails.
    pub fn newest<T>(&self, topic: &str, partition: i32, read: Read<'_, T>) -> Result<Option<Found<T>>, Error> {
        let mut damaged = Vec::new();
        let found = newest(&self.connection, topic, partition, read, &mut damaged);
        match found.map_err(|source| self.sqlite(source))? {
            Some((checkpoint, written_at)) => Ok(Some(Found { checkpoint, written_at, damaged })),
            None if damaged.is_empty() => Ok(None),
            None => Err(Error::Damaged { path: self.path.clone(), partition, problems: damaged.join("; ") }),
        }
    }

    /// Returns the newest thing that a schema's id meant to a partition; `None` where it has come to none.
    ///
    /// # Errors
    /// When SQLite fails, or the file is of a version without schemas.
    pub fn meaning(&self, topic: &str, partition: i32, id: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let query = "SELECT meaning FROM thalweg_schemas WHERE topic = ?1 AND partition = ?2 AND id = ?3
            ORDER BY since DESC LIMIT 1";
        let read =
            || self.connection.query_row(query, rusqlite::params![topic, partition, id], |row| row.get(0)).optional();
        read().map_err(|source| Error::of(self.path.clone(), "schemas cannot be read", source))
    }

    /// Returns all checkpoints of every topic and partition, newest last, each read by `read`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn checkpoints<T>(&self, read: Read<'_, T>) -> Result<Vec<Kept<T>>, Error> {
        let query =
            "SELECT id, topic, partition, position, written_at, checksum, state FROM thalweg_checkpoints ORDER BY id";
        let read = || {
            let mut query = self.connection.prepare(query)?;
            let rows = query.query_map([], |row| {
                let state = whole(&self.connection, row.get(0)?, row.get_ref(6)?.as_blob()?)?;
                Ok(Kept {
                    id: row.get(0)?,
                    topic: row.get(1)?,
                    partition: row.get(2)?,
                    position: row.get(3)?,
                    written_at: row.get(4)?,
                    bytes: state.len() as u64,
                    content: decode(row.get(5)?, &state, read),
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.sqlite(source))
    }

    fn sqlite(&self, source: rusqlite::Error) -> Error {
        Error::of(self.path.clone(), "checkpoints cannot be read", source)
    }
}
