//! `POST /api/v1/dead-letters/retry`: dead letters back into the samples topic.

use axum::{
    Json,
    extract::{Request, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState, Problem, problem,
    query::Query,
    samples::{Form, Samples},
};

/// Offsets of a request, at most.
const MAX_OFFSETS: usize = 10_000;

/// Which dead letters go back: all that fit everything that is said
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selected {
    /// Only those of this partition of the dead-letters topic
    #[serde(default)]
    #[schema(minimum = 0)]
    pub partition: Option<i32>,
    /// Only those with this reason
    #[serde(default)]
    pub reason: Option<String>,
    /// Only those at these offsets; none stands for all
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub offsets: Vec<i64>,
}

/// What became of them
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retried {
    /// Letters that were selected
    pub selected: u64,
    /// Letters sent back now
    pub sent: u64,
    /// Letters sent back before
    pub already: u64,
    /// Letters that another run is sending
    pub busy: u64,
    /// Letters whose sample was cut and no longer exists whole
    pub cut: u64,
    /// Letters too large for the samples topic
    pub too_large: u64,
    /// Letters of another topic, or of a partition that does not exist
    pub homeless: u64,
}

/// A query without anything in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Sends dead letters back to the samples topic
///
/// As `thalweg dead-letters retry`, beside the running daemon on either transport: no letter is sent twice, however often it is asked
/// for. `{}` sends all.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/retry",
    tag = "samples",
    request_body = Selected,
    responses(
        (status = 200, description = "What became of them", body = Retried),
        (status = 400, description = "The query or the body cannot be understood", body = problem::Body),
        (status = 404, description = "There is no such partition", body = problem::Body),
        (status = 408, description = "The body did not come within 10 s", body = problem::Body),
        (status = 413, description = "The body has more than 8 MiB", body = problem::Body),
        (status = 415, description = "The body is no JSON by its type, or it is compressed", body = problem::Body),
        (status = 422, description = "The body does not say which letters", body = problem::Body),
        (status = 503, description = "The transport does not answer, or too many bodies are being read", body = problem::Body),
    )
)]
pub(super) async fn retry(
    State(state): State<ApiState>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Result<Json<Retried>, Problem> {
    let body = Samples::read(request, &state.room).await?;
    let not_one =
        || Problem::unprocessable("not_a_selection", "the body must be one object, such as {\"reason\":\"not_json\"}");
    let (Form::Object, [object]) = (body.form, &*body.values) else { return Err(not_one()) };
    let selected: Selected = serde_json::from_slice(object).map_err(|error| {
        if error.is_data() {
            Problem::unprocessable("not_a_selection", error.to_string())
        } else {
            Problem::bad_request("not_json", error.to_string())
        }
    })?;
    if selected.offsets.len() > MAX_OFFSETS {
        let message = format!("there are more than {MAX_OFFSETS} offsets: send them in several requests");
        return Err(Problem::unprocessable("not_a_selection", message));
    }
    Ok(Json(state.api.send_back(selected).await?))
}
