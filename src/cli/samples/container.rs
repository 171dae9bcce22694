//! What files come in: unpacks compressed files, and gives advice on files that only look like tables to
//! people.
//!
//! Invariant: the first bytes decide, not the name, so that standard input and a wrong ending work as well. The error
//! for a file that cannot be read says how to convert it.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
};

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;

use super::avro;

/// Bytes that are looked at to know the kind of a file.
const MAX_HEAD_BYTES: usize = 1 << 16;

/// Depth of compressed files within compressed files that are opened.
const MAX_DEPTH: usize = 3;

/// Beginning of a stream, to be looked at, and all of it, to be read.
pub(super) struct Opened {
    pub(super) head: Vec<u8>,
    /// True where there is no more than the head.
    pub(super) whole: bool,
    pub(super) read: Box<dyn BufRead>,
    /// True where it was compressed.
    pub(super) is_packed: bool,
}

/// Unpacks a compressed stream, or passes on a plain one.
///
/// # Errors
/// When it cannot be read, or is of a kind that is not supported.
pub(super) fn opened(read: impl Read + 'static, path: &Path) -> anyhow::Result<Opened> {
    let mut read: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, read));
    for depth in 0..MAX_DEPTH {
        let (head, whole, all) = looked_at(read).with_context(|| format!("{} cannot be read", path.display()))?;
        read = if head.starts_with(b"\x1f\x8b") {
            // There may be several members one behind the other, from `cat` or log rotation.
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(all)))
        } else if is_zstd(&head) {
            // The decoder reads frame after frame to the end.
            Box::new(BufReader::with_capacity(1 << 16, zstd::stream::read::Decoder::with_buffer(all)?))
        } else {
            if let Some(advice) = advice(&head, path) {
                bail!("{} is {advice}", path.display());
            }
            return Ok(Opened { head, whole, read: all, is_packed: depth > 0 });
        };
    }
    bail!("{} is compressed more than {MAX_DEPTH} times; unpack it first", path.display())
}

/// Returns the first bytes, `true` where they are all, and a reader from the beginning.
fn looked_at(mut read: Box<dyn BufRead>) -> io::Result<(Vec<u8>, bool, Box<dyn BufRead>)> {
    let mut head = Vec::new();
    read.by_ref().take(MAX_HEAD_BYTES as u64).read_to_end(&mut head)?;
    let whole = head.len() < MAX_HEAD_BYTES;
    let all: Box<dyn BufRead> = Box::new(Cursor::new(head.clone()).chain(read));
    Ok((head, whole, all))
}

/// Returns `true` for a frame, or a skippable one, which some writers put in front.
fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(b"\x28\xb5\x2f\xfd")
        || (head.len() > 3 && head[0] & 0xf0 == 0x50 && head[1..4] == *b"\x2a\x4d\x18")
}

