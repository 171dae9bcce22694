//! Connections: few, each with deadlines, on a thread of their own.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Api, Config, Identity, Observe, Token, routes, stream::Line};

/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection, however many requests it carries, unless it is a stream: who is slow, or silent, makes room for others.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Bytes that may wait in the system for a client, about: who does not read is noticed by that.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Wait after a connection could not be accepted, as when there are no descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The reason why it does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("http.listen: {address} cannot be listened to: {source}{hint}")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// What to do.
        hint: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The token cannot be used.
    #[error("http.token_file: {0}")]
    Token(String),
    /// The certificate cannot be used.
    #[error("http.tls_cert: {0}")]
    Tls(String),
    /// There is no thread, or no runtime, to be had.
    #[error("the HTTP server cannot be started: {0}")]
    Start(#[source] io::Error),
}

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    token: Arc<RwLock<Option<Token>>>,
    identity: Arc<RwLock<Option<Identity>>>,
    thread: Option<JoinHandle<()>>,
    stop: Option<DropGuard>,
}

impl Server {
    /// Begins to answer.
    ///
    /// # Errors
    /// When the address is taken, or the token is none.
    pub fn start(config: Config, observer: Arc<dyn Observe>, api: Arc<dyn Api>) -> Result<Self, Error> {
        let token = config.token_file.as_deref().map(Token::read).transpose().map_err(Error::Token)?;
        let token = Arc::new(RwLock::new(token));
        let tls = config.tls.as_ref().map(|(cert, key)| Identity::read(cert, key)).transpose().map_err(Error::Tls)?;
        let identity = Arc::new(RwLock::new(tls));
        let listen = config.listen;
        let failed = |source: io::Error| Error::Listen { address: listen, hint: hint(&source), source };
        let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        // Connections have what the listener has.
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)
            .map_err(|it| failed(it.into()))?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
        let router = routes(observer, api, Arc::new(config), address, Arc::clone(&token));
        let stop = CancellationToken::new();
        let (stopped, of_connections) = (stop.clone(), Arc::clone(&identity));
        let serve = move || {
            runtime.block_on(async {
                let listener = match TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(event = "http_failed", %error, "HTTP is not served"),
                };
                tokio::select! {
                    () = accept(listener, router, &of_connections) => {}
                    () = stopped.cancelled() => {}
                }
            });
            // Connections that are open end with the process.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(Error::Start)?;
        Ok(Self { address, token, identity, thread: Some(thread), stop: Some(stop.drop_guard()) })
    }

    /// Has requests bring another token from now on, or none, and new connections be encrypted under another certificate. A server
    /// that encrypts goes on doing so.
    pub fn replace(&self, token: Option<Token>, identity: Option<Identity>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        let mut now = self.identity.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(now), Some(identity)) = (&mut *now, identity) {
            // A new key comes with a new certificate, but for who reuses it.
            if *now != identity {
                tracing::info!(
                    event = "certificate_replaced",
                    "connections from now on have the certificate as read anew"
                );
            }
            *now = identity;
        }
    }

    /// Returns where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has told of itself.
            let _ = thread.join();
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has this port, perhaps another Thalweg: name another one, or set http.listen = \"\" to serve nothing"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for administrators",
        _ => "",
    }
}

async fn accept(listener: TcpListener, router: Router, identity: &RwLock<Option<Identity>>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let identity = identity.read().unwrap_or_else(PoisonError::into_inner);
                let (router, tls) = (router.clone(), identity.as_ref().map(Identity::acceptor));
                drop(identity);
                tokio::spawn(async move {
                    let _permit = permit;
                    match tls {
                        None => connection(stream, router).await,
                        // Who begins a handshake and does not go on is hung up on.
                        Some(tls) => {
                            if let Ok(Ok(stream)) = timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                                connection(stream, router).await;
                            }
                        }
                    }
                });
            }
            Err(error) => {
                tracing::debug!(event = "http_not_accepted", %error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers on a connection. Whoever is late, or speaks something else, is hung up on; a stream has no end, and ends where nobody
/// reads it.
async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let line = Line::default();
    let (service, of_request) = (TowerToHyperService::new(router), line.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_request.clone());
        service.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    loop {
        tokio::select! {
            _ = &mut served => return,
            () = line.hung_up() => return,
            () = sleep(CONNECTION_TIMEOUT) => {
                if !line.is_streaming() {
                    return;
                }
            }
        }
    }
}
