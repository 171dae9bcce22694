//! Sends dead letters back, each under a claim.
//!
//! A claim has an identity as a producer, by which one batch lands, whoever sends it and however late (`producer::once`).
//! So nobody has to know whether the requests of a run that has ended are still under way: who takes its letters over
//! sends them under the same identity and then looks which of them are there. What the batch that landed does not hold
//! is free, since no other can follow.
//!
//! Invariant: a letter is sent only under a claim of ours that the events topic has first, and counts as sent only when
//! it was seen in the samples topic.

use std::collections::{BTreeMap, HashSet};

use super::{
    client::{Fault, Partition, producer, retry_on},
    ledger::{Kind, Ledger, Letters, Note, Place, Standing, has_run_out, now},
    protocol::ProducerId,
    read_back,
};
use thalweg_topic::{
    Error, Fate, Topics,
    dead_letters::{DeadLetter, Source},
    record::{Headers, Outgoing},
};

/// The terms under which letters of one partition are sent.
struct Terms {
    producer: ProducerId,
    samples: Place,
    /// See [`Note::replaces`].
    replaces: Option<ProducerId>,
}

/// A partition of the samples, or of the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    partition: i32,
    labels: bool,
}

impl Place {
    fn target(self) -> Target {
        Target { partition: self.partition, labels: self.labels }
    }
}

/// Claims on one dead-letters topic: those that the events tell of, and new ones.
#[derive(Debug)]
pub(super) struct Claims {
    topics: Topics,
    /// Partitions of the events topic, each with the offset up to which the ledger has read it.
    events: Vec<(Partition, i64)>,
    samples: Vec<Partition>,
    /// Empty where labels have no topic of their own.
    labels: Vec<Partition>,
    ledger: Ledger,
    /// Notes made, so that each has a name of its own.
    notes: u64,
}

impl Claims {
    /// Reads from the events what was sent back.
    pub(super) async fn open(
        topics: Topics,
        events: Vec<Partition>,
        samples: Vec<Partition>,
        labels: Vec<Partition>,
    ) -> Result<Self, Error> {
        let events = events.into_iter().map(|partition| (partition, 0)).collect();
        let ledger = Ledger::new(&topics.dead_letters);
        let mut claims = Self { topics, events, samples, labels, ledger, notes: 0 };
        claims.catch_up().await?;
        Ok(claims)
    }

    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Returns where letters of a source go back to.
    pub(super) fn target(&self, source: &Source) -> Target {
        Target { partition: source.partition, labels: self.topics.labels.as_ref() == Some(&source.topic) }
    }

    /// Returns `true` where there is such a partition.
    pub(super) fn takes(&self, target: Target) -> bool {
        self.handle(target).is_some()
    }

    fn handle(&self, Target { partition, labels }: Target) -> Option<&Partition> {
        let handles = if labels { &self.labels } else { &self.samples };
        handles.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn standing(&self, partition: i32, offset: i64) -> &Standing {
        self.ledger.standing(partition, offset)
    }

    /// Reads what the events say since last time.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let Self { events, ledger, .. } = self;
        for (handle, next) in events {
            let range = retry_on(handle, "asking for offsets", || handle.range()).await?;
            *next = (*next).max(range.start);
            while *next < range.end {
                let action = format!("reading `{}`/{}", handle.topic(), handle.partition());
                let from = *next;
                let found = retry_on(handle, &action, || handle.fetch(from)).await?.committed;
                let Some(after) = found.next_offset.filter(|after| after > next) else { break };
                *next = after;
                found.records.iter().filter_map(|it| it.value.as_deref()).for_each(|value| ledger.read(value));
            }
        }
        Ok(())
    }

    /// Puts a note on the events topic.
    async fn note(&mut self, note: &Note) -> Result<(), Error> {
        let count = self.events.len().max(1);
        let partition = note.dead_letters.partition as usize % count;
        let Some((handle, _)) = self.events.get(partition) else { return Ok(()) };
        // Plain structs of texts and numbers always have a JSON form.
        let value = serde_json::to_vec(note).unwrap_or_default();
        let record =
            Outgoing { source: 0, timestamp: note.timestamp, key: None, value: Some(value), headers: Headers::new() };
        let id = producer::identity(handle.cluster(), handle.topic(), handle.partition()).await?;
        let action = format!("noting what is sent back in `{}`", handle.topic());
        let append = || producer::once(handle, id, vec![record.clone()]);
        retry_on(handle, &action, append).await?;
        Ok(())
    }

    /// Sends letters of one partition back that all go to the partition `to`.
    pub(super) async fn send(&mut self, to: Target, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
        let mut fates = Vec::with_capacity(letters.len());
        let mut free = Vec::new();
        // By the identity and the place of claims that have run out.
        let mut left: BTreeMap<(Option<ProducerId>, Place), Vec<DeadLetter>> = BTreeMap::new();
        for letter in letters {
            match self.ledger.standing(letter.partition, letter.offset) {
                Standing::Retried => fates.push(Fate::Already),
                Standing::Claimed { at, .. } if !has_run_out(*at, now()) => fates.push(Fate::Busy),
                Standing::Claimed { producer, samples, .. } => {
                    left.entry((*producer, *samples)).or_default().push(letter);
                }
                Standing::Free => free.push(letter),
            }
        }
        for ((producer, samples), letters) in left {
            fates.extend(self.take_over(producer, samples, letters).await?);
        }
        if !free.is_empty() {
            let terms = self.terms(to, None).await?;
            fates.extend(self.claim(terms, free).await?);
        }
        Ok(fates)
    }

