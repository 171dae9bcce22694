//! A connection to a broker, logged in.
//!
//! rskafka keeps its connections to itself; these are made of the same parts (its messenger, rustls), from the same
//! settings. Every step has a deadline. What is wrong at the first bytes is told in the words of the settings: whoever
//! speaks another protocol than the one expected (`greeting`) will do so at the next try, too.

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use rskafka::{
    client::error::RequestError,
    messenger::{Messenger, SaslError},
    protocol::{
        messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
        primitives::{Boolean, String_},
    },
};
use rustls::{CertificateError, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    cluster::{Cluster, MAX_MESSAGE_BYTES, sasl},
    fault::{Fault, Try},
    greeting::{Greeted, Greeting},
};

/// Encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + Debug> Stream for S {}

/// A connection that is logged in.
pub(crate) type Connection = Messenger<BufStream<Greeted<Box<dyn Stream>>>>;

/// Connects to the leader of `topic`/`partition`, which the first broker that answers is asked for.
pub(crate) async fn to_leader(cluster: &Cluster, topic: &str, partition: i32) -> Try<Connection> {
    let (broker, connection, metadata) = asked(cluster, Some(topic)).await?;
    let leader = leader(&metadata, topic, partition)?;
    if leader == broker { Ok(connection) } else { to_broker(cluster, &leader).await }
}

/// Connects to the broker that makes topics.
pub(crate) async fn to_controller(cluster: &Cluster) -> Try<Connection> {
    let (broker, connection, metadata) = asked(cluster, None).await?;
    let id = metadata.controller_id;
    let controller = metadata.brokers.iter().find(|broker| Some(broker.node_id) == id);
    let controller = controller.map(|broker| format!("{}:{}", broker.host.0, broker.port.0));
    match controller {
        Some(controller) if controller != broker => to_broker(cluster, &controller).await,
        Some(_) => Ok(connection),
        None => Err(Fault::passing("the cluster has no controller at the moment")),
    }
}

/// What the first broker that answers knows: of `topic`, or of all topics.
pub(crate) async fn metadata(cluster: &Cluster, topic: Option<&str>) -> Try<MetadataResponse> {
    Ok(asked(cluster, topic).await?.2)
}

/// Asks the brokers of the settings, and those that the cluster named last, until one answers.
async fn asked(cluster: &Cluster, topic: Option<&str>) -> Try<(String, Connection, MetadataResponse)> {
    let mut fault = None;
    for broker in cluster.candidates() {
        let asked = async {
            let connection = connect(cluster, &broker).await?;
            let metadata = ask(cluster, &connection, &broker, topic).await?;
            Ok((connection, metadata))
        };
        match cluster.bounded(Duration::ZERO, asked).await {
            Ok((connection, metadata)) => {
                cluster.knows(&metadata.brokers);
                return Ok((broker, connection, metadata));
            }
            // A login that one broker refuses, the others refuse, too.
            Err(fault @ Fault::Fatal(_)) => return Err(fault),
            Err(other) => fault = Some(fault.unwrap_or(other)),
        }
    }
    Err(fault.unwrap_or_else(|| Fault::passing("there is no broker to ask")))
}

/// A request that no broker takes as a wish for the topic: by default they would make it, as their own settings have it.
async fn ask(cluster: &Cluster, connection: &Connection, broker: &str, topic: Option<&str>) -> Try<MetadataResponse> {
    let topics = topic.map(|topic| vec![MetadataRequestTopic { name: String_(topic.to_owned()) }]);
    let request = MetadataRequest { topics, allow_auto_topic_creation: Some(Boolean(false)) };
    connection.request(request).await.map_err(|error| {
        let fault = Fault::of_request(&format!("asking {broker} for its topics"), error);
        match fault {
            // Only then is anything but a login allowed to be the first request.
            Fault::Passing(problem) if cluster.config().sasl.is_none() => Fault::Passing(format!(
                "{broker}: {problem}. It ended the connection at the first request: does this port want a login \
                 (transport.kafka.sasl)?"
            )),
            other => other,
        }
    })
}

/// `host:port` of the leader.
fn leader(metadata: &MetadataResponse, topic: &str, partition: i32) -> Try<String> {
    let action = format!("looking for the leader of `{topic}`/{partition}");
    let refused = |error: rskafka::client::error::ProtocolError| Fault::of_protocol(&action, error, error.to_string());
    let found = metadata.topics.iter().find(|found| found.name.0 == topic);
    let found = found.ok_or_else(|| Fault::passing("the broker does not know the topic"))?;
    if let Some(error) = found.error {
        return Err(refused(error));
    }
    let found = found.partitions.iter().find(|found| found.partition_index.0 == partition);
    let found = found.ok_or_else(|| Fault::passing("the broker does not know the partition"))?;
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == found.leader_id);
    match (broker, found.error) {
        (Some(broker), _) => Ok(format!("{}:{}", broker.host.0, broker.port.0)),
        (None, Some(error)) => Err(refused(error)),
        (None, None) => Err(Fault::passing("the partition has no leader at the moment")),
    }
}

