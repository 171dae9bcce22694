//! The five ways in which a batch's records are packed, as Kafka's attributes number them.
//!
//! Unpacking is bounded: a few bytes may claim to be any number, and must not fill the memory.

use std::io::{self, Read};

use flate2::{Compression as Level, bufread::MultiGzDecoder, write::GzEncoder};
use lz4::liblz4::BlockMode;

/// A way to compress a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionKind {
    /// Not at all.
    #[default]
    None,
    /// gzip
    Gzip,
    /// LZ4
    Lz4,
    /// Snappy
    Snappy,
    /// Zstandard
    Zstd,
}

/// `snappy-java` writes this in front of its chunks: a name, its version, and the oldest version that can read it.
const XERIAL: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// No byte of snappy stands for more than this many.
const MAX_SNAPPY_RATIO: usize = 32;

/// The kind that the attributes of a batch name; `None` is one that Kafka did not have when this was written.
pub(crate) fn kind(attributes: i16) -> Option<CompressionKind> {
    Some(match attributes & 0b111 {
        0 => CompressionKind::None,
        1 => CompressionKind::Gzip,
        2 => CompressionKind::Snappy,
        3 => CompressionKind::Lz4,
        4 => CompressionKind::Zstd,
        _ => return None,
    })
}

/// The number of a kind in the attributes of a batch.
pub(crate) fn number(kind: CompressionKind) -> i16 {
    match kind {
        CompressionKind::None => 0,
        CompressionKind::Gzip => 1,
        CompressionKind::Snappy => 2,
        CompressionKind::Lz4 => 3,
        CompressionKind::Zstd => 4,
    }
}

/// Unpacks `packed` into at most `max_bytes` bytes.
///
/// # Errors
/// What is wrong with it, as the end of a sentence: it is damaged, cut off, or takes more max_bytes.
pub(crate) fn unpack(kind: CompressionKind, packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, String> {
    let unpacked = match kind {
        CompressionKind::None => bounded(packed, max_bytes),
        CompressionKind::Gzip => bounded(MultiGzDecoder::new(packed), max_bytes),
        CompressionKind::Snappy => snappy(packed, max_bytes),
        CompressionKind::Lz4 => lz4::Decoder::new(packed).and_then(|mut decoder| {
            let unpacked = bounded(&mut decoder, max_bytes)?;
            decoder.finish().1.map_err(|_| io::Error::other("it is cut off"))?;
            Ok(unpacked)
        }),
        CompressionKind::Zstd => zstd::Decoder::with_buffer(packed).and_then(|decoder| bounded(decoder, max_bytes)),
    };
    unpacked.map_err(|error| error.to_string())
}

fn bounded(from: impl Read, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    from.take(max_bytes as u64 + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() > max_bytes { Err(too_large()) } else { Ok(unpacked) }
}

fn too_large() -> io::Error {
    io::Error::other("it holds too much")
}

/// Plain, or in the chunks of `snappy-java`.
fn snappy(packed: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let Some(mut rest) = packed.strip_prefix(XERIAL) else {
        snappy_chunk(packed, max_bytes, &mut unpacked)?;
        return Ok(unpacked);
    };
    while !rest.is_empty() {
        let cut_off = || io::Error::other("it is cut off");
        let (length, after) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let (chunk, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
        snappy_chunk(chunk, max_bytes, &mut unpacked)?;
        rest = after;
    }
    Ok(unpacked)
}

fn snappy_chunk(chunk: &[u8], max_bytes: usize, unpacked: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(chunk)?;
    if length > chunk.len().saturating_mul(MAX_SNAPPY_RATIO) {
        return Err(io::Error::other("it claims to hold more than it can"));
    }
    let start = unpacked.len();
    let end = start.checked_add(length).filter(|end| *end <= max_bytes).ok_or_else(too_large)?;
    unpacked.resize(end, 0);
    snap::raw::Decoder::new().decompress(chunk, &mut unpacked[start..])?;
    Ok(())
}

/// Packs `records` onto the end of `out`.
///
/// # Errors
/// Where a compressor refuses, which none does for want of anything but memory.
pub(crate) fn pack(kind: CompressionKind, records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match kind {
        CompressionKind::None => out.extend_from_slice(records),
        CompressionKind::Gzip => {
            let mut encoder = GzEncoder::new(out, Level::default());
            io::Write::write_all(&mut encoder, records)?;
            encoder.finish()?;
        }
        CompressionKind::Snappy => out.extend_from_slice(&snap::raw::Encoder::new().compress_vec(records)?),
        CompressionKind::Lz4 => {
            // The only mode that Kafka reads.
            let mut encoder = lz4::EncoderBuilder::new().block_mode(BlockMode::Independent).build(out)?;
            io::Write::write_all(&mut encoder, records)?;
            encoder.finish().1?;
        }
        CompressionKind::Zstd => {
            let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            io::Write::write_all(&mut encoder, records)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKED: [CompressionKind; 4] =
        [CompressionKind::Gzip, CompressionKind::Snappy, CompressionKind::Lz4, CompressionKind::Zstd];

    fn packed(kind: CompressionKind, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(kind, bytes, &mut packed).expect("packed");
        packed
    }

    #[test]
    fn what_was_packed_comes_back_and_its_number_too() {
        let text = b"a record and a record and another record".repeat(1000);
        for kind in PACKED.into_iter().chain([CompressionKind::None]) {
            assert_eq!(super::kind(number(kind)), Some(kind));
            assert_eq!(unpack(kind, &packed(kind, &text), text.len()).as_ref(), Ok(&text), "{kind:?}");
        }
        assert_eq!((5..8).map(super::kind).collect::<Vec<_>>(), [None; 3]);
    }

    #[test]
    fn no_more_is_unpacked_than_there_is_room() {
        let zeros = vec![0; 64 << 20];
        for kind in PACKED {
            let bomb = packed(kind, &zeros);
            assert_eq!(unpack(kind, &bomb, zeros.len() - 1), Err("it holds too much".to_owned()), "{kind:?}");
        }
    }

    #[test]
    fn snappy_that_claims_more_than_it_can_hold_takes_no_memory() {
        // A varint of 2^32 - 1, and a literal.
        let lie = b"\xff\xff\xff\xff\x0f\x00a";
        assert_eq!(
            unpack(CompressionKind::Snappy, lie, usize::MAX),
            Err("it claims to hold more than it can".to_owned())
        );
    }

    #[test]
    fn what_is_cut_off_anywhere_is_an_error() {
        let text = b"a record and a record and another record".repeat(50);
        for kind in PACKED {
            let whole = packed(kind, &text);
            for end in 0..whole.len() {
                assert_ne!(unpack(kind, &whole[..end], 1 << 20).as_ref(), Ok(&text), "{kind:?} up to {end}");
            }
        }
    }

    #[test]
    fn the_chunks_of_snappy_java_are_one_whole() {
        let chunk = |text: &[u8]| {
            let chunk = packed(CompressionKind::Snappy, text);
            [&(chunk.len() as u32).to_be_bytes()[..], &chunk].concat()
        };
        let framed = [XERIAL, &chunk(b"one "), &chunk(b"two")].concat();
        assert_eq!(unpack(CompressionKind::Snappy, &framed, 100).as_deref(), Ok(&b"one two"[..]));
        assert_eq!(unpack(CompressionKind::Snappy, &framed, 6), Err("it holds too much".to_owned()));
        for end in XERIAL.len() + 1..framed.len() {
            let cut = unpack(CompressionKind::Snappy, &framed[..end], 100);
            assert!(cut.as_deref() != Ok(b"one two"), "up to {end}");
        }
    }
}
