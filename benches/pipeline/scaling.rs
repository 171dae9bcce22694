//! Cost against work, in one process and without I/O: what a record costs as streams get longer, samples wider and races
//! larger.

use std::time::{Duration, Instant};

use thalweg::{
    generator::encode,
    models::{ModelConfig, ModelKind, linear, tree},
    pipeline::{
        decode::Schema,
        prequential,
        processor::{self, Processor},
    },
    topic::{Outbox, record::Record},
};

use crate::topics::Samples;

/// Work, and the time for all of it.
pub(crate) type Points = Vec<(f64, Duration)>;

fn linear(name: &str) -> ModelConfig {
    ModelConfig::new(name, ModelKind::Linear(linear::Params::river())).scaled(true)
}

fn processor(models: Vec<ModelConfig>) -> Processor {
    let race = prequential::Config::of(models);
    Processor::new(
        &processor::Config { topic: "samples".into(), labels: None, schema: Schema::default(), race },
        0,
        0,
        None,
    )
    .0
}

/// Time for `values`, over and over until there were `records`.
fn time(processor: &mut Processor, values: &[Vec<u8>], records: u64) -> Duration {
    let mut outbox = Outbox::at(0);
    let begun = Instant::now();
    for offset in 0..records {
        let value = values[offset as usize % values.len()].clone();
        let record = Record { offset: offset as i64, value: Some(value.into()), ..Record::default() };
        processor.process(record, &mut outbox).expect("a good record");
        if outbox.bytes() >= 768 << 10 {
            outbox.encode();
            drop(outbox.take());
        }
    }
    begun.elapsed()
}

/// Time for so many samples, by their number, with a linear model and a tree.
pub(crate) fn by_samples(largest: u64) -> Points {
    let mut samples = Samples::new();
    let mut race = processor(vec![
        linear("linear"),
        ModelConfig::new("tree", ModelKind::HoeffdingTree(tree::Params::default())).scaled(true),
    ]);
    let (mut points, mut done, mut spent, mut next) = (Vec::new(), 0, Duration::ZERO, 1000);
    while done < largest {
        let count = (next - done).min(10_000);
        let values: Vec<Vec<u8>> = (0..count).map(|_| samples.json()).collect();
        spent += time(&mut race, &values, count);
        done += count;
        if done == next {
            points.push((done as f64, spent));
            next *= 10;
        }
    }
    points
}

/// Time for `records` samples with a linear model, by the number of features.
pub(crate) fn by_features(records: u64) -> Points {
    let point = |features: usize| {
        let names: Vec<String> = (0..features).map(|i| format!("x{i}")).collect();
        let sample = |n: usize| {
            let x: Vec<f64> = (0..features).map(|i| ((n * 31 + i * 17) % 1009) as f64 / 1009.0).collect();
            let mut value = Vec::new();
            encode::json(&names, &x, x.iter().sum(), &mut value);
            value
        };
        let values: Vec<Vec<u8>> = (0..1000).map(sample).collect();
        (features as f64, time(&mut processor(vec![linear("linear")]), &values, records))
    };
    [10, 30, 100, 300, 1000].map(point).to_vec()
}

/// Time for `records` samples of ten features, by the number of linear models.
pub(crate) fn by_models(records: u64) -> Points {
    let mut samples = Samples::new();
    let values: Vec<Vec<u8>> = (0..10_000).map(|_| samples.json()).collect();
    let point = |models: usize| {
        let models: Vec<ModelConfig> = (0..models).map(|i| linear(&format!("linear{i}"))).collect();
        (models.len() as f64, time(&mut processor(models), &values, records))
    };
    [1, 2, 4, 8, 16, 32].map(point).to_vec()
}
