//! Two processes that publish the same: each says on the events topic where it runs, so that the one that has to end can say
//! where the other is, and what both have published by then is named there record by record.
//!
//! Invariant: of two that publish the same, the one with the older identity goes on. What is there twice is looked for by
//! whoever notices, once nothing of its own is under way any more; so each record is named at least once, also where only
//! one of them notices.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thalweg_topic::{
    Error, Output,
    record::{Headers, Outgoing, Record},
    source, stamps,
};

use super::{
    client::{Partition, Producer, Refusal, Try, retry_on},
    origin,
    protocol::{Committed, ProducerId, Time},
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

/// A process that publishes, as people find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Instance {
    host: String,
    process: u32,
    client_id: String,
    /// The path of its state file.
    state: String,
    version: String,
}

impl Instance {
    pub(super) fn of(shared: &Shared) -> Self {
        let path = shared.store.path();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            process: std::process::id(),
            client_id: shared.cluster.config().client_id.clone(),
            state: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, process, client_id, state, version } = self;
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

/// Puts notices on the events topic. Under no identity: one that is there twice says nothing else.
async fn publish(events: &Partition, notices: &[Notice]) -> Result<(), Refusal> {
    let record = |notice: &Notice| {
        // Plain structs of texts and numbers always have a JSON form.
        let value = Some(serde_json::to_vec(notice).unwrap_or_default());
        Outgoing { source: 0, timestamp: stamps::now(), key: None, value, headers: Headers::new() }
    };
    for notice in notices {
        retry_on(events, "saying who publishes", async || {
            let (cluster, topic) = (events.cluster(), events.topic());
            let producer = Producer::open(cluster, topic, events.partition(), NO_PRODUCER).await?;
            producer.append(-1, vec![record(notice)], Time::Own).await.map(drop)
        })
        .await?;
    }
    Ok(())
}

/// Says on the events topic that this process publishes what is made from a partition, under this identity; once.
pub(super) async fn announce(shared: &Shared, partition: i32, events: &Partition, id: ProducerId) -> Result<(), Error> {
    if !shared.announced(partition, id) {
        return Ok(());
    }
    let notice = Notice::Publishing {
        samples: Samples { topic: shared.topics.samples.clone(), partition },
        producer: id,
        by: Instance::of(shared),
        timestamp: stamps::now(),
    };
    Ok(publish(events, &[notice]).await?)
}

/// Returns the identity of another Thalweg that has read the same samples and written into `range` of the output that
/// `handle` is of. `ours` are identities of this state file.
pub(super) async fn between(
    handle: &Partition,
    shared: &Shared,
    output: Output,
    partition: i32,
    range: Range<i64>,
    ours: &[ProducerId],
) -> Try<Option<ProducerId>> {
    let found = origin::records(handle, range.clone(), false).await?;
    let same = |record: &Record| {
        let samples = &shared.topics.samples;
        source::offset(output, record.value.as_deref(), &record.headers, samples, partition).is_some()
    };
    let rival = |committed: &Committed| {
        let mut records = committed.records.iter().filter(|record| range.contains(&record.offset) && same(record));
        records.find_map(|record| {
            let batch = committed.written.iter().find(|batch| batch.offsets.contains(&record.offset))?;
            (!ours.contains(&batch.producer)).then_some(batch.producer)
        })
    };
    Ok(found.iter().find_map(rival))
}

/// Returns what the process with this identity says of itself, the newest of it.
pub(super) async fn instance(events: &Partition, producer: ProducerId) -> Try<Option<Instance>> {
    let range = events.range().await?;
    let (mut end, mut window) = (range.end, FIRST_WINDOW);
    while end > range.start && range.end - end < MAX_LOOKED_BACK {
        let start = (end - window).max(range.start);
        let found = origin::records(events, start..end, false).await?;
        let said = found.iter().flat_map(|committed| &committed.records).filter_map(notice).filter_map(|it| match it {
            Notice::Publishing { producer: of, by, .. } if of == producer => Some(by),
            _ => None,
        });
        if let Some(newest) = said.last() {
            return Ok(Some(newest));
        }
        (end, window) = (start, window * 2);
    }
    Ok(None)
}

/// What two have published, in one output.
pub(super) struct Overlap<'a> {
    pub(super) shared: &'a Shared,
    pub(super) output: Output,
    /// Of the samples.
    pub(super) partition: i32,
    pub(super) handle: &'a Partition,
    pub(super) events: &'a Partition,
    /// The first offset at which the other one has written.
    pub(super) from: i64,
}

impl Overlap<'_> {
    /// Looks for the records that are there twice and names them, on the events topic and in the log.
    pub(super) async fn name(&self) {
        let Self { shared, partition, handle, .. } = self;
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
            let notices: Vec<Notice> = doubled
                .chunks(RECORDS_PER_EVENT)
                .map(|records| Notice::Overlap {
                    samples: Samples { topic: shared.topics.samples.clone(), partition: *partition },
                    topic: topic.to_owned(),
                    partition: handle.partition(),
                    records: records.to_vec(),
                    by: Instance::of(shared),
                    timestamp: stamps::now(),
                })
                .collect();
            publish(self.events, &notices).await?;
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
                events = self.events.topic(),
                "what was made from these samples is there twice, since two have published it; the events topic names each"
            );
        }
    }

    /// Finds the samples of which the output holds more than one record since another one writes there, in order.
    async fn doubled(&self) -> Try<Vec<Doubled>> {
        let range = self.handle.range().await?;
        let from = self.from.max(range.start);
        let mut found = Found::default();
        self.read(from..range.end, &mut found).await?;
        // Records come in the order of their sources, so what goes with the first of them is not far before.
        let Some(lowest) = found.lowest() else { return Ok(Vec::new()) };
        let (mut end, mut window) = (from, FIRST_WINDOW);
        while end > range.start && found.lowest().is_none_or(|source| source >= lowest) {
            let start = (end - window).max(range.start);
            self.read(start..end, &mut found).await?;
            (end, window) = (start, window * 2);
        }
        Ok(found.doubled(lowest))
    }

    async fn read(&self, range: Range<i64>, found: &mut Found) -> Try<()> {
        let Self { shared, output, partition, .. } = self;
        let samples = &shared.topics.samples;
        for committed in origin::records(self.handle, range.clone(), false).await? {
            for record in committed.records.iter().filter(|record| range.contains(&record.offset)) {
                let value = record.value.as_deref();
                if let Some(source) = source::offset(*output, value, &record.headers, samples, *partition) {
                    found.0.entry(source).or_default().insert(record.offset);
                }
            }
        }
        Ok(())
    }
}

/// The offsets of what was made from each sample.
#[derive(Default)]
struct Found(BTreeMap<i64, BTreeSet<i64>>);

impl Found {
    fn lowest(&self) -> Option<i64> {
        self.0.keys().next().copied()
    }

    fn doubled(&self, from: i64) -> Vec<Doubled> {
        let twice = self.0.range(from..).filter(|(_, offsets)| offsets.len() > 1);
        twice.map(|(source, offsets)| Doubled { source: *source, offsets: offsets.iter().copied().collect() }).collect()
    }
}
