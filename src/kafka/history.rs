//! A topic of the broker, read beside the daemon: committed records only, under no consumer's name.

use std::{ops::Range, sync::Arc};

use super::{
    Config,
    client::{Cluster, Partition, Wait, partitions_of, retry, retry_on},
};
use thalweg_topic::{Error, Fetched, History};

/// A topic of a Kafka cluster.
#[derive(Debug)]
pub struct KafkaHistory {
    partitions: Vec<Partition>,
}

impl KafkaHistory {
    /// Connects, waiting for the broker as long as it takes.
    ///
    /// # Errors
    /// When there is no such topic, or the broker refuses for good.
    pub async fn open(config: Config, topic: &str) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config, None)?);
        let action = format!("looking for topic `{topic}`");
        let count = retry(&cluster, Some(topic), &action, || partitions_of(&cluster, topic)).await?;
        let Some(count) = count else {
            let problem = "the broker has no such topic; has the daemon run with these settings?".to_owned();
            return Err(Error::Topic { topic: topic.to_owned(), problem });
        };
        let partitions = (0..count).map(|partition| Partition::new(&cluster, topic, partition)).collect();
        Ok(Self { partitions })
    }
}

impl History for KafkaHistory {
    fn partitions(&self) -> i32 {
        self.partitions.len() as i32
    }

    async fn range(&mut self, partition: i32) -> Result<Range<i64>, Error> {
        let Some(found) = self.partitions.get(partition as usize) else { return Ok(0..0) };
        Ok(retry_on(found, "asking for offsets", || found.range()).await?)
    }

    async fn read(&mut self, partition: i32, offset: i64) -> Result<Fetched, Error> {
        let Some(found) = self.partitions.get(partition as usize) else { return Ok(Fetched::default()) };
        let action = format!("reading `{}`/{partition}", found.topic());
        let found = retry_on(found, &action, || found.fetch(offset, Wait::First)).await?.committed;
        let next_offset = found.next_offset.map_or(offset, |next| next.max(offset));
        Ok(Fetched { records: found.records, next_offset, high_watermark: next_offset, end: next_offset })
    }
}
