//! How a cluster is reached, and what is noted on the way to it: all that a connection has to know.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustls::ClientConfig;
use thalweg_topic::Status;

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
    /// Set once a broker has answered a request, and so let this client in.
    let_in: AtomicBool,
    throttling: StdMutex<Throttling>,
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
        let (retries, let_in) = (AtomicU64::new(0), AtomicBool::new(false));
        let (throttling, told) = (StdMutex::default(), StdMutex::default());
        Ok(Self { config, tls, tokens, retries, let_in, throttling, told, status })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
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
