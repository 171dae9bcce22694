//! What a record costs inside the daemon, from the bytes of a sample to the bytes of its prediction, without I/O.
//!
//! `cargo bench --bench processor` prints records a second for decoding alone, and for decode, predict, score, learn and
//! encode with the races that the pipeline's benchmark runs, on 100,000 of Friedman's samples (ten features, about
//! 250 B), on the thread that calls.

use divan::{Bencher, counter::ItemsCount};
use thalweg::{
    generator::{self, Function, Stream, encode},
    models::{ModelConfig, ModelKind, linear, tree},
    pipeline::{
        decode::{Decoder, Index, Schema},
        prequential,
        processor::{self, Processor},
    },
    topic::{Outbox, record::Record},
};

const RECORDS: usize = 100_000;
/// As the worker sends them on.
const OUTBOX_BYTES: usize = 768 << 10;

fn main() {
    divan::main();
}

fn records() -> Vec<Record> {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
    let names = stream.feature_names().to_vec();
    let mut x = Vec::new();
    let record = |offset| {
        let y = stream.next_sample(&mut x);
        let mut value = Vec::new();
        encode::json(&names, &x, y, &mut value);
        Record { offset, value: Some(value.into()), ..Record::default() }
    };
    (0..RECORDS as i64).map(record).collect()
}

fn race(bencher: Bencher<'_, '_>, models: Vec<ModelConfig>) {
    let records = records();
    let config =
        processor::Config { topic: "samples".into(), schema: Schema::default(), race: prequential::Config::of(models) };
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let (mut processor, _) = Processor::new(&config, 0, 0, None);
        let mut outbox = Outbox::at(0);
        for record in &records {
            processor.process(record.clone(), &mut outbox).expect("a good record");
            if outbox.bytes() >= OUTBOX_BYTES {
                outbox.encode();
                drop(outbox.take());
            }
        }
        processor
    });
}

fn mean() -> ModelConfig {
    ModelConfig::new("mean", ModelKind::Mean)
}

fn scaled_linear() -> ModelConfig {
    ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true)
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let records = records();
    let schema = Schema::default();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut decoder = Decoder::new(&schema, Index::new(&schema));
        for record in &records {
            divan::black_box(decoder.decode(record.value.as_deref()).expect("a good record"));
        }
    });
}

#[divan::bench]
fn linear_mean(bencher: Bencher<'_, '_>) {
    race(bencher, vec![mean(), scaled_linear()]);
}

#[divan::bench]
fn tree_linear_mean(bencher: Bencher<'_, '_>) {
    let tree = ModelConfig::new("hoeffding_tree", ModelKind::HoeffdingTree(tree::Params::default())).scaled(true);
    race(bencher, vec![mean(), scaled_linear(), tree]);
}
