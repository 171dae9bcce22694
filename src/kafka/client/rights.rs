//! What this user may do.
//!
//! Invariant: asking changes nothing that anybody sees; a topic is not made to find out whether it may be.

use std::sync::Arc;

use rskafka::protocol::{error::Error as ProtocolError, primitives::Boolean};

use super::{
    cluster::Cluster,
    fault::{Fault, Try},
};
use crate::protocol::{self, AskRights, InitProducerId, NewTopic, Rights};

/// Returns the rights that this user has on topics and on the cluster.
pub(crate) async fn rights(cluster: &Arc<Cluster>, topics: &[&str]) -> Try<Rights> {
    cluster.controller().await?.call("asking for the rights of this user", AskRights { topics }).await
}

/// Returns whether this user may make a topic of this name. The broker only checks it.
pub(crate) async fn may_create(cluster: &Arc<Cluster>, topic: &str) -> Try<bool> {
    let config = cluster.config();
    let new = NewTopic { partitions: 1, settings: vec![] };
    let mut request = protocol::create_topic(topic, &new, config.replication_factor, config.request_timeout);
    request.validate_only = Some(Boolean(true));
    let action = format!("asking whether topic `{topic}` may be created");
    allowed(cluster.controller().await?.call(&action, request).await.map(drop))
}

/// Returns whether this user may have an identity as a producer. It gets one, which nobody uses.
pub(crate) async fn may_produce(cluster: &Arc<Cluster>) -> Try<bool> {
    let action = "asking whether this user may have an identity as a producer";
    allowed(cluster.controller().await?.call(action, InitProducerId).await.map(drop))
}

/// What is refused for another reason than rights is allowed, and will be refused with that reason when it is done.
fn allowed(tried: Try<()>) -> Try<bool> {
    match tried {
        Err(Fault::Permanent(refusal)) => Ok(!matches!(
            refusal.code,
            Some(ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed)
        )),
        other => other.map(|()| true),
    }
}
