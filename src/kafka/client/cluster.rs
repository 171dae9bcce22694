//! What is known of a cluster.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rskafka::protocol::messages::MetadataResponseBroker;
use rustls::ClientConfig;
use thalweg_topic::Status;

use super::{
    config::{Config, Sasl, Secret, Tls},
    fault::{Fault, Refusal, RefusalKind, Try},
    quota::Throttling,
    tls,
    tokens::Tokens,
};
use crate::protocol::NewTopic;

/// The cluster: how to reach it, and what is known of it.
pub(crate) struct Cluster {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    /// Tokens to log in with; `None` where logins need none.
    tokens: Option<Tokens>,
    /// Addresses of all brokers, as the cluster named them last.
    known: StdMutex<Vec<String>>,
    /// Topics of ours that are made again where they go.
    required: StdMutex<BTreeMap<String, NewTopic>>,
    retries: AtomicU64,
    /// Set once a broker has answered a request, and so let this client in.
    let_in: AtomicBool,
    /// Set while the controller does not answer, once that is said.
    silent_controller: AtomicBool,
    throttling: StdMutex<Throttling>,
    status: Option<Status>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.config.brokers).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(config: Config, status: Option<Status>) -> Result<Self, Refusal> {
        let tls = config.tls.as_ref().map(tls::client_config).transpose()?.map(Arc::new);
        let tokens = match &config.sasl {
            Some(Sasl::Oauth(oauth)) => Some(Tokens::new(oauth, config.request_timeout)?),
            Some(Sasl::Password { .. }) | None => None,
        };
        Ok(Self {
            config,
            tls,
            tokens,
            known: StdMutex::default(),
            required: StdMutex::default(),
            retries: AtomicU64::new(0),
            let_in: AtomicBool::new(false),
            silent_controller: AtomicBool::new(false),
            throttling: StdMutex::default(),
            status,
        })
    }

    /// Shows what is being waited for.
    pub(crate) fn show(&self, status: &str) {
        if let Some(show) = &self.status {
            show(status);
        }
    }

    /// Returns addresses to ask, the configured ones first: any of them may be away for good.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.config.brokers.clone();
        all.extend(known.iter().filter(|broker| !self.config.brokers.contains(broker)).cloned());
        all
    }

    /// Takes note of the cluster's brokers.
    pub(crate) fn knows(&self, brokers: &[MetadataResponseBroker]) {
        let named = brokers.iter().map(|broker| format!("{}:{}", broker.host.0, broker.port.0));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = named.collect();
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns how to encrypt, and the settings that say so; `None` where nothing is encrypted.
    pub(crate) fn tls(&self) -> Option<(&Tls, &Arc<ClientConfig>)> {
        self.config.tls.as_ref().zip(self.tls.as_ref())
    }

    /// Returns a token to log in with; `None` where logins need none.
    pub(crate) async fn token(&self) -> Try<Option<Secret>> {
        match &self.tokens {
            Some(tokens) => tokens.token().await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Takes note of a try that failed, or of a second that a broker has asked to wait: both are signs of life.
    pub(crate) fn note_wait(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that the controller does not answer, once for as long as it is so.
    pub(crate) fn note_silent_controller(&self, topic: &str) {
        self.show(&format!("waiting for the cluster's controller, which creates topics, to create `{topic}`"));
        if !self.silent_controller.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "controller_silent",
                topic,
                "no answer yet to the request for a new topic; waiting. Creating topics is the work of the cluster's \
                 controller: check that one is active (kafka-metadata-quorum.sh describe --status)"
            );
        }
    }

    /// Takes note that the controller answers.
    pub(crate) fn note_controller(&self) {
        self.silent_controller.store(false, Ordering::Relaxed);
    }

    /// Takes note that a broker has let this client in.
    pub(crate) fn note_let_in(&self) {
        self.let_in.store(true, Ordering::Relaxed);
    }

    /// Judges a fault at the door. Who is not let in at first has wrong settings, and ends. Who was let in before waits: then
    /// the broker has changed, so that it is mended there, or changes back in the course of a reconfiguration.
    pub(crate) fn at_the_door(&self, fault: Fault) -> Fault {
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

    /// Returns what is known of quotas that this client is over.
    pub(crate) fn throttling(&self) -> MutexGuard<'_, Throttling> {
        self.throttling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that a topic must be there, and is ours to make.
    pub(crate) fn requires(&self, topic: &str, new: NewTopic) {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), new);
    }

    /// Returns the topics that must be there.
    pub(crate) fn required(&self) -> BTreeMap<String, NewTopic> {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whether a topic is made again where it goes.
    pub(crate) fn recreates(&self, topic: &str) -> bool {
        self.config.create_topics && self.required().contains_key(topic)
    }
}
