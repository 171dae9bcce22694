//! The generator's side: samples into all partitions of the samples topic.
//!
//! Invariant: a sample's number with the broker is its place among those of its partition, so that a sample is there once
//! however often it is sent, and what of a batch is there already is found by its number.
//! Where it is guarded, every record in the topic is the generator's: it looks before the first sample and at whatever
//! comes in between, and ends when somebody else writes there.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use futures_util::future::try_join_all;

use super::{
    client::{Cluster, Fault, Partition, Producer, Retry, Try, producer, retry_on},
    limits::{self, Refused},
    origin::{self, GENERATED, Held},
    protocol::{ProducerId, Time, advance},
    read_back::{self, ReadBack},
    shared::Shared,
};
use thalweg_store::{Store, set_meta};
use thalweg_topic::{Error, record::Outgoing};

/// Name in the state file of the number of samples that are there.
pub(super) fn name(shared: &Shared) -> String {
    format!("generated:{}", shared.topics.samples)
}

/// A producer per partition.
#[derive(Debug, Default)]
pub(super) struct Generated {
    producers: HashMap<i32, PartitionProducer>,
    /// The end of each partition when all in it was found to be the generator's; empty where anything may be in it.
    guarded: Vec<i64>,
}

/// The way into one partition.
#[derive(Debug)]
struct PartitionProducer {
    handle: Partition,
    id: ProducerId,
    producer: Option<Producer>,
    /// Samples at or after this offset may not be recorded yet.
    noted: i64,
    /// Set when it has to be looked up what is there.
    unsure: bool,
    /// The end at the first try to look.
    appended: OnceLock<i64>,
    /// The result of that look.
    read_back: ReadBack,
    refused: Refused,
    /// Everything before this offset is the generator's; `None` where anything may be in the partition.
    own: Option<i64>,
}

/// Why a try to append has ended.
enum Stop {
    /// The broker, or the way to it.
    Fault(Fault),
    /// Whatever the next try may bring.
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Samples on their way, and the number of the first.
struct Batch {
    samples: Vec<Outgoing>,
    sequence: i32,
}

impl Generated {
    /// One that writes only among its own samples.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the topic holds, or has held, anything else.
    pub(super) async fn guarded(
        cluster: &Arc<Cluster>,
        store: &Store,
        topic: &str,
        partitions: i32,
    ) -> Result<Self, Error> {
        let look = async |partition: i32| {
            let ours = identities(store, topic, partition)?;
            let noted = store.meta(&offset_name(topic, partition))?.unwrap_or(0);
            let handle = Partition::new(cluster, topic, partition);
            let action = format!("looking who has written to `{topic}`/{partition}");
            let held = retry_on(&handle, &action, || origin::held(&handle)).await?;
            match not_ours(&held, &ours, noted) {
                Some(found) => {
                    let found = format!("{found} in partition {partition}");
                    Err(Error::Foreign { topic: topic.to_owned(), found })
                }
                None => Ok(held.range.end),
            }
        };
        let guarded = try_join_all((0..partitions).map(look)).await?;
        Ok(Self { producers: HashMap::new(), guarded })
    }

