//! What readers and publishers have in common.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use thalweg_store::{Store, set_meta};
use thalweg_topic::{Error, Output, Timestamps, Topics, stamps::Stamps};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Cluster, Partition, require_topic},
    errors::missing,
    foreign::Foreign,
    limits::Refused,
    protocol::ProducerId,
    rivals::Instance,
    sent::SentTimes,
    topic_settings::{self, Needs},
};

/// The state that readers and publishers of one transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Topics,
    /// Partitions of the samples topic when it was opened. The generator keeps to them, since which sample goes where follows
    /// from their number.
    pub(crate) sample_partitions: i32,
    /// Partitions of the samples topic by now.
    pub(crate) sample_partitions_now: AtomicI32,
    /// Partitions of each output topic, in [`Output`] order; of one that is not there yet, those it will get.
    pub(crate) output_partitions: [i32; 3],
    /// Outputs that this user may read.
    pub(crate) readable: [bool; 3],
    /// Set where one of them may not, or was not there at the start, so that nobody knows.
    pub(crate) is_blind: bool,
    /// Set once the output topics are there.
    pub(crate) outputs: OnceCell<()>,
    /// The times that published records carry.
    pub(crate) timestamps: Timestamps,
    /// The newest time in each partition of each output.
    pub(crate) stamps: [Vec<Stamps>; 3],
    /// Needs of the outputs that their settings can fail to meet.
    pub(crate) needs: Needs,
    /// What others write into each partition of each output.
    pub(crate) foreign: [Vec<Foreign>; 3],
    /// The retention of each output, in milliseconds, where it deletes records by the time that we give them.
    pub(crate) retention: OnceCell<[Option<i64>; 3]>,
    /// Bytes of a produce request at most, per output: lowered when a broker refuses.
    pub(crate) batch_bytes: [AtomicUsize; 3],
    /// Bytes of a produce request that a broker refused and that the limit does not account for yet, per output, or 0.
    pub(crate) refused_bytes: [AtomicUsize; 3],
    /// Bytes of a produce request of generated samples at most, likewise.
    pub(crate) sample_batch_bytes: AtomicUsize,
    /// Bytes of a dead letter at most, likewise.
    pub(crate) dead_letter_bytes: AtomicUsize,
    /// Sequence numbers that a broker did not take, by partition of the samples and output.
    pub(crate) refused: StdMutex<BTreeMap<i32, BTreeMap<usize, Refused>>>,
    /// The times of requests that may yet land, by partition of the samples and output.
    pub(crate) sent_times: StdMutex<BTreeMap<(i32, usize), SentTimes>>,
    /// This process, as others find it.
    pub(crate) instance: Instance,
    /// By partition, the identity under which the events topic says that this process publishes.
    pub(crate) announced: StdMutex<BTreeMap<i32, ProducerId>>,
    /// Cancelled once nobody waits any more for what the broker has not taken.
    pub(crate) closing: CancellationToken,
}

impl Shared {
    pub(crate) fn output_topic(&self, output: Output) -> &str {
        match output {
            Output::Predictions => &self.topics.predictions,
            Output::DeadLetters => &self.topics.dead_letters,
            Output::Events => &self.topics.events,
        }
    }

    /// The partition that holds what is made from `partition`.
    pub(crate) fn output_partition(&self, output: Output, partition: i32) -> i32 {
        partition % self.output_partitions[output as usize].max(1)
    }

    /// The partitions of the outputs that hold what is made from `partition`.
    pub(crate) fn outputs_of(&self, partition: i32) -> [Partition; 3] {
        Output::ALL.map(|output| {
            let (topic, partition) = (self.output_topic(output), self.output_partition(output, partition));
            Partition::new(&self.cluster, topic, partition)
        })
    }

    /// Returns the newest times in the partition of an output that holds what is made from `partition`.
    pub(crate) fn stamps(&self, output: Output, partition: i32) -> &Stamps {
        &self.stamps[output as usize][self.output_partition(output, partition) as usize]
    }

    /// Returns what others write into the partition of an output that holds what is made from `partition`.
    pub(crate) fn foreign(&self, output: Output, partition: i32) -> &Foreign {
        &self.foreign[output as usize][self.output_partition(output, partition) as usize]
    }

