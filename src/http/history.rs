//! `GET /api/v1/history`: what was measured over time, thinned to what a plot can show.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

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
};

/// Seconds of the window, unless it is named.
const DEFAULT_WINDOW: i64 = 900;
/// Points of a series at most, unless it is said.
const DEFAULT_POINTS: i64 = 1000;
/// Points of a series at most, whatever is said.
const MAX_POINTS: i64 = 4000;
/// Seconds of a window at most: a year.
const MAX_WINDOW: i64 = 366 * 86_400;

/// The past of a partition. Series have one value for each of `times`; one that is unknown is absent (`null`).
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct History {
    /// Topic of the samples.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Begin of the window, in seconds since the Unix epoch.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// Seconds that a point covers. It holds their mean; a lag the greatest.
    pub resolution_seconds: i64,
    /// Begin of each point, in seconds since the Unix epoch; where nothing was seen there is none.
    pub times: Vec<i64>,
    /// Records processed in a second.
    pub records_per_second: Vec<Option<f32>>,
    /// Records without a published answer.
    pub lag_records: Vec<Option<f32>>,
    /// Age of the newest record that was processed, where records wait, in seconds.
    pub lag_seconds: Vec<Option<f32>>,
    /// Share of the targets that intervals held of late, 0 to 1.
    pub coverage: Vec<Option<f32>>,
    /// Their mean width, in units of the target.
    pub width: Vec<Option<f32>>,
    /// RMSE of what was published over `metrics.window` samples, in units of the target.
    pub rmse: Vec<Option<f32>>,
    /// MAE of the same.
    pub mae: Vec<Option<f32>>,
    /// 1 − RMSE / RMSE of the mean, of the same.
    pub skill: Vec<Option<f32>>,
    /// The models.
    pub models: Vec<ModelHistory>,
    /// What happened, oldest first.
    pub marks: Vec<Mark>,
}

/// The past of a model.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ModelHistory {
    /// Its name.
    pub name: String,
    /// RMSE over `metrics.window` samples, in units of the target.
    pub rmse: Vec<Option<f32>>,
    /// MAE over the same.
    pub mae: Vec<Option<f32>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mark {
    /// When it was seen, in milliseconds since the Unix epoch.
    pub time: i64,
    /// Name of the event in the events topic.
    pub kind: String,
    /// The model that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What happened, for people.
    pub told: String,
}

/// What is asked of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The partition.
    pub partition: i32,
    /// Begin of the window, in seconds since the Unix epoch.
    pub from: i64,
    /// Its end, after it.
    pub to: i64,
    /// The time now.
    pub now: i64,
    /// Points of a series at most.
    pub points: i64,
}

/// The query as it is written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Partition of the samples; by default the first one of this process
    #[param(minimum = 0)]
    partition: Option<i32>,
    /// Length of the window, such as 90s, 15m, 6h or 7d, up to 366d
    #[param(example = "15m", pattern = "^[1-9][0-9]*[smhd]$")]
    window: Option<String>,
    /// End of the window, in seconds since 1970; by default now
    #[param(minimum = 0)]
    to: Option<i64>,
    /// Points of a series at most, 1 to 4,000
    #[param(minimum = 1, maximum = 4000)]
    points: Option<i64>,
}

impl Asked {
    /// Checks it against the partitions there are.
    fn checked(&self, partitions: &[i32], now: i64) -> Result<HistoryQuery, String> {
        let partition = self.partition.or(partitions.first().copied()).unwrap_or(0);
        // While none is open yet, any of them may come.
        if partition < 0 || !(partitions.is_empty() || partitions.contains(&partition)) {
            return Err(format!("partition is one that this process works on: {partitions:?}"));
        }
        let window = self.window.as_deref().map_or(Ok(DEFAULT_WINDOW), seconds)?;
        let to = self.to.unwrap_or(now + 1);
        if !(0..=now + 86_400).contains(&to) {
            return Err(format!("to is a time in seconds since 1970, up to now: {now}"));
        }
        let points = self.points.unwrap_or(DEFAULT_POINTS);
        if !(1..=MAX_POINTS).contains(&points) {
            return Err(format!("points is a number from 1 to {MAX_POINTS}"));
        }
        Ok(HistoryQuery { partition, from: to - window, to, now, points })
    }
}

/// Reads a duration such as 90s, 15m, 6h or 7d.
fn seconds(text: &str) -> Result<i64, String> {
    let unit = |unit: char| {
        Some(match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        })
    };
    let read = || {
        let last = text.chars().last()?;
        let count: i64 = text.strip_suffix(last)?.parse().ok()?;
        count.checked_mul(unit(last)?).filter(|seconds| (1..=MAX_WINDOW).contains(seconds))
    };
    read().ok_or_else(|| format!("window is a time such as 90s, 15m, 6h or 7d, up to 366d, and no {text:?}"))
}

/// What was measured over time, thinned to what a plot can show
#[utoipa::path(
    get,
    path = "/api/v1/history",
    tag = "daemon",
    params(Asked),
    responses(
        (status = 200, description = "The past of a partition", body = History),
        (status = 400, description = "The query cannot be understood", body = problem::Body),
        (status = 503, description = "There is no partition yet, or the state file cannot be read", body = problem::Body),
    )
)]
pub(crate) async fn history(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let partitions = shared.observer.partitions();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    // What cannot be asked is told while the transport is being opened, too.
    let query = match asked.checked(&partitions, now) {
        Ok(query) => query,
        Err(problem) => return refused(problem),
    };
    if partitions.is_empty() {
        return not_yet();
    }
    let observer = Arc::clone(&shared.observer);
    // It reads the state file.
    let read = tokio::task::spawn_blocking(move || observer.history(&query)).await;
    match read {
        Ok(Ok(history)) => Json(history).into_response(),
        Ok(Err(problem)) => Problem::unavailable("state", problem, 1).into_response(),
        Err(error) => Problem::unavailable("stopping", error.to_string(), 1).into_response(),
    }
}

/// Says that nothing is learned from yet, as while the transport is being opened.
pub(crate) fn not_yet() -> Response {
    let problem = "there is no partition yet, since the transport is being opened or others have them all; ask again";
    Problem::unavailable("opening", problem, 1).into_response()
}

pub(crate) fn refused(problem: impl AsRef<str>) -> Response {
    Problem::bad_request("bad_query", problem.as_ref()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_times_with_a_unit() {
        for (text, wanted) in [("90s", 90), ("15m", 900), ("6h", 21_600), ("366d", MAX_WINDOW)] {
            assert_eq!(seconds(text), Ok(wanted));
        }
        for text in ["", "m", "15", "-5m", "0s", "1.5h", "367d", "15µ", "99999999999999999d", "1m "] {
            assert!(seconds(text).is_err_and(|problem| problem.contains("15m")), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_first_partition_and_a_quarter_of_an_hour() {
        let query = Asked::default().checked(&[3, 4], 10_000).expect("a query");
        assert_eq!((query.partition, query.from, query.to), (3, 9101, 10_001));
        for (to, points) in [(Some(-1), None), (Some(1 << 60), None), (None, Some(0)), (None, Some(5000))] {
            let asked = Asked { to, points, ..Asked::default() };
            assert!(asked.checked(&[], 10_000).is_err(), "{asked:?}");
        }
    }
}
