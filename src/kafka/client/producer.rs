//! An idempotent producer (KIP-98) for one partition.
//!
//! rskafka's own producer has no identity, so that a broker takes every request that reaches it, however late and in
//! whatever order. This one gives its records sequence numbers. Invariant: the broker appends a batch only right behind the
//! record with the number before it, so what follows a refused batch is refused, too, and a request that was given up lands
//! at most once: before its records are read back, or never. The identity outlives the process in the state file, so this
//! holds for the requests of a process that was killed, too.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use thalweg_topic::record::Outgoing;

use super::{
    cluster::Cluster,
    fault::{Fault, Refusal, Try},
    partition::Partition,
    retry::retry,
    sends::Sends,
    slot::Reusable,
};
use crate::protocol::{Batch, InitProducerId, Parcel, ProducerId, Records, Time};

/// Asks the leader of a partition for an identity until it gives one.
///
/// # Errors
/// When it never will.
pub(crate) async fn identity(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Result<ProducerId, Refusal> {
    retry(cluster, Some(topic), "asking for an identity", || async move {
        let leader = cluster.leader(topic, partition).await?;
        Ok(leader.broker.call("asking for an identity as a producer", InitProducerId).await?.producer)
    })
    .await
}

/// Appends records as the only batch that `id` ever writes to a partition: of all requests that are made under it, by
/// whomever and however late, one lands. Returns its offset, or `None` where the broker says that there is another one.
pub(crate) async fn once(partition: &Partition, id: ProducerId, records: Vec<Outgoing>) -> Try<Option<i64>> {
    let producer = Producer::open(partition.cluster(), partition.topic(), partition.partition(), id).await?;
    match producer.append(0, records, Time::Own).await {
        Ok(offset) => Ok(Some(offset)),
        Err(Fault::OutOfSequence(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Returns the way to the leader of a partition.
async fn connect(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Try<Arc<Sends>> {
    let opened = async { cluster.leader(topic, partition).await?.broker.sends().await };
    opened.await.inspect_err(|_| cluster.forget(topic))
}

/// Appends to one partition.
#[derive(Debug)]
pub(crate) struct Producer {
    cluster: Arc<Cluster>,
    /// Over one connection while any batch is under way: over another one batches might overtake those of before.
    sends: StdMutex<Arc<Sends>>,
    topic: Arc<str>,
    partition: i32,
    id: ProducerId,
}

impl Producer {
    /// Connects.
    pub(crate) async fn open(cluster: &Arc<Cluster>, topic: &str, partition: i32, id: ProducerId) -> Try<Self> {
        let sends = StdMutex::new(connect(cluster, topic, partition).await?);
        Ok(Self { cluster: Arc::clone(cluster), sends, topic: topic.into(), partition, id })
    }

    /// Says whether its connection can be used; brokers end those that rest for long.
    pub(crate) fn is_open(&self) -> bool {
        self.sends().is_open()
    }

    /// Connects anew, where nothing is under way.
    ///
    /// # Errors
    /// When the leader cannot be reached.
    pub(crate) async fn reopen(&self) -> Try<()> {
        self.cluster.forget(&self.topic);
        let sends = connect(&self.cluster, &self.topic, self.partition).await?;
        *self.sends.lock().unwrap_or_else(PoisonError::into_inner) = sends;
        Ok(())
    }

    fn sends(&self) -> Arc<Sends> {
        Arc::clone(&self.sends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends records, of which the first has the number `sequence`; returns its offset. Calls reach the broker in the order
    /// in which they are first polled.
    pub(crate) async fn append(&self, sequence: i32, records: impl Into<Records>, time: Time) -> Try<i64> {
        let sends = self.sends();
        let batch = Batch {
            producer: self.id,
            sequence,
            records: records.into(),
            time,
            compression: self.cluster.config().compression,
        };
        let batch = batch.encode(sends.buffer()).map_err(|error| {
            Fault::unwritable(&format!("encoding a batch for `{}`/{}", self.topic, self.partition), error.to_string())
        })?;
        let parcel = Parcel { topic: Arc::clone(&self.topic), partition: self.partition, batch };
        sends.append(parcel).await.inspect_err(|_| self.cluster.forget(&self.topic))
    }
}
