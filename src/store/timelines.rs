//! What was measured over time, in the state file: blocks of figures, and marks of what happened.
//!
//! Invariant: a block is bytes to this file; who writes them merges them with those that are there. Blocks and marks have no
//! checksum and no promise: they are a picture of the past, and nothing that is learned hangs on them.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Store};

/// The statements that make the tables.
pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS thalweg_history (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, seconds INTEGER NOT NULL, block INTEGER NOT NULL, figures BLOB NOT NULL,
    UNIQUE (topic, partition, seconds, block));
    CREATE TABLE IF NOT EXISTS thalweg_marks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL, time INTEGER NOT NULL,
    kind TEXT NOT NULL, model TEXT, told TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS thalweg_marks_of ON thalweg_marks (topic, partition, time);";

/// Marks that are kept of all partitions; older ones go.
const KEPT_MARKS: i64 = 10_000;

/// A block of figures: consecutive slots of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockKey {
    /// Partition of the samples.
    pub partition: i32,
    /// Seconds of a slot.
    pub seconds: i64,
    /// Number of the block since the Unix epoch.
    pub block: i64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Partition of the samples.
    pub partition: i32,
    /// When it was seen, in milliseconds since the Unix epoch.
    pub time: i64,
    /// Kind of the event.
    pub kind: String,
    /// The model that it is about, where it is about one.
    pub model: Option<String>,
    /// What happened, for people.
    pub told: String,
}

impl Store {
    /// Writes blocks and marks, all of them or none, on this thread and without waiting for room. `merged` is given each key
    /// with the bytes that are there and returns those to write. Blocks of a partition below those in `oldest` go.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn keep_history(
        &self,
        topic: &str,
        keys: &[BlockKey],
        mut merged: impl FnMut(BlockKey, Option<Vec<u8>>) -> Vec<u8>,
        marks: &[Mark],
        oldest: &[BlockKey],
    ) -> Result<(), Error> {
        self.write_blocking("the history cannot be written", |tx| {
            let mut found = tx.prepare_cached(
                "SELECT figures FROM thalweg_history WHERE topic = ?1 AND partition = ?2 AND seconds = ?3 AND block = ?4",
            )?;
            let mut write = tx.prepare_cached("INSERT OR REPLACE INTO thalweg_history VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for key in keys {
                let BlockKey { partition, seconds, block } = *key;
                let old = found.query_row(params![topic, partition, seconds, block], |row| row.get(0)).optional()?;
                write.execute(params![topic, partition, seconds, block, merged(*key, old)])?;
            }
            let mut drop_older = tx.prepare_cached(
                "DELETE FROM thalweg_history WHERE topic = ?1 AND partition = ?2 AND seconds = ?3 AND block < ?4",
            )?;
            for BlockKey { partition, seconds, block } in oldest {
                drop_older.execute(params![topic, partition, seconds, block])?;
            }
            let mut mark = tx.prepare_cached(
                "INSERT INTO thalweg_marks (topic, partition, time, kind, model, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for Mark { partition, time, kind, model, told } in marks {
                mark.execute(params![topic, partition, time, kind, model, told])?;
            }
            if !marks.is_empty() {
                let surplus = "DELETE FROM thalweg_marks WHERE id <= (SELECT max(id) FROM thalweg_marks) - ?1";
                tx.execute(surplus, [KEPT_MARKS])?;
            }
            Ok(())
        })
    }

    /// Returns the blocks of slots of `seconds` in a range of blocks, ascending.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn blocks(
        &self,
        topic: &str,
        partition: i32,
        seconds: i64,
        range: Range<i64>,
    ) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        let query = "SELECT block, figures FROM thalweg_history
            WHERE topic = ?1 AND partition = ?2 AND seconds = ?3 AND block >= ?4 AND block < ?5 ORDER BY block";
        let read = |connection: &Connection| {
            let mut query = connection.prepare(query)?;
            let of = params![topic, partition, seconds, range.start, range.end];
            query.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(&self.reader()?).map_err(|source| self.sqlite("the history cannot be read", source))
    }

    /// Returns the newest marks of a partition in a range of times, in milliseconds since the Unix epoch, ascending.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn marks(&self, topic: &str, partition: i32, times: Range<i64>, most: usize) -> Result<Vec<Mark>, Error> {
        let query = "SELECT time, kind, model, told FROM thalweg_marks
            WHERE topic = ?1 AND partition = ?2 AND time >= ?3 AND time < ?4 ORDER BY time DESC, id DESC LIMIT ?5";
        let read = |connection: &Connection| {
            let mut query = connection.prepare(query)?;
            let of = params![topic, partition, times.start, times.end, i64::try_from(most).unwrap_or(i64::MAX)];
            let mark = |row: &rusqlite::Row<'_>| {
                let (time, kind, model, told) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(Mark { partition, time, kind, model, told })
            };
            query.query_map(of, mark)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut marks = read(&self.reader()?).map_err(|source| self.sqlite("the history cannot be read", source))?;
        marks.reverse();
        Ok(marks)
    }
}
