//! Topics that must be there.

use std::sync::Arc;

use rskafka::client::error::ProtocolError;

use super::{
    admin::{create, partitions_of},
    cluster::Cluster,
    fault::{Fault, Refusal, Trouble},
    retry::retry,
};
use crate::protocol::NewTopic;

/// Makes `topic` as `new` says where it is missing and may be made, now and whenever it goes. Returns the number of
/// partitions that it has; `None` where it is missing and may not be made.
pub(crate) async fn require_topic(cluster: &Arc<Cluster>, topic: &str, new: &NewTopic) -> Result<Option<i32>, Refusal> {
    let attempt = || async move {
        if let Some(count) = partitions_of(cluster, topic).await? {
            cluster.requires(topic, NewTopic { partitions: count, ..new.clone() });
            return Ok(Some(count));
        }
        if !cluster.config().create_topics {
            return Ok(None);
        }
        if create(cluster, topic, new).await? {
            let partitions = new.partitions;
            tracing::info!(event = "topic_created", topic, partitions, "topic created");
        }
        let problem = "the topic was just created and is not there yet".to_owned();
        Err(Fault::Transient(Trouble { code: Some(ProtocolError::UnknownTopicOrPartition), problem }))
    };
    retry(cluster, Some(topic), &format!("looking for topic `{topic}`"), attempt).await
}
