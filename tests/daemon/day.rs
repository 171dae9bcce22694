//! A day in the life of a worker, in a few minutes: the clock is paused and jumps from timer to timer.
//!
//! `cargo test --test day -- --ignored --nocapture`, a part of the soak. The transport is in memory and keeps no more than
//! what waits, so that whatever grows is the daemon's own.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use thalweg::{
    generator::{self, Function, Stream},
    models::{ModelConfig, ModelKind, linear, tree},
    pipeline::{
        decode::Schema,
        form::Form,
        gap::Policy,
        prequential, processor,
        worker::{self, Gauges, Stop, Worker},
    },
    store::{self, Store},
    topic::{
        Budget, Error, Fetched, Fixed, Outbox, Output, Outputs, Publisher, Reader, Resumed, Source, Start, Transport,
        record::Record,
    },
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// One partition whose records are gone once they are read.
#[derive(Default)]
struct Memory {
    waiting: Mutex<(i64, VecDeque<Record>)>,
    arrived: Notify,
}

impl Memory {
    fn push(&self, timestamp: i64, value: Vec<u8>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, records) = &mut *waiting;
        records.push_back(Record { offset: *next, timestamp, value: Some(value.into()), ..Record::default() });
        *next += 1;
        drop(waiting);
        self.arrived.notify_one();
    }
}

struct Here {
    memory: Arc<Memory>,
    store: Arc<Store>,
}

struct Taker(Arc<Memory>);

/// Checks the order of what comes, and saves checkpoints.
struct Checker {
    store: Arc<Store>,
    next: i64,
}

impl Source for Here {
    type Reader = Taker;

    async fn partitions(&self, _: &str) -> Result<i32, Error> {
        Ok(1)
    }
    async fn reader(&self, _: &str, _: i32) -> Result<Taker, Error> {
        Ok(Taker(Arc::clone(&self.memory)))
    }
}

impl Transport for Here {
    type Assignments = Fixed;
    type Publisher = Checker;

    fn assignments(&self) -> Fixed {
        Fixed::of([0])
    }
    async fn publisher(&self, _: i32) -> Result<Checker, Error> {
        Ok(Checker { store: Arc::clone(&self.store), next: 0 })
    }
    async fn ends(&self, _: &[i32]) -> Result<Vec<i64>, Error> {
        Ok(vec![0])
    }
    fn retries(&self) -> u64 {
        0
    }
}

impl Reader for Taker {
    async fn resolve(&mut self, _: Start) -> Result<i64, Error> {
        Ok(0)
    }
    async fn range(&mut self) -> Result<Range<i64>, Error> {
        Ok(0..self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        // As patient as a real one.
        let _ = timeout(Duration::from_millis(500), self.0.arrived.notified()).await;
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let records: Vec<Record> = waiting.1.drain(..).collect();
        let next_offset = records.last().map_or(offset, |record| record.offset + 1);
        Ok(Fetched { records, next_offset, high_watermark: waiting.0, end: waiting.0 })
    }
}

impl Publisher for Checker {
    async fn resume(&mut self, outputs: Outputs, position: i64) -> Result<Resumed, Error> {
        Ok(Resumed { published: [position; 3], outputs, is_blind: false, interleaving: Default::default() })
    }
    async fn run(mut self, mut outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        while let Some(mut outbox) = outboxes.recv().await {
            outbox.encode();
            for record in &outbox.records[Output::Predictions as usize] {
                assert_eq!(record.source, self.next);
                self.next += 1;
            }
            if let Some(checkpoint) = outbox.checkpoint {
                self.store.save(checkpoint).await?;
            }
            confirmed.send_replace(outbox.position);
        }
        Ok(())
    }
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

const HOURS: u64 = 24;
const PER_SECOND: u64 = 2;

#[tokio::test(start_paused = true)]
#[ignore = "takes three minutes: part of the soak"]
async fn a_day_at_two_records_a_second_leaves_memory_flat_and_every_record_predicted() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = store::Config { path: folder.path().join("state.db"), ..store::Config::default() };
    let store = Arc::new(Store::open(&config).expect("a state file"));
    let memory = Arc::new(Memory::default());
    let small = tree::Params { max_bytes: 1 << 20, ..tree::Params::default() };
    let models = vec![
        ModelConfig::new("mean", ModelKind::Mean),
        ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true),
        ModelConfig::new("tree", ModelKind::HoeffdingTree(small)).scaled(true),
    ];
    let config = worker::Config {
        processor: processor::Config {
            topic: "samples".into(),
            labels: None,
            schema: Schema::default(),
            race: prequential::Config::of(models),
        },
        start: Start::Earliest,
        on_gap: Policy::Stop,
        checkpoint_every: Duration::from_secs(5),
        until_caught_up: false,
    };
    let here = Here { memory: Arc::clone(&memory), store: Arc::clone(&store) };
    let (gauges, stop) = (Gauges::default(), Stop::default());
    let mut view = gauges.view();
    let worker = Worker {
        transport: Arc::new(here),
        store,
        config: Arc::new(config),
        budget: Budget::default(),
        registry: None,
        form: Form::default(),
        partition: 0,
        gauges,
        stop: stop.clone(),
    };
    let work = tokio::spawn(worker.run());

    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
    let names: Vec<String> = stream.feature_names().to_vec();
    let begun = Instant::now();
    let (mut x, mut seen) = (Vec::new(), Vec::new());
    for hour in 0..HOURS {
        for i in 0..3600 * PER_SECOND {
            let y = stream.next_sample(&mut x);
            let fields: Vec<String> = names.iter().zip(&x).map(|(name, value)| format!("\"{name}\":{value}")).collect();
            // Every hour the clock of whoever sends goes back by two.
            let timestamp = 1_700_000_000_000 + 100 * i as i64 - 3_600_000 * hour as i64;
            memory.push(timestamp, format!("{{{},\"y\":{y}}}", fields.join(",")).into_bytes());
            sleep(Duration::from_millis(1000 / PER_SECOND)).await;
        }
        seen.push(resident());
        println!("hour {:>2}: {} KiB resident", hour + 1, seen[seen.len() - 1]);
    }
    assert!(begun.elapsed() >= Duration::from_secs(3600 * HOURS));
    let all = (3600 * HOURS * PER_SECOND) as i64;
    assert_eq!(view.confirmed_to(all).await, all);
    stop.in_order.cancel();
    work.await.expect("no panic").expect("no error");

    // The tree has reached its budget by then.
    let (first, last) = (seen[7], seen[seen.len() - 1]);
    let slope = (last as f64 - first as f64) / (HOURS - 8) as f64;
    println!("{all} records; slope {slope:.1} KiB an hour after the eighth hour");
    assert!(slope < 64.0, "{seen:?}");
}
