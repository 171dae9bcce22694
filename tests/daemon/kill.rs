//! kill -9 on the embedded transport, a hundred times at seeded random moments: nothing lost, nothing twice, and not a
//! bit of difference to a run that nobody killed.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use crate::support::{
    PATIENCE,
    daemon::{Workspace, stdout},
    kill_loop::{ENSEMBLES, Ground, MODELS, Plan, kill_loop},
    proof::{FOREIGN, Proof, Topics},
};
use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;
use thalweg::topic::record::{Headers, Record};

/// The records that are mixed in are not the generator's.
pub const AMONG: &str = "generator.into_foreign_topic=true";

/// All that is published has to be there at the end.
pub const KEEP_ALL: &str = "transport.embedded.retention_records=100000000";

pub struct StateFile {
    pub site: Workspace,
    pub partitions: i32,
}

/// Appends records to the samples of a partition that has them up to there.
pub fn fill(site: &Workspace, range: Range<usize>, record: impl Fn(usize) -> Value) {
    let state = site.state();
    let tx = state.unchecked_transaction().expect("a transaction");
    for i in range {
        let row = params![i as i64, 1_700_000_000_000_i64, record(i).to_string().into_bytes()];
        tx.execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", row).expect("insert");
    }
    tx.commit().expect("commit");
}

/// Records that somebody else writes, and a daemon that is killed amid them.
pub struct Batches {
    pub rounds: usize,
    /// Records of a round.
    pub records: usize,
    /// A kill comes before so many of its answers are there.
    pub answers: i64,
    pub seed: u64,
}

impl Batches {
    /// Returns what was published, with the proof that a run without kills publishes and learns the same.
    pub fn killed_amid(&self, settings: &[&str], record: fn(usize) -> Value) -> (StateFile, Topics, Proof) {
        let settings = [&["state.every=50ms", KEEP_ALL, MODELS], settings].concat();
        let ground = StateFile { site: Workspace::new(&settings), partitions: 1 };
        assert!(ground.site.run(&["run", "--until-caught-up"]).status.success());
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for round in 0..self.rounds {
            fill(&ground.site, round * self.records..(round + 1) * self.records, record);
            let (before, mut daemon) = (ground.published(), ground.site.start(&["run"]));
            let (deadline, after) = (Instant::now() + PATIENCE, before + rng.random_range(0..self.answers));
            while ground.published() < after {
                assert!(Instant::now() < deadline, "{}", daemon.story());
                daemon.watch(Duration::from_millis(1));
            }
            daemon.kill();
        }
        let caught_up = ground.site.run(&["run", "--until-caught-up"]);
        assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));
        let (topics, fresh) = (ground.topics(), undisturbed(&ground));
        let mut proof = Proof::default();
        proof.same_outputs(&topics, &fresh.topics());
        proof.same_state(&ground.site, &fresh.site, "samples", 1);
        (ground, topics, proof)
    }
}

impl StateFile {
    /// The file as any other program opens it; `None` until the daemon has made the topics.
    fn open(&self) -> Option<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let state = Connection::open_with_flags(self.site.path("data/thalweg.db"), flags).ok()?;
        state.execute_batch("PRAGMA busy_timeout = 10000").expect("a timeout");
        let made = state.prepare("SELECT 1 FROM events").is_ok();
        made.then_some(state)
    }

    pub fn topics(&self) -> Topics {
        let state = self.open().expect("the topics");
        let topic =
            |name: &str| (0..self.partitions).map(|partition| records(&state, name, partition)).collect::<Vec<_>>();
        Topics { samples: topic("samples"), outputs: ["predictions", "dead-letters", "events"].map(topic) }
    }
}

impl Ground for StateFile {
    fn site(&self) -> &Workspace {
        &self.site
    }

    fn published(&self) -> i64 {
        let Some(state) = self.open() else { return 0 };
        let next = |topic: &str, partition: i32| -> i64 {
            let query = format!("SELECT coalesce(max(offset) + 1, 0) FROM \"{topic}\" WHERE partition = ?1");
            state.query_row(&query, [partition], |row| row.get(0)).expect("an offset")
        };
        (0..self.partitions).map(|partition| next("predictions", partition) + next("dead-letters", partition)).sum()
    }

    fn mix_in(&self, values: &[Option<Vec<u8>>]) {
        let Some(mut state) = self.open() else { return };
        let tx = state.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
        for (i, value) in (0..).zip(values) {
            tx.execute(
                "INSERT INTO samples (partition, offset, timestamp, key, value) SELECT ?1, coalesce(max(offset) + 1, 0),
                 ?2, CAST(?3 AS TEXT), ?4 FROM samples WHERE partition = ?1",
                params![i % self.partitions, 1_700_000_000_000_i64 + i64::from(i), FOREIGN, value],
            )
            .expect("insert");
        }
        tx.commit().expect("commit");
    }
}

