//! The state file: one SQLite database that holds all the daemon owns.
//!
//! Tables here: `thalweg_meta` (format version, generator position) and `thalweg_checkpoints` (the last few per
//! partition, each with a checksum). The embedded transport keeps its topics in the same file so that outputs, consumed
//! offset and checkpoint commit in one transaction.
//!
//! Invariant: one process at a time holds the file (a lock beside it says which); all writes go through one connection,
//! so transactions never meet. Durability: a commit survives the end of the process at any moment; the last commits
//! before a power loss may be missing, but never half there (WAL, `synchronous = NORMAL`).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::checkpoint::Checkpoint;

/// What this version writes; an older one is migrated, a newer one refused.
pub(super) const FORMAT: i64 = 1;

/// What can go wrong with the state file.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SQLite failed.
    #[error("state file {path}: {action}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The file or its folder cannot be used.
    #[error("state file {path}: {action}; check that the folder exists and that this user may write to it")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another process works on it.
    #[error("state file {path} is in use by process {pid}; stop that one first, or give this one its own `state.path`")]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who holds it.
        pid: String,
    },
    /// Written by a newer version.
    #[error(
        "state file {path} has format {found}, this version reads up to {FORMAT}; run the newer version, or move the file away to start afresh"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A checkpoint could not be turned into bytes.
    #[error("state file {path}: a checkpoint cannot be encoded: {reason}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no file.
    #[error("state file {path} does not exist: nothing has been learned yet, or `state.path` is another")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No checkpoint of a partition can be used.
    #[error("state file {path}: no checkpoint of partition {partition} is intact: {problems}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The partition.
        partition: i32,
        /// What is wrong with each.
        problems: String,
    },
    /// The task that wrote to the file ended unexpectedly.
    #[error("state file {path}: a write was cut short")]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
}

/// How the state is kept, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// Time between two checkpoints.
    pub every: std::time::Duration,
    /// Checkpoints kept per partition, ≥ 1.
    pub keep: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { path: "data/thalweg.db".into(), every: std::time::Duration::from_secs(5), keep: 3 }
    }
}

/// The open state file. Shared freely; writes wait for each other.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    keep: u32,
    writer: Mutex<Connection>,
    /// Held, never read: the lock lasts as long as the file is open.
    _lock: File,
}

