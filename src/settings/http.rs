//! `[http]`: where the daemon tells how it is, and whom.

use std::net::SocketAddr;

use thalweg_http::{Config, DEFAULT_ADDRESS, Identity, Token};

use super::{Settings, section::Section};

impl Settings {
    /// Returns true where the port is the default one, without which the daemon goes on where another program has it.
    pub fn may_go_without_http(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.listen == DEFAULT_ADDRESS)
    }
}

/// Reads the section; `None` where nothing is served.
pub(super) fn read(mut section: Section) -> Option<Config> {
    let listen = section.text("listen", &DEFAULT_ADDRESS.to_string());
    let token_file = section.optional_text("token_file").filter(|path| !path.is_empty());
    let [cert, key] = ["tls_cert", "tls_key"].map(|key| section.optional_text(key).filter(|path| !path.is_empty()));
    let (open, hosts) = (section.boolean("open", false), section.texts("hosts"));
    if listen.is_empty() {
        return None;
    }
    let Ok(listen) = listen.parse::<SocketAddr>() else {
        section.problem(
            "listen",
            "must be an address with a port, such as \"127.0.0.1:8391\" or \"[::1]:8391\", or \"\" for none",
        );
        return None;
    };
    if !listen.ip().is_loopback() && token_file.is_none() && !open {
        section.problem(
            "listen",
            "is an address that other machines reach: set http.token_file to a file with a token that they have to bring, or \
             http.open = true if whoever reaches it may read all that is served",
        );
    }
    if let Some(Err(problem)) = token_file.as_deref().map(|path| Token::read(path.as_ref())) {
        section.problem("token_file", &problem);
    }
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => {
            if let Err(problem) = Identity::read(cert.as_ref(), key.as_ref()) {
                section.problem("tls_cert", &problem);
            }
            Some((cert.into(), key.into()))
        }
        (None, None) => None,
        (Some(_), None) => {
            section.problem("tls_key", "is missing: name the file with the key of http.tls_cert");
            None
        }
        (None, Some(_)) => {
            section.problem("tls_cert", "is missing: name the file with the certificate of http.tls_key");
            None
        }
    };
    Some(Config { listen, token_file: token_file.map(Into::into), tls, open, hosts })
}
