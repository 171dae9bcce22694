//! What a fetch brings of a partition's log: record batches, of which only committed records count.
//!
//! The broker sends every batch before the last stable offset, also those of aborted transactions, and names the
//! latter; leaving them out is the client's part. Invariant: `next_offset` is after every batch that was whole, so that
//! markers, aborted records and what compaction has removed are passed over and not waited for.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    ops::RangeInclusive,
};

use bytes::Bytes;
use rskafka::protocol::traits::ReadError;

use super::{
    header::{CONTROL, Header, MAGIC, ProducerId, TRANSACTIONAL, array},
    records,
};
use thalweg_topic::record::Record;

/// Bytes of compressed batches unpacked at once, about; the rest is fetched again.
const MAX_UNPACKED_BYTES: usize = 64 << 20;

/// An aborted transaction, or the part of it that is ahead: its producer and its first offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer: i64,
    pub(crate) first_offset: i64,
}

/// The committed records of a run of batches.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// In offset order; the first may be older than what was asked for, since batches come whole.
    pub(crate) records: Vec<Record>,
    /// After the last whole batch; `None` when there was none.
    pub(crate) next_offset: Option<i64>,
    /// Set when any batch was part of a transaction.
    pub(crate) transactional: bool,
    /// Each batch of a producer that numbers its records.
    pub(crate) written: Vec<Written>,
}

/// A batch as its header has it, which stays when compaction has removed the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) producer: ProducerId,
    pub(crate) offsets: RangeInclusive<i64>,
    /// The number of the producer's next record.
    pub(crate) next_sequence: i32,
}

/// Reads the batches in `log`, of which the last may be cut off, without those of `aborted` transactions. Ends early
/// before a batch that cannot be read, so that what is before it is used, and when enough has been unpacked.
///
/// # Errors
/// When the first batch is not what a broker sends, or is damaged.
pub(crate) fn committed(log: &Bytes, aborted: &[Aborted]) -> Result<Committed, ReadError> {
    let mut result = Committed::default();
    // By first offset; a producer's batches are given up from there to its next marker, which ends the transaction.
    let mut ahead: BinaryHeap<_> = aborted.iter().map(|it| Reverse((it.first_offset, it.producer))).collect();
    let mut given_up = HashSet::new();
    let mut rest = log.clone();
    let mut unpacked = 0;
    while unpacked < MAX_UNPACKED_BYTES {
        let batch = match next_batch(&mut rest) {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(problem) if result.next_offset.is_none() => return Err(problem),
            Err(_) => break,
        };
        let header = Header::of(&batch);
        while let Some(Reverse((first_offset, producer))) = ahead.peek()
            && *first_offset <= header.last_offset
        {
            given_up.insert(*producer);
            ahead.pop();
        }
        if !header.is(CONTROL)
            && header.records > 0
            && !(header.is(TRANSACTIONAL) && given_up.contains(&header.producer))
        {
            match records::read(&batch, &header, &mut result.records) {
                Ok(bytes) => unpacked += bytes,
                Err(problem) if result.next_offset.is_none() => {
                    return Err(malformed(format!("the record batch at offset {}: {problem}", header.base_offset)));
                }
                Err(_) => break,
            }
        }
        if header.is(CONTROL) {
            given_up.remove(&header.producer);
        } else if header.producer >= 0 {
            let (producer, next_sequence) = (header.producer, header.next_sequence());
            let offsets = header.base_offset..=header.last_offset;
            result.written.push(Written { producer, offsets, next_sequence });
        }
        result.next_offset = Some(header.last_offset.saturating_add(1));
        result.transactional |= header.is(TRANSACTIONAL);
    }
    Ok(result)
}

/// The records in a run of batches of a partition's log, whole and of no aborted transaction.
///
/// # Errors
/// When a batch is not what a broker sends, or is damaged.
pub fn read_log(log: &Bytes) -> Result<Vec<Record>, ReadError> {
    committed(log, &[]).map(|committed| committed.records)
}

