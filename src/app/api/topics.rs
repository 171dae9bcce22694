//! The topics of whichever transport is open, for the API.
//!
//! Invariant: what a transport does runs on the daemon's runtime: tasks that it begins there outlive a request, and a connection
//! that one request opens serves the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, time::timeout};

use super::RETRY_AFTER;
use crate::json;
use thalweg_http::{Accepted, Problem, Records, Retried, Selected};
use thalweg_pipeline::form;
use thalweg_topic::{
    self as topic, NotTaken, Reader, SampleLog, Source, Topics, Transport,
    dead_letters::{self, Selection},
    record::{Headers, Outgoing},
};

/// Time for a transport to answer. Longer than its own deadlines, which say more.
const TRANSPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes at which an answer with records ends.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What the API does with topics.
pub(super) trait AnyTopics: Send + Sync {
    /// Appends samples, to the partitions in turn where none is named.
    fn append(&self, partition: Option<i32>, samples: Vec<Outgoing>) -> BoxFuture<'static, Result<Accepted, Problem>>;

    /// Reads records.
    fn read(
        &self,
        name: String,
        partition: i32,
        from: Option<i64>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Records, Problem>>;

    /// Sends dead letters back.
    fn send_back(&self, selected: Selected) -> BoxFuture<'static, Result<Retried, Problem>>;
}

/// An open transport.
pub(super) struct Opened<T> {
    transport: Arc<T>,
    topics: Topics,
    runtime: Handle,
    /// Requests so far that named no partition.
    turns: Arc<AtomicUsize>,
}

impl<T: Transport + SampleLog> Opened<T> {
    /// Takes an open transport; it must run on the runtime of the caller.
    pub(super) fn new(transport: Arc<T>, topics: Topics) -> Self {
        Self { transport, topics, runtime: Handle::current(), turns: Arc::default() }
    }

    /// Runs `work` on the daemon's runtime. Whoever gives up waiting does not stop it.
    fn run<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R, Problem>> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, Problem>> {
        let task = self.runtime.spawn(timeout(TRANSPORT_TIMEOUT, work));
        async move {
            match task.await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => {
                    let message = format!(
                        "the transport has not answered within {} s; what was sent may be there all the same",
                        TRANSPORT_TIMEOUT.as_secs()
                    );
                    Err(Problem::unavailable("unknown", message, RETRY_AFTER))
                }
                Err(_) => Err(Problem::unavailable("stopping", "the daemon stops", RETRY_AFTER)),
            }
        }
        .boxed()
    }
}

impl<T: Transport + SampleLog> AnyTopics for Opened<T> {
    fn send_back(&self, selected: Selected) -> BoxFuture<'static, Result<Retried, Problem>> {
        let Selected { partition, reason, offsets } = selected;
        let transport = Arc::clone(&self.transport);
        self.run(async move {
            let selection = Selection { partition, reason, offsets };
            let done = transport.send_back(selection).await.map_err(|error| match &error {
                topic::Error::Topic { .. } => Problem::not_found("no_such_partition", error.to_string()),
                _ => failed(&error),
            })?;
            let dead_letters::Retried { selected, sent, already, busy, cut, too_large, homeless } = done;
            Ok(Retried { selected, sent, already, busy, cut, too_large, homeless })
        })
    }

    fn append(&self, partition: Option<i32>, samples: Vec<Outgoing>) -> BoxFuture<'static, Result<Accepted, Problem>> {
        let (transport, turns, topic) =
            (Arc::clone(&self.transport), Arc::clone(&self.turns), self.topics.samples.clone());
        self.run(async move {
            let partition = match partition {
                Some(partition) => partition,
                None => {
                    let count = transport.partitions(&topic).await.map_err(|error| failed(&error))?.max(1);
                    (turns.fetch_add(1, Ordering::Relaxed) % count.unsigned_abs() as usize) as i32
                }
            };
            let accepted = samples.len();
            let first = transport.take_samples(partition, samples).await.map_err(not_taken)?;
            let last = first.map(|first| first + accepted as i64 - 1);
            Ok(Accepted { accepted, partition, first_offset: first, last_offset: last })
        })
    }

    fn read(
        &self,
        name: String,
        partition: i32,
        from: Option<i64>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Records, Problem>> {
        let Topics { samples, labels, predictions, dead_letters, events, .. } = &self.topics;
        let known: Vec<&String> =
            [samples].into_iter().chain(labels).chain([predictions, dead_letters, events]).collect();
        if !known.contains(&&name) {
            let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            let message = format!("there is no topic `{name}` here; there are {}", known.join(", "));
            return std::future::ready(Err(Problem::not_found("no_such_topic", message))).boxed();
        }
        let transport = Arc::clone(&self.transport);
        let is_predictions = name == *predictions;
        self.run(async move { read(&*transport, &name, partition, from, limit, is_predictions).await })
    }
}

