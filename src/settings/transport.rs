//! Reads `[transport]` and `[topics]`: where records are.

use std::time::Duration;

use config::ValueKind;

use super::{
    Section, Transport,
    choices::{choices, every},
};
use thalweg_embedded as embedded;
use thalweg_kafka::{
    self as kafka, CHECKPOINTS_KEPT, CompressionKind, Identity, Oauth, Partitions, Retention, Sasl, SaslMechanism,
    Secret, Tls,
};
use thalweg_pipeline::gap::Policy;
use thalweg_topic::{Start, Topics};

/// Maximum of `linger`: nothing is fetched meanwhile, and whoever watches the daemon wants to see it work.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// The checked `[transport]`.
pub(super) struct Read {
    pub(super) transport: Transport,
    pub(super) start: Start,
    pub(super) on_gap: Policy,
}

/// `checkpoint_every` is the time between two checkpoints.
pub(super) fn read(mut section: Section, checkpoint_every: Duration) -> Read {
    let by_default = Transport::Embedded(embedded::Config::default());
    let transports = every!(Transport { Embedded(embedded::Config::default()), Kafka(Box::default()) });
    let kind = section.one_of("kind", by_default, &transports.map(|transport| (transport.name(), transport)));
    let policies = choices!(Policy { "stop": Stop, "continue": Continue });
    let on_gap = section.one_of("on_gap", Policy::default(), &policies);
    let embedded = embedded(section.section("embedded"));
    let (kafka, start) = kafka(section.section("kafka"), checkpoint_every);
    match kind {
        Transport::Embedded(_) => Read { transport: Transport::Embedded(embedded), start: Start::Earliest, on_gap },
        Transport::Kafka(_) => Read { transport: Transport::Kafka(Box::new(kafka)), start, on_gap },
    }
}

fn embedded(mut section: Section) -> embedded::Config {
    let default = embedded::Config::default();
    embedded::Config {
        retention_records: section.integer("retention_records", default.retention_records, 1..=1 << 40),
        retention_bytes: section.integer("retention_bytes", default.retention_bytes, 1..=1 << 50),
    }
}

fn kafka(mut section: Section, checkpoint_every: Duration) -> (kafka::Config, Start) {
    let default = kafka::Config::default();
    let least = Duration::from_millis(1);
    let brokers = match section.take("brokers") {
        None => default.brokers,
        Some(value) => section.list_of_texts("brokers", value, "a list of host:port").unwrap_or(default.brokers),
    };
    if brokers.is_empty() {
        section.problem("brokers", "must name at least one, e.g. [\"localhost:9092\"]");
    }
    for (i, broker) in brokers.iter().enumerate() {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            section.problem(&format!("brokers[{i}]"), &format!("`{broker}` is not host:port, e.g. localhost:9092"));
        }
    }
    let compressions =
        choices!(CompressionKind { "none": None, "gzip": Gzip, "lz4": Lz4, "snappy": Snappy, "zstd": Zstd });
    let config = kafka::Config {
        brokers,
        compression: section.one_of("compression", default.compression, &compressions),
        client_id: section.text("client_id", &default.client_id),
        tls: tls(&mut section),
        sasl: sasl(&mut section),
        partitions: partitions(&mut section),
        create_topics: section.boolean("create_topics", default.create_topics),
        replication_factor: section.integer("replication_factor", 1, 1..=100),
        retention: retention(&mut section, checkpoint_every.saturating_mul(CHECKPOINTS_KEPT)),
        request_timeout: section.duration("request_timeout", default.request_timeout, Duration::from_millis(100)),
        backoff_initial: section.duration("backoff_initial", default.backoff_initial, least),
        backoff_max: section.duration("backoff_max", default.backoff_max, least),
        fetch_bytes: section.integer("fetch_bytes", default.fetch_bytes, 1..=64 << 20),
        fetch_wait: section.duration("fetch_wait", default.fetch_wait, least),
        linger: section.duration("linger", default.linger, Duration::ZERO),
        in_flight: section.integer("in_flight", default.in_flight, 1..=100),
        max_batch_bytes: section.integer("max_batch_bytes", default.max_batch_bytes, 1024..=64 << 20),
    };
    if config.linger > MAX_LINGER {
        section.problem("linger", "must be 1s or less");
    }
    if config.backoff_max < config.backoff_initial {
        section.problem("backoff_max", "must not be under backoff_initial");
    }
    (config, start(&mut section))
}

