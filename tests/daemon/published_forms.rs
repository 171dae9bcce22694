//! Predictions in Avro: by a schema that a registry numbers, or as single objects, beside those in JSON in the same topic.

use std::time::{Duration, Instant};

use serde_json::Value;
use thalweg::pipeline::form::to_json;

use crate::support::{
    PATIENCE,
    daemon::{Workspace, stdout},
    http::{self, get, ready},
    registry::Registry,
};

const AVRO: &str = "output.format=avro";

/// A site with a topic that nobody fills.
fn site(settings: &[&str]) -> Workspace {
    Workspace::new(&[settings, &["generator.enabled=false"]].concat())
}

/// Appends so many samples.
fn insert(site: &Workspace, count: u32) {
    for i in 0..count {
        let value = format!(r#"{{"x":{},"y":{}}}"#, f64::from(i % 7) / 3.0, i % 5);
        let row =
            "INSERT INTO samples SELECT 0, coalesce(max(offset) + 1, 0), 1700000000000, NULL, ?1, NULL FROM samples";
        site.state().execute(row, [value]).expect("inserted");
    }
}

fn caught_up(site: &Workspace) -> String {
    let output = site.run(&["run", "--until-caught-up"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

/// The bytes of all predictions.
fn published(site: &Workspace) -> Vec<Vec<u8>> {
    site.topic("predictions").into_iter().map(|(_, value, _)| value.expect("a value")).collect()
}

/// What they say, whatever their form.
fn said(site: &Workspace) -> Vec<Value> {
    let json = |value: Vec<u8>| serde_json::from_slice(&to_json(&value).unwrap_or(value)).expect("JSON");
    published(site).into_iter().map(json).collect()
}

/// What is predicted in JSON of as many samples.
fn expected(count: u32) -> Vec<Value> {
    let twin = site(&[]);
    caught_up(&twin);
    insert(&twin, count);
    caught_up(&twin);
    twin.predictions()
}

#[test]
fn predictions_are_published_by_the_schema_that_the_registry_has_numbered() {
    let registry = Registry::start();
    registry.want("Basic dTpwOnc=");
    let login = ["schema.registry.username=u", "schema.registry.password=p:w"];
    let site = site(&[AVRO, &registry.setting(), login[0], login[1], "topics.predictions=predictions"]);
    caught_up(&site);
    insert(&site, 40);
    caught_up(&site);
    assert_eq!(registry.registered("predictions-value"), [(100, stdout(&site.run(&["schema"])))]);
    assert!(published(&site).iter().all(|value| value[..5] == [0, 0, 0, 0, 100]));
    assert_eq!(said(&site), expected(40));
    // Once it is there, nobody needs to be allowed to register it.
    let times = |path: &str| registry.asked().iter().filter(|asked| asked.ends_with(path)).count();
    assert_eq!(times("/versions"), 1, "{:?}", registry.asked());
}

#[test]
fn a_topic_with_both_forms_goes_on_in_either_and_tells_both_alike() {
    let site = site(&["http.listen=127.0.0.1:0"]);
    caught_up(&site);
    for format in ["json", "avro", "json", "avro"] {
        insert(&site, 25);
        let output = site.run(&["run", "--until-caught-up", "--set", &format!("output.format={format}")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let forms: Vec<bool> = published(&site).iter().map(|value| value.starts_with(&[0xc3, 0x01])).collect();
    assert_eq!(forms, [false, true].repeat(2).into_iter().flat_map(|form| [form; 25]).collect::<Vec<_>>());
    // The samples begin anew with each 25, so that no twin has the same ones.
    let said = said(&site);
    let offsets: Vec<&Value> = said.iter().map(|prediction| &prediction["source"]["offset"]).collect();
    assert_eq!(offsets, (0..100).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>());

    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let answer = get(address, "/api/v1/topics/predictions/records?from=0&limit=100");
    let line = |line: &str| -> Value {
        let line: Value = serde_json::from_str(line).expect("JSON");
        serde_json::from_str(line["value"]["text"].as_str().expect("text")).expect("JSON")
    };
    assert_eq!(answer.body.lines().map(line).collect::<Vec<_>>(), said);
    assert!(daemon.stop().success());
}

#[test]
fn a_registry_that_is_away_at_the_start_is_waited_for_and_nothing_is_lost() {
    let registry = Registry::start();
    registry.fail_with(Some((503, "down")));
    let mut site = site(&["http.listen=127.0.0.1:0"]);
    caught_up(&site);
    site.settings.extend([registry.setting(), AVRO.to_owned()]);
    insert(&site, 30);
    let mut daemon = site.start(&["run"]);
    let address = http::address(&mut daemon);
    let away = daemon.event("registry_away");
    assert!(away["problem"].as_str().is_some_and(|problem| problem.contains("503")), "{away}");
    assert_eq!(away["subject"], "predictions-value");
    assert_eq!(get(address, "/readyz").code, 503);
    let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
    assert_eq!((&status["waits_for_registry"], &status["ready"]), (&true.into(), &false.into()));
    assert!(
        status["summary"].as_str().is_some_and(|told| told.contains("waiting for the schema registry")),
        "{status}"
    );
    assert!(daemon.stop().success(), "it does not end in order while it waits");
    assert!(published(&site).is_empty());

    let mut daemon = site.start(&["run"]);
    let address = http::address(&mut daemon);
    daemon.event("registry_away");
    for (code, body) in [(200, "<html>"), (404, "not here"), (401, "{}"), (422, "{\"error_code\":42205}")] {
        registry.fail_with(Some((code, body)));
        let before = registry.asked().len();
        let deadline = Instant::now() + PATIENCE;
        // The second after it was asked for by what is asked for next.
        while registry.asked().len() < before + 2 {
            assert!(Instant::now() < deadline, "it was not asked again");
            daemon.watch(Duration::from_millis(20));
        }
    }
    assert!(published(&site).is_empty());
    registry.fail_with(None);
    assert_eq!(daemon.event("schema_registered")["schema"], 100);
    daemon.line("all of them", |line| line["records"] == 30);
    let deadline = Instant::now() + PATIENCE;
    while get(address, "/readyz").code != 200 {
        assert!(Instant::now() < deadline, "it is not ready");
        daemon.watch(Duration::from_millis(50));
    }
    assert!(daemon.stop().success());
    assert_eq!((daemon.lines_of("registry_away").len(), daemon.lines_of("registry_answers").len()), (1, 1));
    assert_eq!(said(&site), expected(30));
}

#[test]
fn a_subject_that_does_not_take_the_schema_ends_the_start_with_the_way_out() {
    let registry = Registry::start();
    let site = site(&[AVRO, &registry.setting(), "output.subject={predictions}-thalweg.Prediction"]);
    let checked = |verdict: &str, words: &str| {
        let output = site.run(&["check", "--connect"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = told.lines().find(|line| line.contains(" subject predictions-thalweg.Prediction: "));
        assert!(found.is_some_and(|line| line.starts_with(verdict) && line.contains(words)), "{told}");
        output.status.code()
    };
    checked("ok", "which the first start registers");
    assert!(registry.registered("predictions-thalweg.Prediction").is_empty(), "a check has registered it");
    registry.refuse("Schema being registered is incompatible with an earlier schema");
    assert_eq!(checked("WRONG", "it contradicts the latest schema there"), Some(78));
    let output = site.run(&["run"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    for words in [
        "under the subject `predictions-thalweg.Prediction`",
        "incompatible with an earlier schema",
        "output.subject",
        "output.format = \"json\"",
    ] {
        assert!(told.replace("\\\"", "\"").contains(words), "{words}: {told}");
    }
    assert!(published(&site).is_empty());
}

#[test]
fn settings_of_the_form_that_cannot_be_meant_are_refused_with_the_way_out() {
    let site = site(&[]);
    site.write("good.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}");
    let url = "schema.registry.url=http://127.0.0.1:1";
    for (settings, wanted) in [
        (&["output.format=protobuf"][..], "output.format: `protobuf` is not one of json, avro"),
        (&["output.subject=s"], "output.subject: goes with output.format = \"avro\""),
        (&[AVRO, "output.subject=s"], "output.subject: is one of a registry"),
        (&[AVRO, "output.subject=", url], "output.subject: must be the name of a subject"),
        (&[AVRO, url, "schema.registry.ca_file=none.pem", "schema.registry.url=https://x"], "schema.registry: "),
        (&[url], "schema.registry: says nothing with format = \"json\""),
    ] {
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let output = site.run(&[&["check"], sets.as_slice()].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{settings:?}: {told}");
        assert!(told.contains(wanted), "{settings:?}: {told}");
    }
    // Of samples whose schema is in a file, the registry is asked for nothing.
    let both = [AVRO, url, "schema.format=avro", "schema.file=good.avsc"].map(|setting| ["--set", setting]);
    let told = stdout(&site.run(&[&["check"], both.as_flattened()].concat()));
    assert!(told.contains("predictions  Avro, registered as `predictions-value` at http://127.0.0.1:1"), "{told}");
    assert!(told.contains("schema.file"), "{told}");
}
