//! Two processes that publish the same: each says on the events topic where it runs, so that the one that has to end can say
//! where the other is, and what both have published by then is named there record by record.
//!
//! Invariant: of two that publish the same, the one that was started first goes on, whichever of them notices and in whatever
//! partition. What is there twice is looked for by whoever notices, once nothing of its own is under way any more; so each record is
//! named at least once, also where only one of them notices.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thalweg_store::Store;
use thalweg_topic::{
    Error, Output,
    record::{Headers, Outgoing, Record},
    source, stamps,
};

use super::{
    client::{Fault, Partition, Producer, Refusal, RefusalKind, Try, retry_on},
    origin,
    protocol::{ProducerId, Time},
    shared::Shared,
};

/// Records that one event names, at most.
const RECORDS_PER_EVENT: usize = 1000;

/// Offsets looked at first when looking back; each further look goes twice as far.
const FIRST_WINDOW: i64 = 1024;

/// Offsets that are looked back at, at most, for what a rival says of itself.
const MAX_LOOKED_BACK: i64 = 1 << 20;

/// What looking for duplicates may take before the work goes on, or ends, without.
const MAX_LOOKING: Duration = Duration::from_secs(30);

/// Of a batch whose records have no numbers.
const NO_PRODUCER: ProducerId = -1;

/// A process that publishes, as people find it. The one that was started first is the least.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Instance {
    /// Time of its start, in milliseconds since the Unix epoch.
    started: i64,
    host: String,
    process: u32,
    client_id: String,
    /// The path of its state file.
    state: String,
    version: String,
}

impl Instance {
    /// Describes this process, which has just been started.
    pub(super) fn new(store: &Store, client_id: &str) -> Self {
        let path = store.path();
        Self {
            started: stamps::now(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            process: std::process::id(),
            client_id: client_id.to_owned(),
            state: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Says whether both use the same state file, so that they are not there at the same time.
    fn succeeds(&self, other: &Self) -> bool {
        (&self.host, &self.state) == (&other.host, &other.state)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, process, client_id, state, version, .. } = self;
        write!(f, "process {process} on host {host} (client id {client_id}, state file {state}, version {version})")
    }
}

/// One partition of the samples topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Samples {
    topic: String,
    partition: i32,
}

/// An event about who publishes. It has no `source`, which a worker's events have, so that reading those back passes over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Notice {
    /// A process begins to publish what is made from a partition.
    Publishing {
        samples: Samples,
        /// The identity under which it does.
        producer: ProducerId,
        #[serde(flatten)]
        by: Instance,
        timestamp: i64,
    },
    /// Records that are there twice.
    Overlap {
        samples: Samples,
        /// The output's topic.
        topic: String,
        partition: i32,
        records: Vec<Doubled>,
        /// Who found them.
        #[serde(flatten)]
        by: Instance,
        timestamp: i64,
    },
}

impl Notice {
    fn samples(&self) -> &Samples {
        let (Self::Publishing { samples, .. } | Self::Overlap { samples, .. }) = self;
        samples
    }
}

/// A sample of which an output holds more than one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubled {
    /// Its offset in the samples.
    source: i64,
    /// Its place among the rows of that record, where it held many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<u32>,
    /// The offsets of what was made from it.
    offsets: Vec<i64>,
}

/// Returns the samples topic that an event of ours is about, where it is one of who publishes.
pub(super) fn samples_of(record: &Record) -> Option<String> {
    Some(notice(record)?.samples().topic.clone())
}

fn notice(record: &Record) -> Option<Notice> {
    serde_json::from_slice(record.value.as_deref()?).ok()
}

/// Puts a notice on the events topic. Under no identity: one that is there twice says nothing else.
async fn publish(events: &Partition, notice: &Notice) -> Try<i64> {
    // Plain structs of texts and numbers always have a JSON form.
    let value = Some(serde_json::to_vec(notice).unwrap_or_default());
    let Samples { topic, partition } = notice.samples();
    // A topic that is compacted takes no record without a key.
    let key = Some(format!("{topic}/{partition}").into_bytes());
    let record = Outgoing { source: 0, timestamp: stamps::now(), key, value, headers: Headers::new() };
    let producer = Producer::open(events.cluster(), events.topic(), events.partition(), NO_PRODUCER).await?;
    producer.append(-1, vec![record], Time::Own).await
}

