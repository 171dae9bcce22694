//! A Kafka broker as another program meets it: topics read, written, deleted and made outside of the daemon.
//!
//! Included by the suites that need a broker, by path, so that no other has to build the client.

#![allow(dead_code)]

use std::{
    collections::HashMap,
    future::Future,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record as KafkaRecord,
};
use thalweg_topic::{Output, record::Record};
use tokio::runtime::Runtime;

use crate::support::{
    PATIENCE,
    daemon::{Workspace, stdout},
    proof::{self, FOREIGN, Proof},
};

/// Milliseconds since the Unix epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock").as_millis() as i64
}

/// Names of a daemon's topics.
#[derive(Clone)]
pub struct Names {
    pub samples: String,
    /// Predictions, dead letters, events.
    pub outputs: [String; 3],
    /// Of the samples.
    pub partitions: i32,
    /// Of each output: fewer, where several sample partitions share one.
    pub output_partitions: i32,
}

impl Names {
    /// Names of one's own, since suites share the broker.
    pub fn unique(name: &str, partitions: i32) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("{name}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let outputs = ["predictions", "dead-letters", "events"].map(|output| format!("{prefix}.{output}"));
        Self { samples: format!("{prefix}.samples"), outputs, partitions, output_partitions: partitions }
    }

    /// The same samples, other outputs, of which no two sample partitions share one.
    pub fn undisturbed(&self) -> Self {
        let outputs = self.outputs.clone().map(|name| format!("{name}.undisturbed"));
        Self { outputs, output_partitions: self.partitions, ..self.clone() }
    }

    /// A daemon's folder with these topics on a broker at `address`, or on several with commas in between.
    pub fn site(&self, address: &str, more: &[&str]) -> Workspace {
        // Whoever mixes records in does so in topics of a generator's.
        let generator = ["generator.enabled=true", "generator.into_foreign_topic=true"];
        let mut site = Workspace::new(&[&generator, more].concat());
        let [predictions, dead_letters, events] = &self.outputs;
        site.settings.extend([
            "transport.kind=kafka".to_owned(),
            format!("transport.kafka.brokers=[\"{}\"]", address.replace(',', "\",\"")),
            format!("topics.partitions={}", self.partitions),
            format!("topics.samples={}", self.samples),
            format!("topics.predictions={predictions}"),
            format!("topics.dead_letters={dead_letters}"),
            format!("topics.events={events}"),
        ]);
        site
    }
}

/// The broker.
pub struct BrokerClient {
    runtime: Runtime,
    address: String,
    client: Mutex<Option<Arc<Client>>>,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
}

impl BrokerClient {
    pub fn new(address: impl Into<String>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        Self { runtime, address: address.into(), client: Mutex::default(), partitions: Mutex::default() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs `work` here; it must not take for ever.
    pub fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let bounded = async { tokio::time::timeout(PATIENCE, work).await };
        self.runtime.block_on(bounded).unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
    }

    /// Forgets its connections, as after the broker or a topic was made anew.
    pub fn forget(&self) {
        self.client.lock().expect("a lock").take();
        self.partitions.lock().expect("a lock").clear();
    }

    fn client(&self) -> Arc<Client> {
        let mut client = self.client.lock().expect("a lock");
        let connect = || {
            let addresses = self.address.split(',').map(str::to_owned).collect();
            let built = self.wait("the broker", ClientBuilder::new(addresses).build());
            Arc::new(built.expect("the broker answers"))
        };
        Arc::clone(client.get_or_insert_with(connect))
    }

    /// The names of all topics with their number of partitions.
    pub fn topics(&self) -> HashMap<String, i32> {
        let topics = self.wait("the topics", self.client().list_topics()).expect("the topics");
        topics.into_iter().map(|topic| (topic.name, topic.partitions.len() as i32)).collect()
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        let controller = self.client().controller_client().expect("a controller");
        if let Err(error) = self.wait("a new topic", controller.create_topic(topic, partitions, 1, 10_000)) {
            // The daemon may have been faster.
            assert!(self.topics().contains_key(topic), "{error}");
        }
        self.until(&format!("topic {topic}"), || self.topics().contains_key(topic));
        self.forget();
    }

    /// Deletes a topic; it is gone when this returns.
    pub fn delete(&self, topic: &str) {
        let controller = self.client().controller_client().expect("a controller");
        self.wait("a deletion", controller.delete_topic(topic, 10_000)).expect("a deletion");
        self.until(&format!("the end of topic {topic}"), || !self.topics().contains_key(topic));
        self.forget();
    }

    /// Deletes all topics but the broker's own. Nobody waits for them to be gone.
    pub fn delete_all(&self) {
        let controller = self.client().controller_client().expect("a controller");
        for topic in self.topics().keys().filter(|topic| !topic.starts_with("__")) {
            // One that cannot be deleted now only costs time.
            let _ = self.wait("a deletion", controller.delete_topic(topic, 10_000));
        }
    }

    /// Drops what a partition holds before `offset`.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let client = self.partition(topic, partition);
        self.wait("records to go", client.delete_records(offset, 10_000)).expect("records go");
    }

