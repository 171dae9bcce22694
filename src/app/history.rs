//! Reads a range of a topic on whichever transport is set, for the command line.

use std::{collections::VecDeque, io, ops::Range};

use futures_util::{FutureExt, future::LocalBoxFuture};
use thalweg_embedded::EmbeddedTopics;
use thalweg_kafka::KafkaTopics;
use thalweg_pipeline::decode::Learned;
use thalweg_settings::{Settings, Transport};
use thalweg_topic::{
    self as topic, Reader, Source, Start,
    record::{LABEL, Record},
};

use super::asking::Asking;

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
    /// The schema of a record cannot be had.
    #[error("the schema registry does not give a record's schema: {0}")]
    Registry(String),
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

/// Takes the value of a record, and the record with its headers and its time.
pub type See<'s> = dyn FnMut(Option<&[u8]>, &Record) -> io::Result<()> + 's;

/// Passes the value of every record of `wanted`, with the record itself, to `see`, partition by partition, oldest first, each
/// partition announced by `begin`, and returns the schemas by which they were written. A daemon may run meanwhile.
///
/// # Errors
/// Fails if the range is not there, or with the error of `begin` or `see`.
pub fn read<'a>(
    settings: &'a Settings,
    wanted: &'a Wanted,
    begin: &'a mut dyn FnMut(Part) -> io::Result<()>,
    see: &'a mut See<'_>,
) -> LocalBoxFuture<'a, Result<Vec<Learned>, Error>> {
    async move {
        let mut asking = Asking::new(settings)?;
        let labels = settings.topics.labels.as_deref().filter(|_| wanted.topic == settings.topics.samples);
        match &settings.transport {
            Transport::Embedded(_) => {
                let source = EmbeddedTopics::open(&settings.state.path)?;
                show(&source, wanted, labels, begin, see, asking.as_mut()).await?;
            }
            Transport::Kafka(config) => {
                let source = KafkaTopics::new(config.as_ref().clone())?;
                show(&source, wanted, labels, begin, see, asking.as_mut()).await?;
            }
        }
        Ok(asking.map(Asking::learned).unwrap_or_default())
    }
    .boxed_local()
}

/// Passes the values of the newest records of a topic to `see`, `most` at most, as many of each partition, partition by
/// partition, oldest first. Returns the schemas by which they were written.
///
/// # Errors
/// As [`read`].
pub fn newest<'a>(
    settings: &'a Settings,
    topic: &'a str,
    most: u64,
    see: &'a mut See<'_>,
) -> LocalBoxFuture<'a, Result<Vec<Learned>, Error>> {
    async move {
        let mut asking = Asking::new(settings)?;
        match &settings.transport {
            Transport::Embedded(_) => {
                tail(EmbeddedTopics::open(&settings.state.path)?, topic, most, see, asking.as_mut()).await?;
            }
            Transport::Kafka(config) => {
                tail(KafkaTopics::new(config.as_ref().clone())?, topic, most, see, asking.as_mut()).await?;
            }
        }
        Ok(asking.map(Asking::learned).unwrap_or_default())
    }
    .boxed_local()
}

async fn tail(
    source: impl Source,
    topic: &str,
    most: u64,
    see: &mut See<'_>,
    mut asking: Option<&mut Asking>,
) -> Result<i32, Error> {
    let count = source.partitions(topic).await?;
    let each = i64::try_from(most / u64::from(count.max(1).unsigned_abs())).unwrap_or(i64::MAX).max(1);
    for partition in 0..count {
        let held = source.reader(topic, partition).await?.range().await?;
        let from = held.start.max(held.end.saturating_sub(each));
        let wanted = Wanted { topic: topic.to_owned(), partition: Some(partition), from: Some(from), to: None };
        show(&source, &wanted, None, &mut |_| Ok(()), see, asking.as_deref_mut()).await?;
    }
    Ok(count)
}

