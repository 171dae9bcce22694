//! Topics that must be there.

use std::{sync::Arc, time::Duration};

use rskafka::client::error::ProtocolError;
use tokio::time::Instant;

use super::{
    admin::{create, partitions_of},
    cluster::Cluster,
    fault::{Fault, Refusal, Trouble},
    retry::retry,
};
use crate::protocol::NewTopic;

/// A new topic that is known to the controller and not yet to the broker that is asked is no trouble until then.
const SPREADING: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

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
        let begun = Instant::now();
        while begun.elapsed() < SPREADING {
            match partitions_of(cluster, topic).await {
                Ok(Some(count)) => return Ok(Some(count)),
                // It has no leader yet.
                Ok(None) | Err(Fault::Transient(Trouble { code: Some(_), .. })) => {}
                Err(fault) => return Err(fault),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let problem = "the topic was just created and is not there yet".to_owned();
        Err(Fault::Transient(Trouble { code: Some(ProtocolError::UnknownTopicOrPartition), problem }))
    };
    retry(cluster, Some(topic), &format!("looking for topic `{topic}`"), attempt).await
}
