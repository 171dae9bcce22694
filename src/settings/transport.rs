//! Reads `[transport]` and `[topics]`: where records are.

use std::time::Duration;

use config::ValueKind;

use super::{
    Section, Transport,
    choices::{choices, every},
};
use thalweg_embedded as embedded;
use thalweg_kafka::{
    self as kafka, CHECKPOINTS_KEPT, CompressionKind, Identity, Partitions, Retention, Sasl, SaslMechanism, Secret, Tls,
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

fn sasl(section: &mut Section) -> Option<Sasl> {
    if !section.has("sasl") {
        return None;
    }
    let mut section = section.section("sasl");
    let mechanisms = choices!(SaslMechanism {
        "plain": Plain,
        "scram-sha-256": ScramSha256,
        "scram-sha-512": ScramSha512,
    });
    let mechanism = section.one_of("mechanism", SaslMechanism::Plain, &mechanisms);
    let (username, password) = (section.optional_text("username"), section.secret("password"));
    for (key, given) in [("username", username.is_some()), ("password", password.is_some())] {
        if !given {
            section.problem(key, "is missing");
        }
    }
    Some(Sasl { mechanism, username: username?, password: Secret::new(password?) })
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

pub(super) fn topics(mut section: Section) -> Topics {
    let default = Topics::default();
    let samples = section.text("samples", &default.samples);
    let mut output = |key, default: &str| section.text(key, default).replace("{samples}", &samples);
    let (predictions, dead_letters, events) = (
        output("predictions", &default.predictions),
        output("dead_letters", &default.dead_letters),
        output("events", &default.events),
    );
    let topics =
        Topics { samples, predictions, dead_letters, events, partitions: section.integer("partitions", 1, 1..=10_000) };
    let named = [
        ("samples", &topics.samples),
        ("predictions", &topics.predictions),
        ("dead_letters", &topics.dead_letters),
        ("events", &topics.events),
    ];
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
