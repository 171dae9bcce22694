//! Source of an output record: the sample it was made from, read back after a restart.
//!
//! Invariant: it is read without a schema, since the first field of a prediction in Avro is its source in whatever version of that.

use serde::Deserialize;

use crate::Output;
use crate::record::{Headers, LABELS, ROW};

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

/// Returns the offset in the labels topic before which all had been learned when a prediction was made; `None` where it says nothing
/// of labels.
pub fn labels(headers: &Headers) -> Option<i64> {
    if headers.is_empty() {
        return None;
    }
    std::str::from_utf8(headers.get(LABELS)?).ok()?.parse().ok()
}

fn of<'r>(output: Output, value: Option<&'r [u8]>, headers: &'r Headers) -> Option<Source<'r>> {
    Some(match output {
        Output::Predictions => match value? {
            [0, _, _, _, _, datum @ ..] | [0xc3, 0x01, _, _, _, _, _, _, _, _, datum @ ..] => of_datum(datum)?,
            json => of_json(json)?,
        },
        Output::Events => of_json(value?)?,
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

fn of_json(value: &[u8]) -> Option<Source<'_>> {
    Some(serde_json::from_slice::<Sourced<'_>>(value).ok()?.source)
}

/// Reads the beginning of a prediction in Avro, behind the five bytes of a schema registry or the ten of a single object.
fn of_datum(mut datum: &[u8]) -> Option<Source<'_>> {
    let length = usize::try_from(long(&mut datum)?).ok()?;
    let (topic, mut rest) = datum.split_at_checked(length)?;
    let topic = std::str::from_utf8(topic).ok()?;
    let (partition, offset) = (i32::try_from(long(&mut rest)?).ok()?, long(&mut rest)?);
    // Of a union with null.
    let row = match long(&mut rest)? {
        0 => None,
        1 => Some(u32::try_from(long(&mut rest)?).ok()?),
        _ => return None,
    };
    // Records of other programs begin with anything.
    let is_name = !topic.is_empty() && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (is_name && partition >= 0 && offset >= 0).then_some(Source { topic: topic.into(), partition, offset, row })
}

/// Takes a number off the front: zigzag, seven bits a byte, the lowest first.
fn long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATUM: &[u8] = b"\x0esamples\x06\x80\x01\x02\x04and more";

    fn read(value: &[u8]) -> Option<(String, i32, i64)> {
        place(Output::Predictions, Some(value), &Headers::new())
    }

    #[test]
    fn a_prediction_in_avro_names_its_source_behind_either_frame() {
        for frame in [&b"\0\0\0\0\x07"[..], b"\xc3\x01fourteen"] {
            let value = [frame, DATUM].concat();
            assert_eq!(read(&value), Some(("samples".into(), 3, 64)));
            let found = row(Output::Predictions, Some(&value), &Headers::new(), "samples", 3);
            assert_eq!(found, Some((64, Some(2))));
            let found = row(Output::Predictions, Some(&value), &Headers::new(), "samples", 4);
            assert_eq!(found, None);
            let whole = value.len() - b"and more".len();
            assert!((0..whole).all(|end| read(&value[..end]).is_none()), "it is read from a part of itself");
        }
    }

    #[test]
    fn what_other_programs_write_in_avro_names_no_source() {
        let framed = |datum: &[u8]| [b"\0\0\0\0\x07", datum].concat();
        for datum in [
            &b"\x0esam les\x06\x80\x01\0"[..],
            b"\0\x06\x80\x01\0",
            b"\x0esamples\x05\x80\x01\0",
            b"\x0esamples\x06\x81\x01\0",
            b"\x0esamples\x06\x80\x01\x04",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0fsamples",
        ] {
            assert_eq!(read(&framed(datum)), None, "{datum:?}");
        }
        // An event has no other form than JSON.
        assert_eq!(place(Output::Events, Some(&framed(DATUM)), &Headers::new()), None);
    }
}
