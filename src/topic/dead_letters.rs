//! Dead letters for people: lists them, and sends them back once their cause is mended.
//!
//! Reading order: [`DeadLetter`] (one of them), [`Selection`] (a choice), [`list`] and [`retry`]. The transport stores
//! them and remembers which were sent back ([`DeadLetters`]). Invariant: a letter is sent back at most once, and only
//! whole.

use std::{collections::BTreeMap, future::Future};

use crate::{
    Error,
    record::{Headers, Outgoing, PREFIX, RETRY, ROW, Record, TIMESTAMP},
};

/// A record of the dead-letters topic, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Partition of the dead-letters topic that holds it.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Place of the sample.
    pub source: Source,
    /// Stable code of the rejection.
    pub reason: String,
    /// Message for people.
    pub error: String,
    /// Field that caused the rejection, where there is one.
    pub field: Option<String>,
    /// Key of the sample.
    pub key: Option<Vec<u8>>,
    /// Value of the sample; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers of the sample, with `thalweg.retry` where it was a dead letter before.
    pub headers: Headers,
    /// Bytes of the sample's whole value, where the letter holds only a part of it.
    pub truncated: Option<u64>,
    /// True once it has been sent back.
    pub retried: bool,
}

/// Place of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its place among the rows of that record, where it held many.
    pub row: Option<u32>,
}

impl DeadLetter {
    /// Reads a dead letter; `None` where Thalweg did not write the record.
    pub fn read(partition: i32, record: &Record) -> Option<Self> {
        let take = |name: &str| Some(String::from_utf8_lossy(record.headers.get(name)?).into_owned());
        let source = Source {
            topic: take("thalweg.topic")?,
            partition: take("thalweg.partition")?.parse().ok()?,
            offset: take("thalweg.offset")?.parse().ok()?,
            row: take(ROW).and_then(|row| row.parse().ok()),
        };
        let (reason, error) = (take("thalweg.reason")?, take("thalweg.error").unwrap_or_default());
        let time = take(TIMESTAMP).and_then(|time| time.parse().ok());
        let field = take("thalweg.field");
        let truncated = take("thalweg.truncated").map(|bytes| bytes.parse().unwrap_or(0));
        let mut headers = record.headers.owned();
        headers.retain(|name| !name.starts_with(PREFIX.as_bytes()) || name == RETRY.as_bytes());
        let [key, value] = [&record.key, &record.value].map(|bytes| bytes.as_deref().map(<[u8]>::to_vec));
        Some(Self {
            partition,
            offset: record.offset,
            timestamp: time.unwrap_or(record.timestamp),
            source,
            reason,
            error,
            field,
            key,
            value,
            headers,
            truncated,
            retried: false,
        })
    }

    /// Returns its place, which the sample made from it carries in `thalweg.retry`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.partition, self.offset)
    }

    /// Returns the sample as it was, with the header `thalweg.retry`.
    pub fn sample(&self) -> Outgoing {
        let mut headers = self.headers.clone();
        headers.set(RETRY, self.place());
        let (key, value) = (self.key.clone(), self.value.clone());
        Outgoing { source: 0, timestamp: self.timestamp, key, value, headers }
    }
}

impl DeadLetter {
    /// Returns the sample for a topic whose old records a broker deletes: its record's time is `now`, its own time in a
    /// header.
    pub fn sample_at(&self, now: i64) -> Outgoing {
        let mut sample = self.sample();
        sample.headers.set(TIMESTAMP, self.timestamp.to_string());
        Outgoing { timestamp: now, ..sample }
    }
}

/// A page of dead letters of one partition.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Letters in offset order.
    pub letters: Vec<DeadLetter>,
    /// Records between them that Thalweg did not write.
    pub strangers: u64,
    /// Offset of the next page; `None` at the end that the partition had when the topic was opened.
    pub next: Option<i64>,
}

/// Outcome of sending a letter back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the samples topic now and marked as sent.
    Sent,
    /// It had been sent before.
    Already,
    /// Another run is about to send it.
    Busy,
    /// The samples topic does not take a record of its size.
    TooLarge,
}

/// Dead letters of a topic, which can be read beside the daemon.
pub trait DeadLetters: Send {
    /// Returns the topic's name.
    fn topic(&self) -> &str;

    /// Returns its partitions, ascending.
    fn partitions(&self) -> &[i32];

    /// Returns `true` where a sample, or a label, can go back to its partition.
    fn takes_back(&self, source: &Source) -> bool;

