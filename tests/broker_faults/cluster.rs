//! A cluster of three brokers, each of which may go and come, and leaders that move, under load: what is led by a broker
//! that is not there goes on elsewhere, nothing is lost or doubled.
//!
//! All tests share one cluster, which is whole again when a test begins.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{LazyLock, Mutex, OnceLock},
    time::Duration,
};

use serde_json::Value;
use thalweg::topic::Output;

use crate::{
    SETTINGS, Scene,
    broker::{Turn, Turns, free_ports, keeper, run, script},
    broker_client::{BrokerClient, Names},
    support::{daemon::Daemon, proof::Proof},
};

const BROKERS: u16 = 3;

/// Three brokers that are their own controllers.
pub struct Cluster {
    port: u16,
    /// tests/kafka/Cluster.java: its standard input and output.
    administrator: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _processes: Mutex<[Child; 2]>,
}

impl Cluster {
    /// The cluster, all of it there and in sync, and the turn to use it.
    fn ours() -> (&'static Self, Turn) {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static TURNS: LazyLock<Turns> = LazyLock::new(|| Turns::new(vec![0]));
        let turn = TURNS.wait(|_| true);
        let cluster = CLUSTER.get_or_init(|| {
            let port = free_ports(100, 10 * BROKERS);
            let keeper = keeper(port);
            run(started(port).args(["--brokers", &BROKERS.to_string()]));
            let mut administrator = script(port)
                .arg("cluster")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("the script runs");
            let input = administrator.stdin.take().expect("stdin is piped");
            let output = BufReader::new(administrator.stdout.take().expect("stdout is piped"));
            Cluster {
                port,
                administrator: Mutex::new((input, output)),
                _processes: Mutex::new([keeper, administrator]),
            }
        });
        // What a test that failed has left away.
        run(&mut started(cluster.port));
        cluster.synced();
        BrokerClient::new(cluster.addresses(&[1, 2, 3])).delete_all();
        (cluster, turn)
    }

    /// Of the broker of that number, from 1 on.
    fn address(&self, broker: u16) -> String {
        format!("127.0.0.1:{}", self.port + 10 * (broker - 1))
    }

    /// With commas.
    fn addresses(&self, brokers: &[u16]) -> String {
        brokers.iter().map(|broker| self.address(*broker)).collect::<Vec<_>>().join(",")
    }

    fn stop(&self, broker: u16) {
        run(script(self.port).args(["stop", &broker.to_string()]));
    }

    fn kill(&self, broker: u16) {
        run(script(self.port).args(["kill", &broker.to_string()]));
    }

    /// Starts a broker and awaits that it has caught up with the others.
    fn start(&self, broker: u16) {
        run(started(self.port).arg(broker.to_string()));
        self.synced();
    }

    fn freeze(&self, broker: u16) {
        run(script(self.port).args(["freeze", &broker.to_string()]));
    }

    /// Lets a broker go on and awaits that it has caught up with the others.
    fn thaw(&self, broker: u16) {
        run(script(self.port).args(["thaw", &broker.to_string()]));
        self.synced();
    }

    /// Holds a client back by `key=value`, on each broker.
    fn limit(&self, client_id: &str, quota: &str) {
        run(script(self.port).args(["quota", client_id, quota]));
    }

    fn synced(&self) {
        self.tell(&format!("synced {BROKERS}"));
    }

    /// The broker that leads a partition.
    fn leader(&self, topic: &str, partition: i32) -> u16 {
        self.tell(&format!("leader {topic} {partition}")).trim().parse().expect("a broker")
    }

    /// Moves a partition to these brokers, of which the first is to lead.
    fn shift(&self, topic: &str, partition: i32, to: &[u16]) {
        let to: Vec<String> = to.iter().map(u16::to_string).collect();
        self.tell(&format!("move {topic} {partition} {}", to.join(" ")));
    }

    /// Awaits that it is done; the answer.
    fn tell(&self, command: &str) -> String {
        let mut administrator = self.administrator.lock().expect("a lock");
        let (input, output) = &mut *administrator;
        writeln!(input, "{command}").and_then(|()| input.flush()).expect("the administrator runs");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("text");
        answer.strip_prefix("done").unwrap_or_else(|| panic!("no answer to `{command}`")).to_owned()
    }
}

fn started(port: u16) -> std::process::Command {
    let mut command = script(port);
    command.arg("start").env("THALWEG_KAFKA_HEAP", "384m");
    command
}

impl Scene<Cluster> {
    /// A partition for each broker, with replicas on all; the daemon is told of `listed` alone.
    fn on_cluster(name: &str, listed: &[u16], settings: &[&str]) -> Self {
        let (cluster, turn) = Cluster::ours();
        let bus = BrokerClient::new(cluster.addresses(&[1, 2, 3]));
        let names = Names::unique(name, i32::from(BROKERS));
        let settings = [&SETTINGS[..], &["transport.kafka.replication_factor=3"], settings].concat();
        let site = names.site(&cluster.addresses(listed), &settings);
        Self { bus, names, site, broker: cluster, _turn: turn }
    }

    /// Awaits that it has published the predictions of `more` samples from here on.
    fn goes_on(&self, daemon: &mut Daemon, more: u64) {
        daemon.watch(Duration::ZERO);
        let published = |line: &Value| line["records"].as_u64().filter(|_| line["event"] == "report");
        let first = published(&daemon.event("report")).expect("records");
        daemon.line("that it goes on", |line| published(line).is_some_and(|records| records >= first + more));
    }

