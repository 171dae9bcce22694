//! Partitions that are assigned, revoked and assigned again while samples flow: nothing lost, nothing twice, and not a bit
//! of difference to a run whose partitions stayed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, seq::IteratorRandom};
use rand_chacha::ChaCha8Rng;
use thalweg::{
    app,
    embedded::{self, Embedded, EmbeddedPublisher, EmbeddedReader},
    pipeline::checkpoints,
    settings::{Settings, Sources},
    store::Store,
    topic::{
        Assigned, Assignment, Assignments, Error, NotTaken, Opening, Outbox, Outputs, Publisher, Reader, Resumed,
        Revoked, SampleLog, Source, Start, Topics, Transport,
        dead_letters::{Retried, Selection},
        record::Outgoing,
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::kill::{KEEP_ALL, StateFile, undisturbed};
use crate::support::{
    PATIENCE,
    daemon::{Workspace, stdout},
    kill_loop::ENSEMBLES,
    proof::Proof,
    within,
};

/// The embedded transport, with partitions that come and go as a test says.
#[derive(Clone)]
struct Moving {
    inner: Arc<Embedded>,
    changes: Arc<Mutex<Option<mpsc::Receiver<Assignment>>>>,
    /// Whether what is to be published is never even looked at.
    stuck: Arc<AtomicBool>,
    /// Partitions that are published from.
    working: Arc<Mutex<BTreeSet<i32>>>,
}

struct Changes(mpsc::Receiver<Assignment>);

impl Assignments for Changes {
    async fn next(&mut self) -> Result<Assignment, Error> {
        match self.0.recv().await {
            Some(change) => Ok(change),
            None => std::future::pending().await,
        }
    }
}

impl Source for Moving {
    type Reader = EmbeddedReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        self.inner.partitions(topic).await
    }
    async fn reader(&self, topic: &str, partition: i32) -> Result<EmbeddedReader, Error> {
        self.inner.reader(topic, partition).await
    }
}

impl Transport for Moving {
    type Assignments = Changes;
    type Publisher = Watched;

    fn assignments(&self) -> Changes {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Changes(changes.take().expect("one daemon"))
    }
    async fn publisher(&self, partition: i32) -> Result<Watched, Error> {
        let inner = self.inner.publisher(partition).await?;
        let (stuck, working) = (self.stuck.load(Ordering::Relaxed), Arc::clone(&self.working));
        Ok(Watched { inner, partition, stuck, working })
    }
    async fn ends(&self, partitions: &[i32]) -> Result<Vec<i64>, Error> {
        self.inner.ends(partitions).await
    }
    fn retries(&self) -> u64 {
        0
    }
}

impl SampleLog for Moving {
    async fn append_samples(&self, first: u64, samples: Vec<Outgoing>) -> Result<(), Error> {
        self.inner.append_samples(first, samples).await
    }
    async fn generated(&self) -> Result<u64, Error> {
        self.inner.generated().await
    }
    async fn take_samples(&self, partition: i32, samples: Vec<Outgoing>) -> Result<Option<i64>, NotTaken> {
        self.inner.take_samples(partition, samples).await
    }
    async fn send_back(&self, selection: Selection) -> Result<Retried, Error> {
        self.inner.send_back(selection).await
    }
}

struct Watched {
    inner: EmbeddedPublisher,
    partition: i32,
    stuck: bool,
    working: Arc<Mutex<BTreeSet<i32>>>,
}

/// Takes a partition off those that are published from, however that ends.
struct Working(i32, Arc<Mutex<BTreeSet<i32>>>);

impl Drop for Working {
    fn drop(&mut self) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

impl Publisher for Watched {
    async fn resume(&mut self, since: Outputs, position: i64) -> Result<Resumed, Error> {
        self.inner.resume(since, position).await
    }
    async fn run(self, outboxes: mpsc::Receiver<Outbox>, confirmed: watch::Sender<i64>) -> Result<(), Error> {
        let first = self.working.lock().unwrap_or_else(PoisonError::into_inner).insert(self.partition);
        assert!(first, "partition {} has two workers", self.partition);
        let _working = Working(self.partition, Arc::clone(&self.working));
        if self.stuck {
            std::future::pending::<()>().await;
        }
        self.inner.run(outboxes, confirmed).await
    }
}

/// A daemon in this process, and what says which partitions are its.
struct Scene {
    ground: StateFile,
    topics: Topics,
    store: Arc<Store>,
    transport: Moving,
    changes: mpsc::Sender<Assignment>,
    shutdown: CancellationToken,
    daemon: JoinHandle<Result<(), app::Error>>,
}

impl Scene {
    async fn new(partitions: i32, start: Start, more: &[&str]) -> Self {
        let count = format!("topics.partitions={partitions}");
        let settings: Vec<&str> = [&count, "generator.enabled=false", KEEP_ALL].iter().chain(more).copied().collect();
        let ground = StateFile { site: Workspace::new(&settings), partitions };
        let path = format!("state.path={}", ground.site.path("data/thalweg.db").display());
        let overrides = ground.site.settings.iter().cloned().chain([path]);
        let mut settings = Settings::load(&Sources::new(None, [], overrides)).expect("good settings");
        settings.start = start;
        let store = Arc::new(Store::open(&settings.state).expect("a state file"));
        let config = embedded::Config { retention_records: u64::MAX >> 1, retention_bytes: u64::MAX >> 1 };
        let opening = Opening::default();
        let inner = Embedded::open(config, settings.topics.clone(), Arc::clone(&store), &opening).await.expect("open");
        let (changes, receiver) = mpsc::channel(8);
        let changing = Arc::new(Mutex::new(Some(receiver)));
        let transport =
            Moving { inner: Arc::new(inner), changes: changing, stuck: Arc::default(), working: Arc::default() };
        let (topics, shutdown) = (settings.topics.clone(), CancellationToken::new());
        let (ours, kept, stop) = (transport.clone(), Arc::clone(&store), shutdown.clone());
        let daemon = tokio::spawn(async move { app::serve(ours, &settings, &kept, false, &stop).await });
        Self { ground, topics, store, transport, changes, shutdown, daemon }
    }

    async fn change(&self, change: Assignment) {
        self.changes.send(change).await.expect("the daemon runs");
    }

    async fn assign(&self, partitions: impl IntoIterator<Item = i32>) {
        self.change(Assignment::of(partitions)).await;
    }

    /// Revokes partitions and waits until they have been given back.
    async fn revoke(&self, partitions: impl IntoIterator<Item = i32>, deadline: Duration) {
        let (drained, given_back) = oneshot::channel();
        let revoked = Revoked { partitions: partitions.into_iter().collect(), within: deadline, drained };
        self.change(Assignment::Revoked(revoked)).await;
        within("the partitions", given_back).await.expect("the daemon says so");
    }

    async fn append(&self, first: u64, values: &[Vec<u8>]) {
        let sample = |value: &Vec<u8>| Outgoing { timestamp: 1, value: Some(value.clone()), ..Outgoing::default() };
        self.transport.append_samples(first, values.iter().map(sample).collect()).await.expect("appended");
    }

    /// Samples of a partition that have been answered.
    async fn answered(&self, partition: i32) -> i64 {
        let mut answered = 0;
        for topic in [&self.topics.predictions, &self.topics.dead_letters] {
            let mut reader = self.transport.reader(topic, partition).await.expect("a reader");
            answered += reader.range().await.expect("a range").end;
        }
        answered
    }

    /// Waits until so many samples of a partition have been answered.
    async fn answers(&self, partition: i32, count: i64) {
        let answered = async {
            while self.answered(partition).await < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within(&format!("{count} answers of partition {partition}"), answered).await;
    }

    /// Input offset of the newest checkpoint of a partition, which a worker that was told to end at its start has none of.
    fn saved(&self, partition: i32) -> i64 {
        let found = checkpoints::load(&self.store, &self.topics.samples, partition).expect("readable");
        found.map_or(0, |checkpoint| checkpoint.position)
    }

    /// Stops the daemon and lets go of its state file.
    async fn stop(self) -> StateFile {
        self.shutdown.cancel();
        within("the end", self.daemon).await.expect("no panic").expect("no error");
        self.ground
    }
}

fn samples(count: usize) -> Vec<Vec<u8>> {
    let printed = stdout(&Workspace::new(&[]).run(&["generate", "-n", &count.to_string()]));
    let good = printed.lines().enumerate();
    good.map(|(i, line)| if i % 97 == 96 { b"garbage".to_vec() } else { line.as_bytes().to_vec() }).collect()
}

/// What a run whose partitions stayed makes of the same samples.
fn prove(ground: &StateFile) {
    let (topics, undisturbed) = (ground.topics(), undisturbed(ground));
    let mut proof = Proof::default();
    let sources: Vec<_> = topics.samples.iter().map(|records| 0..records.len() as i64).collect();
    proof.each_once(&topics, &sources);
    proof.same_outputs(&topics, &undisturbed.topics());
    proof.same_state(&ground.site, &undisturbed.site, "samples", topics.samples.len());
    proof.holds("there are dead letters", topics.outputs[1].iter().all(|partition| !partition.is_empty()));
    println!("{}", proof.summary());
    proof.hold();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_move_under_load_lose_nothing_double_nothing_and_change_no_bit() {
    const PARTITIONS: i32 = 3;
    let samples = samples(6000);
    // Only what is saved because partitions leave lets them go on without a replay.
    for every in ["state.every=20ms", "state.every=1h"] {
        let scene = Scene::new(PARTITIONS, Start::Earliest, &[every, ENSEMBLES]).await;
        let mut random = ChaCha8Rng::seed_from_u64(7);
        scene.assign(0..PARTITIONS).await;
        let mut ours: BTreeSet<i32> = (0..PARTITIONS).collect();
        let mut moves = 0;
        for (i, chunk) in samples.chunks(150).enumerate() {
            scene.append(150 * i as u64, chunk).await;
            let leaving: Vec<i32> = ours.iter().copied().filter(|_| random.random_bool(0.5)).collect();
            scene.revoke(leaving.clone(), PATIENCE).await;
            for partition in &leaving {
                ours.remove(partition);
                assert_eq!(scene.saved(*partition), scene.answered(*partition).await, "drained and saved");
            }
            let before = scene.answered(leaving.first().copied().unwrap_or(0)).await;
            // The others go on meanwhile.
            if let Some(stays) = ours.iter().choose(&mut random) {
                scene.answers(*stays, 50 * (i as i64 + 1)).await;
            }
            if let Some(gone) = leaving.first() {
                assert_eq!(scene.answered(*gone).await, before, "nobody works on partition {gone}");
            }
            let back: Vec<i32> =
                (0..PARTITIONS).filter(|it| !ours.contains(it)).filter(|_| random.random_bool(0.7)).collect();
            moves += back.len();
            scene.assign(back.clone()).await;
            ours.extend(back);
        }
        scene.assign((0..PARTITIONS).filter(|it| !ours.contains(it))).await;
        for partition in 0..PARTITIONS {
            scene.answers(partition, 2000).await;
        }
        assert!(moves > 20, "{moves} moves show nothing");
        prove(&scene.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_comes_back_before_its_worker_has_ended_has_one_worker() {
    let samples = samples(300);
    let scene = Scene::new(1, Start::Earliest, &["state.every=20ms"]).await;
    scene.transport.stuck.store(true, Ordering::Relaxed);
    scene.assign([0]).await;
    scene.append(0, &samples).await;
    let begun = async {
        while scene.transport.working.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("the first worker", begun).await;
    scene.transport.stuck.store(false, Ordering::Relaxed);
    // Nobody waits for the answer.
    let revoked = Revoked { partitions: vec![0], within: Duration::from_secs(1), drained: oneshot::channel().0 };
    scene.change(Assignment::Revoked(revoked)).await;
    scene.assign([0]).await;
    scene.assign([0]).await;
    scene.answers(0, 300).await;
    prove(&scene.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_drain_is_cut_off_at_the_deadline_and_loses_nothing() {
    let samples = samples(300);
    let scene = Scene::new(1, Start::Earliest, &["state.every=20ms"]).await;
    scene.append(0, &samples[..100]).await;
    scene.assign([0]).await;
    scene.answers(0, 100).await;
    scene.revoke([0], PATIENCE).await;
    scene.transport.stuck.store(true, Ordering::Relaxed);
    scene.append(100, &samples[100..]).await;
    scene.assign([0]).await;
    scene.revoke([0], Duration::from_millis(100)).await;
    assert_eq!(scene.answered(0).await, 100);
    scene.transport.stuck.store(false, Ordering::Relaxed);
    scene.assign([0]).await;
    scene.answers(0, 300).await;
    prove(&scene.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_added_is_read_from_its_beginning_though_others_begin_at_the_end() {
    let scene = Scene::new(2, Start::Latest, &["state.every=20ms"]).await;
    scene.append(0, &samples(100)).await;
    let assigned = [Assigned { partition: 0, is_new: false }, Assigned { partition: 1, is_new: true }];
    scene.change(Assignment::Assigned(assigned.to_vec())).await;
    scene.answers(1, 50).await;
    scene.append(100, &samples(20)).await;
    scene.answers(1, 60).await;
    scene.answers(0, 10).await;
    assert_eq!((scene.answered(0).await, scene.answered(1).await), (10, 60));
    drop(scene.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_partitions_waits_and_ends_when_it_is_told_to() {
    let scene = Scene::new(1, Start::Earliest, &[]).await;
    scene.assign([]).await;
    scene.append(0, &samples(10)).await;
    scene.assign([0]).await;
    scene.answers(0, 10).await;
    scene.revoke([0], PATIENCE).await;
    scene.append(10, &samples(10)).await;
    assert!(!scene.daemon.is_finished(), "a daemon without partitions is a spare");
    assert_eq!(scene.answered(0).await, 10);
    drop(scene.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_told_to_end_begins_no_partition_again_and_cuts_off_what_is_due() {
    let scene = Scene::new(1, Start::Earliest, &[]).await;
    scene.transport.stuck.store(true, Ordering::Relaxed);
    scene.append(0, &samples(100)).await;
    scene.assign([0]).await;
    let begun = async {
        while scene.transport.working.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("a worker", begun).await;
    let (drained, given_back) = oneshot::channel();
    scene
        .change(Assignment::Revoked(Revoked { partitions: vec![0], within: Duration::from_millis(300), drained }))
        .await;
    scene.assign([0]).await;
    // Both changes have been taken once there is room for all that fit.
    let taken = async {
        while scene.changes.capacity() < scene.changes.max_capacity() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("the changes to be taken", taken).await;
    let begun = std::time::Instant::now();
    scene.shutdown.cancel();
    within("the partition", given_back).await.expect("the daemon says so");
    drop(scene.stop().await);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
