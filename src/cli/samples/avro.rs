//! Container files of Apache Avro: blocks of records, behind the schema by which they were written.
//!
//! Invariant: of a file no more is held than a block as it is packed, and a record of it with what was unpacked beside it (where
//! snappy packed the block, all of that). A record that is refused costs only itself; where one ends is known, or the block is
//! damaged and nothing behind is made up.

use std::io::{self, BufRead, Cursor, Read};

use anyhow::{Context, bail};
use flate2::read::DeflateDecoder;

use super::{Position, Unusable};
use crate::{
    logging::figures::grouped,
    pipeline::decode::{Definition, Format, MAX_DEFINITION_BYTES, Origin, Rejection, Sink, TypedRow, Writer},
};

/// First bytes of a file.
pub(super) const MAGIC: &[u8] = b"Obj\x01";

/// Bytes of the mark between blocks.
const MARK_BYTES: usize = 16;
/// Most bytes of the header, beside the schema.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Bytes that are unpacked at once, at least.
const CHUNK_BYTES: usize = 64 << 10;
/// Most bytes of a record that is looked at to find its end, and of a block that snappy has packed.
const MAX_HELD_BYTES: usize = 1 << 30;
/// Most bytes that one of snappy stands for.
const MAX_SNAPPY_RATIO: usize = 32;

/// Reader of the rows of a container file.
pub(super) struct AvroFile {
    read: Tracked,
    writer: Writer,
    codec: Codec,
    mark: [u8; MARK_BYTES],
    block: Block,
    /// Blocks that were begun.
    blocks: u64,
    /// Rows that were read.
    rows: u64,
}

/// Way in which blocks are packed.
#[derive(Clone, Copy, Debug)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// The block that is being read.
struct Block {
    /// Byte of the file at which it begins.
    begin: u64,
    /// What comes next of it.
    unpack: Box<dyn Read>,
    /// What was unpacked: the row that was read last is from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_whole: bool,
    /// Rows that are left.
    left: u64,
}

/// Outcome of one read.
pub(super) enum Next {
    Row,
    Unusable(Unusable),
    End,
}

