//! Checkpoints in the state file: the last few of each partition, each with a checksum.
//!
//! One may take many megabytes, which SQLite would copy twice for a row of that size. So a checkpoint is encoded in
//! parts and written part by part: the first is in its row, the others are in rows of their own.
//!
//! Invariant: a checkpoint is there whole or not at all. The newest `state.keep` are kept, and the last one of each
//! earlier settings, so that a change of settings can be taken back later; samples are only held back for the former.

use std::{
    borrow::Cow,
    fmt, io, mem,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use tokio::time::Instant;

use super::{Error, Store};

/// The statements that make the table. A partition's checkpoints are found without looking at those of all others.
pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS thalweg_checkpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    position INTEGER NOT NULL, written_at TEXT NOT NULL DEFAULT (datetime('now')),
    checksum INTEGER NOT NULL, state BLOB NOT NULL, settings INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS thalweg_checkpoints_of ON thalweg_checkpoints (partition, topic);";

/// The statements that make the table of what does not fit into `state`.
pub(super) const CREATE_PARTS: &str = "CREATE TABLE IF NOT EXISTS thalweg_checkpoint_parts (
    checkpoint INTEGER NOT NULL, part INTEGER NOT NULL, state BLOB NOT NULL, UNIQUE (checkpoint, part));
    CREATE TRIGGER IF NOT EXISTS thalweg_checkpoint_dropped AFTER DELETE ON thalweg_checkpoints BEGIN
    DELETE FROM thalweg_checkpoint_parts WHERE checkpoint = old.id; END;";

/// Makes an empty table of parts for a file of a format that has none.
pub(crate) const CREATE_TEMP_PARTS: &str =
    "CREATE TEMP TABLE IF NOT EXISTS thalweg_checkpoint_parts (checkpoint INTEGER, part INTEGER, state BLOB);";

/// Bytes of a part.
const PART_BYTES: usize = 64 << 10;

/// Deletes the checkpoints of a partition beyond those kept: ?1 topic, ?2 partition, ?3 how many.
const DELETE_SURPLUS: &str = "DELETE FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2
    AND id NOT IN (SELECT id FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2 ORDER BY id DESC LIMIT ?3)
    AND id NOT IN (SELECT max(id) AS last FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2
                   GROUP BY settings ORDER BY last DESC LIMIT ?3)";

/// Selects the position of the oldest of the newest checkpoints: ?1 topic, ?2 partition, ?3 how many.
const OLDEST_KEPT_POSITION: &str = "SELECT min(position) FROM (SELECT position FROM thalweg_checkpoints
    WHERE topic = ?1 AND partition = ?2 ORDER BY id DESC LIMIT ?3)";

/// A worker's state as the file sees it: where it belongs, and bytes.
pub trait State: fmt::Debug + Send + Sync {
    /// Returns the place it belongs to.
    fn place(&self) -> Place<'_>;

    /// Writes its bytes, in pieces of any size.
    ///
    /// # Errors
    /// Those of `out`, and where it has no form as bytes.
    fn write(&self, out: &mut dyn io::Write) -> io::Result<()>;
}

/// Place that a worker's state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The topic that was read.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Input offset of the next record.
    pub position: i64,
    /// Fingerprint of the settings it was made under.
    pub settings: u32,
}

/// Decodes bytes whose checksum is right, or says what is wrong with them.
pub type Read<'r, T> = &'r dyn Fn(&[u8]) -> Result<T, String>;

/// The last checkpoint that was written.
#[derive(Clone, Copy, Debug)]
pub struct LastCheckpoint {
    /// End of the write.
    pub at: Instant,
    /// Duration of the write, encoding included.
    pub took: Duration,
    /// Input offset up to which it covers the samples.
    pub position: i64,
    /// Its size.
    pub bytes: usize,
}

/// A checkpoint that is to be written.
#[derive(Debug)]
pub struct PendingCheckpoint {
    state: Box<dyn State>,
    keep: u32,
    begun: Instant,
    sealed: Arc<AtomicBool>,
}

impl PendingCheckpoint {
    /// Writes it and drops the oldest beyond what is kept; returns its size in bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn insert(&self, tx: &Transaction<'_>) -> rusqlite::Result<usize> {
        if self.sealed.load(Ordering::Acquire) {
            return Ok(0);
        }
        let Place { topic, partition, position, settings } = self.state.place();
        tx.prepare_cached(
            "INSERT INTO thalweg_checkpoints (topic, partition, position, checksum, state, settings)
             VALUES (?1, ?2, ?3, 0, x'', ?4)",
        )?
        .execute(params![topic, partition, position, settings])?;
        let bytes = Parts::new(tx, tx.last_insert_rowid())?.encode(&*self.state)?;
        tx.prepare_cached(DELETE_SURPLUS)?.execute(params![topic, partition, self.keep])?;
        Ok(bytes)
    }
}

