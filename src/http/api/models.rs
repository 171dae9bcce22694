//! `GET /api/v1/models/{name}`: what a model has learned.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ApiState, Problem, problem, query::Query};

/// Of which partition.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Partition of the samples whose model is given; by default all that this process works on
    #[param(minimum = 0)]
    partition: Option<i32>,
    /// Key of a model per key, of which what its own models have learned is given besides; by default all keys, without that
    key: Option<String>,
    /// Keys of a model per key with the largest recent errors, and as many with the least, instead of all; without effect beside `key`
    #[param(minimum = 0)]
    keys: Option<usize>,
}

/// Gives what a model has learned
///
/// The document of `thalweg model export` for one model, made from the models as they are now rather than from a checkpoint.
#[utoipa::path(
    get,
    path = "/api/v1/models/{name}",
    tag = "models",
    params(("name" = String, Path, example = "linear", description = "Name of the model, as in [[models]]"), Options),
    responses(
        (status = 200, description = "The model, in each partition", content_type = "application/json", body = Object),
        (status = 400, description = "The query cannot be understood", body = problem::Body),
        (status = 404, description = "There is no such model, partition or key here", body = problem::Body),
        (status = 503, description = "No worker has restored its state yet", body = problem::Body),
    )
)]
pub(super) async fn model(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, Problem> {
    let document = state.api.model(name, options.partition, options.key, options.keys).await?;
    let mut response = Body::from(document).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
