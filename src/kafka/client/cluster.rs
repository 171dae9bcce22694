//! What is known of a cluster, and the deadline of whatever it is asked.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rskafka::{
    client::{Credentials, SaslConfig},
    protocol::messages::MetadataResponseBroker,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thalweg_topic::{Error, Status};
use tokio::time::timeout;

use super::{
    config::{Config, Sasl, SaslMechanism, Tls},
    fault::{Fault, Try},
};

/// Where most systems keep the certificates they trust.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A broker answers a request for a single record within any size its topic allows; this bounds our memory.
pub(crate) const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// The cluster: how to reach it, and what is known of it.
pub(crate) struct Cluster {
    config: Config,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Addresses of all brokers, as the cluster named them last.
    known: StdMutex<Vec<String>>,
    /// Topics of ours that are made again where they go, with their partitions.
    topics: StdMutex<BTreeMap<String, i32>>,
    retries: AtomicU64,
    status: Option<Status>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.config.brokers).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(config: Config, status: Option<Status>) -> Result<Self, Error> {
        let tls = config.tls.as_ref().map(tls).transpose()?.map(Arc::new);
        let (known, topics) = (StdMutex::default(), StdMutex::default());
        Ok(Self { config, tls, known, topics, retries: AtomicU64::new(0), status })
    }

    /// Shows what is being waited for.
    pub(crate) fn show(&self, status: &str) {
        if let Some(show) = &self.status {
            show(status);
        }
    }

    /// Addresses to ask, the configured ones first: any of them may be away for good.
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

    /// How to encrypt, if at all.
    pub(crate) fn tls(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.tls.as_ref()
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Takes note of a try that failed.
    pub(crate) fn failed(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A try of anything under the deadline.
    pub(crate) async fn bounded<T>(&self, extra: Duration, call: impl Future<Output = Try<T>>) -> Try<T> {
        let deadline = self.config.request_timeout + extra;
        timeout(deadline, call).await.unwrap_or_else(|_| Err(Fault::timeout(deadline)))
    }

    /// Remembers that a topic must be there, and is ours to make.
    pub(crate) fn rely_on(&self, topic: &str, partitions: i32) {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), partitions);
    }

    /// Whether a topic that `action` names is made again where it goes.
    pub(crate) fn makes_again(&self, action: &str) -> bool {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        self.config.create_topics && topics.keys().any(|topic| action.contains(&format!("`{topic}`")))
    }

    /// The topics that must be there, with their partitions.
    pub(crate) fn relied_on(&self) -> BTreeMap<String, i32> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A login as the client library names it.
pub(crate) fn sasl(sasl: &Sasl) -> SaslConfig {
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.reveal().to_owned());
    match sasl.mechanism {
        SaslMechanism::Plain => SaslConfig::Plain(credentials),
        SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    }
}

pub(crate) fn tls(tls: &Tls) -> Result<rustls::ClientConfig, Error> {
    let failed = |problem: String, reason: &dyn std::fmt::Display| Error::Access {
        action: "setting up TLS".to_owned(),
        problem,
        reason: reason.to_string(),
    };
    let system = || SYSTEM_CERTIFICATES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
    let Some(ca_file) = tls.ca_file.clone().or_else(system) else {
        let problem = "this system's certificates were not found; name them in transport.kafka.tls.ca_file";
        return Err(failed(problem.to_owned(), &"no certificates"));
    };
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, Error> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        read.map_err(|error| failed(format!("{} holds no readable certificates", path.display()), &error))
    };
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&ca_file)?);
    if added == 0 {
        return Err(failed(format!("{} holds no usable certificate", ca_file.display()), &"none added"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("the TLS versions do not fit".to_owned(), &error))?
        .with_root_certificates(roots);
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| failed(format!("{} holds no readable key", key.display()), &error))?;
            builder
                .with_client_auth_cert(certificates(chain)?, key)
                .map_err(|error| failed(format!("{} does not fit its key", chain.display()), &error))
        }
    }
}
