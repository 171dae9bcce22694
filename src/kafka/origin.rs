//! Who wrote what is in a partition: looked at before anything of ours is mixed into it.
//!
//! Looked at are the oldest records and the newest ones, which take two fetches however large the topic is.

use std::ops::Range;

use super::{
    client::{Fault, Partition, Try},
    protocol::{At, Committed, ProducerId},
};
use thalweg_topic::record::{RETRY, Record};

/// On the first sample of each batch that the generator sends: its number.
pub(super) const GENERATED: &str = "thalweg.generated";

/// Newest offsets that are looked at.
const FIRST_WINDOW: i64 = 256;

/// The contents of a partition, for whoever wants to know who wrote it.
#[derive(Debug)]
pub(super) struct Held {
    /// From the first record to the last, also of transactions that are open.
    pub(super) range: Range<i64>,
    /// Everything before this offset is decided.
    pub(super) decided: i64,
    /// The oldest records, and the newest.
    pub(super) edges: Vec<Committed>,
}

/// Looks at both ends of a partition.
pub(super) async fn held(handle: &Partition) -> Try<Held> {
    let first = handle.offset(At::Earliest).await?;
    let (decided, end) = (handle.offset(At::Latest).await?, handle.offset(At::End).await?);
    let mut edges = Vec::new();
    let oldest = records(handle, first..decided, true).await?;
    let seen = oldest.iter().filter_map(|committed| committed.next_offset).max().unwrap_or(first);
    edges.extend(oldest);
    // What is newest may all have been aborted.
    let mut window = FIRST_WINDOW;
    loop {
        let from = (decided - window).max(seen);
        let newest = records(handle, from..decided, false).await?;
        let found = newest.iter().any(|committed| !committed.records.is_empty());
        if found || from <= seen {
            edges.extend(newest);
            break;
        }
        window *= 4;
    }
    Ok(Held { range: first..end, decided, edges })
}

/// Reads between two offsets in whole batches, since the first record of a batch may tell who wrote it; only up to the first
/// records where `first` is set.
pub(super) async fn records(handle: &Partition, range: Range<i64>, first: bool) -> Try<Vec<Committed>> {
    let mut found = Vec::new();
    let mut offset = range.start;
    while offset < range.end {
        let fetched = match handle.batches(offset).await {
            // Retention was faster.
            Err(Fault::OutOfRange) => break,
            other => other?,
        };
        let committed = fetched.committed;
        let Some(next) = committed.next_offset.filter(|next| *next > offset) else {
            return Err(Fault::transient("the broker brings nothing for an offset that it lists"));
        };
        let enough = first && !committed.records.is_empty();
        found.push(committed);
        offset = next;
        if enough {
            break;
        }
    }
    Ok(found)
}

/// The first record that neither the generator wrote nor somebody who sent dead letters back. `ours` are the identities under
/// which the generator of this state file has written.
pub(super) fn stranger<'c>(committed: &'c Committed, ours: &[ProducerId]) -> Option<&'c Record> {
    let marked = |record: &Record| record.headers.get(GENERATED).is_some();
    let of_generator = |record: &Record| {
        let batch = committed.written.iter().find(|batch| batch.offsets.contains(&record.offset));
        batch.is_some_and(|batch| {
            let mut others = committed.records.iter().filter(|other| batch.offsets.contains(&other.offset));
            ours.contains(&batch.producer) || others.any(marked)
        })
    };
    // Batches come in a row, so that mostly the batch of the record before is asked about again.
    let mut known: Option<(std::ops::RangeInclusive<i64>, bool)> = None;
    committed.records.iter().find(|record| {
        if marked(record) || record.headers.get(RETRY).is_some() {
            return false;
        }
        if let Some((offsets, generated)) = &known
            && offsets.contains(&record.offset)
        {
            return !generated;
        }
        let generated = of_generator(record);
        let batch = committed.written.iter().find(|batch| batch.offsets.contains(&record.offset));
        known = batch.map(|batch| (batch.offsets.clone(), generated));
        !generated
    })
}

#[cfg(test)]
mod tests {
    use super::{super::protocol::Written, *};
    use thalweg_topic::record::Headers;

    fn record(offset: i64, header: Option<&'static str>) -> Record {
        let headers: Headers = header.into_iter().map(|name| (name.into(), Some("7".into()))).collect();
        Record { offset, headers, ..Record::default() }
    }

    fn batch(producer: ProducerId, offsets: std::ops::RangeInclusive<i64>) -> Written {
        Written { producer, offsets, next_sequence: 0 }
    }

    #[test]
    fn a_record_is_the_generator_s_by_its_batch_and_a_dead_letter_sent_back_is_nobody_s() {
        let committed = Committed {
            records: vec![
                record(0, Some(GENERATED)),
                record(1, None),
                record(2, Some(RETRY)),
                record(3, None),
                record(4, None),
                record(5, None),
            ],
            written: vec![batch(5, 0..=1), batch(6, 2..=2), batch(7, 3..=3), batch(8, 4..=4)],
            next_offset: Some(6),
            transactional: false,
        };
        let first = |ours: &[ProducerId]| stranger(&committed, ours).map(|record| record.offset);
        assert_eq!(first(&[]), Some(3));
        assert_eq!(first(&[7]), Some(4));
        // One without a number belongs to no batch of a producer's.
        assert_eq!(first(&[7, 8]), Some(5));
    }
}