    /// Awaits that `condition` holds.
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !condition() {
            assert!(std::time::Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
            self.pause(Duration::from_millis(5));
        }
    }

    /// Lets time pass, where time is the subject, or between two looks.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    fn partition(&self, topic: &str, partition: i32) -> Arc<PartitionClient> {
        let known = self.partitions.lock().expect("a lock").get(&(topic.to_owned(), partition)).cloned();
        known.unwrap_or_else(|| {
            let client = self.client();
            let connect = client.partition_client(topic, partition, UnknownTopicHandling::Retry);
            let client = Arc::new(self.wait("a partition", connect).expect("a partition"));
            self.partitions.lock().expect("a lock").insert((topic.to_owned(), partition), Arc::clone(&client));
            client
        })
    }

    /// First offset.
    pub fn start(&self, topic: &str, partition: i32) -> i64 {
        let client = self.partition(topic, partition);
        self.wait("an offset", client.get_offset(OffsetAt::Earliest)).expect("an offset")
    }

    /// Offset after the last record.
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        let client = self.partition(topic, partition);
        self.wait("an offset", client.get_offset(OffsetAt::Latest)).expect("an offset")
    }

    /// Predictions and dead letters that there are, 0 while there is no topic yet.
    pub fn published(&self, names: &Names) -> i64 {
        let wanted = &names.outputs[..2];
        let last = names.output_partitions - 1;
        let known =
            wanted.iter().all(|topic| self.partitions.lock().expect("a lock").contains_key(&(topic.clone(), last)));
        if !known {
            let topics = self.topics();
            if wanted.iter().any(|topic| topics.get(topic) != Some(&names.output_partitions)) {
                return 0;
            }
        }
        let ends = wanted.iter().flat_map(|topic| (0..=last).map(|partition| self.end(topic, partition)));
        ends.sum()
    }

    /// Appends records with a key, in batches that every broker takes.
    pub fn produce(&self, topic: &str, partition: i32, key: &[u8], values: impl IntoIterator<Item = Option<Vec<u8>>>) {
        self.produce_at(topic, partition, key, now(), values);
    }

    /// The same without keys.
    pub fn produce_keyless(&self, topic: &str, partition: i32, values: Vec<Option<Vec<u8>>>) {
        let timestamp = chrono::DateTime::from_timestamp_millis(now()).expect("a time");
        let record = |value| KafkaRecord { key: None, value, headers: Default::default(), timestamp };
        let records = values.into_iter().map(record).collect();
        let client = self.partition(topic, partition);
        self.wait("a produce", client.produce(records, Compression::NoCompression)).expect("a produce");
    }

    /// The same with records of a time, in milliseconds since the Unix epoch.
    pub fn produce_at(
        &self,
        topic: &str,
        partition: i32,
        key: &[u8],
        time: i64,
        values: impl IntoIterator<Item = Option<Vec<u8>>>,
    ) {
        self.produce_timed(topic, partition, key, values.into_iter().map(|value| (time, value)));
    }

    /// Appends records, each with a time of its own.
    pub fn produce_timed(
        &self,
        topic: &str,
        partition: i32,
        key: &[u8],
        timed: impl IntoIterator<Item = (i64, Option<Vec<u8>>)>,
    ) {
        let record = |(time, value)| KafkaRecord {
            key: Some(key.to_vec()),
            value,
            headers: Default::default(),
            timestamp: chrono::DateTime::from_timestamp_millis(time).expect("a time"),
        };
        let records: Vec<KafkaRecord> = timed.into_iter().map(record).collect();
        let client = self.partition(topic, partition);
        for batch in records.chunks(1000) {
            self.wait("a produce", client.produce(batch.to_vec(), Compression::NoCompression)).expect("a produce");
        }
    }

    /// Appends the same batch to each of the first so many partitions, at once.
    pub fn produce_to_each(&self, topic: &str, partitions: i32, values: Vec<Option<Vec<u8>>>) {
        let timestamp = chrono::DateTime::from_timestamp_millis(now()).expect("a time");
        let record = |value| KafkaRecord { key: None, value, headers: Default::default(), timestamp };
        let records: Vec<KafkaRecord> = values.into_iter().map(record).collect();
        let clients: Vec<_> = (0..partitions).map(|partition| self.partition(topic, partition)).collect();
        let all = clients.iter().map(|client| client.produce(records.clone(), Compression::NoCompression));
        self.wait("batches", futures_util::future::try_join_all(all)).expect("batches");
    }

    /// All that a partition holds.
    pub fn read(&self, topic: &str, partition: i32) -> Vec<Record> {
        let client = self.partition(topic, partition);
        let (mut offset, end) = (self.start(topic, partition), self.end(topic, partition));
        let mut records = Vec::new();
        while offset < end {
            let fetched = self.wait("records", client.fetch_records(offset, 1..16 << 20, 500)).expect("records").0;
            offset = fetched.last().expect("a record").offset + 1;
            records.extend(fetched.into_iter().map(|fetched| Record {
                offset: fetched.offset,
                timestamp: fetched.record.timestamp.timestamp_millis(),
                key: fetched.record.key.map(Into::into),
                value: fetched.record.value.map(Into::into),
                headers:
                    fetched.record.headers.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect(),
                row: None,
            }));
        }
        records
    }

    /// All that a daemon's topics hold, outputs by the sample partition that they were made from; of the events those that
    /// were made from a sample.
    pub fn all(&self, names: &Names) -> proof::Topics {
        let all = |name: &String, count: i32| (0..count).map(|p| self.read(name, p)).collect::<Vec<_>>();
        let outputs = Output::ALL.map(|output| {
            let mut held = all(&names.outputs[output as usize], names.output_partitions);
            if output == Output::Predictions {
                // What they say does not depend on their form.
                for record in held.iter_mut().flatten() {
                    let json = record.value.as_deref().and_then(thalweg::pipeline::form::to_json);
                    record.value = json.map(Into::into).or(record.value.take());
                }
            }
            if output == Output::Events {
                held.iter_mut().for_each(|records| records.retain(proof::has_source));
            }
            if names.output_partitions == names.partitions {
                return held;
            }
            let mut by_source = vec![Vec::new(); names.partitions as usize];
            for (partition, record) in (0..).zip(held).flat_map(|(p, records)| records.into_iter().map(move |r| (p, r)))
            {
                let source = proof::source_partition(output, &record);
                assert_eq!(source % names.output_partitions, partition, "{output:?} of {source}");
                by_source[source as usize].push(record);
            }
            by_source
        });
        proof::Topics { samples: all(&names.samples, names.partitions), outputs }
    }
}

