//! The produce request for any number of partitions, written by us: rskafka's has no header without a value, and copies every
//! batch three times.

use std::{
    cell::Cell,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    messages::{
        ProduceRequest, ProduceResponse, ProduceResponsePartitionResponse, ProduceResponseResponse, RequestBody,
        WriteVersionedError, WriteVersionedType,
    },
    primitives::{Int16, Int32, NullableString, String_},
    traits::{WriteError, WriteType},
};

use super::{
    compression::{self, CompressionKind},
    header::{Header, MAGIC, ProducerId},
    matched, milliseconds,
};
use thalweg_topic::{
    EncodedPrediction, PendingPredictions,
    record::{Headers, Outgoing},
    stamps::{MAX_CLOCK_LEAD, now},
};

/// A batch on its way to one partition, as it will be in the log.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) batch: Vec<u8>,
}

/// Buffers kept at most.
const MAX_KEPT_BUFFERS: usize = 2;
/// Bytes of a buffer that is kept, at most.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Buffers for batches that were written, for the next ones: large memory that is given back is taken from the system anew,
/// page by page.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Returns an empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT_BUFFERS && buffer.capacity() <= MAX_KEPT_BYTES {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

/// Batches for different partitions. Whoever writes them takes them: they need not be kept while the broker answers.
pub(crate) struct Produce<'a> {
    timeout: Duration,
    parcels: Cell<Vec<Parcel>>,
    buffers: &'a Buffers,
}

impl<'a> Produce<'a> {
    /// `buffers` get those of the batches, once they are written.
    pub(crate) fn new(timeout: Duration, parcels: Vec<Parcel>, buffers: &'a Buffers) -> Self {
        Self { timeout, parcels: Cell::new(parcels), buffers }
    }

    /// Returns what an answer says of each of some partitions.
    pub(crate) fn answers<'r>(
        partitions: &[(Arc<str>, i32)],
        answer: &'r ProduceResponse,
    ) -> Vec<Option<&'r ProduceResponsePartitionResponse>> {
        let of = |topic: &'r ProduceResponseResponse| {
            topic.partition_responses.iter().map(move |appended| (&*topic.name.0, appended))
        };
        let found: Vec<_> = answer.responses.iter().flat_map(of).collect();
        let is = |(topic, partition): &(Arc<str>, i32),
                  (name, appended): &(&str, &ProduceResponsePartitionResponse)| {
            appended.index.0 == *partition && **name == **topic
        };
        matched(partitions, &found, is).into_iter().map(|at| at.map(|at| found[at].1)).collect()
    }
}

impl RequestBody for Produce<'_> {
    type ResponseBody = ProduceResponse;
    const API_KEY: ApiKey = ProduceRequest::API_KEY;
    const API_VERSION_RANGE: ApiVersionRange = ProduceRequest::API_VERSION_RANGE;
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ProduceRequest::FIRST_TAGGED_FIELD_IN_REQUEST_VERSION;
}

impl WriteVersionedType<Vec<u8>> for Produce<'_> {
    /// Versions 3 to 7, which differ in their answers only.
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        let parcels = self.parcels.take();
        out.reserve(parcels.iter().map(|parcel| parcel.batch.len() + 16).sum());
        // Of no transaction.
        NullableString(None).write(out)?;
        // All replicas in sync: what idempotence asks for.
        Int16(-1).write(out)?;
        Int32(milliseconds(self.timeout)).write(out)?;
        let topics = || parcels.chunk_by(|a, b| a.topic == b.topic);
        Int32(topics().count() as i32).write(out)?;
        for parcels in topics() {
            String_(parcels[0].topic.to_string()).write(out)?;
            Int32(parcels.len() as i32).write(out)?;
            for parcel in parcels {
                Int32(parcel.partition).write(out)?;
                Int32(length(parcel.batch.len()).map_err(WriteError::from)?).write(out)?;
                out.extend_from_slice(&parcel.batch);
            }
        }
        parcels.into_iter().for_each(|parcel| self.buffers.put(parcel.batch));
        Ok(())
    }
}

/// When the records of a batch are said to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// All at this time, in milliseconds since the Unix epoch.
    At(i64),
    /// Each at its own, or now, where no broker takes that.
    Own,
}

/// The records of a batch.
#[derive(Debug)]
pub(crate) enum Records {
    Ready(Vec<Outgoing>),
    /// Encoded right where they are sent from.
    PendingPredictions(Box<dyn PendingPredictions>),
}

impl From<Vec<Outgoing>> for Records {
    fn from(records: Vec<Outgoing>) -> Self {
        Self::Ready(records)
    }
}

