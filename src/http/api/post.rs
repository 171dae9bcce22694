//! `POST /api/v1/samples`: samples for the samples topic.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ApiState, Problem, problem,
    query::Query,
    samples::Samples,
    schema::{OneOrMany, Sample},
};

/// Options of a post.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Partition of the samples topic that takes them all; by default the requests go to its partitions in turn
    #[param(minimum = 0)]
    partition: Option<i32>,
}

/// Where samples are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Accepted {
    /// Number of samples
    pub accepted: usize,
    /// Partition of the samples topic
    pub partition: i32,
    /// Offset of the first of them; the others follow it. null where the broker no longer knows it
    #[schema(required = true)]
    pub first_offset: Option<i64>,
    /// Offset of the last one
    #[schema(required = true)]
    pub last_offset: Option<i64>,
}

/// Appends samples to the samples topic
///
/// All samples of a request are there, next to each other in one partition, or none is. Each gets one prediction or dead letter as
/// any other record, its key from schema.key and its time from schema.timestamp. A sample without a target is only predicted.
#[utoipa::path(
    post,
    path = "/api/v1/samples",
    tag = "samples",
    params(Options),
    request_body(content(
        (OneOrMany<Sample> = "application/json"),
        (String = "application/x-ndjson")
    )),
    responses(
        (status = 202, description = "They are in the topic, durably", body = Accepted),
        (status = 400, description = "The query or the body cannot be understood", body = problem::Body),
        (status = 404, description = "The topic has no such partition", body = problem::Body),
        (status = 408, description = "The body did not come within 10 s", body = problem::Body),
        (status = 409, description = "The generator was told to fill this topic alone", body = problem::Body),
        (status = 413, description = "The body has more than 8 MiB or 10,000 samples, or more than the topic takes in one batch, or a sample more than schema.max_record_bytes", body = problem::Body),
        (status = 415, description = "The body is no JSON by its type, or it is compressed", body = problem::Body),
        (status = 422, description = "The stream would make a dead letter of a sample", body = problem::Body),
        (status = 503, description = "There is no room, the transport does not answer, or too many bodies are being read; code `unknown` says that the samples may be there", body = problem::Body),
    )
)]
pub(super) async fn post(
    State(state): State<ApiState>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let samples = Samples::read(request, &state.room).await?;
    let intake = state.api.intake()?;
    let keys = samples.values.iter().enumerate();
    let mut checker = intake.checker();
    let keys: Result<Vec<Option<Vec<u8>>>, Problem> =
        keys.map(|(i, value)| checker.check(value).map_err(|problem| samples.at(i, problem))).collect();
    let taken: Vec<(Option<Vec<u8>>, axum::body::Bytes)> =
        keys?.into_iter().zip(samples.values.iter().cloned()).collect();
    drop(checker);
    let accepted = intake.append(options.partition, taken).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Takes samples into the samples topic.
pub trait Intake: Send + Sync {
    /// Returns what looks at samples before they are taken.
    fn checker(&self) -> Box<dyn Check>;

    /// Appends samples with their keys, all or none.
    fn append(
        &self,
        partition: Option<i32>,
        samples: Vec<(Option<Vec<u8>>, axum::body::Bytes)>,
    ) -> super::Answer<'_, Accepted>;
}

/// Looks at samples before they are taken.
pub trait Check: Send {
    /// Returns the key of a sample, where it has one.
    ///
    /// # Errors
    /// Why the stream could never use it.
    fn check(&mut self, value: &[u8]) -> Result<Option<Vec<u8>>, Problem>;
}
