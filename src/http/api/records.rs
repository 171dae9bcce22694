//! `GET /api/v1/topics/{name}/records`: what is in a topic, a record a line.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ApiState, Problem, problem, query::Query};

/// Records of one answer, at most.
pub(super) const MAX_RECORDS: usize = 10_000;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Partition of the topic
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    partition: i32,
    /// Offset of the first record; by default the newest `limit` records are given
    #[param(minimum = 0)]
    from: Option<i64>,
    /// Records at most, 1 to 10,000
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 10000, default = 100)]
    limit: usize,
}

fn usual_limit() -> usize {
    100
}

/// Some records of a partition.
#[derive(Debug)]
pub struct Records {
    /// A JSON object and a line break for each.
    pub lines: Vec<u8>,
    /// Offset of the record after them.
    pub next: i64,
    /// Offset after the last record of the partition.
    pub end: i64,
}

/// Gives records of a topic
///
/// One JSON object a line: partition, offset, timestamp (ms since 1970), key, value and headers, of which bytes are `{"text":…}` or,
/// where they are no UTF-8, `{"base64":…}`; predictions in Avro are shown as the JSON that they would be. An answer ends early, at about 4 MiB, or at the end of the partition: the header
/// `thalweg-next-offset` says where to go on, `thalweg-end-offset` where the partition ends.
#[utoipa::path(
    get,
    path = "/api/v1/topics/{name}/records",
    tag = "topics",
    params(("name" = String, Path, example = "samples", description = "Name of the samples topic or of an output, as in [topics]"), Options),
    responses(
        (status = 200, description = "The records", content_type = "application/x-ndjson", body = String,
            headers(
                ("thalweg-next-offset" = i64, description = "Offset to go on from"),
                ("thalweg-end-offset" = i64, description = "Offset after the last record of the partition")
            )),
        (status = 400, description = "The query cannot be understood", body = problem::Body),
        (status = 404, description = "There is no such topic or partition here", body = problem::Body),
        (status = 416, description = "The partition holds no record at this offset, nor ends there", body = problem::Body),
        (status = 503, description = "The transport does not answer", body = problem::Body),
    )
)]
pub(super) async fn records(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, Problem> {
    let Options { partition, from, limit } = options;
    if !(1..=MAX_RECORDS).contains(&limit) || from.is_some_and(|from| from < 0) {
        let message = format!("limit is 1 to {MAX_RECORDS}, and from is 0 or more");
        return Err(Problem::bad_request("bad_query", message));
    }
    let Records { lines, next, end } = state.api.records(name, partition, from, limit).await?;
    let mut response = Body::from(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(HeaderName::from_static("thalweg-next-offset"), HeaderValue::from(next));
    headers.insert(HeaderName::from_static("thalweg-end-offset"), HeaderValue::from(end));
    Ok(response)
}