impl Records {
    fn len(&self) -> usize {
        match self {
            Self::Ready(records) => records.len(),
            Self::PendingPredictions(drafts) => drafts.len(),
        }
    }

    /// Returns the bytes that they take, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Ready(records) => records.iter().map(Outgoing::size).sum(),
            Self::PendingPredictions(drafts) => drafts.bytes(),
        }
    }

    /// Calls `take` with the time that each has of its own.
    fn each_time(&self, mut take: impl FnMut(i64)) {
        match self {
            Self::Ready(records) => records.iter().for_each(|record| take(record.timestamp)),
            Self::PendingPredictions(drafts) => drafts.each_time(&mut take),
        }
    }

    /// The earliest time of its own that any of them has.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let mut oldest: Option<i64> = None;
        self.each_time(|time| oldest = Some(oldest.map_or(time, |oldest| oldest.min(time))));
        oldest
    }

    /// The time of the first, and the latest, as `time` has it.
    fn times(&self, time: impl Fn(i64) -> i64) -> (i64, i64) {
        let mut times: Option<(i64, i64)> = None;
        self.each_time(|own| {
            let own = time(own);
            times = Some(times.map_or((own, own), |(first, latest)| (first, latest.max(own))));
        });
        times.unwrap_or_default()
    }

    /// Onto the end of `out`; `time` is what a record's time becomes.
    fn write(&self, out: &mut Vec<u8>, time: impl Fn(i64) -> i64) -> io::Result<()> {
        let mut number = 0;
        let mut write = |timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers| {
            let written = write_record(out, number, time(timestamp), key, value, headers);
            number += 1;
            written
        };
        match self {
            Self::Ready(records) => records.iter().try_for_each(|record| {
                write(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers)
            }),
            Self::PendingPredictions(drafts) => {
                drafts.try_each(|EncodedPrediction { timestamp, key, value, headers, .. }| {
                    write(timestamp, key, Some(value), headers)
                })
            }
        }
    }
}

/// Records with one number behind the other.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) producer: ProducerId,
    /// The number of the first record.
    pub(crate) sequence: i32,
    pub(crate) records: Records,
    pub(crate) time: Time,
    pub(crate) compression: CompressionKind,
}

impl Batch {
    /// Encodes it as it will be in the log, into `out`, which is empty.
    ///
    /// # Errors
    /// When it is too large for the format, or a compressor refuses.
    pub(crate) fn encode(&self, mut out: Vec<u8>) -> io::Result<Vec<u8>> {
        let now = now();
        let latest = now.saturating_add(MAX_CLOCK_LEAD.as_millis() as i64);
        let time = |timestamp| match self.time {
            Time::At(time) => time,
            // A sample's time may be any, so what a broker would refuse is left to the value to say.
            Time::Own if timestamp > latest => now,
            Time::Own => timestamp,
        };
        let (first, latest) = self.records.times(time);
        let count = length(self.records.len())?;

        let size = self.records.bytes();
        out.reserve(Header::BYTES + size);
        // Offset and epoch are the broker's to say; length and checksum come last.
        out.extend_from_slice(&[0; Header::MAGIC_AT]);
        out.push(MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&compression::number(self.compression).to_be_bytes());
        out.extend_from_slice(&(count - 1).to_be_bytes());
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&latest.to_be_bytes());
        out.extend_from_slice(&self.producer.to_be_bytes());
        // Only transactions and renewed identities have another epoch.
        out.extend_from_slice(&0_i16.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        if self.compression == CompressionKind::None {
            self.records.write(&mut out, |timestamp| time(timestamp).wrapping_sub(first))?;
        } else {
            let mut records = Vec::with_capacity(size);
            self.records.write(&mut records, |timestamp| time(timestamp).wrapping_sub(first))?;
            compression::pack(self.compression, &records, &mut out)?;
        }
        let bytes = length(out.len() - Header::PREFIX)?;
        patch(&mut out, Header::LENGTH_AT, bytes);
        let checksum = crc32c::crc32c(&out[Header::CHECKED_FROM..]);
        patch(&mut out, Header::CHECKSUM_AT, checksum.cast_signed());
        Ok(out)
    }
}

