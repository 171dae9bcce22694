//! Failures of the state file, and what a person can do about them.

use std::{path::PathBuf, sync::Arc};

use rusqlite::ErrorCode;

use super::FORMAT;

/// A failure of the state file.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SQLite failed.
    #[error("state file {path}: {action}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// SQLite's error.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The disk is full or fails to answer; this error is transient.
    #[error(
        "state file {path}: {action} ({reason}); free space beside it, or look after the disk: nothing is lost meanwhile"
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// SQLite's error.
        reason: String,
    },
    /// Its pages make no sense.
    #[error(
        "state file {path}: {action}, because the file is damaged or no database; put a copy of it in its place, save what \
         can be saved with `sqlite3 {path} .recover`, or move it away to start afresh (with a broker, what is published already \
         is then not published again)"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// SQLite's error.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The file or its folder cannot be used.
    #[error("state file {path}: {action}; check that the folder exists and that this user may write to it")]
    Io {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// It may be read, but not written.
    #[error("state file {path} may not be written; let this user write to it and to its folder")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another process works on it.
    #[error("state file {path} is in use by process {pid}; stop that one first, or give this one its own `state.path`")]
    InUse {
        /// The file.
        path: PathBuf,
        /// Id of the process that holds it.
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
    /// There is no file.
    #[error(
        "state file {path} does not exist: nothing has been learned yet, or `state.path` is another. The service keeps its own: \
         --set state.path=/var/lib/thalweg/thalweg.db"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No checkpoint of a partition can be used.
    #[error(
        "state file {path}: no checkpoint of partition {partition} is intact: {problems}; put a copy of the file in its \
         place, or move it away to start afresh"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The partition.
        partition: i32,
        /// The problem of each checkpoint.
        problems: String,
    },
    /// There is no such checkpoint.
    #[error(
        "state file {path}: there is no checkpoint {id} of `{topic}`; `thalweg model restore` lists those there are"
    )]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
        /// The number asked for.
        id: i64,
        /// The topic of the settings.
        topic: String,
    },
    /// The task that wrote to the file ended unexpectedly.
    #[error("state file {path}: a write was cut short")]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// Classifies SQLite's error during `action`.
    pub fn of(path: PathBuf, action: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ) => Error::Full { path, action, reason: source.to_string() },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::Corrupt { path, action, source: Arc::new(source) }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::ReadOnly { path },
            _ => Error::Sqlite { path, action, source: Arc::new(source) },
        }
    }

    /// Returns `true` where another attempt may succeed without anyone touching the file.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Full { .. })
    }
}
