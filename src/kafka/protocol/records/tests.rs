use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rskafka::protocol::{
    record::{
        ControlBatchOrRecords, Record as RawRecord, RecordBatch, RecordBatchCompression, RecordBatchTimestampType,
        RecordHeader,
    },
    traits::WriteType,
};

use super::*;
use crate::protocol::{
    compression::tests::{KINDS, packed_batch},
    header::MAGIC,
    read_log,
};

const BASE: i64 = 7_000_000_000;
const TIME: i64 = 1_700_000_000_000;
/// A record by hand: no attributes, time + 0, offset + 0, and then what follows.
const FRONT: &[u8] = b"\0\0\0";
const NULL: &[u8] = b"\x01";

/// A batch around records that are spelled by hand, with a checksum that fits.
fn batch(records: &[u8], count: i32, last_delta: i32, attributes: i16) -> Vec<u8> {
    let mut batch = BASE.to_be_bytes().to_vec();
    batch.extend_from_slice(&((Header::BYTES - Header::PREFIX + records.len()) as i32).to_be_bytes());
    batch.extend_from_slice(&[0, 0, 0, 0, MAGIC, 0, 0, 0, 0]);
    batch.extend_from_slice(&attributes.to_be_bytes());
    batch.extend_from_slice(&last_delta.to_be_bytes());
    for number in [TIME, TIME + 5, -1] {
        batch.extend_from_slice(&number.to_be_bytes());
    }
    batch.extend_from_slice(&(-1_i16).to_be_bytes());
    batch.extend_from_slice(&(-1_i32).to_be_bytes());
    batch.extend_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(records);
    checked(&mut batch);
    batch
}