/// `time` is the distance from the batch's first; `number` the place in the batch.
fn write_record(
    out: &mut Vec<u8>,
    number: i64,
    time: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
) -> io::Result<()> {
    let count = length(headers.len())?.into();
    // The length comes first, so it is worked out: to write a record elsewhere and copy it would take longer.
    let of_headers: usize =
        headers.iter().map(|(name, value)| nullable_bytes(Some(name)) + nullable_bytes(value)).sum();
    let fields = nullable_bytes(key) + nullable_bytes(value);
    let bytes = 1 + varint_bytes(time) + varint_bytes(number) + fields + varint_bytes(count) + of_headers;
    varint(out, length(bytes)?.into());
    // Attributes, of which there are none.
    out.push(0);
    varint(out, time);
    varint(out, number);
    nullable(out, key)?;
    nullable(out, value)?;
    varint(out, count);
    for (name, value) in headers.iter() {
        nullable(out, Some(name))?;
        nullable(out, value)?;
    }
    Ok(())
}

fn patch(out: &mut [u8], at: usize, value: i32) {
    out[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn length(length: usize) -> io::Result<i32> {
    i32::try_from(length).map_err(|_| io::Error::other("more than 2 GiB in one batch"))
}

/// A length and the bytes.
fn nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> io::Result<()> {
    let Some(bytes) = bytes else {
        varint(out, -1);
        return Ok(());
    };
    varint(out, length(bytes.len())?.into());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Returns the bytes that [`nullable`] takes.
fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Returns the bytes that [`varint`] takes.
fn varint_bytes(value: i64) -> usize {
    // At least one bit, even of 0.
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Zigzag, seven bits a byte, the lowest first: the same for `varint` and `varlong`.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut value = zigzag(value);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use bytes::Bytes;
    use rskafka::protocol::{
        record::{ControlBatchOrRecords, RecordBatch},
        traits::ReadType,
    };

    use super::*;
    use crate::{
        protocol::compression::tests::{KINDS, unpacked_batch},
        read_log,
    };

    fn written(compression: CompressionKind, records: Vec<Outgoing>) -> Vec<u8> {
        let batch = Batch { producer: 7, sequence: 11, records: records.into(), time: Time::Own, compression };
        batch.encode(Vec::new()).expect("written")
    }

    fn records() -> Vec<Outgoing> {
        let headers = [("n".into(), Some(Bytes::new())), ("m".into(), Some(b"\xff"[..].into()))];
        vec![
            Outgoing { timestamp: 1_000, value: Some(vec![b'v'; 70_000]), ..Outgoing::default() },
            Outgoing { timestamp: 900, key: Some(vec![0; 200]), value: None, ..Outgoing::default() },
            Outgoing { timestamp: i64::MIN, key: Some(vec![]), value: Some(vec![]), ..Outgoing::default() },
            Outgoing { timestamp: 5_000, headers: headers.into_iter().collect(), ..Outgoing::default() },
        ]
    }

    #[test]
    fn another_program_reads_what_was_written_under_every_compression() {
        for kind in KINDS {
            let batch = unpacked_batch(&written(kind, records()));
            let batch = RecordBatch::read(&mut Cursor::new(batch)).expect("a batch");
            assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (7, 0, 11));
            assert_eq!((batch.first_timestamp, batch.max_timestamp, batch.last_offset_delta), (1_000, 5_000, 3));
            let ControlBatchOrRecords::Records(read) = batch.records else { panic!("control records") };
            for ((i, read), sent) in (0..).zip(read).zip(records()) {
                assert_eq!((read.offset_delta, read.key, read.value), (i, sent.key, sent.value), "{kind:?}");
                assert_eq!(read.timestamp_delta, sent.timestamp.wrapping_sub(1_000));
                let headers: Headers =
                    read.headers.into_iter().map(|header| (header.key.into(), Some(header.value.into()))).collect();
                assert_eq!(headers, sent.headers);
            }
        }
    }

    #[test]
    fn headers_without_a_value_or_with_a_name_that_is_no_text_are_written() {
        let headers: Headers = [("n".into(), None), (b"\xff\xfe"[..].into(), Some("v".into()))].into_iter().collect();
        let sent = Outgoing { headers: headers.clone(), ..Outgoing::default() };
        for kind in KINDS {
            let read = read_log(&written(kind, vec![sent.clone(); 3]).into()).expect("records");
            assert_eq!(read.iter().map(|record| &record.headers).collect::<Vec<_>>(), [&headers; 3], "{kind:?}");
        }
    }

    #[test]
    fn a_time_that_no_broker_takes_is_the_clock_s() {
        let far = Outgoing { timestamp: 253_402_300_800_000, ..Outgoing::default() };
        let read = read_log(&written(CompressionKind::None, vec![far]).into()).expect("a record");
        assert!((1_700_000_000_000..253_402_300_800_000).contains(&read[0].timestamp));
    }
}
