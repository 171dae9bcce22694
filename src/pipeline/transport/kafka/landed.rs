//! What is in a topic already: read back after a restart or a failure, so that nothing is published twice.

use std::{collections::VecDeque, time::Duration};

use rskafka::record::RecordAndOffset;

use super::{cluster::Handle, fault::Try};
use crate::pipeline::transport::{Output, source};

/// Records looked at first when looking back from the end; each further look goes twice as far.
const FIRST_LOOK: i64 = 256;

/// The offset of the record with this value from `from` on, if it is there.
pub(super) async fn find(handle: &mut Handle, from: i64, value: &Option<Vec<u8>>) -> Try<Option<i64>> {
    let end = handle.range().await?.end;
    let mut offset = from;
    while offset < end {
        let (records, _) = handle.fetch(offset, Duration::ZERO).await?;
        if let Some(found) = records.iter().find(|record| record.record.value == *value) {
            return Ok(Some(found.offset));
        }
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
    }
    Ok(None)
}

/// The highest source offset among the records of an output that were made from `topic`/`partition`, looking no further
/// back than `since`. Records come in source order, so it is the last one's, and looking starts at the end.
pub(super) async fn last_source(
    handle: &mut Handle,
    output: Output,
    topic: &str,
    partition: i32,
    since: i64,
) -> Try<Option<i64>> {
    let range = handle.range().await?;
    let since = since.max(range.start);
    let mut end = range.end;
    let mut look = FIRST_LOOK;
    while end > since {
        let start = (end - look).max(since);
        let mut found = None;
        let mut offset = start;
        while offset < end {
            let (records, _) = handle.fetch(offset, Duration::ZERO).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            let within = records.iter().filter(|record| record.offset < end);
            found = within.filter_map(|record| of(record, output, topic, partition)).max().max(found);
        }
        if found.is_some() {
            return Ok(found);
        }
        end = start;
        look *= 2;
    }
    Ok(None)
}

fn of(RecordAndOffset { record, .. }: &RecordAndOffset, output: Output, topic: &str, partition: i32) -> Option<i64> {
    source::offset(output, record.value.as_deref(), &record.headers, topic, partition)
}

/// From the record with this value on, found at `from` or later, what the next ones hold: up to `most`, by offset.
pub(super) async fn run(
    handle: &mut Handle,
    from: i64,
    value: &Option<Vec<u8>>,
    most: usize,
) -> Try<VecDeque<(i64, Option<Vec<u8>>)>> {
    let mut run = VecDeque::new();
    let Some(begin) = find(handle, from, value).await? else { return Ok(run) };
    let end = handle.range().await?.end;
    let mut offset = begin;
    while offset < end && run.len() < most {
        let (records, _) = handle.fetch(offset, Duration::ZERO).await?;
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
        run.extend(records.into_iter().map(|record| (record.offset, record.record.value)));
    }
    run.truncate(most);
    Ok(run)
}
