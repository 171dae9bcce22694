//! From the start of the process to its first prediction, with nothing and with a state of ten megabytes.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{
    daemon::{Daemon, Race},
    process::Watched,
    report::{Report, Row},
};

/// Runs, of which the median counts.
const RUNS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(120);
const LARGE_STATE: i64 = 10_000_000;

pub(crate) async fn section(report: &mut Report) {
    report.section(
        "Start",
        &format!("From the start of the process to the first prediction in the state file, embedded, medians of {RUNS} starts."),
    );
    let mut cold = Vec::new();
    for _ in 0..RUNS {
        cold.push(first_prediction(&generating(Race::Default, &[])).await);
    }
    let cold = median(cold);
    report.row(Row::limit("nothing learned yet".into(), ms(cold), cold < Duration::from_millis(100), "< 100 ms"));
    let (daemon, mut warm) = (learned().await, Vec::new());
    for _ in 0..RUNS {
        warm.push(first_prediction(&daemon).await);
    }
    let warm = median(warm);
    let state = format!("a state of {:.1} MB", state_bytes(&daemon.database()) as f64 / 1e6);
    report.row(Row::limit(state, ms(warm), warm < Duration::from_millis(300), "< 300 ms"));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

fn generating(race: Race, more: &[&str]) -> Daemon {
    let mut daemon = Daemon::embedded(race);
    daemon.set("generator.enabled=true");
    more.iter().for_each(|setting| daemon.set(setting));
    daemon
}

/// The end of the predictions there are.
fn end(database: &Path) -> Option<i64> {
    let state = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    state.query_row("SELECT coalesce(max(offset) + 1, 0) FROM predictions", [], |row| row.get(0)).ok()
}

/// Starts it and stops it after its first new prediction; the time that took.
async fn first_prediction(daemon: &Daemon) -> Duration {
    let database = daemon.database();
    let before = end(&database).unwrap_or(0);
    let watched = daemon.start(&["run"]);
    wait(&watched, || end(&database).is_some_and(|end| end > before)).await;
    let time = watched.started.elapsed();
    watched.stop(&daemon.log());
    time
}

async fn wait(watched: &Watched, done: impl Fn() -> bool) {
    while !done() {
        assert!(watched.started.elapsed() < PATIENCE, "it does not get there");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn state_bytes(database: &Path) -> i64 {
    let state = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file");
    let newest = "SELECT length(state) + (SELECT ifnull(sum(length(state)), 0) FROM thalweg_checkpoint_parts
                  WHERE checkpoint = id) FROM thalweg_checkpoints ORDER BY id DESC LIMIT 1";
    state.query_row(newest, [], |row| row.get(0)).unwrap_or(0)
}

/// A daemon whose state has become large.
async fn learned() -> Daemon {
    let models = r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree",scale=true,max_size=64}]"#;
    // Slow enough for the last checkpoint to be hardly larger.
    let daemon = generating(Race::Default, &["generator.rate=50_000", "state.every=200ms", models]);
    let watched = daemon.start(&["run"]);
    let database = daemon.database();
    wait(&watched, || end(&database).is_some() && state_bytes(&database) >= LARGE_STATE).await;
    watched.stop(&daemon.log());
    daemon
}
