//! What a record costs inside the daemon, from the bytes of a sample to the bytes of its prediction, without I/O.
//!
//! `cargo bench --bench processor` prints records a second for decoding alone, and for decode, predict, score, learn and
//! encode with the races that the pipeline's benchmark runs, on 100,000 of Friedman's samples (ten features, about
//! 250 B), on the thread that calls; beside these the same samples with features of the past, and with targets that come as records
//! of their own 10,000 samples later, where a sample and its label count as one, and with a linear model for each of a thousand keys,
//! and of 100,000, of which each comes up ten times.

use divan::{Bencher, counter::ItemsCount};
use thalweg::{
    features::{Calendar, Feature, Form, Kind, Part, Span},
    generator::{self, Function, Stream, encode},
    models::{
        ModelConfig, ModelKind, linear,
        per_key::{self, Learns},
        tree,
    },
    pipeline::{
        decode::{Decoder, Index, Schema},
        labels::{Join, Labels, Mode},
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
    process(bencher, Schema::default(), models, &records());
}

fn process(bencher: Bencher<'_, '_>, schema: Schema, models: Vec<ModelConfig>, records: &[Record]) {
    process_again(bencher, schema, models, records, 1);
}

/// Processes the records so many times.
fn process_again(bencher: Bencher<'_, '_>, schema: Schema, models: Vec<ModelConfig>, records: &[Record], times: usize) {
    let keys = schema.row_keys();
    let race = prequential::Config { keys, ..prequential::Config::of(models) };
    let config = processor::Config { topic: "samples".into(), labels: None, schema, race };
    bencher.counter(ItemsCount::new(times * RECORDS)).bench_local(|| {
        let (mut processor, _) = Processor::new(&config, 0, 0, None);
        let mut outbox = Outbox::at(0);
        for (offset, record) in (0..).zip((0..times).flat_map(|_| records)) {
            processor.process(Record { offset, ..record.clone() }, &mut outbox).expect("a good record");
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

/// The records with a device of a thousand, and a time.
fn devices() -> Vec<Record> {
    devices_of(1000)
}

fn devices_of(count: usize) -> Vec<Record> {
    let of = |(i, record): (usize, Record)| {
        let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("UTF-8");
        let (device, at) = (i * 7919 % count, 1_700_000_000_000_u64 + 1000 * i as u64);
        let value = format!("{{\"device\":\"d{device}\",\"id\":\"s{i}\",\"at\":{at},{}", &value[1..]);
        Record { value: Some(value.into()), ..record }
    };
    records().into_iter().enumerate().map(of).collect()
}

fn dated() -> Schema {
    Schema { timestamp: Some("at".into()), ignore: vec!["device".into(), "id".into()], ..Schema::default() }
}

/// What the two below are to be measured by.
#[divan::bench]
fn linear_mean_dated(bencher: Bencher<'_, '_>) {
    process(bencher, dated(), vec![mean(), scaled_linear()], &devices());
}

/// The calendar, and ten lags by key.
#[divan::bench]
fn linear_mean_past(bencher: Bencher<'_, '_>) {
    let calendar = Calendar {
        parts: vec![Part::Hour, Part::Weekday, Part::DayOfYear, Part::Weekend],
        zone: "UTC".into(),
        form: Form::Cyclic,
        holidays: vec![],
    };
    let lags = Kind::Lag { of: vec![encode::TARGET.into()], at: (1..=10).map(Span::Samples).collect() };
    let derived = vec![
        Feature { kind: Kind::Calendar(calendar), by: None, name: None },
        Feature { kind: lags, by: Some("device".into()), name: None },
    ];
    process(bencher, Schema { derived, ..dated() }, vec![mean(), scaled_linear()], &devices());
}

/// A linear model for each device, which learns what that of all leaves.
#[divan::bench(args = [1000, 100_000], sample_count = 10)]
fn linear_mean_per_key(bencher: Bencher<'_, '_>, devices: usize) {
    let params = per_key::Params {
        by: "device".into(),
        base: Some("linear".into()),
        models: vec![scaled_linear()],
        learns: vec![Learns::Residual],
        budget: 1 << 30,
        ..per_key::Params::default()
    };
    let models = vec![mean(), scaled_linear(), ModelConfig::new("per_key", ModelKind::PerKey(params))];
    let schema = Schema { model_keys: vec!["device".into()], ..dated() };
    process_again(bencher, schema, models, &devices_of(devices), 10);
}

/// Each target comes 10,000 samples later, joined by an id.
#[divan::bench]
fn linear_mean_late(bencher: Bencher<'_, '_>) {
    const DELAY: usize = 10_000;
    let samples = devices();
    let mut records = Vec::with_capacity(2 * samples.len());
    let mut labels = Vec::with_capacity(samples.len());
    for record in samples {
        let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("UTF-8");
        // The target is the last member.
        let (row, target) = value.rsplit_once(",\"y\":").expect("a target");
        let id = row.split('"').nth(7).expect("an id");
        labels.push(format!("{{\"id\":\"{id}\",\"y\":{target}"));
        records.push(format!("{row}}}"));
        if labels.len() > DELAY {
            records.push(labels[labels.len() - 1 - DELAY].clone());
        }
    }
    let offsets = (0..).zip(records);
    let records: Vec<Record> =
        offsets.map(|(offset, value)| Record { offset, value: Some(value.into()), ..Record::default() }).collect();
    let join = Join { by: Some("id".into()), marker: None };
    let labels = Labels { mode: Mode::SameTopic(join), ..Labels::default() };
    process(bencher, Schema { labels, ..dated() }, vec![mean(), scaled_linear()], &records);
}