/// Returns advice on a file that is neither CSV nor JSON, to follow "… is".
fn advice(head: &[u8], path: &Path) -> Option<String> {
    let file = if path.as_os_str() == "-" { "FILE".to_owned() } else { path.display().to_string() };
    let lines = "to_json('samples.jsonl', orient='records', lines=True)";
    let pandas = |read: &str| format!("python3 -c \"import pandas; pandas.{read}('{file}').{lines}\"");
    let unpacked = |what: &str, tool: &str| {
        format!("compressed by {what}; unpack it on the way: {tool} -dc {file} | thalweg replay -")
    };
    let converted = |what: &str, how: String| format!("{what}, neither CSV nor JSON; convert it: {how}");
    let is = |magic: &[u8]| head.starts_with(magic);
    let ends = |ending: &str| path.extension().is_some_and(|is| is.eq_ignore_ascii_case(ending));
    let text = |what: &str, encoding: &str| {
        format!("{what} text; make it UTF-8: iconv -f {encoding} -t UTF-8 {file} > samples.csv")
    };
    Some(match head {
        // Who reads them finds them out anew.
        _ if is(b"PAR1") || is(b"ARROW1") || is_arrow_stream(head) => {
            if cfg!(feature = "columnar") {
                return None;
            }
            let (what, read) = match head.first() {
                Some(b'P') => ("a Parquet file", pandas("read_parquet")),
                Some(b'A') => ("an Arrow file (Feather)", pandas("read_feather")),
                _ => (
                    "an Arrow stream",
                    format!("python3 -c \"import pyarrow; pyarrow.ipc.open_stream('{file}').read_pandas().{lines}\""),
                ),
            };
            format!(
                "{what}, which this build does not read; build one that does, with the feature columnar: cargo install --path . \
                 --features columnar. Or convert it: {read}"
            )
        }
        _ if is(b"FEA1") => converted("a Feather file of the first version", pandas("read_feather")),
        _ if is(b"ORC") => converted("an ORC file", pandas("read_orc")),
        _ if is(b"\x89HDF") => converted("an HDF5 file", pandas("read_hdf")),
        _ if is(b"SQLite format 3\0") => converted(
            "a SQLite database",
            format!("sqlite3 -csv -header {file} 'SELECT * FROM my_table' > samples.csv"),
        ),
        _ if is(b"\x93NUMPY") => converted(
            "a NumPy array; it has no names",
            format!("numpy.load('{file}'), then pandas.DataFrame(…).to_csv"),
        ),
        _ if is(b"PK\x03\x04") && (ends("xlsx") || ends("xlsm") || contains(head, b"xl/")) => {
            converted("an Excel workbook", format!("save it as CSV UTF-8, or: {}", pandas("read_excel")))
        }
        _ if is(b"PK\x03\x04") && (ends("ods") || contains(head, b"opendocument")) => {
            converted("a spreadsheet", format!("save it as CSV, or: {}", pandas("read_excel")))
        }
        _ if is(b"PK\x03\x04") => format!("a zip archive; read a file out of it: unzip -p {file} | thalweg replay -"),
        _ if is(b"\xd0\xcf\x11\xe0") => {
            converted("an old Excel workbook", format!("save it as CSV UTF-8, or: {}", pandas("read_excel")))
        }
        _ if is(b"BZh") => unpacked("bzip2", "bzip2"),
        _ if is(b"\xfd7zXZ\0") => unpacked("xz", "xz"),
        _ if is(b"\x04\x22\x4d\x18") => unpacked("lz4", "lz4"),
        _ if is(b"7z\xbc\xaf\x27\x1c") => {
            format!("a 7z archive; read a file out of it: 7z x -so {file} | thalweg replay -")
        }
        _ if is(b"%PDF") => converted("a PDF", "ask for the data behind it".to_owned()),
        _ if is(b"\x80\x04\x95") || is(b"\x80\x05\x95") => converted("a Python pickle", pandas("read_pickle")),
        _ if head.get(257..262).is_some_and(|at| at == b"ustar") => {
            format!("a tar archive; read a file out of it: tar -xOf {file} | thalweg replay -")
        }
        [first, ..] if ends("avro") && !is(avro::MAGIC) && !b"{[".contains(first) => {
            "no container file of Avro, which begins with `Obj`; records without one need their schema, as those of a topic have \
             (schema.format)"
                .to_owned()
        }
        _ if is(avro::MAGIC) => return None,
        _ if is(b"\xff\xfe\0\0") || is(b"\0\0\xfe\xff") => text("UTF-32", "UTF-32"),
        _ if is(b"\xff\xfe") || is(b"\xfe\xff") => text("UTF-16", "UTF-16"),
        // In UTF-16, every other byte of plain text is zero.
        [_, 0, _, 0, ..] => text("UTF-16", "UTF-16LE"),
        [0, _, 0, _, ..] => text("UTF-16", "UTF-16BE"),
        _ if head.iter().take(1024).any(|byte| *byte == 0) => {
            "binary, neither CSV nor JSON; what wrote it can likely write CSV".to_owned()
        }
        _ => return None,
    })
}

/// Returns true where a message of Arrow begins: a mark, its size, and the place of its root.
fn is_arrow_stream(head: &[u8]) -> bool {
    matches!(head, [0xff, 0xff, 0xff, 0xff, _, _, _, _, root, 0, 0, 0, ..] if (4..=64).contains(root) && root % 4 == 0)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