    /// Returns the letters of a partition from `offset` on, or from its first one.
    fn read(&mut self, partition: i32, offset: i64) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Sends letters of one partition back to the topic that they came from, none of them for a second time, and remembers it. The
    /// fates are in no order.
    fn retry(&mut self, letters: Vec<DeadLetter>) -> impl Future<Output = Result<Vec<Fate>, Error>> + Send;
}

/// A choice of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Takes letters of this partition of the dead-letters topic only.
    pub partition: Option<i32>,
    /// Takes letters with this reason only.
    pub reason: Option<String>,
    /// Takes letters at these offsets only; an empty list takes all.
    pub offsets: Vec<i64>,
}

impl Selection {
    fn takes(&self, letter: &DeadLetter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && (self.offsets.is_empty() || self.offsets.contains(&letter.offset))
    }

    /// Returns the selected partitions.
    fn partitions(&self, topic: &str, known: &[i32]) -> Result<Vec<i32>, Error> {
        let refused = |problem: String| Err(Error::Topic { topic: topic.to_owned(), problem });
        let count = known.len();
        match self.partition {
            Some(partition) if !known.contains(&partition) => {
                refused(format!("it has no partition {partition}; there are {count}, from 0 on"))
            }
            Some(partition) => Ok(vec![partition]),
            None if !self.offsets.is_empty() && count > 1 => {
                refused(format!("it has {count} partitions; say in which the offsets are with --partition"))
            }
            None => Ok(known.to_vec()),
        }
    }

    fn first(&self) -> i64 {
        self.offsets.iter().min().copied().unwrap_or(0)
    }

    fn is_past(&self, offset: i64) -> bool {
        self.offsets.iter().max().is_some_and(|last| offset > *last)
    }
}

/// Counts of the letters that were listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Letters by their reason.
    pub reasons: BTreeMap<String, u64>,
    /// Those that were sent back.
    pub retried: u64,
    /// Records in the topic that Thalweg did not write.
    pub strangers: u64,
}

/// Shows every letter of `selection` to `see`, partition by partition, oldest first.
///
/// # Errors
/// Errors of the transport or of `see`.
pub async fn list<T: DeadLetters, E: From<Error>>(
    letters: &mut T,
    selection: &Selection,
    mut see: impl FnMut(DeadLetter) -> Result<(), E>,
) -> Result<Summary, E> {
    let mut summary = Summary::default();
    for partition in selection.partitions(letters.topic(), letters.partitions())? {
        let mut next = Some(selection.first());
        while let Some(offset) = next.filter(|offset| !selection.is_past(*offset)) {
            let page = letters.read(partition, offset).await?;
            next = page.next;
            summary.strangers += page.strangers;
            for letter in page.letters.into_iter().filter(|letter| selection.takes(letter)) {
                *summary.reasons.entry(letter.reason.clone()).or_default() += 1;
                summary.retried += u64::from(letter.retried);
                see(letter)?;
            }
        }
    }
    Ok(summary)
}

/// Counts of the letters that were selected to be sent back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Letters that were selected.
    pub selected: u64,
    /// Letters sent back now.
    pub sent: u64,
    /// Letters sent back before.
    pub already: u64,
    /// Letters that another run is sending.
    pub busy: u64,
    /// Letters whose sample was cut and no longer exists whole.
    pub cut: u64,
    /// Letters too large for the samples topic.
    pub too_large: u64,
    /// Letters of another topic, or of a partition that does not exist.
    pub homeless: u64,
}

/// Sends the letters of `selection` back to their partitions, except those that are cut or were sent before.
///
/// # Errors
/// Errors of the transport. Letters sent until then are remembered.
pub async fn retry<T: DeadLetters>(letters: &mut T, selection: &Selection) -> Result<Retried, Error> {
    let mut done = Retried::default();
    for partition in selection.partitions(letters.topic(), letters.partitions())? {
        let mut next = Some(selection.first());
        while let Some(offset) = next.filter(|offset| !selection.is_past(*offset)) {
            let page = letters.read(partition, offset).await?;
            next = page.next;
            let mut whole = Vec::new();
            for letter in page.letters.into_iter().filter(|letter| selection.takes(letter)) {
                done.selected += 1;
                if letter.retried {
                    done.already += 1;
                } else if letter.truncated.is_some() {
                    done.cut += 1;
                } else if !letters.takes_back(&letter.source) {
                    done.homeless += 1;
                } else {
                    whole.push(letter);
                }
            }
            for fate in letters.retry(whole).await? {
                match fate {
                    Fate::Sent => done.sent += 1,
                    Fate::Already => done.already += 1,
                    Fate::Busy => done.busy += 1,
                    Fate::TooLarge => done.too_large += 1,
                }
            }
        }
    }
    Ok(done)
}
