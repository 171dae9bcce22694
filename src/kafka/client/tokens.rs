//! Tokens to log in with, which an authorization server gives for this client's credentials (OAuth 2.0, RFC 6749, 4.4).
//!
//! Invariant: one token is asked for at a time, whoever needs it meanwhile. One that is past half its life is replaced at the
//! next login, and goes on being used where the server gives none. Neither token nor secret is ever part of a message.
//! What this does not do: read a token, which is the broker's to judge; follow redirects; use a proxy.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use form_urlencoded::{Serializer, byte_serialize};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    config::{Oauth, Secret},
    connection::Stream,
    fault::{Fault, Refusal, Try},
    tls,
};

/// An answer is a token, of a few kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// A server that gives no token while the last one is still good is not asked again for this long.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// Characters of the server's own words in a message.
const MAX_WORDS: usize = 300;

/// The tokens of one cluster.
pub(crate) struct Tokens {
    oauth: Oauth,
    /// `None` where the server is asked without encryption.
    tls: Option<Arc<ClientConfig>>,
    /// Deadline of a request.
    deadline: Duration,
    held: Mutex<Option<Held>>,
}

/// A token, and when to ask for the next.
struct Held {
    token: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

/// A request that brought no token.
struct Denied {
    problem: &'static str,
    reason: String,
    /// Set where the next request would bring none either.
    is_permanent: bool,
}

/// An answer with a token (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Life of the token in seconds.
    expires_in: Option<f64>,
}

/// An answer without one (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("token_url", &self.oauth.token_url).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the certificates that vouch for the server.
    pub(crate) fn new(oauth: &Oauth, deadline: Duration) -> Result<Self, Refusal> {
        let is_encrypted = oauth.token_url.starts_with("https:");
        let tls = is_encrypted.then(|| tls::trusting(oauth.ca_file.as_deref(), "transport.kafka.sasl.ca_file"));
        Ok(Self { oauth: oauth.clone(), tls: tls.transpose()?.map(Arc::new), deadline, held: Mutex::default() })
    }

    /// Returns a token that is good at the moment.
    pub(crate) async fn token(&self) -> Try<Secret> {
        let mut held = self.held.lock().await;
        let asked_at = Instant::now();
        if let Some(held) = held.as_ref().filter(|held| asked_at < held.renew_at) {
            return Ok(held.token.clone());
        }
        let denied = match timeout(self.deadline, self.ask()).await {
            Ok(Ok(Granted { access_token, expires_in })) => {
                let token = Secret::new(access_token);
                // One whose life is not told is good for the login that it was asked for.
                let life = expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default();
                let renew_at = asked_at.checked_add(life / 2).unwrap_or(asked_at);
                let ends_at = asked_at.checked_add(life).unwrap_or(asked_at);
                *held = Some(Held { token: token.clone(), renew_at, ends_at });
                return Ok(token);
            }
            Ok(Err(denied)) => denied,
            Err(_) => Denied::for_now(format!("no answer within {:?}", self.deadline)),
        };
        let now = Instant::now();
        if let Some(old) = held.as_mut().filter(|old| now < old.ends_at) {
            tracing::warn!(
                event = "token_not_renewed",
                token_url = self.oauth.token_url,
                left_s = (old.ends_at - now).as_secs(),
                error = format!("{}: {}", denied.problem, denied.reason),
                "there is no newer token to log in with; going on with the last one for as long as it is good"
            );
            old.renew_at = old.ends_at.min(now + RENEWAL_PAUSE);
            return Ok(old.token.clone());
        }
        let action = format!("asking {} for a token", self.oauth.token_url);
        let Denied { problem, reason, is_permanent } = denied;
        Err(match is_permanent {
            true => Fault::access(&action, problem, reason),
            false => Fault::transient(format!("{action}: {problem}: {reason}")),
        })
    }

    /// Asks the server for a token.
    async fn ask(&self) -> Result<Granted, Denied> {
        let uri: Uri = self.oauth.token_url.parse().map_err(|error| Denied::of_address(&error))?;
        let stream = self.connect(&uri).await?;
        let (status, body) = exchange(stream, self.request(&uri)).await.map_err(Denied::for_now)?;
        if !status.is_success() {
            return Err(Denied::of_answer(status, &body));
        }
        serde_json::from_slice(&body).map_err(|_| Denied {
            problem: "its answer is no token; check transport.kafka.sasl.token_url",
            reason: status.to_string(),
            is_permanent: true,
        })
    }

    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Stream>, Denied> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = TcpStream::connect((host, port)).await.map_err(Denied::for_now)?;
        let Some(config) = &self.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Denied::of_address(&error))?;
        match TlsConnector::from(Arc::clone(config)).connect(name, socket).await {
            Ok(encrypted) => Ok(Box::new(encrypted)),
            Err(error) if tls::is_about_certificate(&error) => Err(Denied {
                problem: "its certificate is not accepted; name a file with the certificate of its authority in \
                          transport.kafka.sasl.ca_file, or the host that it is for in transport.kafka.sasl.token_url",
                reason: error.to_string(),
                is_permanent: true,
            }),
            Err(error) => Err(Denied::for_now(error)),
        }
    }

    fn request(&self, uri: &Uri) -> Request<String> {
        let Oauth { client_id, client_secret, scope, .. } = &self.oauth;
        let mut body = Serializer::new(String::new());
        body.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            body.append_pair("scope", scope);
        }
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let login = format!("{}:{}", encoded(client_id), encoded(client_secret.reveal()));
        let login = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(login)));
        let host = HeaderValue::try_from(uri.authority().map_or(String::new(), ToString::to_string));
        let mut request = Request::new(body.finish());
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = uri.path_and_query().map_or_else(Uri::default, |path| path.clone().into());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in [(HOST, host), (AUTHORIZATION, login)] {
            // Base64 and a host of an address hold nothing that a header does not take.
            if let Ok(value) = value {
                headers.insert(name, value);
            }
        }
        request
    }
}

