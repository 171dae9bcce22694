//! Reads a range of a topic on whichever transport is set, for the command line.

use std::{io, ops::Range};

use thalweg_embedded::EmbeddedTopics;
use thalweg_kafka::KafkaTopics;
use thalweg_settings::{Settings, Transport};
use thalweg_topic::{self as topic, Reader, Source};

/// The reason why a range of a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Failure of the transport.
    #[error(transparent)]
    Transport(#[from] topic::Error),
    /// There is no such partition.
    #[error("topic `{topic}` has no partition {partition}; it has {count}, from 0")]
    Partition {
        /// Topic.
        topic: String,
        /// Partition that was asked for.
        partition: i32,
        /// Number of partitions.
        count: i32,
    },
    /// The partition does not hold all of it.
    #[error("{topic}/{partition} holds offsets {} to {}, and {from}..{to} is not within", held.start, held.end)]
    Offsets {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// First offset asked for.
        from: i64,
        /// Offset after the last one asked for.
        to: i64,
        /// Offsets that the partition holds.
        held: Range<i64>,
    },
    /// Part of the range belongs to an open transaction.
    #[error(
        "{topic}/{partition}: what is from offset {from} on belongs to a transaction that is still open; leave the end out, or \
         try again when it has ended"
    )]
    Uncommitted {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// First offset of that part.
        from: i64,
    },
    /// Failure of the output.
    #[error("records cannot be kept meanwhile")]
    Output(#[from] io::Error),
}

/// The range to read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Topic.
    pub topic: String,
    /// Partition, or all where `None`.
    pub partition: Option<i32>,
    /// First offset; the oldest where `None`.
    pub from: Option<i64>,
    /// Offset after the last; the current end where `None`.
    pub to: Option<i64>,
}

/// The part of a range in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Partition.
    pub partition: i32,
    /// Offsets of the part.
    pub offsets: Range<i64>,
}

/// Passes the value of every record of `wanted` to `see`, partition by partition, oldest first, each partition
/// announced by `begin`. A daemon may run meanwhile.
///
/// # Errors
/// Fails if the range is not there, or with the error of `begin` or `see`.
pub async fn read(
    settings: &Settings,
    wanted: &Wanted,
    begin: impl FnMut(Part) -> io::Result<()>,
    see: impl FnMut(Option<&[u8]>) -> io::Result<()>,
) -> Result<(), Error> {
    match &settings.transport {
        Transport::Embedded(_) => show(EmbeddedTopics::open(&settings.state.path)?, wanted, begin, see).await,
        Transport::Kafka(config) => show(KafkaTopics::new(config.as_ref().clone())?, wanted, begin, see).await,
    }
}

async fn show(
    source: impl Source,
    wanted: &Wanted,
    mut begin: impl FnMut(Part) -> io::Result<()>,
    mut see: impl FnMut(Option<&[u8]>) -> io::Result<()>,
) -> Result<(), Error> {
    let Wanted { topic, partition, from, to } = wanted;
    let count = source.partitions(topic).await?;
    let partitions = match *partition {
        Some(partition) if !(0..count).contains(&partition) => {
            return Err(Error::Partition { topic: topic.clone(), partition, count });
        }
        Some(partition) => partition..partition + 1,
        None => 0..count,
    };
    for partition in partitions {
        let mut reader = source.reader(topic, partition).await?;
        let held = reader.range().await?;
        let (from, to) = (from.unwrap_or(held.start), to.unwrap_or(held.end));
        let not_held = |from, held| Error::Offsets { topic: topic.clone(), partition, from, to, held };
        if from < held.start || to > held.end || from > to {
            return Err(not_held(from, held));
        }
        begin(Part { partition, offsets: from..to })?;
        let mut next = from;
        while next < to {
            let fetched = match reader.fetch(next).await {
                // Records that were dropped meanwhile are an error, not skipped.
                Err(topic::Error::Gap { available, .. }) => return Err(not_held(next, available)),
                other => other?,
            };
            if fetched.next_offset <= next {
                // Records that are not committed do not exist yet.
                match wanted.to {
                    Some(_) => return Err(Error::Uncommitted { topic: topic.clone(), partition, from: next }),
                    None => break,
                }
            }
            for record in fetched.records.iter().filter(|record| record.offset < to) {
                see(record.value.as_deref())?;
            }
            next = fetched.next_offset;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_topic::{Fetched, Start, record::Record};

    /// A partition that holds offsets up to 10, of which the first `dropped` vanish after the first read, and those from
    /// `open` on are not committed.
    #[derive(Clone, Copy)]
    struct Shifting {
        first: i64,
        dropped: i64,
        open: i64,
    }

    impl Source for Shifting {
        type Reader = Self;

        async fn partitions(&self, _: &str) -> Result<i32, topic::Error> {
            Ok(1)
        }

        async fn reader(&self, _: &str, _: i32) -> Result<Self, topic::Error> {
            Ok(*self)
        }
    }

    impl Reader for Shifting {
        async fn resolve(&mut self, _: Start) -> Result<i64, topic::Error> {
            Ok(self.first)
        }

        async fn range(&mut self) -> Result<Range<i64>, topic::Error> {
            Ok(self.first..10)
        }

        async fn fetch(&mut self, requested: i64) -> Result<Fetched, topic::Error> {
            if requested < self.first {
                let (topic, available) = ("samples".to_owned(), self.first..10);
                return Err(topic::Error::Gap { topic, partition: 0, requested, available, missing: 0 });
            }
            let end = self.open.min(requested + 3);
            let record = |offset| Record { offset, value: Some(vec![b'0' + offset as u8].into()), ..Record::default() };
            self.first = self.dropped;
            Ok(Fetched {
                records: (requested..end).map(record).collect(),
                next_offset: end,
                high_watermark: 10,
                end: 10,
            })
        }
    }

    async fn read(dropped: i64, open: i64, to: Option<i64>) -> (String, Result<(), Error>) {
        let wanted = Wanted { topic: "samples".to_owned(), partition: None, from: None, to };
        let mut seen = String::new();
        let see = |value: Option<&[u8]>| {
            seen.push_str(&String::from_utf8_lossy(value.unwrap_or_default()));
            Ok(())
        };
        let end = show(Shifting { first: 0, dropped, open }, &wanted, |_| Ok(()), see).await;
        (seen, end)
    }

    #[tokio::test]
    async fn records_that_are_dropped_while_they_are_read_are_missed() {
        assert!(matches!(read(0, 10, None).await, (seen, Ok(())) if seen == "0123456789"));
        for to in [None, Some(10)] {
            let (_, end) = read(7, 10, to).await;
            assert!(matches!(end, Err(Error::Offsets { from: 3, to: 10, held: Range { start: 7, end: 10 }, .. })));
        }
    }

    #[tokio::test]
    async fn what_is_not_committed_ends_an_open_range_and_fails_one_that_asks_for_it() {
        assert!(matches!(read(0, 5, None).await, (seen, Ok(())) if seen == "01234"));
        assert!(matches!(read(0, 5, Some(5)).await, (seen, Ok(())) if seen == "01234"));
        assert!(matches!(read(0, 5, Some(6)).await, (_, Err(Error::Uncommitted { from: 5, .. }))));
    }
}