/// What a run that nobody disturbs makes of the same samples from `start` on under `settings`, and its folder.
pub fn undisturbed(bus: &BrokerClient, names: &Names, start: &str, settings: &[&str]) -> (proof::Topics, Workspace) {
    let others = names.undisturbed();
    let start = format!("transport.kafka.start={start}");
    let site = others.site(bus.address(), &[settings, &["generator.enabled=false", &start]].concat());
    let run = site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    (bus.all(&others), site)
}

/// All that a run that has ended owes for the source offsets of `sources`, one range per partition. What it is compared
/// with starts at `start` under `settings`.
pub fn proved(
    bus: &BrokerClient,
    names: &Names,
    site: &Workspace,
    sources: &[Range<i64>],
    start: &str,
    settings: &[&str],
) -> Proof {
    let topics = bus.all(names);
    let (others, undisturbed) = undisturbed(bus, names, start, settings);
    let mut proof = Proof::default();
    proof.each_once(&topics, sources);
    proof.same_outputs(&topics, &others);
    // No test takes an hour.
    proof.times_go_on(&topics, now() - 3_600_000);
    proof.same_state(site, &undisturbed, &names.samples, topics.samples.len());
    let generated = topics.samples.iter().flatten().filter(|record| record.key.as_deref() != Some(FOREIGN)).count();
    proof.generated_once(&topics, &stdout(&site.run(&["generate", "-n", &generated.to_string()])));
    proof
}
