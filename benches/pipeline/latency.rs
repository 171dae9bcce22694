//! Samples at a steady rate, and how long each takes until its prediction can be read.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::{
    line::Line,
    topics::{Broker, Samples},
};

/// Between two produce requests of the source.
const TICK: Duration = Duration::from_millis(1);
/// Left out at the beginning: connections, first pages, trees that are one leaf.
const WARM_UP: Duration = Duration::from_secs(5);
/// Predictions that come later than this after the last sample are given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Latencies of one run.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    /// Ascending, in milliseconds.
    sorted: Vec<f64>,
    /// Samples sent after the warm-up, whether or not their predictions came.
    pub(crate) sent: u64,
    /// Most samples sent whose predictions had not been read.
    pub(crate) largest_lag: i64,
}

impl Latencies {
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((q * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn came(&self) -> usize {
        self.sorted.len()
    }
}

/// Sends `rate` samples a second for `time` and reads the predictions as a consumer of theirs would. A sample's time begins
/// when it is made, before it is sent; it ends when a consumer has its prediction, after that was acknowledged.
pub(crate) async fn latencies(
    broker: &Broker,
    samples: &str,
    predictions: &str,
    rate: u64,
    time: Duration,
) -> Latencies {
    let sink = Arc::new(Line::open(&broker.address, samples).await);
    let first = broker.end(samples, 0).await;
    // By offset from `first` on, when each was made.
    let made: Arc<Mutex<Vec<Option<Instant>>>> = Arc::default();
    let (source, after_warm_up) = (Arc::clone(&made), WARM_UP);
    let total = (time + after_warm_up).as_millis() as u64 * rate / 1000;
    let source = tokio::spawn(async move {
        let (mut generator, mut sent) = (Samples::new(), 0);
        let (mut ticks, begun) = (tokio::time::interval(TICK), Instant::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut requests = tokio::task::JoinSet::new();
        while sent < total {
            ticks.tick().await;
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
            let count = due.min(total).saturating_sub(sent);
            if count == 0 {
                continue;
            }
            let now = Instant::now();
            let batch = (0..count).map(|_| generator.json()).collect();
            let (sink, source) = (Arc::clone(&sink), Arc::clone(&source));
            requests.spawn(async move {
                let at = (sink.produce(batch).await - first) as usize;
                let mut made = source.lock().unwrap_or_else(PoisonError::into_inner);
                let end = at + count as usize;
                if made.len() < end {
                    made.resize(end, None);
                }
                made[at..end].fill(Some(now));
            });
            sent += count;
            while requests.try_join_next().is_some() {}
        }
        requests.join_all().await;
    });
    let arrivals = arrivals(broker, predictions, first, total).await;
    source.await.expect("the source");
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = made.iter().flatten().min().copied().unwrap_or_else(Instant::now);
    let measured = |at: &Instant| *at >= begun + WARM_UP;
    let mut sorted: Vec<f64> = (arrivals.iter().zip(made.iter()))
        .filter_map(|(arrived, made)| Some(((*arrived)?, (*made)?)))
        .filter(|(_, made)| measured(made))
        .map(|(arrived, made)| (arrived - made).as_secs_f64() * 1000.0)
        .collect();
    sorted.sort_by(f64::total_cmp);
    let sent = made.iter().flatten().filter(|at| measured(at)).count() as u64;
    Latencies { sorted, sent, largest_lag: largest_lag(&made, &arrivals) }
}

/// When the prediction of each sample from offset `first` on was there.
async fn arrivals(broker: &Broker, predictions: &str, first: i64, total: u64) -> Vec<Option<Instant>> {
    let (found, mut incoming) = mpsc::channel(64);
    let mut offset = 0;
    let line = Line::open(&broker.address, predictions).await;
    let reader = tokio::spawn(async move {
        loop {
            let records = line.fetch(offset, 1, Duration::from_millis(100)).await;
            let now = Instant::now();
            offset = records.last().map_or(offset, |(at, _)| at + 1);
            let sources: Vec<i64> = records.iter().filter_map(|(_, value)| source(value)).collect();
            if found.send((now, sources)).await.is_err() {
                return;
            }
        }
    });
    let mut arrivals = vec![None; total as usize];
    let (mut missing, mut last) = (total, Instant::now());
    while missing > 0 && last.elapsed() < PATIENCE {
        let Some((now, sources)) = incoming.recv().await else { break };
        for source in sources {
            if let Some(slot @ None) = usize::try_from(source - first).ok().and_then(|at| arrivals.get_mut(at)) {
                *slot = Some(now);
                (missing, last) = (missing - 1, now);
            }
        }
    }
    drop(incoming);
    reader.await.expect("the reader");
    arrivals
}

/// The source offset in a prediction.
fn source(value: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"\"offset\":";
    let at = value.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let text: String = value[at..]
        .iter()
        .map(|byte| char::from(*byte))
        .skip_while(|c| *c == ' ')
        .take_while(char::is_ascii_digit)
        .collect();
    text.parse().ok()
}

/// Most samples at any moment that were made and whose predictions had not come.
fn largest_lag(made: &[Option<Instant>], arrivals: &[Option<Instant>]) -> i64 {
    let mut steps: Vec<(Instant, i64)> = made.iter().flatten().map(|at| (*at, 1)).collect();
    steps.extend(arrivals.iter().flatten().map(|at| (*at, -1)));
    steps.sort();
    let lags = steps.iter().scan(0, |lag, (_, step)| {
        *lag += step;
        Some(*lag)
    });
    lags.max().unwrap_or(0)
}
