//! What a real Apache Kafka and the network to it can do to a daemon: die, freeze, be away, cut and delay connections,
//! lose, refuse and drop records and topics. After each: nothing lost, nothing twice, the same bits as undisturbed, a
//! bounded memory, and a log that says what happens and what will happen next.
//!
//! Needs a JDK and Maven, but no running broker: the suite starts its own, two alone and three that are a cluster, on ports from
//! THALWEG_TEST_FAULT_PORT on (29192 unless set) and removes them when it is done. Its tests take turns to use them, so that as many
//! go on at once as there are, if there are more threads than that: those that wait cost nothing.

#[path = "../support/broker_client.rs"]
mod broker_client;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod broker;
mod check;
mod cluster;
mod connections;
mod dead_letters;
mod gaps;
mod limits;
mod many;
mod numbers;
mod oauth;
mod outages;
mod quotas;
mod retention;
mod rights;
mod rows;
mod secure;
mod topic_settings;
mod topics;
mod trouble;

use std::ops::Range;

use broker::{Broker, Turn};
use broker_client::{BrokerClient, Names, proved};
use serde_json::Value;
use support::{
    PATIENCE,
    daemon::{Daemon, Workspace},
    kill_loop::Ground,
    proof::FOREIGN,
};

/// Short enough that a test sees several tries.
const SETTINGS: [&str; 6] = [
    "state.every=200ms",
    "metrics.report_every=100ms",
    "transport.kafka.request_timeout=1s",
    "transport.kafka.backoff_max=500ms",
    "transport.kafka.fetch_wait=200ms",
    r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree",grace_period=50}]"#,
];

/// A test's own topics and daemon, on a broker, or the cluster, that is its own until it ends.
struct Scene<B: 'static = Broker> {
    bus: BrokerClient,
    names: Names,
    site: Workspace,
    broker: &'static B,
    _turn: Turn,
}

impl Scene {
    /// On the broker itself.
    fn new(name: &str, settings: &[&str]) -> Self {
        let (broker, turn) = Broker::ours();
        Self::at(name, settings, broker, turn, &broker.address())
    }

    /// Behind a proxy, which the test has to start.
    fn behind_proxy(name: &str, settings: &[&str]) -> Self {
        let (broker, turn) = Broker::ours();
        Self::at(name, settings, broker, turn, &broker.advertised())
    }

    fn at(name: &str, settings: &[&str], broker: &'static Broker, turn: Turn, at: &str) -> Self {
        let bus = BrokerClient::new(broker.address());
        let names = Names::unique(name, 1);
        if settings.contains(&"generator.enabled=false") {
            bus.create(&names.samples, names.partitions);
        }
        let site = names.site(at, &[&SETTINGS, settings].concat());
        Self { bus, names, site, broker, _turn: turn }
    }
}

impl<B> Scene<B> {
    /// The daemon with the generator at `rate`, once it has published `count` records more than there were.
    fn under_load(&self, rate: u32, count: i64) -> Daemon {
        let goal = self.published() + count;
        let mut daemon = self.site.start(&["run", "--set", &format!("generator.rate={rate}")]);
        self.until_published(&mut daemon, goal);
        daemon
    }

    /// Awaits that so many records are published.
    fn until_published(&self, daemon: &mut Daemon, goal: i64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.published() < goal {
            assert!(!daemon.has_ended(), "the daemon ended; said {}", daemon.story());
            let (have, seen) = (self.published(), daemon.story());
            assert!(std::time::Instant::now() < deadline, "{have} of {goal} published; said {seen}");
            daemon.watch(std::time::Duration::from_millis(5));
        }
    }

    /// Awaits that it goes on, lets it end in order and catch up, and holds it to all that it owes.
    fn settle(&self, mut daemon: Daemon) -> Daemon {
        let goal = self.published() + 500;
        self.until_published(&mut daemon, goal);
        assert!(daemon.stop().success(), "it did not end in order: {}", daemon.story());
        self.caught_up();
        self.prove();
        daemon
    }

    fn caught_up(&self) {
        let run = self.site.run(&["run", "--until-caught-up"]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    /// Every sample once, the same bits as undisturbed, nothing generated twice.
    fn prove(&self) {
        let all = (0..self.names.partitions).map(|partition| 0..self.bus.end(&self.names.samples, partition));
        let all: Vec<Range<i64>> = all.collect();
        let proof = proved(&self.bus, &self.names, &self.site, &all, "earliest", &SETTINGS);
        println!("{}: {}", self.names.samples, proof.summary());
        proof.hold();
    }

    /// Appends samples `range` of what `generate` prints, as another producer.
    fn produce(&self, range: std::ops::Range<usize>) {
        let printed = support::daemon::stdout(&self.site.run(&["generate", "-n", &range.end.to_string()]));
        let values = printed.lines().skip(range.start).map(|line| Some(line.as_bytes().to_vec()));
        self.bus.produce(&self.names.samples, 0, FOREIGN, values);
    }
}

impl<B> Ground for Scene<B> {
    fn site(&self) -> &Workspace {
        &self.site
    }

    fn published(&self) -> i64 {
        self.bus.published(&self.names)
    }

    fn mix_in(&self, values: &[Option<Vec<u8>>]) {
        self.bus.produce(&self.names.samples, 0, FOREIGN, values.to_vec());
    }
}

/// A log line about trouble tells what was being done, what is wrong, and what happens next and when.
fn explains(line: &Value) {
    for field in ["action", "next_try", "error", "message"] {
        assert!(line[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {line}");
    }
    assert!(line["attempt"].is_u64(), "attempt in {line}");
    assert!(line["message"].as_str().is_some_and(|text| text.contains("trying again")), "{line}");
}
