//! Which partitions of the samples topic are this process's: those that the settings name, or all, also those that are added
//! while it runs: it looks for them now and then, and at once where anything shows that the cluster has changed.
//!
//! Invariant: a partition that was not there at the first start is read from its beginning, whatever `start` says: nobody can
//! have meant to skip its records.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{Partitions, client::partitions_of, shared::Shared};
use thalweg_store::{Store, set_meta};
use thalweg_topic::{Assigned, Assignment, Assignments, Error, Output, Topics};

/// Time between two looks for partitions that have been added, where nothing hints at any.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Shortest time between two looks, however many hints there are.
const MIN_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The partitions of the samples topic, as they come.
#[derive(Debug)]
pub struct KafkaAssignments {
    shared: Arc<Shared>,
    /// Partitions that were there at the first start.
    first: i32,
    /// What to begin with, until that has been said.
    begin: Option<Vec<i32>>,
    last_look: Instant,
    /// Set where something has hinted at a change since.
    is_hinted: bool,
}

impl KafkaAssignments {
    pub(super) fn new(shared: &Arc<Shared>, first: i32, begin: Vec<i32>) -> Self {
        Self { shared: Arc::clone(shared), first, begin: Some(begin), last_look: Instant::now(), is_hinted: false }
    }

    fn assigned(&self, partitions: impl IntoIterator<Item = i32>) -> Assignment {
        let assigned = |partition| Assigned { partition, is_new: partition >= self.first };
        Assignment::Assigned(partitions.into_iter().map(assigned).collect())
    }
}

impl Assignments for KafkaAssignments {
    fn next(&mut self) -> impl Future<Output = Result<Assignment, Error>> + Send {
        async move {
        if let Some(partitions) = self.begin.take() {
            return Ok(self.assigned(partitions));
        }
        let Shared { cluster, topics, .. } = &*self.shared;
        if cluster.config().partitions != Partitions::All {
            return std::future::pending().await;
        }
        loop {
            let interval = if self.is_hinted { MIN_LOOK_INTERVAL } else { LOOK_EVERY };
            tokio::select! {
                () = tokio::time::sleep_until(self.last_look + interval) => {}
                () = cluster.changed(), if !self.is_hinted => {
                    self.is_hinted = true;
                    continue;
                }
            }
            let looked = partitions_of(cluster, &topics.samples).await;
            (self.last_look, self.is_hinted) = (Instant::now(), false);
            // A broker that does not answer is told of by those who read.
            let Ok(Some(now)) = looked else { continue };
            let before = self.shared.grow_to(now);
            if now > before {
                tracing::info!(
                    event = "partitions_added",
                    topic = topics.samples,
                    partitions = now,
                    added = now - before,
                    shared = self.shared.shared_outputs(),
                    "partitions were added to the samples topic; reading them from their beginning. An output that has \
                     fewer takes the predictions of several in one"
                );
                return Ok(self.assigned(before..now));
            }
        }
    }.boxed()
    }
}

impl Shared {
    /// The outputs in which a partition holds what is made from several of the samples; `None` where there are none.
    fn shared_outputs(&self) -> Option<String> {
        let shared = Output::ALL.into_iter().filter(|output| !self.is_exclusive(*output));
        let names: Vec<&str> = shared.map(|output| self.output_topic(output)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// The number of partitions that the samples topic had at the first start with this state file, which is now where there
/// are `now` and nothing is known.
pub(super) async fn at_first_start(store: &Arc<Store>, topics: &Topics, now: i32) -> Result<i32, Error> {
    let name = format!("partitions:{}", topics.samples);
    if let Some(first) = store.meta(&name)? {
        return Ok(i32::try_from(first).unwrap_or(i32::MAX));
    }
    store.write("the number of partitions cannot be written", move |tx| set_meta(tx, &name, now.into())).await?;
    Ok(now)
}
