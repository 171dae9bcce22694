//! Joins the generator to the transport: appends its samples to the samples topic, and resumes behind those already
//! sent.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use thalweg_generator::{self as generator, Stream, task::SampleSink};
use thalweg_topic::{
    self as topic, SampleLog,
    record::{Headers, Outgoing},
};

/// The reason why the generator stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Error in its settings.
    #[error(transparent)]
    Function(#[from] generator::Error),
    /// Failure of the samples topic.
    #[error(transparent)]
    Transport(#[from] topic::Error),
}

/// Generates until `shutdown`, or until as many samples as configured have been sent over all runs, at the rate that `rates`
/// holds.
pub(super) async fn run<T: SampleLog>(
    transport: Arc<T>,
    config: generator::Config,
    rates: watch::Receiver<f64>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let mut stream = Stream::new(&config)?;
    let generated = transport.generated().await?;
    stream.seek(generated);
    tracing::info!(
        event = "generator_started",
        function = config.function.name(),
        rate = *rates.borrow(),
        seed = config.seed,
        position = generated,
        "generator started"
    );
    let sent = match generator::task::run(stream, &config, rates, Sink(transport), shutdown.clone()).await {
        Err(topic::Error::Foreign { topic, found }) if !config.asked_for => {
            log_rests(&topic, &found);
            return Ok(());
        }
        // Samples that could not be appended are generated again at the next start.
        Err(error) if shutdown.is_cancelled() && error.is_transient() => 0,
        sent => sent?,
    };
    tracing::info!(event = "generator_stopped", sent, "generator stopped");
    Ok(())
}

/// Logs that a generator which nobody has asked for leaves a topic to its other writers.
pub(super) fn log_rests(topic: &str, found: &str) {
    tracing::warn!(
        event = "generator_rests",
        topic,
        found,
        "somebody else writes samples, so none are made up; generator.enabled = false says so for good, \
         generator.into_foreign_topic = true mixes them"
    );
}

/// The samples topic as the generator sees it.
struct Sink<T>(Arc<T>);

impl<T: SampleLog> SampleSink for Sink<T> {
    type Error = topic::Error;

    async fn append(&mut self, first_index: u64, payloads: Vec<Vec<u8>>) -> Result<(), topic::Error> {
        let timestamp = now();
        let sample = |value| Outgoing { source: 0, timestamp, key: None, value: Some(value), headers: Headers::new() };
        self.0.append_samples(first_index, payloads.into_iter().map(sample).collect()).await
    }
}

/// Returns milliseconds since the Unix epoch; 0 on a machine whose clock stands before it.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
