//! `thalweg compare` on a range of a real broker's topic.

use serde_json::Value;

use crate::support::{
    broker::{produce, site, topics},
    daemon::{Workspace, read, stdout},
};

/// What a comparison says of the models on its one stream, but for the time they took.
fn compared(site: &Workspace, arguments: &[&str]) -> Value {
    stdout(&site.run(&[&["compare"], arguments].concat()));
    let mut document: Value = serde_json::from_str(&read(&site.path("compare/compare.json"))).expect("JSON");
    let stream = document["streams"][0].take();
    let errors = |model: &Value| [&model["model"], &model["rmse"], &model["mae"], &model["bytes"]].map(Value::clone);
    let models = stream["models"].as_array().expect("models").iter().flat_map(errors).collect();
    Value::Array([vec![stream["records"].clone(), stream["dead_letters"].clone()], models].concat())
}

#[tokio::test]
async fn a_range_of_a_topic_gives_the_errors_of_the_same_records_in_a_file() {
    let topics = topics("compare");
    let site = site(&topics, &["generator.enabled=false"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let sample = |i: u32| format!(r#"{{"x":{},"y":{}}}"#, i % 13, i % 7 + i % 13);
    let values: Vec<String> = (0..260).map(|i| if i == 100 { "no".to_owned() } else { sample(i) }).collect();
    produce(&topics.samples, values.iter().map(|value| Some(value.clone().into_bytes())).collect()).await;

    let topic = format!("{}:0", topics.samples);
    let ranged = compared(&site, &["--topic", &topic, "--offsets", "20..250"]);
    site.write("range.jsonl", values[20..250].join("\n"));
    assert_eq!(ranged, compared(&site, &["range.jsonl"]));
    assert_eq!((&ranged[0], &ranged[1]), (&230.into(), &1.into()));

    for (arguments, said) in [
        (["--topic", &topic, "--offsets", "250..261"], "holds offsets 0 to 260"),
        (["--topic", &topics.samples.replace("samples", "sampels"), "--offsets", ".."], "the broker has no such topic"),
    ] {
        let output = site.run(&[&["compare"], &arguments[..]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && errors.contains(said), "{errors}");
    }
}
