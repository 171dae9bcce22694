//! The samples topic, and that of labels, until they are there.
//!
//! Invariant: one is made only for a generator to fill. A name that is misspelt would else become an empty topic, in which
//! nobody's samples ever come; so a missing one is waited for, and the log says which names there are.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    client::{Cluster, names, partitions_of, require_topic, retry},
    errors::missing,
    protocol::NewTopic,
};
use thalweg_topic::{Error, Opening, Topics};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between the first two lines about it; then twice as long each time.
const FIRST_REMINDER: Duration = Duration::from_secs(30);
const MAX_REMINDER: Duration = Duration::from_secs(1800);
/// Names that are told.
const MAX_NAMES: usize = 4;

/// The number of partitions of the samples topic, once it is there, and that of labels, too, where they have one.
///
/// # Errors
/// When one is missing and not waited for, or that of labels has another number, or the broker refuses for good.
pub(super) async fn partitions(cluster: &Arc<Cluster>, topics: &Topics, opening: &Opening) -> Result<i32, Error> {
    let samples = of_samples(cluster, topics, opening).await?;
    let Some(topic) = &topics.labels else { return Ok(samples) };
    let labels = awaited(cluster, topic, "labels", opening).await?;
    match too_few(labels, samples, &topics.samples) {
        Some(problem) => Err(Error::Topic { topic: topic.clone(), problem }),
        None => Ok(samples),
    }
}

/// The problem of a labels topic with fewer partitions than that of the `samples`.
pub(super) fn too_few(labels: i32, of_samples: i32, samples: &str) -> Option<String> {
    (labels < of_samples).then(|| {
        format!(
            "it has {labels} partitions and `{samples}` has {of_samples}: a label is looked for among the samples of the partition \
             of its own number, so it needs as many. Add partitions to it (kafka-topics.sh --alter), and send each label by the key \
             of its sample"
        )
    })
}

async fn of_samples(cluster: &Arc<Cluster>, topics: &Topics, opening: &Opening) -> Result<i32, Error> {
    let topic = &topics.samples;
    if opening.generating.is_some() && cluster.config().create_topics {
        let new = NewTopic { partitions: topics.partitions, settings: vec![] };
        let found = require_topic(cluster, topic, &new).await?;
        return found.ok_or_else(|| missing(topic));
    }
    awaited(cluster, topic, "samples", opening).await
}

/// The number of partitions of a topic that others fill, once it is there; `key` is the setting that names it.
async fn awaited(cluster: &Arc<Cluster>, topic: &str, key: &str, opening: &Opening) -> Result<i32, Error> {
    let mut again = FIRST_REMINDER;
    let mut next = Instant::now();
    loop {
        let action = format!("looking for topic `{topic}`");
        let found = retry(cluster, Some(topic), &action, || partitions_of(cluster, topic)).await?;
        if let Some(count) = found {
            return Ok(count);
        }
        if opening.until_caught_up || Instant::now() >= next {
            let nearest = told(topic, retry(cluster, Some(topic), &action, || names(cluster)).await?);
            if opening.until_caught_up {
                let problem = format!("it does not exist ({nearest}); check topics.{key}");
                return Err(Error::Topic { topic: topic.to_owned(), problem });
            }
            tracing::warn!(
                event = "topic_missing",
                topic,
                nearest,
                "there is no such {key} topic; waiting for it. Check topics.{key}, or create the topic: the daemon \
                 makes only one that its generator is to fill"
            );
            cluster.show(&format!("waiting for topic `{topic}`, which does not exist ({nearest})"));
            next = Instant::now() + again;
            again = (again * 2).min(MAX_REMINDER);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Which topics there are instead, the most similar first.
pub(super) fn told(topic: &str, mut names: Vec<String>) -> String {
    let near = |name: &String| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &topic.to_lowercase());
    names.sort_by(|a, b| near(b).total_cmp(&near(a)).then_with(|| a.cmp(b)));
    let quoted: Vec<String> = names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "this user sees no topic at all there".to_owned(),
        count if count <= MAX_NAMES => format!("there are {}", quoted.join(", ")),
        count => format!("the nearest of {count} topics: {}", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn the_most_similar_names_are_told_first() {
        let names = ["orders", "sample", "Samples", "payments", "audit", "zz"].map(str::to_owned).to_vec();
        let told = told("smaples", names);
        assert!(told.starts_with("the nearest of 6 topics: `Samples`, `sample`, "), "{told}");
    }

    #[test]
    fn few_names_are_told_whole_and_none_is_said() {
        assert_eq!(told("b", vec!["a".to_owned()]), "there are `a`");
        assert!(told("b", vec![]).contains("no topic"));
    }
}
