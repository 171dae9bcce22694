//! Rows of a record that holds many (`schema.explode`), one after the other.

use std::vec::IntoIter;

use bytes::Bytes;

use crate::pipeline::decode::{Explode, Schema};

/// The rows of the record that was read last.
pub(super) struct Exploded {
    explode: Explode,
    rows: IntoIter<Bytes>,
    current: Option<Bytes>,
}

impl Exploded {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { explode: Explode::new(schema), rows: Vec::new().into_iter(), current: None }
    }

    /// Moves to the next row of the record; returns `false` where there is none left.
    pub(super) fn advance(&mut self) -> bool {
        self.current = self.rows.next();
        self.current.is_some()
    }

    /// Returns the row that was moved to last, where the record holds rows.
    pub(super) fn current(&self) -> Option<&[u8]> {
        self.current.as_deref()
    }

    /// Takes the next record, and returns its first row, or the record where it holds none.
    pub(super) fn first_of<'v>(&'v mut self, record: &'v [u8]) -> &'v [u8] {
        if self.explode.is_needed()
            && let Some(rows) = self.explode.rows(&Bytes::copy_from_slice(record))
        {
            self.rows = rows.into_iter();
            self.advance();
        }
        self.current().unwrap_or(record)
    }
}
