//! Topics that must be there.

use std::sync::Arc;

use thalweg_topic::Error;

use super::{
    admin::{create, partitions_of},
    cluster::Cluster,
    fault::Fault,
    retry::persist,
};

/// The number of partitions of a topic that is made with `partitions` where it is missing and may be, now and whenever it
/// goes.
pub(crate) async fn ensure(cluster: &Arc<Cluster>, topic: &str, partitions: i32) -> Result<i32, Error> {
    let look = async || {
        if let Some(count) = partitions_of(cluster, topic).await? {
            cluster.rely_on(topic, count);
            return Ok(count);
        }
        if !cluster.config().create_topics {
            let problem = "it does not exist; create it, or set transport.kafka.create_topics = true".to_owned();
            return Err(Fault::Fatal(Error::Topic { topic: topic.to_owned(), problem }));
        }
        create(cluster, topic, partitions).await?;
        tracing::info!(event = "topic_created", topic, partitions, "topic created");
        Err(Fault::passing("the topic was just created and is not there yet"))
    };
    persist!(cluster, format!("looking for topic `{topic}`"), look())
}
