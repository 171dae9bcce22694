//! The state file: one SQLite database that holds all the daemon owns.
//!
//! Tables here: `thalweg_meta` (format version, generator position, identities of producers), `thalweg_checkpoints` and
//! `thalweg_checkpoint_parts`, `thalweg_history` and `thalweg_marks`, `thalweg_schemas`. The embedded transport keeps its topics in the same file so that outputs, consumed
//! offset and checkpoint commit in one transaction.
//!
//! Invariant: one process at a time holds the file (a lock beside it says which); all writes go through one connection,
//! so transactions never meet. A write that finds no room waits for it, and says so. Durability: a commit survives the
//! end of the process at any moment; the last commits before a power loss may be missing, but never half there (WAL,
//! `synchronous = NORMAL`).
//!
//! What this does not do: read a checkpoint. It stores bytes, and its callers decode them.
//!
//! Reading order: this file, `checkpoints`, `state_reader` (the file beside a daemon that works on it), `timelines`, `schemas`, `error`,
//! `lock`; `backoff` and `rate_limited` are here because everything that waits stands on this package.

mod backoff;
mod checkpoints;
mod error;
mod lock;
mod rate_limited;
mod schemas;
mod state_reader;
mod timelines;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio_util::sync::CancellationToken;

pub use backoff::Backoff;
pub use checkpoints::{LastCheckpoint, PendingCheckpoint, Place, Read, State, needed_from};
pub use error::Error;
pub use lock::holder;
pub use rate_limited::{RateLimit, RateLimited};
pub use state_reader::{Found, Kept, StateReader};
pub use timelines::{BlockKey, Mark};

/// Format that this version writes; an older one is migrated, a newer one refused.
///
/// 1: the first. 2: checkpoints know their settings, the last record and gaps. 3: large ones are in parts.
const FORMAT: i64 = 3;

/// First wait before a write that found no room is retried.
const INITIAL_RETRY_WAIT: Duration = Duration::from_millis(200);
/// Longest such wait.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(5);
/// Limits the page cache of each connection. Rows are appended and read in order, so a larger one (2 MB by default)
/// gains nothing.
const CACHE_PRAGMA: &str = "PRAGMA cache_size = -512;";

/// Checked settings of the state file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// Time between two checkpoints.
    pub every: Duration,
    /// Checkpoints kept per partition, ≥ 1.
    pub keep: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { path: "data/thalweg.db".into(), every: Duration::from_secs(5), keep: 3 }
    }
}