    /// Appends samples, of which `samples[0]` is number `first`, and notes it.
    pub(super) async fn append(
        &mut self,
        shared: &Arc<Shared>,
        first: u64,
        samples: Vec<Outgoing>,
    ) -> Result<(), Error> {
        let partitions = shared.sample_partitions.max(1) as u64;
        let after = first + samples.len() as u64;
        let mut batches: Vec<Option<Batch>> = (0..partitions).map(|_| None).collect();
        for (i, sample) in (first..).zip(samples) {
            let place = (i / partitions) & i32::MAX as u64;
            let batch = batches[(i % partitions) as usize]
                .get_or_insert_with(|| Batch { samples: Vec::new(), sequence: place as i32 });
            batch.samples.push(sample);
        }
        let missing =
            (0..).zip(&batches).filter(|(partition, batch)| batch.is_some() && !self.producers.contains_key(partition));
        let open = async |partition: i32| {
            let own = self.guarded.get(partition as usize).copied();
            Ok::<_, Error>((partition, PartitionProducer::open(shared, partition, own).await?))
        };
        let opened = try_join_all(missing.map(|(partition, _)| open(partition))).await?;
        self.producers.extend(opened);
        let append = async |partition: i32, producer: &mut PartitionProducer, mut batch: Batch| {
            let cluster = Arc::clone(producer.handle.cluster());
            let action = format!("appending samples to `{}`/{partition}", shared.topics.samples);
            let mut retry = Retry::new(&cluster, Some(&shared.topics.samples), &action);
            loop {
                match producer.append(shared, &mut batch).await {
                    Ok(()) => {
                        retry.succeeded();
                        return Ok(());
                    }
                    Err(Stop::Error(error)) => return Err(error),
                    Err(Stop::Fault(fault)) => retry.after(fault).await?,
                }
            }
        };
        let appends = self.producers.iter_mut().filter_map(|(partition, producer)| {
            let batch = batches[*partition as usize].take()?;
            Some(append(*partition, producer, batch))
        });
        try_join_all(appends).await?;
        let mut notes = vec![(name(shared), after.cast_signed())];
        notes.extend(
            self.producers
                .iter()
                .map(|(partition, producer)| (offset_name(&shared.topics.samples, *partition), producer.noted)),
        );
        let note =
            move |tx: &rusqlite::Transaction<'_>| notes.iter().try_for_each(|(name, it)| set_meta(tx, name, *it));
        shared.store.write("the generator's position cannot be written", note).await?;
        Ok(())
    }
}

/// Says, as the beginning of a sentence, what of a partition the generator did not write. `noted` is the offset up to
/// which this state file knows what has been generated.
fn not_ours(held: &Held, ours: &[ProducerId], noted: i64) -> Option<String> {
    if let Some(record) = held.edges.iter().find_map(|committed| origin::stranger(committed, ours)) {
        return Some(format!(
            "it holds records that Thalweg's generator did not write, such as that at offset {}",
            record.offset
        ));
    }
    if held.decided < held.range.end {
        return Some(format!("another program writes a transaction at offset {}", held.decided));
    }
    let empty = held.edges.iter().all(|committed| committed.records.is_empty());
    if empty && held.range.end > 0 && noted == 0 {
        let end = held.range.end;
        return Some(format!("it is empty now, but somebody has written to it before (it ends at offset {end})"));
    }
    None
}

impl PartitionProducer {
    async fn open(shared: &Arc<Shared>, partition: i32, own: Option<i64>) -> Result<Self, Error> {
        let handle = Partition::new(&shared.cluster, &shared.topics.samples, partition);
        // The offset is kept after the identity: without an identity an earlier run may have written at any offset.
        let noted = shared.store.meta(&offset_name(&shared.topics.samples, partition))?.unwrap_or(0);
        let known = shared.store.meta(&identity_name(&shared.topics.samples, partition, shared.sample_partitions))?;
        let id = match known {
            Some(id) => id,
            None => identity(shared, partition).await?,
        };
        Ok(Self {
            handle,
            id,
            producer: None,
            noted,
            unsure: known.is_some(),
            appended: OnceLock::new(),
            read_back: ReadBack::default(),
            refused: Refused::default(),
            own,
        })
    }

    /// One try to append what is not there yet.
    async fn append(&mut self, shared: &Arc<Shared>, batch: &mut Batch) -> Result<(), Stop> {
        if self.unsure {
            self.read_back = read_back::samples(&self.handle, self.noted, self.id, &self.appended).await?;
            (self.unsure, self.appended) = (false, OnceLock::new());
        }
        if let Some(next) = self.read_back.sequence {
            if batch.leave_out(next) {
                return Ok(());
            }
            self.read_back.sequence = None;
        }
        if self.refused.is_lasting() {
            tracing::warn!(
                event = "new_producer",
                partition = self.handle.partition(),
                "the broker does not go on with our numbers; going on as another producer"
            );
            self.id = identity(shared, self.handle.partition()).await?;
            self.refused = Refused::default();
        }
        while !batch.samples.is_empty() {
            let limit = shared.sample_batch_bytes.load(Ordering::Relaxed);
            let (count, bytes) = batch.within(limit);
            match self.send(batch.sequence, &batch.samples[..count]).await {
                Ok(base) => {
                    batch.sent(count);
                    (self.noted, self.refused) = (base + count as i64, Refused::default());
                    self.watch(shared, base).await?;
                }
                Err(Fault::TooLarge) if count > 1 => {
                    limits::lower_after(&shared.cluster, self.handle.topic(), &shared.sample_batch_bytes, bytes)
                        .await?;
                }
                Err(fault) => return Err(self.failed(fault, bytes, batch.sequence)),
            }
        }
        Ok(())
    }

    async fn send(&mut self, sequence: i32, samples: &[Outgoing]) -> Try<i64> {
        let producer = match &self.producer {
            Some(producer) => producer,
            None => {
                let handle = &self.handle;
                let opened = Producer::open(handle.cluster(), handle.topic(), handle.partition(), self.id).await?;
                self.producer.insert(opened)
            }
        };
        let mut samples = samples.to_vec();
        if let Some(first) = samples.first_mut() {
            first.headers.set(GENERATED, sequence.to_string());
        }
        let base = producer.append(sequence, samples, Time::Own).await?;
        Fault::unless_new(base, self.read_back.end)
    }

