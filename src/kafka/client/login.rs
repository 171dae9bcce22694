//! Logging in (SASL), and again before a login ends (KIP-368).
//!
//! The library's own loop does not tell for how long a login is good, nor the broker's words; this one is made of the same
//! parts, its messages and rsasl. Invariant: while a login is under way nothing else is sent over its connection, and one that
//! was begun is gone through with, whoever began it: a broker takes nothing else in between.
//! What this does not do: fetch tokens (`tokens`).

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    mechname::Mechname,
    prelude::{SASLClient, SASLConfig, SessionError},
    property::{AuthId, OAuthBearerKV, OAuthBearerToken, Password},
};
use rskafka::{
    client::error::RequestError,
    messenger::Messenger,
    protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
    time::Instant,
};

use super::{
    access::Access,
    config::{Sasl, Secret},
    fault::{Fault, Try},
};
/// Part of a login's time after which the next one is due, as in Kafka's own clients at the earliest.
const RENEWED_AFTER: f64 = 0.85;
/// A request that is sent before the next login is due has this long, beside the wait of a fetch, to be read by the broker.
const MIN_MARGIN: Duration = Duration::from_secs(1);
/// A broker refuses a login that follows the one before within a second.
const MIN_LOGIN_AGE: Duration = Duration::from_millis(1100);

const TOKEN_REFUSED: &str = "the broker does not take the token that transport.kafka.sasl.token_url gives; check that the broker \
    trusts that server, transport.kafka.sasl.scope, and the clocks of all three";

/// A login under way; what it brings is the time at which the next one is due.
type UnderWay = Pin<Box<dyn Future<Output = Try<Option<Instant>>> + Send>>;

/// The login of one connection.
pub(super) struct Session<S> {
    access: Arc<Access>,
    broker: String,
    messenger: Arc<Messenger<S>>,
    login: Mutex<Login>,
}

struct Login {
    /// Time at which the next one is due; `None` where this one does not end.
    due: Option<Instant>,
    under_way: Option<UnderWay>,
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Session<S> {
    /// Logs in over a new connection.
    pub(super) async fn begin(
        access: &Arc<Access>,
        messenger: &Arc<Messenger<S>>,
        broker: &str,
        token: Option<Secret>,
    ) -> Try<Self> {
        let (access, messenger, broker) = (Arc::clone(access), Arc::clone(messenger), broker.to_owned());
        let due = log_in(&access, &messenger, &broker, token).await?;
        Ok(Self { access, broker, messenger, login: Mutex::new(Login { due, under_way: None }) })
    }

    /// Returns how long a login may take beside a request: the broker first answers a fetch that waits for records, and a token
    /// may have to be asked for.
    pub(super) fn wait(&self) -> Duration {
        let config = self.access.config();
        let for_token = match config.sasl {
            Some(Sasl::Oauth(_)) => config.request_timeout,
            Some(Sasl::Password { .. }) | None => Duration::ZERO,
        };
        config.fetch_wait.max(config.linger) + for_token
    }

    /// Logs in again where it is time to, or goes on with a login that somebody began and gave up. Whoever calls this has the
    /// connection's turn, and keeps it until this has ended.
    pub(super) async fn renew(&self) -> Try<()> {
        let mut login = self.login.lock().await;
        let Login { due, under_way } = &mut *login;
        if under_way.is_none() {
            if due.is_none_or(|due| Instant::now() < due) {
                return Ok(());
            }
            let (access, messenger) = (Arc::clone(&self.access), Arc::clone(&self.messenger));
            let broker = self.broker.clone();
            *under_way = Some(Box::pin(async move {
                let token = access.token().await?;
                log_in(&access, &messenger, &broker, token).await
            }));
        }
        let Some(going_on) = under_way else { return Ok(()) };
        let next = going_on.await;
        *under_way = None;
        *due = next.map_err(|fault| self.access.at_the_door(fault))?;
        Ok(())
    }
}

/// Logs in at `broker`. Returns when the next login is due; `None` where this one does not end.
async fn log_in<S>(
    access: &Access,
    messenger: &Messenger<S>,
    broker: &str,
    token: Option<Secret>,
) -> Try<Option<Instant>>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let Some(sasl) = &access.config().sasl else { return Ok(None) };
    let credentials = Credentials { sasl: sasl.clone(), token };
    let begun = Instant::now();
    let lifetime = exchange(messenger, broker, credentials).await?;
    let config = access.config();
    Ok(lifetime.map(|lifetime| {
        let margin = lifetime.mul_f64(1.0 - RENEWED_AFTER).max(config.fetch_wait.max(config.linger) + MIN_MARGIN);
        (begun + lifetime.saturating_sub(margin)).max(Instant::now() + MIN_LOGIN_AGE)
    }))
}

