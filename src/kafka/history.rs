//! A topic of the broker, read beside the daemon: committed records only, under no consumer's name.

use std::{ops::Range, sync::Arc};

use super::{
    Config,
    client::{Cluster, Handle, partitions_of, persist},
};
use thalweg_topic::{Error, Fetched, History};

/// A topic of a Kafka cluster.
#[derive(Debug)]
pub struct KafkaHistory {
    cluster: Arc<Cluster>,
    partitions: Vec<Handle>,
}

impl KafkaHistory {
    /// Connects, waiting for the broker as long as it takes.
    ///
    /// # Errors
    /// When there is no such topic, or the broker refuses for good.
    pub async fn open(config: Config, topic: &str) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config, None)?);
        let count = persist!(cluster, format!("looking for topic `{topic}`"), partitions_of(&cluster, topic))?;
        let Some(count) = count else {
            let problem = "the broker has no such topic; has the daemon run with these settings?".to_owned();
            return Err(Error::Topic { topic: topic.to_owned(), problem });
        };
        let partitions = (0..count).map(|partition| Handle::new(&cluster, topic, partition)).collect();
        Ok(Self { cluster, partitions })
    }
}

impl History for KafkaHistory {
    fn partitions(&self) -> i32 {
        self.partitions.len() as i32
    }

    async fn range(&mut self, partition: i32) -> Result<Range<i64>, Error> {
        let Some(handle) = self.partitions.get_mut(partition as usize) else { return Ok(0..0) };
        persist!(self.cluster, "asking for offsets", handle.range())
    }

    async fn read(&mut self, partition: i32, offset: i64) -> Result<Fetched, Error> {
        let Some(handle) = self.partitions.get_mut(partition as usize) else { return Ok(Fetched::default()) };
        let action = format!("reading `{}`/{partition}", handle.topic());
        let found = persist!(self.cluster, action, handle.fetch(offset))?;
        let next_offset = found.next_offset.map_or(offset, |next| next.max(offset));
        // Batches come whole, so the first records may be older.
        let records = found.records.into_iter().filter(|record| record.offset >= offset).collect();
        Ok(Fetched { records, next_offset, high_watermark: next_offset, end: next_offset })
    }
}