/// Reads how long outputs keep records, `min` at least.
fn retention(section: &mut Section, min: Duration) -> Retention {
    let Some(value) = section.take("retention") else { return Retention::Broker };
    match value.clone().into_string().as_deref() {
        Ok("broker") => Retention::Broker,
        Ok("forever") => Retention::Forever,
        _ => {
            section.put_back("retention", value);
            let time = section.duration("retention", Duration::MAX, Duration::ZERO);
            if time < min {
                let min = humantime::format_duration(min);
                section.problem(
                    "retention",
                    &format!("must be \"broker\", \"forever\", or {min} or more: ten times state.every"),
                );
            }
            Retention::For(time)
        }
    }
}

fn tls(section: &mut Section) -> Option<Tls> {
    if !section.has("tls") {
        return None;
    }
    let mut section = section.section("tls");
    let ca_file = section.optional_text("ca_file").map(Into::into);
    let (cert, key) = (section.optional_text("cert_file"), section.optional_text("key_file"));
    let key_password = section.secret("key_password").map(Secret::new);
    if cert.is_none() && (key.is_some() || key_password.is_some()) {
        section.problem("cert_file", "is missing; it goes with key_file and key_password");
    }
    let identity = cert.map(|cert_file| Identity {
        key_file: key.unwrap_or_else(|| cert_file.clone()).into(),
        cert_file: cert_file.into(),
        key_password,
    });
    Some(Tls { ca_file, identity })
}

/// A way to log in, as people choose it.
#[derive(Clone, Copy)]
enum Mechanism {
    Password(SaslMechanism),
    Oauth,
}

const OF_PASSWORDS: [&str; 2] = ["username", "password"];
const OF_TOKENS: [&str; 6] = ["token_url", "client_id", "client_secret", "scope", "ca_file", "extensions"];

fn sasl(section: &mut Section) -> Option<Sasl> {
    if !section.has("sasl") {
        return None;
    }
    let mut section = section.section("sasl");
    let mechanisms = [
        ("plain", Mechanism::Password(SaslMechanism::Plain)),
        ("scram-sha-256", Mechanism::Password(SaslMechanism::ScramSha256)),
        ("scram-sha-512", Mechanism::Password(SaslMechanism::ScramSha512)),
        ("oauthbearer", Mechanism::Oauth),
    ];
    let mechanism = section.one_of("mechanism", Mechanism::Password(SaslMechanism::Plain), &mechanisms);
    match mechanism {
        Mechanism::Password(mechanism) => {
            belong_elsewhere(&mut section, &OF_TOKENS, "mechanism = \"oauthbearer\"");
            let (username, password) = (section.optional_text("username"), section.secret("password"));
            are_there(&section, [("username", username.is_some()), ("password", password.is_some())]);
            Some(Sasl::Password { mechanism, username: username?, password: Secret::new(password?) })
        }
        Mechanism::Oauth => {
            belong_elsewhere(&mut section, &OF_PASSWORDS, "the other mechanisms");
            oauth(&mut section).map(Sasl::Oauth)
        }
    }
}

fn oauth(section: &mut Section) -> Option<Oauth> {
    let (token_url, client_id) = (section.optional_text("token_url"), section.optional_text("client_id"));
    let client_secret = section.secret("client_secret");
    are_there(
        section,
        [
            ("token_url", token_url.is_some()),
            ("client_id", client_id.is_some()),
            ("client_secret", client_secret.is_some()),
        ],
    );
    let scope = section.optional_text("scope");
    let ca_file = section.optional_text("ca_file").map(Into::into);
    let mut extensions = Vec::new();
    for (i, extension) in section.texts("extensions").into_iter().enumerate() {
        let parts = extension.split_once('=').filter(|(name, value)| {
            // RFC 7628, 3.1; the token itself has the name `auth`.
            let letters = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
            letters && *name != "auth" && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        });
        match parts {
            Some((name, value)) => extensions.push((name.to_owned(), value.to_owned())),
            None => section.problem(
                &format!("extensions[{i}]"),
                "must be NAME=VALUE, a name of letters that is not `auth`, e.g. \"logicalCluster=lkc-1\"",
            ),
        }
    }
    let token_url = token_url?;
    let host = ["https://", "http://"].iter().find_map(|scheme| token_url.strip_prefix(scheme));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains([' ', '@'])) {
        // It may hold a password, so it is not shown.
        section.problem(
            "token_url",
            "must be an address such as \"https://login.example/oauth2/token\", without a password",
        );
        return None;
    }
    Some(Oauth {
        token_url,
        client_id: client_id?,
        client_secret: Secret::new(client_secret?),
        scope,
        ca_file,
        extensions,
    })
}

