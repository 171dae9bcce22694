//! Reads a range of a topic on whichever transport is set, for the command line.

use std::{io, ops::Range};

use crate::{
    pipeline::transport::{self, History, embedded::EmbeddedHistory, kafka::KafkaHistory},
    settings::{Settings, Transport},
};

/// Why a range of a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// There is no such partition.
    #[error("topic `{topic}` has no partition {partition}; it has {count}, from 0")]
    Partition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// What there is.
        count: i32,
    },
    /// The partition does not hold all of it.
    #[error("{topic}/{partition} holds offsets {} to {}, and {from}..{to} is not within", held.start, held.end)]
    Offsets {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset asked for.
        from: i64,
        /// The one after the last.
        to: i64,
        /// What is there.
        held: Range<i64>,
    },
    /// Where they are put.
    #[error("records cannot be kept meanwhile")]
    Output(#[from] io::Error),
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The topic.
    pub topic: String,
    /// One partition, or all.
    pub partition: Option<i32>,
    /// The first offset; the oldest there is where `None`.
    pub from: Option<i64>,
    /// The offset after the last; all there is now where `None`.
    pub to: Option<i64>,
}

/// A partition's part of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The partition.
    pub partition: i32,
    /// Its offsets.
    pub offsets: Range<i64>,
}

/// Shows the value of every record of `wanted` to `see`, partition by partition, oldest first, each partition announced by
/// `begin`. A daemon may run meanwhile.
///
/// # Errors
/// When it is not there, or what `begin` and `see` say.
pub async fn read(
    settings: &Settings,
    wanted: &Wanted,
    begin: impl FnMut(Part) -> io::Result<()>,
    see: impl FnMut(Option<&[u8]>) -> io::Result<()>,
) -> Result<(), Error> {
    match &settings.transport {
        Transport::Embedded(_) => {
            show(EmbeddedHistory::open(&wanted.topic, &settings.state.path)?, wanted, begin, see).await
        }
        Transport::Kafka(config) => {
            show(KafkaHistory::open(config.as_ref().clone(), &wanted.topic).await?, wanted, begin, see).await
        }
    }
}

async fn show(
    mut history: impl History,
    wanted: &Wanted,
    mut begin: impl FnMut(Part) -> io::Result<()>,
    mut see: impl FnMut(Option<&[u8]>) -> io::Result<()>,
) -> Result<(), Error> {
    let Wanted { topic, partition, from, to } = wanted;
    let count = history.partitions();
    let partitions = match *partition {
        Some(partition) if !(0..count).contains(&partition) => {
            return Err(Error::Partition { topic: topic.clone(), partition, count });
        }
        Some(partition) => partition..partition + 1,
        None => 0..count,
    };
    for partition in partitions {
        let held = history.range(partition).await?;
        let (from, to) = (from.unwrap_or(held.start), to.unwrap_or(held.end));
        if from < held.start || to > held.end || from > to {
            return Err(Error::Offsets { topic: topic.clone(), partition, from, to, held });
        }
        begin(Part { partition, offsets: from..to })?;
        let mut next = from;
        while next < to {
            let fetched = history.read(partition, next).await?;
            for record in fetched.records.iter().filter(|record| record.offset < to) {
                see(record.value.as_deref())?;
            }
            if fetched.next_offset <= next {
                break;
            }
            next = fetched.next_offset;
        }
    }
    Ok(())
}
