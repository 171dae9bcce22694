//! The records of a batch, read by us: rskafka's reader fails at a header without a value, and copies every field.
//!
//! Invariant: the fields of a batch's records are slices of one buffer, which is the fetched one unless the batch was
//! compressed. Whatever the bytes are, they are a batch's records as they were written or an error, and never take more
//! than the memory they are given.

use std::fmt;

use bytes::Bytes;

use super::{
    compression::{self, CompressionKind},
    header::Header,
};
use thalweg_topic::record::{Headers, Record};

/// Memory that one batch may take, unpacked and with all that tells its records apart.
const MAX_BATCH_MEMORY: usize = 256 << 20;

/// No record takes less: each part of one is a byte at least.
const MIN_RECORD_BYTES: usize = 7;

/// Adds the records of a whole batch with its header; returns the bytes that were unpacked for it.
///
/// # Errors
/// What is wrong with the batch, as the end of a sentence.
pub(crate) fn read(batch: &Bytes, header: &Header, records: &mut Vec<Record>) -> Result<usize, String> {
    let checksum = crc32c::crc32c(&batch[Header::CHECKED_FROM..]);
    if checksum != header.checksum {
        return Err(format!("its CRC is {checksum:#010x} and should be {:#010x}", header.checksum));
    }
    let kind = compression::kind(header.attributes).ok_or("it is compressed in a way that is not known here")?;
    let packed = batch.slice(Header::BYTES..);
    let (bytes, unpacked) = match kind {
        CompressionKind::None => (packed, 0),
        kind => {
            let unpacked = compression::unpack(kind, &packed, MAX_BATCH_MEMORY).map_err(|problem| {
                format!("its records, which are compressed ({kind:?}), cannot be unpacked: {problem}")
            })?;
            let size = unpacked.len();
            (Bytes::from(unpacked), size)
        }
    };
    let count = usize::try_from(header.records).unwrap_or(0);
    if count > bytes.len() / MIN_RECORD_BYTES {
        return Err(format!("it is said to hold {count} records in {} bytes", bytes.len()));
    }
    let mut fields =
        Fields { bytes: &bytes, at: 0, end: bytes.len(), memory: MAX_BATCH_MEMORY.saturating_sub(unpacked) };
    fields.take_memory(count * size_of::<Record>()).map_err(|problem| problem.to_string())?;
    let before = records.len();
    records.reserve(count);
    for i in 0..count {
        let after = (i > 0).then(|| records.last().map_or(0, |last| last.offset));
        match fields.record(header, after) {
            Ok(record) => records.push(record),
            Err(problem) => {
                records.truncate(before);
                return Err(format!("record {} of {count}: {problem}", i + 1));
            }
        }
    }
    if fields.at < bytes.len() {
        records.truncate(before);
        return Err(format!("{} bytes follow its {count} records", bytes.len() - fields.at));
    }
    Ok(unpacked)
}

/// A fault of a record: the part that is wrong, and how.
#[derive(Debug)]
struct Problem(&'static str, &'static str);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, how) = self;
        write!(f, "its {what} {how}")
    }
}

/// Takes fields off the front.
struct Fields<'a> {
    bytes: &'a Bytes,
    at: usize,
    /// The end of the record, or of all of them.
    end: usize,
    /// Bytes of memory left.
    memory: usize,
}

impl Fields<'_> {
    /// `after` is the offset of the record before it in the batch.
    fn record(&mut self, header: &Header, after: Option<i64>) -> Result<Record, Problem> {
        let length = self.length("length")?.ok_or(Problem("length", "is negative"))?;
        self.end = self.at + length;
        let _attributes = self.byte("attributes")?;
        let timestamp = self.varlong("time")?;
        let delta = self.varint("offset")?;
        let offset = header.base_offset.saturating_add(delta.into());
        if delta < 0 || offset > header.last_offset || after.is_some_and(|after| offset <= after) {
            return Err(Problem("offset", "is not behind that of the one before it and within its batch"));
        }
        let timestamp = match header.appended_at() {
            Some(time) => time,
            None => header.first_timestamp.saturating_add(timestamp),
        };
        let (key, value) = (self.nullable("key")?, self.nullable("value")?);
        let headers = self.headers()?;
        if self.at < self.end {
            return Err(Problem("length", "is more than it holds"));
        }
        self.end = self.bytes.len();
        Ok(Record { offset, timestamp, key, value, headers, row: None })
    }

    fn headers(&mut self) -> Result<Headers, Problem> {
        let count = self.varint("headers' number")?;
        let count = usize::try_from(count).map_err(|_| Problem("headers' number", "is negative"))?;
        // Each takes two bytes at least.
        if count > (self.end - self.at) / 2 {
            return Err(Problem("headers' number", "is more than it has room for"));
        }
        self.take_memory(count * size_of::<(Bytes, Option<Bytes>)>())?;
        let mut headers = Headers::with_capacity(count);
        for _ in 0..count {
            let name = self.nullable("header's name")?.ok_or(Problem("header's name", "is null"))?;
            headers.push(name, self.nullable("header's value")?);
        }
        Ok(headers)
    }

    /// A length and as many bytes.
    #[inline]
    fn nullable(&mut self, what: &'static str) -> Result<Option<Bytes>, Problem> {
        let Some(length) = self.length(what)? else { return Ok(None) };
        let start = self.at;
        self.at += length;
        Ok(Some(self.bytes.slice(start..self.at)))
    }

    /// The length of something that is there, or of nothing: negative, as Kafka's own client takes it.
    #[inline]
    fn length(&mut self, what: &'static str) -> Result<Option<usize>, Problem> {
        let Ok(length) = usize::try_from(self.varint(what)?) else { return Ok(None) };
        if length > self.end - self.at {
            return Err(Problem(what, "is cut off"));
        }
        Ok(Some(length))
    }

    #[inline]
    fn varint(&mut self, what: &'static str) -> Result<i32, Problem> {
        let value =
            u32::try_from(self.unsigned(what, 5)?).map_err(|_| Problem(what, "has a number that is too large"))?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    #[inline]
    fn varlong(&mut self, what: &'static str) -> Result<i64, Problem> {
        let value = self.unsigned(what, 10)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Seven bits a byte, the lowest first, in at most so many bytes.
    #[inline]
    fn unsigned(&mut self, what: &'static str, most: u32) -> Result<u64, Problem> {
        let mut value = 0;
        for i in 0..most {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << (7 * i);
            if byte < 0x80 {
                // The tenth byte has memory for one bit.
                return if i == 9 && bits > 1 {
                    Err(Problem(what, "has a number that is too large"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(Problem(what, "has a number that is too long"))
    }

    #[inline]
    fn byte(&mut self, what: &'static str) -> Result<u8, Problem> {
        if self.at >= self.end {
            return Err(Problem(what, "is cut off"));
        }
        self.at += 1;
        Ok(self.bytes[self.at - 1])
    }

    fn take_memory(&mut self, bytes: usize) -> Result<(), Problem> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Problem("batch", "takes more than 256 MiB of memory"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