    /// Says whether a partition of an output holds only what is made from one partition of the samples.
    pub(crate) fn is_exclusive(&self, output: Output) -> bool {
        self.output_partitions[output as usize] >= self.sample_partitions_now.load(Ordering::Relaxed)
    }

    /// Takes note of the number of partitions that the samples topic has by now; returns the number of before.
    pub(crate) fn grow_to(&self, partitions: i32) -> i32 {
        self.sample_partitions_now.fetch_max(partitions, Ordering::Relaxed)
    }

    /// Identities under which this state file has published what is made from a partition.
    pub(crate) fn own_producers(&self, partition: i32) -> Result<Vec<ProducerId>, Error> {
        let mut ours = self.store.metas(&format!("{}/", self.producer_name(partition)))?;
        ours.extend(self.store.meta(&self.producer_name(partition))?);
        Ok(ours)
    }

    /// Takes note of the identity that is announced for a partition; returns `false` where it was already.
    pub(crate) fn announced(&self, partition: i32, id: ProducerId) -> bool {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        announced.insert(partition, id) != Some(id)
    }

    /// Returns a fingerprint of the outputs' partitions that hold what is made from one of the samples.
    pub(crate) fn fingerprint(&self, partition: i32) -> u32 {
        let partitions = Output::ALL.map(|output| self.output_partition(output, partition));
        let topics = self.topics.fingerprint();
        // State files of before partitions of another number were told apart have the topics' alone.
        if partitions == [partition; 3] { topics } else { crc32c::crc32c(format!("{topics}{partitions:?}").as_bytes()) }
    }

    /// Returns other partitions of an output that hold what was made from one of the samples, as long as the output had fewer.
    pub(crate) fn former_partitions(&self, output: Output, partition: i32) -> Result<Vec<i32>, Error> {
        let (now, count) = (self.output_partition(output, partition), self.output_partitions[output as usize]);
        let known = self.store.metas(&format!("{}/", self.partition_name(output, partition)))?;
        let known = known.into_iter().filter_map(|known| i32::try_from(known).ok());
        Ok(known.filter(|known| *known != now && *known < count).collect())
    }

    /// Keeps which partitions of the outputs hold what is made from one of the samples, where that is another.
    pub(crate) async fn note_partitions(&self, partition: i32) -> Result<(), Error> {
        let other = |output: &Output| self.output_partition(*output, partition) != partition;
        let notes: Vec<(String, i64)> = (Output::ALL.into_iter().filter(other))
            .map(|output| {
                let held = self.output_partition(output, partition);
                (format!("{}/{held}", self.partition_name(output, partition)), held.into())
            })
            .collect();
        if notes.is_empty() {
            return Ok(());
        }
        let note =
            move |tx: &rusqlite::Transaction<'_>| notes.iter().try_for_each(|(name, it)| set_meta(tx, name, *it));
        Ok(self.store.write("the partitions of the outputs cannot be written", note).await?)
    }

    fn partition_name(&self, output: Output, partition: i32) -> String {
        format!("output:{}:{}/{partition}", self.output_topic(output), self.topics.samples)
    }

    /// Name in the state file of the producer of what is made from a partition.
    pub(crate) fn producer_name(&self, partition: i32) -> String {
        format!("producer:{}/{partition}", self.topics.samples)
    }

    /// Makes the output topics that are missing. Not before it is known where a worker goes on, so that a start which
    /// comes to nothing leaves nothing behind.
    pub(crate) async fn make_outputs(&self) -> Result<(), Error> {
        let make = async || {
            let new = topic_settings::of_new_outputs(self).await?;
            for (output, new) in Output::ALL.into_iter().zip(&new) {
                let (topic, partitions) = (self.output_topic(output), new.partitions);
                let found = require_topic(&self.cluster, topic, new).await?.ok_or_else(|| missing(topic))?;
                if found != partitions {
                    let problem = format!("it was made with {found} partitions meanwhile; start again");
                    return Err(Error::Topic { topic: topic.to_owned(), problem });
                }
            }
            Ok(())
        };
        self.outputs.get_or_try_init(make).await.copied()
    }

    /// Looks at the settings of the topics, once they are there.
    pub(crate) async fn look_at_settings(&self) -> Result<(), Error> {
        self.retention.get_or_try_init(|| topic_settings::look(self)).await.map(drop)
    }
}
