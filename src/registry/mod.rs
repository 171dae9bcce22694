//! Asks a schema registry for schemas, and registers ours, as its REST interface has it (Confluent's, which Karapace, Apicurio and
//! Redpanda speak, too).
//!
//! Invariant: what comes back is bounded, in bytes and in what refers to what, and nothing of a login is part of a message. A schema
//! that was found is kept, since its id means nothing else ever; the number of those that are kept is bounded.
//! What this does not do: change what others have registered, or how the registry keeps it; follow redirects, use a proxy.

mod advice;
mod config;
mod registering;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::{BoxFuture, FutureExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, pki_types::ServerName};
use secrecy::ExposeSecret;
use serde::Deserialize;
use thalweg_pipeline::{
    decode::{Definition, Format, MAX_DEFINITION_BYTES, Reference, SchemaId},
    registry::{Answer, Away, Registry},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

pub use config::{Config, Credential, Login};
pub use registering::{Outlook, Registered};

/// Deadline of a request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a schema in JSON, which may take two for one.
const MAX_ANSWER_BYTES: usize = 2 * MAX_DEFINITION_BYTES + (64 << 10);
/// Most schemas that one refers to, directly or not.
const MAX_REFERENCES: usize = 256;
/// Schemas that are kept.
const MAX_KEPT: usize = 1000;
/// Bytes of them.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// Characters of the registry's own words in a message.
const MAX_WORDS: usize = 200;
/// Codes of a registry for a schema, a subject and a version that it does not have.
const NOT_FOUND: [u32; 3] = [40403, 40401, 40402];

/// A registry.
pub struct Client {
    config: Config,
    uri: Uri,
    /// `None` where the registry is asked without encryption.
    tls: Option<Arc<ClientConfig>>,
    /// Type of its schemas, as it names it.
    kind: &'static str,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<SchemaId, Answer>,
    order: VecDeque<(SchemaId, usize)>,
    size: usize,
}

impl Kept {
    fn keep(&mut self, id: SchemaId, answer: &Answer) {
        let Answer::Found(definition) = answer else { return };
        if self.answers.insert(id, answer.clone()).is_none() {
            self.order.push_back((id, definition.size()));
            self.size += definition.size();
        }
        while self.order.len() > MAX_KEPT || self.size > MAX_KEPT_BYTES {
            let Some((oldest, size)) = self.order.pop_front() else { break };
            self.answers.remove(&oldest);
            self.size -= size;
        }
    }
}

/// A schema as a registry gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<GivenReference>,
}

#[derive(Deserialize)]
struct GivenReference {
    name: String,
    subject: String,
    version: u32,
}

/// An answer without a schema.
#[derive(Deserialize)]
struct Refused {
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// Why the registry is asked.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Reading,
    Registering,
}

