//! What a state from damaged bytes must do: be refused, or go on predicting, learning and being saved.
//!
//! Shared by the suite with seeded damage and the fuzz target; both fail by panicking.

use serde::{Serialize, de::DeserializeOwned};
use thalweg_metrics::{
    Checked,
    drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, PageHinkleyParams},
};
use thalweg_models::{Features, ModelConfig, ModelKind, Pipeline, Scratch, linear, rls, steps::StepKind, tree};
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    decode::Schema,
    prequential,
    processor::{Config, Processor},
};
use thalweg_state as state;
use thalweg_topic::{Outbox, record::Record};

use super::kinds::{NOMINAL, every_kind, samples};

/// So many samples that the next ones make a tree with a grace period of 200 try to split.
const TRAINED: usize = 395;

/// Samples that a restored state has to cope with.
const MORE: usize = 12;

/// Restores a model and goes on with it; whether it was accepted.
pub fn pipeline(bytes: &[u8]) -> bool {
    let Ok(mut pipeline) = state::read::<Pipeline>(bytes) else { return false };
    let mut scratch = Scratch::default();
    for (x, y) in samples(TRAINED + MORE).skip(TRAINED).chain([(vec![1e150; 8], 1e99), (vec![], 0.0)]) {
        let x = Features::with_nominal(&x, &NOMINAL);
        pipeline.predict_one(x, &mut scratch);
        // Refusing is a model's right.
        let _ = pipeline.learn_one(x, y, &mut scratch);
    }
    pipeline.memory_bytes();
    again::<Pipeline>(&pipeline);
    true
}

/// Restores all that a state file holds of a partition and goes on with it; whether it was accepted.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(stored) = state::read::<Checkpoint>(bytes) else { return false };
    // Under the settings of then, whatever they are by now.
    let mut prequential = stored.prequential.clone();
    for (x, y) in samples(MORE) {
        prequential.step(Features::with_nominal(&x, &NOMINAL), Some(y));
    }
    prequential.standings();
    for i in 0..prequential.config().models.len() {
        prequential.explain(i, stored.index.named_columns());
    }
    again::<prequential::Prequential>(&prequential);
    for config in races() {
        let mut processor = Processor::new(&config, 0, 0, Some(stored.clone())).0;
        let mut outbox = Outbox::default();
        for (offset, line) in (stored.position.clamp(0, 1 << 60)..).zip(lines().skip(TRAINED).take(MORE)) {
            let record = Record { offset, value: Some(line.into()), ..Record::default() };
            // A dead letter is an answer, too.
            let _ = processor.process(record, &mut outbox);
        }
        processor.snapshot();
        again::<Checkpoint>(&processor.checkpoint());
    }
    true
}

/// What was accepted, and has learned since, can be saved. Read again it may turn out to be unsound: numbers near the
/// ends of their range can have overflown since.
fn again<T: Serialize + DeserializeOwned + Checked>(state: &T) {
    let bytes = rmp_serde::to_vec_named(state).expect("saved");
    drop(state::read::<T>(&bytes));
}

/// Trained models of every kind, behind no steps and behind all of them: name and bytes.
pub fn pipelines() -> Vec<(String, Vec<u8>)> {
    let one_hot =
        vec![StepKind::OneHot, StepKind::SCALE, StepKind::Polynomial { interaction_only: false, max_columns: 64 }];
    let encoded = vec![StepKind::TargetEncoder { smoothing: 10.0 }, StepKind::MinMaxScaler];
    let mut states = Vec::new();
    for (i, kind) in every_kind().into_iter().enumerate() {
        for (j, steps) in [&vec![], &one_hot, &encoded].into_iter().enumerate() {
            let name = format!("{}-{i}-{j}", kind.name());
            let mut pipeline =
                Pipeline::new(&ModelConfig { steps: steps.clone(), ..ModelConfig::new(&name, kind.clone()) });
            let mut scratch = Scratch::default();
            for (x, y) in samples(TRAINED) {
                pipeline.learn_one(Features::with_nominal(&x, &NOMINAL), y, &mut scratch).expect("learned");
            }
            states.push((name, rmp_serde::to_vec_named(&pipeline).expect("saved")));
        }
    }
    states
}

/// Checkpoints of races with each drift detector: name and bytes.
pub fn checkpoints() -> Vec<(String, Vec<u8>)> {
    let state = |config: Config| {
        let name = config.race.drift.map_or("none", |drift| drift.name());
        let mut processor = Processor::new(&config, 0, 0, None).0;
        let mut outbox = Outbox::default();
        for (offset, line) in (0..).zip(lines().take(TRAINED)) {
            let record = Record { offset, value: Some(line.into()), ..Record::default() };
            processor.process(record, &mut outbox).expect("processed");
        }
        (format!("checkpoint-{name}"), rmp_serde::to_vec_named(&processor.checkpoint()).expect("saved"))
    };
    races().map(state).collect()
}

fn races() -> impl Iterator<Item = Config> {
    let scaled = |kind: ModelKind| ModelConfig::new(kind.name(), kind).scaled(true);
    // The last of them without a baseline of its own, so that the race brings one.
    let models = [
        scaled(ModelKind::Mean),
        scaled(ModelKind::Linear(linear::Params::river())),
        scaled(ModelKind::Rls(rls::Params::default())),
        scaled(ModelKind::HoeffdingTree(tree::Params::default())),
    ];
    let detectors = [
        None,
        Some(DetectorKind::Adwin(AdwinParams::default())),
        Some(DetectorKind::PageHinkley(PageHinkleyParams::default())),
        Some(DetectorKind::Kswin(KswinParams::default())),
        Some(DetectorKind::Cusum(CusumParams::default())),
    ];
    detectors.into_iter().enumerate().map(move |(i, drift)| Config {
        topic: "samples".into(),
        labels: None,
        schema: Schema { nominal: vec!["c".into()], ..Schema::default() },
        race: prequential::Config {
            window: 50,
            drift,
            guard: prequential::GuardConfig { every: 100, ..Default::default() },
            ..prequential::Config::of(models[usize::from(i == 4)..].to_vec())
        },
    })
}

/// The samples as records.
fn lines() -> impl Iterator<Item = String> {
    samples(TRAINED + MORE).map(|(x, y)| {
        let fields = x.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let fields =
            fields.map(|(i, value)| if i == 5 { format!("\"c\":\"k{value}\",") } else { format!("\"x{i}\":{value},") });
        format!("{{{}\"y\":{y}}}", fields.collect::<String>())
    })
}