impl Store {
    /// Opens the file, creating it and its folder where they are missing.
    ///
    /// # Errors
    /// When it cannot be used, is in use, or is from a newer version.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let path = config.path.clone();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| io(&path, "its folder cannot be made", source))?;
        }
        let lock = lock(&path)?;
        let sqlite = |action| {
            let path = path.clone();
            move |source| Error::Sqlite { path, action, source: Arc::new(source) }
        };
        let writer = Connection::open(&path).map_err(sqlite("it cannot be opened"))?;
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;
                 PRAGMA journal_size_limit = 67108864;
                 CREATE TABLE IF NOT EXISTS thalweg_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS thalweg_checkpoints (
                     id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
                     position INTEGER NOT NULL, written_at TEXT NOT NULL DEFAULT (datetime('now')),
                     checksum INTEGER NOT NULL, state BLOB NOT NULL);",
            )
            .map_err(sqlite("it cannot be prepared; if it is not a database of Thalweg, name another `state.path`"))?;
        let store = Self { path, keep: config.keep, writer: Mutex::new(writer), _lock: lock };
        let found = store.write_blocking("its format cannot be read", |tx| {
            tx.execute("INSERT OR IGNORE INTO thalweg_meta VALUES ('format', ?1)", [FORMAT])?;
            tx.query_row("SELECT value FROM thalweg_meta WHERE name = 'format'", [], |row| row.get(0))
        })?;
        if found > FORMAT {
            return Err(Error::Newer { path: store.path, found });
        }
        Ok(store)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection of one's own, for reading.
    ///
    /// # Errors
    /// When SQLite cannot open it.
    pub fn reader(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.execute_batch("PRAGMA busy_timeout = 10000;")?;
            Ok(connection)
        };
        open().map_err(|source| self.sqlite("it cannot be opened for reading", source))
    }

    /// Runs `work` in one transaction off the async threads.
    ///
    /// # Errors
    /// When SQLite fails; nothing of the transaction is kept then.
    pub async fn write<T, F>(self: &Arc<Self>, action: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let store = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || store.write_blocking(action, work)).await;
        done.unwrap_or_else(|_| Err(Error::Cancelled { path: self.path.clone() }))
    }

    /// As [`Store::write`], on this thread.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        // A panic inside a transaction rolls it back, so the connection is sound whatever a poisoned lock says.
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        };
        run().map_err(|source| self.sqlite(action, source))
    }

    /// Writes a checkpoint in a transaction of its own.
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub async fn save(self: &Arc<Self>, checkpoint: Box<Checkpoint>) -> Result<(), Error> {
        let store = Arc::clone(self);
        let save = move || {
            let encoded = store.encode(&checkpoint)?;
            store.write_blocking("a checkpoint cannot be written", |tx| encoded.insert(tx))
        };
        let done = tokio::task::spawn_blocking(save).await;
        done.unwrap_or_else(|_| Err(Error::Cancelled { path: self.path.clone() }))
    }

    /// Turns a checkpoint into bytes, ready to be written in whatever transaction it belongs to.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn encode(&self, checkpoint: &Checkpoint) -> Result<Encoded, Error> {
        let state = rmp_serde::to_vec_named(checkpoint)
            .map_err(|error| Error::Encode { path: self.path.clone(), reason: error.to_string() })?;
        Ok(Encoded {
            topic: checkpoint.topic.clone(),
            partition: checkpoint.partition,
            position: checkpoint.position,
            keep: self.keep,
            state,
        })
    }

    /// The newest intact checkpoint of a partition. A damaged one is passed over with a warning.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn load(&self, topic: &str, partition: i32) -> Result<Option<Checkpoint>, Error> {
        let rows = self.write_blocking("checkpoints cannot be read", |tx| {
            let mut query = tx.prepare(
                "SELECT id, checksum, state FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2 ORDER BY id DESC",
            )?;
            let rows = query.query_map(params![topic, partition], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        for (id, checksum, state) in rows {
            let problem = match decode(checksum, &state) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(problem) => problem,
            };
            tracing::warn!(
                event = "checkpoint_damaged",
                partition,
                checkpoint = id,
                problem,
                "checkpoint cannot be used; trying the one before"
            );
        }
        Ok(None)
    }

    /// A number kept under `name` in `thalweg_meta`; 0 when there is none.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn meta(&self, name: &str) -> Result<i64, Error> {
        self.write_blocking("a number cannot be read", |tx| {
            let value = tx.query_row("SELECT value FROM thalweg_meta WHERE name = ?1", [name], |row| row.get(0));
            Ok(value.optional()?.unwrap_or(0))
        })
    }

    fn sqlite(&self, action: &'static str, source: rusqlite::Error) -> Error {
        Error::Sqlite { path: self.path.clone(), action, source: Arc::new(source) }
    }
}

/// A checkpoint from its bytes, or what is wrong with these.
pub(super) fn decode(checksum: i64, state: &[u8]) -> Result<Checkpoint, String> {
    if i64::from(crc32fast::hash(state)) != checksum {
        return Err("its checksum is wrong".to_owned());
    }
    rmp_serde::from_slice(state).map_err(|error| error.to_string())
}

/// Keeps a number under `name` in `thalweg_meta`.
pub(super) fn set_meta(tx: &Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO thalweg_meta VALUES (?1, ?2)")?.execute(params![name, value])?;
    Ok(())
}

/// A checkpoint as bytes.
#[derive(Debug)]
pub struct Encoded {
    topic: String,
    partition: i32,
    position: i64,
    keep: u32,
    state: Vec<u8>,
}

impl Encoded {
    /// Writes it and drops the oldest beyond `state.keep`.
    pub(super) fn insert(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.prepare_cached(
            "INSERT INTO thalweg_checkpoints (topic, partition, position, checksum, state) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            self.topic,
            self.partition,
            self.position,
            crc32fast::hash(&self.state),
            self.state
        ])?;
        tx.prepare_cached(
            "DELETE FROM thalweg_checkpoints WHERE topic = ?1 AND partition = ?2 AND id NOT IN (SELECT id FROM
             thalweg_checkpoints WHERE topic = ?1 AND partition = ?2 ORDER BY id DESC LIMIT ?3)",
        )?
        .execute(params![self.topic, self.partition, self.keep])?;
        Ok(())
    }
}

fn io(path: &Path, action: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), action, source: Arc::new(source) }
}

/// Takes the lock beside the state file and leaves this process's id in it.
fn lock(path: &Path) -> Result<File, Error> {
    let beside = path.with_added_extension("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&beside)
        .map_err(|source| io(path, "its lock cannot be made", source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Who holds it is a courtesy: the refusal stands without it.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() };
            return Err(Error::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io(path, "it cannot be locked", source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(|source| io(path, "its lock cannot be written", source))?;
    Ok(file)
}