async fn show(
    source: &impl Source,
    wanted: &Wanted,
    labels: Option<&str>,
    begin: &mut dyn FnMut(Part) -> io::Result<()>,
    see: &mut See<'_>,
    mut asking: Option<&mut Asking>,
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
        let mut labels = match labels {
            Some(topic) => Some(Labels::new(source.reader(topic, partition).await?)),
            None => None,
        };
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
                if let Some(labels) = &mut labels {
                    labels.show_up_to(record.timestamp, see, asking.as_deref_mut()).await?;
                }
                show_record(record, see, asking.as_deref_mut()).await?;
            }
            next = fetched.next_offset;
        }
        if let Some(labels) = &mut labels {
            labels.show_up_to(i64::MAX, see, asking.as_deref_mut()).await?;
        }
    }
    Ok(())
}

async fn show_record(record: &Record, see: &mut See<'_>, asking: Option<&mut Asking>) -> Result<(), Error> {
    match asking {
        Some(asking) => see(asking.value(record).await?.as_deref(), record)?,
        None => see(record.value.as_deref(), record)?,
    }
    Ok(())
}

/// A partition of the labels topic, which is read along with that of the samples, in order of the records' times.
struct Labels<R> {
    reader: R,
    /// The next offset, and the end, once they are known.
    range: Option<Range<i64>>,
    waiting: VecDeque<Record>,
}

impl<R: Reader> Labels<R> {
    fn new(reader: R) -> Self {
        Self { reader, range: None, waiting: VecDeque::new() }
    }

    /// Passes labels up to a time to `see`, but those that are older than the first sample.
    async fn show_up_to(&mut self, time: i64, see: &mut See<'_>, mut asking: Option<&mut Asking>) -> Result<(), Error> {
        if self.range.is_none() {
            let start = self.reader.resolve(Start::Timestamp(time)).await?;
            self.range = Some(start..self.reader.range().await?.end);
        }
        loop {
            while let Some(mut record) = self.waiting.pop_front_if(|record| record.timestamp <= time) {
                record.headers.set(LABEL, "");
                show_record(&record, see, asking.as_deref_mut()).await?;
            }
            let Some(range) = self.range.as_mut().filter(|range| self.waiting.is_empty() && !range.is_empty()) else {
                return Ok(());
            };
            let fetched = self.reader.fetch(range.start).await?;
            // Records that are not committed do not exist yet.
            range.start = if fetched.next_offset > range.start { fetched.next_offset } else { range.end };
            self.waiting.extend(fetched.records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_topic::Fetched;

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
        let mut see = |value: Option<&[u8]>, _: &Record| {
            seen.push_str(&String::from_utf8_lossy(value.unwrap_or_default()));
            Ok(())
        };
        let end = show(&Shifting { first: 0, dropped, open }, &wanted, None, &mut |_| Ok(()), &mut see, None).await;
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
    async fn the_newest_records_are_as_many_as_are_wanted_and_there() {
        for (most, expected) in [(4, "6789"), (100, "0123456789"), (1, "9")] {
            let mut seen = String::new();
            let mut see = |value: Option<&[u8]>, _: &Record| {
                seen.push_str(&String::from_utf8_lossy(value.unwrap_or_default()));
                Ok(())
            };
            let end = tail(Shifting { first: 0, dropped: 0, open: 10 }, "samples", most, &mut see, None).await;
            assert!(matches!(end, Ok(1)));
            assert_eq!(seen, expected);
        }
    }

    #[tokio::test]
    async fn what_is_not_committed_ends_an_open_range_and_fails_one_that_asks_for_it() {
        assert!(matches!(read(0, 5, None).await, (seen, Ok(())) if seen == "01234"));
        assert!(matches!(read(0, 5, Some(5)).await, (seen, Ok(())) if seen == "01234"));
        assert!(matches!(read(0, 5, Some(6)).await, (_, Err(Error::Uncommitted { from: 5, .. }))));
    }
}
