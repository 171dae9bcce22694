//! How a cluster is reached, and what is noted on the way to it: all that a connection has to know.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering},
    },
};

use rustls::ClientConfig;
use thalweg_topic::Status;
use tokio::sync::Notify;

use super::{
    config::{Config, Sasl, Secret, Tls},
    fault::{Fault, Refusal, RefusalKind, Try},
    quota::Throttling,
    tls,
    tokens::Tokens,
};

/// The way to a cluster.
pub(crate) struct Access {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    /// Tokens to log in with; `None` where logins need none.
    tokens: Option<Tokens>,
    retries: AtomicU64,
    /// Readers of partitions.
    readers: AtomicIsize,
    /// Set once a broker has answered a request, and so let this client in.
    let_in: AtomicBool,
    throttling: StdMutex<Throttling>,
    /// Told when something shows that the cluster may have changed; one waits for it.
    changed: Notify,
    /// Problems of which somebody tells.
    told: StdMutex<HashSet<String>>,
    status: Option<Status>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("brokers", &self.config.brokers).finish_non_exhaustive()
    }
}

impl Access {
    pub(super) fn new(config: Config, status: Option<Status>) -> Result<Self, Refusal> {
        let tls = config.tls.as_ref().map(tls::client_config).transpose()?.map(Arc::new);
        let tokens = match &config.sasl {
            Some(Sasl::Oauth(oauth)) => Some(Tokens::new(oauth, config.request_timeout)?),
            Some(Sasl::Password { .. }) | None => None,
        };
        let (retries, readers, let_in) = (AtomicU64::new(0), AtomicIsize::new(0), AtomicBool::new(false));
        let (throttling, told) = (StdMutex::default(), StdMutex::default());
        let changed = Notify::new();
        Ok(Self { config, tls, tokens, retries, readers, let_in, throttling, changed, told, status })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Takes note of so many readers more, or fewer.
    pub(super) fn note_readers(&self, change: isize) {
        self.readers.fetch_add(change, Ordering::Relaxed);
    }

    /// Returns the bytes that a fetch brings of one partition, which its reader has to have room for.
    pub(super) fn fetch_bytes(&self) -> i32 {
        share(self.config.fetch_bytes, self.readers.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Returns how to encrypt, and the settings that say so; `None` where nothing is encrypted.
    pub(super) fn tls(&self) -> Option<(&Tls, &Arc<ClientConfig>)> {
        self.config.tls.as_ref().zip(self.tls.as_ref())
    }

    /// Returns a token to log in with; `None` where logins need none.
    pub(super) async fn token(&self) -> Try<Option<Secret>> {
        match &self.tokens {
            Some(tokens) => tokens.token().await.map(Some),
            None => Ok(None),
        }
    }

    /// Shows what is being waited for.
    pub(super) fn show(&self, status: &str) {
        if let Some(show) = &self.status {
            show(status);
        }
    }

    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Takes note of a try that failed, or of a second that a broker has asked to wait: both are signs of life.
    pub(super) fn note_wait(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note that a broker has let this client in.
    pub(super) fn note_let_in(&self) {
        self.let_in.store(true, Ordering::Relaxed);
    }

    /// Takes note of a sign that the cluster may have changed.
    pub(super) fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits for a sign that the cluster may have changed since the last one; one at a time may.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Judges a fault at the door. Who is not let in at first has wrong settings, and ends. Who was let in before waits: then
    /// the broker has changed, so that it is mended there, or changes back in the course of a reconfiguration.
    pub(super) fn at_the_door(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Permanent(Refusal { kind: RefusalKind::Access, action, problem, reason, .. })
                if self.let_in.load(Ordering::Relaxed) =>
            {
                Fault::transient(format!(
                    "{action}: {problem} ({reason}). This will not pass by itself; it is tried on, since these settings did let \
                     it in before"
                ))
            }
            other => other,
        }
    }

    /// Returns a speaker where nobody tells of this problem yet: a thousand partitions may wait for the same.
    pub(super) fn speaker(self: &Arc<Self>, problem: &str) -> Option<Speaker> {
        let is_first = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(problem.to_owned());
        is_first.then(|| Speaker { access: Arc::clone(self), problem: problem.to_owned() })
    }

    /// Returns what is known of quotas that this client is over.
    pub(super) fn throttling(&self) -> MutexGuard<'_, Throttling> {
        self.throttling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many partitions are fetched in whole fetches; more share what those would bring.
const WHOLE_FETCHES: usize = 16;
/// No share is smaller, unless the fetch itself is.
const MIN_SHARE_BYTES: i32 = 16 << 10;

fn share(fetch_bytes: i32, readers: usize) -> i32 {
    let share = i64::from(fetch_bytes) * WHOLE_FETCHES as i64 / readers.max(WHOLE_FETCHES) as i64;
    i32::try_from(share).unwrap_or(fetch_bytes).max(MIN_SHARE_BYTES.min(fetch_bytes))
}

/// Whoever tells of a problem, for as long as it has that.
#[derive(Debug)]
pub(super) struct Speaker {
    access: Arc<Access>,
    problem: String,
}

impl Speaker {
    pub(super) fn is_of(&self, problem: &str) -> bool {
        self.problem == problem
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.access.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_partitions_there_are_the_less_a_fetch_brings_of_each() {
        let bytes = 256 << 10;
        assert_eq!([0, 1, 16, 32, 200].map(|readers| share(bytes, readers)), [bytes, bytes, bytes, bytes / 2, 20_971]);
        assert_eq!(share(bytes, 1_000), MIN_SHARE_BYTES);
        assert_eq!(share(1_000, 100_000), 1_000);
        assert_eq!(share(64 << 20, 1), 64 << 20);
    }
}
