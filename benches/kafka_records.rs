//! What it costs to read the records of a fetch answer: ours beside rskafka's reader, on the same megabyte.
//!
//! `cargo bench --bench kafka_records` prints the bytes and records a second of both, for records of about 250 bytes,
//! bare and with a key and two headers, in batches of 16 KiB as Kafka's own producer makes them by default, and in one;
//! and of ours for what zstd has packed as a stream, without its size (Java's clients), and with it (librdkafka).

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
                row: None,
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

#[divan::bench(args = BATCHES)]
fn zstd_streamed_thalweg(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, packed(batch, |records| zstd::encode_all(records, 3).expect("memory takes it")), with_ours);
}

#[divan::bench(args = BATCHES)]
fn zstd_sized_thalweg(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, packed(batch, |records| zstd::bulk::compress(records, 3).expect("memory takes it")), with_ours);
}

/// The same log, each batch packed with zstd.
fn packed(count: usize, pack: impl Fn(&[u8]) -> Vec<u8>) -> (Vec<u8>, usize) {
    /// Bytes of a batch's header, the places of things in it, and zstd's number.
    const HEADER: usize = 61;
    const LENGTH: std::ops::Range<usize> = 8..12;
    const CHECKSUM: std::ops::Range<usize> = 17..21;
    const ATTRIBUTES: std::ops::Range<usize> = 21..23;
    const ZSTD: i16 = 4;
    let (log, records) = log(count, true);
    let mut packed = Vec::new();
    let mut rest = &log[..];
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[LENGTH].try_into().expect("four bytes")) as usize;
        let (batch, after) = rest.split_at(LENGTH.end + length);
        let mut repacked = [&batch[..HEADER], &pack(&batch[HEADER..])].concat();
        let length = (repacked.len() - LENGTH.end) as u32;
        repacked[LENGTH].copy_from_slice(&length.to_be_bytes());
        repacked[ATTRIBUTES].copy_from_slice(&ZSTD.to_be_bytes());
        let checksum = crc32c::crc32c(&repacked[ATTRIBUTES.start..]);
        repacked[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        packed.extend(repacked);
        rest = after;
    }
    (packed, records)
}

fn with_theirs(log: Vec<u8>) -> Vec<Record> {
    let mut records = Vec::new();
    theirs(&log, &mut records);
    records
}

fn with_ours(log: Vec<u8>) -> Vec<Record> {
    read_log(&log.into()).expect("a log")
}
