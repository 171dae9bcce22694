//! Connections, deadlines and retries.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder, Credentials, SaslConfig,
        partition::{OffsetAt, PartitionClient, UnknownTopicHandling},
    },
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{sync::Mutex, time::timeout};

use super::{
    super::Error,
    Config, Sasl, SaslMechanism, Tls,
    batches::Committed,
    fault::{Fault, Try},
    fetch::{Fetcher, Wait},
    retry::Retry,
};

/// Where most systems keep the certificates they trust.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A broker answers a request for a single record within any size its topic allows; this bounds our memory.
pub(super) const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// The cluster, reached through one client that is made anew after a failure.
pub(super) struct Cluster {
    config: Config,
    tls: Option<Arc<rustls::ClientConfig>>,
    client: Mutex<Option<Arc<Client>>>,
    /// Topics that must be there, with their partitions.
    topics: Mutex<BTreeMap<String, i32>>,
    retries: AtomicU64,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.config.brokers).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        let tls = config.tls.as_ref().map(tls).transpose()?.map(Arc::new);
        Ok(Self { config, tls, client: Mutex::default(), topics: Mutex::default(), retries: AtomicU64::new(0) })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// How to encrypt, if at all.
    pub(super) fn tls(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.tls.as_ref()
    }

    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Takes note of a try that failed: the next one connects anew.
    pub(super) async fn failed(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.client.lock().await.take();
    }

    /// One try under the deadline.
    pub(super) async fn within<T>(
        &self,
        action: &str,
        extra: Duration,
        call: impl Future<Output = rskafka::client::error::Result<T>>,
    ) -> Try<T> {
        let deadline = self.config.request_timeout + extra;
        match timeout(deadline, call).await {
            Ok(result) => result.map_err(|error| Fault::of(action, error)),
            Err(_) => Err(Fault::timeout(deadline)),
        }
    }

    /// A try of anything under the deadline.
    pub(super) async fn bounded<T>(&self, extra: Duration, call: impl Future<Output = Try<T>>) -> Try<T> {
        let deadline = self.config.request_timeout + extra;
        timeout(deadline, call).await.unwrap_or_else(|_| Err(Fault::timeout(deadline)))
    }

    /// Begins to try `action`.
    pub(super) fn retry(self: &Arc<Self>, action: impl Into<String>) -> Retry {
        Retry::new(self, action)
    }

    async fn client(&self) -> Try<Arc<Client>> {
        let mut cached = self.client.lock().await;
        if let Some(client) = &*cached {
            return Ok(Arc::clone(client));
        }
        // The first error is ours to judge.
        let no_retries = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
        let mut builder = ClientBuilder::new(self.config.brokers.clone())
            .client_id(self.config.client_id.as_str())
            .max_message_size(MAX_MESSAGE_BYTES)
            .backoff_config(no_retries);
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(Arc::clone(tls));
        }
        if let Some(sasl) = &self.config.sasl {
            builder = builder.sasl_config(self::sasl(sasl));
        }
        let client = Arc::new(self.within("connecting", Duration::ZERO, builder.build()).await?);
        *cached = Some(Arc::clone(&client));
        Ok(client)
    }

    /// The number of partitions of a topic, if it exists.
    pub(super) async fn partitions_of(&self, topic: &str) -> Try<Option<i32>> {
        let client = self.client().await?;
        let topics = self.within("listing topics", Duration::ZERO, client.list_topics()).await?;
        Ok(topics.iter().find(|other| other.name == topic).map(|topic| topic.partitions.len() as i32))
    }

    /// Remembers that a topic must be there.
    pub(super) async fn rely_on(&self, topic: &str, partitions: i32) {
        self.topics.lock().await.insert(topic.to_owned(), partitions);
    }

    /// Makes those topics again that have gone, where that is allowed.
    pub(super) async fn make_missing(&self) -> Try<()> {
        if !self.config.create_topics {
            return Ok(());
        }
        let topics = self.topics.lock().await.clone();
        for (topic, partitions) in topics {
            if self.partitions_of(&topic).await?.is_none() {
                self.create(&topic, partitions).await?;
                tracing::warn!(event = "topic_created", topic, partitions, "the topic had gone and was created again");
            }
        }
        Ok(())
    }

    pub(super) async fn create(&self, topic: &str, partitions: i32) -> Try<()> {
        let client = self.client().await?;
        let action = format!("creating topic `{topic}`");
        let controller = client.controller_client().map_err(|error| Fault::of(&action, error))?;
        let timeout_ms = milliseconds(self.config.request_timeout);
        let create = controller.create_topic(topic, partitions, self.config.replication_factor, timeout_ms);
        self.within(&action, Duration::ZERO, create).await
    }
}

/// One partition of one topic, over a connection that is made when it is needed and dropped when it fails.
#[derive(Debug)]
pub(super) struct Handle {
    cluster: Arc<Cluster>,
    topic: String,
    partition: i32,
    client: Option<Arc<PartitionClient>>,
    fetcher: Fetcher,
}

impl Handle {
    pub(super) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        let fetcher = Fetcher::new(cluster, topic, partition);
        Self { cluster: Arc::clone(cluster), topic: topic.to_owned(), partition, client: None, fetcher }
    }

    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// The connection, made anew where there is none.
    pub(super) async fn connected(&mut self) -> Try<Arc<PartitionClient>> {
        if let Some(client) = &self.client {
            return Ok(Arc::clone(client));
        }
        let cluster = self.cluster.client().await?;
        let action = format!("connecting to `{}`/{}", self.topic, self.partition);
        let connect = cluster.partition_client(self.topic.as_str(), self.partition, UnknownTopicHandling::Error);
        let client = Arc::new(self.cluster.within(&action, Duration::ZERO, connect).await?);
        self.client = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Drops the connection if `result` may be its fault.
    fn judged<T>(&mut self, result: Try<T>) -> Try<T> {
        if matches!(result, Err(Fault::Passing(_) | Fault::NoTopic(_))) {
            self.client = None;
        }
        result
    }

    /// First offset, and the high watermark.
    pub(super) async fn range(&mut self) -> Try<Range<i64>> {
        Ok(self.offset(OffsetAt::Earliest).await?..self.offset(OffsetAt::Latest).await?)
    }

    pub(super) async fn offset(&mut self, at: OffsetAt) -> Try<i64> {
        let client = self.connected().await?;
        let action = format!("asking for offsets of `{}`/{}", self.topic, self.partition);
        let offset = self.cluster.within(&action, Duration::ZERO, client.get_offset(at)).await;
        self.judged(offset)
    }

    /// Committed records from `offset` on.
    pub(super) async fn fetch(&mut self, offset: i64) -> Try<Committed> {
        Ok(self.fetcher.fetch(offset, Wait::First).await?.committed)
    }
}

pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// A login as the client library names it.
pub(super) fn sasl(sasl: &Sasl) -> SaslConfig {
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.reveal().to_owned());
    match sasl.mechanism {
        SaslMechanism::Plain => SaslConfig::Plain(credentials),
        SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    }
}

pub(super) fn tls(tls: &Tls) -> Result<rustls::ClientConfig, Error> {
    let failed = |problem: String, reason: &dyn std::fmt::Display| Error::Broker {
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