/// The open state file. Shared freely; writes wait for each other.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    keep: u32,
    writer: Mutex<Connection>,
    /// Last checkpoint that was written, by partition.
    saved: Mutex<BTreeMap<i32, LastCheckpoint>>,
    /// Number of writes that were retried.
    retries: AtomicU64,
    /// True once the state can no longer be trusted, so that no checkpoint is written.
    sealed: Arc<AtomicBool>,
    /// Cancelled once writes fail instead of waiting for room.
    closing: CancellationToken,
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
            fs::create_dir_all(folder).map_err(|source| lock::io(&path, "its folder cannot be made", source))?;
        }
        let lock = lock::take(&path)?;
        let sqlite = |action| {
            let path = path.clone();
            move |source| Error::of(path, action, source)
        };
        let writer = Connection::open(&path).map_err(sqlite("it cannot be opened"))?;
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;
                 PRAGMA journal_size_limit = 67108864;
                 CREATE TABLE IF NOT EXISTS thalweg_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
            )
            .and_then(|()| writer.execute_batch(CACHE_PRAGMA))
            .map_err(sqlite("it cannot be prepared; if it is not a database of Thalweg, name another `state.path`"))?;
        let store = Self {
            path,
            keep: config.keep,
            writer: Mutex::new(writer),
            saved: Mutex::default(),
            retries: AtomicU64::new(0),
            sealed: Arc::default(),
            closing: CancellationToken::new(),
            _lock: lock,
        };
        let found = store.write_blocking("its format cannot be read", |tx| {
            tx.execute("INSERT OR IGNORE INTO thalweg_meta VALUES ('format', ?1)", [FORMAT])?;
            let found = tx.query_row("SELECT value FROM thalweg_meta WHERE name = 'format'", [], |row| row.get(0))?;
            if found <= FORMAT {
                migrate(tx, found)?;
            }
            Ok(found)
        })?;
        if found > FORMAT {
            return Err(Error::Newer { path: store.path, found });
        }
        Ok(store)
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens another connection, for reading.
    ///
    /// # Errors
    /// When SQLite cannot open it.
    pub fn reader(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.execute_batch("PRAGMA busy_timeout = 10000;")?;
            connection.execute_batch(CACHE_PRAGMA)?;
            Ok(connection)
        };
        open().map_err(|source| self.sqlite("it cannot be opened for reading", source))
    }

    /// Returns the number of checkpoints kept per partition.
    pub fn keep(&self) -> u32 {
        self.keep
    }

    /// Returns the number of retried writes; a retry is a sign of life.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Lets every later write that finds no room fail instead of waiting.
    pub fn wait_no_more(&self) {
        self.closing.cancel();
    }

    /// Stops the writing of checkpoints: after a defect the state cannot be trusted.
    pub fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    /// Returns `true` once writes no longer wait for room.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Runs `work` in one transaction off the async threads. Where the disk has no room, it waits and retries.
    ///
    /// # Errors
    /// When SQLite fails for good, or there is no room after [`Store::wait_no_more`]; nothing of the transaction is
    /// kept then.
    pub async fn write<T, F>(self: &Arc<Self>, action: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut backoff = Backoff::new(INITIAL_RETRY_WAIT, MAX_RETRY_WAIT);
        let mut limit = RateLimit::default();
        loop {
            let (store, job) = (Arc::clone(self), Arc::clone(&work));
            let done = tokio::task::spawn_blocking(move || store.write_blocking(action, &*job)).await;
            let error = match done.unwrap_or_else(|_| Err(Error::Cancelled { path: self.path.clone() })) {
                Ok(value) => {
                    if limit.has_spoken() {
                        tracing::info!(event = "state_recovered", "the state file can be written again");
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            if !error.is_transient() || self.closing.is_cancelled() {
                return Err(error);
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            let wait = backoff.next_wait();
            if limit.is_due() {
                tracing::warn!(
                    event = "state_unwritable", %error, next_try = ?wait,
                    "waiting until the state file can be written; what cannot be written waits, too"
                );
            }
            tokio::select! {
                () = self.closing.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Runs `work` in one transaction on this thread, without a retry.
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

    /// Returns the number stored under `name` in `thalweg_meta`, if there is one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn meta(&self, name: &str) -> Result<Option<i64>, Error> {
        self.write_blocking("a number cannot be read", |tx| meta(tx, name))
    }

    /// Returns the numbers stored under all names that begin with `prefix`, which must end with a character below `~`.
    ///
    /// # Errors
    /// As [`Store::meta`].
    pub fn metas(&self, prefix: &str) -> Result<Vec<i64>, Error> {
        self.write_blocking("numbers cannot be read", |tx| {
            let mut query = tx.prepare("SELECT value FROM thalweg_meta WHERE name > ?1 AND name < ?1 || '~'")?;
            query.query_map([prefix], |row| row.get(0))?.collect()
        })
    }

    fn sqlite(&self, action: &'static str, source: rusqlite::Error) -> Error {
        Error::of(self.path.clone(), action, source)
    }
}

/// Returns the number stored under `name` in `thalweg_meta`.
///
/// # Errors
/// When SQLite fails.
pub fn meta(tx: &rusqlite::Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached("SELECT value FROM thalweg_meta WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// Stores a number under `name` in `thalweg_meta`.
///
/// # Errors
/// When SQLite fails.
pub fn set_meta(tx: &Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO thalweg_meta VALUES (?1, ?2)")?.execute(params![name, value])?;
    Ok(())
}

/// Migrates a file of an older format.
fn migrate(tx: &Transaction<'_>, found: i64) -> rusqlite::Result<()> {
    tx.execute_batch(checkpoints::CREATE)?;
    tx.execute_batch(checkpoints::CREATE_PARTS)?;
    tx.execute_batch(timelines::CREATE)?;
    tx.execute_batch(schemas::CREATE)?;
    if found < 2 {
        tx.execute_batch("ALTER TABLE thalweg_checkpoints ADD COLUMN settings INTEGER NOT NULL DEFAULT 0;")?;
    }
    tx.execute("UPDATE thalweg_meta SET value = ?1 WHERE name = 'format'", [FORMAT])?;
    Ok(())
}