/// Makes the checksum fit.
fn checked(batch: &mut [u8]) {
    if batch.len() >= Header::CHECKED_FROM {
        let checksum = crc32c::crc32c(&batch[Header::CHECKED_FROM..]);
        batch[Header::CHECKSUM_AT..Header::CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn varint(value: i64) -> Vec<u8> {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as i64), bytes].concat()
}

/// A record of these parts with its length in front.
fn record(parts: &[&[u8]]) -> Vec<u8> {
    field(&parts.concat())
}

fn one(parts: &[&[u8]]) -> Record {
    let records = read_log(&batch(&record(parts), 1, 0, 0).into()).expect("a record");
    <[Record; 1]>::try_from(records).expect("one")[0].clone()
}

fn refused(batch: Vec<u8>) -> String {
    read_log(&batch.into()).expect_err("refused").to_string()
}

#[test]
fn null_and_empty_are_two_things_in_every_field() {
    let null = one(&[FRONT, NULL, NULL, &varint(1), &field(b"h"), NULL]);
    assert_eq!((null.key, null.value), (None, None));
    assert_eq!(null.headers.iter().collect::<Vec<_>>(), [(&b"h"[..], None)]);
    let empty = one(&[FRONT, &field(b""), &field(b""), &varint(1), &field(b""), &field(b"")]);
    assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!(empty.headers.iter().collect::<Vec<_>>(), [(&b""[..], Some(&b""[..]))]);
    // What Kafka's own client takes for null, though it never writes it.
    assert_eq!(one(&[FRONT, &varint(-9), &varint(i32::MIN.into()), &varint(0)]).value, None);
}

#[test]
fn headers_keep_their_order_their_doubles_and_names_that_are_no_text() {
    let headers = [(&b"b"[..], b"1"), (b"\xff\xfe", b"2"), (b"a", b"3"), (b"b", b"4")];
    let spelled: Vec<u8> = headers.iter().flat_map(|(name, value)| [field(name), field(*value)].concat()).collect();
    let read = one(&[FRONT, NULL, NULL, &varint(4), &spelled]).headers;
    assert_eq!(read.iter().collect::<Vec<_>>(), headers.map(|(name, value)| (name, Some(&value[..]))));
}

#[test]
fn numbers_of_any_length_are_read_and_times_do_not_overflow() {
    let long = vec![b'v'; 70_000];
    for (time, expected) in
        [(-3, TIME - 3), (1 << 40, TIME + (1 << 40)), (i64::MAX, i64::MAX), (i64::MIN, TIME + i64::MIN)]
    {
        let spelled = record(&[b"\0", &varint(time), &varint(1_000_000), NULL, &field(&long), &varint(0)]);
        let read = read_log(&batch(&spelled, 1, 2_000_000, 0).into()).expect("a record");
        assert_eq!((read[0].offset, read[0].timestamp), (BASE + 1_000_000, expected));
        assert_eq!(read[0].value.as_deref(), Some(&long[..]));
    }
    // Longer than it need be, which is legal.
    assert_eq!(one(&[b"\0\x80\0\x80\x80\x80\x80\0", NULL, &field(b"v"), b"\x80\0"]).value.as_deref(), Some(&b"v"[..]));
}

#[test]
fn times_are_the_broker_s_where_the_topic_keeps_those() {
    let spelled = record(&[b"\0", &varint(-3), &varint(0), NULL, NULL, &varint(0)]);
    let read = read_log(&batch(&spelled, 1, 0, 1 << 3).into()).expect("a record");
    assert_eq!(read[0].timestamp, TIME + 5);
}

#[test]
fn what_is_wrong_is_said_with_the_record_and_its_batch() {
    let good = record(&[FRONT, NULL, NULL, &varint(0)]);
    let second = |parts: &[&[u8]]| batch(&[&good[..], &record(parts)].concat(), 2, 9, 0);
    let at_1 = &b"\0\0\x02"[..];
    for (bad, expected) in [
        (second(&[at_1, &varint(5), b"ab"]), "record 2 of 2: its key is cut off"),
        (second(&[at_1, NULL, &varint(i32::MAX.into())]), "record 2 of 2: its value is cut off"),
        (second(&[at_1, NULL, NULL, &varint(-1)]), "its headers' number is negative"),
        (second(&[at_1, NULL, NULL, &varint(2), b"\0\0"]), "its headers' number is more than it has room for"),
        (second(&[at_1, NULL, NULL, &varint(1), NULL, NULL]), "its header's name is null"),
        (second(&[at_1, NULL, NULL, &varint(0), b"x"]), "its length is more than it holds"),
        (second(&[b"\0\0\0", NULL, NULL, &varint(0)]), "its offset is not behind"),
        (second(&[b"\0\0", &varint(10), NULL, NULL, &varint(0)]), "its offset is not behind"),
        (second(&[b"\0\0", &varint(-1), NULL, NULL, &varint(0)]), "its offset is not behind"),
        (second(&[at_1, b"\x80\x80\x80\x80\x80\0", NULL]), "its key has a number that is too long"),
        (second(&[at_1, b"\xff\xff\xff\xff\x1f", NULL]), "its key has a number that is too large"),
        (second(&[b"\0", &[0x80; 10], NULL]), "its time has a number that is too long"),
        (second(&[b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", NULL]), "its time has a number that is too large"),
        (batch(&[&good[..], NULL, &[0; 6]].concat(), 2, 9, 0), "record 2 of 2: its length is negative"),
        (batch(&[&good[..], &good].concat(), 1, 9, 0), "bytes follow its 1 records"),
        (batch(&good, 2, 9, 0), "it is said to hold 2 records in 7 bytes"),
        (batch(&good, 1, 0, 5), "it is compressed in a way that is not known here"),
        (batch(&good, 1, 0, 4), "its records, which are compressed (Zstd), cannot be unpacked"),
    ] {
        let said = refused(bad);
        assert!(said.contains(expected) && said.contains("the record batch at offset 7000000000: "), "{said}");
    }
}

#[test]
fn a_record_that_is_cut_off_at_any_byte_is_an_error() {
    let whole =
        record(&[FRONT, &field(b"key"), &field(b"value"), &varint(2), &field(b"a"), NULL, &field(b"b"), &field(b"c")]);
    for end in 0..whole.len() {
        refused(batch(&whole[..end], 1, 0, 0));
        // The length fits, what is in it does not.
        if end > 0 {
            refused(batch(&record(&[&whole[1..end]]), 1, 0, 0));
        }
    }
    let whole = batch(&whole, 1, 0, 0);
    for end in 0..whole.len() {
        assert_eq!(read_log(&whole[..end].to_vec().into()).expect("none yet"), []);
    }
}

#[test]
fn no_batch_takes_more_memory_than_it_may() {
    // Millions of records, or of headers, in a few kilobytes.
    let least = [&field(b"\0\0\0\x01\x01\0")[..]].concat();
    let headers = vec![0; 16 << 20];
    for (spelled, count) in
        [(least.repeat(4 << 20), 4 << 20), (record(&[FRONT, NULL, NULL, &varint(8 << 20), &headers]), 1)]
    {
        let mut packed = Vec::new();
        compression::pack(CompressionKind::Zstd, &spelled, &mut packed).expect("packed");
        assert!(packed.len() < 1 << 16);
        let said = refused(batch(&packed, count, count, 4));
        assert!(said.contains("its batch takes more than 256 MiB"), "{said}");
    }
}

/// A batch of another program's records.
fn written(kind: CompressionKind, records: i32) -> Vec<u8> {
    let header = |i| RecordHeader { key: format!("name {i}"), value: vec![i as u8; i as usize % 5] };
    let record = |i| RawRecord {
        timestamp_delta: i64::from(i) - 2,
        offset_delta: i,
        key: (i % 3 > 0).then(|| vec![b'k'; i as usize % 3 - 1]),
        value: (i % 4 > 0).then(|| format!("value {i} ").repeat(i as usize).into_bytes()),
        headers: (0..i % 3).map(header).collect(),
    };
    let batch = RecordBatch {
        base_offset: BASE,
        partition_leader_epoch: 0,
        last_offset_delta: records - 1,
        first_timestamp: TIME,
        max_timestamp: TIME + 5,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records: ControlBatchOrRecords::Records((0..records).map(record).collect()),
        compression: RecordBatchCompression::NoCompression,
        is_transactional: false,
        timestamp_type: RecordBatchTimestampType::CreateTime,
    };
    let mut bytes = Vec::new();
    batch.write(&mut bytes).expect("memory takes it");
    packed_batch(kind, &bytes)
}

#[test]
fn what_another_program_wrote_is_read_under_every_compression() {
    for kind in KINDS {
        let records = read_log(&written(kind, 50).into()).expect("records");
        assert_eq!(records.len(), 50, "{kind:?}");
        for (i, record) in (0..).zip(records) {
            assert_eq!((record.offset, record.timestamp), (BASE + i, TIME + i - 2), "{kind:?}");
            assert_eq!(record.key.map(|key| key.len() as i64), (i % 3 > 0).then(|| i % 3 - 1), "{kind:?}");
            let value = (i % 4 > 0).then(|| format!("value {i} ").repeat(i as usize).into_bytes());
            assert_eq!(record.value.as_deref(), value.as_deref(), "{kind:?}");
            let headers: Headers =
                (0..i % 3).map(|i| (format!("name {i}").into(), Some(vec![i as u8; i as usize % 5].into()))).collect();
            assert_eq!(record.headers, headers, "{kind:?}");
        }
    }
}

#[test]
fn records_share_the_buffer_that_was_fetched() {
    let log = Bytes::from(written(CompressionKind::None, 5));
    let range = log.as_ptr_range();
    for record in read_log(&log).expect("records") {
        let value = record.value.unwrap_or_default();
        assert!(value.is_empty() || range.contains(&value.as_ptr()), "offset {} has a copy", record.offset);
    }
}

#[test]
fn a_million_mutations_are_records_or_errors() {
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_124);
    let seeds = KINDS.map(|kind| written(kind, 6));
    let (mut read, mut refused) = (0_u32, 0_u32);
    for i in 0..1_000_000 {
        // Compressed ones are slow to read, and mostly fail there.
        let seed = if i % 20 == 0 { &seeds[rng.random_range(1..seeds.len())] } else { &seeds[0] };
        let mut bytes = seed.clone();
        for _ in 0..rng.random_range(1..4) {
            // The records rather than the header.
            let from = if rng.random_range(0..8) == 0 { 0 } else { Header::BYTES.min(bytes.len()) };
            let at = rng.random_range(from..=bytes.len());
            match rng.random_range(0..6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, rng.random()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
                _ if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
                _ => {}
            }
        }
        if bytes.len() >= Header::PREFIX && rng.random_range(0..8) > 0 {
            let length = ((bytes.len() - Header::PREFIX) as i32).to_be_bytes();
            bytes[Header::LENGTH_AT..Header::PREFIX].copy_from_slice(&length);
        }
        checked(&mut bytes);
        match read_log(&bytes.into()) {
            Ok(records) => {
                read += 1;
                assert!(records.is_sorted_by(|one, next| one.offset < next.offset));
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 100_000 && refused > 100_000, "{read} and {refused}: one is hardly tried");
}

/// Not a check: what the fuzzer starts from.
#[test]
#[ignore = "writes fuzz/corpus/kafka_records, for `just fuzz-kafka-records`"]
fn write_the_seed_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kafka_records");
    std::fs::create_dir_all(&folder).expect("a folder");
    for kind in KINDS {
        std::fs::write(folder.join(format!("{kind:?}")), written(kind, 6)).expect("written");
    }
}
