//! kill -9 on a real Apache Kafka, at seeded random moments: nothing lost, nothing twice, and not a bit of difference to
//! a run that nobody killed.
//!
//! Needs THALWEG_TEST_BROKERS=host:port, as tests/kafka.rs does.

#[path = "support/broker_client.rs"]
mod broker_client;
mod support;

use std::{ops::Range, slice::from_ref, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use broker_client::{BrokerClient, Names, proved};
use support::{
    daemon::Workspace,
    kill_loop::{ENSEMBLES, Ground, MODELS, Plan, kill_loop},
    proof::{FOREIGN, Proof, source},
    two_topics,
};
use thalweg::topic::{Output, record::Record};

struct OnKafka {
    bus: BrokerClient,
    names: Names,
    site: Workspace,
    models: &'static str,
    /// Settings that runs have in turns.
    turns: &'static [&'static str],
}

impl OnKafka {
    fn new(name: &str, partitions: i32, models: &'static str, settings: &[&str]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the broker is, is no setting of the daemon")]
        let broker = std::env::var("THALWEG_TEST_BROKERS");
        let bus = BrokerClient::new(
            broker.expect("THALWEG_TEST_BROKERS names no broker; start one with `tests/kafka/kafka start`"),
        );
        let names = Names::unique(name, partitions);
        let site = names.site(bus.address(), &[settings, &[models]].concat());
        Self { bus, names, site, models, turns: &[] }
    }

    /// All that a finished run owes, for the source offsets of `sources`.
    fn proved(&self, sources: &[Range<i64>], start: &str) -> Proof {
        let mut proof = proved(&self.bus, &self.names, &self.site, sources, start, &[self.models]);
        let dead_letters: i64 =
            (0..self.names.output_partitions).map(|p| self.bus.end(&self.names.outputs[1], p)).sum();
        proof.holds("there are dead letters", dead_letters > 0);
        proof
    }

    /// From the first offset of each partition to its end.
    fn whole(&self) -> Vec<Range<i64>> {
        (0..self.names.partitions).map(|partition| 0..self.bus.end(&self.names.samples, partition)).collect()
    }
}

impl Ground for OnKafka {
    fn site(&self) -> &Workspace {
        &self.site
    }

    fn published(&self) -> i64 {
        self.bus.published(&self.names)
    }

    fn besides(&self, run: usize) -> Option<&'static str> {
        self.turns.get(run % self.turns.len().max(1)).copied()
    }

    fn mix_in(&self, values: &[Option<Vec<u8>>]) {
        if self.bus.topics().get(&self.names.samples) != Some(&self.names.partitions) {
            return;
        }
        for (partition, values) in (0..self.names.partitions).zip(values.chunks(values.len().div_ceil(3))) {
            self.bus.produce(&self.names.samples, partition, FOREIGN, values.to_vec());
        }
    }
}

