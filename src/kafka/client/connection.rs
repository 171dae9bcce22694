//! A connection to a broker, logged in.
//!
//! rskafka keeps its connections to itself; these are made of the same parts (its messenger, rustls), from the same
//! settings. Every request goes through [`Connection::call`], which has a deadline and looks at what each answer tells alike.
//! What is wrong at the first bytes is told in the words of the settings: whoever speaks another protocol than the one
//! expected (`greeting`) will do so at the next try, too.

use std::{fmt::Debug, io::Cursor, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::poll;
use rskafka::{
    messenger::Messenger,
    protocol::messages::{MetadataResponse, ReadVersionedType, RequestBody, WriteVersionedType},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    cluster::Cluster,
    fault::{Fault, Try},
    greeting::{Greeted, Greeting},
    login::Session,
    probe,
    quota::Quota,
    tls,
};
use crate::protocol::{self, Answer, Outcome};

/// A broker answers a request for a single record within any size its topic allows; this bounds our memory.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + Debug> Stream for S {}

type Channel = BufStream<Greeted<Box<dyn Stream>>>;

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct Connection {
    messenger: Arc<Messenger<Channel>>,
    quota: Quota,
    /// The login; `None` where there is none.
    session: Option<Session<Channel>>,
}

impl Connection {
    /// Sends a request and waits for its answer, for as long as a request may take and `wait` beside, which the broker was
    /// asked to wait. A broker that throttles this client is waited for as long as it says, before the request is sent and
    /// while it is under way. Requests reach the broker in the order in which these futures are first polled.
    ///
    /// # Errors
    /// When there is no answer in time, or it has an error code.
    pub(crate) async fn call<R>(&self, action: &str, wait: Duration, request: R) -> Try<R::ResponseBody>
    where
        R: RequestBody + Send + WriteVersionedType<Vec<u8>>,
        R::ResponseBody: Answer + ReadVersionedType<Cursor<Vec<u8>>>,
    {
        let turn = self.quota.turn().await;
        if let Some(session) = &self.session {
            self.quota.bounded(session.wait(), pin!(session.renew())).await?;
        }
        let mut answer =
            pin!(async { self.messenger.request(request).await.map_err(|error| Fault::of_request(action, &error)) });
        // The first poll queues the request, so the next one may follow.
        let sent = poll!(answer.as_mut());
        drop(turn);
        let answer = match sent {
            Poll::Ready(answer) => answer?,
            Poll::Pending => self.quota.bounded(wait, answer).await?,
        };
        let Outcome { failure, throttle } = answer.outcome();
        self.quota.throttled(action, R::API_KEY, throttle);
        match failure {
            None => Ok(answer),
            Some(failure) => Err(Fault::of_answer(action, failure)),
        }
    }
}

/// Connects to the leader of `topic`/`partition`, which the first broker that answers is asked for.
pub(crate) async fn to_leader(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Try<Connection> {
    let (broker, connection, metadata) = asked(cluster, Some(topic)).await?;
    let leader = leader(&metadata, topic, partition)?;
    if leader == broker { Ok(connection) } else { to_broker(cluster, &leader).await }
}

/// Connects to the broker that makes topics.
pub(crate) async fn to_controller(cluster: &Arc<Cluster>) -> Try<Connection> {
    let (broker, connection, metadata) = asked(cluster, None).await?;
    let id = metadata.controller_id;
    let controller = metadata.brokers.iter().find(|broker| Some(broker.node_id) == id);
    let controller = controller.map(|broker| format!("{}:{}", broker.host.0, broker.port.0));
    match controller {
        Some(controller) if controller != broker => to_broker(cluster, &controller).await,
        Some(_) => Ok(connection),
        None => Err(Fault::transient("the cluster has no controller at the moment")),
    }
}

/// Asks the first broker that answers for `topic`, or for all topics.
pub(crate) async fn metadata(cluster: &Arc<Cluster>, topic: Option<&str>) -> Try<MetadataResponse> {
    Ok(asked(cluster, topic).await?.2)
}

/// Asks the brokers of the settings, and those that the cluster named last, until one answers.
async fn asked(cluster: &Arc<Cluster>, topic: Option<&str>) -> Try<(String, Connection, MetadataResponse)> {
    let mut fault = None;
    for broker in cluster.candidates() {
        let asked = async {
            let connection = connect(cluster, &broker).await?;
            let metadata = ask(cluster, &connection, &broker, topic).await?;
            Ok((connection, metadata))
        };
        match asked.await.map_err(|fault| cluster.at_the_door(fault)) {
            Ok((connection, metadata)) => {
                cluster.note_let_in();
                cluster.knows(&metadata.brokers);
                return Ok((broker, connection, metadata));
            }
            // A login that one broker refuses, the others refuse, too.
            Err(fault @ Fault::Permanent(_)) => return Err(fault),
            Err(other) => fault = Some(fault.unwrap_or(other)),
        }
    }
    Err(fault.unwrap_or_else(|| Fault::transient("there is no broker to ask")))
}

async fn ask(
    cluster: &Arc<Cluster>,
    connection: &Connection,
    broker: &str,
    topic: Option<&str>,
) -> Try<MetadataResponse> {
    let action = format!("asking {broker} for its topics");
    let asked = connection.call(&action, Duration::ZERO, protocol::metadata(topic)).await;
    // Where none is configured and one is wanted, the broker hangs up at the first request.
    if cluster.config().sasl.is_none()
        && matches!(asked, Err(Fault::Transient(_)))
        && let Some(offered) = probe::logins(greet(cluster, broker)).await
    {
        let problem = "this port wants a login; set transport.kafka.sasl, or name the port of a listener without one in \
                       transport.kafka.brokers";
        return Err(Fault::access(&action, problem, format!("it offers {}", offered.join(", "))));
    }
    asked.map_err(|fault| fault.map_transient(|problem| format!("{broker}: {problem}")))
}

/// `host:port` of the leader.
fn leader(metadata: &MetadataResponse, topic: &str, partition: i32) -> Try<String> {
    let action = format!("looking for the leader of `{topic}`/{partition}");
    let refused = |code: rskafka::client::error::ProtocolError| Fault::of_answer(&action, code.into());
    let found = metadata.topics.iter().find(|found| found.name.0 == topic);
    let found = found.ok_or_else(|| Fault::transient("the broker does not know the topic"))?;
    if let Some(error) = found.error {
        return Err(refused(error));
    }
    let found = found.partitions.iter().find(|found| found.partition_index.0 == partition);
    let found = found.ok_or_else(|| Fault::transient("the broker does not know the partition"))?;
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == found.leader_id);
    match (broker, found.error) {
        (Some(broker), _) => Ok(format!("{}:{}", broker.host.0, broker.port.0)),
        (None, Some(error)) => Err(refused(error)),
        (None, None) => Err(Fault::transient("the partition has no leader at the moment")),
    }
}

/// Connects to an address that the cluster has named.
async fn to_broker(cluster: &Arc<Cluster>, broker: &str) -> Try<Connection> {
    let connected = connect(cluster, broker).await.map_err(|fault| cluster.at_the_door(fault));
    if cluster.config().brokers.iter().any(|configured| configured == broker) {
        return connected;
    }
    connected.map_err(|fault| {
        fault.map_transient(|problem| {
            format!(
                "{problem}. The address {broker} is not in transport.kafka.brokers, it is the one that the broker itself \
                 tells clients to use; if it cannot be reached from here, mend the broker's advertised.listeners"
            )
        })
    })
}

/// Connects and logs in.
async fn connect(cluster: &Arc<Cluster>, broker: &str) -> Try<Connection> {
    let deadline = cluster.config().request_timeout;
    // The token's server has a deadline of its own, and its silence is not the broker's.
    let token = cluster.token().await?;
    let connected = timeout(deadline, async {
        let messenger = Arc::new(greet(cluster, broker).await?);
        let session = match cluster.config().sasl {
            None => None,
            Some(_) => Some(Session::begin(cluster, &messenger, broker, token).await?),
        };
        Ok(Connection { messenger, quota: Quota::new(cluster), session })
    });
    connected.await.unwrap_or_else(|_| Err(Fault::nobody_there(broker, format!("no answer within {deadline:?}"))))
}

/// Connects, as far as it goes without a login.
async fn greet(cluster: &Cluster, broker: &str) -> Try<Messenger<Channel>> {
    let transient = |error: &dyn std::fmt::Display| Fault::transient(format!("{broker}: {error}"));
    let socket = TcpStream::connect(broker).await.map_err(|error| Fault::nobody_there(broker, error))?;
    // A request goes out whole: waiting to fill a packet would only meet the broker's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true).map_err(|error| transient(&error))?;
    let stream: Box<dyn Stream> = match cluster.tls() {
        None => Box::new(socket),
        Some((tls, config)) => {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|error| transient(&error))?;
            match TlsConnector::from(Arc::clone(config)).connect(name, socket).await {
                Ok(encrypted) => Box::new(encrypted),
                Err(error) if tls::is_other_protocol(&error) && probe::is_plain(broker).await => {
                    let problem = "this port of the broker has no encryption; leave out transport.kafka.tls, or name the port of \
                                   an encrypted listener in transport.kafka.brokers";
                    return Err(Fault::access(&format!("connecting to {broker}"), problem, error.to_string()));
                }
                Err(error) => return Err(tls::of_handshake(broker, tls, &error)),
            }
        }
    };
    let client_id = cluster.config().client_id.as_str().into();
    let greeting = Greeting::default();
    let stream = Greeted::new(stream, greeting.clone());
    let mut messenger = Messenger::new(BufStream::new(stream), MAX_MESSAGE_BYTES, client_id);
    let Err(error) = messenger.sync_versions().await else { return Ok(messenger) };
    let tls = cluster.tls().map(|(tls, _)| tls);
    let problem = greeting.problem(tls.is_some()).unwrap_or_else(|| error.to_string());
    // It will be so at the next try.
    if greeting.is_tls() {
        return Err(Fault::access(&format!("connecting to {broker}"), &problem, error.to_string()));
    }
    let refused = tls.and_then(|tls| tls::of_first_request(broker, tls, &error));
    Err(refused.unwrap_or_else(|| transient(&problem)))
}
