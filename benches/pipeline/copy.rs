//! What can be reached at best: loops that copy as many bytes per record as a prediction has, and learn nothing.

use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rskafka::client::partition::Compression;
use rusqlite::{Connection, params};
use thalweg::kafka;
use tokio::sync::mpsc;

use crate::{
    line::Line,
    topics::{Broker, record},
};

/// Bytes asked for in one fetch, and put into one produce request.
const FETCH: std::ops::Range<i32> = 1..4 << 20;
const BATCH_BYTES: usize = 900 << 10;
/// Produce requests in flight.
const IN_FLIGHT: usize = 5;
/// Rows in one transaction.
const ROWS: i64 = 4000;

/// As much of `bytes` as fits into `size`, filled up.
fn fitted(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut copy = vec![b'x'; size];
    let common = bytes.len().min(size);
    copy[..common].copy_from_slice(&bytes[..common]);
    copy
}

/// On the broker: fetches ahead, produces in order with several requests in flight.
pub(crate) async fn passthrough(broker: &Broker, from: &str, to: &str, records: u64, size: usize) -> Duration {
    broker.create(to, 1).await;
    let (source, sink) = (broker.partition(from, 0).await, broker.partition(to, 0).await);
    let start = Instant::now();
    let (batches, mut incoming) = mpsc::channel(4);
    let fetch = tokio::spawn(async move {
        let mut offset = 0;
        while offset < records as i64 {
            let (batch, _) = source.fetch_records(offset, FETCH, 500).await.expect("fetched");
            offset = batch.last().map_or(offset, |record| record.offset + 1);
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    });
    let mut in_flight = VecDeque::new();
    while let Some(batch) = incoming.recv().await {
        for chunk in batch.chunks((BATCH_BYTES / size.max(1)).max(1)) {
            let copy = |source: &rskafka::record::RecordAndOffset| {
                record(fitted(source.record.value.as_deref().unwrap_or_default(), size))
            };
            let (sink, copies) = (Arc::clone(&sink), chunk.iter().map(copy).collect());
            in_flight.push_back(tokio::spawn(async move { sink.produce(copies, Compression::NoCompression).await }));
            if in_flight.len() >= IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                oldest.await.expect("a task").expect("produced");
            }
        }
    }
    for rest in in_flight {
        rest.await.expect("a task").expect("produced");
    }
    fetch.await.expect("fetched");
    start.elapsed()
}

/// Live, and for ever: a fetch at a time, as the daemon fetches, and a request for what it brought. Each copy has `size`
/// bytes and says which record it is of, so that it can be told when it came.
pub(crate) async fn live(address: &str, from: &str, to: &str, size: usize) {
    let (source, sink) = (Line::open(address, from).await, Arc::new(Line::open(address, to).await));
    let daemon = kafka::Config::default();
    let (first, linger) = ((1, daemon.fetch_wait), (daemon.fetch_bytes, daemon.linger));
    let (mut offset, mut wait) = (0, first);
    loop {
        let found = source.fetch(offset, wait.0, wait.1).await;
        wait = if found.is_empty() { first } else { linger };
        let Some((last, _)) = found.last() else { continue };
        offset = last + 1;
        let copies = found.iter().map(|(at, value)| {
            let mut copy = fitted(value, size);
            let name = format!("{{\"offset\":{at}}}");
            copy[..name.len()].copy_from_slice(name.as_bytes());
            copy
        });
        let (sink, copies) = (Arc::clone(&sink), copies.collect());
        tokio::spawn(async move { sink.produce(copies).await });
    }
}

/// In one SQLite file: rows of `samples` are read and appended to another table, in transactions of several thousand,
/// as durable as the daemon's.
pub(crate) fn rows(database: &Path, size: usize) -> Duration {
    let mut connection = Connection::open(database).expect("the file");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE copies (partition INTEGER NOT NULL, offset INTEGER NOT NULL, timestamp INTEGER NOT NULL, key,
             value, headers TEXT, PRIMARY KEY (partition, offset)) WITHOUT ROWID",
        )
        .expect("a table");
    let start = Instant::now();
    let mut next = 0;
    loop {
        let transaction = connection.transaction().expect("a transaction");
        let mut copied = 0;
        {
            let mut select = transaction
                .prepare_cached(
                    "SELECT offset, timestamp, key, value, headers FROM samples WHERE partition = 0 AND offset >= ?1
                     ORDER BY offset LIMIT ?2",
                )
                .expect("a query");
            let mut insert = transaction
                .prepare_cached("INSERT INTO copies VALUES (0, ?1, ?2, NULL, ?3, NULL)")
                .expect("a statement");
            let mut rows = select.query(params![next, ROWS]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let (offset, timestamp): (i64, i64) = (row.get(0).expect("offset"), row.get(1).expect("timestamp"));
                let value = row.get_ref(3).expect("value").as_bytes().expect("bytes");
                insert.execute(params![offset, timestamp, fitted(value, size)]).expect("inserted");
                (next, copied) = (offset + 1, copied + 1);
            }
        }
        transaction.commit().expect("committed");
        if copied < ROWS {
            return start.elapsed();
        }
    }
}