fn records(state: &Connection, topic: &str, partition: i32) -> Vec<Record> {
    let query = format!(
        "SELECT offset, timestamp, CAST(key AS BLOB), CAST(value AS BLOB), headers FROM \"{topic}\" WHERE partition = ?1
         ORDER BY offset"
    );
    let mut query = state.prepare(&query).expect("the topic");
    let rows = query.query_map([partition], |row| {
        let headers: Option<String> = row.get(4)?;
        let (offset, timestamp) = (row.get(0)?, row.get(1)?);
        let [key, value] = [row.get(2)?, row.get(3)?].map(|cell: Option<Vec<u8>>| cell.map(Bytes::from));
        Ok(Record { offset, timestamp, key, value, headers: decoded(headers), row: None })
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn decoded(headers: Option<String>) -> Headers {
    let Some(headers) = headers else { return Headers::new() };
    let headers: serde_json::Map<String, Value> = serde_json::from_str(&headers).expect("JSON");
    let text = |value: Value| Bytes::from(value.as_str().expect("a text").to_owned());
    headers.into_iter().map(|(name, value)| (name.into(), Some(text(value)))).collect()
}

/// The same samples in a fresh state file, in one go.
pub fn undisturbed(battered: &StateFile) -> StateFile {
    let mut settings: Vec<&str> = battered.site.settings.iter().map(String::as_str).collect();
    settings.push("generator.enabled=false");
    let fresh = StateFile { site: Workspace::new(&settings), partitions: battered.partitions };
    assert!(fresh.site.run(&["run", "--until-caught-up"]).status.success(), "the daemon makes the topics");
    let state = fresh.open().expect("the topics");
    let from = battered.site.path("data/thalweg.db").display().to_string();
    state.execute("ATTACH ?1 AS battered", [from]).expect("attach");
    state.execute("INSERT INTO samples SELECT * FROM battered.samples", []).expect("copy");
    drop(state);
    let run = fresh.site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    fresh
}

fn proved(ground: &StateFile) -> Proof {
    let topics = ground.topics();
    let undisturbed = undisturbed(ground);
    let mut proof = Proof::default();
    let sources: Vec<_> = topics.samples.iter().map(|records| 0..records.len() as i64).collect();
    proof.each_once(&topics, &sources);
    proof.same_outputs(&topics, &undisturbed.topics());
    // The records that are mixed in are from 2023.
    proof.times_go_on(&topics, 1_750_000_000_000);
    proof.same_state(&ground.site, &undisturbed.site, "samples", topics.samples.len());
    let generated = topics.samples.iter().flatten().filter(|record| record.key.as_deref() != Some(FOREIGN)).count();
    proof.generated_once(&topics, &stdout(&ground.site.run(&["generate", "-n", &generated.to_string()])));
    proof.holds("there are dead letters", topics.outputs[1].iter().any(|partition| !partition.is_empty()));
    proof
}

#[test]
fn a_hundred_kills_lose_nothing_double_nothing_and_change_no_bit() {
    let site = Workspace::new(&["state.every=80ms", KEEP_ALL, AMONG, MODELS]);
    let ground = StateFile { site, partitions: 1 };
    let plan = Plan { kills: 100, seed: 1, work: Duration::from_millis(250), rate: 10_000, full_speed: 10 };
    let report = kill_loop(&ground, &plan);
    let proof = proved(&ground);
    println!("embedded: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_before_the_first_checkpoint_are_survived_too() {
    let site = Workspace::new(&["state.every=1h", "topics.partitions=2", KEEP_ALL, AMONG, ENSEMBLES]);
    let ground = StateFile { site, partitions: 2 };
    let plan = Plan { kills: 15, seed: 2, work: Duration::from_millis(150), rate: 5_000, full_speed: 15 };
    let report = kill_loop(&ground, &plan);
    let proof = proved(&ground);
    println!("embedded, first checkpoint: {}; {}", report.summary(), proof.summary());
    proof.hold();
}

#[test]
fn kills_change_no_bit_of_a_mixture_a_champion_and_intervals() {
    let site = Workspace::new(&["state.every=80ms", KEEP_ALL, AMONG, ENSEMBLES]);
    let ground = StateFile { site, partitions: 1 };
    let plan = Plan { kills: 40, seed: 6, work: Duration::from_millis(250), rate: 3_000, full_speed: 20 };
    let report = kill_loop(&ground, &plan);
    let mut proof = proved(&ground);
    proof.mixture_and_intervals(&ground.topics());
    println!("embedded, ensembles: {}; {}", report.summary(), proof.summary());
    proof.hold();
}
