//! Trying again what has failed, for as long as it takes.

use std::{sync::Arc, time::Duration};

use thalweg_store::{Backoff, RateLimit};
use tokio::time::Instant;

use super::{
    access::Speaker,
    admin,
    cluster::Cluster,
    fault::{Fault, Refusal, Try},
    partition::Partition,
};

/// A first failure that took this long is said at once, where the broker has answered nothing. An answer may take long for a
/// quota, which is said elsewhere.
const SLOW_FAILURE: Duration = Duration::from_secs(1);

/// An answer that another try mends by then is not said: brokers learn of a new topic one after the other, and load what they keep.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

/// A topic that has gone is made again when nobody else has done so by then.
const GONE_FOR: Duration = Duration::from_secs(5);

/// Tries until `attempt` works, or cannot work. `topic` is the one it is about, `action` what it does, for the log.
///
/// # Errors
/// When trying again is of no use.
pub(crate) async fn retry<T, F: Future<Output = Try<T>>>(
    cluster: &Arc<Cluster>,
    topic: Option<&str>,
    action: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Refusal> {
    let mut retry = Retry::new(cluster, topic, action);
    loop {
        match attempt().await {
            Ok(value) => {
                retry.succeeded();
                return Ok(value);
            }
            Err(fault) => retry.after(fault).await?,
        }
    }
}

/// Does the same with something about one partition.
///
/// # Errors
/// When trying again is of no use.
pub(crate) async fn retry_on<T, F: Future<Output = Try<T>>>(
    partition: &Partition,
    action: &str,
    attempt: impl FnMut() -> F,
) -> Result<T, Refusal> {
    retry(partition.cluster(), Some(partition.topic()), action, attempt).await
}

/// Trying one thing again and again, waiting longer from try to try, and saying so in the log.
pub(crate) struct Retry<'a> {
    cluster: &'a Arc<Cluster>,
    topic: Option<&'a str>,
    action: &'a str,
    attempts: u32,
    backoff: Backoff,
    begun: Instant,
    limit: RateLimit,
    /// Set while this one tells of the problem for all whom it keeps waiting.
    speaks: Option<Speaker>,
    /// The time since which the topic has been missing.
    gone: Option<Instant>,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(cluster: &'a Arc<Cluster>, topic: Option<&'a str>, action: &'a str) -> Self {
        let backoff = Backoff::new(cluster.config().backoff_initial, cluster.config().backoff_max);
        let (begun, limit) = (Instant::now(), RateLimit::default());
        Self { cluster, topic, action, attempts: 0, backoff, begun, limit, speaks: None, gone: None }
    }

    /// Says that it works again, where the log says that it did not.
    pub(crate) fn succeeded(&self) {
        if self.limit.has_spoken() {
            tracing::info!(
                event = "broker_recovered",
                action = self.action,
                attempts = self.attempts,
                "it works again"
            );
        }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// When trying again is of no use.
    pub(crate) async fn after(&mut self, fault: Fault) -> Result<(), Refusal> {
        let (no_topic, is_answer) = (matches!(fault, Fault::NoTopic(_)), fault.code().is_some());
        let problem = match fault {
            Fault::Permanent(refusal) => return Err(refusal),
            Fault::NoTopic(trouble) if self.topic.is_some_and(|topic| self.cluster.recreates(topic)) => {
                format!("{}; it is created again when it does not come back within {GONE_FOR:?}", trouble.problem)
            }
            Fault::NoTopic(trouble) => format!("{}; create it, and it goes on", trouble.problem),
            Fault::Transient(trouble) | Fault::OutOfSequence(trouble) => trouble.problem,
            Fault::OutOfRange => "the offset is out of range".to_owned(),
            Fault::TooLarge => "the batch is too large".to_owned(),
        };
        self.attempts += 1;
        self.cluster.note_wait();
        // What fails may work in a moment.
        let lasts = match is_answer {
            true => self.attempts > 1 && self.begun.elapsed() >= SETTLED_WITHIN,
            false => self.attempts > 1 || self.begun.elapsed() >= SLOW_FAILURE,
        };
        let wait = self.backoff.next_wait();
        // A topic that is missing is a problem of its own.
        let about = if no_topic { format!("{}: {problem}", self.topic.unwrap_or_default()) } else { problem.clone() };
        if self.speaks.as_ref().is_some_and(|speaks| !speaks.is_of(&about)) {
            self.speaks = None;
        }
        if lasts && self.speaks.is_none() {
            self.speaks = self.cluster.speaker(&about);
        }
        if lasts && self.speaks.is_some() && self.limit.is_due() {
            let brokers = self.cluster.config().brokers.join(", ");
            self.cluster.show(&format!("waiting for Kafka at {brokers}: {problem}"));
            tracing::warn!(
                event = "broker_unreachable",
                action = self.action,
                attempt = self.attempts,
                next_try = ?wait,
                brokers = self.cluster.config().brokers.join(","),
                error = problem,
                "Kafka does not answer as it should; trying again until it does"
            );
        }
        self.gone = no_topic.then(|| self.gone.unwrap_or_else(Instant::now));
        if self.gone.is_some_and(|gone| gone.elapsed() >= GONE_FOR) {
            // What fails here fails again at the next try, which says so.
            let _ = admin::recreate_missing(self.cluster).await;
            self.gone = None;
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::{config::Config, fault::Trouble};
    use super::*;
    use crate::protocol::NewTopic;

    /// The line that people see of a topic that stays away, while another one, `kept`, is made again where it goes.
    async fn told(topic: Option<&str>, action: &str) -> String {
        let told: Arc<Mutex<String>> = Arc::default();
        let heard = Arc::clone(&told);
        let status = move |line: &str| line.clone_into(&mut heard.lock().expect("nothing panics with it"));
        let cluster = Arc::new(Cluster::new(Config::default(), Some(Arc::new(status))).expect("no TLS"));
        cluster.requires("kept", NewTopic { partitions: 1, settings: vec![] });
        let mut retry = Retry::new(&cluster, topic, action);
        for _ in 0..2 {
            let trouble = Trouble { code: None, problem: "it is gone".to_owned() };
            retry.after(Fault::NoTopic(trouble)).await.expect("tried again");
        }
        told.lock().expect("nothing panics with it").clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_is_made_again_is_known_by_its_name_and_not_by_what_is_done() {
        let kept = told(Some("kept"), "asking for offsets").await;
        assert!(kept.contains("created again"), "{kept}");
        for topic in [Some("other"), None] {
            let other = told(topic, "copying `kept`/0 to `other`/0").await;
            assert!(other.ends_with("create it, and it goes on"), "{other}");
        }
    }
}