/// Takes the first batch off `rest`; `None` when no whole one is left.
fn next_batch(rest: &mut Bytes) -> Result<Option<Bytes>, ReadError> {
    if rest.len() <= Header::MAGIC_AT {
        return Ok(None);
    }
    let offset = i64::from_be_bytes(array(rest, 0));
    let magic = rest[Header::MAGIC_AT];
    if magic != MAGIC {
        return Err(malformed(format!("the message set at offset {offset} has format {magic}, older than Kafka 0.11")));
    }
    let length = i32::from_be_bytes(array(rest, Header::LENGTH_AT));
    let end = usize::try_from(length).ok().map(|length| Header::PREFIX + length).filter(|end| *end >= Header::BYTES);
    let end =
        end.ok_or_else(|| malformed(format!("the record batch at offset {offset} is said to have {length} bytes")))?;
    Ok((end <= rest.len()).then(|| rest.split_to(end)))
}

/// Returns the offset after the last whole batch in `log`, by the headers alone; `None` where none is whole.
pub(crate) fn end_of(log: &Bytes) -> Option<i64> {
    let (mut rest, mut end) = (log.clone(), None);
    while let Ok(Some(batch)) = next_batch(&mut rest) {
        end = Some(Header::of(&batch).last_offset.saturating_add(1));
    }
    end
}

pub(crate) fn malformed(problem: impl Into<String>) -> ReadError {
    ReadError::Malformed(problem.into().into())
}

#[cfg(test)]
mod tests {
    use rskafka::protocol::{
        record::{
            ControlBatchOrRecords, Record as RawRecord, RecordBatch, RecordBatchCompression, RecordBatchTimestampType,
        },
        traits::WriteType,
    };

    use super::*;
    use crate::protocol::compression::{CompressionKind, tests::packed_batch};

    fn raw(offset_delta: i32) -> RawRecord {
        let value = Some(format!("record {offset_delta}").into_bytes());
        RawRecord { timestamp_delta: i64::from(offset_delta), offset_delta, key: None, value, headers: Vec::new() }
    }

    fn batch(base_offset: i64, producer_id: i64, count: i32) -> RecordBatch {
        RecordBatch {
            base_offset,
            partition_leader_epoch: 0,
            last_offset_delta: count - 1,
            first_timestamp: 1_000,
            max_timestamp: 5_000,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            records: ControlBatchOrRecords::Records((0..count).map(raw).collect()),
            compression: RecordBatchCompression::NoCompression,
            is_transactional: true,
            timestamp_type: RecordBatchTimestampType::CreateTime,
        }
    }

    fn bytes(batch: &RecordBatch) -> Vec<u8> {
        let mut bytes = Vec::new();
        batch.write(&mut bytes).expect("memory takes it");
        bytes
    }

    fn data(base_offset: i64, producer: i64, count: i32) -> Vec<u8> {
        bytes(&batch(base_offset, producer, count))
    }

    /// The end of a transaction. What is in it is not looked at: the broker's list tells how it ended.
    fn marker(offset: i64, producer: i64) -> Vec<u8> {
        control(data(offset, producer, 1))
    }

    fn control(mut batch: Vec<u8>) -> Vec<u8> {
        batch[22] |= CONTROL as u8;
        batch
    }

    fn offsets(log: &[Vec<u8>], aborted: &[(i64, i64)]) -> (Vec<i64>, Option<i64>) {
        let aborted: Vec<Aborted> =
            aborted.iter().map(|&(producer, first_offset)| Aborted { producer, first_offset }).collect();
        let found = committed(&log.concat().into(), &aborted).expect("a log");
        (found.records.iter().map(|record| record.offset).collect(), found.next_offset)
    }

    #[test]
    fn records_of_an_aborted_transaction_are_left_out_and_interleaved_ones_are_not() {
        let log = [data(0, 7, 2), data(2, 8, 2), data(4, 7, 1), marker(5, 8), marker(6, 7), data(7, 7, 1)];
        assert_eq!(offsets(&log, &[(7, 0)]), (vec![2, 3, 7], Some(8)));
    }

    #[test]
    fn a_commit_before_the_aborted_transaction_does_not_end_it() {
        let log = [data(0, 7, 1), marker(1, 7), data(2, 7, 1), data(3, 7, 1), marker(4, 7), data(5, 7, 1)];
        assert_eq!(offsets(&log, &[(7, 2)]), (vec![0, 5], Some(6)));
    }

    #[test]
    fn a_fetch_may_begin_in_the_middle_of_an_aborted_transaction_and_end_before_its_marker() {
        assert_eq!(offsets(&[data(100, 7, 3), data(103, 8, 1)], &[(7, 20)]), (vec![103], Some(104)));
    }

