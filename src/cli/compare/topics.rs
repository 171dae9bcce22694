//! Ranges of topics as streams.

use std::{io, str::FromStr, sync::Arc};

use super::super::samples::{Spool, SpoolWriter};
use crate::{
    app::history::{self, Part, Wanted},
    pipeline::decode::Learned,
    settings::Settings,
    topic::record::Record,
};

/// Offsets of a topic, as given on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    from: Option<i64>,
    to: Option<i64>,
}

impl FromStr for Offsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("write it like 100..200, 100.. or ..200")?;
        let offset = |text: &str| match text.trim() {
            "" => Ok(None),
            text => match text.parse::<i64>() {
                Ok(offset) if offset >= 0 => Ok(Some(offset)),
                _ => Err(format!("`{text}` is no offset: a whole number, 0 or more")),
            },
        };
        let (from, to) = (offset(from)?, offset(to)?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err("it holds no record: the first offset must be under the last".to_owned());
        }
        Ok(Self { from, to })
    }
}

/// Reads `--topic` and `--offsets`.
pub(super) fn wanted(topics: &[String], offsets: &[Offsets]) -> Result<Vec<Wanted>, Vec<String>> {
    let mut problems = Vec::new();
    if offsets.len() > 1 && offsets.len() != topics.len() {
        problems.push(format!(
            "--offsets is there {} times for {} topics; give it once for all, or once for each",
            offsets.len(),
            topics.len()
        ));
    }
    let mut wanted = Vec::new();
    for (i, text) in topics.iter().enumerate() {
        // Topic names have no colon.
        let (topic, partition) = match text.split_once(':') {
            None => (text.as_str(), Ok(None)),
            Some((topic, partition)) => (topic, partition.parse::<i32>().map(Some)),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if topic.is_empty() || !topic.chars().all(legal) {
            problems.push(format!("`{text}` names no topic: letters, digits, dots, dashes, underscores"));
            continue;
        }
        let Ok(partition) = partition else {
            problems.push(format!("`{text}`: behind the colon comes a partition's number, e.g. {topic}:0"));
            continue;
        };
        let Offsets { from, to } = offsets.get(i).or(offsets.first()).copied().unwrap_or_default();
        wanted.push(Wanted { topic: topic.to_owned(), partition, from, to });
    }
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// Copies the wanted ranges, and returns a named spool for each partition.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn copied(settings: &Settings, wanted: &Wanted) -> anyhow::Result<Vec<(String, Spool)>> {
    let mut names = Vec::new();
    // Both closures push to it, one after the other.
    let writers = std::cell::RefCell::new(Vec::new());
    let mut begin = |Part { partition, offsets }: Part| {
        names.push(format!("{}:{partition} {}..{}", wanted.topic, offsets.start, offsets.end));
        writers.borrow_mut().push(SpoolWriter::new()?);
        Ok(())
    };
    let mut see = |value: Option<&[u8]>, record: &Record| match writers.borrow_mut().last_mut() {
        Some(writer) => writer.push(value, record),
        None => Err(io::Error::other("a record before its partition")),
    };
    let learned: Arc<[Learned]> = history::read(settings, wanted, &mut begin, &mut see).await?.into();
    let spools = writers.into_inner().into_iter().map(SpoolWriter::finish).collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().zip(spools.into_iter().map(|spool| spool.written_by(&learned))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_may_be_open_on_either_side() {
        let parsed = |text: &str| text.parse::<Offsets>();
        assert_eq!(parsed("100..200"), Ok(Offsets { from: Some(100), to: Some(200) }));
        assert_eq!(parsed("100.."), Ok(Offsets { from: Some(100), to: None }));
        assert_eq!(parsed("..200"), Ok(Offsets { from: None, to: Some(200) }));
        assert_eq!(parsed(".."), Ok(Offsets::default()));
        for wrong in ["100", "200..100", "5..5", "a..b", "-1..3", "0...5"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_topic_has_its_own_offsets_or_all_the_same() {
        let topics = ["a:1".to_owned(), "b".to_owned()];
        let offsets: [Offsets; 2] = ["1..2".parse().expect("good"), "3..".parse().expect("good")];
        let found = wanted(&topics, &offsets).expect("good");
        assert_eq!((found[0].partition, found[0].from, found[0].to), (Some(1), Some(1), Some(2)));
        assert_eq!((found[1].partition, found[1].from, found[1].to), (None, Some(3), None));
        assert!(wanted(&topics, &offsets[..1]).expect("good").iter().all(|it| it.to == Some(2)));
        let problems = wanted(&["a b".into(), "c:x".into(), "d".into()], &offsets).expect_err("all wrong");
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