/// Goes through a login. Returns for how long it is good; `None` where it does not end.
async fn exchange<S>(messenger: &Messenger<S>, broker: &str, credentials: Credentials) -> Try<Option<Duration>>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let action = format!("logging in at {broker}");
    let broken = |error: &dyn fmt::Display| Fault::of_login(&action, None, error.to_string());
    let (mechanism, has_token) = (credentials.sasl.mechanism(), credentials.token.is_some());
    handshake(messenger, &action, mechanism).await?;
    let name = Mechname::parse(mechanism.as_bytes()).map_err(|error| broken(&error))?;
    let config = SASLConfig::builder().with_default_mechanisms().with_callback(credentials);
    let client = SASLClient::new(config.map_err(|error| broken(&error))?);
    let mut session = client.start_suggested(&[name]).map_err(|error| broken(&error))?;
    let (mut received, mut lifetime): (Option<Vec<u8>>, _) = (None, None);
    loop {
        let mut to_send = Vec::new();
        let state = session.step(received.as_deref(), &mut to_send).map_err(|error| broken(&error))?;
        if state.has_sent_message() {
            let answer = authenticate(messenger, &action, to_send).await?;
            lifetime = answer.session_lifetime_ms.and_then(|lifetime| u64::try_from(lifetime.0).ok());
            // A broker that refuses a token says so, and ends the login after this byte (RFC 7628, 3.2.3), which rsasl leaves out.
            if has_token && !answer.auth_bytes.0.is_empty() {
                let said = String::from_utf8_lossy(&answer.auth_bytes.0).into_owned();
                let reason = match authenticate(messenger, &action, vec![1]).await {
                    Err(Fault::Permanent(refusal)) => refusal.reason,
                    _ => said,
                };
                return Err(Fault::access(&action, TOKEN_REFUSED, reason));
            }
            received = Some(answer.auth_bytes.0);
        }
        if state.is_finished() {
            return Ok(lifetime.filter(|lifetime| *lifetime > 0).map(Duration::from_millis));
        }
    }
}

/// Says which way to log in is meant.
async fn handshake<S>(messenger: &Messenger<S>, action: &str, mechanism: &str) -> Try<()>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let answer = messenger.request(SaslHandshakeRequest::new(mechanism)).await;
    let answer = answer.map_err(|error| unanswered(action, &error))?;
    let Some(code) = answer.error_code else { return Ok(()) };
    let offered = answer.mechanisms.0.unwrap_or_default();
    let offered: Vec<&str> = offered.iter().map(|mechanism| mechanism.0.as_str()).collect();
    let reason = match offered.as_slice() {
        [] => code.to_string(),
        offered => format!("{code}; it offers {}", offered.join(", ")),
    };
    Err(Fault::of_login(action, Some(code), reason))
}

/// Sends one message of a login.
async fn authenticate<S>(messenger: &Messenger<S>, action: &str, bytes: Vec<u8>) -> Try<SaslAuthenticateResponse>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let answer = messenger.request(SaslAuthenticateRequest::new(bytes)).await;
    let answer = answer.map_err(|error| unanswered(action, &error))?;
    let Some(code) = answer.error_code else { return Ok(answer) };
    let reason = answer.error_message.0.map_or_else(|| code.to_string(), |message| format!("{code}: {message}"));
    Err(Fault::of_login(action, Some(code), reason))
}

/// Judges a message of a login that was not answered: the connection has failed, or the broker knows no logins.
fn unanswered(action: &str, error: &RequestError) -> Fault {
    match error {
        RequestError::NoVersionMatch { .. } => Fault::of_request(action, error),
        error => Fault::transient(format!("{action}: {error}")),
    }
}

/// Tells rsasl what it asks for, and keeps no copy that is not wiped.
struct Credentials {
    sasl: Sasl,
    token: Option<Secret>,
}

impl SessionCallback for Credentials {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        match &self.sasl {
            Sasl::Password { username, password, .. } => {
                request.satisfy::<AuthId>(username)?.satisfy::<Password>(password.reveal().as_bytes())?;
            }
            Sasl::Oauth(oauth) => {
                let extensions: Vec<_> =
                    oauth.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                request.satisfy::<OAuthBearerKV>(&extensions)?;
                if let Some(token) = &self.token {
                    request.satisfy::<OAuthBearerToken>(token.reveal())?;
                }
            }
        }
        Ok(())
    }
}