/// Names the keys that are missing.
fn are_there<const N: usize>(section: &Section, keys: [(&str, bool); N]) {
    for (key, _) in keys.iter().filter(|(_, is_there)| !is_there) {
        section.problem(key, "is missing");
    }
}

/// Names the keys that only count for another mechanism.
fn belong_elsewhere(section: &mut Section, keys: &[&str], mechanism: &str) {
    for key in keys {
        if section.take(key).is_some() {
            section.problem(key, &format!("is for {mechanism}; leave it out"));
        }
    }
}

fn partitions(section: &mut Section) -> Partitions {
    match section.take("partitions") {
        None => Partitions::All,
        Some(value) if value.clone().into_string().is_ok_and(|text| text == "all") => Partitions::All,
        Some(value) => {
            section.put_back("partitions", value);
            let mut list: Vec<i32> = section
                .integers("partitions")
                .unwrap_or_default()
                .into_iter()
                .map(|partition| i32::try_from(partition).unwrap_or(i32::MAX))
                .collect();
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            if list.is_empty() || list.len() < count {
                section.problem("partitions", "must be \"all\" or a list of different partitions, e.g. [0, 1]");
            }
            Partitions::Only(list)
        }
    }
}

fn start(section: &mut Section) -> Start {
    const WANTED: &str = "must be \"earliest\", \"latest\", an offset, or a time such as \"2026-11-23T12:00:00Z\"";
    let Some(value) = section.take("start") else { return Start::Earliest };
    let found = match &value.kind {
        ValueKind::I64(offset) if *offset >= 0 => Some(Start::Offset(*offset)),
        ValueKind::String(text) => match text.as_str() {
            "earliest" => Some(Start::Earliest),
            "latest" => Some(Start::Latest),
            time => {
                chrono::DateTime::parse_from_rfc3339(time).ok().map(|time| Start::Timestamp(time.timestamp_millis()))
            }
        },
        _ => None,
    };
    found.unwrap_or_else(|| {
        section.problem("start", WANTED);
        Start::Earliest
    })
}

/// Reads the names of the topics; `has_labels` says that labels have one.
pub(super) fn topics(mut section: Section, has_labels: bool) -> Topics {
    let default = Topics::default();
    let samples = section.text("samples", &default.samples);
    let mut beside = |key, default: &str| section.text(key, default).replace("{samples}", &samples);
    let labels = beside("labels", "labels");
    let (predictions, dead_letters, events) = (
        beside("predictions", &default.predictions),
        beside("dead_letters", &default.dead_letters),
        beside("events", &default.events),
    );
    let partitions = section.integer("partitions", 1, 1..=10_000);
    if !has_labels && labels != "labels" {
        section.problem(
            "labels",
            "names the topic that labels come in with labels.mode = \"topic\"; set that, or leave it out",
        );
    }
    let labels = has_labels.then_some(labels);
    let topics = Topics { samples, labels, predictions, dead_letters, events, partitions };
    let named: Vec<(&str, &String)> = [("samples", &topics.samples)]
        .into_iter()
        .chain(topics.labels.as_ref().map(|labels| ("labels", labels)))
        .chain([
            ("predictions", &topics.predictions),
            ("dead_letters", &topics.dead_letters),
            ("events", &topics.events),
        ])
        .collect();
    for (i, (key, name)) in named.iter().enumerate() {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 249 || !name.chars().all(legal) || [".", ".."].contains(&name.as_str()) {
            section.problem(key, "must be 1 to 249 letters, digits, dots, dashes and underscores");
        }
        if name.starts_with("thalweg_") || name.starts_with("sqlite_") {
            section.problem(key, "must not begin with thalweg_ or sqlite_, which the state file needs for itself");
        }
        if let Some((other, _)) = named[..i].iter().find(|(_, earlier)| earlier.eq_ignore_ascii_case(name)) {
            section.problem(key, &format!("must differ from topics.{other}"));
        }
    }
    topics
}
