//! The rights that this user needs, looked at before anything is done with them.
//!
//! Invariant: looking changes nothing, and all that lacks is told in one error, with the commands that grant it. A broker
//! that does not tell of rights is believed to give them.

use std::{collections::BTreeSet, sync::Arc};

use rskafka::protocol::error::Error as ProtocolError;

use super::{
    client::{Cluster, may_create, may_produce, retry, rights},
    protocol::{Operation, Rights, TopicRights},
};
use thalweg_topic::{Error, Topics};

/// Looks whether this user has the rights that the daemon needs, and returns what it has.
///
/// # Errors
/// [`Error::Rights`] where one lacks.
pub(super) async fn require(cluster: &Arc<Cluster>, topics: &Topics, generates: bool) -> Result<Rights, Error> {
    let Topics { samples, predictions, dead_letters, events, .. } = topics;
    let names = [samples.as_str(), predictions, dead_letters, events];
    let action = "asking for the rights of this user";
    let given = retry(cluster, None, action, || rights(cluster, &names)).await?;
    let creates = cluster.config().create_topics;
    let (mut lacking, mut writes) = (Vec::new(), false);
    for name in names {
        let wanted: &[Operation] = match name == samples {
            true if generates => &[Operation::Read, Operation::Write],
            true => &[Operation::Read],
            // Reading is needed where a process that was killed has published, and asked for there.
            false => &[Operation::Write],
        };
        let Some(found) = given.topics.iter().find(|found| found.topic == name) else { continue };
        let mut lack: BTreeSet<Operation> = wanted.iter().copied().filter(|wanted| lacks(found, *wanted)).collect();
        writes |= found.operations.allows(Operation::Write) == Some(true);
        let may_be_made = creates && (name != samples || generates);
        if may_be_made && found.failure.is_some() && given.cluster.allows(Operation::Create) == Some(false) {
            let may = retry(cluster, None, action, || may_create(cluster, name)).await?;
            lack.extend((!may).then_some(Operation::Create));
        }
        if !lack.is_empty() {
            lacking.push((Some(name), lack));
        }
    }
    // Newer brokers let whoever may write to any topic have an identity, and do not list that among the rights.
    if writes && given.cluster.allows(Operation::IdempotentWrite) == Some(false) {
        let may = retry(cluster, None, action, || may_produce(cluster)).await?;
        if !may {
            lacking.push((None, BTreeSet::from([Operation::IdempotentWrite])));
        }
    }
    if lacking.is_empty() { Ok(given) } else { Err(error(cluster, &lacking)) }
}

/// Says which of the outputs this user may read, as far as the broker tells.
pub(super) fn readable(given: &Rights, topics: &Topics) -> [bool; 3] {
    [&topics.predictions, &topics.dead_letters, &topics.events].map(|name| {
        let found = given.topics.iter().find(|found| found.topic == **name);
        found.is_none_or(|found| found.failure.is_some() || !lacks(found, Operation::Read))
    })
}

/// Makes the error of an output that has to be read and may not be.
pub(super) fn unreadable(cluster: &Arc<Cluster>, topic: &str) -> Error {
    error(cluster, &[(Some(topic), BTreeSet::from([Operation::Read]))])
}

/// Says whether a right on a topic lacks. Of a topic that is not there the broker does not tell.
fn lacks(topic: &TopicRights, operation: Operation) -> bool {
    match topic.failure {
        Some(ProtocolError::TopicAuthorizationFailed) => true,
        Some(_) => false,
        None => topic.operations.allows(operation) == Some(false),
    }
}

/// `lacking` has the operations by topic, and those on the cluster under none.
fn error(cluster: &Arc<Cluster>, lacking: &[(Option<&str>, BTreeSet<Operation>)]) -> Error {
    let config = cluster.config();
    let (mut lack, mut commands) = (Vec::new(), Vec::new());
    let (user, brokers) = (config.user(), config.brokers.join(","));
    for (topic, operations) in lacking {
        let names: Vec<&str> = operations.iter().map(|operation| operation.name()).collect();
        let (resource, on) = match topic {
            Some(topic) => (format!("--topic {topic}"), format!("topic `{topic}`")),
            None => ("--cluster".to_owned(), "the cluster".to_owned()),
        };
        lack.push(format!("{} on {on}", names.join(" and ")));
        let operations: String = names.iter().map(|name| format!(" --operation {name}")).collect();
        commands.push(format!(
            "kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal \"{user}\"{operations} {resource}"
        ));
    }
    Error::Rights { user, lack: lack.join(", "), commands: commands.join("; ") }
}
