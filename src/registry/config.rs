//! Settings of the client.

use std::{fmt, fs, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};

/// Checked settings (`[schema.registry]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address of the registry, with the path that its requests begin with.
    pub url: String,
    /// How to log in; `None` where nobody has to.
    pub login: Option<Login>,
    /// File with the certificates that vouch for the registry; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// Files with the certificate that this client shows, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Time for which an unknown id is taken to stay unknown.
    pub cache: Duration,
}

impl Config {
    /// Returns what holds where only the address is given.
    pub fn of(url: String) -> Self {
        Self { url, login: None, ca_file: None, identity: None, cache: Duration::from_secs(300) }
    }
}

impl Config {
    /// Checks the address.
    ///
    /// # Errors
    /// What it has to be; it may hold a password, so it is not shown.
    pub fn check_url(&self) -> Result<(), &'static str> {
        const WANTED: &str =
            "must be an address such as \"https://registry.example:8081\", without a password or a query";
        let uri: hyper::Uri = self.url.parse().map_err(|_| WANTED)?;
        let host = uri.authority().is_some_and(|it| !it.as_str().contains('@') && !it.host().is_empty());
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if host && is_http && uri.query().is_none() { Ok(()) } else { Err(WANTED) }
    }
}

/// What to log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A name and a password (HTTP Basic).
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Credential,
    },
    /// A token (HTTP Bearer).
    Token(Credential),
}

/// A secret, or the file that holds it.
#[derive(Clone)]
pub enum Credential {
    /// The secret itself.
    Text(SecretString),
    /// A file with it, read anew for each request: what rotates it need not tell.
    File(PathBuf),
}

impl Credential {
    /// Keeps a text from being shown.
    pub fn new(text: String) -> Self {
        Self::Text(text.into())
    }

    /// Returns the secret.
    ///
    /// # Errors
    /// The reason why its file cannot be read.
    pub(super) fn reveal(&self) -> Result<SecretString, String> {
        match self {
            Credential::Text(text) => Ok(text.clone()),
            Credential::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned().into()),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Text(_) => f.write_str("(secret)"),
            Credential::File(path) => path.fmt(f),
        }
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Credential::Text(one), Credential::Text(other)) => one.expose_secret() == other.expose_secret(),
            (Credential::File(one), Credential::File(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Credential {}
