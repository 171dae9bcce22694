//! A backlog of the same samples in each shape in which producers write them.

use std::path::Path;

use serde_json::json;

use crate::{
    Options, copy,
    daemon::{Daemon, Race},
    registry::Registry,
    report::{Report, Row, rate, thousands},
    sections::{median, per_second},
    shapes::{Records, Shape},
    telemetry_peers::{self, TelemetryPeer},
    topics::Broker,
};

/// Most that a shape may take beside flat numbers.
const MAX_COST: f64 = 1.15;

/// Least rate of a shape beside a plain copy of the same topic.
fn min_ratio(shape: Shape) -> f64 {
    if shape == Shape::Flat { 0.9 } else { 0.85 }
}

/// Least rate of a shape beside that of flat numbers; none where only the copy counts.
fn min_rate(shape: Shape) -> Option<f64> {
    match shape {
        Shape::Avro => Some(1.3),
        Shape::Protobuf => Some(1.0),
        _ => None,
    }
}

/// What all runs have in common.
struct Site<'s> {
    options: &'s Options,
    broker: &'s Broker,
    /// Knows the schemas by which records are written.
    registry: Registry,
}

/// What one side took, run by run.
#[derive(Default)]
struct Runs {
    /// Microseconds of CPU for a record, the whole process.
    cpu: Vec<f64>,
    /// Records a second.
    rates: Vec<f64>,
}

pub(crate) async fn section(options: &Options, broker: &Broker, report: &mut Report) {
    report.section(
        "The shape of a record",
        &format!(
            "{} samples of ten features in one partition, written in the ways of real producers (benches/shapes); {}, \
             medians of {} runs that take turns. CPU time is that of the whole process from its start; the copy is that of \
             the first section.",
            thousands(options.records as f64),
            Race::Linear.label(),
            options.runs
        ),
    );
    let site = Site { options, broker, registry: Registry::start() };
    for (shape, schema) in Shape::ALL.into_iter().filter_map(|shape| Some((shape, shape.writer_schema()?))) {
        let (path, kind) = (format!("schemas/ids/{}", schema.id), shape.name().to_uppercase());
        site.registry.add(&path, schema.definition, &kind, &json!([]));
    }
    let mut flat = None;
    for shape in Shape::ALL {
        let samples = broker.topic(&format!("shape-{}", shape.name().replace(' ', "-")));
        let mut records = Records::new(shape);
        let bytes = broker.fill_with(&samples, 1, options.records, || records.value()).await / options.records;
        let refused =
            options.other.as_deref().map(|build| site.daemon(&samples, "other", shape, Some(build)).refusal());
        let other = options.other.as_deref().filter(|_| refused == Some(None));
        let mut peers = if shape == Shape::Telemetry { telemetry_peers::all(options) } else { Vec::new() };
        let [ours, theirs, copied] = site.turns(&samples, shape, other, &mut peers).await;
        broker.delete(&samples).await;
        let (cpu, learned, copied) = (median(ours.cpu), median(ours.rates), median(copied.rates));
        let (flat_cpu, flat_rate) = *flat.get_or_insert((cpu, learned));
        let label = format!("{}, {bytes} B", shape.name());
        let sides = (rate(learned), "plain copy", rate(copied));
        report.row(Row::ratio(label.clone(), sides, learned / copied, min_ratio(shape)));
        if let Some(least) = min_rate(shape) {
            let sides = (rate(learned), "flat", rate(flat_rate));
            report.row(Row::ratio(label.clone(), sides, learned / flat_rate, least));
        }
        let label = format!("{label}, CPU per record");
        let sides = (micros(cpu), "flat", micros(flat_cpu));
        report.row(Row::at_most(label.clone(), sides, cpu / flat_cpu, MAX_COST));
        peers.into_iter().for_each(|peer| peer.report((learned, cpu), report));
        match refused {
            None => {}
            Some(None) => {
                let theirs = median(theirs.cpu);
                report.row(Row::beside(label, (micros(cpu), "the other build", micros(theirs)), cpu / theirs));
            }
            Some(Some(words)) => {
                report.row(Row::alone(label, micros(cpu), "the other build: cannot read it"));
                report.note(&format!("{}: the other build refuses the settings: {words}", shape.name()));
            }
        }
    }
}

fn micros(time: f64) -> String {
    format!("{time:.2} µs")
}

impl Site<'_> {
    /// Runs this build, the other one if it can read the shape, the copy and the peers in turns.
    async fn turns(
        &self,
        samples: &str,
        shape: Shape,
        other: Option<&Path>,
        peers: &mut [TelemetryPeer<'_>],
    ) -> [Runs; 3] {
        let Self { options, broker, .. } = self;
        let mut sides = [(); 3].map(|()| Runs::default());
        let [ours, theirs, copied] = &mut sides;
        // One run decides how many bytes a prediction has, so that the copy moves as many.
        let size = self.backlog(samples, shape, None, &mut Runs::default()).await;
        for _ in 0..options.runs {
            self.backlog(samples, shape, None, ours).await;
            if let Some(build) = other {
                self.backlog(samples, shape, Some(build), theirs).await;
            }
            let copies = broker.topic("shape-copy");
            let time = copy::passthrough(broker, samples, &copies, options.records, size).await;
            copied.rates.push(per_second(options.records, time));
            broker.delete(&copies).await;
            for peer in &mut *peers {
                peer.run(broker, samples).await;
            }
        }
        sides
    }

    fn daemon(&self, samples: &str, name: &str, shape: Shape, build: Option<&Path>) -> Daemon {
        let mut daemon = Daemon::on(self.broker, samples, name, Race::Linear);
        shape.settings().iter().for_each(|setting| daemon.set(setting));
        if shape.writer_schema().is_some() {
            daemon.set(&self.registry.setting());
        }
        if let Some(build) = build {
            daemon.run_by(build.to_owned());
        }
        daemon
    }

    /// Works off the topic, and returns the bytes of a prediction.
    async fn backlog(&self, samples: &str, shape: Shape, build: Option<&Path>, runs: &mut Runs) -> usize {
        let Self { options, broker, .. } = self;
        let side = if build.is_some() { "other" } else { "ours" };
        let name = format!("{samples}-{side}-{}", runs.cpu.len());
        let (time, usage) = self.daemon(samples, &name, shape, build).backlog_and_usage().await;
        runs.rates.push(per_second(options.records, time));
        runs.cpu.push(1e6 * usage.cpu_seconds / options.records as f64);
        let predictions = format!("{name}-predictions");
        assert_eq!(broker.end(&predictions, 0).await, options.records as i64, "predictions lost or doubled");
        let size = broker.record_bytes(&predictions).await;
        for output in ["predictions", "events"] {
            let topic = format!("{name}-{output}");
            if broker.exists(&topic).await {
                broker.delete(&topic).await;
            }
        }
        size
    }
}
