//! What is asked of a cluster beside reading and writing: which topics there are, their settings; new ones.
//!
//! Invariant: nothing here makes a topic but [`create`], which takes its partitions from whoever wants it, and
//! [`recreate_missing`], which makes those again that [`Cluster::requires`].

use std::{sync::Arc, time::Duration};

use rskafka::protocol::error::Error as ProtocolError;

use super::{
    cluster::Cluster,
    fault::{Fault, Try},
};
use crate::protocol::{self, DescribeConfigs, Failure, NewTopic, TopicSettings, Topics};

/// Returns the number of partitions of a topic, if it exists.
pub(crate) async fn partitions_of(cluster: &Arc<Cluster>, topic: &str) -> Try<Option<i32>> {
    let metadata = cluster.metadata(Topics::One(topic)).await?;
    let Some(found) = metadata.topic(topic) else { return Ok(None) };
    match found.failure {
        None => Ok(Some(found.partitions.len() as i32)),
        Some(ProtocolError::UnknownTopicOrPartition) => Ok(None),
        Some(error) => Err(Fault::of_answer(&format!("looking for topic `{topic}`"), error.into())),
    }
}

/// Returns the names of all topics that this user may see, but for the cluster's own.
pub(crate) async fn names(cluster: &Arc<Cluster>) -> Try<Vec<String>> {
    let metadata = cluster.metadata(Topics::All).await?;
    let of_users = metadata.topics.into_iter().filter(|topic| !topic.is_internal);
    Ok(of_users.map(|topic| topic.name).collect())
}

/// A controller that has not answered by then is waited for, and the log says so.
const SLOW_CONTROLLER: Duration = Duration::from_secs(2);

/// Makes a topic, unless it is there; returns `true` where it was made.
pub(crate) async fn create(cluster: &Arc<Cluster>, topic: &str, new: &NewTopic) -> Try<bool> {
    let action = format!("creating topic `{topic}`");
    let config = cluster.config();
    let controller = cluster.controller().await?;
    let request = protocol::create_topic(topic, new, config.replication_factor, config.request_timeout);
    let silence = async {
        tokio::time::sleep(SLOW_CONTROLLER).await;
        cluster.note_silent_controller(topic);
        std::future::pending().await
    };
    let answered = tokio::select! {
        answer = controller.call(&action, request) => answer,
        never = silence => never,
    };
    match answered {
        Ok(answer) if answer.topics.is_empty() => {
            Err(Fault::transient(format!("{action}: the broker acknowledged nothing")))
        }
        Err(fault) if fault.code().is_none() => {
            let problem = |problem| {
                format!(
                    "{action}: {problem}. Creating topics is the work of the cluster's controller: check that one is active \
                     (kafka-metadata-quorum.sh describe --status)"
                )
            };
            Err(fault.map_transient(problem))
        }
        Err(fault) if fault.code() != Some(ProtocolError::TopicAlreadyExists) => Err(fault),
        answer => {
            cluster.note_controller();
            Ok(answer.is_ok())
        }
    }
}

/// Makes those of the required topics again that have gone, where that is allowed.
pub(crate) async fn recreate_missing(cluster: &Arc<Cluster>) -> Try<()> {
    if !cluster.config().create_topics {
        return Ok(());
    }
    for (topic, new) in cluster.required() {
        if partitions_of(cluster, &topic).await?.is_none() && create(cluster, &topic, &new).await? {
            let partitions = new.partitions;
            tracing::warn!(event = "topic_created", topic, partitions, "the topic had gone and was created again");
        }
    }
    Ok(())
}

/// Returns the settings of topics in their order; `Err` with the broker's words where this user may not ask for them, or the
/// topic is not there.
pub(crate) async fn topic_settings(cluster: &Arc<Cluster>, topics: &[&str]) -> Try<Vec<Result<TopicSettings, String>>> {
    let action = "asking for the settings of topics";
    let mut answer = cluster.controller().await?.call(action, DescribeConfigs { topics }).await?;
    let mut described = Vec::with_capacity(topics.len());
    for topic in topics {
        let found = answer.topics.remove(*topic);
        let found = found.ok_or_else(|| Fault::transient(format!("{action}: the broker leaves out `{topic}`")))?;
        described.push(match found {
            Ok(settings) => Ok(settings),
            Err(Failure {
                code:
                    code @ (ProtocolError::TopicAuthorizationFailed
                    | ProtocolError::ClusterAuthorizationFailed
                    | ProtocolError::UnknownTopicOrPartition),
                message,
            }) => Err(message.unwrap_or_else(|| code.to_string())),
            Err(failure) => return Err(Fault::of_answer(action, failure)),
        });
    }
    Ok(described)
}
