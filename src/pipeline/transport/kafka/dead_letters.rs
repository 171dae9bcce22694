//! Dead letters in a topic: read and sent back beside the daemon, without its state file.
//!
//! Reading order: this file, `ledger` (what was sent back, and by whom).
//! Invariant: a letter is sent only under a claim of ours that the events topic has first, and a request that failed is
//! looked for in the samples topic before it is tried again.

use std::{
    collections::HashSet,
    ops::Range,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    Config,
    cluster::{Cluster, Handle},
    fault::{Fault, Try},
    ledger::{Kind, Ledger, Letters, Note, Place, SEND_WITHIN, Standing, has_run_out},
    outgoing,
    retry::persist,
};
use crate::pipeline::{
    dead_letters::{DeadLetter, Source},
    encode::RETRY,
    record::{Headers, Outgoing, Record},
    transport::{DeadLetters, Error, Fate, Page, Topics},
};

/// Letters under one claim at most.
const CLAIM: usize = 500;

/// The dead letters of a Kafka topic.
#[derive(Debug)]
pub struct KafkaDeadLetters {
    cluster: Arc<Cluster>,
    topics: Topics,
    partitions: Vec<i32>,
    letters: Vec<Opened>,
    /// Each with the offset up to which the ledger has read it.
    events: Vec<(Handle, i64)>,
    samples: Vec<Handle>,
    ledger: Ledger,
    /// Claims made, so that each has a name of its own.
    claims: u64,
}

/// A partition of the dead-letters topic, and what it held then.
#[derive(Debug)]
struct Opened {
    handle: Handle,
    range: Range<i64>,
}

/// How a produce request for samples ended.
enum Sent {
    Landed,
    TooLarge,
    /// The claim is about to run out.
    Late,
}

