//! What stands before a record's bytes and says by which schema they were written: the five bytes or the header of Confluent's
//! serializers, the headers of Apicurio's, and Avro's mark of single objects.
//!
//! Invariant: it only looks. Who wants another frame than there is says so.

use std::fmt;

use thalweg_topic::record::Headers;

use super::Rejection;

/// Header with the id of a value's schema, of Confluent's newer serializers.
const CONFLUENT: &str = "__value_schema_id";
/// Headers of Apicurio's serializers: the number of a schema, and that of one of the places where it is registered.
const CONTENT_ID: &str = "apicurio.value.contentId";
const GLOBAL_ID: &str = "apicurio.value.globalId";
/// What has Apicurio's serializers write what registries are asked with.
const APICURIO_ADVICE: &str = "set apicurio.registry.headers.enabled = false, apicurio.registry.as-confluent = true and \
                               apicurio.registry.use-id = contentId on the serializer";

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

/// What a record's headers say of its schema.
#[derive(Clone, Copy, Debug)]
pub enum SchemaHeader<'b> {
    /// The header of Confluent's serializers.
    Confluent(&'b [u8]),
    /// Apicurio's number of a schema.
    ContentId(&'b [u8]),
    /// Apicurio's number of a place where a schema is registered.
    GlobalId,
}

impl<'b> SchemaHeader<'b> {
    /// Looks for it among a record's headers.
    #[inline]
    pub fn of(headers: &'b Headers) -> Option<Self> {
        if headers.is_empty() { None } else { Self::among(headers) }
    }

    fn among(headers: &'b Headers) -> Option<Self> {
        let confluent = headers.get(CONFLUENT).map(Self::Confluent);
        let content_id = || headers.get(CONTENT_ID).map(Self::ContentId);
        confluent.or_else(content_id).or_else(|| headers.get(GLOBAL_ID).map(|_| Self::GlobalId))
    }

    /// Returns the message indexes of Protocol Buffers behind the id.
    pub fn indexes(self) -> &'b [u8] {
        match self {
            Self::Confluent([GUID, rest @ ..]) => rest.get(size_of::<u128>()..).unwrap_or_default(),
            Self::Confluent([_, rest @ ..]) => rest.get(size_of::<u32>()..).unwrap_or_default(),
            _ => &[],
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
    pub(super) fn of(value: &'b [u8], header: Option<SchemaHeader<'b>>) -> Result<Self, Rejection> {
        match (header, value) {
            // No registry numbers from 0.
            (None, [NUMBERED, 0, 0, 0, 0, ..]) => Err(not_framed(value)),
            (None, [NUMBERED, a, b, c, d, ..]) => {
                Ok(Self { id: SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), indexes: None, start: 5 })
            }
            (Some(header), _) => Self::of_header(header),
            _ => Err(not_framed(value)),
        }
    }

    /// Reads the header; what a registry numbers may be there by its number, too.
    fn of_header(header: SchemaHeader<'b>) -> Result<Self, Rejection> {
        let indexes = Some(header.indexes());
        let id = match header {
            SchemaHeader::Confluent([GUID, rest @ ..]) if let Some(guid) = rest.first_chunk() => {
                SchemaId::Guid(u128::from_be_bytes(*guid))
            }
            SchemaHeader::Confluent([NUMBERED, rest @ ..]) if let Some(number) = rest.first_chunk() => {
                SchemaId::Number(u32::from_be_bytes(*number))
            }
            SchemaHeader::ContentId([0, 0, 0, 0, rest @ ..]) if let Ok(number) = rest.try_into() => {
                SchemaId::Number(u32::from_be_bytes(number))
            }
            SchemaHeader::Confluent(bytes) => {
                return Err(Rejection::NotFramed { found: format!("a header {CONFLUENT} of {}", hex(bytes)) });
            }
            SchemaHeader::ContentId(bytes) => {
                return Err(Rejection::NotFramed { found: format!("a header {CONTENT_ID} of {}", hex(bytes)) });
            }
            SchemaHeader::GlobalId => {
                let found = format!("a header {GLOBAL_ID} ({APICURIO_ADVICE}; use-id alone will do with headers)");
                return Err(Rejection::NotFramed { found });
            }
        };
        Ok(Self { id, indexes, start: 0 })
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
        [NUMBERED, 0, 0, 0, 0, ..] => {
            format!(
                "{}, as Apicurio's serializers do, whose ids have eight bytes ({APICURIO_ADVICE})",
                hex(&value[..5])
            )
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
