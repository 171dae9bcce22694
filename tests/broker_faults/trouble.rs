//! Trouble that does not pass: it ends the daemon with what to do about it, or is said for as long as it lasts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thalweg::topic::{Output, record::Record};

use crate::{
    Scene,
    broker::Broker,
    broker_client::Names,
    proxy::{Proxy, Trap},
    secure::LOGIN,
    support::{
        daemon::Daemon,
        http,
        kill_loop::Ground,
        proof::{source, source_partition},
    },
};

const REST: &[&str] = &["generator.enabled=false"];

fn samples(count: i64) -> Vec<Option<Vec<u8>>> {
    (0..count).map(|i| Some(format!(r#"{{"x":{i},"y":{}}}"#, i % 7).into_bytes())).collect()
}

/// Awaits its end; what it said last.
fn ended(daemon: &mut Daemon, code: i32) -> String {
    let failed = daemon.event("failed");
    assert_eq!(daemon.wait().code(), Some(code), "{}", daemon.story());
    failed["error"].as_str().expect("an error").to_owned()
}

fn holds(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` in {said}");
    }
}

fn place(prediction: &Record) -> (i32, i64) {
    (source_partition(Output::Predictions, prediction), source(Output::Predictions, prediction))
}

fn lag(line: &Value) -> Option<i64> {
    (line["event"] == "report").then(|| line["lag"].as_i64()).flatten()
}

#[test]
fn a_compacted_output_that_wants_keys_ends_it_with_what_to_do() {
    for (output, settings) in [(Output::Predictions, REST), (Output::Events, &["generator.rate=5000"])] {
        let scene = Scene::new("compacted", settings);
        let topic = &scene.names.outputs[output as usize];
        scene.bus.create(topic, 1);
        scene.broker.set(topic, "cleanup.policy=compact");
        if output == Output::Predictions {
            let record = br#"{"x":1,"y":2}"#.to_vec();
            scene.bus.produce_keyless(&scene.names.samples, 0, vec![Some(record); 3]);
        }
        let mut daemon = scene.site.start(&["run"]);
        holds(&ended(&mut daemon, 1), &[topic, "cleanup.policy=delete", "key"]);
    }
}

#[test]
fn more_copies_than_brokers_end_it_and_name_the_setting() {
    let scene = Scene::new("copies", &["transport.kafka.replication_factor=3"]);
    let mut daemon = scene.site.start(&["run"]);
    holds(&ended(&mut daemon, 1), &["transport.kafka.replication_factor", "fewer brokers"]);
}

#[test]
fn a_controller_that_does_not_answer_is_told_long_before_the_request_s_deadline() {
    let scene = Scene::behind_proxy("controller", &["transport.kafka.request_timeout=60s"]);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    proxy.lay(&scene.names.outputs[0], Trap::HoldCreation);
    let begun = Instant::now();
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=5000"]);
    let line = daemon.event("controller_silent");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(line["topic"], *scene.names.outputs[0]);
    holds(line["message"].as_str().expect("a message"), &["controller", "kafka-metadata-quorum.sh"]);
    proxy.release();
    scene.settle(daemon);
}

#[test]
fn a_broker_that_learns_late_of_a_topic_that_was_just_made_is_no_trouble() {
    let scene = Scene::behind_proxy("late", &[]);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    proxy.outdate(&scene.names.samples, 3);
    let daemon = scene.under_load(1000, 500);
    assert!(daemon.lines_of("broker_unreachable").is_empty(), "{}", daemon.story());
    let created = daemon.lines_of("topic_created");
    let times = created.iter().filter(|line| line["topic"] == *scene.names.samples).count();
    assert_eq!(times, 1, "{}", daemon.story());
    scene.settle(daemon);
}

#[test]
fn a_port_that_wants_a_login_only_since_it_was_in_use_is_waited_for_and_told() {
    let scene = Scene::behind_proxy("changed", &[]);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    let mut daemon = scene.under_load(5000, 2000);
    drop(proxy);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxy_port() - 3 + LOGIN);
    let line = daemon.line("trouble", |line| {
        line["event"] == "broker_unreachable" && line["error"].as_str().is_some_and(|said| said.contains("login"))
    });
    let said = line["error"].as_str().expect("an error");
    holds(said, &["transport.kafka.sasl", "it offers", "PLAIN", "This will not pass by itself"]);
    drop(proxy);
    let _proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    daemon.event("broker_recovered");
    scene.settle(daemon);
}

#[test]
fn a_login_where_none_is_wanted_is_for_the_settings_to_mend() {
    let sasl = r#"transport.kafka.sasl={mechanism="plain",username="a",password="b"}"#;
    let scene = Scene::new("login", &[sasl]);
    let mut daemon = scene.site.start(&["run"]);
    holds(&ended(&mut daemon, 78), &["transport.kafka.sasl", "expects a login"]);
}

#[test]
fn an_address_that_only_the_broker_names_and_nobody_reaches_is_told() {
    let (broker, turn) = Broker::ours();
    // Nobody listens where this listener sends its clients.
    let scene = Scene::at("sent", &[], broker, turn, &format!("127.0.0.1:{}", broker.proxied_port()));
    let mut daemon = scene.site.start(&["run"]);
    let line = daemon.line("trouble", |line| {
        let said = line["error"].as_str().unwrap_or_default();
        line["event"] == "broker_unreachable" && said.contains("advertised.listeners")
    });
    let said = line["error"].as_str().expect("an error");
    holds(said, &[&broker.advertised(), "transport.kafka.brokers"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_right_to_read_outputs_is_asked_for_only_after_a_crash() {
    let scene = Scene::new("rights", &["generator.enabled=false", "state.every=1h"]);
    for output in &scene.names.outputs {
        scene.bus.create(output, 1);
        scene.broker.write_only(output);
    }
    let lack = format!("User:ANONYMOUS lacks rights: Read on topic `{}`. ", scene.names.outputs[0]);
    let mut daemon = scene.site.start(&["run"]);
    for run in 1..4 {
        scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
        scene.until_published(&mut daemon, 100 * run);
        // In order, in order, and not.
        if run < 3 {
            assert!(daemon.stop().success(), "{}", daemon.story());
            // Each run says on the events topic that it publishes, also one to which nothing comes.
            for _ in 0..2 {
                daemon = scene.site.start(&["run"]);
                daemon.event("worker_started");
                assert!(daemon.stop().success(), "{}", daemon.story());
            }
            daemon = scene.site.start(&["run"]);
        }
    }
    daemon.kill();
    let mut daemon = scene.site.start(&["run"]);
    holds(&ended(&mut daemon, 1), &[&lack, "--operation Read --topic"]);
    assert_eq!(scene.published(), 300);
}

/// How often each sample of a partition is predicted, where it is more than once; all are there.
fn doubled(scene: &Scene, partition: i32, outputs: i32) -> BTreeMap<i64, Vec<(i32, i64)>> {
    let mut offsets: BTreeMap<i64, Vec<(i32, i64)>> = BTreeMap::new();
    for held in 0..outputs {
        for prediction in scene.bus.read(&scene.names.outputs[0], held) {
            if source_partition(Output::Predictions, &prediction) == partition {
                offsets.entry(source(Output::Predictions, &prediction)).or_default().push((held, prediction.offset));
            }
        }
    }
    assert!(offsets.keys().copied().eq(0..scene.bus.end(&scene.names.samples, partition)), "nothing is missing");
    offsets.retain(|_, offsets| offsets.len() > 1);
    offsets
}

/// Appends samples to partitions until the daemons have had enough time to meet.
fn feed(scene: &Scene, partitions: i32, mut enough: impl FnMut() -> bool) {
    while !enough() {
        (0..partitions).for_each(|partition| scene.bus.produce(&scene.names.samples, partition, b"k", samples(5)));
        scene.bus.pause(Duration::from_millis(20));
    }
}

#[test]
fn of_two_on_several_partitions_the_one_that_was_there_first_goes_on_with_all_of_them_whether_outputs_are_shared_or_not()
 {
    for outputs in [3, 1] {
        let scene = Scene::new("several", &["generator.enabled=false", "state.every=200ms"]);
        scene.broker.grow(&scene.names.samples, 3);
        scene.names.outputs.iter().for_each(|output| scene.bus.create(output, outputs));
        scene.bus.forget();
        // What has older identities is not older by that.
        let second =
            scene.names.site(&scene.broker.address(), &[&crate::SETTINGS, &["generator.enabled=false"][..]].concat());
        assert!(second.run(&["run", "--until-caught-up"]).status.success());
        let mut first = scene.site.start(&["run"]);
        all_begun(&scene, 3, &mut first);
        let mut second = second.start(&["run"]);
        let deadline = Instant::now() + Duration::from_secs(60);
        feed(&scene, 3, || {
            assert!(Instant::now() < deadline, "both go on");
            second.has_ended()
        });
        let said = ended(&mut second, 78);
        holds(&said, &["another Thalweg", &format!("process {} on host", first.id())]);
        let published = || (0..outputs).map(|held| scene.bus.end(&scene.names.outputs[0], held)).sum::<i64>();
        let goal = published() + 100;
        feed(&scene, 3, || {
            assert!(Instant::now() < deadline, "nobody goes on");
            published() > goal
        });
        assert!(!first.has_ended(), "{}", first.story());
        assert!(first.stop().success(), "{}", first.story());
        scene.caught_up();
        all_doubled_are_named(&scene, 3, outputs);
    }
}

/// Awaits that the workers of all partitions have begun, while samples come.
fn all_begun(scene: &Scene, partitions: i32, daemon: &mut Daemon) {
    feed(scene, partitions, || {
        assert!(!daemon.has_ended(), "{}", daemon.story());
        daemon.watch(Duration::from_millis(1));
        daemon.lines_of("worker_started").len() == partitions as usize
    });
}

/// The events name each sample that is predicted twice, and no other. Returns how many there are.
fn all_doubled_are_named(scene: &Scene, partitions: i32, outputs: i32) -> usize {
    let events = (0..outputs).flat_map(|held| scene.bus.read(&scene.names.outputs[2], held));
    let events: Vec<Value> = events.filter_map(|event| serde_json::from_slice(event.value.as_deref()?).ok()).collect();
    let of = |partition: i32| {
        let overlaps = events.iter().filter(|it| it["event"] == "overlap" && it["samples"]["partition"] == partition);
        let records = overlaps.flat_map(|event| event["records"].as_array().expect("records"));
        let named: BTreeSet<i64> = records.filter_map(|record| record["source"].as_i64()).collect();
        let doubled: BTreeSet<i64> = doubled(scene, partition, outputs).into_keys().collect();
        println!("{outputs} partitions of the outputs: {} of {partition} are there twice", doubled.len());
        assert_eq!(named, doubled, "{outputs} partitions of the outputs, partition {partition}");
        doubled.len()
    };
    (0..partitions).map(of).sum()
}

#[test]
fn what_rivals_have_doubled_that_were_there_for_a_moment_only_is_named_where_outputs_are_shared() {
    let scene = Scene::new("moment", &["generator.enabled=false", "state.every=200ms"]);
    scene.broker.grow(&scene.names.samples, 3);
    scene.names.outputs.iter().for_each(|output| scene.bus.create(output, 1));
    scene.bus.forget();
    let mut first = scene.site.start(&["run"]);
    all_begun(&scene, 3, &mut first);
    let twice = || {
        let predictions = scene.bus.read(&scene.names.outputs[0], 0);
        predictions.len() - predictions.iter().map(place).collect::<BTreeSet<_>>().len()
    };
    for _ in 0..4 {
        let site =
            scene.names.site(&scene.broker.address(), &[&crate::SETTINGS, &["generator.enabled=false"][..]].concat());
        let rival = site.start(&["run"]);
        let (before, deadline) = (twice(), Instant::now() + Duration::from_secs(60));
        feed(&scene, 3, || {
            assert!(Instant::now() < deadline, "nothing is there twice");
            twice() > before
        });
        // However it ends: killed, or because it has noticed.
        drop(rival);
    }
    assert!(!first.has_ended(), "{}", first.story());
    assert!(first.stop().success(), "{}", first.story());
    scene.caught_up();
    assert!(all_doubled_are_named(&scene, 3, 1) > 0, "nothing was there twice");
}

#[test]
fn outputs_that_are_given_as_many_partitions_as_the_samples_hold_each_once_after_a_crash() {
    let scene = Scene::new("enlarged", &["generator.enabled=false", "state.every=1h"]);
    scene.broker.grow(&scene.names.samples, 2);
    scene.bus.forget();
    scene.names.outputs.iter().for_each(|output| scene.bus.create(output, 1));
    let mut daemon = scene.site.start(&["run"]);
    (0..2).for_each(|partition| scene.bus.produce(&scene.names.samples, partition, b"k", samples(300)));
    daemon.line("all of it", |line| line["records"] == 600 && line["lag"] == 0);
    daemon.kill();
    scene.names.outputs.iter().for_each(|output| scene.broker.grow(output, 2));
    scene.bus.forget();
    let mut daemon = scene.site.start(&["run"]);
    (0..2).for_each(|partition| scene.bus.produce(&scene.names.samples, partition, b"k", samples(50)));
    daemon.line("all of it", |line| line["records"] == 700 && line["lag"] == 0);
    daemon.kill();
    scene.caught_up();
    for partition in 0..2 {
        assert_eq!(doubled(&scene, partition, 2), BTreeMap::new(), "partition {partition}");
    }
    assert_eq!(scene.bus.end(&scene.names.outputs[0], 1), 50, "what is new has a partition of its own");
}

#[test]
fn a_connection_that_the_broker_ends_while_nothing_comes_interrupts_nobody() {
    let scene = Scene::behind_proxy("rests", &["generator.enabled=false"]);
    let (listens, to) = (scene.broker.proxy_port(), scene.broker.proxied_port());
    let proxy = Proxy::start(listens, to);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("all of it", |line| line["records"] == 100 && line["lag"] == 0);
    drop(proxy);
    let _proxy = Proxy::start(listens, to);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    scene.until_published(&mut daemon, 200);
    assert!(daemon.stop().success());
    assert_eq!(daemon.lines_of("worker_interrupted"), Vec::<&Value>::new());
}

#[test]
fn of_two_that_publish_the_same_one_goes_on() {
    let scene = Scene::new("two", &[]);
    let mut first = scene.under_load(2000, 2000);
    let younger = scene.names.site(&scene.broker.address(), &[&crate::SETTINGS, REST].concat());
    let mut second = younger.start(&["run"]);
    let said = ended(&mut second, 78);
    holds(&said, &["another Thalweg", "transport.kafka.partitions", &scene.names.outputs[0]]);
    // It says where the other one runs.
    let state = scene.site.path("data/thalweg.db");
    let process = format!("process {} on host", first.id());
    holds(&said, &[&process, "client id thalweg", &state.display().to_string()]);
    let goal = scene.published() + 3000;
    scene.until_published(&mut first, goal);
    assert!(first.stop().success(), "{}", first.story());
    scene.caught_up();
    let mut offsets: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for prediction in scene.bus.read(&scene.names.outputs[0], 0) {
        offsets.entry(source(Output::Predictions, &prediction)).or_default().push(prediction.offset);
    }
    assert!(offsets.keys().copied().eq(0..scene.bus.end(&scene.names.samples, 0)), "nothing is missing");
    offsets.retain(|_, offsets| offsets.len() > 1);
    assert!(offsets.len() < 300, "{} twice", offsets.len());
    // What is there twice is named record by record.
    let events = scene.bus.read(&scene.names.outputs[2], 0);
    let events = events.iter().map(|event| serde_json::from_slice(event.value.as_deref().expect("a value")));
    let events: Vec<Value> = events.collect::<Result<_, _>>().expect("JSON");
    let overlaps = events.iter().filter(|event| event["event"] == "overlap");
    let records = overlaps.flat_map(|event| event["records"].as_array().expect("records"));
    let named: BTreeMap<i64, Vec<i64>> = records
        .map(|record| {
            let offsets = record["offsets"].as_array().expect("offsets").iter().filter_map(Value::as_i64).collect();
            (record["source"].as_i64().expect("an offset"), offsets)
        })
        .collect();
    assert_eq!(named, offsets);
    println!("{} records were there twice", offsets.len());
}

/// A machine that is cloned, or a backup that is started beside what it was made of.
#[test]
fn of_two_with_the_same_state_file_the_copy_ends_and_says_where_the_other_runs() {
    let scene = Scene::new("copied", &[]);
    let first = scene.under_load(2000, 2000);
    drop(first);
    let copy = scene.names.site(&scene.broker.address(), &[&crate::SETTINGS, REST].concat());
    // Nobody has it open, so that it is whole without its log.
    scene.caught_up();
    std::fs::copy(scene.site.path("data/thalweg.db"), copy.path("data/thalweg.db")).expect("a copy");
    let mut first = scene.under_load(2000, 1000);
    let mut second = copy.start(&["run"]);
    let said = ended(&mut second, 78);
    let state = scene.site.path("data/thalweg.db");
    holds(&said, &["another Thalweg", &format!("process {} on host", first.id()), &state.display().to_string()]);
    let goal = scene.published() + 2000;
    scene.until_published(&mut first, goal);
    assert!(first.stop().success(), "{}", first.story());
    scene.caught_up();
    let events = scene.bus.read(&scene.names.outputs[2], 0);
    let events = events.iter().map(|event| serde_json::from_slice(event.value.as_deref().expect("a value")));
    let events: Vec<Value> = events.collect::<Result<_, _>>().expect("JSON");
    let overlaps = events.iter().filter(|event| event["event"] == "overlap");
    let records = overlaps.flat_map(|event| event["records"].as_array().expect("records"));
    let named: BTreeSet<i64> = records.filter_map(|record| record["source"].as_i64()).collect();
    let doubled: BTreeSet<i64> = doubled(&scene, 0, 1).into_keys().collect();
    println!("{} records were there twice", doubled.len());
    assert_eq!(named, doubled);
}

#[test]
fn an_output_that_holds_what_others_made_is_refused() {
    let other = Names::unique("elsewhere", 1).samples;
    let prediction = format!(r#"{{"source":{{"topic":"{other}","partition":0,"offset":5}},"prediction":1.5}}"#);
    for (held, word) in [(prediction, &*other), (r#"{"order":17}"#.to_owned(), "another program")] {
        let scene = Scene::new("others", REST);
        let predictions = &scene.names.outputs[0];
        scene.bus.create(predictions, 1);
        scene.bus.produce(predictions, 0, b"k", vec![Some(held.into_bytes())]);
        scene.bus.produce(&scene.names.samples, 0, b"k", samples(10));
        let mut daemon = scene.site.start(&["run"]);
        holds(&ended(&mut daemon, 1), &[word, predictions, "{samples}.predictions", "output.shared"]);
        let topics = scene.bus.topics();
        assert!(!topics.contains_key(&scene.names.outputs[1]), "nothing was made by a start that came to nothing");
        let run = scene.site.run(&["run", "--until-caught-up", "--set", "output.shared=true"]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        assert_eq!(scene.bus.end(predictions, 0), 11);
    }
}

#[test]
fn no_report_of_an_outage_says_that_nothing_waits() {
    let scene = Scene::new("outage", REST);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("all of it", |line| line["records"] == 100 && line["lag"] == 0);
    scene.broker.kill();
    daemon.line("a report of the outage", |line| line["event"] == "report" && line["outage"] == true);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let line = daemon.event("report");
        assert!(line["lag"] != 0, "{line}");
    }
    scene.broker.start();
    scene.bus.forget();
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(50));
    daemon.line("all of that", |line| line["records"] == 150 && line["lag"] == 0);
    assert!(daemon.stop().success());
}

#[test]
fn samples_that_come_while_nothing_can_be_published_count_as_lag() {
    let scene = Scene::new("unpublished", &["generator.enabled=false", "transport.kafka.create_topics=false"]);
    for output in &scene.names.outputs {
        scene.bus.create(output, 1);
    }
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("all of it", |line| line["records"] == 100 && line["lag"] == 0);
    scene.bus.delete(&scene.names.outputs[0]);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(70));
    daemon.line("what waits", |line| lag(line) == Some(70));
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(30));
    daemon.line("what waits now", |line| lag(line) == Some(100));
    scene.bus.create(&scene.names.outputs[0], 1);
    daemon.line("all published", |line| line["records"] == 200 && line["lag"] == 0);
    assert!(daemon.stop().success());
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning_while_the_daemon_runs_and_after_a_restart() {
    let latest = ["generator.enabled=false", "transport.kafka.start=latest"];
    let scene = Scene::new("added", &latest);
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("worker_started");
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    daemon.line("all of it", |line| line["records"] == 100 && line["lag"] == 0);
    scene.broker.grow(&scene.names.samples, 3);
    scene.bus.forget();
    scene.bus.produce(&scene.names.samples, 2, b"k", samples(40));
    let added = daemon.event("partitions_added");
    assert_eq!((&added["partitions"], &added["added"]), (&json!(3), &json!(2)));
    let outputs = added["shared"].as_str().expect("the outputs that have fewer partitions");
    assert!(scene.names.outputs.iter().all(|output| outputs.contains(output)), "{outputs}");
    daemon.line("those of the new partition", |line| line["records"] == 140 && line["lag"] == 0);
    assert!(daemon.stop().success());

    scene.broker.grow(&scene.names.samples, 4);
    scene.bus.forget();
    scene.bus.produce(&scene.names.samples, 3, b"k", samples(30));
    let mut daemon = scene.site.start(&["run"]);
    daemon.line("those that came while nobody looked", |line| line["records"] == 170 && line["lag"] == 0);
    assert!(daemon.stop().success());
    let mut sources: Vec<(i32, i64)> = scene.bus.read(&scene.names.outputs[0], 0).iter().map(place).collect();
    sources.sort_unstable();
    let all: Vec<(i32, i64)> =
        [(0, 100), (2, 40), (3, 30)].iter().flat_map(|&(p, n)| (0..n).map(move |i| (p, i))).collect();
    assert_eq!(sources, all, "each sample is predicted once");
}

#[test]
fn a_list_of_partitions_stays_as_it_is_when_partitions_are_added() {
    let scene = Scene::new("listed", &["generator.enabled=false", "transport.kafka.partitions=[0]"]);
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("worker_started");
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    daemon.line("all of it", |line| line["records"] == 100 && line["lag"] == 0);
    scene.broker.grow(&scene.names.samples, 2);
    scene.bus.forget();
    scene.bus.produce(&scene.names.samples, 1, b"k", samples(40));
    // Which makes every worker look at the topic anew.
    scene.broker.kill();
    daemon.event("broker_unreachable");
    scene.broker.start();
    scene.bus.forget();
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(50));
    daemon.line("those of the one", |line| line["records"] == 150 && line["lag"] == 0);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();
    assert_eq!(daemon.lines_of("partitions_added"), Vec::<&Value>::new());
    assert_eq!(daemon.lines_of("worker_started").iter().filter(|line| line["partition"] != 0).count(), 0);
    let read: BTreeSet<i32> = scene.bus.read(&scene.names.outputs[0], 0).iter().map(|it| place(it).0).collect();
    assert_eq!(read, BTreeSet::from([0]), "the other partition is another process's");
}

/// Nothing comes of the timer within that time.
const BEFORE_THE_TIMER: Duration = Duration::from_secs(18);

#[test]
fn partitions_that_are_added_are_looked_for_at_once_when_a_connection_is_made_anew() {
    let scene = Scene::behind_proxy("hinted", &["generator.enabled=false"]);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    let begun = Instant::now();
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("worker_started");
    scene.broker.grow(&scene.names.samples, 2);
    proxy.cut_all();
    daemon.event("partitions_added");
    assert!(begun.elapsed() < BEFORE_THE_TIMER, "{:?}", begun.elapsed());
    assert!(daemon.stop().success(), "{}", daemon.story());
}

#[test]
fn partitions_that_are_added_are_looked_for_at_once_when_the_topic_is_asked_about() {
    let scene = Scene::new("hinted", &["generator.enabled=false"]);
    let begun = Instant::now();
    let mut daemon = scene.site.start(&["run"]);
    daemon.event("worker_started");
    scene.broker.grow(&scene.names.samples, 2);
    // An output that goes leads to a look at who leads what.
    scene.bus.delete(&scene.names.outputs[0]);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(10));
    daemon.event("partitions_added");
    assert!(begun.elapsed() < BEFORE_THE_TIMER, "{:?}", begun.elapsed());
    assert!(daemon.stop().success(), "{}", daemon.story());
}

#[test]
fn who_asks_over_http_is_told_of_a_broker_that_is_away_before_the_start_and_for_half_a_minute() {
    let scene = Scene::behind_proxy("told", &["generator.enabled=false", "http.listen=127.0.0.1:0"]);
    let (listens, to) = (scene.broker.proxy_port(), scene.broker.proxied_port());
    let mut daemon = scene.site.start(&["run"]);
    let address = http::address(&mut daemon);
    let until = |path: &str, code: u16| {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let answer = http::get(address, path);
            if answer.code == code {
                return answer.body;
            }
            assert!(Instant::now() < deadline, "{path}: {} {}", answer.code, answer.body);
            scene.bus.pause(Duration::from_millis(50));
        }
    };
    holds(&until("/healthz", 200), &["being opened"]);
    until("/readyz", 503);
    let proxy = Proxy::start(listens, to);
    scene.bus.produce(&scene.names.samples, 0, b"k", samples(100));
    until("/readyz", 200);
    drop(proxy);
    holds(&until("/healthz", 503), &["has not answered for 3"]);
    until("/readyz", 200);
    let _proxy = Proxy::start(listens, to);
    until("/healthz", 200);
    assert!(daemon.stop().success());
}
