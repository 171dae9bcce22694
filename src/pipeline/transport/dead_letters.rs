//! The other side of the seam: a dead-letters topic for people, not for a worker.

use std::future::Future;

use super::Error;
use crate::dead_letters::{DeadLetter, Source};

/// What one look at a partition brought.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order of their offsets.
    pub letters: Vec<DeadLetter>,
    /// Records between them that Thalweg did not write.
    pub strangers: u64,
    /// Where to look next; `None` at the end that the partition had when the topic was opened.
    pub next: Option<i64>,
}

/// What became of a letter that was to be sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the samples topic now, and that is remembered.
    Sent,
    /// It had been sent before.
    Already,
    /// Another run is about to send it.
    Busy,
    /// The samples topic does not take a record of its size.
    TooLarge,
}

/// The dead letters of a topic. It can be read beside the daemon.
pub trait DeadLetters: Send {
    /// The topic's name.
    fn topic(&self) -> &str;

    /// Its partitions, ascending.
    fn partitions(&self) -> &[i32];

    /// Whether a sample can go back to where it was.
    fn takes_back(&self, source: &Source) -> bool;

    /// The letters of a partition from `offset` on, or from the first there is.
    fn read(&mut self, partition: i32, offset: i64) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Sends letters of one partition back to the samples topic, none of them for a second time, and remembers it. The
    /// fates are in no order.
    fn retry(&mut self, letters: Vec<DeadLetter>) -> impl Future<Output = Result<Vec<Fate>, Error>> + Send;
}