impl KafkaDeadLetters {
    /// Connects, waiting for the broker as long as it takes, and reads from the events what was sent back.
    ///
    /// # Errors
    /// When a topic is missing, or the broker refuses for good.
    pub async fn open(config: Config, topics: Topics) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config)?);
        let handles = async |topic: &str| {
            let count = persist!(cluster, format!("looking for topic `{topic}`"), cluster.partitions_of(topic))?;
            let missing = || Error::Topic {
                topic: topic.to_owned(),
                problem: "it does not exist; has the daemon run with these settings?".to_owned(),
            };
            let handle = |partition| Handle::new(&cluster, topic, partition);
            Ok::<Vec<Handle>, Error>((0..count.ok_or_else(missing)?).map(handle).collect())
        };
        let mut letters = Vec::new();
        for mut handle in handles(&topics.dead_letters).await? {
            let range = persist!(cluster, "asking for offsets", handle.range())?;
            letters.push(Opened { handle, range });
        }
        let partitions = (0..letters.len() as i32).collect();
        let events = handles(&topics.events).await?.into_iter().map(|handle| (handle, 0)).collect();
        let samples = handles(&topics.samples).await?;
        let ledger = Ledger::new(&topics.dead_letters);
        let mut opened = Self { cluster, topics, partitions, letters, events, samples, ledger, claims: 0 };
        opened.catch_up().await?;
        Ok(opened)
    }

    /// Reads what the events say since last time.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let Self { cluster, events, ledger, .. } = self;
        for (handle, next) in events {
            let range = persist!(cluster, "asking for offsets", handle.range())?;
            *next = (*next).max(range.start);
            while *next < range.end {
                let action = format!("reading `{}`/{}", handle.topic(), handle.partition());
                let found = persist!(cluster, action, handle.fetch(*next))?;
                let Some(after) = found.next_offset.filter(|after| after > next) else { break };
                *next = after;
                found.records.iter().filter_map(|it| it.value.as_deref()).for_each(|value| ledger.read(value));
            }
        }
        Ok(())
    }

    /// Puts a note on the events topic. Landing twice does no harm.
    async fn note(&mut self, note: &Note) -> Result<(), Error> {
        let count = self.events.len().max(1);
        let partition = note.dead_letters.partition as usize % count;
        let Some((handle, _)) = self.events.get_mut(partition) else { return Ok(()) };
        // Plain structs of texts and numbers always have a JSON form.
        let value = serde_json::to_vec(note).unwrap_or_default();
        let record =
            Outgoing { source: 0, timestamp: note.timestamp, key: None, value: Some(value), headers: Headers::new() };
        let action = format!("noting what is sent back in `{}`", handle.topic());
        persist!(self.cluster, action, handle.produce(vec![outgoing(record.clone())]))?;
        Ok(())
    }

    /// Letters of one partition that all go to the partition `to` of the samples.
    async fn send(&mut self, to: i32, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
        let mut fates = Vec::with_capacity(letters.len());
        let mut free = Vec::new();
        for letter in letters {
            match self.ledger.standing(letter.partition, letter.offset).clone() {
                Standing::Retried => fates.push(Fate::Already),
                Standing::Claimed { at, .. } if !has_run_out(at, now()) => fates.push(Fate::Busy),
                Standing::Claimed { samples, .. } if self.is_sent(&letter, samples).await? => {
                    let partition = letter.partition;
                    let note = self.note_of(Kind::Retried, samples, partition, vec![letter.offset], String::new());
                    self.note(&note).await?;
                    fates.push(Fate::Already);
                }
                Standing::Free | Standing::Claimed { .. } => free.push(letter),
            }
        }
        let Some(partition) = free.first().map(|letter| letter.partition) else { return Ok(fates) };

        let Some(handle) = self.samples.get_mut(to as usize) else { return Ok(fates) };
        let from = persist!(self.cluster, "asking for offsets", handle.range())?.end;
        let (samples, began) = (Place { partition: to, from }, Instant::now());
        self.claims += 1;
        let by = format!("{}-{}-{}", std::process::id(), now(), self.claims);
        let offsets = free.iter().map(|letter| letter.offset).collect();
        let claim = self.note_of(Kind::Retrying, samples, partition, offsets, by);
        self.note(&claim).await?;
        self.catch_up().await?;
        let is_ours = |letter: &DeadLetter| match self.ledger.standing(partition, letter.offset) {
            Standing::Claimed { by, .. } => *by == claim.by,
            Standing::Free | Standing::Retried => false,
        };
        let (ours, others): (Vec<DeadLetter>, Vec<DeadLetter>) = free.into_iter().partition(is_ours);
        fates.extend(others.iter().map(|_| Fate::Busy));
        if ours.is_empty() {
            return Ok(fates);
        }
        let fate = match self.produce(samples, &ours, began).await? {
            Sent::Landed => Fate::Sent,
            Sent::TooLarge => Fate::TooLarge,
            Sent::Late => Fate::Busy,
        };
        if fate == Fate::Sent {
            let offsets = ours.iter().map(|letter| letter.offset).collect();
            self.note(&self.note_of(Kind::Retried, samples, partition, offsets, claim.by.clone())).await?;
        }
        fates.extend(ours.iter().map(|_| fate));
        Ok(fates)
    }

    fn note_of(&self, event: Kind, samples: Place, partition: i32, offsets: Vec<i64>, by: String) -> Note {
        let dead_letters = Letters { topic: self.topics.dead_letters.clone(), partition, offsets };
        Note { event, dead_letters, by, samples, timestamp: now() }
    }

    /// Appends the samples in one batch, which lands as a whole or not at all.
    async fn produce(&mut self, to: Place, letters: &[DeadLetter], began: Instant) -> Result<Sent, Error> {
        let Some(handle) = self.samples.get_mut(to.partition as usize) else { return Ok(Sent::Late) };
        let wanted: HashSet<String> = letters.iter().map(DeadLetter::place).collect();
        let mut tried = false;
        let attempt = async |handle: &mut Handle, tried: &mut bool| {
            if *tried && landed(handle, to.from, &wanted).await? {
                return Ok(Sent::Landed);
            }
            if began.elapsed() >= SEND_WITHIN {
                return Ok(Sent::Late);
            }
            *tried = true;
            match handle.produce(letters.iter().map(|letter| outgoing(letter.sample())).collect()).await {
                Ok(_) => Ok(Sent::Landed),
                Err(Fault::TooLarge) => Ok(Sent::TooLarge),
                Err(fault) => Err(fault),
            }
        };
        let action = format!("sending dead letters back to `{}`/{}", handle.topic(), handle.partition());
        persist!(self.cluster, action, attempt(handle, &mut tried))
    }

    /// Whether a claimant that ended had sent it.
    async fn is_sent(&mut self, letter: &DeadLetter, samples: Place) -> Result<bool, Error> {
        let Some(handle) = self.samples.get_mut(samples.partition as usize) else { return Ok(false) };
        let wanted = HashSet::from([letter.place()]);
        persist!(self.cluster, "looking for what was sent back", landed(handle, samples.from, &wanted))
    }
}

