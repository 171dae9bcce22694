//! Records as JSON, with bytes as they are: the form of `dead-letters show --json` and of the API.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Serialize, Serializer};

use thalweg_topic::record::{Headers, Record};

/// Bytes in JSON, under the name of their encoding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bytes<'a> {
    /// They are UTF-8.
    Text(&'a str),
    /// They are not.
    Base64(String),
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text),
            Err(_) => Bytes::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }
}

/// Writes headers as an object in their order; a name that comes twice is written twice.
///
/// # Errors
/// Those of the serializer.
pub fn headers<S: Serializer>(headers: &&Headers, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| (String::from_utf8_lossy(name), value.map(Bytes::from))))
}

/// A record of a topic.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Bytes<'a>>,
    value: Option<Bytes<'a>>,
    #[serde(serialize_with = "headers")]
    headers: &'a Headers,
}

impl<'a> Line<'a> {
    /// Shows `value` as that of the record.
    pub(crate) fn new(partition: i32, record: &'a Record, value: Option<&'a [u8]>) -> Self {
        Self {
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref().map(Bytes::from),
            value: value.map(Bytes::from),
            headers: &record.headers,
        }
    }
}
