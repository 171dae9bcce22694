//! What the whole costs: throughput, latency, memory and start, beside plain copies of the same bytes and beside the
//! Python stacks that do the same work. Everything that is compared takes turns in one run, since only ratios mean
//! something from machine to machine.
//!
//! Needs a running Apache Kafka: `tests/kafka/kafka start`, then
//! `cargo bench --bench pipeline -- --brokers 127.0.0.1:19092`, with `--help` for more. `just
//! bench-pipeline` does it all, peers included, and writes docs/performance.md.

mod copy;
mod daemon;
mod latency;
mod line;
mod live;
mod many;
mod peers;
mod process;
/// That of the tests, which use more of it.
#[allow(dead_code)]
#[path = "../../tests/support/registry.rs"]
mod registry;
mod report;
mod scaling;
mod sections;
#[path = "../shapes/mod.rs"]
mod shapes;
mod shapes_table;
mod start;
mod telemetry_peers;
mod topics;

use std::path::PathBuf;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use report::Report;
use topics::Broker;

/// Throughput, latency, memory and start of the daemon.
#[derive(Debug, Parser)]
#[command(name = "pipeline")]
struct Options {
    /// Broker under test
    #[arg(long, default_value = "127.0.0.1:19092")]
    brokers: String,
    /// Sections to run, of backlog, shapes, embedded, partitions, many, live, memory, start, scaling [default: all]
    #[arg(long, value_delimiter = ',')]
    sections: Vec<String>,
    /// Samples in a backlog
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Runs of each side of a comparison; their medians are compared
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds of each live run
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Python with what benches/peers/pipeline-requirements.txt names; without it peers are left out
    #[arg(long)]
    python: Option<PathBuf>,
    /// Program of benches/peers/rust_baseline; without it that is left out
    #[arg(long)]
    rust_baseline: Option<PathBuf>,
    /// Another build of the daemon, which takes turns with this one in the section shapes, where it takes their settings
    #[arg(long)]
    other: Option<PathBuf>,
    /// File to write, with its plots beside it; without it the report is printed
    #[arg(long)]
    out: Option<PathBuf>,
    /// Copies one topic to another until it is told to stop, and does nothing else: topic, topic, bytes of a copy
    #[arg(long, hide = true, value_delimiter = ',')]
    copy: Vec<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section)
    }
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    if let [from, to, size] = &options.copy[..] {
        let mut terminate = signal(SignalKind::terminate()).expect("a signal");
        tokio::select! {
            () = copy::live(&options.brokers, from, to, size.parse().expect("bytes")) => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let broker = Broker::connect(options.brokers.clone()).await;
    let mut report = Report::new(&options);
    if options.wants("backlog") {
        sections::backlog(&options, &broker, &mut report).await;
    }
    if options.wants("shapes") {
        shapes_table::section(&options, &broker, &mut report).await;
    }
    if options.wants("embedded") {
        sections::embedded(&options, &mut report).await;
    }
    if options.wants("partitions") {
        sections::partitions(&options, &broker, &mut report).await;
    }
    if options.wants("many") {
        many::section(&options, &broker, &mut report).await;
    }
    if options.wants("live") {
        live::section(&options, &broker, &mut report).await;
    }
    if options.wants("memory") {
        sections::memory(&options, &broker, &mut report).await;
    }
    if options.wants("start") {
        start::section(&mut report).await;
    }
    if options.wants("scaling") {
        sections::scaling(&options, &mut report);
    }
    report.finish();
}
