//! Sends samples at a rate.
//!
//! Invariant: a batch that was begun is finished, so that the sink always knows the number of samples.

use std::{future::Future, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Config, Stream, encode};

/// Interval at which due samples are sent.
const SEND_INTERVAL: Duration = Duration::from_millis(5);
/// Maximum number of samples in a batch.
const MAX_BATCH_SAMPLES: u64 = 1000;
/// Maximum stall that is made up for; samples due before count as sent.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// The destination of samples.
pub trait SampleSink {
    /// Error if it cannot take them.
    type Error;

    /// Takes JSON samples, of which the first is number `first_index`. Waits while there is no room.
    fn append(
        &mut self,
        first_index: u64,
        payloads: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Sends from the stream's position on until `shutdown`, or until `config.count` samples have been sent in all, at the rate
/// that `rates` holds (as `config.rate`, which it replaces). Returns the number of samples sent by this call.
///
/// # Errors
/// Whatever the sink cannot take.
pub async fn run<S: SampleSink>(
    mut stream: Stream,
    config: &Config,
    mut rates: watch::Receiver<f64>,
    mut sink: S,
    shutdown: CancellationToken,
) -> Result<u64, S::Error> {
    let names = stream.feature_names().to_vec();
    let begin = stream.position();
    let end = if config.count == 0 { u64::MAX } else { config.count };
    let mut ticks = interval(SEND_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::at(*rates.borrow_and_update());
    let mut x = Vec::new();
    while stream.position() < end && !shutdown.is_cancelled() {
        // A sender that is gone leaves the rate as it is.
        if rates.has_changed().unwrap_or(false) {
            pace = Pace::at(*rates.borrow_and_update());
        }
        let due = if pace.rate == 0.0 {
            MAX_BATCH_SAMPLES
        } else {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            pace.due()
        };
        let mut left = due.min(end - stream.position());
        while left > 0 && !shutdown.is_cancelled() {
            let count = left.min(MAX_BATCH_SAMPLES);
            let first = stream.position();
            let payload = |_| {
                let target = stream.next_sample(&mut x);
                let mut json = Vec::with_capacity(256);
                encode::json(&names, &x, target, &mut json);
                json
            };
            let payloads = (0..count).map(payload).collect();
            sink.append(first, payloads).await?;
            pace.sent += count;
            left -= count;
        }
    }
    Ok(stream.position() - begin)
}

/// Computes the number of samples that are due at a rate.
struct Pace {
    since: Instant,
    sent: u64,
    rate: f64,
}

impl Pace {
    fn at(rate: f64) -> Self {
        Self { since: Instant::now(), sent: 0, rate }
    }

    fn due(&mut self) -> u64 {
        let elapsed = self.since.elapsed();
        let due = (elapsed.as_secs_f64() * self.rate) as u64;
        let most = (MAX_CATCH_UP.as_secs_f64() * self.rate).ceil() as u64;
        // Nothing is due before what was sent; what is due beyond the limit counts as sent.
        self.sent = self.sent.max(due.saturating_sub(most));
        due.saturating_sub(self.sent)
    }
}
