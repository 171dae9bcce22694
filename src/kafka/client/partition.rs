//! One partition of one topic, as the broker that leads it knows it: where it begins and ends, and what is in it.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;

use super::{
    cluster::{Cluster, Leader},
    fault::{Fault, Trouble, Try},
    polls::Subscription,
};
use crate::protocol::{At, Brought, Fetched, OffsetQuestion, Place, TopicId};

/// A partition. Its broker's connections are shared, so that there may be any number of them.
#[derive(Debug)]
pub(crate) struct Partition {
    cluster: Arc<Cluster>,
    topic: Arc<str>,
    partition: i32,
    /// The identity that the topic had first, where no other is to stand in for it.
    same: Option<OnceLock<Option<TopicId>>>,
}

impl Partition {
    pub(crate) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self { cluster: Arc::clone(cluster), topic: topic.into(), partition, same: None }
    }

    /// Makes one that ends, as if the topic had gone, where it is made anew.
    pub(crate) fn of_the_same_topic(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self { same: Some(OnceLock::new()), ..Self::new(cluster, topic, partition) }
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the first offset, and the end of what is committed.
    pub(crate) async fn range(&self) -> Try<Range<i64>> {
        let (first, end) = tokio::join!(self.offset(At::Earliest), self.offset(At::Latest));
        Ok(first?..end?)
    }

    /// Returns where the partition begins, ends, or was at a time.
    pub(crate) async fn offset(&self, at: At) -> Try<i64> {
        let question = OffsetQuestion { topic: Arc::clone(&self.topic), partition: self.partition, at };
        self.at_leader(async |leader: Leader| leader.broker.offset(question).await).await
    }

    /// Reads the committed records that there are from `offset` on.
    pub(crate) async fn fetch(&self, offset: i64) -> Try<Fetched> {
        Ok(from(self.batches(offset).await?, offset))
    }

    /// Reads committed records in whole batches, of which the first may begin before `offset`.
    pub(crate) async fn batches(&self, offset: i64) -> Try<Fetched> {
        let brought =
            self.at_leader(async |leader: Leader| leader.broker.read(self.place(&leader, offset)).await).await?;
        self.read(brought)
    }

    /// Waits at the end, which is `offset`, for records to come. `ends` are the last stable offset and the end, as `answered`
    /// then.
    pub(crate) async fn subscribe(&self, offset: i64, ends: (i64, i64), answered: Instant) -> Try<Subscription> {
        let subscribe = async |leader: Leader| {
            let place = self.place(&leader, offset);
            Ok(leader.broker.polls().await?.subscribe(place, ends, answered))
        };
        self.at_leader(subscribe).await
    }

    /// Reads what a subscription has brought.
    pub(crate) fn records(&self, brought: Brought, offset: i64) -> Try<Fetched> {
        Ok(from(self.read(brought)?, offset))
    }

    /// Returns the identity that the topic had first, where no other may stand in for it and it has one.
    pub(crate) fn identity(&self) -> Option<TopicId> {
        self.same.as_ref()?.get().copied().flatten()
    }

    /// Says whether the topic has been there, where no other may stand in for it.
    pub(crate) fn has_met_its_topic(&self) -> bool {
        self.same.as_ref().is_some_and(|same| same.get().is_some())
    }

    /// Makes sure that the topic is still the one it was, also where the broker's answers do not tell.
    ///
    /// # Errors
    /// When it is another one by now, or nobody can tell.
    pub(crate) async fn verify(&self, since: Instant) -> Try<()> {
        match self.cluster.identity(&self.topic, since).await? {
            Some(id) => self.check(Some(id)),
            None => Err(self.another("this cluster's topics have no identity by which to tell whether it is the same")),
        }
    }

    fn read(&self, brought: Brought) -> Try<Fetched> {
        let action = format!("fetching from `{}`/{}", self.topic, self.partition);
        if let Some(code) = brought.failure {
            return Err(self.judged(Fault::of_answer(&action, code.into())));
        }
        brought.read().map_err(|error| Fault::unreadable(&action, error.to_string()))
    }

    fn place(&self, leader: &Leader, offset: i64) -> Place {
        Place { topic: Arc::clone(&self.topic), id: leader.topic, partition: self.partition, offset }
    }

    /// Does something with the leader.
    pub(super) async fn at_leader<T>(&self, work: impl AsyncFnOnce(Leader) -> Try<T>) -> Try<T> {
        let found = async {
            let leader = self.cluster.leader(&self.topic, self.partition).await?;
            self.check(leader.topic)?;
            work(leader).await
        };
        found.await.map_err(|fault| self.judged(fault))
    }

    /// Takes note that another broker may lead it by now, or another topic have its name.
    pub(crate) fn judged(&self, fault: Fault) -> Fault {
        if matches!(fault, Fault::Transient(_) | Fault::NoTopic(_)) {
            self.cluster.forget(&self.topic);
        }
        fault
    }

    fn check(&self, id: Option<TopicId>) -> Try<()> {
        let Some(same) = &self.same else { return Ok(()) };
        if *same.get_or_init(|| id) == id { Ok(()) } else { Err(self.another("it was made anew")) }
    }

    fn another(&self, why: &str) -> Fault {
        Fault::NoTopic(Trouble { code: None, problem: format!("topic `{}`: {why}", self.topic) })
    }
}

/// Leaves out what comes before `offset`.
fn from(mut fetched: Fetched, offset: i64) -> Fetched {
    let records = &mut fetched.committed.records;
    let older = records.partition_point(|record| record.offset < offset);
    records.drain(..older);
    fetched
}
