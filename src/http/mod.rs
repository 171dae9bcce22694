//! The daemon over HTTP: is it well, what does it do, what can be measured.
//!
//! Invariants: nothing here can slow or stop a worker: it runs on a thread of its own and reads what the workers leave behind. It
//! answers from loopback alone unless the settings say otherwise, and then only who has the token.
//!
//! Reading order: [`Status`] (what there is to tell), `metrics` (the same for a scraper), `guard` (who may ask), `server`
//! (connections), this file (which path tells what).

mod guard;
mod metrics;
mod server;
mod status;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

pub use guard::{Config, Token};
pub use metrics::{METRICS, Metric};
pub use server::{Error, Server};
pub use status::{Contact, Model, Partition, Process, Status};

/// Whoever knows how the daemon is.
pub trait Observe: Send + Sync + 'static {
    /// Returns how it is now. Called for each request.
    fn status(&self) -> Status;
}

/// The state of the handlers.
#[derive(Clone)]
struct Shared {
    observer: Arc<dyn Observe>,
}

/// Makes the routes, for a server at this address.
fn routes(observer: Arc<dyn Observe>, config: Arc<Config>, address: SocketAddr, token: Option<Token>) -> Router {
    let guard = guard::Guard::new(config, address, token);
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/healthz", get(healthz))
        .route("/metrics", get(openmetrics))
        .route("/readyz", get(readyz))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(Shared { observer })
}

async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(shared.observer.status())
}

/// Alive and progressing.
async fn healthz(State(shared): State<Shared>) -> Response {
    let status = shared.observer.status();
    told(status.healthy, &status.summary)
}

/// Restored, and caught up once.
async fn readyz(State(shared): State<Shared>) -> Response {
    let status = shared.observer.status();
    told(status.ready, if status.ready { "ready" } else { "not ready yet: what waits was not worked off once" })
}

fn told(is_so: bool, summary: &str) -> Response {
    let code = if is_so { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{summary}\n")).into_response()
}

async fn openmetrics(State(shared): State<Shared>) -> Response {
    match metrics::encode(&shared.observer.status()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        // Writing into a text does not fail.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn unknown() -> Response {
    let paths = "there are /healthz, /readyz, /metrics and /api/v1/status\n";
    (StatusCode::NOT_FOUND, paths).into_response()
}

async fn wrong_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "this path is only read: use GET\n").into_response()
}