impl AvroFile {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is damaged, or its schema or the way of packing cannot be read.
    pub(super) fn open(read: Box<dyn BufRead>) -> anyhow::Result<Self> {
        let mut read = Tracked { read, at: 0 };
        let Header { schema, codec, mark } = header(&mut read).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => anyhow::anyhow!("its header is cut off at byte {}", read.at),
            _ => anyhow::anyhow!("its header is damaged before byte {}: {error}", read.at),
        })?;
        let Some(schema) = schema else { bail!("its header names no schema (avro.schema)") };
        let codec = match codec.as_deref() {
            None | Some(b"null") => Codec::Null,
            Some(b"deflate") => Codec::Deflate,
            Some(b"snappy") => Codec::Snappy,
            Some(b"zstandard") => Codec::Zstandard,
            Some(other) => bail!(
                "its blocks are packed by {}, and null, deflate, snappy and zstandard are read; pack them anew: java -jar \
                 avro-tools.jar recodec --codec deflate FILE samples.avro",
                String::from_utf8_lossy(other).escape_debug()
            ),
        };
        let definition = Definition { body: schema, ..Definition::default() };
        let writer = Writer::new(&Format::Avro(Origin::File(definition.clone())), &definition);
        let writer = writer.map_err(|problem| anyhow::anyhow!("its schema cannot be read: {problem}"))?;
        let begin = read.at;
        let none = Block {
            begin,
            unpack: Box::new(io::empty()),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            is_whole: true,
            left: 0,
        };
        Ok(Self { read, writer, codec, mark, block: none, blocks: 0, rows: 0 })
    }

    /// Returns the place of the row that was read last.
    pub(super) fn position(&self) -> Position {
        Position::Row(self.rows)
    }

    /// Returns the bytes of the row that was read last.
    fn bytes(&self) -> &[u8] {
        self.block.buffer.get(self.block.start..self.block.end).unwrap_or_default()
    }

    /// Reads the next row.
    ///
    /// # Errors
    /// When the file is cut off or damaged: where, and how many rows were read before.
    pub(super) fn next(&mut self, limit: usize) -> anyhow::Result<Next> {
        while self.block.left == 0 {
            self.block.start = self.block.end;
            let behind = self.block.behind().map_err(|error| self.damaged(&error))?;
            if behind {
                return Err(self.damaged(&io::Error::other("there is more in it than its records")));
            }
            if !self.begin_block()? {
                return Ok(Next::End);
            }
        }
        let Self { block, writer, .. } = self;
        block.left -= 1;
        block.start = block.end;
        let size = match block.find_end(writer) {
            Ok(size) => size,
            Err(error) => return Err(self.damaged(&error)),
        };
        self.rows += 1;
        if size > limit {
            let place = self.position().into();
            return Ok(Next::Unusable(Unusable::of(&Rejection::TooLarge { size, limit }, place)));
        }
        Ok(Next::Row)
    }

    /// Returns the error for a block that cannot be read on.
    fn damaged(&self, error: &io::Error) -> anyhow::Error {
        let begin = grouped(self.block.begin as f64);
        let read = format!("{} records were read before", grouped(self.rows as f64));
        match error.kind() {
            io::ErrorKind::UnexpectedEof => anyhow::anyhow!(
                "it is cut off in block {}, which begins at byte {begin}; {read}. Copy it anew, or keep what is whole: java -jar \
                 avro-tools.jar repair -o prior FILE samples.avro",
                self.blocks
            ),
            _ => anyhow::anyhow!(
                "block {}, which begins at byte {begin}, is damaged: {error}; {read}. Copy it anew, or keep what is sound: java \
                 -jar avro-tools.jar repair -o all FILE samples.avro",
                self.blocks
            ),
        }
    }

    /// Begins the next block; `false` at the end of the file.
    fn begin_block(&mut self) -> anyhow::Result<bool> {
        let at_end = self.read.read.fill_buf().context("it cannot be read on")?.is_empty();
        if at_end {
            return Ok(false);
        }
        self.blocks += 1;
        self.block.begin = self.read.at;
        let (left, packed) = match self.packed() {
            Ok(block) => block,
            Err(error) => return Err(self.damaged(&error)),
        };
        let unpack = match unpacking(self.codec, packed) {
            Ok(unpack) => unpack,
            Err(error) => return Err(self.damaged(&error)),
        };
        let block = &mut self.block;
        (block.left, block.unpack, block.is_whole) = (left, unpack, false);
        block.buffer.clear();
        (block.start, block.end) = (0, 0);
        Ok(true)
    }

    /// Reads a block as it is packed, and the number of its rows.
    fn packed(&mut self) -> io::Result<(u64, Vec<u8>)> {
        let count = u64::try_from(long(&mut self.read)?);
        let size = u64::try_from(long(&mut self.read)?);
        let (Ok(count), Ok(size)) = (count, size) else {
            return Err(io::Error::other("it says that it has fewer records or bytes than none"));
        };
        let mut packed = Vec::new();
        if (&mut self.read).take(size).read_to_end(&mut packed)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut mark = [0; MARK_BYTES];
        self.read.read_exact(&mut mark)?;
        if mark != self.mark {
            return Err(io::Error::other("the mark at its end is not the file's"));
        }
        Ok((count, packed))
    }
}

impl TypedRow for AvroFile {
    fn read(&self, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        self.writer.row(self.bytes()).read(sink)
    }
}

impl Block {
    /// Unpacks until the row from `start` has an end, and returns its size.
    fn find_end(&mut self, writer: &Writer) -> io::Result<usize> {
        loop {
            if let Some(end) = writer.end_of(&self.buffer, self.start) {
                self.end = end;
                return Ok(end - self.start);
            }
            if self.is_whole {
                return Err(io::Error::other("a record in it ends too early, or is none of its schema"));
            }
            if self.buffer.len() - self.start > MAX_HELD_BYTES {
                return Err(io::Error::other(format!("a record in it has over {MAX_HELD_BYTES} bytes")));
            }
            self.unpack_more()?;
        }
    }

