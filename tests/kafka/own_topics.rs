//! Whose a samples topic is: nothing is made up in somebody's own, and none is made that nobody has asked for.
//!
//! The broker is one that makes every topic it is asked about, as brokers do by default.

use std::time::Duration;

use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use thalweg::topic::Topics;

use super::support::{
    broker::{all, client, create, produce, site, source_offsets, topics},
    daemon::Workspace,
};

fn sample(i: usize) -> Option<Vec<u8>> {
    Some(format!(r#"{{"x":{i},"y":2}}"#).into_bytes())
}

async fn exists(topic: &str) -> bool {
    client().await.list_topics().await.expect("topics").iter().any(|other| other.name == topic)
}

async fn of(topic: &str, partition: i32) -> PartitionClient {
    client().await.partition_client(topic, partition, UnknownTopicHandling::Error).await.expect("a partition")
}

async fn end(topic: &str, partition: i32) -> i64 {
    of(topic, partition).await.get_offset(OffsetAt::Latest).await.expect("an offset")
}

/// A topic of somebody's, with `count` samples.
async fn somebodys(name: &str, count: usize) -> Topics {
    let topics = topics(name);
    create(&topics.samples, 1);
    produce(&topics.samples, (0..count).map(sample).collect()).await;
    topics
}

/// Runs a generator that must refuse: what it said.
async fn refused(topics: &Topics, site: &Workspace) -> String {
    let before = end(&topics.samples, 0).await;
    let run = site.run(&[]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains(&topics.samples), "{said}");
    for key in ["generator.enabled = false", "generator.into_foreign_topic = true"] {
        assert!(said.contains(key), "{said}");
    }
    assert_eq!(end(&topics.samples, 0).await, before, "nothing was written");
    said
}

/// As somebody starts it who has set nothing of the generator.
fn unasked(topics: &Topics, more: &[&str]) -> Workspace {
    let mut site = site(topics, more);
    site.settings.retain(|setting| !setting.starts_with("generator.enabled"));
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_nobody_told_to_generate_only_learns_from_somebody_s_topic() {
    let topics = somebodys("unasked", 20).await;
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.toml");
    for settings in [&[][..], &["--settings", shipped]] {
        let site = unasked(&topics, &["metrics.report_every=50ms"]);
        let mut daemon = site.start(settings);
        daemon.line("all of them", |line| line["event"] == "report" && line["records"] == 20);
        assert!(daemon.stop().success());
        assert_eq!(end(&topics.samples, 0).await, 20);
    }
    assert_eq!(source_offsets(&all(&topics.predictions).await), (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_refuses_a_topic_with_somebody_s_records_and_writes_nothing() {
    let topics = somebodys("refused", 3).await;
    let said = refused(&topics, &site(&topics, &[])).await;
    assert!(said.contains("offset 0"), "{said}");
    for output in [&topics.predictions, &topics.dead_letters, &topics.events] {
        assert!(!exists(output).await, "{output} was made by a start that came to nothing");
    }
    let allowed = site(&topics, &["generator.into_foreign_topic=true", "metrics.report_every=50ms"]);
    let mut daemon = allowed.start(&[]);
    daemon.line("samples of both", |line| line["records"].as_u64().is_some_and(|records| records > 100));
    assert!(daemon.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_retention_took_were_somebody_s_all_the_same() {
    let topics = somebodys("emptied", 5).await;
    of(&topics.samples, 0).await.delete_records(5, 10_000).await.expect("records go");
    refused(&topics, &site(&topics, &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_in_the_last_partition_is_enough() {
    let topics = topics("third");
    create(&topics.samples, 3);
    let record = rskafka::record::Record {
        key: None,
        value: sample(0),
        headers: Default::default(),
        timestamp: super::support::broker::now(),
    };
    let last = of(&topics.samples, 2).await;
    last.produce(vec![record], rskafka::client::partition::Compression::NoCompression).await.expect("produce");
    let said = refused(&topics, &site(&topics, &[])).await;
    assert!(said.contains("partition 2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_generator_wrote_it_knows_again_without_the_state_and_somebody_s_behind_it_too() {
    let topics = topics("again");
    let settings = ["generator.rate=0", "generator.count=3000", "metrics.report_every=50ms"];
    let before = site(&topics, &settings);
    let mut first = before.start(&[]);
    first.line("all", |line| line["records"] == 3000);
    assert!(first.stop().success());
    let elsewhere = site(&topics, &settings);
    let mut second = elsewhere.start(&[]);
    second.line("all of both", |line| line["records"] == 6000);
    assert!(second.stop().success());
    produce(&topics.samples, vec![sample(1)]).await;
    let more = ["generator.count=9000", "generator.rate=0"];
    for site in [&elsewhere, &site(&topics, &more)] {
        let said = refused(&topics, site).await;
        assert!(said.contains("offset 6000"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_ends_when_somebody_begins_to_write() {
    let topics = topics("joined");
    let site = site(&topics, &["generator.rate=500", "metrics.report_every=50ms"]);
    let mut daemon = site.start(&[]);
    daemon.line("samples", |line| line["records"].as_u64().is_some_and(|records| records > 100));
    produce(&topics.samples, vec![sample(1)]).await;
    let failed = daemon.event("failed");
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("generator.into_foreign_topic")), "{failed}");
    assert_eq!(daemon.wait().code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_samples_topic_is_waited_for_with_the_nearest_names_and_never_made() {
    let real = somebodys("spelt", 4).await;
    let mut wrong = real.clone();
    wrong.samples = real.samples.replace("samples", "smaples");
    let settings = ["metrics.report_every=50ms"];
    let site = unasked(&wrong, &settings);
    let mut daemon = site.start(&[]);
    let line = daemon.event("topic_missing");
    assert_eq!((&line["topic"], &line["level"]), (&wrong.samples.clone().into(), &"WARN".into()));
    assert!(line["nearest"].as_str().is_some_and(|names| names.contains(&real.samples)), "{line}");
    let run = unasked(&wrong, &settings).run(&["run", "--until-caught-up"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code() == Some(1) && said.contains(&real.samples) && said.contains("topics.samples"), "{said}");
    for topic in [&wrong.samples, &wrong.predictions, &wrong.dead_letters, &wrong.events] {
        assert!(!exists(topic).await, "{topic} was made");
    }
    // Once somebody makes it, all goes on by itself.
    create(&wrong.samples, 1);
    produce(&wrong.samples, (0..7).map(sample).collect()).await;
    daemon.line("its samples", |line| line["records"] == 7);
    assert!(daemon.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_samples_topic_that_is_deleted_under_the_daemon_does_not_come_back_by_itself() {
    for create_topics in ["true", "false"] {
        let topics = somebodys("deleted", 5).await;
        for output in [&topics.predictions, &topics.dead_letters, &topics.events] {
            create(output, 1);
        }
        let create_topics = format!("transport.kafka.create_topics={create_topics}");
        let site = unasked(&topics, &["metrics.report_every=50ms", &create_topics]);
        let mut daemon = site.start(&[]);
        daemon.line("all", |line| line["records"] == 5);
        let controller = client().await;
        let controller = controller.controller_client().expect("a controller");
        controller.delete_topic(&topics.samples, 10_000).await.expect("a deletion");
        daemon.event("broker_unreachable");
        // Longer than outputs are waited for that may be made again.
        daemon.watch(Duration::from_secs(7));
        assert!(!exists(&topics.samples).await, "it came back: {}", daemon.story());
        assert!(daemon.stop().success());
        assert!(!exists(&topics.samples).await, "it came back at the end");
    }
}