/// Sends a request over a connection and waits for the whole answer.
async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<String>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await;
        // The connection ends when nobody can send over it any more.
        drop(sender);
        let answer = answer?;
        let status = answer.status();
        Ok((status, Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes()))
    };
    // An answer that is there counts, however the connection ends.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

impl Denied {
    fn for_now(error: impl ToString) -> Self {
        Self { problem: "it does not answer as it should", reason: error.to_string(), is_permanent: false }
    }

    fn of_address(error: &dyn fmt::Display) -> Self {
        let problem = "this is no address; check transport.kafka.sasl.token_url";
        Self { problem, reason: error.to_string(), is_permanent: true }
    }

    /// Judges an answer that grants nothing.
    fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let said = serde_json::from_slice::<Refused>(body).ok();
        let words = said.as_ref().map_or_else(String::new, |Refused { error, error_description }| {
            let words = error_description.as_ref().map_or_else(|| error.clone(), |more| format!("{error}: {more}"));
            format!(", {}", words.chars().take(MAX_WORDS).collect::<String>())
        });
        let reason = format!("{status}{words}");
        if status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status) {
            return Self::for_now(reason);
        }
        let is_unauthorized = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        let problem = match said.as_ref().map(|said| said.error.as_str()) {
            Some("invalid_scope") => "it does not give this client that scope; check transport.kafka.sasl.scope",
            Some("unauthorized_client" | "unsupported_grant_type") => {
                "it gives this client no token for its credentials alone; allow it there (grant type client_credentials)"
            }
            code if code == Some("invalid_client") || is_unauthorized => {
                "it does not take these credentials; check transport.kafka.sasl.client_id and client_secret"
            }
            _ => "it gives no token; check transport.kafka.sasl.token_url",
        };
        Self { problem, reason, is_permanent: true }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{SocketAddr, TcpListener},
        path::Path,
        sync::{
            Mutex as StdMutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use rustls::ServerConfig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;

    use super::{super::pem, *};

    /// A server that gives its answers in turn, the last one again and again.
    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        heard: StdMutex<String>,
    }

    fn server(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, Arc<Server>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, server) = (listener.local_addr().expect("bound"), Arc::<Server>::default());
        let kept = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(&stream);
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                for line in head.lines() {
                    length = line.strip_prefix("content-length: ").map_or(length, |it| it.parse().expect("a length"));
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                *kept.heard.lock().expect("nothing panics with it") = head + &String::from_utf8_lossy(&body);
                let nth = kept.asked.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answers[nth.min(answers.len() - 1)];
                let length = body.len();
                write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").expect("written");
            }
        });
        (address, server)
    }

    fn tokens(address: SocketAddr) -> Tokens {
        let oauth = Oauth {
            token_url: format!("http://{address}/token?realm=a"),
            client_id: "me".to_owned(),
            client_secret: Secret::new("a b:+".to_owned()),
            scope: Some("read write".to_owned()),
            ca_file: None,
            extensions: Vec::new(),
        };
        Tokens::new(&oauth, Duration::from_secs(60)).expect("no files to read")
    }

    async fn later(seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn a_token_is_kept_for_half_its_life_and_longer_where_there_is_no_other() {
        const GRANTED: &str = r#"{"access_token":"first","token_type":"Bearer","expires_in":100}"#;
        let (address, server) = server(&[("200 OK", GRANTED), ("503 Service Unavailable", "down")]);
        let tokens = tokens(address);
        for (pause, asked) in [(0, 1), (40, 1), (15, 2), (5, 2)] {
            later(pause).await;
            assert_eq!(tokens.token().await.expect("a token").reveal(), "first", "after {pause} s more");
            assert_eq!(server.asked.load(Ordering::SeqCst), asked, "after {pause} s more");
        }
        later(60).await;
        let ended = tokens.token().await;
        assert!(matches!(&ended, Err(Fault::Transient(trouble)) if trouble.problem.contains("503")), "{ended:?}");
    }

    #[tokio::test]
    async fn credentials_are_sent_encoded_and_never_said() {
        let (address, server) = server(&[("401 Unauthorized", r#"{"error":"invalid_client"}"#)]);
        let tokens = tokens(address);
        let Err(Fault::Permanent(refusal)) = tokens.token().await else { panic!("let in") };
        assert!(refusal.problem.contains("client_id and client_secret"), "{refusal:?}");
        let heard = server.heard.lock().expect("nothing panics with it").clone();
        let login = BASE64_STANDARD.encode("me:a+b%3A%2B");
        for part in [
            "POST /token?realm=a HTTP/1.1",
            &login,
            "grant_type=client_credentials&scope=read+write",
            &address.to_string(),
        ] {
            assert!(heard.contains(part), "{part} in {heard}");
        }
        let shown = format!("{refusal:?} {tokens:?} {:?}", tokens.oauth);
        assert!(!shown.contains("a b") && !shown.contains(&login), "{shown}");
    }

    #[tokio::test]
    async fn an_encrypted_server_is_asked_where_ca_file_vouches_for_it() {
        let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name);
        let (chain, key) = (pem::certificates(&file("broker/right.pem")), pem::key(&file("broker/right.pem"), None));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        let config = config.with_single_cert(chain.expect("a chain"), key.expect("a key")).expect("they fit");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let serve = async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                let Ok(mut stream) = TlsAcceptor::from(Arc::new(config.clone())).accept(socket).await else { continue };
                let mut heard = Vec::new();
                while !heard.ends_with(b"grant_type=client_credentials") {
                    stream.read_buf(&mut heard).await.expect("a request");
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 28\r\n\r\n{\"access_token\":\"encrypted\"}";
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        };
        let asked = async {
            for (ca_file, expected) in
                [("broker/ca.pem", Ok("encrypted")), ("ca.pem", Err("transport.kafka.sasl.ca_file"))]
            {
                let oauth = Oauth {
                    token_url: format!("https://{address}/token"),
                    scope: None,
                    ca_file: Some(file(ca_file)),
                    ..tokens(address).oauth
                };
                let tokens = Tokens::new(&oauth, Duration::from_secs(60)).expect("a certificate");
                match (tokens.token().await, expected) {
                    (Ok(token), Ok(expected)) => assert_eq!(token.reveal(), expected),
                    (Err(Fault::Permanent(refusal)), Err(key)) => assert!(refusal.problem.contains(key), "{refusal:?}"),
                    (other, _) => panic!("{other:?} with {ca_file}"),
                }
            }
        };
        tokio::select! {
            () = asked => {}
            () = serve => {}
        }
    }
}
