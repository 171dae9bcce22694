//! `GET /api/v1/features`: which features matter to a model now.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Problem, Shared,
    api::{problem, query::Query},
    history::not_yet,
};

/// What matters to a model.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Features {
    /// The partition.
    pub partition: i32,
    /// The model.
    pub model: String,
    /// How it was found: `standardised_weights`, `variance_reduction` or `permutation`; `none` where there is nothing to find.
    pub method: &'static str,
    /// Latest samples that it was found by.
    pub samples: usize,
    /// Age of the checkpoint that it was found in, in seconds; absent where that is of an earlier run.
    pub age_seconds: Option<f64>,
    /// The features, the most important one first.
    pub features: Vec<Feature>,
}

/// A feature.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Feature {
    /// Its name.
    pub feature: String,
    /// Its share of what all of them explain, 0 to 1.
    pub share: f64,
}

/// The query as it is written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Partition of the samples; by default the first one of this process
    #[param(minimum = 0)]
    partition: Option<i32>,
    /// Name of the model; by default the best one
    model: Option<String>,
}

/// Which features matter to a model now
#[utoipa::path(
    get,
    path = "/api/v1/features",
    tag = "models",
    params(Asked),
    responses(
        (status = 200, description = "The features, the most important one first", body = Features),
        (status = 400, description = "The query cannot be understood", body = problem::Body),
        (status = 404, description = "There is no such model or partition here, or no checkpoint yet", body = problem::Body),
        (status = 503, description = "There is no partition yet", body = problem::Body),
    )
)]
pub(crate) async fn features(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let Asked { partition, model } = asked;
    let Some(partition) = partition.or(shared.observer.partitions().first().copied()) else { return not_yet() };
    let observer = Arc::clone(&shared.observer);
    // It reads a checkpoint, which takes its time.
    match tokio::task::spawn_blocking(move || observer.features(partition, model.as_deref())).await {
        Ok(Ok(features)) => Json(features).into_response(),
        Ok(Err(problem)) => Problem::not_found("no_features", problem).into_response(),
        Err(error) => Problem::unavailable("stopping", error.to_string(), 1).into_response(),
    }
}
