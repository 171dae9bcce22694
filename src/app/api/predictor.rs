//! Predictions beside the worker.

use std::time::Duration;

use tokio::time::timeout;

use super::{Open, RETRY_AFTER};
use thalweg_http::{Predict, Problem};
use thalweg_pipeline::{
    decode::Rejection,
    replica::Predictor,
    worker::{Dated, View},
};

/// Time for a worker to make a copy of its models.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns what predicts with the models of a partition.
pub(super) async fn of(open: &Open, partition: Option<i32>, explain: bool) -> Result<Box<dyn Predict>, Problem> {
    let dated = replica(open, partition).await?;
    Ok(Box::new(OfReplica(Predictor::new(dated.replica, explain))))
}

/// Returns a copy of the models of a partition, of the first one where none is named.
pub(super) async fn replica(open: &Open, partition: Option<i32>) -> Result<Dated, Problem> {
    let mut view = view(open, partition)?;
    let late = || Problem::unavailable("restoring", "the partition's worker is still restoring its state", RETRY_AFTER);
    let taken = timeout(REPLICA_TIMEOUT, view.replica()).await.map_err(|_| late())?;
    taken.ok_or_else(late)
}

fn view(open: &Open, partition: Option<i32>) -> Result<View, Problem> {
    let views = open.views.borrow();
    let found = match partition {
        Some(partition) => views.get(&partition),
        None => views.values().next(),
    };
    found.cloned().ok_or_else(|| match partition {
        Some(partition) if !views.is_empty() => {
            let known: Vec<String> = views.keys().map(ToString::to_string).collect();
            let message =
                format!("this process does not work on partition {partition}; it does on {}", known.join(", "));
            Problem::not_found("no_such_partition", message)
        }
        _ => nothing_assigned(),
    })
}

/// Says that there is no worker yet.
pub(super) fn nothing_assigned() -> Problem {
    Problem::unavailable("opening", "no partition has been assigned to this process yet", RETRY_AFTER)
}

struct OfReplica(Predictor);

impl Predict for OfReplica {
    fn cost(&self) -> usize {
        self.0.cost()
    }

    fn predict(&mut self, values: &[bytes::Bytes], separator: u8, out: &mut Vec<u8>) -> Result<(), (usize, Problem)> {
        let rows = self.0.read_ahead(values.iter().map(|value| &**value));
        for (i, value) in values.iter().enumerate() {
            self.0.predict(value, rows.get(i), out).map_err(|rejection| (i, problem(&rejection)))?;
            out.push(separator);
        }
        Ok(())
    }
}

/// Says why a sample cannot be used.
pub(super) fn problem(rejection: &Rejection) -> Problem {
    let (code, message) = (rejection.reason(), rejection.to_string());
    let problem = match rejection {
        Rejection::NotJson { .. } => Problem::bad_request(code, message),
        Rejection::TooLarge { .. } => Problem::too_large(code, message),
        _ => Problem::unprocessable(code, message),
    };
    problem.in_field(rejection.field())
}
