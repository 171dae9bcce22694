//! What a person would write in Rust for one topic of telemetry: consume, parse, predict, score, learn, produce, over librdkafka.
//!
//!     rust-baseline --brokers HOST:PORT --samples TOPIC --predictions TOPIC --records N --parser value|serde|simd-json|sonic-rs
//!
//! Prints a line of JSON at the end; README.md beside river_kafka.py says what its numbers are.

mod models;
mod parse;

use std::{
    env, fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::FromClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use serde::Serialize;

use models::Race;
use parse::{Parser, Reading};

/// Longest wait for a record or an acknowledgement.
const WAIT: Duration = Duration::from_millis(200);
/// Records between two looks for acknowledgements.
const POLL_EVERY: u64 = 1000;
/// Of the kernel's accounting (`getconf CLK_TCK`), the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The command line.
struct Options {
    brokers: String,
    samples: String,
    predictions: String,
    records: u64,
    parser: Parser,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            brokers: "127.0.0.1:19092".to_owned(),
            samples: "samples".to_owned(),
            predictions: "predictions".to_owned(),
            records: 0,
            parser: Parser::Serde,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--brokers" => options.brokers = value,
                "--samples" => options.samples = value,
                "--predictions" => options.predictions = value,
                "--records" => {
                    options.records = value.parse().map_err(|_| "--records has to be a number".to_owned())?
                }
                "--parser" => options.parser = Parser::from_name(&value)?,
                _ => return Err(format!("{name} is unknown")),
            }
        }
        if options.records == 0 {
            return Err("--records has to be 1 or more".to_owned());
        }
        Ok(options)
    }
}

/// Hears of acknowledgements.
struct Acknowledgements {
    started: Instant,
    first: std::sync::OnceLock<Duration>,
    failed: std::sync::OnceLock<KafkaError>,
}

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.first.set(self.started.elapsed())),
            Err((error, _)) => drop(self.failed.set(error.clone())),
        }
    }
}

/// What is published, in the daemon's format.
#[derive(Serialize)]
struct Prediction<'p> {
    source: Source<'p>,
    timestamp: i64,
    target: f64,
    prediction: f64,
    model: &'static str,
    version: u64,
    predictions: Predictions,
}

#[derive(Serialize)]
struct Source<'p> {
    topic: &'p str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Predictions {
    mean: f64,
    linear: f64,
}

/// The line at the end.
#[derive(Serialize)]
struct Report {
    records: u64,
    seconds: f64,
    cpu_seconds: f64,
    start_cpu_seconds: f64,
    resident_kib: u64,
    first_prediction_seconds: Option<f64>,
    rmse: Predictions,
}

fn main() -> ExitCode {
    let started = Instant::now();
    let run = Options::read(env::args().skip(1)).and_then(|options| run(&options, started));
    match run {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).expect("numbers"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("rust-baseline: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, started: Instant) -> Result<Report, String> {
    let say = |error: KafkaError| format!("{}: {error}", options.brokers);
    let source = consumer(options).map_err(say)?;
    let acknowledgements = Acknowledgements { started, first: Default::default(), failed: Default::default() };
    let sink = producer(options, acknowledgements).map_err(say)?;
    let (mut race, mut began) = (Race::new(), None);
    let (mut buffer, mut json, mut reading) = (Vec::new(), Vec::new(), Reading::default());
    while race.version < options.records {
        let Some(message) = source.poll(WAIT) else { continue };
        let message = message.map_err(say)?;
        began.get_or_insert_with(|| (Instant::now(), cpu_seconds()));
        let value = message.payload().ok_or_else(|| format!("offset {} has no value", message.offset()))?;
        buffer.clear();
        buffer.extend_from_slice(value);
        let parsed = options.parser.read(&mut buffer, &mut reading);
        parsed.map_err(|problem| format!("offset {}: {problem}", message.offset()))?;
        let (predictions, champion, version) = race.step(&reading.x, reading.y);
        let prediction = Prediction {
            source: Source { topic: &options.samples, partition: message.partition(), offset: message.offset() },
            timestamp: reading.timestamp,
            target: reading.y,
            prediction: predictions[champion],
            model: models::NAMES[champion],
            version,
            predictions: Predictions { mean: predictions[0], linear: predictions[1] },
        };
        json.clear();
        serde_json::to_writer(&mut json, &prediction).expect("a vector takes all");
        send(&sink, options, &message, &json, &reading.key).map_err(say)?;
        if race.version % POLL_EVERY == 0 {
            sink.poll(Duration::ZERO);
        }
    }
    sink.flush(Duration::from_secs(60)).map_err(say)?;
    if let Some(error) = sink.context().failed.get() {
        return Err(say(error.clone()));
    }
    let (began, start_cpu_seconds) = began.expect("there was a record");
    let [mean, linear] = race.rmse();
    Ok(Report {
        records: race.version,
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - start_cpu_seconds,
        start_cpu_seconds,
        resident_kib: peak_kib(),
        first_prediction_seconds: sink.context().first.get().map(Duration::as_secs_f64),
        rmse: Predictions { mean, linear },
    })
}

fn consumer(options: &Options) -> Result<BaseConsumer, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", "rust-baseline")
        // Asked for, but without a meaning for an assigned partition whose offsets are not committed.
        .set("group.id", "rust-baseline")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // As many records ahead as fit, so that it never waits for the broker.
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "4194304");
    let consumer = BaseConsumer::from_config(&config)?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&options.samples, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}

fn producer(
    options: &Options,
    acknowledgements: Acknowledgements,
) -> Result<BaseProducer<Acknowledgements>, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", "rust-baseline")
        // In order and once each, with several requests under way.
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", (900 << 10).to_string())
        .set("batch.num.messages", "10000");
    config.create_with_context(acknowledgements)
}

/// Waits where the broker lags behind.
fn send(
    sink: &BaseProducer<Acknowledgements>,
    options: &Options,
    message: &BorrowedMessage<'_>,
    json: &[u8],
    key: &str,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::to(&options.predictions).partition(message.partition()).payload(json).key(key);
    loop {
        match sink.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                sink.poll(WAIT);
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted behind the name, which may hold anything: user and system time are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