    /// Returns true where there is something behind the last row.
    fn behind(&mut self) -> io::Result<bool> {
        if !self.is_whole && self.end == self.buffer.len() {
            self.unpack_more()?;
        }
        Ok(self.end < self.buffer.len())
    }

    /// Unpacks as much again as there is, at least a chunk; what was read is given up.
    fn unpack_more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        let before = self.buffer.len();
        let more = before.max(CHUNK_BYTES);
        let read = (&mut self.unpack).take(more as u64).read_to_end(&mut self.buffer);
        // In the middle of a file this is damage, too.
        let read = read.map_err(|error| io::Error::other(format!("it cannot be unpacked ({error})")))?;
        self.is_whole = read < more;
        Ok(())
    }
}

/// What stands before the first block.
struct Header {
    schema: Option<Vec<u8>>,
    codec: Option<Vec<u8>>,
    mark: [u8; MARK_BYTES],
}

fn header(read: &mut Tracked) -> io::Result<Header> {
    let mut magic = [0; MAGIC.len()];
    read.read_exact(&mut magic)?;
    let (mut schema, mut codec) = (None, None);
    loop {
        let mut count = long(read)?;
        if count == 0 {
            break;
        }
        if count < 0 {
            long(read)?;
            count = count.checked_neg().ok_or_else(|| io::Error::other("it claims to have more than there can be"))?;
        }
        for _ in 0..count {
            let key = bytes(read)?;
            let value = bytes(read)?;
            match &key[..] {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = Some(value),
                _ => {}
            }
        }
    }
    let mut mark = [0; MARK_BYTES];
    read.read_exact(&mut mark)?;
    Ok(Header { schema, codec, mark })
}

fn bytes(read: &mut Tracked) -> io::Result<Vec<u8>> {
    let size = u64::try_from(long(read)?).unwrap_or(u64::MAX);
    let left = (MAX_HEADER_BYTES + MAX_DEFINITION_BYTES as u64).saturating_sub(read.at);
    if size > left {
        return Err(io::Error::other(format!("a part of it claims to have {size} bytes")));
    }
    let mut bytes = Vec::new();
    let count = read.take(size).read_to_end(&mut bytes)?;
    if (count as u64) < size { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// Reads a whole number: zigzag, seven bits a byte.
fn long(read: &mut Tracked) -> io::Result<i64> {
    let mut raw = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        read.read_exact(&mut byte)?;
        raw |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    Err(io::Error::other("a number in it is none"))
}

/// Returns what a packed block holds.
fn unpacking(codec: Codec, packed: Vec<u8>) -> io::Result<Box<dyn Read>> {
    let packed = match codec {
        Codec::Null => packed,
        Codec::Deflate => return Ok(Box::new(DeflateDecoder::new(Cursor::new(packed)))),
        Codec::Zstandard => return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(Cursor::new(packed))?)),
        Codec::Snappy => snappy(&packed)?,
    };
    Ok(Box::new(Cursor::new(packed)))
}

/// Unpacks snappy's raw format, behind which the sum of what was packed stands.
fn snappy(packed: &[u8]) -> io::Result<Vec<u8>> {
    let Some((packed, sum)) = packed.split_last_chunk() else {
        return Err(io::Error::other("it is too short for its sum"));
    };
    let size = snap::raw::decompress_len(packed)?;
    if size > packed.len().saturating_mul(MAX_SNAPPY_RATIO).min(MAX_HELD_BYTES) {
        return Err(io::Error::other(format!("it claims to hold {size} bytes")));
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(packed)?;
    if crc32fast::hash(&unpacked) != u32::from_be_bytes(*sum) {
        return Err(io::Error::other("its sum is not that of what it holds"));
    }
    Ok(unpacked)
}

/// Knows how much was read.
struct Tracked {
    read: Box<dyn BufRead>,
    at: u64,
}

impl Read for Tracked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}