/// Says on the events topic that this process publishes what is made from a partition, under this identity; once. A topic that does
/// not take that holds up nothing. Returns the offset of what was said.
pub(super) async fn announce(
    shared: &Shared,
    partition: i32,
    events: &Partition,
    id: ProducerId,
) -> Result<Option<i64>, Error> {
    if !shared.announced(partition, id) {
        return Ok(None);
    }
    let notice = Notice::Publishing {
        samples: Samples { topic: shared.topics.samples.clone(), partition },
        producer: id,
        by: shared.instance.clone(),
        timestamp: stamps::now(),
    };
    let said = retry_on(events, "saying who publishes", async || match publish(events, &notice).await {
        Err(Fault::TooLarge) => Ok(Err("it is larger than the topic takes (max.message.bytes)".to_owned())),
        Err(Fault::Permanent(refusal)) if refusal.kind == RefusalKind::Request => Ok(Err(refusal.reason)),
        other => other.map(Ok),
    });
    match said.await? {
        Ok(offset) => Ok(Some(offset)),
        Err(problem) => {
            tracing::warn!(
                event = "unannounced",
                topic = events.topic(),
                partition,
                problem,
                "the events topic does not take the record that says who publishes; another process that publishes the same could not \
                 say where this one runs"
            );
            Ok(None)
        }
    }
}

/// Another Thalweg that publishes the same.
#[derive(Debug)]
pub(super) struct Rival {
    producer: ProducerId,
    /// What it says of itself; `None` where the events do not tell.
    pub(super) instance: Option<Instance>,
}

impl Rival {
    /// Says whether it was there before this process, which publishes as `own`.
    pub(super) fn is_older(&self, shared: &Shared, own: ProducerId) -> bool {
        self.instance.as_ref().map_or(self.producer < own, |instance| *instance < shared.instance)
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => instance.fmt(f),
            None => write!(f, "one that the events topic does not tell of (producer {})", self.producer),
        }
    }
}

/// One partition's place in an output.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) shared: &'a Shared,
    pub(super) output: Output,
    /// Of the samples.
    pub(super) partition: i32,
    pub(super) handle: &'a Partition,
    pub(super) events: &'a Partition,
}

impl Place<'_> {
    /// Returns who has written into `range` what is made from the same samples.
    pub(super) async fn producers(&self, range: Range<i64>) -> Try<BTreeSet<ProducerId>> {
        let Self { shared, output, partition, handle, .. } = *self;
        let found = origin::records(handle, range.clone(), false).await?;
        let samples = &shared.topics.samples;
        let same = |record: &Record| {
            let value = record.value.as_deref();
            range.contains(&record.offset)
                && source::offset(output, value, &record.headers, samples, partition).is_some()
        };
        let mut producers = BTreeSet::new();
        for committed in &found {
            for record in committed.records.iter().filter(|record| same(record)) {
                let batch = committed.written.iter().find(|batch| batch.offsets.contains(&record.offset));
                producers.extend(batch.map(|batch| batch.producer));
            }
        }
        Ok(producers)
    }

    /// Looks for another Thalweg among those that have written what is made from the same samples, where this one, which publishes
    /// as `own`, has not since it resumed. `ours` are all identities of this state file.
    pub(super) async fn rival(
        &self,
        producers: &BTreeSet<ProducerId>,
        own: ProducerId,
        ours: &[ProducerId],
    ) -> Try<Option<Rival>> {
        let shared = self.shared;
        for &producer in producers {
            let instances = instances(self.events, producer).await?;
            let others = || instances.iter().rev().filter(|it| !shared.instance.succeeds(it));
            // What we sent earlier may arrive late, and a copy of our state file has our identities.
            let instance = if ours.contains(&producer) {
                let copy = others().find(|other| producer != own || **other > shared.instance);
                if copy.is_none() {
                    continue;
                }
                copy
            } else {
                others().next()
            };
            return Ok(Some(Rival { producer, instance: instance.cloned() }));
        }
        Ok(None)
    }
}

/// Returns what the processes with this identity say of themselves, as far as the newest events tell, in order.
async fn instances(events: &Partition, producer: ProducerId) -> Try<Vec<Instance>> {
    let range = events.range().await?;
    let (mut end, mut window) = (range.end, FIRST_WINDOW);
    while end > range.start && range.end - end < MAX_LOOKED_BACK {
        let start = (end - window).max(range.start);
        let found = origin::records(events, start..end, false).await?;
        let said = found.iter().flat_map(|committed| &committed.records).filter_map(notice).filter_map(|it| match it {
            Notice::Publishing { producer: of, by, .. } if of == producer => Some(by),
            _ => None,
        });
        let said: Vec<Instance> = said.collect();
        if !said.is_empty() {
            return Ok(said);
        }
        (end, window) = (start, window * 2);
    }
    Ok(Vec::new())
}

