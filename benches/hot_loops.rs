//! One hot loop over so many records and nothing else, for `benches/instructions` to count what a record takes.
//!
//!     hot_loops LOOP RECORDS
//!
//! On Friedman's samples (ten features, about 250 B). Without arguments, as `cargo bench` calls it, it names the loops.

use std::hint::black_box;

use thalweg::{
    generator::{self, Function, Stream, encode},
    metrics::Scores,
    models::{Features, ModelConfig, ModelKind, Pipeline, Scratch, linear, rls, rules, tree},
    pipeline::{
        decode::{Decoder, Index, Schema},
        prequential,
        processor::{self, Processor},
        record::Record,
        transport::Outbox,
    },
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the worker sends them on.
const OUTBOX_BYTES: usize = 768 << 10;

const LOOPS: [(&str, fn(usize)); 9] = [
    ("decode", decode),
    ("race linear mean", |records| race(vec![mean(), scaled_linear()], records)),
    ("race tree linear mean", |records| race(vec![mean(), scaled_linear(), scaled_tree()], records)),
    ("linear", |records| learn(&scaled_linear(), records)),
    ("rls", |records| learn(&ModelConfig::new("rls", ModelKind::Rls(rls::Params::default())), records)),
    ("hoeffding_tree", |records| learn(&scaled_tree(), records)),
    ("adaptive_tree", |records| learn(&ModelConfig::new("tree", ModelKind::AdaptiveTree(Box::default())), records)),
    ("adaptive_random_forest", |records| {
        learn(&ModelConfig::new("forest", ModelKind::AdaptiveRandomForest(Box::default())), records);
    }),
    ("amrules", |records| {
        learn(&ModelConfig::new("rules", ModelKind::AmRules(rules::Params::default())).scaled(true), records);
    }),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().filter(|name| name != "--bench");
    let records = arguments.next().and_then(|records| records.parse().ok());
    match (name.and_then(|name| LOOPS.iter().find(|(known, _)| *known == name)), records) {
        (Some((_, run)), Some(records)) => run(records),
        _ => LOOPS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn mean() -> ModelConfig {
    ModelConfig::new("mean", ModelKind::Mean)
}

fn scaled_linear() -> ModelConfig {
    ModelConfig::new("linear", ModelKind::Linear(linear::Params::default())).scaled(true)
}

fn scaled_tree() -> ModelConfig {
    ModelConfig::new("hoeffding_tree", ModelKind::HoeffdingTree(tree::Params::default())).scaled(true)
}

fn stream() -> Stream {
    let function = Function::from_name("friedman").expect("a function");
    Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream")
}

fn samples(records: usize) -> Vec<Record> {
    let mut stream = stream();
    let names = stream.feature_names().to_vec();
    let mut x = Vec::new();
    let record = |offset| {
        let y = stream.next_sample(&mut x);
        let mut value = Vec::new();
        encode::json(&names, &x, y, &mut value);
        Record { offset, value: Some(value.into()), ..Record::default() }
    };
    (0..records as i64).map(record).collect()
}

fn decode(records: usize) {
    let schema = Schema::default();
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    for record in samples(records) {
        black_box(decoder.decode(record.value.as_deref()).expect("a good record"));
    }
}

/// Bytes to bytes, as in the daemon.
fn race(models: Vec<ModelConfig>, records: usize) {
    let race = prequential::Config::of(models);
    let config = processor::Config { topic: "samples".into(), schema: Schema::default(), race };
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    let mut outbox = Outbox::at(0);
    for record in samples(records) {
        processor.process(record, &mut outbox).expect("a good record");
        if outbox.bytes() >= OUTBOX_BYTES {
            drop(outbox.take());
        }
    }
}

/// Predict, score and learn in memory.
fn learn(config: &ModelConfig, records: usize) {
    let (mut stream, mut x) = (stream(), Vec::new());
    let (mut model, mut scratch, mut scores) = (Pipeline::new(config), Scratch::default(), Scores::default());
    for _ in 0..records {
        let y = stream.next_sample(&mut x);
        let x = Features::new(&x);
        scores.update(y, model.predict_one(x, &mut scratch));
        model.learn_one(x, y, &mut scratch).expect("learned");
    }
    black_box(scores);
}
