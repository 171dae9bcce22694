//! The section on samples at a steady rate: who works on them, and what counts of their runs.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Options,
    daemon::{Daemon, Race},
    latency::{self, Latencies},
    peers::RIVER,
    process::{Usage, Watched},
    report::{Report, Row},
    sections::middle,
    topics::Broker,
};

/// Of a prediction of two models, about.
const LIVE_COPY_BYTES: usize = 300;

/// Samples at a steady rate.
pub(crate) async fn section(options: &Options, broker: &Broker, report: &mut Report) {
    let time = Duration::from_secs(options.seconds);
    report.section(
        "Live",
        &format!(
            "Samples at a steady rate for {} s, after a warm-up: from the moment one is made, before it is sent to the broker, \
             until a consumer has read its prediction, which is after that was acknowledged. Source, broker, daemon and \
             consumer share the machine. {}. At 10,000 a second {} runs of each take turns, of which the one with the median \
             p99 counts. The plain copy fetches as the daemon does, with the same linger, and produces as many bytes, over \
             rskafka's protocol code; it shows what of the daemon's figures is the transport.",
            options.seconds,
            Race::Linear.label(),
            options.runs
        ),
    );
    let (mut daemons, mut copies, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.runs {
        let name = |who: &str| broker.topic(&format!("live-{who}-{run}"));
        daemons.push(live_daemon(broker, &name("daemon"), 10_000, time).await);
        copies.push(live_copy(broker, &name("copy"), 10_000, LIVE_COPY_BYTES, time).await);
        peers.extend(live_peer(options, broker, &name("peer"), 10_000, time).await);
    }
    let ours = typical(report, "Thalweg", daemons);
    let (p50, p99) = (ours.latencies.quantile(0.5), ours.p99());
    report.row(Row::limit("10,000 a second, p50".into(), format!("{p50:.2} ms"), p50 < 2.0, "< 2 ms"));
    report.row(Row::limit("10,000 a second, p99".into(), format!("{p99:.2} ms"), p99 < 5.0, "< 5 ms"));
    report.row(Row::plain("10,000 a second, CPU per record".into(), micros(ours.cpu_seconds)));
    let copied = typical(report, "plain copy", copies);
    report.row(Row::beside(
        "10,000 a second, p99".into(),
        (format!("{p99:.2} ms"), "plain copy", format!("{:.2} ms", copied.p99())),
        copied.p99() / p99,
    ));
    report.row(Row::beside(
        "10,000 a second, CPU per record".into(),
        (micros(ours.cpu_seconds), "plain copy", micros(copied.cpu_seconds)),
        copied.cpu_seconds / ours.cpu_seconds,
    ));
    if !peers.is_empty() {
        let theirs = typical(report, RIVER.label, peers);
        report.row(Row::ratio(
            "10,000 a second, p99".into(),
            (format!("{p99:.2} ms"), RIVER.label, format!("{:.1} ms", theirs.p99())),
            theirs.p99() / p99,
            10.0,
        ));
        report.row(Row::ratio(
            "10,000 a second, CPU per record".into(),
            (micros(ours.cpu_seconds), RIVER.label, micros(theirs.cpu_seconds)),
            theirs.cpu_seconds / ours.cpu_seconds,
            20.0,
        ));
    }
    let LiveRun { latencies: fast, cpu_seconds } = live_daemon(broker, &broker.topic("live-fast"), 100_000, time).await;
    report.latencies("100,000 samples a second", "Thalweg", &fast);
    let p99 = fast.quantile(0.99);
    let kept_up = fast.came() as u64 == fast.sent;
    report.row(Row::limit("100,000 a second, p99".into(), format!("{p99:.2} ms"), p99 < 50.0 && kept_up, "< 50 ms"));
    report.row(Row::plain("100,000 a second, p50".into(), format!("{:.2} ms", fast.quantile(0.5))));
    report.row(Row::plain("100,000 a second, largest lag".into(), format!("{} samples", fast.largest_lag)));
    report.row(Row::plain("100,000 a second, CPU per record".into(), micros(cpu_seconds)));
}

/// A process that was given samples at a steady rate.
struct LiveRun {
    latencies: Latencies,
    /// Per sample.
    cpu_seconds: f64,
}

impl LiveRun {
    fn p99(&self) -> f64 {
        self.latencies.quantile(0.99)
    }
}

/// The run with the median p99; the report says what each came to.
fn typical(report: &mut Report, whose: &str, runs: Vec<LiveRun>) -> LiveRun {
    for run in &runs {
        report.latencies("10,000 samples a second", whose, &run.latencies);
    }
    middle(runs, LiveRun::p99)
}

fn micros(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

async fn live_daemon(broker: &Broker, name: &str, per_second: u64, time: Duration) -> LiveRun {
    let samples = format!("{name}-samples");
    let daemon = Daemon::on(broker, &samples, name, Race::Linear);
    let start = || daemon.start(&["run"]);
    live_process(broker, (&samples, &format!("{name}-predictions")), per_second, time, &daemon.log(), start).await
}

async fn live_copy(broker: &Broker, name: &str, per_second: u64, size: usize, time: Duration) -> LiveRun {
    let (samples, copies) = (format!("{name}-samples"), format!("{name}-copies"));
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let start = || {
        let mut command = Command::new(std::env::current_exe().expect("this benchmark"));
        command.args(["--brokers", &broker.address, "--copy", &format!("{samples},{copies},{size}")]);
        Watched::start(&mut command, &log)
    };
    live_process(broker, (&samples, &copies), per_second, time, &log, start).await
}

/// River; nothing without a Python to run it.
async fn live_peer(options: &Options, broker: &Broker, name: &str, per_second: u64, time: Duration) -> Option<LiveRun> {
    let python = options.python.as_ref()?;
    let (samples, predictions) = (format!("{name}-samples"), format!("{name}-predictions"));
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let start = || RIVER.live(python, broker, &samples, &predictions, Race::Linear, &log);
    Some(live_process(broker, (&samples, &predictions), per_second, time, &log, start).await)
}

/// Of a process that reads the first topic and writes the other.
async fn live_process(
    broker: &Broker,
    (samples, results): (&str, &str),
    per_second: u64,
    time: Duration,
    log: &Path,
    start: impl FnOnce() -> Watched,
) -> LiveRun {
    broker.create(samples, 1).await;
    broker.create(results, 1).await;
    let watched = start();
    let latencies = latency::latencies(broker, samples, results, per_second, time).await;
    let Usage { cpu_seconds, .. } = watched.usage();
    let log = log.to_owned();
    tokio::task::spawn_blocking(move || watched.stop(&log)).await.expect("a task");
    let all = broker.end(samples, 0).await.max(1) as f64;
    broker.delete(samples).await;
    broker.delete(results).await;
    LiveRun { latencies, cpu_seconds: cpu_seconds / all }
}
