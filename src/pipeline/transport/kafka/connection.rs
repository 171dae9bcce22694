//! A connection to the broker that leads a partition.
//!
//! rskafka keeps its connections to itself; these are made of the same parts (its messenger, rustls), from the same
//! settings. Every step has a deadline.

use std::{fmt::Debug, sync::Arc, time::Duration};

use rskafka::{
    client::error::RequestError,
    messenger::{Messenger, SaslError},
    protocol::{
        messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
        primitives::String_,
    },
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    cluster::{Cluster, MAX_MESSAGE_BYTES, sasl},
    fault::{Fault, Try},
};

/// Encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + Debug> Stream for S {}

/// A connection that is logged in.
pub(super) type Connection = Messenger<BufStream<Box<dyn Stream>>>;

/// Connects to the leader of `topic`/`partition`, which the first broker that answers is asked for.
pub(super) async fn to_leader(cluster: &Cluster, topic: &str, partition: i32) -> Try<Connection> {
    let mut fault = None;
    for broker in &cluster.config().brokers {
        let asked = async {
            let connection = connect(cluster, broker).await?;
            let leader = leader(&connection, topic, partition).await?;
            Ok((connection, leader))
        };
        match cluster.bounded(Duration::ZERO, asked).await {
            Ok((connection, leader)) if leader == *broker => return Ok(connection),
            Ok((_, leader)) => return cluster.bounded(Duration::ZERO, connect(cluster, &leader)).await,
            Err(other) => fault = Some(other),
        }
    }
    Err(fault.unwrap_or_else(|| Fault::passing("there is no broker to ask")))
}

/// `host:port` of the leader.
async fn leader(connection: &Connection, topic: &str, partition: i32) -> Try<String> {
    let action = format!("looking for the leader of `{topic}`/{partition}");
    let topics = Some(vec![MetadataRequestTopic { name: String_(topic.to_owned()) }]);
    let request = MetadataRequest { topics, allow_auto_topic_creation: None };
    let metadata: MetadataResponse =
        connection.request(request).await.map_err(|error| Fault::of_request(&action, error))?;
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

async fn connect(cluster: &Cluster, broker: &str) -> Try<Connection> {
    let passing = |error: &dyn std::fmt::Display| Fault::passing(format!("{broker}: {error}"));
    let socket = TcpStream::connect(broker).await.map_err(|error| passing(&error))?;
    // A request goes out whole: waiting to fill a packet would only meet the broker's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true).map_err(|error| passing(&error))?;
    let stream: Box<dyn Stream> = match cluster.tls() {
        None => Box::new(socket),
        Some(tls) => {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|error| passing(&error))?;
            let encrypted = TlsConnector::from(Arc::clone(tls)).connect(name, socket).await;
            Box::new(encrypted.map_err(|error| passing(&error))?)
        }
    };
    let client_id = cluster.config().client_id.as_str().into();
    let mut connection = Messenger::new(BufStream::new(stream), MAX_MESSAGE_BYTES, client_id);
    connection.sync_versions().await.map_err(|error| passing(&error))?;
    if let Some(login) = &cluster.config().sasl {
        connection.do_sasl(sasl(login)).await.map_err(|error| refused(broker, error))?;
    }
    Ok(connection)
}

/// Why a login failed: for good, unless it was the connection that did.
fn refused(broker: &str, error: SaslError) -> Fault {
    let action = format!("logging in at {broker}");
    match error {
        SaslError::RequestError(error @ RequestError::NoVersionMatch { .. }) => Fault::of_request(&action, error),
        SaslError::RequestError(error) => Fault::passing(format!("{action}: {error}")),
        error => Fault::of_login(&action, error.to_string()),
    }
}
