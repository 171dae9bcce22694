//! Samples, and their labels in a topic of their own: which comes before which is chance, and what is published says it.

use serde_json::{Value, json};
use thalweg::topic::record::{LABELS, Record, TIMESTAMP};

use super::proof::Topics;

/// Labels have a topic of their own.
pub const SETTINGS: &[&str] = &[
    "generator.enabled=false",
    "state.every=50ms",
    "schema.timestamp=at",
    "labels.mode=topic",
    "labels.by=id",
    "labels.max_wait=40min",
    "labels.max_early=5min",
    r#"features=[{kind="lag",of="y",at=[1,"30min"]},{kind="rolling",of="y",over=[9],statistics=["mean"],by="who"}]"#,
];

fn at(i: usize) -> i64 {
    1_700_000_000_000 + i as i64 * 30_000
}

/// Sample `i`.
pub fn sample(i: usize) -> Value {
    json!({"at": at(i), "id": i, "who": format!("w{}", i % 7), "x": (i * 31 % 100) as f64 / 10.0})
}

/// Label `i`: of a sample that came before it, or comes a little after, or of none; some say more than a label has to.
pub fn label(i: usize) -> Value {
    let of = (i + 2).saturating_sub(i * 7919 % 60);
    let y = (of * 31 % 100) as f64 / 5.0 + (of % 3) as f64;
    match i % 13 {
        5 => json!({"at": at(i), "id": format!("nobody {i}"), "y": 1}),
        8 => json!({"at": at(i), "y": 1}),
        9 => json!({"at": at(i), "id": of, "y": y, "x": 5, "by": "a person"}),
        _ => json!({"at": at(i), "id": of, "y": y}),
    }
}

/// How many labels each prediction says it knew of, by the offset of its sample.
pub fn known(predictions: &[Record]) -> Vec<i64> {
    let known = |record: &Record| {
        let header = record.headers.get(LABELS).expect("a prediction says which labels it knew of");
        std::str::from_utf8(header).expect("text").parse().expect("an offset")
    };
    predictions.iter().map(known).collect()
}

/// Times of so many samples and labels, by which a run takes them in the order that predictions say: behind each sample come the labels
/// that it did not know of and the next one did.
pub fn placed(known: &[i64], samples: usize, labels: usize) -> (Vec<i64>, Vec<i64>) {
    let time = |offset: usize| 10 * (offset as i64 + 1);
    let of_label = |i| time(known.partition_point(|known| *known <= i as i64));
    ((0..samples).map(time).collect(), (0..labels).map(of_label).collect())
}

/// What is published, without the times of records and the names of the topics, of which another run has others.
pub fn without_times(mut topics: Topics, names: [&str; 2]) -> Topics {
    let is_time = |name: &[u8]| name == TIMESTAMP.as_bytes();
    let named = |text: &str| text.replace(names[1], "labels").replace(names[0], "samples");
    let [predictions, letters, events] = &mut topics.outputs;
    for letter in letters.iter_mut().flatten() {
        letter.headers.retain(|name| !is_time(name));
        let topic = letter.headers.get("thalweg.topic").map(|topic| named(&String::from_utf8_lossy(topic)));
        letter.headers.set("thalweg.topic", topic.expect("a topic"));
    }
    for record in predictions.iter_mut().chain(events).flatten() {
        let text = named(&String::from_utf8_lossy(record.value.as_deref().expect("a value")));
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        let is_event = value.get("event").is_some();
        value.as_object_mut().expect("an object").retain(|name, _| !is_event || name != "timestamp");
        record.value = Some(value.to_string().into());
    }
    topics
}
