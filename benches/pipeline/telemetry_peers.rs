//! Others over the topic of telemetry: River in Python, and a program in Rust with each of the parsers that people reach for.

use std::{path::Path, process::Command};

use crate::{
    Options,
    daemon::Race,
    peers::{Outcome, RIVER, work_off},
    report::{Report, Row, rate, thousands},
    sections::{middle, peer_records},
    topics::Broker,
};

/// Names of the program's parsers, and their labels.
const PARSERS: [(&str, &str); 4] = [
    ("value", "Rust, serde_json::Value"),
    ("serde", "Rust, serde_json typed"),
    ("simd-json", "Rust, simd-json typed"),
    ("sonic-rs", "Rust, sonic-rs typed"),
];

/// One of them, and its runs.
pub(crate) struct TelemetryPeer<'o> {
    program: Program<'o>,
    label: &'static str,
    /// How many times as fast the daemon is to be.
    least: f64,
    records: u64,
    outcomes: Vec<Outcome>,
}

enum Program<'o> {
    River { python: &'o Path },
    Rust { binary: &'o Path, parser: &'static str },
}

/// Returns those that the options have a program for.
pub(crate) fn all(options: &Options) -> Vec<TelemetryPeer<'_>> {
    let river = options.python.as_deref().map(|python| TelemetryPeer {
        program: Program::River { python },
        label: RIVER.label,
        least: 25.0,
        records: peer_records(options),
        outcomes: Vec::new(),
    });
    let rust = options.rust_baseline.iter().flat_map(|binary| {
        PARSERS.map(|(parser, label)| TelemetryPeer {
            program: Program::Rust { binary, parser },
            label,
            least: 1.0,
            records: options.records,
            outcomes: Vec::new(),
        })
    });
    river.into_iter().chain(rust).collect()
}

impl TelemetryPeer<'_> {
    /// Works off the topic once more.
    pub(crate) async fn run(&mut self, broker: &Broker, samples: &str) {
        let predictions = broker.topic("telemetry-peer");
        broker.create(&predictions, 1).await;
        let mut command = match self.program {
            Program::River { python } => {
                let mut command = RIVER.command(python, broker, samples, &predictions, Race::Linear);
                command.args(["--shape", "telemetry"]);
                command
            }
            Program::Rust { binary, parser } => {
                let mut command = Command::new(binary);
                command.args(["--brokers", &broker.address, "--samples", samples, "--predictions", &predictions]);
                command.args(["--parser", parser]);
                command
            }
        };
        self.outcomes.push(work_off(&mut command, self.records));
        assert_eq!(broker.end(&predictions, 0).await, self.records as i64, "predictions lost or doubled");
        broker.delete(&predictions).await;
    }

    /// Reports it beside the daemon's records a second and microseconds of CPU for a record.
    pub(crate) fn report(self, (learned, cpu): (f64, f64), report: &mut Report) {
        let Self { label, least, records, outcomes, .. } = self;
        let measure = format!("telemetry, {} records of it for the peer", thousands(records as f64));
        let outcome = middle(outcomes, |outcome| outcome.records_per_second);
        let sides = (rate(learned), label, rate(outcome.records_per_second));
        report.row(Row::ratio(measure, sides, learned / outcome.records_per_second, least));
        let theirs = 1e6 * outcome.usage.cpu_seconds / records as f64;
        let sides = (format!("{cpu:.2} µs"), label, format!("{theirs:.2} µs"));
        report.row(Row::beside("telemetry, CPU per record".into(), sides, theirs / cpu));
    }
}
