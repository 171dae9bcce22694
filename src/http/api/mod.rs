//! `/api/v1`: predictions, samples, topics and models for programs.
//!
//! Invariants: an error has one form ([`Problem`]); bodies are read within bounds ([`samples`]); work that takes long gives way to
//! other requests. What there is to answer comes from [`Api`], which this knows nothing about.
//!
//! Reading order: [`Problem`], `samples` (what is in a body), `query`, then a file per path; `openapi` describes them.

mod dead_letters;
mod models;
pub(crate) mod openapi;
mod post;
mod predict;
pub(crate) mod problem;
pub(crate) mod query;
mod records;
mod samples;
mod schema;

use std::{future::Future, pin::Pin, sync::Arc};

use utoipa_axum::{router::OpenApiRouter, routes};

pub use dead_letters::{Retried, Selected};
pub use post::{Accepted, Check, Intake};
pub use predict::Predict;
pub use problem::Problem;
pub use records::Records;

/// An answer that is awaited.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// Whoever knows the topics and the models.
pub trait Api: Send + Sync + 'static {
    /// Returns what predicts with the models of a partition, of the first one where none is named.
    fn predictor(&self, partition: Option<i32>, explain: bool) -> Answer<'_, Box<dyn Predict>>;

    /// Returns what takes samples.
    ///
    /// # Errors
    /// Before the transport is open.
    fn intake(&self) -> Result<&dyn Intake, Problem>;

    /// Reads up to `limit` records of a topic, from an offset on or the newest.
    fn records(&self, topic: String, partition: i32, from: Option<i64>, limit: usize) -> Answer<'_, Records>;

    /// Sends dead letters back.
    fn send_back(&self, selected: Selected) -> Answer<'_, Retried>;

    /// Returns the document of a model, in a partition or in all.
    fn model(
        &self,
        name: String,
        partition: Option<i32>,
        key: Option<String>,
        keys: Option<usize>,
    ) -> Answer<'_, Vec<u8>>;
}

/// The state of the handlers.
#[derive(Clone)]
struct ApiState {
    api: Arc<dyn Api>,
    room: samples::Room,
}

/// Makes the routes.
pub(crate) fn routes(api: Arc<dyn Api>) -> OpenApiRouter {
    let state = ApiState { api, room: samples::Room::default() };
    OpenApiRouter::new()
        .routes(routes!(predict::predict))
        .routes(routes!(post::post))
        .routes(routes!(records::records))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(models::model))
        .with_state(state)
}
