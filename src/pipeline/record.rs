//! What a topic holds: records as they come in and go out, whatever the transport.

use std::collections::BTreeMap;

/// Header names and values of a record.
pub type Headers = BTreeMap<String, Vec<u8>>;

/// A record read from a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Position in its partition, from 0.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Opaque; copied from sample to prediction.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Mostly empty.
    pub headers: Headers,
}

/// A record to be appended to a partition; the transport gives it its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Offset of the record it was made from: what tells, after a failure, which of these have been published.
    pub source: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// See [`Record::key`].
    pub key: Option<Vec<u8>>,
    /// See [`Record::value`].
    pub value: Option<Vec<u8>>,
    /// See [`Record::headers`].
    pub headers: Headers,
}

impl Outgoing {
    /// Bytes it holds, about what it costs in memory and in a produce request.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers + 32
    }
}