#[test]
fn a_hundred_kills_on_kafka_lose_nothing_double_nothing_and_change_no_bit() {
    let ground = OnKafka::new("kill", 3, MODELS, &["state.every=120ms"]);
    let plan = Plan { kills: 100, seed: 3, work: Duration::from_millis(400), rate: 8_000, full_speed: 10 };
    let report = kill_loop(&ground, &plan);
    let proof = ground.proved(&ground.whole(), "earliest");
    println!("Kafka: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_on_kafka_of_workers_that_share_a_partition_of_the_outputs_lose_and_double_nothing() {
    let mut ground = OnKafka::new("shared", 3, MODELS, &["state.every=120ms"]);
    ground.names.output_partitions = 2;
    ground.names.outputs.iter().for_each(|output| ground.bus.create(output, 2));
    let plan = Plan { kills: 30, seed: 7, work: Duration::from_millis(400), rate: 8_000, full_speed: 10 };
    let report = kill_loop(&ground, &plan);
    let proof = ground.proved(&ground.whole(), "earliest");
    println!("Kafka, three into two: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_between_predictions_in_json_and_in_avro_lose_and_double_nothing_and_change_no_bit() {
    let mut ground = OnKafka::new("forms", 2, MODELS, &["state.every=250ms"]);
    ground.turns = &["output.format=avro", "output.format=json", "output.format=avro"];
    let plan = Plan { kills: 14, seed: 11, work: Duration::from_millis(400), rate: 8_000, full_speed: 10 };
    let report = kill_loop(&ground, &plan);
    let mut proof = ground.proved(&ground.whole(), "earliest");
    let switches = |partition: i32| {
        let records = ground.bus.read(&ground.names.outputs[0], partition);
        let is_avro = |record: &Record| record.value.as_deref().is_some_and(|value| value.starts_with(&[0xc3, 0x01]));
        records.windows(2).filter(|two| is_avro(&two[0]) != is_avro(&two[1])).count()
    };
    let switches: usize = (0..ground.names.output_partitions).map(switches).sum();
    proof.holds(format!("both forms are there in turns: {switches} switches"), switches > 3);
    println!("Kafka, both forms ({switches} switches): {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_on_kafka_before_the_first_checkpoint_are_survived_too() {
    let ground = OnKafka::new("first", 2, ENSEMBLES, &["state.every=1h"]);
    let plan = Plan { kills: 15, seed: 4, work: Duration::from_millis(300), rate: 5_000, full_speed: 15 };
    let report = kill_loop(&ground, &plan);
    let proof = ground.proved(&ground.whole(), "earliest");
    println!("Kafka, first checkpoint: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn what_began_at_the_latest_record_goes_on_from_there_however_often_it_is_killed() {
    let ground = OnKafka::new("latest", 1, MODELS, &["state.every=200ms", "transport.kafka.start=latest"]);
    // Samples of before; none of them may be predicted.
    ground.bus.create(&ground.names.samples, 1);
    let before = || (0..2000).map(|i| Some(format!(r#"{{"x0":0.5,"x1":{i},"y":1}}"#).into_bytes()));
    ground.bus.produce(&ground.names.samples, 0, FOREIGN, before());
    let plan = Plan { kills: 25, seed: 5, work: Duration::from_millis(300), rate: 5_000, full_speed: 25 };
    let report = kill_loop(&ground, &plan);

    let end = ground.bus.end(&ground.names.samples, 0);
    let topics = ground.bus.all(&ground.names);
    let published = [Output::Predictions, Output::DeadLetters]
        .into_iter()
        .filter_map(|output| topics.of(output)[0].first().map(|record| source(output, record)));
    let first = published.min().expect("a prediction");
    let mut proof = ground.proved(from_ref(&(first..end)), &first.to_string());
    proof.holds(format!("it began at {first}, before the end of then"), first >= 2000);
    println!("Kafka, latest: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_on_kafka_change_no_bit_of_a_mixture_a_champion_and_intervals() {
    let ground = OnKafka::new("ensembles", 2, ENSEMBLES, &["state.every=120ms"]);
    let plan = Plan { kills: 30, seed: 8, work: Duration::from_millis(400), rate: 3_000, full_speed: 15 };
    let report = kill_loop(&ground, &plan);
    let mut proof = ground.proved(&ground.whole(), "earliest");
    proof.mixture_and_intervals(&ground.bus.all(&ground.names));
    println!("Kafka, ensembles: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn models_that_join_on_kafka_are_those_of_a_run_that_had_them_from_the_start_also_after_kills() {
    const BEFORE: &str = r#"models=[{kind="mean"},{kind="linear"}]"#;
    const AFTER: &str = r#"models=[{name="tree",kind="hoeffding_tree"},{kind="linear"},{name="best",kind="champion"}]"#;
    const COUNT: u64 = 60_000;
    // So slow that records are still to come when models have caught up.
    let settings = ["generator.count=60000", "generator.rate=10000", "state.every=120ms", "metrics.report_every=20ms"];
    let predicted = |ground: &OnKafka| -> Vec<serde_json::Value> {
        let all = ground.bus.read(&ground.names.outputs[0], 0);
        let parsed = all.iter().map(|it| serde_json::from_slice(it.value.as_deref().expect("a value")).expect("JSON"));
        parsed.collect()
    };
    let whole = |ground: &OnKafka| {
        let mut daemon = ground.site.start(&["run"]);
        daemon.line("all", |line| line["event"] == "report" && line["records"].as_u64() >= Some(COUNT));
        assert!(daemon.stop().success());
        predicted(ground)
    };
    let calm = [BEFORE, AFTER].map(|models| whole(&OnKafka::new("calm", 1, models, &settings)));

    let mut ground = OnKafka::new("joining", 1, BEFORE, &settings);
    let mut daemon = ground.site.start(&["run"]);
    daemon.line("a half", |line| line["event"] == "report" && line["records"].as_u64() >= Some(COUNT / 2));
    daemon.kill();
    let models = ground.site.settings.iter_mut().find(|it| it.starts_with("models="));
    *models.expect("models") = AFTER.into();
    for _ in 0..3 {
        let mut daemon = ground.site.start(&["run"]);
        daemon.event("model_learning");
        daemon.event("worker_started");
        daemon.kill();
    }
    let got = whole(&ground);
    let joined = got.iter().position(|it| it["predictions"].get("tree").is_some()).expect("the tree joins");
    assert!(joined as u64 >= COUNT / 2, "{joined}");
    assert_eq!(got.len() as u64, COUNT);
    for (offset, got) in got.iter().enumerate() {
        let wanted = &calm[usize::from(offset >= joined)][offset];
        assert_eq!(
            (&got["source"]["offset"], &got["predictions"]),
            (&offset.into(), &wanted["predictions"]),
            "{joined}"
        );
    }
    println!("Kafka, joining: {joined} of {COUNT} before");
}

/// Values of records.
fn values(range: Range<usize>, record: fn(usize) -> Value) -> impl Iterator<Item = Option<Vec<u8>>> {
    range.map(move |i| Some(record(i).to_string().into_bytes()))
}

/// The settings of samples whose labels have a topic of their own.
fn of_two_topics(labels: &str) -> Vec<String> {
    let mut settings: Vec<String> = two_topics::SETTINGS.iter().map(|it| (*it).to_owned()).collect();
    settings.extend([format!("topics.labels={labels}"), "state.every=120ms".to_owned(), MODELS.to_owned()]);
    settings
}

#[test]
fn kills_on_kafka_amid_two_topics_change_no_bit_whatever_came_first() {
    const PARTITIONS: usize = 2;
    let labels_of = |names: &Names| format!("{}.labels", names.samples);
    let topics_of = |names: &Names| [names.samples.clone(), labels_of(names)];
    let mut ground = OnKafka::new("two", PARTITIONS as i32, MODELS, &[]);
    let labels_topic = labels_of(&ground.names);
    let settings = of_two_topics(&labels_topic);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    ground.site = ground.names.site(ground.bus.address(), &settings);
    ground.site.settings.push("generator.enabled=false".to_owned());
    topics_of(&ground.names).iter().for_each(|topic| ground.bus.create(topic, PARTITIONS as i32));
    let mut rng = ChaCha8Rng::seed_from_u64(82);
    let (mut samples, mut labels) = ([0; PARTITIONS], [0; PARTITIONS]);
    for _ in 0..100 {
        let mut daemon = ground.site.start(&["run"]);
        for _ in 0..rng.random_range(2..6) {
            for p in 0..PARTITIONS {
                let produce = |topic: &str, range, record| {
                    ground.bus.produce_at(topic, p as i32, b"key", 1_700_000_000_000, values(range, record));
                };
                let to = samples[p] + rng.random_range(1..120);
                produce(&ground.names.samples, samples[p]..to, two_topics::sample);
                samples[p] = to;
                // Some wait for the next round, and some overtake their samples.
                let to = (to + 3).min(labels[p] + rng.random_range(0..160)).max(labels[p]);
                produce(&labels_topic, labels[p]..to, two_topics::label);
                labels[p] = to;
            }
            let after = samples.iter().sum::<usize>() as i64 - rng.random_range(0..150);
            let predictions = &ground.names.outputs[0];
            ground.bus.until("predictions", || {
                daemon.watch(Duration::ZERO);
                let made = ground.bus.topics().get(predictions) == Some(&(PARTITIONS as i32));
                made && (0..PARTITIONS as i32).map(|p| ground.bus.end(predictions, p)).sum::<i64>() >= after
            });
        }
        daemon.kill();
    }
    let caught_up = ground.site.run(&["run", "--until-caught-up"]);
    assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));
    let topics = ground.bus.all(&ground.names);

    let fresh = Names::unique("two", PARTITIONS as i32);
    let other_labels = labels_of(&fresh);
    let settings = of_two_topics(&other_labels);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    topics_of(&fresh).iter().for_each(|topic| ground.bus.create(topic, PARTITIONS as i32));
    let mut proof = Proof::default();
    let mut switches = 0;
    for p in 0..PARTITIONS {
        let predictions = &topics.of(Output::Predictions)[p];
        let known = two_topics::known(predictions);
        proof.holds(format!("partition {p}: each sample has one prediction"), predictions.len() == samples[p]);
        proof.holds(format!("partition {p}: predictions know of ever more labels"), known.is_sorted());
        switches += known.windows(2).filter(|two| two[0] < two[1]).count();
        let (of_samples, of_labels) = two_topics::placed(&known, samples[p], labels[p]);
        let timed = [
            (&fresh.samples, of_samples, two_topics::sample as fn(usize) -> Value),
            (&other_labels, of_labels, two_topics::label),
        ];
        for (topic, times, record) in timed {
            ground.bus.produce_timed(
                topic,
                p as i32,
                b"key",
                times.iter().copied().zip(values(0..times.len(), record)),
            );
        }
    }
    let mut site = fresh.site(ground.bus.address(), &settings);
    site.settings.push("generator.enabled=false".to_owned());
    let run = site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let [ours, theirs] = [&ground.names, &fresh].map(topics_of);
    let without = |topics, names: &[String; 2]| two_topics::without_times(topics, [&names[0], &names[1]]);
    proof.same_outputs(&without(topics, &ours), &without(ground.bus.all(&fresh), &theirs));
    proof.same_learned([(&ground.site, &ours[0]), (&site, &theirs[0])], PARTITIONS);
    let (samples, labels) = (samples.iter().sum::<usize>(), labels.iter().sum::<usize>());
    println!("Kafka: {samples} samples, {labels} labels, {switches} places where labels came; {}", proof.summary());
    proof.hold();
    assert!(switches > 200, "labels came at {switches} places only");
}
