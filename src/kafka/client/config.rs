//! What the Kafka transport is configured with (`[transport.kafka]`), checked.

use std::{fmt, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use crate::protocol::CompressionKind;

/// The way to the cluster, and how to deal with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `host:port` of brokers to begin with, at least one.
    pub brokers: Vec<String>,
    /// The name under which the broker's logs know us.
    pub client_id: String,
    /// The compression of what is produced.
    pub compression: CompressionKind,
    /// Encryption; `None` is plain text.
    pub tls: Option<Tls>,
    /// Authentication; `None` is none.
    pub sasl: Option<Sasl>,
    /// Partitions of the samples topic this process works on.
    pub partitions: Partitions,
    /// Create topics that are missing.
    pub create_topics: bool,
    /// Copies of each partition of a topic that is created, ≥ 1.
    pub replication_factor: i16,
    /// How long an output topic that is created keeps its records.
    pub retention: Retention,
    /// Deadline of every request.
    pub request_timeout: Duration,
    /// Wait before the second try of what failed; it doubles from try to try.
    pub backoff_initial: Duration,
    /// The wait grows no further.
    pub backoff_max: Duration,
    /// Bytes asked for in one fetch, 1 to 64 MiB.
    pub fetch_bytes: i32,
    /// Time a fetch waits at the broker for a first record.
    pub fetch_wait: Duration,
    /// Time a fetch waits at the broker for more, as long as nothing is behind: records that come meanwhile go through
    /// together.
    pub linger: Duration,
    /// Produce requests under way at once, ≥ 1.
    pub in_flight: usize,
    /// Bytes in one produce request; brokers take 1 MiB unless told otherwise.
    pub max_batch_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: vec!["localhost:9092".into()],
            client_id: "thalweg".into(),
            compression: CompressionKind::None,
            tls: None,
            sasl: None,
            partitions: Partitions::All,
            create_topics: true,
            replication_factor: 1,
            retention: Retention::default(),
            request_timeout: Duration::from_secs(10),
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            fetch_bytes: 256 << 10,
            fetch_wait: Duration::from_millis(500),
            linger: Duration::from_millis(2),
            in_flight: 5,
            max_batch_bytes: 900 << 10,
        }
    }
}

impl Config {
    /// Returns the user that a broker takes this client for, as its rules name it; for a shell, since a certificate's name is
    /// read from it.
    pub(crate) fn user(&self) -> String {
        match (&self.sasl, self.tls.as_ref().and_then(|tls| tls.identity.as_ref())) {
            (Some(Sasl::Password { username, .. }), _) => format!("User:{username}"),
            // The broker takes it from the token, from the claim `sub` unless its settings name another one.
            (Some(Sasl::Oauth(_)), _) => "User:NAME-IN-THE-TOKEN".to_owned(),
            (None, Some(Identity { cert_file, .. })) => {
                format!(
                    "User:$(openssl x509 -noout -subject -nameopt RFC2253 -in {} | cut -d= -f2-)",
                    cert_file.display()
                )
            }
            (None, None) => "User:ANONYMOUS".to_owned(),
        }
    }
}

/// Which partitions a process works on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Partitions {
    /// Every one there is at the start.
    #[default]
    All,
    /// These, ascending, without repetition.
    Only(Vec<i32>),
}

/// How long an output topic that is created keeps its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// As long as the broker's other new topics, but long enough for a restart.
    #[default]
    Broker,
    /// For ever.
    Forever,
    /// For this time.
    For(Duration),
}

/// Encryption. There is no way to leave the broker unverified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates (PEM) that vouch for the broker; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, where the broker asks for one.
    pub identity: Option<Identity>,
}

/// A certificate of ours, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate chain (PEM).
    pub cert_file: PathBuf,
    /// The key (PEM); may be the same file.
    pub key_file: PathBuf,
    /// The password of the key, where it is encrypted.
    pub key_password: Option<Secret>,
}

/// Authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl {
    /// By name and password.
    Password {
        /// The way to prove the password.
        mechanism: SaslMechanism,
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// By a token of an authorization server (OAUTHBEARER).
    Oauth(Oauth),
}

/// Where tokens come from, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth {
    /// Token endpoint of the authorization server, `https://` or `http://`.
    pub token_url: String,
    /// The name by which the server knows this client.
    pub client_id: String,
    /// The secret of this client.
    pub client_secret: Secret,
    /// Scopes to ask for, with spaces between; `None` asks for those that the server gives by default.
    pub scope: Option<String>,
    /// Certificates (PEM) that vouch for the server; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// SASL extensions (RFC 7628, KIP-342), which some brokers want beside the token, by name.
    pub extensions: Vec<(String, String)>,
}

impl Sasl {
    /// Returns the mechanism's name, as brokers know it.
    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Sasl::Password { mechanism: SaslMechanism::Plain, .. } => "PLAIN",
            Sasl::Password { mechanism: SaslMechanism::ScramSha256, .. } => "SCRAM-SHA-256",
            Sasl::Password { mechanism: SaslMechanism::ScramSha512, .. } => "SCRAM-SHA-512",
            Sasl::Oauth(_) => "OAUTHBEARER",
        }
    }
}

/// A way to prove a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// It is sent; only sensible with TLS.
    Plain,
    /// SCRAM-SHA-256
    ScramSha256,
    /// SCRAM-SHA-512
    ScramSha512,
}

/// Text that is never shown, and wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