/// A checkpoint on its way into its rows, part by part, so that the whole of it is never in memory.
struct Parts<'tx> {
    tx: &'tx Transaction<'tx>,
    insert: CachedStatement<'tx>,
    id: i64,
    /// Part that goes into the row of the checkpoint, together with the checksum.
    first: Vec<u8>,
    part: Vec<u8>,
    written: u32,
    bytes: usize,
    checksum: crc32fast::Hasher,
    /// Error of the write of a part.
    failure: Option<rusqlite::Error>,
}

impl<'tx> Parts<'tx> {
    fn new(tx: &'tx Transaction<'tx>, id: i64) -> rusqlite::Result<Self> {
        let insert = tx.prepare_cached("INSERT INTO thalweg_checkpoint_parts VALUES (?1, ?2, ?3)")?;
        let (first, part, checksum) = (Vec::new(), Vec::with_capacity(PART_BYTES), crc32fast::Hasher::new());
        Ok(Self { tx, insert, id, first, part, written: 0, bytes: 0, checksum, failure: None })
    }

    /// Encodes a checkpoint into its rows; returns its size in bytes.
    fn encode(mut self, state: &dyn State) -> rusqlite::Result<usize> {
        let encoded = state.write(&mut self);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        encoded.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.put()?;
        self.tx
            .prepare_cached("UPDATE thalweg_checkpoints SET checksum = ?1, state = ?2 WHERE id = ?3")?
            .execute(params![self.checksum.finalize(), self.first, self.id])?;
        Ok(self.bytes)
    }

    /// Puts the part that is full, or the last one, where it belongs.
    fn put(&mut self) -> rusqlite::Result<()> {
        if self.first.is_empty() {
            self.first = mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES));
        } else if !self.part.is_empty() {
            self.written += 1;
            self.insert.execute(params![self.id, self.written, self.part])?;
            self.part.clear();
        }
        Ok(())
    }
}

