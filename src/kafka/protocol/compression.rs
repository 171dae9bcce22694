//! The five ways in which a batch's records are packed, as Kafka's attributes number them.
//!
//! Invariant: unpacking is bounded, since a few bytes may claim to be any number, and every byte that it returns was written
//! by the decoder of this very call. Zstandard is therefore unpacked in one piece, straight into a buffer of our own: its
//! streaming decoder (up to 1.5.7) has been reported to hand out bytes that an earlier use left in its window.

use std::io::{self, Read};

use flate2::{Compression as Level, bufread::MultiGzDecoder, write::GzEncoder};
use lz4::liblz4::BlockMode;
use zstd::bulk::Decompressor;

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
        CompressionKind::Zstd => zstd(packed, max_bytes),
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

/// All the frames of a batch, among which may be ones that are to be skipped.
fn zstd(packed: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    // The buffer is as large as the frames say or, where one is of a stream and does not, 128 KiB for each block.
    let mut unpacked = zstd::bulk::decompress(packed, max_bytes).map_err(|error| {
        let bound = Decompressor::upper_bound(packed);
        if bound.is_some_and(|bound| bound > max_bytes) { too_large() } else { error }
    })?;
    // The records hold on to it.
    unpacked.shrink_to_fit();
    Ok(unpacked)
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
pub(super) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{super::header::Header, *};

    pub(in super::super) const KINDS: [CompressionKind; 5] = [
        CompressionKind::None,
        CompressionKind::Gzip,
        CompressionKind::Snappy,
        CompressionKind::Lz4,
        CompressionKind::Zstd,
    ];
    const PACKED: [CompressionKind; 4] =
        [CompressionKind::Gzip, CompressionKind::Snappy, CompressionKind::Lz4, CompressionKind::Zstd];

    fn packed(kind: CompressionKind, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(kind, bytes, &mut packed).expect("packed");
        packed
    }

    /// Packs the records of a batch, for want of another program that does: rskafka would use the same libraries.
    pub(in super::super) fn packed_batch(kind: CompressionKind, batch: &[u8]) -> Vec<u8> {
        let (header, records) = batch.split_at(Header::BYTES);
        batch_of(header, kind, &packed(kind, records))
    }

    /// Unpacks the records of a batch.
    pub(in super::super) fn unpacked_batch(batch: &[u8]) -> Vec<u8> {
        let (header, records) = batch.split_at(Header::BYTES);
        let kind = super::kind(Header::of(header).attributes).expect("a kind");
        batch_of(header, CompressionKind::None, &unpack(kind, records, 1 << 20).expect("unpacked"))
    }

    fn batch_of(header: &[u8], kind: CompressionKind, records: &[u8]) -> Vec<u8> {
        let mut batch = [header, records].concat();
        let length = (batch.len() - Header::PREFIX) as i32;
        batch[Header::LENGTH_AT..Header::PREFIX].copy_from_slice(&length.to_be_bytes());
        let attributes = Header::of(header).attributes & !0b111 | number(kind);
        batch[Header::CHECKED_FROM..][..2].copy_from_slice(&attributes.to_be_bytes());
        let checksum = crc32c::crc32c(&batch[Header::CHECKED_FROM..]);
        batch[Header::CHECKSUM_AT..Header::CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
        batch
    }

    #[test]
    fn what_was_packed_comes_back_and_its_number_too() {
        let text = b"a record and a record and another record".repeat(1000);
        for kind in KINDS {
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
    fn all_the_frames_of_zstd_are_unpacked_whether_they_name_their_size_or_not_and_others_are_skipped() {
        let text = b"a record and a record and another record".repeat(10_000);
        let unsized_frame = packed(CompressionKind::Zstd, &text);
        let sized_frame = zstd::bulk::compress(b"a tail", 3).expect("packed");
        let skipped = [&b"\x53\x2a\x4d\x18\x05\0\0\0"[..], b"skip!"].concat();
        assert_eq!(
            zstd::zstd_safe::get_frame_content_size(&unsized_frame).expect("a frame"),
            None,
            "a stream names no size"
        );
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&sized_frame).expect("a frame"), Some(6));
        let frames = [&skipped[..], &unsized_frame, &skipped, &sized_frame, &skipped].concat();
        let unpacked = unpack(CompressionKind::Zstd, &frames, 1 << 20).expect("unpacked");
        assert_eq!(unpacked, [&text[..], b"a tail"].concat());
        assert!(unpacked.capacity() < unpacked.len() + 4096, "{} bytes are held on to", unpacked.capacity());
        for end in [frames.len() - 1, frames.len() - skipped.len() - 1, skipped.len() + 20, 3] {
            assert!(unpack(CompressionKind::Zstd, &frames[..end], 1 << 20).is_err(), "up to {end}");
        }
        assert_eq!(unpack(CompressionKind::Zstd, &skipped, 1 << 20), Ok(Vec::new()));
    }

    #[test]
    fn a_format_of_before_zstandard_was_finished_is_not_read() {
        // The first of the seven: a frame without content.
        assert!(unpack(CompressionKind::Zstd, b"\xfd\x2f\xb5\x1e\xc0\0\0", 1 << 20).is_err());
    }

    #[test]
    fn what_damage_makes_of_a_batch_does_not_depend_on_what_memory_held_before() {
        let mut rng = ChaCha8Rng::seed_from_u64(20_261_129);
        let text: Vec<u8> =
            (0..40_000_u32).flat_map(|i| format!("record {} {} ", i % 977, i * i % 8191).into_bytes()).collect();
        let fills = [vec![b'\xaa'; text.len()], vec![b'\x55'; text.len()]];
        for kind in PACKED {
            let (good, fills) = (packed(kind, &text), fills.each_ref().map(|fill| packed(kind, fill)));
            let mut unpacked_all_the_same = 0;
            for _ in 0..400 {
                let mut bad = good.clone();
                for _ in 0..rng.random_range(1..3) {
                    let at = rng.random_range(0..bad.len());
                    bad[at] ^= 1 << rng.random_range(0..8);
                }
                let [one, other] = fills.each_ref().map(|fill| {
                    unpack(kind, fill, 1 << 22).expect("unpacked");
                    unpack(kind, &bad, 1 << 22)
                });
                assert!(one == other, "{kind:?}");
                unpacked_all_the_same += u32::from(one.is_ok());
            }
            assert!(unpacked_all_the_same > 0 || kind != CompressionKind::Zstd, "all damage is noticed");
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
