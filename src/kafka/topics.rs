//! Topics of the broker, read beside the daemon: committed records only, under no consumer's name.

use std::sync::Arc;

use super::{
    Config, KafkaReader,
    client::{Cluster, partitions_of, retry},
};
use thalweg_topic::{Error, Source};

/// The topics of a Kafka cluster.
#[derive(Debug)]
pub struct KafkaTopics {
    cluster: Arc<Cluster>,
}

impl KafkaTopics {
    /// Takes note of how to connect; the first question does.
    ///
    /// # Errors
    /// When what the settings say of certificates cannot be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { cluster: Arc::new(Cluster::new(config, None)?) })
    }
}

impl Source for KafkaTopics {
    type Reader = KafkaReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        partitions(&self.cluster, topic).await
    }

    async fn reader(&self, topic: &str, partition: i32) -> Result<KafkaReader, Error> {
        Ok(KafkaReader::new(&self.cluster, topic, partition))
    }
}

/// The number of partitions of a topic. It waits for the broker as long as it takes.
pub(super) async fn partitions(cluster: &Arc<Cluster>, topic: &str) -> Result<i32, Error> {
    let action = format!("looking for topic `{topic}`");
    let found = retry(cluster, Some(topic), &action, || partitions_of(cluster, topic)).await?;
    found.ok_or_else(|| Error::Topic {
        topic: topic.to_owned(),
        problem: "the broker has no such topic; has the daemon run with these settings?".to_owned(),
    })
}
