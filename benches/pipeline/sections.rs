//! The sections of the report: what is run, and what is compared with what.

use std::{collections::BTreeMap, time::Duration};

use thalweg::{
    embedded::{self, Embedded},
    store::{self, Store},
    topic::{Opening, SampleLog, Topics, record::Outgoing},
};

use crate::{
    Options, copy,
    daemon::{Daemon, Race},
    peers::{Outcome, Peer, RIVER, SPARK},
    report::{Report, Row, rate, thousands},
    scaling,
    topics::{Broker, Samples},
};

/// Samples that a Python peer gets: they are as fast on more, only later.
const PEER_RECORDS: u64 = 100_000;

/// Who works off a backlog, too, and how many times as fast the daemon is to be.
const BACKLOG_PEERS: [(Peer, f64); 2] = [(RIVER, 25.0), (SPARK, 40.0)];

pub(crate) fn median(values: Vec<f64>) -> f64 {
    middle(values, |value| *value)
}

/// The run whose value is in the middle.
pub(crate) fn middle<T>(mut runs: Vec<T>, value: impl Fn(&T) -> f64) -> T {
    runs.sort_by(|a, b| value(a).total_cmp(&value(b)));
    runs.swap_remove(runs.len() / 2)
}

pub(crate) fn per_second(records: u64, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64()
}

/// A backlog on the broker beside a copy of it, and beside the peers.
pub(crate) async fn backlog(options: &Options, broker: &Broker, report: &mut Report) {
    let samples = broker.topic("samples");
    let bytes = broker.fill(&samples, 1, options.records).await;
    report.section(
        "A backlog on Kafka",
        &format!(
            "{} samples of {} B (ten features) in one partition, predictions published; records a second, medians of {} \
             runs that take turns. The copy is a plain rskafka loop that fetches ahead, copies as many bytes per record as \
             a prediction has and produces in order, and learns nothing.",
            thousands(options.records as f64),
            bytes / options.records,
            options.runs
        ),
    );
    for (race, target) in [(Race::Linear, 0.8), (Race::Tree, 0.5)] {
        let name = |run: usize| broker.topic(&format!("{}-{run}", race.peer()));
        // One run decides how many bytes a prediction has, so that the copy moves as many.
        Daemon::on(broker, &samples, &name(0), race).backlog().await;
        let size = broker.record_bytes(&format!("{}-predictions", name(0))).await;
        let mut rates: [Vec<f64>; 2] = Default::default();
        let mut outcomes: [Vec<Outcome>; BACKLOG_PEERS.len()] = Default::default();
        for run in 1..=options.runs {
            let copies = broker.topic(&format!("copy-{}-{run}", race.peer()));
            let copied = copy::passthrough(broker, &samples, &copies, options.records, size).await;
            rates[0].push(per_second(options.records, copied));
            broker.delete(&copies).await;
            let learned = Daemon::on(broker, &samples, &name(run), race).backlog().await;
            rates[1].push(per_second(options.records, learned));
            let predictions = format!("{}-predictions", name(run));
            assert_eq!(broker.end(&predictions, 0).await, options.records as i64, "predictions lost or doubled");
            broker.delete(&predictions).await;
            for ((peer, _), outcomes) in BACKLOG_PEERS.iter().zip(&mut outcomes) {
                outcomes.extend(backlog_of_peer(options, broker, &samples, race, *peer, run).await);
            }
        }
        let [copied, learned] = rates.map(median);
        report.row(Row::ratio(
            format!("{}, predictions of {size} B", race.label()),
            (rate(learned), "plain copy", rate(copied)),
            learned / copied,
            target,
        ));
        for ((peer, target), outcomes) in BACKLOG_PEERS.into_iter().zip(outcomes) {
            if outcomes.is_empty() {
                continue;
            }
            let outcome = middle(outcomes, |outcome| outcome.records_per_second);
            report.row(Row::ratio(
                format!("{}, {} records of it for the peer", race.label(), thousands(peer_records(options) as f64)),
                (rate(learned), peer.label, rate(outcome.records_per_second)),
                learned / outcome.records_per_second,
                target,
            ));
            report.note(&format!(
                "{}, {}: {} MiB resident at most, first prediction {:.1} s after its start",
                peer.label,
                race.label(),
                outcome.usage.peak_kib / 1024,
                outcome.first_prediction_seconds
            ));
        }
    }
    broker.delete(&samples).await;
}

/// Nothing without a Python to run it.
async fn backlog_of_peer(
    options: &Options,
    broker: &Broker,
    samples: &str,
    race: Race,
    peer: Peer,
    run: usize,
) -> Option<Outcome> {
    let python = options.python.as_ref()?;
    let predictions = broker.topic(&format!("peer-{}-{}-{run}", race.peer(), peer.script));
    broker.create(&predictions, 1).await;
    let outcome = peer.backlog(python, broker, samples, &predictions, race, peer_records(options));
    broker.delete(&predictions).await;
    Some(outcome)
}

pub(crate) fn peer_records(options: &Options) -> u64 {
    PEER_RECORDS.min(options.records)
}

