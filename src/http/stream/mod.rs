//! `GET /api/v1/stream`: predictions beside their targets, events and standings as they come, as server-sent events.
//!
//! Invariants: nobody is waited for: who does not read is hung up on. However many listen, the workers are asked once, for a few
//! predictions, and leave none where nobody listens.
//!
//! Reading order: this file (a request, and what there is to send), `hub` (who listens).

mod hub;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use crate::{
    Problem, Shared,
    api::{problem, query::Query},
    history::refused,
};
pub(crate) use hub::Hub;
use hub::{Client, Full};

/// Predictions a second, unless it is said.
const DEFAULT_RATE: f64 = 10.0;
/// Predictions a second at most; workers leave no more.
const MAX_RATE: f64 = 100.0;
/// Chunks that may wait for a client.
const CLIENT_CAPACITY: usize = 32;

/// A prediction beside its target, as the worker made it; perhaps it is not published yet.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Prediction {
    /// Partition of the sample.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its place among the rows of its record, where that held many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// Its time, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// What was to be predicted, where it is known.
    pub target: Option<f64>,
    /// What is published.
    pub prediction: f64,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end of the interval.
    pub upper: Option<f64>,
    /// The model that made it.
    pub model: Arc<str>,
    /// Samples that the models had learned from.
    pub version: u64,
    /// The prediction of each model.
    pub predictions: BTreeMap<Arc<str>, f64>,
}

/// An event: that of the events topic, and what it says in words.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Partition of the samples.
    pub partition: i32,
    /// Name of the event in the events topic.
    pub kind: String,
    /// The model that it is about, where it is about one.
    pub model: Option<String>,
    /// When it was seen, in milliseconds since the Unix epoch.
    pub time: i64,
    /// What happened, for people.
    pub told: String,
    /// The event as it is published.
    pub published: serde_json::Value,
}

/// What has come since the last look.
#[derive(Debug, Default)]
pub struct Live {
    /// Predictions, oldest first in each partition.
    pub predictions: Vec<Prediction>,
    /// Events, oldest first in each partition.
    pub events: Vec<Event>,
}

/// Whoever looks at what workers leave.
pub trait Tail: Send {
    /// Returns what has come since the last look, and asks each worker for so many predictions until the next.
    fn read(&mut self, asked: u32) -> Live;
}

/// What a handler may do with the connection that it answers on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    hang_up: CancellationToken,
    streams: Arc<AtomicUsize>,
}

impl Line {
    /// Waits until somebody wants it closed.
    pub(crate) async fn hung_up(&self) {
        self.hang_up.cancelled().await;
    }

    /// Returns true while something without an end is sent on it.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    fn hang_up(&self) {
        self.hang_up.cancel();
    }

    fn streams(&self) -> Streaming {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Streaming(self.clone())
    }
}

/// Holds a line open.
struct Streaming(Line);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The query as it is written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Partition of the samples; by default all of this process
    #[param(minimum = 0)]
    partition: Option<i32>,
    /// Predictions a second, 0 for none
    #[param(minimum = 0, maximum = 100)]
    rate: Option<f64>,
}

/// What comes, live: standings, events and some predictions, as server-sent events
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "daemon",
    params(Asked),
    responses(
        (status = 200, description = "Events without an end (docs/dashboard.md)", content_type = "text/event-stream", body = String),
        (status = 400, description = "The query cannot be understood", body = problem::Body),
        (status = 503, description = "There are as many streams as are served", body = problem::Body),
    )
)]
pub(crate) async fn stream(
    State(shared): State<Shared>,
    axum::Extension(line): axum::Extension<Line>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let rate = asked.rate.unwrap_or(DEFAULT_RATE);
    if !(0.0..=MAX_RATE).contains(&rate) {
        return refused(format!("rate is a number of predictions a second, from 0 (none) to {MAX_RATE}"));
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (frames, mut waiting) = mpsc::channel::<Bytes>(CLIENT_CAPACITY);
    let open = line.streams();
    let client = Client::new(frames, line, asked.partition, rate, last);
    if let Err(Full) = shared.hub.join(client) {
        let problem = "there are as many streams as are served; close one, or ask again later";
        return Problem::unavailable("too_many_streams", problem, 10).into_response();
    }
    let body = stream::poll_fn(move |context| {
        let _ = &open;
        waiting.poll_recv(context).map(|frame| frame.map(Ok::<_, Infallible>))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}