    /// The same as `settle`, once the cluster is whole again.
    fn settle_whole(&self, daemon: Daemon) {
        self.bus.forget();
        let daemon = self.settle(daemon);
        for trouble in ["gap", "foreign_records", "new_producer", "failed"] {
            assert_eq!(daemon.lines_of(trouble), Vec::<&Value>::new());
        }
    }

    fn predictions(&self) -> &str {
        &self.names.outputs[Output::Predictions as usize]
    }
}

#[test]
fn a_rolling_restart_of_all_brokers_under_load_costs_nothing() {
    let scene = Scene::on_cluster("rolling", &[1, 2, 3], &[]);
    let mut daemon = scene.under_load(2000, 2000);
    for broker in 1..=BROKERS {
        scene.broker.stop(broker);
        scene.goes_on(&mut daemon, 2000);
        scene.broker.start(broker);
    }
    scene.settle_whole(daemon);
}

#[test]
fn the_leader_of_each_partition_may_be_killed_under_load() {
    let scene = Scene::on_cluster("killed-leaders", &[1, 2, 3], &[]);
    let mut daemon = scene.under_load(2000, 2000);
    for partition in 0..scene.names.partitions {
        let leader = scene.broker.leader(scene.predictions(), partition);
        scene.broker.kill(leader);
        scene.goes_on(&mut daemon, 2000);
        assert_ne!(scene.broker.leader(scene.predictions(), partition), leader);
        scene.broker.start(leader);
    }
    scene.settle_whole(daemon);
}

/// Until the broker is taken out of the replicas in sync, the leaders have records that nobody may read yet.
#[test]
fn a_replica_that_freezes_under_load_makes_nothing_double() {
    let scene = Scene::on_cluster("frozen-replica", &[1, 2, 3], &[]);
    // Samples go on coming, so that other batches are tried than those that are there unseen.
    scene.bus.create(&scene.names.samples, scene.names.partitions);
    for (partition, broker) in [(0, 1), (1, 3), (2, 1)] {
        scene.broker.shift(&scene.names.samples, partition, &[broker]);
    }
    let mut daemon = scene.under_load(2000, 2000);
    scene.broker.freeze(2);
    scene.goes_on(&mut daemon, 2000);
    scene.broker.thaw(2);
    scene.settle_whole(daemon);
}

#[test]
fn partitions_that_move_to_other_brokers_under_load_lose_and_double_nothing() {
    let scene = Scene::on_cluster("moved", &[1, 2, 3], &["transport.kafka.replication_factor=2"]);
    let mut daemon = scene.under_load(2000, 2000);
    for to in [[1, 2], [2, 3], [3, 1]] {
        for topic in scene.names.outputs.iter().chain([&scene.names.samples]) {
            for partition in 0..scene.names.partitions {
                scene.broker.shift(topic, partition, &to);
            }
        }
        scene.goes_on(&mut daemon, 2000);
    }
    assert_eq!(scene.broker.leader(scene.predictions(), 1), 3);
    scene.settle_whole(daemon);
}

#[test]
fn the_only_broker_that_is_listed_may_be_away_once_the_daemon_knows_the_others() {
    let scene = Scene::on_cluster("only-listed", &[1], &[]);
    let mut daemon = scene.under_load(2000, 2000);
    scene.broker.kill(1);
    scene.goes_on(&mut daemon, 4000);
    scene.broker.start(1);
    scene.settle_whole(daemon);
}

#[test]
fn a_start_with_one_listed_broker_down_asks_the_other() {
    let scene = Scene::on_cluster("down-at-the-start", &[1, 2], &[]);
    scene.broker.stop(1);
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=2000"]);
    scene.goes_on(&mut daemon, 4000);
    scene.broker.start(1);
    scene.settle_whole(daemon);
}

#[test]
fn quotas_of_all_brokers_are_waited_for_and_all_samples_are_predicted_once() {
    const EACH: i64 = 6000;
    let client_id = format!("cluster-quota-{}", std::process::id());
    let client = format!("transport.kafka.client_id={client_id}");
    let scene = Scene::on_cluster("cluster-quota", &[1, 2, 3], &["generator.enabled=false", &client]);
    scene.bus.create(&scene.names.samples, scene.names.partitions);
    for partition in 0..scene.names.partitions {
        let sample = |i: i64| Some(format!(r#"{{"x":{i},"y":{}}}"#, i % 7).into_bytes());
        scene.bus.produce(&scene.names.samples, partition, b"k", (0..EACH).map(sample));
    }
    scene.broker.limit(&client_id, "consumer_byte_rate=8000,producer_byte_rate=120000");
    let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success(), "{}", daemon.story());
    assert!(!daemon.lines_of("throttled").is_empty(), "the quota does not bite");
    // `broker_unreachable` may come of a young cluster, which loads its coordinators when they are first asked.
    for trouble in ["worker_interrupted", "stalled", "failed"] {
        assert_eq!(daemon.lines_of(trouble), Vec::<&Value>::new());
    }
    let mut proof = Proof::default();
    proof.each_once(&scene.bus.all(&scene.names), &vec![0..EACH; scene.names.partitions as usize]);
    println!("{}", proof.summary());
    proof.hold();
}