    /// Letters that one run had claimed and not said to be sent.
    async fn take_over(
        &mut self,
        producer: Option<ProducerId>,
        samples: Place,
        letters: Vec<DeadLetter>,
    ) -> Result<Vec<Fate>, Error> {
        let Some(handle) = self.handle(samples.target()) else {
            return Ok(vec![Fate::Busy; letters.len()]);
        };
        let action = "looking for what was sent back";
        let look = || read_back::sent_back(handle, samples.from, producer);
        let found = retry_on(handle, action, look).await?;
        let (sent, rest) = split(letters, &found.places);
        let mut fates = vec![Fate::Already; sent.len()];
        self.sent(&sent, samples, producer).await?;
        if !rest.is_empty() {
            let terms = match producer {
                Some(producer) if !found.written => Terms { producer, samples, replaces: None },
                written => self.terms(samples.target(), written).await?,
            };
            fates.extend(self.claim(terms, rest).await?);
        }
        Ok(fates)
    }

    /// Makes the terms of a claim with a new identity.
    async fn terms(&mut self, to: Target, replaces: Option<ProducerId>) -> Result<Terms, Error> {
        let Target { partition, labels } = to;
        let missing = || Error::Topic {
            topic: self.topics.labels.as_ref().filter(|_| labels).unwrap_or(&self.topics.samples).clone(),
            problem: format!("it has no partition {partition} any more"),
        };
        let handle = self.handle(to).ok_or_else(missing)?;
        let from = retry_on(handle, "asking for offsets", || handle.range()).await?.end;
        let producer = producer::identity(handle.cluster(), handle.topic(), partition).await?;
        Ok(Terms { producer, samples: Place { partition, from, labels }, replaces })
    }

    /// Claims letters of one partition, and sends those of which the claim counts.
    async fn claim(&mut self, terms: Terms, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
        let Terms { producer, samples, replaces } = terms;
        let claim = Note { replaces, ..self.note_of(Kind::Retrying, &letters, samples, Some(producer)) };
        self.note(&claim).await?;
        self.catch_up().await?;
        let is_ours = |letter: &DeadLetter| match self.ledger.standing(letter.partition, letter.offset) {
            Standing::Claimed { by, .. } => *by == claim.by,
            Standing::Free | Standing::Retried => false,
        };
        let (ours, others): (Vec<DeadLetter>, Vec<DeadLetter>) = letters.into_iter().partition(is_ours);
        let mut fates = vec![Fate::Busy; others.len()];
        if ours.is_empty() {
            return Ok(fates);
        }
        let Some(places) = self.append(producer, samples, &ours).await? else {
            fates.extend(ours.iter().map(|_| Fate::TooLarge));
            return Ok(fates);
        };
        // What is not there was not in the batch of a run that took ours over, or which we took over.
        let (sent, rest) = split(ours, &places);
        self.sent(&sent, samples, Some(producer)).await?;
        fates.extend(sent.iter().map(|_| Fate::Sent).chain(rest.iter().map(|_| Fate::Busy)));
        Ok(fates)
    }

    /// Appends the samples as the batch of `producer`; returns the places of the letters in the batch that is there then,
    /// or `None` where the topic does not take it.
    async fn append(
        &mut self,
        producer: ProducerId,
        to: Place,
        letters: &[DeadLetter],
    ) -> Result<Option<HashSet<String>>, Error> {
        let Some(handle) = self.handle(to.target()) else { return Ok(None) };
        let action = format!("sending dead letters back to `{}`/{}", handle.topic(), handle.partition());
        let attempt = || async move {
            let samples = letters.iter().map(|letter| letter.sample_at(now())).collect();
            let base = match producer::once(handle, producer, samples).await {
                Err(Fault::TooLarge) => return Ok(None),
                appended => appended?,
            };
            let found = read_back::sent_back(handle, base.unwrap_or(to.from), Some(producer)).await?;
            if found.written {
                return Ok(Some(found.places));
            }
            if !found.whole {
                // Retention has dropped what the broker says was there.
                return Ok(Some(letters.iter().map(DeadLetter::place).collect()));
            }
            Err(Fault::transient("what the broker says is there cannot be read yet"))
        };
        Ok(retry_on(handle, &action, attempt).await?)
    }

    /// Remembers that letters of one partition are in the samples topic.
    async fn sent(
        &mut self,
        letters: &[DeadLetter],
        samples: Place,
        producer: Option<ProducerId>,
    ) -> Result<(), Error> {
        if letters.is_empty() {
            return Ok(());
        }
        let note = self.note_of(Kind::Retried, letters, samples, producer);
        self.note(&note).await
    }

    fn note_of(&mut self, event: Kind, letters: &[DeadLetter], samples: Place, producer: Option<ProducerId>) -> Note {
        self.notes += 1;
        let dead_letters = Letters {
            topic: self.topics.dead_letters.clone(),
            partition: letters.first().map_or(0, |letter| letter.partition),
            offsets: letters.iter().map(|letter| letter.offset).collect(),
        };
        let by = format!("{}-{}-{}", std::process::id(), now(), self.notes);
        Note { event, dead_letters, by, samples, producer, replaces: None, timestamp: now() }
    }
}

/// Splits letters into those that are at `places`, and the others.
fn split(letters: Vec<DeadLetter>, places: &HashSet<String>) -> (Vec<DeadLetter>, Vec<DeadLetter>) {
    letters.into_iter().partition(|letter| places.contains(&letter.place()))
}
