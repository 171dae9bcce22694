//! One topic as a table.

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Transaction, params,
    types::{ToSqlOutput, ValueRef},
};

use super::{Config, headers};
use thalweg_topic::{
    EncodedPrediction, Output, PendingPredictions,
    record::{Headers, Outgoing, Record},
    source,
};

/// Number of records dropped at once when a topic holds too many bytes.
const RETENTION_STEP: i64 = 1000;

/// The statements of one topic.
#[derive(Clone, Debug)]
pub(super) struct Table {
    create: String,
    insert: String,
    select: String,
    first: String,
    last: String,
    partitions: String,
    delete: String,
    bytes: String,
    since: String,
    backwards: String,
    /// The topic's name.
    name: String,
}

impl Table {
    pub(super) fn new(topic: &str) -> Self {
        // Topic names are checked to be of letters, digits and ._- only; quoting keeps dots and dashes whole.
        let t = format!("\"{topic}\"");
        Self {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {t} (partition INTEGER NOT NULL, offset INTEGER NOT NULL,
                 timestamp INTEGER NOT NULL, key, value, headers TEXT, PRIMARY KEY (partition, offset)) WITHOUT ROWID"
            ),
            insert: format!("INSERT INTO {t} VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
            select: format!(
                "SELECT offset, timestamp, key, value, headers FROM {t} WHERE partition = ?1 AND offset >= ?2
                 ORDER BY offset LIMIT ?3"
            ),
            first: format!("SELECT min(offset) FROM {t} WHERE partition = ?1"),
            last: format!("SELECT max(offset) FROM {t} WHERE partition = ?1"),
            partitions: format!("SELECT max(partition) FROM {t}"),
            delete: format!("DELETE FROM {t} WHERE partition = ?1 AND offset < ?2"),
            bytes: format!(
                "SELECT coalesce(sum(coalesce(length(CAST(key AS BLOB)), 0) + coalesce(length(CAST(value AS BLOB)), 0)),
                 0) FROM {t} WHERE partition = ?1 AND offset < ?2"
            ),
            since: format!("SELECT min(offset) FROM {t} WHERE partition = ?1 AND timestamp >= ?2"),
            backwards: format!(
                "SELECT value, headers FROM {t} WHERE partition = ?1 AND offset >= ?2 ORDER BY offset DESC"
            ),
            name: topic.to_owned(),
        }
    }

    pub(super) fn create(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute(&self.create, [])?;
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of records ever appended, over all partitions.
    pub(super) fn appended(&self, tx: &Connection) -> rusqlite::Result<i64> {
        let mut total = 0;
        for partition in 0..self.partitions(tx)? {
            total += self.next_offset(tx, partition)?;
        }
        Ok(total)
    }

    /// Returns the number of partitions that hold records.
    pub(super) fn partitions(&self, tx: &Connection) -> rusqlite::Result<i32> {
        let last: Option<i32> = tx.query_row(&self.partitions, [], |row| row.get(0))?;
        Ok(last.map_or(0, |partition| partition + 1))
    }

    /// Returns the offset of the oldest record, or of the next one where there is none.
    pub(super) fn first_offset(&self, tx: &Connection, partition: i32) -> rusqlite::Result<i64> {
        let first: Option<i64> = tx.prepare_cached(&self.first)?.query_row([partition], |row| row.get(0))?;
        first.map_or_else(|| self.next_offset(tx, partition), Ok)
    }

    /// Returns the offset of the next record. Retention always leaves the last one, so the table itself tells.
    pub(super) fn next_offset(&self, tx: &Connection, partition: i32) -> rusqlite::Result<i64> {
        let last: Option<i64> = tx.prepare_cached(&self.last)?.query_row([partition], |row| row.get(0))?;
        Ok(last.map_or(0, |offset| offset + 1))
    }

    /// Returns the time of the newest record.
    pub(super) fn last_time(&self, tx: &Connection, partition: i32) -> rusqlite::Result<Option<i64>> {
        let Some(last) = self.next_offset(tx, partition)?.checked_sub(1) else { return Ok(None) };
        let mut select = tx.prepare_cached(&self.select)?;
        let mut rows = select.query(params![partition, last, 1])?;
        rows.next()?.map(|row| row.get_ref(1).map(milliseconds)).transpose()
    }

    /// Returns the offset of the first record at or after `timestamp`, or of the next one where there is none.
    pub(super) fn offset_since(&self, tx: &Connection, partition: i32, timestamp: i64) -> rusqlite::Result<i64> {
        let found: Option<i64> =
            tx.prepare_cached(&self.since)?.query_row(params![partition, timestamp], |row| row.get(0))?;
        found.map_or_else(|| self.next_offset(tx, partition), Ok)
    }

    /// Appends the rows that `add` adds, at `time`, or at that of each record where there is none.
    pub(super) fn append(
        &self,
        tx: &Transaction<'_>,
        partition: i32,
        time: Option<i64>,
        add: impl FnOnce(&mut Appender<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let (insert, next) = (tx.prepare_cached(&self.insert)?, self.next_offset(tx, partition)?);
        let mut rows = Appender { insert, partition, time, next, bytes: 0 };
        add(&mut rows)?;
        if rows.bytes > 0 { self.count_bytes(tx, partition, rows.bytes as i64) } else { Ok(()) }
    }

    /// Reads records from `offset` on, up to `limit` of them or until `bytes` are full. They share one buffer: separate
    /// ones would be allocated by one thread and freed by another, which then wait for each other.
    pub(super) fn read(
        &self,
        connection: &Connection,
        partition: i32,
        offset: i64,
        limit: usize,
        bytes: usize,
    ) -> rusqlite::Result<Vec<Record>> {
        let mut select = connection.prepare_cached(&self.select)?;
        let mut rows = select.query(params![partition, offset, limit as i64])?;
        let mut found = Vec::new();
        let mut held = Vec::new();
        while held.len() < bytes
            && let Some(row) = rows.next()?
        {
            let (key, value) = (hold(&mut held, row.get_ref(2)?), hold(&mut held, row.get_ref(3)?));
            found.push((row.get(0)?, milliseconds(row.get_ref(1)?), key, value, cell_headers(row.get_ref(4)?)));
        }
        let held = Bytes::from(held);
        let cut = |range: Option<Range<usize>>| range.map(|range| held.slice(range));
        let record = |(offset, timestamp, key, value, headers)| Record {
            offset,
            timestamp,
            key: cut(key),
            value: cut(value),
            headers,
            row: None,
        };
        Ok(found.into_iter().map(record).collect())
    }

    /// Returns the source offset of the last record that was made from `topic`/`partition`, looking back no further
    /// than `since`. Records come in source order, so it is the highest.
    pub(super) fn last_source(
        &self,
        connection: &Connection,
        output: Output,
        topic: &str,
        partition: i32,
        since: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let mut last = None;
        self.each_since(connection, partition, since, |value, headers| {
            last = source::offset(output, value, headers, topic, partition);
            if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(last)
    }

    /// Calls `see` with value and headers of each record from `since` on, the last one first, until it breaks off.
    pub(super) fn each_since(
        &self,
        connection: &Connection,
        partition: i32,
        since: i64,
        mut see: impl FnMut(Option<&[u8]>, &Headers) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        // A re-created topic may end before `since`, which then means nothing.
        let since = if since > self.next_offset(connection, partition)? { 0 } else { since };
        let mut backwards = connection.prepare_cached(&self.backwards)?;
        let mut rows = backwards.query(params![partition, since])?;
        let mut value = Vec::new();
        while let Some(row) = rows.next()? {
            value.clear();
            let value = hold(&mut value, row.get_ref(0)?).map(|range| &value[range]);
            if see(value, &cell_headers(row.get_ref(1)?)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Drops the oldest records beyond what the configuration keeps, none from `keep_from` on, and never the last one.
    pub(super) fn retain(
        &self,
        tx: &Transaction<'_>,
        partition: i32,
        config: &Config,
        keep_from: i64,
    ) -> rusqlite::Result<()> {
        let next = self.next_offset(tx, partition)?;
        let first = self.first_offset(tx, partition)?;
        let keep_from = keep_from.min(next - 1);
        let surplus = next - config.retention_records.cast_signed();
        // We delete in steps: a statement per append for one record each would cost more than the append.
        if surplus.min(keep_from) >= first + RETENTION_STEP {
            self.drop_before(tx, partition, surplus.min(keep_from))?;
        }
        let limit = config.retention_bytes.cast_signed();
        let mut first = self.first_offset(tx, partition)?;
        while self.bytes_held(tx, partition)? > limit && first < keep_from {
            first = (first + RETENTION_STEP).min(keep_from);
            self.drop_before(tx, partition, first)?;
        }
        Ok(())
    }

    fn drop_before(&self, tx: &Transaction<'_>, partition: i32, offset: i64) -> rusqlite::Result<()> {
        let range = params![partition, offset];
        let freed: i64 = tx.prepare_cached(&self.bytes)?.query_row(range, |row| row.get(0))?;
        tx.prepare_cached(&self.delete)?.execute(range)?;
        self.count_bytes(tx, partition, -freed)
    }

    fn count_bytes(&self, tx: &Transaction<'_>, partition: i32, change: i64) -> rusqlite::Result<()> {
        tx.prepare_cached(
            "INSERT INTO thalweg_topics VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
        )?
        .execute(params![self.name, partition, change])?;
        Ok(())
    }

    fn bytes_held(&self, tx: &Transaction<'_>, partition: i32) -> rusqlite::Result<i64> {
        let held = tx
            .prepare_cached("SELECT bytes FROM thalweg_topics WHERE topic = ?1 AND partition = ?2")?
            .query_row(params![self.name, partition], |row| row.get(0));
        Ok(held.optional()?.unwrap_or(0))
    }
}

/// Appends rows to a partition.
pub(super) struct Appender<'tx> {
    insert: CachedStatement<'tx>,
    partition: i32,
    /// Time of all rows; `None` where each has its own.
    time: Option<i64>,
    /// Offset of the next row.
    next: i64,
    /// Bytes of keys and values so far.
    bytes: usize,
}

impl Appender<'_> {
    pub(super) fn records<'r>(&mut self, records: impl IntoIterator<Item = &'r Outgoing>) -> rusqlite::Result<()> {
        let row = |record: &Outgoing| {
            self.row(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers)
        };
        records.into_iter().try_for_each(row)
    }

    /// Encodes and appends predictions one after the other.
    pub(super) fn drafts(&mut self, drafts: &impl PendingPredictions) -> rusqlite::Result<()> {
        drafts.try_each(|EncodedPrediction { timestamp, key, value, headers, .. }| {
            self.row(timestamp, key, Some(value), headers)
        })
    }

    fn row(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> rusqlite::Result<()> {
        let timestamp = self.time.unwrap_or(timestamp);
        let headers = (!headers.is_empty()).then(|| headers::to_json(headers));
        self.insert.execute(params![self.partition, self.next, timestamp, text(key), text(value), headers])?;
        self.next += 1;
        self.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        Ok(())
    }
}

/// Creates the tables beside the topics: the consumed offset of each partition, and the bytes of each topic.
pub(super) fn create_progress(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS thalweg_progress (topic TEXT, partition INTEGER, position INTEGER NOT NULL,
             PRIMARY KEY (topic, partition)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS thalweg_topics (topic TEXT, partition INTEGER, bytes INTEGER NOT NULL,
             PRIMARY KEY (topic, partition)) WITHOUT ROWID;",
    )
}

/// Returns the input offset up to which a partition is consumed.
pub(super) fn progress(tx: &Connection, topic: &str, partition: i32) -> rusqlite::Result<i64> {
    let found = tx
        .prepare_cached("SELECT position FROM thalweg_progress WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![topic, partition], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

pub(super) fn set_progress(tx: &Transaction<'_>, topic: &str, partition: i32, position: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO thalweg_progress VALUES (?1, ?2, ?3)")?
        .execute(params![topic, partition, position])?;
    Ok(())
}

/// Stores UTF-8 as text, so that people and SQLite's JSON functions can read it, and other bytes as a blob.
fn text(bytes: Option<&[u8]>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match bytes {
        None => ValueRef::Null,
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => ValueRef::Text(bytes),
        Some(bytes) => ValueRef::Blob(bytes),
    })
}

/// Copies the bytes of a cell into `held` and returns their place. A number that somebody wrote by hand is read as the
/// text it prints as.
fn hold(held: &mut Vec<u8>, value: ValueRef<'_>) -> Option<Range<usize>> {
    let start = held.len();
    match value {
        ValueRef::Null => return None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => held.extend_from_slice(bytes),
        ValueRef::Integer(number) => held.extend_from_slice(number.to_string().as_bytes()),
        ValueRef::Real(number) => held.extend_from_slice(number.to_string().as_bytes()),
    }
    Some(start..held.len())
}

/// Reads the headers in a cell.
fn cell_headers(value: ValueRef<'_>) -> Headers {
    value.as_str_or_null().ok().flatten().map(headers::read).unwrap_or_default()
}

/// Reads the time in a cell, 0 where it is none: values written by another program must not end the daemon.
fn milliseconds(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Integer(time) => time,
        ValueRef::Real(time) => time as i64,
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => 0,
    }
}
