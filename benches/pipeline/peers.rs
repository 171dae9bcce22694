//! Others that do the same work, from benches/peers/.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    daemon::Race,
    process::{Usage, Watched},
    topics::Broker,
};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) label: &'static str,
    pub(crate) script: &'static str,
}

pub(crate) const RIVER: Peer = Peer { label: "River + confluent-kafka", script: "river_kafka.py" };
pub(crate) const SPARK: Peer = Peer { label: "PySpark foreachBatch + River", script: "spark_river.py" };

/// What a peer says about its run, and what was seen of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) records_per_second: f64,
    pub(crate) first_prediction_seconds: f64,
    pub(crate) usage: Usage,
}

impl Peer {
    pub(crate) fn command(
        self,
        python: &Path,
        broker: &Broker,
        samples: &str,
        predictions: &str,
        race: Race,
    ) -> Command {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(self.script);
        let mut command = Command::new(python);
        command.arg(script).args(["--brokers", &broker.address, "--samples", samples, "--predictions", predictions]);
        command.args(["--models", race.peer()]);
        command
    }

    /// Works off the first `records` of a topic.
    pub(crate) fn backlog(
        self,
        python: &Path,
        broker: &Broker,
        samples: &str,
        predictions: &str,
        race: Race,
        records: u64,
    ) -> Outcome {
        work_off(&mut self.command(python, broker, samples, predictions, race), records)
    }

    /// Starts it for as long as it is left to run.
    pub(crate) fn live(
        self,
        python: &Path,
        broker: &Broker,
        samples: &str,
        predictions: &str,
        race: Race,
        log: &Path,
    ) -> Watched {
        let mut command = self.command(python, broker, samples, predictions, race);
        command.arg("--live");
        Watched::start(&mut command, log)
    }
}

/// Has a peer work off the first `records` of its topic.
pub(crate) fn work_off(command: &mut Command, records: u64) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let (usage, text) = Watched::start(command.args(["--records", &records.to_string()]), &log).wait(&log);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let said = lines.rev().find(|line| line["seconds"].is_number()).unwrap_or_else(|| panic!("{text}"));
    Outcome {
        records_per_second: records as f64 / said["seconds"].as_f64().unwrap_or(f64::NAN),
        first_prediction_seconds: said["first_prediction_seconds"].as_f64().unwrap_or(f64::NAN),
        usage,
    }
}
