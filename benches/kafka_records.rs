//! What it costs to read the records of a fetch answer: ours beside rskafka's reader, on the same megabyte.
//!
//! `cargo bench --bench kafka_records` prints the bytes and records a second of both, for records of about 250 bytes,
//! bare and with a key and two headers, in batches of 16 KiB as Kafka's own producer makes them by default, and in one.

use std::io::Cursor;

use bytes::Bytes;
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use rskafka::protocol::{
    record::{
        ControlBatchOrRecords, Record as RawRecord, RecordBatch, RecordBatchCompression, RecordBatchTimestampType,
        RecordHeader,
    },
    traits::{ReadType, WriteType},
};
use thalweg::{
    kafka::read_log,
    topic::record::{Headers, Record},
};

const ANSWER: usize = 1 << 20;
const RECORD: usize = 250;
const BATCHES: [usize; 2] = [64, ANSWER / RECORD];

fn main() {
    divan::main();
}

/// A megabyte of log in batches of `count` records, and how many records it has.
fn log(count: usize, dressed: bool) -> (Vec<u8>, usize) {
    let (mut log, mut records) = (Vec::new(), 0);
    while log.len() < ANSWER {
        let raw = |i| RawRecord {
            timestamp_delta: i64::from(i),
            offset_delta: i,
            key: dressed.then(|| format!("device {i}").into_bytes()),
            value: Some(vec![b'x'; RECORD]),
            headers: if dressed { headers() } else { Vec::new() },
        };
        let batch = RecordBatch {
            base_offset: records as i64,
            partition_leader_epoch: 0,
            last_offset_delta: count as i32 - 1,
            first_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_000 + count as i64,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: ControlBatchOrRecords::Records((0..count as i32).map(raw).collect()),
            compression: RecordBatchCompression::NoCompression,
            is_transactional: false,
            timestamp_type: RecordBatchTimestampType::CreateTime,
        };
        batch.write(&mut log).expect("memory takes it");
        records += count;
    }
    (log, records)
}

fn headers() -> Vec<RecordHeader> {
    let header = |key: &str, value: &[u8]| RecordHeader { key: key.to_owned(), value: value.to_vec() };
    vec![header("traceparent", &[b'0'; 55]), header("content-type", b"application/json")]
}

/// What a fetch did before: rskafka's records, made ours.
fn theirs(log: &[u8], records: &mut Vec<Record>) {
    let mut reader = Cursor::new(log);
    while reader.position() < log.len() as u64 {
        let batch = RecordBatch::read(&mut reader).expect("a batch");
        let ControlBatchOrRecords::Records(read) = batch.records else { continue };
        records.extend(read.into_iter().map(|record| {
            Record {
                offset: batch.base_offset + i64::from(record.offset_delta),
                timestamp: batch.first_timestamp + record.timestamp_delta,
                key: record.key.map(Bytes::from),
                value: record.value.map(Bytes::from),
                headers: record
                    .headers
                    .into_iter()
                    .map(|header| (header.key.into(), Some(header.value.into())))
                    .collect::<Headers>(),
            }
        }));
    }
}

fn run(bencher: Bencher<'_, '_>, (log, records): (Vec<u8>, usize), read: impl Fn(Vec<u8>) -> Vec<Record> + Sync) {
    bencher
        .counter(BytesCount::new(log.len()))
        .counter(ItemsCount::new(records))
        // As it comes from the connection: a buffer of its own each time.
        .with_inputs(|| log.clone())
        .bench_values(|log| {
            let read = read(log);
            assert_eq!(read.len(), records);
            // Dropped here: what was allocated is freed by whoever reads.
            drop(read);
        });
}

#[divan::bench(args = BATCHES)]
fn bare_rskafka(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, log(batch, false), with_theirs);
}

#[divan::bench(args = BATCHES)]
fn bare_thalweg(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, log(batch, false), with_ours);
}

#[divan::bench(args = BATCHES)]
fn dressed_rskafka(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, log(batch, true), with_theirs);
}

#[divan::bench(args = BATCHES)]
fn dressed_thalweg(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, log(batch, true), with_ours);
}

fn with_theirs(log: Vec<u8>) -> Vec<Record> {
    let mut records = Vec::new();
    theirs(&log, &mut records);
    records
}

fn with_ours(log: Vec<u8>) -> Vec<Record> {
    read_log(&log.into()).expect("a log")
}
