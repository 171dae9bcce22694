//! Begins to tell over HTTP how the daemon is.

use std::{net::SocketAddr, sync::Arc};

use super::{Error, api::Api, observer::Observer};
use thalweg_http::{self as http, DEFAULT_ADDRESS, Identity, Server, Token};
use thalweg_settings::Settings;

/// What is told, and the server that tells it until dropped.
pub(super) struct Http {
    pub(super) observer: Arc<Observer>,
    pub(super) api: Arc<Api>,
    server: Server,
}

impl Http {
    /// Returns where it answers.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Has requests bring another token from now on, or none, and new connections have another certificate.
    pub(super) fn replace(&self, token: Option<Token>, identity: Option<Identity>) {
        self.server.replace(token, identity);
    }

    /// Begins where the settings say so. It answers while the transport is being opened, too. `None` where nothing is served,
    /// or where the default address is taken: nobody has asked for that one, so the daemon goes on without.
    ///
    /// # Errors
    /// Where an address that was asked for cannot be had, or the token cannot be used.
    pub(super) fn begin(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(config) = &settings.http else { return Ok(None) };
        let (observer, api) = (Arc::new(Observer::new(settings)), Arc::<Api>::default());
        match Server::start(config.clone(), Arc::clone(&observer) as _, Arc::clone(&api) as _) {
            Ok(server) => {
                let address = server.address();
                let scheme = if config.tls.is_some() { "https" } else { "http" };
                tracing::info!(event = "http_listening", %address, "watch it at {scheme}://{address}/");
                Ok(Some(Self { observer, api, server }))
            }
            Err(error @ http::Error::Listen { .. }) if config.listen == DEFAULT_ADDRESS => {
                tracing::warn!(event = "http_rests", address = %config.listen, %error, "HTTP is not served, all else goes on");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
