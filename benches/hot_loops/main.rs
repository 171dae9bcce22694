//! One hot loop, so many times over the same records, for `benches/instructions` to count what a record takes.
//!
//!     hot_loops LOOP PASSES
//!
//! On 4,000 of Friedman's samples (ten features, about 250 B); a loop of a shape reads them ahead and decodes them. Without arguments, as `cargo bench` calls it, it names the
//! loops.

#[path = "../shapes/mod.rs"]
mod shapes;

use std::{hint::black_box, ops::ControlFlow, sync::Arc};

use shapes::{Records, Shape};

use thalweg::{
    generator::{self, Function, Stream},
    metrics::Scores,
    models::{Features, ModelConfig, ModelKind, Pipeline, Scratch, linear, rls, rules, tree},
    pipeline::{
        decode::{Decoder, Definition, Index, Learned, Meaning, ReadAhead, Schema, SchemaId, Writer},
        form::{Form, Frame},
        prequential,
        processor::{self, Processor},
    },
    settings::{Settings, Sources},
    topic::{Outbox, PendingPredictions, record::Record},
};

const SAMPLES: usize = 4000;
/// As the worker sends them on.
const OUTBOX_BYTES: usize = 768 << 10;

/// A loop's name, and what runs it so many times.
type Loop = (String, Box<dyn Fn(usize)>);

