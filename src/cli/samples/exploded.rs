//! Rows of a record that holds many (`schema.explode`), one after the other, each with the record's headers.

use std::vec::IntoIter;

use bytes::Bytes;

use super::Copied;
use crate::{
    pipeline::decode::{Explode, Learned, Schema},
    topic::record::Headers,
};

/// Headers of what is in a file.
static NO_HEADERS: Headers = Headers::new();

impl<'r> Copied<'r> {
    /// What a file holds has no time of its own.
    pub(super) fn of_file(value: &'r [u8]) -> Self {
        Self { time: 0, key: None, value: Some(value), headers: &NO_HEADERS }
    }
}

/// The rows of the record that was read last.
pub(super) struct Exploded {
    explode: Explode,
    rows: IntoIter<Bytes>,
    current: Option<Bytes>,
    headers: Headers,
    /// Time of the record, in milliseconds since 1970.
    time: i64,
    /// Key of the record.
    key: Option<Vec<u8>>,
}

impl Exploded {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            explode: Explode::new(schema),
            rows: Vec::new().into_iter(),
            current: None,
            headers: Headers::new(),
            time: 0,
            key: None,
        }
    }

    /// Learns what a schema's id means.
    pub(super) fn learn(&mut self, learned: &Learned) {
        self.explode.learn(learned);
    }

    /// Moves to the next row of the record; returns `false` where there is none left.
    pub(super) fn advance(&mut self) -> bool {
        self.current = self.rows.next();
        self.current.is_some()
    }

    /// Returns the row that was moved to last, where the record holds rows.
    pub(super) fn current(&self) -> Copied<'_> {
        let Self { time, key, current, headers, .. } = self;
        Copied { time: *time, key: key.as_deref(), value: current.as_deref(), headers }
    }

    /// Takes the next record, and returns its first row, or the record where it holds none.
    pub(super) fn first_of<'v>(&'v mut self, record: Copied<'v>) -> Copied<'v> {
        let Copied { time, key, value, headers } = record;
        if let Some(value) = value.filter(|_| self.explode.is_needed())
            && let Some(rows) = self.explode.rows(&Bytes::copy_from_slice(value), headers.into())
        {
            (self.rows, self.headers, self.time) = (rows.into_iter(), headers.clone(), time);
            self.key = key.map(<[u8]>::to_vec);
            self.advance();
        }
        Copied { value: self.current.as_deref().or(value), ..record }
    }
}
