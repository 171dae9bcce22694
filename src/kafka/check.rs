//! A look at the cluster before the daemon has to do with it: is each broker there, may this user in, are the topics there,
//! which rights lack, what will hurt.
//!
//! Invariant: nothing is created, written or changed, and nothing waits for longer than a few deadlines of requests. All that
//! is wrong is told at once, not the first alone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use thalweg_topic::{Error, Finding, Timestamps, Topics, Verdict};
use tokio::time::timeout;

use super::{
    Config, Partitions,
    client::{Cluster, Fault, Partition, Try, names, partitions_of, topic_settings},
    input,
    protocol::{At, Operation},
    rights,
    topic_settings::{Needs, hurting},
};

/// Deadlines of requests that one look may take.
const DEADLINES: u32 = 3;
/// Seconds by which a record may be ahead of this machine's clock.
const MAX_AHEAD_MS: i64 = 2000;

/// What the daemon would do.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// True where it would generate samples.
    pub generates: bool,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Times of what it would publish.
    pub timestamps: Timestamps,
    /// Milliseconds since 1970 by this machine's clock.
    pub now: i64,
}

/// Looks at everything that the daemon will need of the cluster.
pub async fn check(config: Config, topics: &Topics, purpose: Purpose) -> Vec<Finding> {
    let patience = config.request_timeout * DEADLINES;
    let look = Look { patience, topics, purpose, found: Vec::new() };
    look.at(config).await
}

struct Look<'t> {
    patience: Duration,
    topics: &'t Topics,
    purpose: Purpose,
    found: Vec<Finding>,
}

impl<'t> Look<'t> {
    async fn at(mut self, config: Config) -> Vec<Finding> {
        let cluster = match Cluster::new(config, None) {
            Ok(cluster) => Arc::new(cluster),
            Err(refusal) => {
                self.fault("certificates", "", Fault::Permanent(refusal));
                return self.found;
            }
        };
        if !self.brokers(&cluster).await {
            let told = "not asked for, since no broker answers as it should";
            self.add("topics", "", Verdict::Away, told);
            return self.found;
        }
        let counts = self.topics(&cluster).await;
        self.rights(&cluster, counts).await;
        self.settings(&cluster, counts).await;
        if let Some(count) = counts[0] {
            self.clock(&cluster, count).await;
        }
        self.found
    }

    fn add(&mut self, check: &'static str, subject: &str, verdict: Verdict, told: impl Into<String>) {
        self.found.push(Finding::new(check, subject, verdict, told));
    }

    fn fault(&mut self, check: &'static str, subject: &str, fault: Fault) {
        let (verdict, told) = judged(fault);
        self.add(check, subject, verdict, told);
    }

