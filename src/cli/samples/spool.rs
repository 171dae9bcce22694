//! Spools: copies of sources that can be read only once, or slowly: standard input, a pipe, a range of a topic.
//!
//! Invariant: the file has no name, so that nothing is left of it however the process ends. Every reader has a position
//! of its own. Of a record's headers those are kept that are an event's attributes, or say that it is a label: what else they say is
//! for others.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    pipeline::{
        decode::{CloudEvent, Learned},
        encode,
    },
    topic::record::{Headers, LABEL, Record},
};

/// Length of a record without a value.
const TOMBSTONE: u32 = u32::MAX;

/// Copy of a source; a clone shares the file.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Spool {
    file: Arc<File>,
    size: u64,
    /// Schemas by which its records were written.
    learned: Arc<[Learned]>,
}

impl Spool {
    /// Adds the schemas by which its records were written.
    pub(in crate::cli) fn written_by(self, learned: &Arc<[Learned]>) -> Self {
        Self { learned: Arc::clone(learned), ..self }
    }

    /// Returns the schemas by which its records were written.
    pub(super) fn learned(&self) -> &[Learned] {
        &self.learned
    }

    /// Copies everything that `read` gives.
    pub(in crate::cli) fn of(read: &mut impl Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        let size = io::copy(read, &mut file)?;
        Ok(Self { file: Arc::new(file), size, learned: Arc::default() })
    }

    /// Returns a reader that passes on what `read` gives, and the spool into which it copies that, of which
    /// the size is not known.
    pub(in crate::cli) fn tee<R: Read>(read: R) -> io::Result<(Tee<R>, Self)> {
        let file = Arc::new(tempfile::tempfile()?);
        Ok((Tee { read, file: Arc::clone(&file) }, Self { file, size: 0, learned: Arc::default() }))
    }

    /// Returns a reader from the beginning.
    pub(in crate::cli) fn reader(&self) -> SpoolReader {
        SpoolReader {
            read: BufReader::with_capacity(1 << 16, At { spool: self.clone(), next: 0 }),
            key: Vec::new(),
            value: Vec::new(),
            headers: Headers::new(),
            position: 0,
        }
    }

    /// Returns its size in bytes.
    pub(in crate::cli) fn size(&self) -> u64 {
        self.size
    }
}

/// Copies what is read through it.
pub(in crate::cli) struct Tee<R> {
    read: R,
    file: Arc<File>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        (&*self.file).write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Writes records one by one.
#[derive(Debug)]
pub(in crate::cli) struct SpoolWriter {
    out: BufWriter<File>,
    size: u64,
}

impl SpoolWriter {
    pub(in crate::cli) fn new() -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(1 << 16, tempfile::tempfile()?), size: 0 })
    }

    /// Adds a record's value, and its time, key and headers.
    pub(in crate::cli) fn push(&mut self, value: Option<&[u8]>, record: &Record) -> io::Result<()> {
        self.out.write_all(&encode::time(record).to_le_bytes())?;
        self.size += 8;
        self.write(record.key.as_deref())?;
        let label = record.headers.get(LABEL).map(|value| (LABEL, value));
        let event = CloudEvent::of(&record.headers).into_iter().flat_map(CloudEvent::headers);
        let attributes: Vec<_> = event.chain(label).collect();
        self.out.write_all(&(attributes.len() as u32).to_le_bytes())?;
        self.size += 4;
        for (name, value) in attributes {
            self.write(Some(name.as_bytes()))?;
            self.write(Some(value))?;
        }
        self.write(value)
    }

    fn write(&mut self, bytes: Option<&[u8]>) -> io::Result<()> {
        // No transport takes records of 4 GiB.
        let length = bytes.map_or(TOMBSTONE, |bytes| bytes.len() as u32);
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(bytes.unwrap_or_default())?;
        self.size += 4 + bytes.map_or(0, |bytes| bytes.len() as u64);
        Ok(())
    }

    pub(in crate::cli) fn finish(self) -> io::Result<Spool> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Spool { file: Arc::new(file), size: self.size, learned: Arc::default() })
    }
}

/// A record of a copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Copied<'r> {
    /// Milliseconds since 1970.
    pub(super) time: i64,
    pub(super) key: Option<&'r [u8]>,
    pub(super) value: Option<&'r [u8]>,
    pub(super) headers: &'r Headers,
}

/// Reads a copy from its beginning.
#[derive(Debug)]
pub(in crate::cli) struct SpoolReader {
    read: BufReader<At>,
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Headers,
    position: u64,
}

impl SpoolReader {
    pub(super) fn size(&self) -> u64 {
        self.read.get_ref().spool.size
    }

    /// Returns the schemas by which its records were written.
    pub(super) fn learned(&self) -> &[Learned] {
        &self.read.get_ref().spool.learned
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next record of a copy that was written record by record; `None` at the end.
    pub(super) fn next_record(&mut self) -> io::Result<Option<Copied<'_>>> {
        if self.position == self.size() {
            return Ok(None);
        }
        let mut time = [0; 8];
        self.read.read_exact(&mut time)?;
        self.position += 8;
        let has_key = self.bytes()?;
        std::mem::swap(&mut self.key, &mut self.value);
        self.headers = Headers::new();
        for _ in 0..self.number()? {
            let name = self.bytes()?.then(|| Bytes::copy_from_slice(&self.value));
            let value = self.bytes()?.then(|| Bytes::copy_from_slice(&self.value));
            self.headers.push(name.unwrap_or_default(), value);
        }
        let has_value = self.bytes()?;
        Ok(Some(Copied {
            time: i64::from_le_bytes(time),
            key: has_key.then_some(&self.key),
            value: has_value.then_some(&self.value),
            headers: &self.headers,
        }))
    }

    /// Reads bytes with their length in front; false where there is no value.
    fn bytes(&mut self) -> io::Result<bool> {
        let length = self.number()?;
        if length == TOMBSTONE {
            return Ok(false);
        }
        self.value.resize(length as usize, 0);
        self.read.read_exact(&mut self.value)?;
        self.position += u64::from(length);
        Ok(true)
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut number = [0; 4];
        self.read.read_exact(&mut number)?;
        self.position += 4;
        Ok(u32::from_le_bytes(number))
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read.read(buffer)
    }
}

#[derive(Debug)]
struct At {
    spool: Spool,
    next: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.spool.file.read_at(buffer, self.next)?;
        self.next += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_has_all_records_as_they_were() {
        let values: [Option<&[u8]>; 5] = [Some(b"{}"), None, Some(b""), Some(b"a\nb\0"), None];
        let headers = |i: usize| match i % 2 {
            0 => Headers::new(),
            _ => Headers::from([("ce_specversion", "1.0"), ("ce_id", ""), ("content-type", "text/plain")]),
        };
        let record = |i: usize| Record { timestamp: -7 + 10 * i as i64, headers: headers(i), ..Record::default() };
        let mut writer = SpoolWriter::new().expect("a file");
        values.iter().enumerate().for_each(|(i, value)| writer.push(*value, &record(i)).expect("room"));
        let spool = writer.finish().expect("room");
        let (mut one, mut other) = (spool.reader(), spool.reader());
        for (i, value) in values.into_iter().enumerate() {
            let headers = headers(i);
            for reader in [&mut one, &mut other] {
                let of = record(i);
                let expected = Copied { time: of.timestamp, key: of.key.as_deref(), value, headers: &headers };
                assert_eq!(reader.next_record().expect("read"), Some(expected));
            }
        }
        assert_eq!(one.next_record().expect("read"), None);
        assert_eq!(one.position(), spool.size());
    }
}