/// The same inside the state file.
pub(crate) async fn embedded(options: &Options, report: &mut Report) {
    report.section(
        "A backlog on the embedded transport",
        &format!(
            "{} samples in the state file; the copy reads rows and appends as many bytes per record as a prediction has to \
             another table, in transactions of 4,000, as durable as the daemon's.",
            thousands(options.records as f64)
        ),
    );
    for race in [Race::Linear, Race::Tree] {
        let mut rates: [Vec<f64>; 2] = Default::default();
        let mut size = 250;
        for _ in 0..options.runs {
            let daemon = Daemon::embedded(race);
            fill(&daemon, options.records).await;
            let learned = daemon.backlog().await;
            rates[1].push(per_second(options.records, learned));
            let database = daemon.database();
            let state = rusqlite::Connection::open(&database).expect("the file");
            let mean = "SELECT count(*), avg(length(value)) FROM predictions";
            let (count, bytes): (i64, f64) =
                state.query_row(mean, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("predictions");
            assert_eq!(count, options.records as i64, "predictions lost or doubled");
            size = bytes as usize;
            state.execute_batch("DROP TABLE predictions; PRAGMA wal_checkpoint(TRUNCATE)").expect("dropped");
            drop(state);
            let copied = tokio::task::spawn_blocking(move || copy::rows(&database, size)).await.expect("a task");
            rates[0].push(per_second(options.records, copied));
        }
        let [copied, learned] = rates.map(median);
        report.row(Row::ratio(
            format!("{}, predictions of {size} B", race.label()),
            (rate(learned), "plain copy", rate(copied)),
            learned / copied,
            0.6,
        ));
    }
}

/// Puts samples into a daemon's state file, as its generator would.
async fn fill(daemon: &Daemon, records: u64) {
    let store = store::Config { path: daemon.database(), ..store::Config::default() };
    let store = std::sync::Arc::new(Store::open(&store).expect("a state file"));
    let config = embedded::Config { retention_records: u64::MAX >> 1, retention_bytes: u64::MAX >> 1 };
    let transport = Embedded::open(config, Topics::default(), store, &Opening::to_generate()).await.expect("open");
    let mut samples = Samples::new();
    let mut first = 0;
    while first < records {
        let sample = |_| Outgoing { value: Some(samples.json()), ..Outgoing::default() };
        let batch: Vec<Outgoing> = (0..(records - first).min(10_000)).map(sample).collect();
        let count = batch.len() as u64;
        transport.append_samples(first, batch).await.expect("appended");
        first += count;
    }
}

/// The same backlog spread over more partitions.
pub(crate) async fn partitions(options: &Options, broker: &Broker, report: &mut Report) {
    report.section(
        "Partitions",
        "The same number of samples spread over several partitions, each with models of its own, beside one partition.",
    );
    let mut rates: BTreeMap<i32, Vec<f64>> = BTreeMap::new();
    let counts = [1, 4, 16];
    for partitions in counts {
        broker.fill(&broker.topic(&format!("spread-{partitions}")), partitions, options.records).await;
    }
    for run in 0..options.runs {
        for partitions in counts {
            let name = broker.topic(&format!("spread-{partitions}-{run}"));
            let samples = broker.topic(&format!("spread-{partitions}"));
            let mut daemon = Daemon::on(broker, &samples, &name, Race::Linear);
            daemon.set(&format!("topics.partitions={partitions}"));
            let learned = daemon.backlog().await;
            rates.entry(partitions).or_default().push(per_second(options.records, learned));
            broker.delete(&format!("{name}-predictions")).await;
        }
    }
    let rates: BTreeMap<i32, f64> = rates.into_iter().map(|(count, rates)| (count, median(rates))).collect();
    for partitions in [4, 16] {
        report.row(Row::ratio(
            format!("{}, {partitions} partitions", Race::Linear.label()),
            (rate(rates[&partitions]), "1 partition", rate(rates[&1])),
            rates[&partitions] / rates[&1],
            1.0,
        ));
    }
}

/// What the daemon with the shipped models takes after ten times the backlog.
pub(crate) async fn memory(options: &Options, broker: &Broker, report: &mut Report) {
    let records = 10 * options.records;
    let about = format!("Resident memory of the daemon after {} samples on Kafka.", thousands(records as f64));
    report.section("Memory", &about);
    let samples = broker.topic("memory");
    broker.fill(&samples, 1, records).await;
    let name = broker.topic("memory-out");
    let daemon = Daemon::on(broker, &samples, &name, Race::Default);
    let watched = daemon.start(&["run"]);
    let predictions = format!("{name}-predictions");
    while !daemon_has_published(broker, &predictions, records).await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let usage = watched.usage();
    let log = daemon.log();
    tokio::task::spawn_blocking(move || watched.stop(&log)).await.expect("a task");
    let (label, mib) = (Race::Default.label(), |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0));
    let fits = usage.resident_kib < 30 << 10;
    report.row(Row::limit(label.to_owned(), mib(usage.resident_kib), fits, "< 30 MiB"));
    report.row(Row::plain(format!("{label}, at most"), mib(usage.peak_kib)));
    broker.delete(&samples).await;
    broker.delete(&predictions).await;
}

async fn daemon_has_published(broker: &Broker, predictions: &str, records: u64) -> bool {
    broker.exists(predictions).await && broker.end(predictions, 0).await == records as i64
}

/// Cost against work.
pub(crate) fn scaling(options: &Options, report: &mut Report) {
    report.section(
        "Cost against work",
        "One process, without I/O, from the bytes of a sample to the bytes of its prediction: time per record (and per feature, per model). \
         Work that costs in proportion gives flat lines.",
    );
    let samples = scaling::by_samples(10 * options.records);
    let per = |points: &scaling::Points, unit: f64| -> Vec<(f64, f64)> {
        points.iter().map(|(work, time)| (*work, time.as_secs_f64() * 1e6 / (work * unit))).collect()
    };
    report.plot("samples", "samples (linear + hoeffding_tree)", "µs per sample", &per(&samples, 1.0));
    let records = options.records / 50;
    let features = scaling::by_features(records);
    report.plot("features", "features (linear)", "µs per record and feature", &per(&features, records as f64));
    let models = scaling::by_models(records);
    report.plot("models", "models (linear)", "µs per record and model", &per(&models, records as f64));
}
