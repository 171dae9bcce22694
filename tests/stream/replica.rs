//! Predicting beside a worker: the numbers of the stream, and nothing learned.

use std::sync::Arc;

use serde_json::Value;
use thalweg_models::{ModelConfig, ModelKind, champion, linear};
use thalweg_pipeline::{
    decode::{Absent, Schema},
    pending_predictions::PendingPredictions,
    prequential,
    processor::{Config, Processor},
    replica::{Predictor, Replica},
};
use thalweg_topic::{Outbox, Output, record::Record};

use crate::support::kinds::every_kind;

fn processor(models: Vec<ModelConfig>, schema: Schema) -> Processor {
    let race = prequential::Config { window: 100, target_min: Some(-50.0), ..prequential::Config::of(models) };
    Processor::new(&Config { topic: "samples".into(), labels: None, schema, race }, 0, 0, None).0
}

/// All kinds, and a champion over two of them.
fn all() -> Vec<ModelConfig> {
    let model =
        |(i, kind): (usize, ModelKind)| ModelConfig::new(&format!("{}-{i}", kind.name()), kind).scaled(i % 2 == 0);
    let mut models: Vec<ModelConfig> = every_kind().into_iter().enumerate().map(model).collect();
    let members = [0, 5].map(|i| models[i].name.clone()).to_vec();
    models.push(ModelConfig::new("champion", ModelKind::Champion(champion::Params { members, ..Default::default() })));
    models[3].robust = false;
    models
}

/// Sample `i`: numbers, text, a category, gaps, absurd values, and fields that come late.
fn sample(i: usize) -> String {
    let number = |k: usize| ((i * 7919 + k * 104_729) as f64 * 0.754_877_666_246_692_7).fract();
    let a = if i % 97 == 96 { 6.5e8 } else { number(0) };
    let y = 10.0 * number(0) - 3.0 * number(1) + (i % 3) as f64;
    let target = if i % 11 == 10 { String::new() } else { format!(",\"y\":{y}") };
    let late = if i > 200 { format!(",\"late{}\":{}", i / 200, number(3)) } else { String::new() };
    let city = if i % 83 == 82 { format!("new-{i}") } else { format!("c{}", i % 3) };
    let b = if i % 13 == 12 { "null".to_owned() } else { format!("\"{}\"", number(1)) };
    format!("{{\"a\":{a},\"b\":{b},\"city\":\"{city}\",\"t\":\"words {i}\"{target}{late}}}")
}

fn predicted(replica: &Arc<Replica>, values: &[&str], explain: bool) -> Vec<Value> {
    let mut predictor = Predictor::new(Arc::clone(replica), explain);
    let rows = predictor.read_ahead(values.iter().map(|value| value.as_bytes()));
    let mut one = |(i, value): (usize, &&str)| {
        let mut out = Vec::new();
        predictor.predict(value.as_bytes(), rows.get(i), &mut out).expect("a sample");
        serde_json::from_slice(&out).expect("JSON")
    };
    values.iter().enumerate().map(&mut one).collect()
}

/// What the stream publishes for a sample.
fn published(processor: &mut Processor, outbox: &mut Outbox<PendingPredictions>, value: &str) -> Value {
    let record = Record { offset: processor.position(), value: Some(value.to_owned().into()), ..Record::default() };
    processor.process(record, outbox).expect("a sample");
    let mut outbox = outbox.take();
    outbox.encode();
    let record = outbox.records[Output::Predictions as usize].pop().expect("a prediction");
    serde_json::from_slice(&record.value.expect("a value")).expect("JSON")
}

#[test]
fn a_replica_predicts_what_the_stream_publishes_next_to_the_bit() {
    for absent in [Absent::Unknown, Absent::Zero] {
        let schema = Schema { nominal: vec!["city".into()], absent, ..Schema::default() };
        let (mut processor, mut outbox) = (processor(all(), schema), Outbox::default());
        let strangers = [
            r#"{"a":1,"late":2,"b":"3"}"#,
            r#"{"a":1,"city":"nowhere","b":"words"}"#,
            r#"{"other":{"x":[1,2]},"t":7,"y":3}"#,
        ];
        for i in 0..700 {
            let value = sample(i);
            // The rare ones are all looked at.
            let replica =
                (i < 30 || i % 19 == 0 || value.contains("e8") || value.contains("new-") || value.contains("6500"))
                    .then(|| Arc::new(processor.replica()));
            let answer = published(&mut processor, &mut outbox, &value);
            let Some(replica) = replica else { continue };
            let [one, two, three] = strangers;
            let all = predicted(&replica, &[&value, one, &value, two, &value, three, &value], false);
            for found in all.iter().step_by(2) {
                for part in ["model", "version", "prediction", "lower", "upper", "predictions"] {
                    assert_eq!(found.get(part), answer.get(part), "{part} of sample {i} {value}");
                }
            }
            assert_eq!(replica.position, i as i64);
        }
    }
}

#[test]
fn a_sample_that_is_refused_says_why_and_the_next_one_is_none_the_worse() {
    let (mut processor, mut outbox) = (processor(all(), Schema::default()), Outbox::default());
    (0..50).for_each(|i| drop(published(&mut processor, &mut outbox, &sample(i))));
    let replica = Arc::new(processor.replica());
    let good = sample(50);
    let expected = predicted(&replica, &[&good], false);
    let mut predictor = Predictor::new(replica, false);
    let mut out = Vec::new();
    for (bad, reason) in
        [("{\"new\":1", "not_json"), ("[1]", "not_an_object"), ("{}", "no_features"), ("{\"a\":1e400}", "not_finite")]
    {
        let refused = predictor.predict(bad.as_bytes(), None, &mut out).expect_err(bad);
        assert_eq!((refused.reason(), out.len()), (reason, 0), "{bad}");
    }
    predictor.predict(good.as_bytes(), None, &mut out).expect("a sample");
    assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON"), expected[0]);
}

#[test]
fn contributions_of_a_linear_model_are_its_weights_times_the_distances_from_the_means() {
    let line = ModelConfig::new("line", ModelKind::Linear(linear::Params::default())).scaled(true);
    let schema = Schema { nominal: vec!["c".into()], ..Schema::default() };
    let (mut processor, mut outbox) = (processor(vec![line], schema), Outbox::default());
    for i in 0..2000 {
        let (a, b) = ((i % 7) as f64, (i % 5) as f64);
        let value = format!("{{\"a\":{a},\"b\":{b},\"z\":{},\"c\":\"{}\",\"y\":{}}}", i % 3, i % 2, 3.0 * a - b);
        published(&mut processor, &mut outbox, &value);
    }
    let replica = Arc::new(processor.replica());
    let found = predicted(&replica, &[r#"{"a":6,"b":4,"c":"1","new":5}"#], true).remove(0);
    let explanation = &found["explanation"];
    assert_eq!((&explanation["method"], &explanation["samples"]), (&"occlusion".into(), &200.into()));
    let of = |name: &str| explanation["contributions"][name].as_f64();
    // Means over the latest 200 samples: 3 and 2.
    let [a, b, new] = ["a", "b", "new"].map(|name| of(name).expect(name));
    assert!((a - 9.0).abs() < 0.2 && (b + 2.0).abs() < 0.2 && new == 0.0, "{found}");
    // What the sample does not have contributes nothing.
    assert_eq!(of("z"), None);
    assert!(of("c").is_some());
    let plain = predicted(&replica, &[r#"{"a":6,"b":4,"c":"1","new":5}"#], false).remove(0);
    assert_eq!((plain.get("explanation"), &plain["prediction"]), (None, &found["prediction"]));
}