fn loops() -> Vec<Loop> {
    fn named(name: &str, run: impl Fn(usize) + 'static) -> Loop {
        (name.to_owned(), Box::new(run))
    }
    let racing = |name, models: fn() -> Vec<ModelConfig>| named(name, move |passes| race(models(), passes));
    let learning = |name, model: fn() -> ModelConfig| named(name, move |passes| learn(&model(), passes));
    let mut loops = vec![named("decode", decode)];
    loops.extend(Shape::ALL.map(|of| named(&format!("shape {}", of.name()), move |passes| shape(of, passes))));
    loops.extend([
        racing("race linear mean", || vec![mean(), scaled_linear()]),
        racing("race tree linear mean", || vec![mean(), scaled_linear(), scaled_tree()]),
        racing("race shipped", shipped),
        named("publish json", |passes| publish(Form::Json, passes)),
        named("publish avro", |passes| publish(Form::Avro(Frame::Registered(7)), passes)),
        learning("linear", scaled_linear),
        learning("linear hedge", shipped_linear),
        learning("rls", || ModelConfig::new("rls", ModelKind::Rls(rls::Params::default()))),
        learning("hoeffding_tree", scaled_tree),
        learning("adaptive_tree", || ModelConfig::new("tree", ModelKind::AdaptiveTree(Box::default()))),
        learning("adaptive_random_forest", || {
            ModelConfig::new("forest", ModelKind::AdaptiveRandomForest(Box::default()))
        }),
        learning("amrules", || ModelConfig::new("rules", ModelKind::AmRules(rules::Params::default())).scaled(true)),
    ]);
    loops
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().filter(|name| name != "--bench");
    let passes = arguments.next().and_then(|passes| passes.parse().ok());
    let loops = loops();
    match (name.and_then(|name| loops.iter().find(|(known, _)| *known == name)), passes) {
        (Some((_, run)), Some(passes)) => run(passes),
        _ => loops.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn mean() -> ModelConfig {
    ModelConfig::new("mean", ModelKind::Mean)
}

/// Plain gradient descent, as River's.
fn scaled_linear() -> ModelConfig {
    ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true)
}

fn scaled_tree() -> ModelConfig {
    ModelConfig::new("hoeffding_tree", ModelKind::HoeffdingTree(tree::Params::default())).scaled(true)
}

/// The models that race where the settings name none.
fn shipped() -> Vec<ModelConfig> {
    settings(&[]).race.models
}

fn settings(set: &[&str]) -> Settings {
    let set = set.iter().map(|setting| (*setting).to_owned());
    Settings::load(&Sources::new(None, [], set)).expect("good settings")
}

fn shipped_linear() -> ModelConfig {
    shipped().into_iter().find(|model| model.name == "linear").expect("it races")
}

fn stream() -> Stream {
    let function = Function::from_name("friedman").expect("a function");
    Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream")
}

/// Values of a topic's records.
fn values(shape: Shape) -> Vec<Vec<u8>> {
    let mut records = Records::new(shape);
    (0..SAMPLES).map(|_| records.value()).collect()
}

fn decode(passes: usize) {
    let (values, schema) = (values(Shape::Flat), Schema::default());
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    for value in (0..passes).flat_map(|_| &values) {
        black_box(decoder.decode(Some(value)).expect("a good record"));
    }
}

/// All that decoding takes, on whichever core.
fn shape(shape: Shape, passes: usize) {
    let values = values(shape);
    // Nobody asks there.
    let registry = shape.writer_schema().map(|_| "schema.registry.url=http://127.0.0.1");
    let settings: Vec<&str> = shape.settings().iter().copied().chain(registry).collect();
    let schema = self::settings(&settings).schema;
    let (mut ahead, mut decoder) = (ReadAhead::new(&schema), Decoder::new(&schema, Index::new(&schema)));
    if let Some(writer_schema) = shape.writer_schema() {
        let definition = Definition { body: writer_schema.definition.into(), ..Definition::default() };
        let writer = Writer::new(&schema.format, &definition).expect("a schema");
        let meaning = Meaning::Known(Arc::new(writer));
        let learned = Learned { offset: 0, id: SchemaId::Number(writer_schema.id), meaning };
        decoder.learn(&learned);
        ahead.read_records(&[Record::default()], &[learned]);
    }
    for _ in 0..passes {
        for run in values.chunks(500) {
            let rows = ahead.read(run.iter().map(|value| Some(&**value)));
            for (i, value) in run.iter().enumerate() {
                black_box(decoder.decode_ahead(Some(value), rows.get(i)).expect("a good record"));
            }
        }
    }
}

/// Bytes to bytes, as in the daemon but for what is done on other cores.
fn race(models: Vec<ModelConfig>, passes: usize) {
    let values = values(Shape::Flat);
    let race = prequential::Config::of(models);
    let config = processor::Config { topic: "samples".into(), labels: None, schema: Schema::default(), race };
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    let rows = ReadAhead::new(&config.schema).read(values.iter().map(|value| Some(&**value)));
    let mut outbox = Outbox::at(0);
    for offset in 0..passes * SAMPLES {
        let value = values[offset % SAMPLES].clone();
        let record = Record { offset: offset as i64, value: Some(value.into()), ..Record::default() };
        processor.process_ahead(record, rows.get(offset % SAMPLES), &mut outbox).expect("a good record");
        if outbox.bytes() >= OUTBOX_BYTES {
            outbox.encode();
            drop(outbox.take());
        }
    }
}

/// Predictions of the shipped models, from numbers to bytes.
fn publish(form: Form, passes: usize) {
    let values = values(Shape::Flat);
    let race = prequential::Config::of(shipped());
    let config = processor::Config { topic: "samples".into(), labels: None, schema: Schema::default(), race };
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    processor.publish_as(form);
    let mut outbox = Outbox::at(0);
    for (offset, value) in (0..).zip(values) {
        let record = Record { offset, value: Some(value.into()), ..Record::default() };
        processor.process(record, &mut outbox).expect("a good record");
    }
    let mut bytes = 0;
    for _ in 0..passes {
        outbox.drafts.each(&mut |prediction| {
            bytes += black_box(prediction.value).len();
            ControlFlow::Continue(())
        });
    }
    println!("{} bytes each", bytes / (passes * SAMPLES));
}

/// Predict, score and learn in memory.
fn learn(config: &ModelConfig, passes: usize) {
    let mut stream = stream();
    let mut sample = |_| {
        let mut x = Vec::new();
        let y = stream.next_sample(&mut x);
        (x, y)
    };
    let samples: Vec<(Vec<f64>, f64)> = (0..SAMPLES).map(&mut sample).collect();
    let (mut model, mut scratch, mut scores) = (Pipeline::new(config), Scratch::default(), Scores::default());
    for (x, y) in (0..passes).flat_map(|_| &samples) {
        let x = Features::new(x);
        scores.update(*y, model.predict_one(x, &mut scratch));
        model.learn_one(x, *y, &mut scratch).expect("learned");
    }
    black_box(scores);
}
