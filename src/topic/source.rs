//! Source of an output record: the sample it was made from, read back after a restart.

use serde::Deserialize;

use crate::Output;
use crate::record::{Headers, ROW};

#[derive(Deserialize)]
struct Sourced<'a> {
    #[serde(borrow)]
    source: Source<'a>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    topic: std::borrow::Cow<'a, str>,
    partition: i32,
    offset: i64,
    #[serde(default)]
    row: Option<u32>,
}

/// Returns the topic, partition and offset that an output record was made from, if Thalweg wrote it.
pub fn place(output: Output, value: Option<&[u8]>, headers: &Headers) -> Option<(String, i32, i64)> {
    let source = of(output, value, headers)?;
    Some((source.topic.into_owned(), source.partition, source.offset))
}

/// Returns the source offset of an output record, if it was made from `topic`/`partition`.
pub fn offset(output: Output, value: Option<&[u8]>, headers: &Headers, topic: &str, partition: i32) -> Option<i64> {
    row(output, value, headers, topic, partition).map(|(offset, _)| offset)
}

/// Returns the source offset of an output record as [`offset`] does, and the place among the rows of that record, where it
/// held many.
pub fn row(
    output: Output,
    value: Option<&[u8]>,
    headers: &Headers,
    topic: &str,
    partition: i32,
) -> Option<(i64, Option<u32>)> {
    let source = of(output, value, headers)?;
    (source.topic == topic && source.partition == partition).then_some((source.offset, source.row))
}

fn of<'r>(output: Output, value: Option<&'r [u8]>, headers: &'r Headers) -> Option<Source<'r>> {
    Some(match output {
        Output::Predictions | Output::Events => serde_json::from_slice::<Sourced<'_>>(value?).ok()?.source,
        Output::DeadLetters => {
            let header = |name: &str| std::str::from_utf8(headers.get(name)?).ok();
            Source {
                topic: header("thalweg.topic")?.into(),
                partition: header("thalweg.partition")?.parse().ok()?,
                offset: header("thalweg.offset")?.parse().ok()?,
                row: header(ROW).and_then(|row| row.parse().ok()),
            }
        }
    })
}