    /// Asks every broker that is listed and every one that those name. Returns `false` where none answers.
    async fn brokers(&mut self, cluster: &Arc<Cluster>) -> bool {
        let listed = cluster.config().brokers.clone();
        let answers = self.greeted(cluster, &listed).await;
        let named: BTreeSet<(String, i32)> = (answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()))
            .flat_map(|metadata| &metadata.brokers)
            .map(|broker| (broker.address.clone(), broker.number))
            .collect();
        let mut refused = false;
        for (address, answer) in answers {
            match answer {
                Ok(metadata) => {
                    let (count, s) = (metadata.brokers.len(), if metadata.brokers.len() == 1 { "" } else { "s" });
                    self.add("broker", &address, Verdict::Ok, format!("answers, of a cluster of {count} broker{s}"));
                }
                Err(fault) => {
                    refused |= matches!(fault, Fault::Permanent(_));
                    self.fault("broker", &address, fault);
                }
            }
        }
        let others: Vec<String> =
            named.iter().map(|(address, _)| address.clone()).filter(|address| !listed.contains(address)).collect();
        for (address, answer) in self.greeted(cluster, &others).await {
            match answer {
                Ok(_) => self.add("broker", &address, Verdict::Ok, "answers; the cluster names it"),
                Err(fault) => {
                    let (verdict, problem) = judged(fault);
                    let told = format!(
                        "{problem}. The cluster names this address (advertised.listeners of the broker), so it has to be \
                         reached from here, whatever transport.kafka.brokers says: mend the name, the port or the firewall, or \
                         let the broker advertise another one"
                    );
                    self.add("broker", &address, verdict, told);
                }
            }
        }
        let answered = !named.is_empty();
        if answered || refused {
            let user = cluster.config().user();
            let told = match (&cluster.config().sasl, answered) {
                (_, false) => return answered,
                (None, true) => format!("none is set; the broker knows this client as {user}"),
                (Some(_), true) => format!("the broker takes that of {user}"),
            };
            self.add("login", "", Verdict::Ok, told);
        }
        answered
    }

    async fn greeted(
        &self,
        cluster: &Arc<Cluster>,
        addresses: &[String],
    ) -> Vec<(String, Try<super::protocol::Metadata>)> {
        join_all(addresses.iter().map(async |address| {
            let silent = || Err(Fault::transient(format!("{address}: no answer within {:?}", self.patience)));
            let answer = timeout(self.patience, cluster.greet(address)).await.unwrap_or_else(|_| silent());
            (address.clone(), answer)
        }))
        .await
    }

    /// Says which topics are there; returns the number of partitions of each, the samples' first.
    async fn topics(&mut self, cluster: &Arc<Cluster>) -> [Option<i32>; 4] {
        let names = [&self.topics.samples, &self.topics.predictions, &self.topics.dead_letters, &self.topics.events];
        let mut counts = [None; 4];
        for (i, name) in names.into_iter().enumerate() {
            match partitions_of(cluster, name).await {
                Ok(Some(count)) => {
                    counts[i] = Some(count);
                    let told = if i == 0 { self.held(cluster, count).await } else { Ok(String::new()) };
                    let s = if count == 1 { "" } else { "s" };
                    match told {
                        Ok(held) => {
                            self.add("topic", name, Verdict::Ok, format!("is there, {count} partition{s}{held}"))
                        }
                        Err(fault) => self.fault("topic", name, fault),
                    }
                    if i == 0 {
                        self.partitions(cluster, count);
                    }
                }
                Ok(None) => self.missing(cluster, i, name).await,
                Err(fault) => self.fault("topic", name, fault),
            }
        }
        if let Some(name) = &self.topics.labels {
            self.labels(cluster, name, counts[0]).await;
        }
        counts
    }

    /// Says whether the labels topic is there, and has a partition for each of the samples'.
    async fn labels(&mut self, cluster: &Arc<Cluster>, name: &str, samples: Option<i32>) {
        match partitions_of(cluster, name).await {
            Ok(Some(count)) => match input::too_few(count, samples.unwrap_or(count), &self.topics.samples) {
                Some(problem) => self.add("topic", name, Verdict::Wrong, problem),
                None => {
                    let s = if count == 1 { "" } else { "s" };
                    self.add("topic", name, Verdict::Ok, format!("is there, {count} partition{s}"));
                }
            },
            Ok(None) => {
                let told = format!(
                    "does not exist{}; check topics.labels, or create it: the daemon waits for it and makes none of that name",
                    nearest(cluster, name).await
                );
                self.add("topic", name, Verdict::Wrong, told);
            }
            Err(fault) => self.fault("topic", name, fault),
        }
    }

    /// Says how many records the samples topic holds.
    async fn held(&self, cluster: &Arc<Cluster>, count: i32) -> Try<String> {
        let ranges = join_all(
            (0..count).map(async |partition| Partition::new(cluster, &self.topics.samples, partition).range().await),
        );
        let mut records = 0;
        for range in ranges.await {
            match range {
                Ok(range) => records += range.end - range.start,
                // Who may not read is told so among the rights.
                Err(Fault::Permanent(_)) => return Ok(String::new()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(match records {
            0 => ", no record yet: the daemon waits for some".to_owned(),
            records => format!(", offsets of {records} records"),
        })
    }

    fn partitions(&mut self, cluster: &Arc<Cluster>, count: i32) {
        if let Partitions::Only(list) = &cluster.config().partitions
            && let Some(missing) = list.iter().find(|partition| !(0..count).contains(*partition))
        {
            let told =
                format!("transport.kafka.partitions names {missing}, but the topic has partitions 0 to {}", count - 1);
            let samples = &self.topics.samples;
            self.add("topic", samples, Verdict::Wrong, told);
        }
    }

    async fn missing(&mut self, cluster: &Arc<Cluster>, i: usize, name: &str) {
        let creates = cluster.config().create_topics;
        if i == 0 && !(self.purpose.generates && creates) {
            let nearest = nearest(cluster, name).await;
            let told = format!(
                "does not exist{nearest}; check topics.samples, or create it: the daemon waits for it and makes none of that name"
            );
            return self.add("topic", name, Verdict::Wrong, told);
        }
        let (verdict, told) = match creates {
            true => (Verdict::Ok, "is not there yet; the first start makes it"),
            false => (
                Verdict::Wrong,
                "does not exist, and transport.kafka.create_topics = false; create it, with as many partitions as the samples have",
            ),
        };
        self.add("topic", name, verdict, told);
    }

    async fn rights(&mut self, cluster: &Arc<Cluster>, counts: [Option<i32>; 4]) {
        let looked = timeout(self.patience, rights::look(cluster, self.topics, self.purpose.generates)).await;
        let (given, lacking) = match looked {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => return self.add("right", "", Verdict::Wrong, error.to_string()),
            Err(_) => {
                let told = format!("the cluster's controller did not tell of them within {:?}", self.patience);
                return self.add("right", "", Verdict::Away, told);
            }
        };
        for (topic, operations) in &lacking {
            for operation in operations {
                let told = format!(
                    "lacks; whoever administers the cluster grants it: {}",
                    rights::command(cluster, *topic, &[*operation])
                );
                self.add("right", &on(*operation, *topic), Verdict::Wrong, told);
            }
        }
        let lacks = |topic: &str, operation: Operation| {
            lacking.iter().any(|(name, operations)| *name == Some(topic) && operations.contains(&operation))
        };
        let all = [&self.topics.samples, &self.topics.predictions, &self.topics.dead_letters, &self.topics.events];
        let mut good = Vec::new();
        for (name, count) in all.into_iter().zip(counts) {
            for operation in rights::wanted(name, self.topics, self.purpose.generates) {
                // Of a topic that is not there the broker tells nothing.
                if count.is_some() && !lacks(name, *operation) {
                    good.push((on(*operation, Some(name)), "there"));
                }
            }
            let is_made =
                count.is_none() && cluster.config().create_topics && (name != all[0] || self.purpose.generates);
            if is_made && !lacks(name, Operation::Create) {
                good.push((on(Operation::Create, Some(name)), "there"));
            }
        }
        if let Some(name) = self.topics.labels.as_deref().filter(|name| !lacks(name, Operation::Read)) {
            good.push((on(Operation::Read, Some(name)), "there"));
        }
        for (subject, told) in good {
            self.add("right", &subject, Verdict::Ok, told);
        }
        for (name, readable) in all[1..].iter().zip(rights::readable(&given, self.topics)) {
            if !readable {
                let told = format!(
                    "lacks; needed after a crash, to find out what was published, and at each start where partitions share the \
                     output: {}",
                    rights::command(cluster, Some(name), &[Operation::Read])
                );
                self.add("right", &on(Operation::Read, Some(name)), Verdict::Warning, told);
            }
        }
    }

    /// Says what of the topics' settings will hurt.
    async fn settings(&mut self, cluster: &Arc<Cluster>, counts: [Option<i32>; 4]) {
        let config = cluster.config();
        let needs = Needs {
            retention: config.retention,
            checkpoint_every: self.purpose.checkpoint_every,
            timestamps: self.purpose.timestamps,
            replicas: config.replication_factor,
            generates: self.purpose.generates,
        };
        let Topics { samples, predictions, dead_letters, events, .. } = self.topics;
        let names = [predictions.as_str(), dead_letters, events, samples];
        let asked = timeout(self.patience, topic_settings(cluster, &names)).await;
        let described = match asked {
            Ok(Ok(described)) => described,
            Ok(Err(fault)) => return self.fault("settings", "", fault),
            Err(_) => {
                return self.add(
                    "settings",
                    "",
                    Verdict::Away,
                    "the broker did not tell of the topics' settings in time",
                );
            }
        };
        let given = timeout(self.patience, super::client::rights(cluster, &names)).await.ok().and_then(Result::ok);
        let replicas = |topic: &str| given.as_ref()?.topics.iter().find(|found| found.topic == topic)?.replicas;
        let hurts = hurting(&needs, names, &described, replicas);
        let there = |i: usize| counts[(i + 1) % 4].is_some();
        for (i, name) in names.into_iter().enumerate().filter(|(i, _)| there(*i)) {
            let mut own = hurts.iter().filter(|hurt| hurt.topic == name).peekable();
            if let Err(refused) = &described[i] {
                let told = format!(
                    "may not be asked for (right DescribeConfigs), so nobody can say whether they hurt: {refused}"
                );
                self.add("settings", name, Verdict::Ok, told);
            } else if own.peek().is_none() {
                self.add("settings", name, Verdict::Ok, "nothing that hurts");
            }
            for hurt in own {
                let told = format!("{}={}: {}", hurt.setting, hurt.value, hurt.problem);
                // With these the daemon ends or waits for ever.
                self.add("settings", name, Verdict::Warning, told);
            }
        }
    }

    /// Holds this machine's clock against the newest record's time.
    async fn clock(&mut self, cluster: &Arc<Cluster>, count: i32) {
        let newest = join_all((0..count.min(100)).map(async |number| {
            let partition = Partition::new(cluster, &self.topics.samples, number);
            let end = partition.offset(At::End).await.ok().filter(|end| *end > 0)?;
            let fetched = timeout(self.patience, partition.fetch(end - 1)).await.ok()?.ok()?;
            fetched.committed.records.last().map(|record| record.timestamp)
        }));
        let newest = newest.await.into_iter().flatten().max();
        let (verdict, told) = match newest.map(|newest| self.purpose.now - newest) {
            None => (Verdict::Ok, "cannot be told: there is no record whose time to hold against it".to_owned()),
            Some(age) if age < -MAX_AHEAD_MS => (
                Verdict::Warning,
                format!(
                    "the newest record of `{}` is {} s ahead of this machine's clock: one of the two is wrong; look at both \
                     (timedatectl, chronyc tracking)",
                    self.topics.samples,
                    -age / 1000
                ),
            ),
            Some(age) => (
                Verdict::Ok,
                format!(
                    "the newest record of `{}` was {} s ago by this machine's clock",
                    self.topics.samples,
                    age / 1000
                ),
            ),
        };
        self.add("clock", "", verdict, told);
    }
}

/// Which topics there are instead, in parentheses.
async fn nearest(cluster: &Arc<Cluster>, name: &str) -> String {
    names(cluster).await.map_or_else(|_| String::new(), |all| format!(" ({})", input::told(name, all)))
}

fn on(operation: Operation, topic: Option<&str>) -> String {
    topic.map_or_else(
        || format!("{} on the cluster", operation.name()),
        |topic| format!("{} on `{topic}`", operation.name()),
    )
}

/// Returns whether it may pass, and what it is.
fn judged(fault: Fault) -> (Verdict, String) {
    match fault {
        Fault::Permanent(refusal) => (Verdict::Wrong, Error::from(refusal).to_string()),
        Fault::Transient(trouble) | Fault::NoTopic(trouble) | Fault::OutOfSequence(trouble) => {
            (Verdict::Away, trouble.problem)
        }
        Fault::OutOfRange => (Verdict::Away, "the offset is out of range".to_owned()),
        Fault::TooLarge => (Verdict::Wrong, "the broker takes no batch as large".to_owned()),
    }
}
