//! Dead letters in a topic: read and sent back beside the daemon, without its state file.
//!
//! Reading order: this file, `ledger` (what was sent back, and by whom), `claims` (sending).

use std::{ops::Range, sync::Arc};

use super::{
    Config,
    client::{Cluster, Handle, partitions_of, persist, producer},
    ledger::{Ledger, Note, Standing},
};
use thalweg_topic::{
    DeadLetters, Error, Fate, Page, Topics,
    dead_letters::{DeadLetter, Source},
    record::{Headers, Outgoing},
};

/// Letters under one claim at most.
const CLAIM: usize = 500;

/// The dead letters of a Kafka topic.
#[derive(Debug)]
pub struct KafkaDeadLetters {
    pub(super) cluster: Arc<Cluster>,
    pub(super) topics: Topics,
    partitions: Vec<i32>,
    letters: Vec<Opened>,
    /// Each with the offset up to which the ledger has read it.
    events: Vec<(Handle, i64)>,
    pub(super) samples: Vec<Handle>,
    pub(super) ledger: Ledger,
    /// Notes made, so that each has a name of its own.
    pub(super) notes: u64,
}

/// A partition of the dead-letters topic, and what it held then.
#[derive(Debug)]
struct Opened {
    handle: Handle,
    range: Range<i64>,
}

impl KafkaDeadLetters {
    /// Connects, waiting for the broker as long as it takes, and reads from the events what was sent back.
    ///
    /// # Errors
    /// When a topic is missing, or the broker refuses for good.
    pub async fn open(config: Config, topics: Topics) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config, None)?);
        let handles = async |topic: &str| {
            let count = persist!(cluster, format!("looking for topic `{topic}`"), partitions_of(&cluster, topic))?;
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
        let mut opened = Self { cluster, topics, partitions, letters, events, samples, ledger, notes: 0 };
        opened.catch_up().await?;
        Ok(opened)
    }

    /// Reads what the events say since last time.
    pub(super) async fn catch_up(&mut self) -> Result<(), Error> {
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

    /// Puts a note on the events topic.
    pub(super) async fn note(&mut self, note: &Note) -> Result<(), Error> {
        let count = self.events.len().max(1);
        let partition = note.dead_letters.partition as usize % count;
        let Some((handle, _)) = self.events.get_mut(partition) else { return Ok(()) };
        // Plain structs of texts and numbers always have a JSON form.
        let value = serde_json::to_vec(note).unwrap_or_default();
        let record =
            Outgoing { source: 0, timestamp: note.timestamp, key: None, value: Some(value), headers: Headers::new() };
        let id = producer::identity(&self.cluster, handle.topic(), handle.partition()).await?;
        let action = format!("noting what is sent back in `{}`", handle.topic());
        persist!(self.cluster, action, producer::once(handle, id, vec![record.clone()]))?;
        Ok(())
    }
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
