//! A connection to a broker, logged in.
//!
//! rskafka keeps its connections to itself; these are made of the same parts (its messenger, rustls), from the same
//! settings. Every request goes through [`Connection::call`], which has a deadline and looks at what each answer tells alike.
//! What is wrong at the first bytes is told in the words of the settings: whoever speaks another protocol than the one
//! expected (`greeting`) will do so at the next try, too.

use std::{
    fmt::Debug,
    io::Cursor,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::poll;
use rskafka::{
    messenger::Messenger,
    protocol::{
        api_key::ApiKey,
        messages::{ReadVersionedType, RequestBody, WriteVersionedType},
    },
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    access::Access,
    fault::{Fault, Try},
    greeting::{Greeted, Greeting},
    login::Session,
    probe,
    pulse::Pulse,
    quota::Quota,
    slot::Reusable,
    tls, versions,
};
use crate::protocol::{Answer, Outcome};

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
    pulse: Arc<Pulse>,
    answered: AtomicBool,
}

impl Reusable for Connection {
    fn is_open(&self) -> bool {
        self.pulse.is_open()
    }
}

impl Connection {
    /// Says whether any request has been answered over it, beside the login.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

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
            let renewed = self.quota.bounded(session.wait(), pin!(session.renew())).await;
            renewed.inspect_err(|_| self.pulse.end())?;
        }
        let mut answer =
            pin!(async { self.messenger.request(request).await.map_err(|error| Fault::of_request(action, &error)) });
        // The first poll queues the request, so the next one may follow.
        let sent = poll!(answer.as_mut());
        drop(turn);
        let answer = match sent {
            Poll::Ready(answer) => answer,
            Poll::Pending => self.quota.bounded(wait, answer).await,
        };
        let answer = answer.inspect_err(|fault| {
            // One without an answer may never have another.
            if let Fault::Transient(_) = fault {
                self.pulse.end();
            }
        })?;
        self.answered.store(true, Ordering::Relaxed);
        let Outcome { failure, throttle } = answer.outcome();
        self.quota.throttled(action, R::API_KEY, throttle);
        match failure {
            None => Ok(answer),
            Some(failure) => Err(Fault::of_answer(action, failure)),
        }
    }
}

/// Connects to a broker, and logs in.
///
/// # Errors
/// When that takes longer than a request may, or the broker does not let us in.
pub(super) async fn connect(access: &Arc<Access>, broker: &str) -> Try<Connection> {
    let opened = open(access, broker).await.map_err(|fault| access.at_the_door(fault));
    if access.config().brokers.iter().any(|configured| configured == broker) {
        return opened;
    }
    opened.map_err(|fault| {
        fault.map_transient(|problem| {
            format!(
                "{problem}. The address {broker} is not in transport.kafka.brokers, it is the one that the broker itself \
                 tells clients to use; if it cannot be reached from here, mend the broker's advertised.listeners"
            )
        })
    })
}

/// Asks a port over a connection of its own which ways to log in it offers; `None` where it wants none.
pub(super) async fn logins(access: &Arc<Access>, broker: &str) -> Option<Vec<String>> {
    let connecting = async { Ok(greet(access, broker, &Arc::new(Pulse::new())).await?.0) };
    probe::logins(connecting).await
}

/// Connects and logs in.
async fn open(access: &Arc<Access>, broker: &str) -> Try<Connection> {
    // The token's server has a deadline of its own, and its silence is not the broker's.
    let token = access.token().await?;
    let pulse = Arc::new(Pulse::new());
    let (messenger, throttle) = greet(access, broker, &pulse).await?;
    let (messenger, quota) = (Arc::new(messenger), Quota::new(access, &pulse));
    quota.throttled("connecting", ApiKey::ApiVersions, throttle);
    let session = match access.config().sasl {
        None => None,
        Some(_) => {
            let login = Session::begin(access, &messenger, broker, token);
            Some(Step::LoggingIn.within(access, broker, login).await?)
        }
    };
    Ok(Connection { messenger, quota, session, pulse, answered: AtomicBool::default() })
}

/// A step on the way to a connection. Each may take as long as a request: what has come so far shows that somebody is there.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connecting,
    Encrypting,
    Greeting,
    LoggingIn,
}

impl Step {
    /// Does it, or tells how far it went.
    async fn within<T>(self, access: &Access, broker: &str, work: impl Future<Output = Try<T>>) -> Try<T> {
        let deadline = access.config().request_timeout;
        timeout(deadline, work).await.unwrap_or_else(|_| Err(self.late(broker, deadline, access.tls().is_some())))
    }

    fn late(self, broker: &str, deadline: Duration, encrypted: bool) -> Fault {
        let told = match self {
            Self::Connecting => return Fault::nobody_there(broker, format!("no answer within {deadline:?}")),
            Self::Encrypting => {
                "does not go on with the encryption. It may be a broker that is starting, overloaded or stopped, or a port that \
                 is none of a broker's with TLS; check transport.kafka.brokers"
            }
            Self::Greeting if encrypted => {
                "has agreed on the encryption, but does not answer the first request. It may be a broker that is starting, \
                 overloaded or stopped, or another service's port; check transport.kafka.brokers"
            }
            Self::Greeting => {
                "does not answer the first request. It may be a broker that is starting, overloaded or stopped, or a port that \
                 is none of a broker's without TLS; check transport.kafka.brokers and transport.kafka.tls"
            }
            Self::LoggingIn => {
                "is a broker and answers, but does not come to an end with the login. It may be overloaded, or wait for what it \
                 looks up logins in; its own log says"
            }
        };
        Fault::transient(format!("{broker}: after {deadline:?}, something that accepts connections there {told}"))
    }
}

/// Connects, as far as it goes without a login. Returns for how long the broker wants to be left alone, too.
async fn greet(access: &Access, broker: &str, pulse: &Arc<Pulse>) -> Try<(Messenger<Channel>, Duration)> {
    let transient = |error: &dyn std::fmt::Display| Fault::transient(format!("{broker}: {error}"));
    let connecting = async { TcpStream::connect(broker).await.map_err(|error| Fault::nobody_there(broker, error)) };
    let socket = Step::Connecting.within(access, broker, connecting).await?;
    // A request goes out whole: waiting to fill a packet would only meet the broker's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true).map_err(|error| transient(&error))?;
    let stream: Box<dyn Stream> = match access.tls() {
        None => Box::new(socket),
        Some((tls, config)) => {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|error| transient(&error))?;
            let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket);
            // What it came to is judged below.
            let handshake = Step::Encrypting.within(access, broker, async { Ok(handshake.await) });
            match handshake.await? {
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
    let client_id = access.config().client_id.as_str().into();
    let greeting = Greeting::default();
    let stream = Greeted::new(stream, greeting.clone(), Arc::clone(pulse));
    let mut messenger = Messenger::new(BufStream::new(stream), MAX_MESSAGE_BYTES, client_id);
    let agreed = async { Ok(versions::agree(&mut messenger).await) };
    let error = match Step::Greeting.within(access, broker, agreed).await? {
        Ok(throttle) => return Ok((messenger, throttle)),
        Err(error) => error,
    };
    let tls = access.tls().map(|(tls, _)| tls);
    let problem = greeting.problem(tls.is_some()).unwrap_or_else(|| error.to_string());
    // It will be so at the next try.
    if greeting.is_tls() {
        return Err(Fault::access(&format!("connecting to {broker}"), &problem, error.to_string()));
    }
    let refused = tls.and_then(|tls| tls::of_first_request(broker, tls, &error));
    Err(refused.unwrap_or_else(|| transient(&problem)))
}
