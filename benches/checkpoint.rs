//! What a checkpoint costs a worker whose tree takes 10 MB, or that has a linear model for each of 100,000 keys: the copy, which holds
//! up the processing, and the first samples behind it; and encoding and restoring it, which do not.
//!
//! `cargo bench --bench checkpoint`.

use divan::{Bencher, counter::BytesCount};
use thalweg::{
    generator::{self, Function, Stream},
    models::{
        Features, ModelConfig, ModelKind, linear,
        per_key::{self, Learns},
        tree,
    },
    pipeline::prequential::{Config, Prequential},
    state,
};

/// Bytes of the tree.
const SIZE: usize = 10 << 20;

fn main() {
    divan::main();
}

/// A race whose tree has grown to [`SIZE`]; the guard keeps its copies of it, as in the daemon.
fn race(splitter: tree::Splitter) -> (Prequential, usize) {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
    let tree = ModelKind::HoeffdingTree(tree::Params { splitter, max_bytes: 2 * SIZE, ..tree::Params::default() });
    let mut race = Prequential::new(&Config::of(vec![
        ModelConfig::new("mean", ModelKind::Mean),
        ModelConfig::new("tree", tree).scaled(true),
    ]));
    let mut x = Vec::new();
    loop {
        for _ in 0..1000 {
            let y = stream.next_sample(&mut x);
            race.step(Features::new(&x), Some(y));
        }
        let bytes = race.pipeline(1).map_or(0, |tree| tree.memory_bytes());
        if bytes >= SIZE {
            return (race, bytes);
        }
    }
}

fn encoded(race: &Prequential) -> Vec<u8> {
    let mut bytes = Vec::new();
    state::write(race, &mut bytes).expect("encoded");
    bytes
}

const SPLITTERS: [&str; 2] = ["tebst", "ebst"];

fn splitter(name: &str) -> tree::Splitter {
    match name {
        "ebst" => tree::Splitter::Ebst,
        _ => tree::Params::default().splitter,
    }
}

#[divan::bench(args = SPLITTERS)]
fn copy(bencher: Bencher<'_, '_>, name: &str) {
    let (race, bytes) = race(splitter(name));
    bencher.counter(BytesCount::new(bytes)).bench_local(|| race.clone());
}

#[divan::bench(args = SPLITTERS)]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let (race, _) = race(splitter(name));
    let bytes = encoded(&race).len();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| encoded(&race));
}

#[divan::bench(args = SPLITTERS)]
fn restore(bencher: Bencher<'_, '_>, name: &str) {
    let state = encoded(&race(splitter(name)).0);
    let counter = BytesCount::new(state.len());
    bencher.counter(counter).bench_local(|| state::read::<Prequential>(&state).expect("restored"));
}

/// Keys of the models per key.
const KEYS: usize = 100_000;

/// A race with a linear model for each key, that has had ten samples.
fn keyed_race() -> Prequential {
    let function = Function::from_name("friedman").expect("a function");
    let mut stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
    let linear = ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true);
    let params = per_key::Params {
        by: "device".into(),
        base: Some("linear".into()),
        models: vec![linear.clone()],
        learns: vec![Learns::Residual],
        budget: 1 << 30,
        ..per_key::Params::default()
    };
    let models = vec![linear, ModelConfig::new("per_key", ModelKind::PerKey(params))];
    let mut race = Prequential::new(&Config { keys: vec!["device".into()], ..Config::of(models) });
    (0..10 * KEYS).for_each(|i| sample(&mut race, &mut stream, i));
    race
}

fn sample(race: &mut Prequential, stream: &mut Stream, i: usize) {
    let mut x = Vec::new();
    let y = stream.next_sample(&mut x);
    let key = [Some(format!("device-{}", i * 7919 % KEYS))];
    race.step_with_keys(Features::new(&x), &key, Some(y));
}

#[divan::bench]
fn keyed_copy(bencher: Bencher<'_, '_>) {
    let race = keyed_race();
    bencher.bench_local(|| race.clone());
}

#[divan::bench]
fn keyed_encode(bencher: Bencher<'_, '_>) {
    let race = keyed_race();
    let bytes = encoded(&race).len();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| encoded(&race));
}

#[divan::bench]
fn keyed_restore(bencher: Bencher<'_, '_>) {
    let state = encoded(&keyed_race());
    let counter = BytesCount::new(state.len());
    eprintln!("{} bytes", state.len());
    bencher.counter(counter).bench_local(|| state::read::<Prequential>(&state).expect("restored"));
}
