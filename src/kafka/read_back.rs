//! What is in a topic already: read back after a restart or a failure, so that nothing is published twice.

use std::{collections::HashSet, sync::OnceLock};

use super::{
    client::{Fault, Partition, Try},
    protocol::{At, Committed, ProducerId},
};
use thalweg_topic::{Interleaving, Output, record::RETRY, source};

/// Records looked at first when looking back from the end; each further look goes twice as far.
const FIRST_WINDOW: i64 = 256;

/// The result of reading back one producer's records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadBack {
    /// The highest source offset.
    pub(super) source: Option<i64>,
    /// The sequence number that the producer's next record must have.
    pub(super) sequence: Option<i32>,
    /// The end of the partition.
    pub(super) end: i64,
    /// The latest time of a record looked at, 0 where there is none.
    pub(super) time: i64,
}

/// The inputs that an output is read back for: the topics of the samples and of the labels, where these have one, and their partition.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'t> {
    pub(super) samples: &'t str,
    pub(super) labels: Option<&'t str>,
    pub(super) partition: i32,
}

/// Reads back what is in an output that was made from `inputs` or written by `producer`, no further back than `since`, and how these
/// were interleaved. Records come in source order, so looking starts at the end, and is over soon where there are no labels. All
/// tries share `appended`: the end that the leader had at the first.
pub(super) async fn output(
    handle: &Partition,
    output: Output,
    inputs: Inputs<'_>,
    since: i64,
    producer: ProducerId,
    appended: &OnceLock<i64>,
) -> Try<(ReadBack, Interleaving)> {
    let Inputs { samples, labels, partition } = inputs;
    let mut interleaving = Interleaving::default();
    let found = look(handle, since, producer, appended, |read_back, committed| {
        let of = |record: &thalweg_topic::record::Record| {
            source::offset(output, record.value.as_deref(), &record.headers, samples, partition)
        };
        read_back.source = committed.records.iter().filter_map(of).max().max(read_back.source);
        let Some(labels) = labels else { return read_back.source.is_some() };
        for record in &committed.records {
            interleaving.note(output, record.value.as_deref(), &record.headers, [samples, labels], partition);
        }
        false
    })
    .await?;
    Ok((found, interleaving))
}

/// Reads back what `producer` has written into a partition from `since` on.
pub(super) async fn samples(
    handle: &Partition,
    since: i64,
    producer: ProducerId,
    appended: &OnceLock<i64>,
) -> Try<ReadBack> {
    look(handle, since, producer, appended, |read_back, _| read_back.sequence.is_some()).await
}

/// Dead letters that were sent back.
#[derive(Debug, Default)]
pub(super) struct SentBack {
    /// Their places, as the samples have them.
    pub(super) places: HashSet<String>,
    /// Set when the producer looked for has written its one batch.
    pub(super) written: bool,
    /// Set when the topic still has everything from there on.
    pub(super) whole: bool,
}

/// Reads back what `producer` has sent back into a partition from `since` on; where it is `None`, what anybody has.
pub(super) async fn sent_back(handle: &Partition, since: i64, producer: Option<ProducerId>) -> Try<SentBack> {
    let range = handle.range().await?;
    let mut found = SentBack { whole: range.start <= since, ..SentBack::default() };
    // A topic that ends earlier was made anew.
    let mut offset = if since > range.end { range.start } else { since.max(range.start) };
    while offset < range.end && !found.written {
        let committed = handle.fetch(offset).await?.committed;
        offset = after(&committed, offset)?;
        let mine = committed.written.iter().find(|batch| Some(batch.producer) == producer);
        found.written = mine.is_some();
        let counts = |offset| producer.is_none() || mine.is_some_and(|batch| batch.offsets.contains(offset));
        let records = committed.records.iter().filter(|record| counts(&record.offset));
        let places = records.filter_map(|record| record.headers.get(RETRY));
        found.places.extend(places.map(|place| String::from_utf8_lossy(place).into_owned()));
    }
    Ok(found)
}

/// Returns the offset behind what was fetched from `offset`.
fn after(committed: &Committed, offset: i64) -> Try<i64> {
    let next = committed.next_offset.filter(|next| *next > offset);
    next.ok_or_else(|| Fault::transient("the broker brings nothing for an offset that it lists"))
}

/// Looks at windows from the end back until `found` says that it is enough.
async fn look(
    handle: &Partition,
    since: i64,
    producer: ProducerId,
    appended: &OnceLock<i64>,
    mut found: impl FnMut(&mut ReadBack, &Committed) -> bool,
) -> Try<ReadBack> {
    // A leader that was just elected, or waits for a slow replica, has records of ours that cannot be read yet. Taken for
    // missing they would be sent again, and once the broker refuses their numbers, as another producer's.
    // What others append meanwhile is not waited for, and a new leader may have less.
    let now = handle.offset(At::Appended).await?;
    let appended = now.min(*appended.get_or_init(|| now));
    if handle.offset(At::End).await? < appended {
        return Err(Fault::transient("the leader has records that not all of its replicas in sync have"));
    }
    let range = handle.range().await?;
    let mut read_back = ReadBack { end: range.end, ..ReadBack::default() };
    if since > range.end {
        tracing::warn!(
            event = "output_cut",
            topic = handle.topic(),
            partition = handle.partition(),
            expected = since,
            end = range.end,
            "the topic ends before what is known to be in it: it was made anew, or has lost its newest records; what is \
             missing of them is published again as far as the samples are processed again"
        );
    }
    // One that ends earlier says nothing about where to look.
    let since = if since > range.end { range.start } else { since.max(range.start) };
    let (mut end, mut window) = (range.end, FIRST_WINDOW);
    while end > since {
        let start = (end - window).max(since);
        let mut offset = start;
        let mut enough = false;
        // Newer windows come first, so a number from one of them stands.
        let newer = read_back.sequence;
        while offset < end {
            let mut committed = handle.fetch(offset).await?.committed;
            let next = after(&committed, offset)?;
            committed.records.retain(|record| record.offset < end);
            let mine = committed.written.iter().rfind(|batch| batch.producer == producer);
            read_back.sequence = newer.or(mine.map(|batch| batch.next_sequence)).or(read_back.sequence);
            let times = committed.records.iter().map(|record| record.timestamp);
            read_back.time = times.max().unwrap_or(0).max(read_back.time);
            enough |= found(&mut read_back, &committed);
            offset = next;
        }
        if enough {
            break;
        }
        end = start;
        window *= 2;
    }
    Ok(read_back)
}