/// What became of a request.
enum Got {
    Given(Given),
    Unknown,
    Unusable(String),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.config.url).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client for schemas of a format.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn new(config: Config, format: &Format) -> Result<Self, String> {
        config.check_url().map_err(|problem| format!("url {problem}"))?;
        let uri: Uri = config.url.parse().map_err(|_| "url is no address".to_owned())?;
        let is_encrypted = uri.scheme_str() == Some("https");
        let tls = if is_encrypted { Some(Arc::new(tls::client_config(&config)?)) } else { None };
        let kind = match format {
            Format::Json => "JSON",
            Format::Avro(_) => "AVRO",
            Format::Protobuf(_) => "PROTOBUF",
        };
        Ok(Self { config, uri, tls, kind, kept: Mutex::default() })
    }

    /// Asks whether it answers as a registry does.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn probe(&self) -> Result<(), Away> {
        self.get("schemas/ids/1").await.map(drop)
    }

    async fn ask(&self, id: SchemaId) -> Result<Answer, Away> {
        if let Some(answer) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).answers.get(&id) {
            return Ok(answer.clone());
        }
        let got = match id {
            SchemaId::Number(number) => self.get(&format!("schemas/ids/{number}")).await?,
            SchemaId::Guid(_) => match self.get_if_served(&format!("schemas/guids/{id}")).await? {
                Some(got) => got,
                // A registry that numbers its schemas only has no GUID of any.
                None => self.probe().await.map(|()| Got::Unknown)?,
            },
        };
        let answer = match got {
            Got::Unknown => Answer::Unknown,
            Got::Unusable(problem) => Answer::Unusable(problem),
            Got::Given(given) => self.with_references(given).await?,
        };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(id, &answer);
        Ok(answer)
    }

    /// Gets all that a schema refers to, each behind what that refers to itself.
    async fn with_references(&self, given: Given) -> Result<Answer, Away> {
        let unusable = |problem: String| Ok(Answer::Unusable(problem));
        let kind = given.schema_type.as_deref().unwrap_or("AVRO");
        if kind != self.kind {
            return unusable(format!("it is of the type {}, and schema.format reads {}", short(kind), self.kind));
        }
        let mut references: Vec<Reference> = Vec::new();
        let mut asked: Vec<(String, u32)> = Vec::new();
        // Those that are open, each with what it still refers to; a loop, since a schema may nest them as it likes.
        let mut open = vec![(None, given.schema, given.references.into_iter())];
        let mut size = 0;
        loop {
            let Some((_, _, rest)) = open.last_mut() else { return unusable("it is empty".to_owned()) };
            if let Some(GivenReference { name, subject, version }) = rest.next() {
                if references.iter().any(|known| known.name == name) {
                    continue;
                }
                if open.iter().any(|(other, _, _)| other.as_ref() == Some(&name)) {
                    return unusable(format!("{} refers to itself", short(&name)));
                }
                asked.push((subject.clone(), version));
                if asked.len() > MAX_REFERENCES {
                    return unusable(format!("it refers to more than {MAX_REFERENCES} others"));
                }
                let subject = utf8_percent_encode(&subject, NON_ALPHANUMERIC).to_string();
                match self.get(&format!("subjects/{subject}/versions/{version}?deleted=true")).await? {
                    Got::Given(given) => {
                        size += given.schema.len();
                        if size > MAX_DEFINITION_BYTES {
                            return unusable(format!("what it refers to has more than {MAX_DEFINITION_BYTES} bytes"));
                        }
                        open.push((Some(name), given.schema, given.references.into_iter()));
                    }
                    Got::Unknown => {
                        return unusable(format!("it refers to {}, which the registry does not have", short(&name)));
                    }
                    Got::Unusable(problem) => return unusable(problem),
                }
                continue;
            }
            match open.pop() {
                Some((Some(name), schema, _)) => references.push(Reference { name, body: schema.into_bytes() }),
                Some((None, schema, _)) => {
                    let definition = Definition { body: schema.into_bytes(), references, ..Definition::default() };
                    return Ok(Answer::Found(definition));
                }
                None => return unusable("it is empty".to_owned()),
            }
        }
    }

    /// Gets what is at a path below the registry's address.
    async fn get(&self, path: &str) -> Result<Got, Away> {
        self.get_if_served(path).await?.ok_or_else(|| {
            self.away("404 Not Found; what answers there is no schema registry: check schema.registry.url and its path")
        })
    }

    fn away(&self, problem: impl fmt::Display) -> Away {
        Away(format!("{}: {problem}", self.config.url))
    }

    /// Gets what is at a path, or has what is there take a body; the answer has none where it is too long.
    async fn answer(&self, path: &str, body: Option<String>) -> Result<(StatusCode, Option<Bytes>), Away> {
        match timeout(DEADLINE, self.exchange(path, body)).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(problem)) => Err(self.away(problem)),
            Err(_) => Err(self.away(format_args!("no answer within {DEADLINE:?}"))),
        }
    }

    /// What an answer means that tells of a failure which may pass.
    fn failed(&self, status: StatusCode, refused: Option<Refused>, purpose: Purpose) -> Away {
        let words = refused.map_or_else(String::new, |refused| format!(", {}", short(&refused.message)));
        let advice = advice::of_status(status, &self.config, purpose);
        self.away(format_args!("{status}{words}{advice}"))
    }

    /// The same; `None` where nobody serves that path.
    async fn get_if_served(&self, path: &str) -> Result<Option<Got>, Away> {
        let (status, body) = self.answer(path, None).await?;
        let Some(body) = body else {
            let problem = format!("the registry's answer has more than {MAX_ANSWER_BYTES} bytes");
            return Ok(Some(Got::Unusable(problem)));
        };
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map(|given| Some(Got::Given(given)))
                .map_err(|_| self.away("what answers there is no schema registry; check schema.registry.url"));
        }
        let refused = serde_json::from_slice::<Refused>(&body).ok();
        if status == StatusCode::NOT_FOUND {
            let is_known = refused.is_some_and(|it| NOT_FOUND.contains(&it.error_code));
            return Ok(is_known.then_some(Got::Unknown));
        }
        Err(self.failed(status, refused, Purpose::Reading))
    }

    /// Sends a request and waits for its whole answer; `None` where that is too long.
    async fn exchange(&self, path: &str, body: Option<String>) -> Result<(StatusCode, Option<Bytes>), String> {
        let request = self.request(path, body)?;
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let answer = async {
            let answer = sender.send_request(request).await;
            // The connection ends when nobody can send over it any more.
            drop(sender);
            let answer = answer.map_err(|error| advice::of_request(&error, &self.config))?;
            let status = answer.status();
            match Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await {
                Ok(body) => Ok((status, Some(body.to_bytes()))),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => Ok((status, None)),
                Err(error) => Err(error.to_string()),
            }
        };
        // An answer that is there counts, however the connection ends.
        tokio::pin!(connection);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => match (answer.await, ended) {
                (Err(_), Err(error)) => Err(advice::of_request(&error, &self.config)),
                (answer, _) => answer,
            },
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
        let Some(config) = &self.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let encrypted = TlsConnector::from(Arc::clone(config)).connect(name, socket).await;
        Ok(Box::new(encrypted.map_err(|error| advice::of_handshake(&error, &self.config))?))
    }

    fn request(&self, path: &str, body: Option<String>) -> Result<Request<Full<Bytes>>, String> {
        let is_post = body.is_some();
        let mut request = Request::new(Full::from(body.unwrap_or_default()));
        if is_post {
            *request.method_mut() = Method::POST;
            let kind = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        let base = self.uri.path().trim_end_matches('/');
        *request.uri_mut() = format!("{base}/{path}").parse().map_err(|error| format!("{path}: {error}"))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        headers.insert(HOST, HeaderValue::try_from(host).map_err(|error| error.to_string())?);
        let login = match &self.config.login {
            None => return Ok(request),
            Some(Login::Password { username, password }) => {
                let password =
                    password.reveal().map_err(|problem| format!("schema.registry.password_file: {problem}"))?;
                format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", password.expose_secret())))
            }
            Some(Login::Token(token)) => {
                let token = token.reveal().map_err(|problem| format!("schema.registry.token_file: {problem}"))?;
                format!("Bearer {}", token.expose_secret())
            }
        };
        let mut login =
            HeaderValue::try_from(login).map_err(|_| "the password or token holds what no header can".to_owned())?;
        login.set_sensitive(true);
        headers.insert(AUTHORIZATION, login);
        Ok(request)
    }
}

impl Registry for Client {
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<Answer, Away>> {
        self.ask(id).boxed()
    }

    fn asks_again_after(&self) -> Duration {
        self.config.cache
    }
}

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Returns the beginning of somebody else's words.
fn short(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}