/// Connects to an address that the cluster has named.
async fn to_broker(cluster: &Cluster, broker: &str) -> Try<Connection> {
    let connected = cluster.bounded(Duration::ZERO, connect(cluster, broker)).await;
    if cluster.config().brokers.iter().any(|configured| configured == broker) {
        return connected;
    }
    connected.map_err(|fault| match fault {
        Fault::Passing(problem) => Fault::Passing(format!(
            "{problem}. The address {broker} is not in transport.kafka.brokers, it is the one that the broker itself tells \
             clients to use; if it cannot be reached from here, mend the broker's advertised.listeners"
        )),
        other => other,
    })
}

async fn connect(cluster: &Cluster, broker: &str) -> Try<Connection> {
    let passing = |error: &dyn std::fmt::Display| Fault::passing(format!("{broker}: {error}"));
    let socket = TcpStream::connect(broker).await.map_err(|error| passing(&error))?;
    // A request goes out whole: waiting to fill a packet would only meet the broker's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true).map_err(|error| passing(&error))?;
    let tls = &cluster.config().tls;
    let shown = tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    let stream: Box<dyn Stream> = match cluster.tls() {
        None => Box::new(socket),
        Some(tls) => {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|error| passing(&error))?;
            let encrypted = TlsConnector::from(Arc::clone(tls)).connect(name, socket).await;
            Box::new(encrypted.map_err(|error| unencrypted(broker, shown, &error))?)
        }
    };
    let client_id = cluster.config().client_id.as_str().into();
    let greeting = Greeting::default();
    let stream = Greeted::new(stream, greeting.clone());
    let mut connection = Messenger::new(BufStream::new(stream), MAX_MESSAGE_BYTES, client_id);
    if let Err(error) = connection.sync_versions().await {
        let problem = greeting.problem(tls.is_some()).unwrap_or_else(|| error.to_string());
        // It will be so at the next try.
        if greeting.is_tls() {
            return Err(Fault::access(&format!("connecting to {broker}"), &problem, error.to_string()));
        }
        return Err(refused_certificate(broker, shown, &error.to_string()).unwrap_or_else(|| passing(&problem)));
    }
    if let Some(login) = &cluster.config().sasl {
        connection.do_sasl(sasl(login)).await.map_err(|error| refused(broker, error))?;
    }
    Ok(connection)
}

/// Why there is no encryption. What has to do with certificates is the same at the next try.
fn unencrypted(broker: &str, shown: bool, error: &io::Error) -> Fault {
    let text = error.to_string();
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Fault::access(&format!("encrypting the connection to {broker}"), unacceptable(why), text)
        }
        Some(rustls::Error::AlertReceived(_)) => {
            refused_certificate(broker, shown, &text).unwrap_or_else(|| Fault::passing(format!("{broker}: {text}")))
        }
        Some(rustls::Error::InvalidMessage(_)) => Fault::passing(format!(
            "{broker}: {text}: what answers there does not speak TLS. Is this the broker's encrypted port? Without \
             encryption leave out transport.kafka.tls"
        )),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Fault::passing(format!(
            "{broker}: {text}: it ended the connection at the first byte. Is this the broker's encrypted port? Without \
             encryption leave out transport.kafka.tls"
        )),
        _ => Fault::passing(format!("{broker}: {text}")),
    }
}

/// What is wrong with the certificate that a broker shows.
fn unacceptable(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the broker's certificate is for another host; in transport.kafka.brokers, and in the broker's \
             advertised.listeners, write a name that its certificate is for"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate has expired; the broker needs a new one, unless this machine's clock is wrong. Nothing in \
             transport.kafka.tls helps"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the broker's certificate is not valid yet; is this machine's clock right? Nothing in transport.kafka.tls helps"
        }
        CertificateError::UnknownIssuer => {
            "the broker's certificate is of an authority that is not trusted here; name a file with the authority's certificate \
             in transport.kafka.tls.ca_file"
        }
        _ => {
            "the broker's certificate is not accepted; check transport.kafka.tls.ca_file, and that the broker's name in \
             transport.kafka.brokers and its advertised.listeners is one that its certificate is for"
        }
    }
}

/// A certificate of ours that the broker does not take, of which it may speak only after the handshake; `shown` where
/// there is one.
fn refused_certificate(broker: &str, shown: bool, text: &str) -> Option<Fault> {
    const ALERTS: [&str; 7] = [
        "CertificateRequired",
        "BadCertificate",
        "UnsupportedCertificate",
        "CertificateRevoked",
        "CertificateExpired",
        "CertificateUnknown",
        "UnknownCA",
    ];
    if !(text.contains("fatal alert") && ALERTS.iter().any(|alert| text.contains(alert))) {
        return None;
    }
    let problem = if shown {
        "the broker does not accept our certificate; check transport.kafka.tls.cert_file and key_file: it must be of an \
         authority that the broker trusts, and not have expired"
    } else {
        "the broker wants a certificate of ours; set transport.kafka.tls.cert_file and key_file"
    };
    Some(Fault::access(&format!("encrypting the connection to {broker}"), problem, text.to_owned()))
}

/// Why a login failed: for good, unless it was the connection that did.
fn refused(broker: &str, error: SaslError) -> Fault {
    let action = format!("logging in at {broker}");
    match error {
        SaslError::RequestError(error @ RequestError::NoVersionMatch { .. }) => Fault::of_request(&action, error),
        SaslError::RequestError(error) => Fault::passing(format!("{action}: {error}")),
        SaslError::ApiError(error) => Fault::of_login(&action, Some(error), error.to_string()),
        error => Fault::of_login(&action, None, error.to_string()),
    }
}
