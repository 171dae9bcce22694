//! Trying again what has failed, for as long as it takes.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{admin, cluster::Cluster, fault::Fault};
use thalweg_store::{Backoff, RateLimit};
use thalweg_topic::Error;

/// A first failure that took this long is said at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A topic that has gone is made again when nobody else has done so by then.
const GONE_FOR: Duration = Duration::from_secs(5);

/// Evaluates a try until it works or cannot work. (A macro, since a closure cannot lend out what a try borrows.)
macro_rules! persist {
    ($cluster:expr, $action:expr, $attempt:expr) => {{
        let mut retry = $crate::client::Retry::new(&$cluster, $action);
        loop {
            match $attempt.await {
                Ok(value) => break Ok(retry.succeeded(value)),
                Err(fault) => {
                    if let Err(error) = retry.after(fault).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}
pub(crate) use persist;

/// Trying one thing again and again, waiting longer from try to try, and saying so in the log.
pub(crate) struct Retry {
    cluster: Arc<Cluster>,
    action: String,
    attempts: u32,
    backoff: Backoff,
    begun: Instant,
    limit: RateLimit,
    /// Since when the topic has been missing.
    gone: Option<Instant>,
}

impl Retry {
    pub(crate) fn new(cluster: &Arc<Cluster>, action: impl Into<String>) -> Self {
        let backoff = Backoff::new(cluster.config().backoff_initial, cluster.config().backoff_max);
        let (cluster, begun) = (Arc::clone(cluster), Instant::now());
        Self { cluster, action: action.into(), attempts: 0, backoff, begun, limit: RateLimit::default(), gone: None }
    }

    pub(crate) fn succeeded<T>(&self, value: T) -> T {
        if self.limit.has_spoken() {
            tracing::info!(
                event = "broker_recovered",
                action = self.action,
                attempts = self.attempts,
                "it works again"
            );
        }
        value
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// When trying again is of no use.
    pub(crate) async fn after(&mut self, fault: Fault) -> Result<(), Error> {
        let no_topic = matches!(fault, Fault::NoTopic(_));
        let problem = match fault {
            Fault::Fatal(error) => return Err(error),
            Fault::NoTopic(problem) if self.cluster.makes_again(&self.action) => {
                format!("{problem}; it is created again when it does not come back within {GONE_FOR:?}")
            }
            Fault::NoTopic(problem) => format!("{problem}; create it, and it goes on"),
            Fault::Passing(problem) => problem,
            Fault::OutOfRange => "the offset is out of range".to_owned(),
            Fault::TooLarge => "the batch is too large".to_owned(),
            Fault::OutOfSequence(problem) => problem,
        };
        self.attempts += 1;
        self.cluster.failed();
        // A first failure may be gone in a moment, as right after a topic was created.
        let lasts = self.attempts > 1 || self.begun.elapsed() >= AT_ONCE;
        let wait = self.backoff.next_wait();
        if lasts && self.limit.is_due() {
            let brokers = self.cluster.config().brokers.join(", ");
            self.cluster.show(&format!("waiting for Kafka at {brokers}: {problem}"));
            tracing::warn!(
                event = "broker_unreachable",
                action = self.action,
                attempt = self.attempts,
                next_try = ?wait,
                brokers = self.cluster.config().brokers.join(","),
                error = problem,
                "Kafka does not answer as it should; trying again until it does. Check that a broker runs there"
            );
        }
        self.gone = no_topic.then(|| self.gone.unwrap_or_else(Instant::now));
        if self.gone.is_some_and(|gone| gone.elapsed() >= GONE_FOR) {
            // What fails here fails again at the next try, which says so.
            let _ = admin::make_missing(&self.cluster).await;
            self.gone = None;
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