impl io::Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART_BYTES
            && let Err(failure) = self.put()
        {
            self.failure = Some(failure);
            return Err(io::Error::other("the state file does not take it"));
        }
        let bytes = &bytes[..bytes.len().min(PART_BYTES - self.part.len())];
        self.part.extend_from_slice(bytes);
        self.checksum.update(bytes);
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Writes a checkpoint in a transaction of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn save(self: &Arc<Self>, state: Box<dyn State>) -> Result<(), Error> {
        let pending = Arc::new(self.pending_checkpoint(state));
        let job = Arc::clone(&pending);
        let bytes = self.write("a checkpoint cannot be written", move |tx| job.insert(tx)).await?;
        self.note_saved(&pending, bytes);
        Ok(())
    }

    /// Prepares a checkpoint, to be written in the caller's transaction.
    pub fn pending_checkpoint(&self, state: Box<dyn State>) -> PendingCheckpoint {
        PendingCheckpoint { state, keep: self.keep, begun: Instant::now(), sealed: Arc::clone(&self.sealed) }
    }

    /// Remembers that a checkpoint of so many bytes is committed.
    pub fn note_saved(&self, pending: &PendingCheckpoint, bytes: usize) {
        let Place { partition, position, .. } = pending.state.place();
        let saved = LastCheckpoint { at: Instant::now(), took: pending.begun.elapsed(), position, bytes };
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, saved);
    }

    /// Returns the last checkpoint of a partition that this process has written.
    pub fn saved(&self, partition: i32) -> Option<LastCheckpoint> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }

    /// Returns the newest intact checkpoint of a partition; `None` where it has none at all. A damaged one is passed
    /// over with a warning.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there are some and none is intact, or when SQLite fails.
    pub fn newest<T>(&self, topic: &str, partition: i32, read: Read<'_, T>) -> Result<Option<T>, Error> {
        let mut problems = Vec::new();
        let found =
            self.write_blocking("checkpoints cannot be read", |tx| newest(tx, topic, partition, read, &mut problems))?;
        for problem in &problems {
            tracing::warn!(
                event = "checkpoint_damaged",
                partition,
                problem,
                "a checkpoint cannot be used; trying the one before"
            );
        }
        match found {
            Some((checkpoint, _)) => Ok(Some(checkpoint)),
            None if problems.is_empty() => Ok(None),
            None => Err(Error::Damaged { path: self.path.clone(), partition, problems: problems.join("; ") }),
        }
    }

    /// Returns all intact checkpoints of a partition, newest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn kept<T>(&self, topic: &str, partition: i32, read: Read<'_, T>) -> Result<Vec<T>, Error> {
        let query =
            "SELECT id, checksum, state FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2 ORDER BY id DESC";
        self.write_blocking("checkpoints cannot be read", |tx| {
            let mut query = tx.prepare(query)?;
            let mut rows = query.query(params![topic, partition])?;
            let mut kept = Vec::new();
            while let Some(row) = rows.next()? {
                kept.extend(decode(row.get(1)?, &whole(tx, row.get(0)?, row.get_ref(2)?.as_blob()?)?, read));
            }
            Ok(kept)
        })
    }

    /// Returns another topic with checkpoints of this partition: that of the latest one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn other_topic(&self, topic: &str, partition: i32) -> Result<Option<String>, Error> {
        let query =
            "SELECT topic FROM thalweg_checkpoints WHERE topic <> ?1 AND partition = ?2 ORDER BY id DESC LIMIT 1";
        self.write_blocking("checkpoints cannot be read", |tx| {
            tx.query_row(query, params![topic, partition], |row| row.get(0)).optional()
        })
    }

    /// Returns the topics that have been learned from.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn topics(&self) -> Result<Vec<String>, Error> {
        self.write_blocking("checkpoints cannot be read", |tx| {
            let mut query = tx.prepare("SELECT DISTINCT topic FROM thalweg_checkpoints")?;
            query.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Returns checkpoint `id` of `topic`.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`], [`Error::Damaged`], or when SQLite fails.
    pub fn one<T>(&self, id: i64, topic: &str, read: Read<'_, T>) -> Result<T, Error> {
        let query = "SELECT checksum, state, partition FROM thalweg_checkpoints WHERE id = ?1 AND topic = ?2";
        let found = self.write_blocking("checkpoints cannot be read", |tx| {
            let row = tx.query_row(query, params![id, topic], |row| {
                let state = whole(tx, id, row.get_ref(1)?.as_blob()?)?;
                Ok((decode(row.get(0)?, &state, read), row.get::<_, i32>(2)?))
            });
            row.optional()
        })?;
        let Some((state, partition)) = found else {
            return Err(Error::NoCheckpoint { path: self.path.clone(), id, topic: topic.to_owned() });
        };
        state.map_err(|problem| {
            let problems = format!("checkpoint {id}: {problem}");
            Error::Damaged { path: self.path.clone(), partition, problems }
        })
    }

    /// Returns the partitions of `topic` with a checkpoint.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        self.write_blocking("checkpoints cannot be read", |tx| {
            let mut query = tx.prepare("SELECT DISTINCT partition FROM thalweg_checkpoints WHERE topic = ?1")?;
            query.query_map(params![topic], |row| row.get(0))?.collect()
        })
    }

    /// Writes checkpoints, all of them or none, on this thread.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn save_all(&self, states: Vec<Box<dyn State>>) -> Result<(), Error> {
        let checkpoints: Vec<PendingCheckpoint> =
            states.into_iter().map(|state| self.pending_checkpoint(state)).collect();
        self.write_blocking("checkpoints cannot be written", |tx| {
            checkpoints.iter().try_for_each(|pending| pending.insert(tx).map(drop))
        })
    }
}

/// Returns the newest intact checkpoint of a partition and the time of its write; adds the problems of newer ones to
/// `problems`, newest first.
pub(crate) fn newest<T>(
    connection: &Connection,
    topic: &str,
    partition: i32,
    read: Read<'_, T>,
    problems: &mut Vec<String>,
) -> rusqlite::Result<Option<(T, String)>> {
    let mut query = connection.prepare(
        "SELECT id, checksum, state, written_at FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2
         ORDER BY id DESC",
    )?;
    let mut rows = query.query(params![topic, partition])?;
    while let Some(row) = rows.next()? {
        match decode(row.get(1)?, &whole(connection, row.get(0)?, row.get_ref(2)?.as_blob()?)?, read) {
            Ok(checkpoint) => return Ok(Some((checkpoint, row.get(3)?))),
            Err(problem) => problems.push(format!("checkpoint {}: {problem}", row.get::<_, i64>(0)?)),
        }
    }
    Ok(None)
}

/// Returns all bytes of checkpoint `id`; `first` is the part in its row.
pub(crate) fn whole<'a>(connection: &Connection, id: i64, first: &'a [u8]) -> rusqlite::Result<Cow<'a, [u8]>> {
    let mut query =
        connection.prepare_cached("SELECT state FROM thalweg_checkpoint_parts WHERE checkpoint = ?1 ORDER BY part")?;
    let mut rows = query.query([id])?;
    let mut state = Cow::from(first);
    while let Some(row) = rows.next()? {
        state.to_mut().extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(state)
}

/// Decodes a checkpoint from its bytes, or says what is wrong with them.
pub(crate) fn decode<T>(checksum: i64, state: &[u8], read: Read<'_, T>) -> Result<T, String> {
    if i64::from(crc32fast::hash(state)) != checksum {
        return Err("its checksum is wrong".to_owned());
    }
    read(state)
}

/// Returns the input offset from which on samples are needed: a restart from the oldest of the newest `keep`
/// checkpoints reads from there.
///
/// # Errors
/// When SQLite fails.
pub fn needed_from(connection: &Connection, topic: &str, partition: i32, keep: u32) -> rusqlite::Result<i64> {
    let needed: Option<i64> = connection
        .prepare_cached(OLDEST_KEPT_POSITION)?
        .query_row(params![topic, partition, keep], |row| row.get(0))?;
    Ok(needed.unwrap_or(0))
}
