//! A topic as a reader beside the daemon sees it: any records that are there, without consuming them.

use std::{future::Future, ops::Range};

use crate::{Error, Fetched};

/// What a topic holds.
pub trait History {
    /// Partitions it has.
    fn partitions(&self) -> i32;

    /// First offset of a partition, and the one after its last record.
    fn range(&mut self, partition: i32) -> impl Future<Output = Result<Range<i64>, Error>>;

    /// Records of a partition from `offset` on, and up to where the topic was looked at; no further than `offset` where it
    /// does not hold that any more.
    fn read(&mut self, partition: i32, offset: i64) -> impl Future<Output = Result<Fetched, Error>>;
}