    /// Looks at what has come before the batch at `base` since all there was ours.
    async fn watch(&mut self, shared: &Shared, base: i64) -> Result<(), Stop> {
        let Some(own) = self.own else { return Ok(()) };
        if base != own {
            let topic = &shared.topics.samples;
            let partition = self.handle.partition();
            let ours = identities(&shared.store, topic, partition)?;
            // A topic that was made anew begins at 0.
            let between = if own < base { own } else { 0 }..base;
            let came = origin::records(&self.handle, between, false).await?;
            if let Some(record) = came.iter().find_map(|committed| origin::stranger(committed, &ours)) {
                let found = format!(
                    "somebody else writes to it as well (partition {partition}, offset {}), while the generator runs",
                    record.offset
                );
                return Err(Error::Foreign { topic: topic.clone(), found }.into());
            }
        }
        self.own = Some(self.noted);
        Ok(())
    }

    /// Makes of a failed request what is to be done: mostly to look what is there.
    fn failed(&mut self, fault: Fault, bytes: usize, sequence: i32) -> Stop {
        (self.producer, self.unsure) = (None, true);
        match fault {
            Fault::OutOfSequence(_) => self.refused.again(sequence),
            Fault::TooLarge => {
                return Stop::Error(Error::Broker {
                    action: format!("producing to `{}`", self.handle.topic()),
                    problem: "the topic takes no sample of this size; raise its max.message.bytes".to_owned(),
                    reason: format!("a single record of {bytes} bytes was refused"),
                });
            }
            _ => {}
        }
        Stop::Fault(fault)
    }
}

impl Batch {
    /// Leaves out what comes before number `next`; returns `true` where that is everything.
    fn leave_out(&mut self, next: i32) -> bool {
        // Numbers begin again past the largest, so that one is behind another that is less than half a turn ahead.
        let ahead = (next.wrapping_sub(self.sequence) & i32::MAX) as usize;
        if ahead < 1 << 30 {
            let count = ahead.min(self.samples.len());
            self.sent(count);
        }
        self.samples.is_empty()
    }

    /// Returns the number of samples that fit into a request, one at least, and their bytes.
    fn within(&self, limit: usize) -> (usize, usize) {
        let mut bytes = 0;
        for (count, sample) in self.samples.iter().enumerate() {
            if count > 0 && bytes + sample.size() > limit {
                return (count, bytes);
            }
            bytes += sample.size();
        }
        (self.samples.len(), bytes)
    }

    fn sent(&mut self, count: usize) {
        self.samples.drain(..count);
        self.sequence = advance(self.sequence, count);
    }
}

/// A new identity for a producer, noted before it is used.
async fn identity(shared: &Arc<Shared>, partition: i32) -> Result<ProducerId, Error> {
    let id = producer::identity(&shared.cluster, &shared.topics.samples, partition).await?;
    let name = identity_name(&shared.topics.samples, partition, shared.sample_partitions);
    let note = move |tx: &rusqlite::Transaction<'_>| set_meta(tx, &name, id);
    shared.store.write("the generator's identity cannot be written", note).await?;
    Ok(id)
}

/// The identities under which this state file's generator has ever written into a partition, of however many there were.
fn identities(store: &Store, topic: &str, partition: i32) -> Result<Vec<ProducerId>, Error> {
    Ok(store.metas(&format!("generator:{topic}/{partition}/"))?)
}

/// A sample's number depends on how many partitions there are.
fn identity_name(topic: &str, partition: i32, partitions: i32) -> String {
    format!("generator:{topic}/{partition}/{partitions}")
}

fn offset_name(topic: &str, partition: i32) -> String {
    format!("generated:{topic}/{partition}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: i32, count: usize) -> Batch {
        Batch { samples: vec![Outgoing::default(); count], sequence }
    }

    #[test]
    fn what_is_there_is_left_out_by_its_number() {
        for (sequence, next, left, first) in [
            (10, 10, 5, 10),
            (10, 12, 3, 12),
            (10, 15, 0, 15),
            (10, 400, 0, 15),
            // Less is there than has been noted.
            (10, 7, 5, 10),
            (i32::MAX - 1, 1, 2, 1),
        ] {
            let mut batch = batch(sequence, 5);
            assert_eq!(batch.leave_out(next), left == 0, "{sequence} {next}");
            assert_eq!((batch.samples.len(), batch.sequence), (left, first), "{sequence} {next}");
        }
    }

    #[test]
    fn a_request_holds_what_fits_and_one_sample_at_least() {
        let one = Outgoing::default().size();
        assert_eq!(batch(0, 5).within(3 * one), (3, 3 * one));
        assert_eq!(batch(0, 5).within(1), (1, one));
    }
}