/// Predictions are shown as JSON in whatever form they are.
async fn read(
    source: &impl Source,
    name: &str,
    partition: i32,
    from: Option<i64>,
    limit: usize,
    is_predictions: bool,
) -> Result<Records, Problem> {
    let count = source.partitions(name).await.map_err(|error| failed(&error))?;
    if !(0..count).contains(&partition) {
        let message = format!("topic `{name}` has no partition {partition}; it has {count}, from 0 on");
        return Err(Problem::not_found("no_such_partition", message));
    }
    let mut reader = source.reader(name, partition).await.map_err(|error| failed(&error))?;
    let held = reader.range().await.map_err(|error| failed(&error))?;
    let mut next = from.unwrap_or_else(|| held.start.max(held.end - limit as i64));
    if next < held.start || next > held.end {
        let message =
            format!("`{name}`/{partition} holds offsets {} to {}, and {next} is not within", held.start, held.end);
        return Err(Problem::out_of_range(message));
    }
    let (mut lines, mut count) = (Vec::new(), 0);
    while next < held.end && count < limit && lines.len() < MAX_ANSWER_BYTES {
        let fetched = match reader.fetch(next).await {
            // Retention was faster.
            Err(topic::Error::Gap { .. }) if count > 0 => break,
            Err(topic::Error::Gap { available, .. }) => {
                let message = format!("`{name}`/{partition} holds offsets from {} on by now", available.start);
                return Err(Problem::out_of_range(message));
            }
            other => other.map_err(|error| failed(&error))?,
        };
        if fetched.next_offset <= next {
            // What is not committed is not there yet.
            break;
        }
        next = fetched.next_offset;
        for record in &fetched.records {
            if count == limit || lines.len() >= MAX_ANSWER_BYTES {
                next = record.offset;
                break;
            }
            let shown = record.value.as_deref().filter(|_| is_predictions).and_then(form::to_json);
            let line = json::Line::new(partition, record, shown.as_deref().or(record.value.as_deref()));
            // Writing into memory does not fail.
            if serde_json::to_writer(&mut lines, &line).is_ok() {
                lines.push(b'\n');
            }
            count += 1;
        }
    }
    Ok(Records { lines, next, end: held.end })
}

/// Makes a sample of its bytes, of the clock's time.
pub(super) fn sample(key: Option<Vec<u8>>, value: Vec<u8>) -> Outgoing {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Outgoing { source: 0, timestamp, key, value: Some(value), headers: Headers::new() }
}

fn failed(error: &topic::Error) -> Problem {
    match error {
        topic::Error::Topic { .. } => Problem::not_found("no_such_topic", error.to_string()),
        _ => Problem::unavailable("transport", crate::chain(error), RETRY_AFTER),
    }
}

fn not_taken(reason: NotTaken) -> Problem {
    let message = reason.to_string();
    match reason {
        NotTaken::Full { .. } => Problem::unavailable("full", format!("{message}: wait for them"), RETRY_AFTER),
        NotTaken::TooLarge { .. } => {
            Problem::too_large("batch_too_large", format!("{message}: send them in several requests"))
        }
        NotTaken::Partition { .. } => Problem::not_found("no_such_partition", message),
        NotTaken::Unknown(_) => Problem::unavailable("unknown", message, RETRY_AFTER),
        NotTaken::Failed(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_says_whether_to_try_again() {
        let full = not_taken(NotTaken::Full { waiting: 7, limit: 7 });
        let message = "7 samples of the partition wait to be processed, and 7 are the most: wait for them";
        assert_eq!(full, Problem::unavailable("full", message, 1));
        let unknown = not_taken(NotTaken::Unknown("late".to_owned()));
        assert_eq!(unknown, Problem::unavailable("unknown", "it is not known whether the samples are there: late", 1));
    }
}
