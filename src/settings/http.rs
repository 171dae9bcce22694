//! `[http]`: where the daemon tells how it is, and whom.

use std::net::SocketAddr;

use thalweg_http::{Config, Token};

use super::section::Section;

/// Reads the section; `None` where nothing is served.
pub(super) fn read(mut section: Section) -> Option<Config> {
    let listen = section.text("listen", "");
    let token_file = section.optional_text("token_file").filter(|path| !path.is_empty());
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
    Some(Config { listen, token_file: token_file.map(Into::into), open, hosts })
}
