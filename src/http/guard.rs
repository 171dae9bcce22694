//! Who may ask: checked before anything is told.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use crate::{Problem, page};

/// Where it answers, unless the settings say otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8391);

/// Where and to whom it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address and port; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// File with the token that a request needs; `None` where none is needed.
    pub token_file: Option<PathBuf>,
    /// Files with the certificate and its key, in PEM; `None` where connections are not encrypted.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// True where others than this machine may ask without a token.
    pub open: bool,
    /// Names by which clients may call this server, beside its address and `localhost`.
    pub hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: DEFAULT_ADDRESS, token_file: None, tls: None, open: false, hosts: Vec::new() }
    }
}

/// What a request has to bring.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Characters of a token, at least.
const MIN_TOKEN_CHARS: usize = 16;

impl Token {
    /// Reads a token from a file that only its owner, or its group, may read.
    ///
    /// # Errors
    /// The problem, for people.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        private(path)?;
        let token = text.trim();
        if token.len() < MIN_TOKEN_CHARS || token.chars().any(|it| !it.is_ascii_graphic()) {
            return Err(format!(
                "{shown} must hold a token of {MIN_TOKEN_CHARS} or more letters, digits and signs: openssl rand -hex 32 > {shown}"
            ));
        }
        Ok(Self(token.as_bytes().into()))
    }

    fn is(&self, brought: &[u8]) -> bool {
        self.0.ct_eq(brought).into()
    }
}

/// Refuses a file with a secret that others than its owner, and its group, may read.
pub(crate) fn private(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let shown = path.display();
        let found = std::fs::metadata(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o027 != 0 {
            return Err(format!("{shown} can be read by everybody (mode {mode:o}): chmod 600 {shown}"));
        }
    }
    Ok(())
}

/// Checks requests.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    config: Arc<Config>,
    address: SocketAddr,
    /// Replaced where the settings are read anew.
    token: Arc<RwLock<Option<Token>>>,
}

impl Guard {
    pub(crate) fn new(config: Arc<Config>, address: SocketAddr, token: Arc<RwLock<Option<Token>>>) -> Self {
        Self { config, address, token }
    }

    /// Says whether a request is meant for this server, by the name that it calls it. A page of somebody else's that has its
    /// own name point here calls it by that.
    fn is_called(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_own = match bare.parse::<IpAddr>() {
            // Who listens everywhere has many addresses.
            Ok(ip) => ip == self.address.ip() || ip.is_loopback() || self.address.ip().is_unspecified(),
            Err(_) => {
                name.eq_ignore_ascii_case("localhost")
                    || self.config.hosts.iter().any(|it| it.eq_ignore_ascii_case(name))
            }
        };
        let port = authority.port_u16();
        is_own && port.is_none_or(|port| port == self.address.port() || !self.config.hosts.is_empty())
    }

    fn token(&self) -> Option<Token> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refusal(&self, path: &str, headers: &HeaderMap) -> Option<Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(|host| self.is_called(host)) {
            return Some(Problem::misdirected(
                "this server is called by another name than its own: use its address, or add the name to http.hosts",
            ));
        }
        let token = self.token().filter(|_| !page::is_open(path))?;
        let brought = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let brought = brought.and_then(|brought| brought.strip_prefix(b"Bearer "));
        let problem =
            || Problem::unauthorized("a token is needed, that of http.token_file: Authorization: Bearer TOKEN");
        (!brought.is_some_and(|brought| token.is(brought))).then(problem)
    }
}

/// Lets through what may pass, and adds what browsers keep to.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(request.uri().path(), request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    if guard.token().is_some() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // The page has its own.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
