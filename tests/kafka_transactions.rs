//! The daemon on topics that are written in transactions: of committed records it makes one prediction or dead letter
//! each, in order, and of aborted ones nothing.
//!
//! Needs what tests/kafka.rs needs, and a JDK, since only Kafka's own client writes transactions.

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rskafka::client::partition::OffsetAt;
use support::{
    broker::{all, broker, partition, produce, site, source_offsets, topics},
    daemon::{Daemon, Workspace},
};
use thalweg::topic::Topics;

const SAMPLE: &str = r#"{"x":#,"y":1}"#;
/// Far less than a transaction of these tests holds, so that a fetch sees parts of one.
const SMALL_FETCHES: &str = "transport.kafka.fetch_bytes=5000";

/// Kafka's own producers, each with its transactions, on partition 0 of a topic.
struct Producers {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Producers {
    fn of(topic: &str, names: &[(&str, &str)]) -> Self {
        let broker = broker();
        let (_, port) = broker.rsplit_once(':').expect("host:port");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka");
        let mut process = Command::new(script)
            .args(["transactions", topic, "--port", port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script runs");
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut producers = Self { process, commands, answers };
        for (name, compression) in names {
            producers.tell(&format!("producer {name} {compression}"));
        }
        producers
    }

    /// Awaits that it is done; the offsets it tells.
    fn tell(&mut self, command: &str) -> Vec<i64> {
        let commands = self.commands.as_mut().expect("open until dropped");
        writeln!(commands, "{command}").and_then(|()| commands.flush()).expect("the producers run");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("text");
        let offsets = answer.trim().strip_prefix("done").unwrap_or_else(|| panic!("no answer to `{command}`"));
        offsets.split_whitespace().map(|offset| offset.parse().expect("an offset")).collect()
    }

    fn send(&mut self, name: &str, count: usize) -> Vec<i64> {
        self.tell(&format!("send {name} {count} {SAMPLE}"))
    }

    /// A transaction of its own; `end` is `commit` or `abort`.
    fn transaction(&mut self, name: &str, count: usize, end: &str) -> Vec<i64> {
        self.tell(&format!("begin {name}"));
        let offsets = self.send(name, count);
        self.tell(&format!("{end} {name}"));
        offsets
    }
}

impl Drop for Producers {
    fn drop(&mut self) {
        // At the end of its input it ends, without closing what is open.
        self.commands = None;
        let _ = self.process.wait();
    }
}

/// A daemon's site; its topics exist.
fn ready(topics: &Topics, more: &[&str]) -> Workspace {
    let site = site(topics, &[&["generator.enabled=false", SMALL_FETCHES], more].concat());
    catch_up(&site);
    site
}

/// Works off what is there; its log.
fn catch_up(site: &Workspace) -> Daemon {
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    let status = daemon.wait();
    assert!(status.success(), "{status}, {:?}", daemon.lines_of("failed"));
    daemon
}

async fn predicted(topics: &Topics) -> Vec<i64> {
    source_offsets(&all(&topics.predictions).await)
}

fn await_records(daemon: &mut Daemon, records: usize) {
    daemon.line("records", |line| line["event"] == "report" && line["records"] == records && line["lag"] == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_records_are_predicted_once_in_order_and_aborted_ones_are_not() {
    let topics = topics("committed");
    let site = ready(&topics, &[]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none"), ("b", "none")]);
    let mut expected = Vec::new();
    producers.tell("begin a");
    producers.tell("begin b");
    for _ in 0..10 {
        producers.send("a", 200);
        expected.extend(producers.send("b", 100));
    }
    // Not of a transaction at all, amid two.
    let plain = partition(&topics.samples).await.get_offset(OffsetAt::Latest).await.expect("an offset");
    assert_eq!(plain, 0, "nothing is decided yet");
    produce(&topics.samples, vec![Some(br#"{"x":1,"y":1}"#.to_vec())]).await;
    expected.push(3000);
    producers.tell("commit b");
    expected.extend(producers.transaction("b", 1, "commit"));
    producers.tell("abort a");
    // The producer whose transaction was aborted commits one, and a bad record is committed as well.
    expected.extend(producers.transaction("a", 50, "commit"));
    producers.tell("begin b");
    let bad = producers.tell("send b 1 hello");
    producers.tell("commit b");
    // At the end one transaction is open, behind it others are decided.
    producers.tell("begin a");
    let open = producers.send("a", 20);
    let behind = producers.transaction("b", 20, "commit");
    producers.transaction("b", 20, "abort");

    let daemon = catch_up(&site);
    assert_eq!(daemon.lines_of("transactional_topic").len(), 1);
    assert_eq!(daemon.lines_of("dead_letter").len(), 1);
    assert_eq!(predicted(&topics).await, expected);
    catch_up(&site);
    assert_eq!(predicted(&topics).await, expected);

    producers.tell("commit a");
    catch_up(&site);
    expected.extend(open);
    expected.extend(behind);
    assert_eq!(predicted(&topics).await, expected);
    let letters = all(&topics.dead_letters).await;
    let offsets: Vec<_> = letters.iter().map(|letter| letter.record.headers["thalweg.offset"].clone()).collect();
    assert_eq!(offsets, [bad[0].to_string().into_bytes()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_transactions_are_read() {
    let topics = topics("compressed");
    let site = ready(&topics, &[]);
    let names = [("a", "gzip"), ("b", "snappy"), ("c", "lz4"), ("d", "zstd")];
    let mut producers = Producers::of(&topics.samples, &names);
    let mut expected = Vec::new();
    for (name, _) in names {
        expected.extend(producers.transaction(name, 500, "commit"));
        producers.transaction(name, 500, "abort");
    }
    catch_up(&site);
    assert_eq!(predicted(&topics).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_may_begin_amid_a_batch_of_a_transaction() {
    let topics = topics("amid");
    ready(&topics, &[]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none")]);
    let sent = producers.transaction("a", 20, "commit");
    // A site without a state begins where the settings say.
    catch_up(&site(&topics, &["generator.enabled=false", "transport.kafka.start=7"]));
    assert_eq!(predicted(&topics).await, sent[7..]);
    let first = all(&topics.predictions).await.swap_remove(0).record.value.expect("a value");
    let first: serde_json::Value = serde_json::from_slice(&first).expect("JSON");
    assert_eq!(first["version"], 0, "nothing was learned from what is before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_but_markers_is_left_it_has_caught_up() {
    let topics = topics("markers");
    let site = ready(&topics, &[]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none")]);
    let expected = producers.transaction("a", 10, "commit");
    producers.transaction("a", 1000, "abort");
    let end = partition(&topics.samples).await.get_offset(OffsetAt::Latest).await.expect("an offset");
    assert_eq!(end, 1012);
    catch_up(&site);
    assert_eq!(predicted(&topics).await, expected);
    // It is kept that there is nothing more.
    let again = catch_up(&site);
    assert_eq!(again.lines_of("worker_started")[0]["position"], end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_amid_transactions_lose_and_repeat_nothing() {
    let topics = topics("restarts");
    let site = ready(&topics, &["metrics.report_every=50ms", "state.every=100ms"]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none"), ("b", "lz4")]);
    let mut expected = Vec::new();
    for round in 0..4 {
        let before = expected.len() as u64;
        expected.extend(producers.transaction("a", 2000, "commit"));
        producers.transaction("b", 2000, "abort");
        let mut daemon = site.start(&[]);
        // What is open when it stops is aborted for one half and committed for the other.
        producers.tell("begin a");
        producers.tell("begin b");
        producers.send("a", 300);
        let kept = producers.send("b", 300);
        daemon.line("some progress", |line| line["event"] == "report" && line["records"].as_u64() > Some(before));
        producers.tell("commit b");
        if round % 2 == 0 {
            daemon.signal("KILL");
            daemon.wait();
        } else {
            assert!(daemon.stop().success());
        }
        producers.tell("abort a");
        expected.extend(kept);
    }
    catch_up(&site);
    assert_eq!(predicted(&topics).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_counts_as_lag_and_comes_once_committed() {
    let topics = topics("open");
    let site = ready(&topics, &["metrics.report_every=50ms"]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none"), ("b", "none")]);
    let mut expected = producers.transaction("a", 10, "commit");
    producers.tell("begin a");
    expected.extend(producers.send("a", 20));
    expected.extend(producers.transaction("b", 30, "commit"));
    let mut daemon = site.start(&[]);
    // Markers take an offset each.
    let waits = |line: &serde_json::Value, count: usize| {
        line["event"] == "report" && line["records"] == 10 && line["lag"] == count && line["undecided"] == count
    };
    daemon.line("what waits", |line| waits(line, 20 + 30 + 1));
    let line = daemon.event("waiting_for_transaction");
    assert_eq!((&line["offset"], &line["records"], &line["level"]), (&11.into(), &51.into(), &"WARN".into()));
    assert!(line["producer"].as_i64().is_some_and(|producer| producer >= 0), "{line}");
    assert!(line["since"].as_i64().is_some_and(|since| since > 1_700_000_000_000), "{line}");
    producers.tell("commit a");
    assert_eq!(daemon.event("transaction_over")["offset"], 11);
    await_records(&mut daemon, 60);
    assert_eq!(daemon.lines_of("waiting_for_transaction").len(), 1);
    assert!(daemon.stop().success());
    assert_eq!(predicted(&topics).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_producer_that_was_killed_is_told_and_comes_when_its_time_has_run_out() {
    let topics = topics("killed");
    let site = ready(&topics, &["metrics.report_every=50ms"]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none 5000")]);
    producers.tell("begin a");
    producers.send("a", 100);
    // It is not closed, which would abort what is open.
    drop(producers);
    let plain = 5000;
    produce(&topics.samples, vec![Some(SAMPLE.replace('#', "1").into_bytes()); plain]).await;
    let mut daemon = site.start(&[]);
    daemon.line("what waits", |line| line["lag"] == 100 + plain && line["undecided"] == 100 + plain);
    let line = daemon.event("waiting_for_transaction");
    assert_eq!((&line["offset"], &line["records"]), (&0.into(), &(100 + plain).into()));
    daemon.event("transaction_over");
    await_records(&mut daemon, plain);
    assert!(daemon.stop().success());
    let expected: Vec<i64> = (100..100 + plain as i64).collect();
    assert_eq!(predicted(&topics).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_records_that_retention_took_before_they_were_read_are_a_gap() {
    let topics = topics("gap");
    let site = ready(&topics, &[]);
    let mut producers = Producers::of(&topics.samples, &[("a", "none")]);
    let expected = producers.transaction("a", 10, "commit");
    catch_up(&site);
    producers.transaction("a", 100, "commit");
    partition(&topics.samples).await.delete_records(50, 10_000).await.expect("deleted");
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert_eq!(daemon.wait().code(), Some(1));
    let said = format!("{:?}", daemon.lines_of("failed"));
    assert!(said.contains("no longer 11") && said.contains("39 records"), "{said}");
    assert_eq!(predicted(&topics).await, expected);
}
