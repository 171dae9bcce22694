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
    client::{Fault, persist, producer},
    dead_letters::KafkaDeadLetters,
    landed,
    ledger::{Kind, Letters, Note, Place, Standing, has_run_out, now},
    protocol::ProducerId,
};
use thalweg_topic::{Error, Fate, dead_letters::DeadLetter};

/// Under what letters of one partition are sent.
struct Terms {
    producer: ProducerId,
    samples: Place,
    /// See [`Note::replaces`].
    replaces: Option<ProducerId>,
}

impl KafkaDeadLetters {
    /// Sends letters of one partition back that all go to the partition `to` of the samples.
    pub(super) async fn send(&mut self, to: i32, letters: Vec<DeadLetter>) -> Result<Vec<Fate>, Error> {
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
        let Some(handle) = self.samples.get_mut(samples.partition as usize) else {
            return Ok(vec![Fate::Busy; letters.len()]);
        };
        let action = "looking for what was sent back";
        let found = persist!(self.cluster, action, landed::sent_back(handle, samples.from, producer))?;
        let (sent, rest) = split(letters, &found.places);
        let mut fates = vec![Fate::Already; sent.len()];
        self.sent(&sent, samples, producer).await?;
        if !rest.is_empty() {
            let terms = match producer {
                Some(producer) if !found.written => Terms { producer, samples, replaces: None },
                written => self.terms(samples.partition, written).await?,
            };
            fates.extend(self.claim(terms, rest).await?);
        }
        Ok(fates)
    }

    /// Those of a claim with a new identity.
    async fn terms(&mut self, to: i32, replaces: Option<ProducerId>) -> Result<Terms, Error> {
        let missing = || Error::Topic {
            topic: self.topics.samples.clone(),
            problem: format!("it has no partition {to} any more"),
        };
        let handle = self.samples.get_mut(to as usize).ok_or_else(missing)?;
        let from = persist!(self.cluster, "asking for offsets", handle.range())?.end;
        let producer = producer::identity(&self.cluster, &self.topics.samples, to).await?;
        Ok(Terms { producer, samples: Place { partition: to, from }, replaces })
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
        let Some(handle) = self.samples.get_mut(to.partition as usize) else { return Ok(None) };
        let action = format!("sending dead letters back to `{}`/{}", handle.topic(), handle.partition());
        let mut attempt = async || {
            let samples = letters.iter().map(|letter| letter.sample_at(now())).collect();
            let base = match producer::once(handle, producer, samples).await {
                Err(Fault::TooLarge) => return Ok(None),
                appended => appended?,
            };
            let found = landed::sent_back(handle, base.unwrap_or(to.from), Some(producer)).await?;
            if found.written {
                return Ok(Some(found.places));
            }
            if !found.whole {
                // Retention has dropped what the broker says was there.
                return Ok(Some(letters.iter().map(DeadLetter::place).collect()));
            }
            Err(Fault::passing("what the broker says is there cannot be read yet"))
        };
        persist!(self.cluster, action, attempt())
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

/// Those that are at `places`, and the others.
fn split(letters: Vec<DeadLetter>, places: &HashSet<String>) -> (Vec<DeadLetter>, Vec<DeadLetter>) {
    letters.into_iter().partition(|letter| places.contains(&letter.place()))
}