    #[test]
    fn two_aborted_transactions_of_one_producer_are_both_left_out() {
        let log = [data(0, 7, 1), marker(1, 7), data(2, 7, 1), marker(3, 7), data(4, 7, 1), marker(5, 7)];
        assert_eq!(offsets(&log, &[(7, 4), (7, 0)]), (vec![2], Some(6)));
    }

    #[test]
    fn records_outside_of_transactions_are_never_aborted() {
        let plain = bytes(&RecordBatch { is_transactional: false, ..batch(1, 7, 1) });
        let log = [data(0, 7, 1), plain.clone(), marker(2, 7)];
        assert_eq!(offsets(&log, &[(7, 0)]), (vec![1], Some(3)));
        assert!(!committed(&plain.into(), &[]).expect("a log").transactional);
        assert!(committed(&log[2].clone().into(), &[]).expect("a log").transactional);
    }

    #[test]
    fn a_batch_that_is_cut_off_is_left_for_the_next_fetch() {
        let (whole, cut) = (data(0, 7, 2), data(2, 7, 2));
        for length in [0, 5, 16, 17, 60, cut.len() - 1] {
            assert_eq!(offsets(&[whole.clone(), cut[..length].to_vec()], &[]), (vec![0, 1], Some(2)), "{length}");
        }
        assert_eq!(offsets(&[cut[..20].to_vec()], &[]), (vec![], None));
    }

    #[test]
    fn what_compaction_has_emptied_is_passed_over() {
        let empty = RecordBatch { records: ControlBatchOrRecords::Records(Vec::new()), ..batch(4, 7, 6) };
        assert_eq!(offsets(&[data(0, 7, 1), bytes(&empty)], &[]), (vec![0], Some(10)));
        assert_eq!(offsets(&[control(bytes(&empty))], &[]), (vec![], Some(10)));
        // Some keep the compression of what was there.
        let mut gzip = bytes(&empty);
        gzip[22] |= 1;
        assert_eq!(offsets(&[gzip], &[]), (vec![], Some(10)));
    }

    #[test]
    fn the_brokers_time_counts_where_the_topic_says_so() {
        let times = |timestamp_type| {
            let found =
                committed(&bytes(&RecordBatch { timestamp_type, ..batch(0, 7, 2) }).into(), &[]).expect("a log");
            found.records.iter().map(|record| record.timestamp).collect::<Vec<_>>()
        };
        assert_eq!(times(RecordBatchTimestampType::CreateTime), [1_000, 1_001]);
        assert_eq!(times(RecordBatchTimestampType::LogAppendTime), [5_000, 5_000]);
    }

    #[test]
    fn damage_is_an_error() {
        let good = data(0, 7, 2);
        let damaged = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            committed(&bytes.into(), &[]).expect_err("damaged").to_string()
        };
        assert!(damaged(good.len() - 1, 0xff).contains("CRC"), "a record");
        assert!(damaged(16, 1).contains("format 1"), "the format");
        assert!(damaged(8, 0xff).contains("bytes"), "the length");
    }

    #[test]
    fn damage_hides_nothing_that_is_before_it() {
        let mut damaged = data(2, 7, 2);
        *damaged.last_mut().expect("a byte") ^= 1;
        let mut old = data(2, 7, 2);
        old[Header::MAGIC_AT] = 1;
        for bad in [damaged, old] {
            assert_eq!(offsets(&[data(0, 7, 2), bad.clone(), data(4, 7, 1)], &[]), (vec![0, 1], Some(2)));
            // Fetched from there it is the first.
            let said = committed(&[bad, data(4, 7, 1)].concat().into(), &[]).expect_err("damaged").to_string();
            assert!(said.contains("at offset 2"), "{said}");
        }
    }

    #[test]
    fn when_enough_is_unpacked_the_rest_is_fetched_again() {
        let large = RawRecord { value: Some(vec![0; MAX_UNPACKED_BYTES]), ..raw(0) };
        let large = RecordBatch { records: ControlBatchOrRecords::Records(vec![large]), ..batch(0, 7, 1) };
        let large = packed_batch(CompressionKind::Zstd, &bytes(&large));
        assert_eq!(offsets(&[large, data(1, 7, 1)], &[]), (vec![0], Some(1)));
    }
}