/// Whether a sample that was one of these dead letters is there from `from` on.
async fn landed(handle: &mut Handle, from: i64, wanted: &HashSet<String>) -> Try<bool> {
    let range = handle.range().await?;
    let mut offset = from.max(range.start);
    let is_wanted = |it: &Record| {
        let place = it.headers.get(RETRY).and_then(|place| std::str::from_utf8(place).ok());
        place.is_some_and(|place| wanted.contains(place))
    };
    while offset < range.end {
        let found = handle.fetch(offset).await?;
        if found.records.iter().any(is_wanted) {
            return Ok(true);
        }
        let Some(next) = found.next_offset.filter(|next| *next > offset) else { break };
        offset = next;
    }
    Ok(false)
}

impl DeadLetters for KafkaDeadLetters {
    fn topic(&self) -> &str {
        &self.topics.dead_letters
    }

    fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    fn takes_back(&self, source: &Source) -> bool {
        source.topic == self.topics.samples && (0..self.samples.len() as i32).contains(&source.partition)
    }

    async fn read(&mut self, partition: i32, offset: i64) -> Result<Page, Error> {
        let Some(Opened { handle, range }) = self.letters.get_mut(partition as usize) else {
            return Ok(Page::default());
        };
        let offset = offset.max(range.start);
        if offset >= range.end {
            return Ok(Page::default());
        }
        let action = format!("reading `{}`/{partition}", handle.topic());
        let found = persist!(self.cluster, action, handle.fetch(offset))?;
        let next = found.next_offset.filter(|next| (offset + 1..range.end).contains(next));
        let mut page = Page { next, ..Page::default() };
        for record in found.records.iter().filter(|record| record.offset < range.end) {
            match DeadLetter::read(partition, record) {
                Some(mut letter) => {
                    letter.retried = *self.ledger.standing(partition, letter.offset) == Standing::Retried;
                    page.letters.push(letter);
                }
                None => page.strangers += 1,
            }
        }
        Ok(page)
    }

    async fn retry(&mut self, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
        let limit = self.cluster.config().max_batch_bytes;
        let mut fates = Vec::with_capacity(letters.len());
        let mut batch: Vec<DeadLetter> = Vec::new();
        let mut bytes = 0;
        for letter in letters {
            let size = letter.sample().size();
            let same = batch.last().is_none_or(|last| last.source.partition == letter.source.partition);
            if !same || batch.len() >= CLAIM || (!batch.is_empty() && bytes + size > limit) {
                let full = std::mem::take(&mut batch);
                fates.extend(self.send(full[0].source.partition, full).await?);
                bytes = 0;
            }
            bytes += size;
            batch.push(letter);
        }
        if let Some(to) = batch.first().map(|letter| letter.source.partition) {
            fates.extend(self.send(to, batch).await?);
        }
        Ok(fates)
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
