//! Records of a topic as they come in and go out, whatever the transport.
//!
//! An incoming record may share one buffer with all records fetched with it; an outgoing one owns its bytes, since it
//! may wait long, and must not keep such a buffer for a few of its bytes.

use bytes::Bytes;

/// Prefix of the names of Thalweg's own headers.
pub const PREFIX: &str = "thalweg.";

/// Header of a sample that was a dead letter: the letter's place, as `<partition>/<offset>`.
pub const RETRY: &str = "thalweg.retry";

/// Header of a label in a copy that holds samples and labels of two topics.
pub const LABEL: &str = "thalweg.label";

/// Header of a prediction where labels have a topic of their own: the offset there before which all had been learned.
pub const LABELS: &str = "thalweg.labels";

/// Header of a dead letter of one row of a record that held many: its place among them, from 0.
pub const ROW: &str = "thalweg.row";

/// Header of a dead letter, and of a sample that was sent back: the sample's time, in milliseconds since the Unix
/// epoch. The record's own time is that of its write.
pub const TIMESTAMP: &str = "thalweg.timestamp";

/// A record read from a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Position in its partition, from 0.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Opaque; copied from sample to prediction.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Mostly empty.
    pub headers: Headers,
    /// Place among the rows of a record that held many, from 0; `None` where the record is one.
    pub row: Option<u32>,
}

/// A record to be appended to a partition; the transport gives it its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Offset of the record it was made from; after a failure it tells which records have been published.
    pub source: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// See [`Record::key`].
    pub key: Option<Vec<u8>>,
    /// See [`Record::value`].
    pub value: Option<Vec<u8>>,
    /// See [`Record::headers`]; of no shared buffer ([`Headers::owned`]).
    pub headers: Headers,
}

impl Outgoing {
    /// Returns its bytes: approximately its cost in memory and in a produce request.
    #[inline]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers + 32
    }
}

/// Headers of a record, in their order. As in Kafka a name is any bytes, mostly text, and may be there more than once;
/// a value may be null, which is not the same as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Option<Bytes>)>);

impl Headers {
    /// Makes an empty list.
    #[inline]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes an empty list with capacity for `count` headers.
    #[inline]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Returns `true` where there is no header.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of headers.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    /// Returns the value of the last header of a name; `None` also where it is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().rfind(|(other, _)| other == name)?.1.as_deref()
    }

    /// Adds a header.
    pub fn push(&mut self, name: Bytes, value: Option<Bytes>) {
        self.0.push((name, value));
    }

    /// Replaces all headers of a name by one.
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.retain(|other| other != name.as_bytes());
        self.push(name.into(), Some(value.into()));
    }

    /// Makes the header that says how many labels a prediction knew of, if any.
    pub fn of_labels(labels: Option<i64>) -> Self {
        labels.map(|offset| (LABELS.into(), Some(offset.to_string().into()))).into_iter().collect()
    }

    /// Keeps the headers for whose name `keeps` returns `true`.
    pub fn retain(&mut self, mut keeps: impl FnMut(&[u8]) -> bool) {
        self.0.retain(|(name, _)| keeps(name));
    }

    /// Returns a copy that owns its bytes and keeps no shared buffer.
    pub fn owned(&self) -> Self {
        let owned =
            |(name, value): (&[u8], Option<&[u8]>)| (Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice));
        self.iter().map(owned).collect()
    }
}

impl FromIterator<(Bytes, Option<Bytes>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Bytes, Option<Bytes>)>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}

impl<N: Into<Bytes>, V: Into<Bytes>, const COUNT: usize> From<[(N, V); COUNT]> for Headers {
    fn from(headers: [(N, V); COUNT]) -> Self {
        headers.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&'static str]) -> Headers {
        (0..).zip(names).map(|(i, name)| ((*name).into(), Some(vec![i].into()))).collect()
    }

    #[test]
    fn a_name_that_is_there_twice_keeps_both_until_it_is_set() {
        let mut headers = named(&["a", "b", "a"]);
        assert_eq!((headers.len(), headers.get("a")), (3, Some(&[2][..])));
        headers.set("a", "new");
        assert_eq!((headers.len(), headers.get("a"), headers.get("b")), (2, Some(&b"new"[..]), Some(&[1][..])));
    }

    #[test]
    fn owned_headers_keep_nothing_of_a_fetched_buffer() {
        let fetched = Bytes::from(vec![b'x'; 1 << 20]);
        let headers: Headers = [(fetched.slice(..5), Some(fetched.slice(5..9)))].into_iter().collect();
        let owned = headers.owned();
        assert_eq!(owned, headers);
        drop(headers);
        assert!(fetched.is_unique());
    }

    #[test]
    fn null_is_no_value_and_not_empty() {
        let headers: Headers = [("null".into(), None), ("empty".into(), Some(Bytes::new()))].into_iter().collect();
        assert_eq!((headers.get("null"), headers.get("empty")), (None, Some(&b""[..])));
        assert_ne!(headers, Headers::from([("null", ""), ("empty", "")]));
        let sized = Outgoing { headers, ..Outgoing::default() };
        assert_eq!(sized.size(), Outgoing::default().size() + "null".len() + "empty".len());
    }
}
