//! `POST /api/v1/predict`: what the stream would publish for samples, without learning from them.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState, Problem, problem,
    query::Query,
    samples::{Form, Samples},
    schema::{OneOrMany, Prediction, Sample},
};

/// Predictions after which others have their turn: they take some hundred microseconds.
const TURN: usize = 64;
/// Predictions that an explained request may take.
const MAX_COST: usize = 200_000;

/// Predicts samples with what a worker has learned.
pub trait Predict: Send {
    /// Returns the number of predictions that a sample takes.
    fn cost(&self) -> usize;

    /// Appends a JSON object and then `separator` to `out` for each of some samples.
    ///
    /// # Errors
    /// The first sample that cannot be used, counted from 0, and why.
    fn predict(
        &mut self,
        values: &[axum::body::Bytes],
        separator: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), (usize, Problem)>;
}

/// Options of a prediction.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Partition of the samples whose models predict; by default the first one of this process
    #[param(minimum = 0)]
    partition: Option<i32>,
    /// Adds what each feature contributes
    #[serde(default)]
    explain: bool,
}

/// Predicts samples, and learns nothing from them
///
/// The models are those of a copy that a worker makes when it is asked to, at most once a second; `version` says how many samples
/// they had learned from. The numbers are those that the stream would publish for the same sample at that version, to the bit.
/// All samples of a request are predicted, or none.
#[utoipa::path(
    post,
    path = "/api/v1/predict",
    tag = "predictions",
    params(Options),
    request_body(content(
        (OneOrMany<Sample> = "application/json"),
        (String = "application/x-ndjson")
    )),
    responses(
        (status = 200, description = "A prediction per sample, in their order", content(
            (OneOrMany<Prediction> = "application/json"),
            (String = "application/x-ndjson")
        )),
        (status = 400, description = "The query or the body cannot be understood", body = problem::Body),
        (status = 404, description = "There is no such partition here", body = problem::Body),
        (status = 408, description = "The body did not come within 10 s", body = problem::Body),
        (status = 413, description = "The body has more than 8 MiB or 10,000 samples, or a sample more than schema.max_record_bytes", body = problem::Body),
        (status = 415, description = "The body is no JSON by its type, or it is compressed", body = problem::Body),
        (status = 422, description = "The stream would make a dead letter of a sample", body = problem::Body),
        (status = 503, description = "No worker has restored its state yet, or too many bodies are being read", body = problem::Body),
    )
)]
pub(super) async fn predict(
    State(state): State<ApiState>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, Problem> {
    let samples = Samples::read(request, &state.room).await?;
    let mut predictor = state.api.predictor(options.partition, options.explain).await?;
    let cost = predictor.cost();
    if options.explain && cost.saturating_mul(samples.values.len()) > MAX_COST {
        let message = format!(
            "explaining {} samples takes {cost} predictions each, and {MAX_COST} are the most: send fewer at a time",
            samples.values.len()
        );
        return Err(Problem::too_large("explains_too_much", message));
    }
    let (begin, separator, content_type) = match samples.form {
        Form::Object => (None, b'\n', "application/json"),
        Form::Array => (Some(b'['), b',', "application/json"),
        Form::Lines => (None, b'\n', "application/x-ndjson"),
    };
    let mut out: Vec<u8> = Vec::with_capacity(256 * samples.values.len());
    out.extend(begin);
    let turn = (TURN / cost).max(1);
    for (i, values) in samples.values.chunks(turn).enumerate() {
        if i > 0 {
            tokio::task::yield_now().await;
        }
        predictor.predict(values, separator, &mut out).map_err(|(at, problem)| samples.at(i * turn + at, problem))?;
    }
    if let (Form::Array, Some(last)) = (samples.form, out.last_mut()) {
        *last = b']';
    }
    let mut response = Body::from(out).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}
