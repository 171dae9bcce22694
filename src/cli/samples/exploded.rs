//! Rows of a record that holds many (`schema.explode`), one after the other, each with the record's headers.

use std::vec::IntoIter;

use bytes::Bytes;

use crate::{
    pipeline::decode::{Explode, Learned, Schema},
    topic::record::Headers,
};

/// Headers of what is in a file.
pub(super) static NO_HEADERS: Headers = Headers::new();

/// The rows of the record that was read last.
pub(super) struct Exploded {
    explode: Explode,
    rows: IntoIter<Bytes>,
    current: Option<Bytes>,
    headers: Headers,
}

impl Exploded {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { explode: Explode::new(schema), rows: Vec::new().into_iter(), current: None, headers: Headers::new() }
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
    pub(super) fn current(&self) -> (Option<&[u8]>, &Headers) {
        (self.current.as_deref(), &self.headers)
    }

    /// Takes the next record, and returns its first row, or the record where it holds none.
    pub(super) fn first_of<'v>(&'v mut self, record: &'v [u8], headers: &'v Headers) -> (&'v [u8], &'v Headers) {
        if self.explode.is_needed()
            && let Some(rows) = self.explode.rows(&Bytes::copy_from_slice(record), headers.into())
        {
            (self.rows, self.headers) = (rows.into_iter(), headers.clone());
            self.advance();
        }
        (self.current.as_deref().unwrap_or(record), headers)
    }
}
