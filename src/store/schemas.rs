//! What the ids of schemas meant to a partition, from which record on: a restart reads each record as it was read before, whatever
//! has become of the schema since.
//!
//! Invariant: what is noted here is written before the first record is read by it. A meaning is bytes to this file.

use std::sync::Arc;

use rusqlite::params;

use super::{Error, Store};

/// The statement that makes the table.
pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS thalweg_schemas (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, id BLOB NOT NULL, since INTEGER NOT NULL,
    meaning BLOB NOT NULL, UNIQUE (topic, partition, id, since));";

/// Meanings that are kept of a partition; the oldest ones go.
const KEPT: i64 = 1000;

impl Store {
    /// Returns what an id meant, each from which offset on, in the order of offsets.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn meanings(&self, topic: &str, partition: i32, id: &[u8]) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        self.write_blocking("schemas cannot be read", |tx| {
            let mut query = tx.prepare_cached(
                "SELECT since, meaning FROM thalweg_schemas WHERE topic = ?1 AND partition = ?2 AND id = ?3 ORDER BY since",
            )?;
            query.query_map(params![topic, partition, id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Keeps what an id means from an offset on.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn keep_meaning(
        self: &Arc<Self>,
        topic: &str,
        partition: i32,
        id: Vec<u8>,
        since: i64,
        meaning: Vec<u8>,
    ) -> Result<(), Error> {
        let topic = topic.to_owned();
        self.write("a schema cannot be kept", move |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO thalweg_schemas (topic, partition, id, since, meaning) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![topic, partition, id, since, meaning],
            )?;
            tx.execute(
                "DELETE FROM thalweg_schemas WHERE topic = ?1 AND partition = ?2 AND number <= (
                    SELECT number FROM thalweg_schemas WHERE topic = ?1 AND partition = ?2
                    ORDER BY number DESC LIMIT 1 OFFSET ?3)",
                params![topic, partition, KEPT],
            )?;
            Ok(())
        })
        .await
    }
}
