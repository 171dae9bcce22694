//! `thalweg dead-letters` on a real broker, beside a running daemon.

use rskafka::{
    client::partition::{Compression, UnknownTopicHandling},
    record::{Record, RecordAndOffset},
};
use serde_json::{Value, json};
use thalweg::topic::Topics;

use crate::support::{
    broker::{all, client, produce, site, source_offsets, topics},
    daemon::{Workspace, stdout},
};

const LARGE: &[u8] = br#"{"x":1.5,"y":2,"note":"rather long, as notes are"}"#;

fn letters(site: &Workspace, arguments: &[&str]) -> String {
    stdout(&site.run(&[&["dead-letters"], arguments].concat()))
}

fn lines(site: &Workspace) -> Vec<Value> {
    let text = letters(site, &["show", "--json"]);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A site whose topics hold dead letters: one too large, one no JSON.
async fn refused(topics: &Topics) -> Workspace {
    let mut site = site(topics, &["generator.enabled=false", "schema.max_record_bytes=30"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let sample = Record {
        key: Some(b"k\xff".to_vec()),
        value: Some(LARGE.to_vec()),
        headers: [("trace".to_owned(), b"\xff\x00".to_vec())].into(),
        timestamp: super::support::broker::now(),
    };
    let partition = client().await.partition_client(&topics.samples, 0, UnknownTopicHandling::Retry).await;
    partition.expect("a partition").produce(vec![sample], Compression::NoCompression).await.expect("produce");
    produce(&topics.samples, vec![Some(b"no".to_vec())]).await;
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    site.settings.retain(|setting| !setting.starts_with("schema.max_record_bytes"));
    site
}

/// Puts an event on the events topic, as another run of the command would.
async fn note(topics: &Topics, event: &str, age: i64, from: i64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let note = json!({
        "event": event,
        "dead_letters": {"topic": topics.dead_letters, "partition": 0, "offsets": [0, 1]},
        "by": "another",
        "samples": {"partition": 0, "from": from},
        "timestamp": now - age,
    });
    produce(&topics.events, vec![Some(note.to_string().into_bytes())]).await;
}

fn of_retry(records: &[RecordAndOffset]) -> Vec<String> {
    let place = |it: &RecordAndOffset| it.record.headers.get("thalweg.retry").cloned();
    records.iter().filter_map(place).map(|place| String::from_utf8(place).expect("text")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_back_on_kafka_is_learned_from_once() {
    let topics = topics("retry");
    let site = refused(&topics).await;
    let mut daemon = site.start(&[]);
    daemon.event("worker_started");
    let shown = lines(&site);
    assert_eq!(shown.len(), 2);
    assert_eq!((&shown[0]["reason"], &shown[0]["source"]["offset"]), (&"too_large".into(), &0.into()));
    assert_eq!(shown[0]["headers"], json!({"trace": {"base64": "/wA="}}));

    let said = letters(&site, &["retry", "--reason", "too_large"]);
    assert_eq!(said, format!("1 of 1 dead letters sent back to `{}`\n", topics.samples));
    let samples = all(&topics.samples).await;
    assert_eq!(samples.len(), 3);
    let (sent, first) = (&samples[2].record, &samples[0].record);
    assert_eq!((&sent.value, &sent.key), (&first.value, &first.key));
    // Brokers delete what is old, so only a header has the sample's own time.
    let time = first.timestamp.timestamp_millis().to_string();
    assert!(sent.timestamp > first.timestamp);
    let headers = [("thalweg.retry", &b"0/0"[..]), ("thalweg.timestamp", time.as_bytes()), ("trace", b"\xff\x00")];
    assert_eq!(sent.headers.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), headers);

    let said = letters(&site, &["retry", "--offset", "0"]);
    assert!(said.starts_with("0 of 1 ") && said.contains("1 not: sent back before"), "{said}");
    assert!(letters(&site, &["retry", "--all"]).starts_with("1 of 2 "));
    assert_eq!(of_retry(&all(&topics.samples).await), ["0/0", "0/1"]);
    daemon.event("dead_letter");
    assert!(daemon.stop().success());
    assert_eq!(source_offsets(&all(&topics.predictions).await), [2]);
    let shown = lines(&site);
    assert_eq!(
        shown.iter().map(|it| it["retried"].as_bool()).collect::<Vec<_>>(),
        [Some(true), Some(true), Some(false)]
    );
    assert_eq!(shown[2]["headers"], json!({"thalweg.retry": {"text": "0/1"}}));

    // A daemon that has lost its state reads these events back and is not led astray.
    let elsewhere = super::site(&topics, &["generator.enabled=false"]);
    assert!(elsewhere.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(source_offsets(&all(&topics.predictions).await), [2]);
    assert_eq!(all(&topics.dead_letters).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_cut_short_is_taken_up_where_it_ended() {
    // It had claimed both an hour ago, and sent the first.
    let topics = topics("claimed");
    let site = refused(&topics).await;
    note(&topics, "retrying", 3_600_000, 2).await;
    let partition = client().await.partition_client(&topics.samples, 0, UnknownTopicHandling::Retry).await;
    let headers = [("thalweg.retry".to_owned(), b"0/0".to_vec())].into();
    let sent = Record { key: None, value: Some(LARGE.to_vec()), headers, timestamp: super::support::broker::now() };
    partition.expect("a partition").produce(vec![sent], Compression::NoCompression).await.expect("produce");
    let said = letters(&site, &["retry", "--all"]);
    assert!(said.starts_with("1 of 2 ") && said.contains("1 not: sent back before"), "{said}");
    assert_eq!(of_retry(&all(&topics.samples).await), ["0/0", "0/1"]);
    assert!(letters(&site, &["retry", "--all"]).starts_with("0 of 2 "));
    assert_eq!(of_retry(&all(&topics.samples).await), ["0/0", "0/1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_run_is_sending_is_left_to_it() {
    let topics = topics("busy");
    let site = refused(&topics).await;
    note(&topics, "retrying", 0, 2).await;
    let said = letters(&site, &["retry", "--all"]);
    assert!(said.starts_with("0 of 2 ") && said.contains("2 not: being sent by another run"), "{said}");
    note(&topics, "retried", 0, 2).await;
    assert!(letters(&site, &["retry", "--all"]).contains("2 not: sent back before"));
    assert_eq!(all(&topics.samples).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_at_the_same_time_send_each_letter_once() {
    let topics = topics("together");
    let site = refused(&topics).await;
    produce(&topics.samples, vec![Some(b"no".to_vec()); 200]).await;
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let start = || {
        let mut command = site.command(&["dead-letters", "retry", "--all"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it starts")
    };
    let runs: Vec<_> = (0..4).map(|_| start()).collect();
    for run in runs {
        stdout(&run.wait_with_output().expect("ended"));
    }
    let mut places = of_retry(&all(&topics.samples).await);
    places.sort_unstable();
    let mut expected: Vec<String> = (0..202).map(|offset| format!("0/{offset}")).collect();
    expected.sort_unstable();
    assert_eq!(places, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_are_not_there_are_named_and_not_made() {
    let topics = topics("nowhere");
    let site = site(&topics, &["generator.enabled=false"]);
    for command in [&["show"][..], &["retry", "--all"]] {
        let output = site.run(&[&["dead-letters"], command].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("does not exist"), "{said}");
    }
    let known = client().await.list_topics().await.expect("topics");
    let ours = known.iter().filter(|topic| topic.name.starts_with(topics.samples.trim_end_matches("samples")));
    assert_eq!(ours.map(|topic| &topic.name).collect::<Vec<_>>(), [&topics.samples]);
}
