//! A backlog of the same samples in each shape in which producers write them.

use std::path::Path;

use crate::{
    Options, copy,
    daemon::{Daemon, Race},
    report::{Report, Row, rate, thousands},
    sections::{median, per_second},
    shapes::{Records, Shape},
    topics::Broker,
};

/// Most that a shape may take beside flat numbers, and its least rate beside a plain copy.
const MAX_COST: f64 = 1.15;
const MIN_RATIO: f64 = 0.85;

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
    let mut flat = None;
    for shape in Shape::ALL {
        let samples = broker.topic(&format!("shape-{}", shape.name().replace(' ', "-")));
        let mut records = Records::new(shape);
        let bytes = broker.fill_with(&samples, 1, options.records, || records.value()).await / options.records;
        let [ours, other, copied] = turns(options, broker, &samples, shape).await;
        broker.delete(&samples).await;
        let (cpu, learned, copied) = (median(ours.cpu), median(ours.rates), median(copied.rates));
        let flat = *flat.get_or_insert(cpu);
        let label = format!("{}, {bytes} B", shape.name());
        let sides = (rate(learned), "plain copy", rate(copied));
        report.row(Row::ratio(label.clone(), sides, learned / copied, MIN_RATIO));
        let label = format!("{label}, CPU per record");
        let sides = (micros(cpu), "flat", micros(flat));
        report.row(Row::at_most(label.clone(), sides, cpu / flat, MAX_COST));
        if options.other.is_some() {
            let other = median(other.cpu);
            report.row(Row::beside(label, (micros(cpu), "the other build", micros(other)), cpu / other));
        }
    }
}

fn micros(time: f64) -> String {
    format!("{time:.2} µs")
}

/// Runs this build, the other one if there is one, and the copy in turns.
async fn turns(options: &Options, broker: &Broker, samples: &str, shape: Shape) -> [Runs; 3] {
    let mut sides = [(); 3].map(|()| Runs::default());
    let [ours, other, copied] = &mut sides;
    // One run decides how many bytes a prediction has, so that the copy moves as many.
    let size = backlog(options, broker, samples, shape, None, &mut Runs::default()).await;
    for _ in 0..options.runs {
        backlog(options, broker, samples, shape, None, ours).await;
        if let Some(build) = &options.other {
            backlog(options, broker, samples, shape, Some(build), other).await;
        }
        let copies = broker.topic("shape-copy");
        let time = copy::passthrough(broker, samples, &copies, options.records, size).await;
        copied.rates.push(per_second(options.records, time));
        broker.delete(&copies).await;
    }
    sides
}

/// Works off the topic, and returns the bytes of a prediction.
async fn backlog(
    options: &Options,
    broker: &Broker,
    samples: &str,
    shape: Shape,
    build: Option<&Path>,
    runs: &mut Runs,
) -> usize {
    let side = if build.is_some() { "other" } else { "ours" };
    let name = format!("{samples}-{side}-{}", runs.cpu.len());
    let mut daemon = Daemon::on(broker, samples, &name, Race::Linear);
    shape.settings().iter().for_each(|setting| daemon.set(setting));
    if let Some(build) = build {
        daemon.run_by(build.to_owned());
    }
    let (time, usage) = daemon.backlog_and_usage().await;
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
