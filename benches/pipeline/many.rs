//! A thousand partitions at once: what they cost beside one, in connections, memory, idle time and time to start.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use serde_json::Value;

use crate::{
    Options,
    daemon::{Daemon, Race},
    process::Watched,
    report::{Report, Row, thousands},
    topics::Broker,
};

const PARTITIONS: i32 = 1_000;
const RECORDS: u64 = 50_000;
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn section(options: &Options, broker: &Broker, report: &mut Report) {
    let about = format!(
        "{} samples in {PARTITIONS} partitions of one broker, {}; idle over {} s. Topics and their outputs are there before.",
        thousands(RECORDS as f64),
        Race::Linear.label(),
        options.seconds
    );
    report.section("A thousand partitions", &about);
    let (samples, name) = (broker.topic("many"), broker.topic("many-out"));
    broker.fill(&samples, PARTITIONS, RECORDS).await;
    for output in ["predictions", "dead-letters", "events"] {
        broker.create(&format!("{name}-{output}"), PARTITIONS).await;
    }
    let mut daemon = Daemon::on(broker, &samples, &name, Race::Linear);
    daemon.set("metrics.report_every=100ms");
    let learned = daemon.backlog().await;
    report.row(Row::limit("work off".into(), seconds(learned), learned < Duration::from_secs(5), "< 5 s"));
    daemon.set("metrics.report_every=10s");
    let watched = daemon.start(&["run"]);
    let first = started(&watched, &daemon.log(), 1).await;
    report.row(Row::limit("restart, the first ready".into(), seconds(first), first < Duration::from_secs(2), "< 2 s"));
    let all = started(&watched, &daemon.log(), PARTITIONS as usize).await;
    report.row(Row::plain("restart, all ready".into(), seconds(all)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = watched.usage();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = watched.usage();
    let busy = (after.cpu_seconds - before.cpu_seconds) / options.seconds as f64;
    report.row(Row::limit("idle, of a core".into(), format!("{:.2} %", busy * 100.0), busy < 0.01, "< 1 %"));
    let mib = format!("{:.1} MiB", after.resident_kib as f64 / 1024.0);
    report.row(Row::limit("resident memory".into(), mib, after.resident_kib < 60 << 10, "< 60 MiB"));
    let open = fs::read_dir(format!("/proc/{}/fd", watched.id())).expect("a process").count();
    report.row(Row::limit("descriptors".into(), open.to_string(), open <= 40, "≤ 40"));
    let log = daemon.log();
    tokio::task::spawn_blocking(move || watched.stop(&log)).await.expect("a task");
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Awaits that so many workers have started; the time since the process has.
async fn started(watched: &Watched, log: &Path, workers: usize) -> Duration {
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_workers = lines.filter(|line| line["event"] == "worker_started");
        let found: HashSet<i64> = of_workers.filter_map(|line| line["partition"].as_i64()).collect();
        let time = watched.started.elapsed();
        if found.len() >= workers {
            return time;
        }
        assert!(time < PATIENCE, "{} of {workers} workers", found.len());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