/// Says whether a copy of this state file publishes under the same identity, or has, as far as the newest events tell.
pub(super) async fn is_copied(shared: &Shared, events: &Partition, id: ProducerId) -> Try<bool> {
    Ok(instances(events, id).await?.iter().any(|instance| !shared.instance.succeeds(instance)))
}

/// What two have published, in one output.
pub(super) struct Overlap<'a> {
    pub(super) place: Place<'a>,
    /// The first offset at which the other one was seen to write.
    pub(super) from: i64,
}

impl Overlap<'_> {
    /// Looks for the records that are there twice and names them, on the events topic and in the log.
    pub(super) async fn name(&self) {
        let Place { shared, partition, handle, events, .. } = self.place;
        let topic = handle.topic();
        let unknown = |error: &dyn fmt::Display| {
            tracing::error!(
                event = "overlap",
                topic,
                partition,
                from = self.from,
                %error,
                "two have published the same, and it could not be looked at which records are there twice: look for those \
                 with the same `source` from here on"
            );
        };
        let found = tokio::time::timeout(MAX_LOOKING, async {
            let doubled = retry_on(handle, "looking for what is there twice", || self.doubled()).await?;
            for records in doubled.chunks(RECORDS_PER_EVENT) {
                let notice = Notice::Overlap {
                    samples: Samples { topic: shared.topics.samples.clone(), partition },
                    topic: topic.to_owned(),
                    partition: handle.partition(),
                    records: records.to_vec(),
                    by: shared.instance.clone(),
                    timestamp: stamps::now(),
                };
                retry_on(events, "naming what is there twice", || publish(events, &notice)).await?;
            }
            Ok::<_, Refusal>(doubled)
        });
        let doubled = match found.await {
            Ok(Ok(doubled)) => doubled,
            Ok(Err(refusal)) => return unknown(&Error::from(refusal)),
            Err(elapsed) => return unknown(&elapsed),
        };
        if let (Some(first), Some(last)) = (doubled.first(), doubled.last()) {
            tracing::error!(
                event = "overlap",
                topic,
                partition,
                records = doubled.len(),
                first = first.source,
                last = last.source,
                events = events.topic(),
                "what was made from these samples is there twice, since two have published it; the events topic names each"
            );
        }
    }

    /// Finds the samples of which the output holds more than one record since another one writes there, in order.
    async fn doubled(&self) -> Try<Vec<Doubled>> {
        let range = self.place.handle.range().await?;
        let from = self.from.max(range.start);
        let mut found = Found::default();
        self.read(from..range.end, &mut found).await?;
        // Records come in the order of their sources, so what goes with the first of them is not far before. Where outputs are
        // shared, the other one may have been there for longer than it was seen.
        let Some(lowest) = found.lowest() else { return Ok(Vec::new()) };
        let (mut end, mut window) = (from, FIRST_WINDOW);
        while end > range.start && from - end < MAX_LOOKED_BACK {
            let (start, before) = ((end - window).max(range.start), found.doubled().len());
            self.read(start..end, &mut found).await?;
            (end, window) = (start, window * 2);
            if found.lowest() < Some(lowest) && found.doubled().len() == before {
                break;
            }
        }
        Ok(found.doubled())
    }

    async fn read(&self, range: Range<i64>, found: &mut Found) -> Try<()> {
        let Place { shared, output, partition, handle, .. } = self.place;
        let samples = &shared.topics.samples;
        for committed in origin::records(handle, range.clone(), false).await? {
            for record in committed.records.iter().filter(|record| range.contains(&record.offset)) {
                let value = record.value.as_deref();
                if let Some(source) = source::row(output, value, &record.headers, samples, partition) {
                    found.0.entry(source).or_default().insert(record.offset);
                }
            }
        }
        Ok(())
    }
}

/// The offsets of what was made from each sample.
#[derive(Default)]
struct Found(BTreeMap<(i64, Option<u32>), BTreeSet<i64>>);

impl Found {
    fn lowest(&self) -> Option<i64> {
        self.0.keys().next().map(|(source, _)| *source)
    }

    fn doubled(&self) -> Vec<Doubled> {
        let twice = self.0.iter().filter(|(_, offsets)| offsets.len() > 1);
        let doubled = |(&(source, row), offsets): (_, &BTreeSet<i64>)| {
            let offsets = offsets.iter().copied().collect();
            Doubled { source, row, offsets }
        };
        twice.map(doubled).collect()
    }
}
