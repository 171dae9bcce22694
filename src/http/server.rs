//! Connections: few, each with deadlines, on a thread of their own.

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Config, Observe, Token, routes};

/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection, however many requests it carries: who is slow, or silent, makes room for others.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
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
    /// There is no thread, or no runtime, to be had.
    #[error("the HTTP server cannot be started: {0}")]
    Start(#[source] io::Error),
}

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    stop: Option<DropGuard>,
}

impl Server {
    /// Begins to answer.
    ///
    /// # Errors
    /// When the address is taken, or the token is none.
    pub fn start(config: Config, observer: Arc<dyn Observe>) -> Result<Self, Error> {
        let token = config.token_file.as_deref().map(Token::read).transpose().map_err(Error::Token)?;
        let listen = config.listen;
        let failed = |source: io::Error| Error::Listen { address: listen, hint: hint(&source), source };
        let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
        let router = routes(observer, Arc::new(config), address, token);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serve = move || {
            runtime.block_on(async {
                let listener = match TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(event = "http_failed", %error, "HTTP is not served"),
                };
                tokio::select! {
                    () = accept(listener, router) => {}
                    () = stopped.cancelled() => {}
                }
            });
            // Connections that are open end with the process.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(Error::Start)?;
        Ok(Self { address, thread: Some(thread), stop: Some(stop.drop_guard()) })
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
            "; another program has this port, perhaps another Thalweg: name another one, or leave http.listen out"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for administrators",
        _ => "",
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    // Whoever is late, or speaks something else, is hung up on.
                    let _ = timeout(CONNECTION_TIMEOUT, connection(stream, router)).await;
                });
            }
            Err(error) => {
                tracing::debug!(event = "http_not_accepted", %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
