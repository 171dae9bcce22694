//! The daemon over HTTP: is it well, what does it do, what can be measured.
//!
//! Invariants: nothing here can slow or stop a worker: it runs on a thread of its own and reads what the workers leave behind. It
//! answers from loopback alone unless the settings say otherwise, and then only who has the token.
//!
//! Reading order: [`Status`] (what there is to tell), `metrics` (the same for a scraper), `history` (the past), `stream` (what comes),
//! `guard` (who may ask), `server` (connections) with `tls`, this file (which path tells what), `api` (what programs do with it).

mod api;
mod features;
mod guard;
mod history;
mod metrics;
mod page;
mod server;
mod status;
mod stream;
mod tls;

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use api::openapi;
use stream::Hub;

pub use api::{Accepted, Answer, Api, Check, Intake, Predict, Problem, Records, Retried, Selected};
pub use features::{Feature, Features};
pub use guard::{Config, DEFAULT_ADDRESS, Token};
pub use history::{History, HistoryQuery, Mark, ModelHistory};
pub use metrics::{METRICS, Metric};
pub use page::STYLE;
pub use server::{Error, Server};
pub use status::{Contact, Late, Model, Partition, Process, Status, Topics};
pub use stream::{Event, Live, Prediction, Tail};
pub use tls::{Encrypted, Identity, encrypt};

/// Whoever knows how the daemon is.
pub trait Observe: Send + Sync + 'static {
    /// Returns how it is now. Called for each request.
    fn status(&self) -> Status;

    /// Returns the partitions that this process works on, ascending.
    fn partitions(&self) -> Vec<i32>;

    /// Returns what was measured over time. Called off the async threads, since it reads the state file.
    ///
    /// # Errors
    /// When that cannot be read, for people.
    fn history(&self, query: &HistoryQuery) -> Result<History, String>;

    /// Returns which features matter to a model, to the best one where none is named. Called off the async threads, likewise.
    ///
    /// # Errors
    /// When there is no such model or partition, for people.
    fn features(&self, partition: i32, model: Option<&str>) -> Result<Features, String>;

    /// Begins to look at what workers leave.
    fn tail(self: Arc<Self>) -> Box<dyn Tail>;
}

/// The state of the handlers.
#[derive(Clone)]
struct Shared {
    observer: Arc<dyn Observe>,
    hub: Arc<Hub>,
}

/// Makes the routes, for a server at this address.
fn routes(
    observer: Arc<dyn Observe>,
    api: Arc<dyn Api>,
    config: Arc<Config>,
    address: SocketAddr,
    token: Arc<RwLock<Option<Token>>>,
) -> Router {
    let guard = guard::Guard::new(config, address, token);
    let document = openapi::Document::default();
    // What is not described is not served.
    let (router, described) = OpenApiRouter::with_openapi(openapi::Described::openapi())
        .routes(routes!(status))
        .routes(routes!(healthz))
        .routes(routes!(openmetrics))
        .routes(routes!(readyz))
        .routes(routes!(history::history))
        .routes(routes!(features::features))
        .routes(routes!(stream::stream))
        .with_state(Shared { hub: Hub::new(Arc::clone(&observer)), observer })
        .merge(api::routes(api))
        .merge(OpenApiRouter::new().routes(routes!(openapi::openapi)).with_state(document.clone()))
        .split_for_parts();
    document.set(described);
    router
        .merge(page::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

/// How the daemon is
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "daemon",
    responses((status = 200, description = "Each partition and each model", body = Status))
)]
async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(shared.observer.status())
}

/// Alive and progressing
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "daemon",
    responses(
        (status = 200, description = "It is, in one sentence", body = String),
        (status = 503, description = "What is wrong: records wait and none was published for 30 s, or the transport has not answered, or \
                                      could not be opened, for as long", body = String)
    )
)]
async fn healthz(State(shared): State<Shared>) -> Response {
    let status = shared.observer.status();
    told(status.healthy, &status.summary)
}

/// Restored, and caught up once
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "daemon",
    responses(
        (status = 200, description = "It is", body = String),
        (status = 503, description = "What waited at the start was not worked off yet, or records wait for the schema registry",
            body = String)
    )
)]
async fn readyz(State(shared): State<Shared>) -> Response {
    let status = shared.observer.status();
    let summary = match status {
        Status { ready: true, .. } => "ready",
        Status { waits_for_registry: true, .. } => {
            "not ready: records wait for the schema registry; the log says what is in the way"
        }
        _ => "not ready yet: what waits was not worked off once",
    };
    told(status.ready, summary)
}

fn told(is_so: bool, summary: &str) -> Response {
    let code = if is_so { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{summary}\n")).into_response()
}

/// The same as metrics, in the text format of OpenMetrics 1.0
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "daemon",
    responses((status = 200, description = "The table of docs/operations.md", body = String,
        content_type = "application/openmetrics-text"))
)]
async fn openmetrics(State(shared): State<Shared>) -> Response {
    match metrics::encode(&shared.observer.status()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        // Writing into a text does not fail.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn unknown() -> Problem {
    Problem::not_found("no_such_path", "there is no such path: docs/operations.md lists them")
}

async fn wrong_method(method: Method) -> Problem {
    Problem::method_not_allowed(format!("this path does not take {method}; the header Allow says what it does"))
}
