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

/// Operations that lack, by topic; those on the cluster under none.
pub(super) type Lacking<'t> = Vec<(Option<&'t str>, BTreeSet<Operation>)>;

/// Looks whether this user has the rights that the daemon needs, and returns what it has.
///
/// # Errors
/// [`Error::Rights`] where one lacks.
pub(super) async fn require(cluster: &Arc<Cluster>, topics: &Topics, generates: bool) -> Result<Rights, Error> {
    let (given, lacking) = look(cluster, topics, generates).await?;
    if lacking.is_empty() { Ok(given) } else { Err(error(cluster, &lacking)) }
}

/// Returns the operations that the daemon needs on a topic.
pub(super) fn wanted(name: &str, topics: &Topics, generates: bool) -> &'static [Operation] {
    match name == topics.samples || Some(name) == topics.labels.as_deref() {
        true if generates && name == topics.samples => &[Operation::Read, Operation::Write],
        true => &[Operation::Read],
        // Reading is needed where a process that was killed has published, and asked for there.
        false => &[Operation::Write],
    }
}

/// Looks which rights this user has, and which of those that the daemon needs it lacks.
///
/// # Errors
/// When the broker does not tell and never will.
pub(super) async fn look<'t>(
    cluster: &Arc<Cluster>,
    topics: &'t Topics,
    generates: bool,
) -> Result<(Rights, Lacking<'t>), Error> {
    let Topics { samples, labels, predictions, dead_letters, events, .. } = topics;
    let names: Vec<&str> =
        [samples.as_str()].into_iter().chain(labels.as_deref()).chain([&**predictions, dead_letters, events]).collect();
    let action = "asking for the rights of this user";
    let given = retry(cluster, None, action, || rights(cluster, &names)).await?;
    let creates = cluster.config().create_topics;
    let (mut lacking, mut writes) = (Vec::new(), false);
    for name in names {
        let wanted = wanted(name, topics, generates);
        let Some(found) = given.topics.iter().find(|found| found.topic == name) else { continue };
        let mut lack: BTreeSet<Operation> = wanted.iter().copied().filter(|wanted| lacks(found, *wanted)).collect();
        writes |= found.operations.allows(Operation::Write) == Some(true);
        let may_be_made = creates && Some(name) != labels.as_deref() && (name != samples || generates);
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
    Ok((given, lacking))
}

/// Says which of the outputs this user may read, as far as the broker tells.
pub(super) fn readable(given: &Rights, topics: &Topics) -> [bool; 3] {
    [&topics.predictions, &topics.dead_letters, &topics.events].map(|name| {
        let found = given.topics.iter().find(|found| found.topic == **name);
        found.is_none_or(|found| found.failure.is_some() || !lacks(found, Operation::Read))
    })
}

/// Says whether an output may not be read, or is not there yet, so that nobody knows.
pub(super) fn is_blind(given: &Rights, topics: &Topics) -> bool {
    [&topics.predictions, &topics.dead_letters, &topics.events].into_iter().any(|name| {
        let found = given.topics.iter().find(|found| found.topic == **name);
        found.is_some_and(|found| found.failure.is_some() || lacks(found, Operation::Read))
    })
}

/// Makes the error of an output that has to be read and may not be.
pub(super) fn unreadable(cluster: &Arc<Cluster>, topic: &str) -> Error {
    error(cluster, &vec![(Some(topic), BTreeSet::from([Operation::Read]))])
}

/// Says whether a right on a topic lacks. Of a topic that is not there the broker does not tell.
fn lacks(topic: &TopicRights, operation: Operation) -> bool {
    match topic.failure {
        Some(ProtocolError::TopicAuthorizationFailed) => true,
        Some(_) => false,
        None => topic.operations.allows(operation) == Some(false),
    }
}

fn error(cluster: &Arc<Cluster>, lacking: &Lacking<'_>) -> Error {
    let (mut lack, mut commands) = (Vec::new(), Vec::new());
    for (topic, operations) in lacking {
        let names: Vec<&str> = operations.iter().map(|operation| operation.name()).collect();
        let on = topic.map_or_else(|| "the cluster".to_owned(), |topic| format!("topic `{topic}`"));
        lack.push(format!("{} on {on}", names.join(" and ")));
        commands.push(command(cluster, *topic, &operations.iter().copied().collect::<Vec<_>>()));
    }
    Error::Rights { user: cluster.config().user(), lack: lack.join(", "), commands: commands.join("; ") }
}

/// Returns the command that grants rights on a topic, or on the cluster.
pub(super) fn command(cluster: &Arc<Cluster>, topic: Option<&str>, operations: &[Operation]) -> String {
    let config = cluster.config();
    let (user, brokers) = (config.user(), config.brokers.join(","));
    let resource = topic.map_or_else(|| "--cluster".to_owned(), |topic| format!("--topic {topic}"));
    let operations: String = operations.iter().map(|operation| format!(" --operation {}", operation.name())).collect();
    format!("kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal \"{user}\"{operations} {resource}")
}
