//! What stands before a record's bytes and says by which schema they were written: the five bytes or the header of Confluent's
//! serializers, and Avro's mark of single objects.
//!
//! Invariant: it only looks. Who wants another frame than there is says so.

use std::fmt;

use super::Rejection;

/// Header with the id of a value's schema, of Confluent's newer serializers.
pub const SCHEMA_ID_HEADER: &str = "__value_schema_id";

/// First byte of a frame with a number.
const NUMBERED: u8 = 0;
/// First byte of a header with a GUID.
const GUID: u8 = 1;
/// First bytes of a single object of Avro; the fingerprint of its schema follows.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

/// Id of a schema at a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    /// A number.
    Number(u32),
    /// A GUID.
    Guid(u128),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaId::Number(number) => number.fmt(f),
            SchemaId::Guid(guid) => {
                let digits = format!("{guid:032x}");
                let (first, rest) = digits.split_at(8);
                write!(f, "{first}-{}-{}-{}-{}", &rest[..4], &rest[4..8], &rest[8..12], &rest[12..])
            }
        }
    }
}

/// A record's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    pub(super) id: SchemaId,
    /// Message indexes of Protocol Buffers where the frame is a header; they begin the record otherwise.
    pub(super) indexes: Option<&'b [u8]>,
    /// Place in the record at which its own bytes begin.
    pub(super) start: usize,
}

impl<'b> Frame<'b> {
    /// Reads the frame of a record.
    ///
    /// # Errors
    /// [`Rejection::NotFramed`].
    #[inline]
    pub(super) fn of(value: &'b [u8], header: Option<&'b [u8]>) -> Result<Self, Rejection> {
        match (header, value) {
            (None, [NUMBERED, a, b, c, d, ..]) => {
                Ok(Self { id: SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), indexes: None, start: 5 })
            }
            (Some(header), _) => Self::of_header(header),
            _ => Err(not_framed(value)),
        }
    }

    /// Reads the header; what a registry numbers may be there by its number, too.
    fn of_header(header: &'b [u8]) -> Result<Self, Rejection> {
        match header {
            [GUID, rest @ ..] if let Some((guid, indexes)) = rest.split_first_chunk() => {
                Ok(Self { id: SchemaId::Guid(u128::from_be_bytes(*guid)), indexes: Some(indexes), start: 0 })
            }
            [NUMBERED, rest @ ..] if let Some((number, indexes)) = rest.split_first_chunk() => {
                Ok(Self { id: SchemaId::Number(u32::from_be_bytes(*number)), indexes: Some(indexes), start: 0 })
            }
            _ => Err(Rejection::NotFramed { found: format!("a header {SCHEMA_ID_HEADER} of {}", hex(header)) }),
        }
    }
}

/// Returns the fingerprint in the mark of a single object; `None` where there is no such mark.
pub(super) fn fingerprint(value: &[u8]) -> Option<u64> {
    value.strip_prefix(&SINGLE_OBJECT)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Bytes of the mark of a single object.
pub(super) const MARK_BYTES: usize = SINGLE_OBJECT.len() + size_of::<u64>();

#[cold]
fn not_framed(value: &[u8]) -> Rejection {
    let found = match value {
        [b'{', ..] => "{, as JSON does (schema.format = \"json\" reads that)".to_owned(),
        _ if fingerprint(value).is_some() => {
            "the mark of a single object of Avro (schema.file, without [schema.registry], reads that)".to_owned()
        }
        [NUMBERED, ..] => format!("{}, which is too short for one", hex(value)),
        _ => hex(&value[..value.len().min(5)]),
    };
    Rejection::NotFramed { found }
}

/// Returns the first bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", digits.join(" "))
}
