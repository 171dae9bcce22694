//! How the daemon is, for whoever asks over HTTP.
//!
//! Invariant: it reads what the workers leave behind and asks nobody, so that answers cost the workers nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    contact::{self, ContactWatch},
    features,
    partition_ends::PartitionEnds,
    report::lag_of,
    tail::Tail,
    tasks::Views,
    timeline::{Lag, Timeline, Told},
};
use thalweg_http::{
    self as http, Contact, Features, History, HistoryQuery, Late, Model, Observe, Partition, Process, Status, Topics,
};
use thalweg_metrics::Scores;
use thalweg_pipeline::{
    snapshot::{self, ModelSnapshot, Snapshot},
    tap::Seen,
    worker::View,
};
use thalweg_settings::Settings;
use thalweg_store::Store;
use thalweg_topic::Transport;

/// Interval between two looks at the workers.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Waiting records of which none is published for so long are a fault.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Tells how the daemon is.
#[derive(Debug)]
pub(super) struct Observer {
    topics: Topics,
    transport: &'static str,
    started: f64,
    begun: Instant,
    /// Set once the transport is open.
    open: OnceLock<Open>,
    /// True while the start waits for the schema registry.
    registering: AtomicBool,
    timeline: Arc<Timeline>,
}

/// What there is to read.
#[derive(Debug)]
struct Open {
    pub(super) views: Views,
    store: Arc<Store>,
    ends: Arc<PartitionEnds>,
    health: watch::Receiver<Health>,
}

/// The result of the last look.
#[derive(Clone, Debug, Default)]
struct Health {
    contact: Contact,
    ready: bool,
    waits_for_registry: bool,
    /// What is wrong, as a sentence.
    trouble: Option<String>,
}

impl Observer {
    pub(super) fn new(settings: &Settings) -> Self {
        let started = now().as_secs_f64();
        let thalweg_topic::Topics { samples, predictions, dead_letters, events, .. } = settings.topics.clone();
        let topics = Topics { samples, predictions, dead_letters, events };
        let (transport, timeline) = (settings.transport.name(), Arc::new(Timeline::new(&topics.samples)));
        let (begun, open, registering) = (Instant::now(), OnceLock::new(), AtomicBool::new(false));
        Self { topics, transport, started, begun, open, registering, timeline }
    }

    /// Returns the views of the workers, once the transport is open.
    pub(super) fn views(&self) -> Option<Views> {
        self.open.get().map(|open| open.views.clone())
    }

    /// Takes note that the start waits for the schema registry, or no more.
    pub(super) fn waits_for_registry(&self, waits: bool) {
        self.registering.store(waits, Ordering::Release);
    }

    /// Returns how it is while the transport is being opened, which a broker that is not there makes last for ever, as a registry does.
    fn opening(&self) -> Health {
        let waited = self.begun.elapsed();
        let late = (waited >= STALLED_AFTER).then_some(waited.as_secs());
        let waits_for_registry = self.registering.load(Ordering::Acquire);
        let trouble = late.map(|s| match waits_for_registry {
            true => format!("the schema registry has not answered for {s} s; the log says what is in the way"),
            false => format!("the transport could not be opened for {s} s: the log says what is in the way"),
        });
        Health { trouble, waits_for_registry, ..Health::default() }
    }

    /// Looks at the workers of an open transport until dropped.
    pub(super) async fn run<T: Transport>(
        &self,
        views: Views,
        transport: &T,
        store: Arc<Store>,
        ends: Arc<PartitionEnds>,
    ) -> Infallible {
        let (health, receiver) = watch::channel(Health { contact: Contact::Answers, ..Health::default() });
        // A transport is opened once.
        let open = Open { views: views.clone(), store: Arc::clone(&store), ends: Arc::clone(&ends), health: receiver };
        let _ = self.open.set(open);
        let mut watch = Watch::new(ContactWatch::new(transport));
        let mut seen: BTreeMap<i32, Seen> = BTreeMap::new();
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let workers = views.borrow().clone();
            health.send_replace(watch.look(transport, &workers, &ends));
            self.note(&workers, &ends, &mut seen);
            self.timeline.write(&store, now().as_secs() as i64, false).await;
        }
    }

    /// Writes what is not written yet, as the last thing before the end.
    pub(super) async fn end(&self) {
        if let Some(open) = self.open.get() {
            self.timeline.write(&open.store, now().as_secs() as i64, true).await;
        }
    }

    /// Notes a look in the history.
    fn note(&self, workers: &BTreeMap<i32, View>, ends: &PartitionEnds, seen: &mut BTreeMap<i32, Seen>) {
        let now = now();
        for (&partition, view) in workers {
            for event in view.tap().read_events(seen.entry(partition).or_default()) {
                let told = serde_json::from_slice(&event).ok().and_then(|event| Told::of(&event));
                told.into_iter().for_each(|told| self.timeline.mark(partition, now.as_millis() as i64, told));
            }
            if let Some(snapshot) = view.snapshot() {
                let (records, _) = lag_of(partition, &snapshot, view.confirmed(), ends);
                let lag = Lag { records, seconds: lag_seconds(records, &snapshot) };
                self.timeline.note(now.as_secs() as i64, &snapshot, lag);
            }
        }
        self.timeline.retain(|partition| workers.contains_key(&partition));
    }
}

/// Returns the time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns the age of the newest record that was processed, in seconds, where records wait; 0 where none do.
fn lag_seconds(lag: i64, snapshot: &Snapshot) -> Option<f64> {
    let age = |time: i64| (now().as_secs_f64() - time as f64 / 1e3).max(0.0);
    if lag == 0 { Some(0.0) } else { snapshot.time.map(age) }
}

/// Compares one look with those before.
struct Watch {
    contact: ContactWatch,
    /// Since when the transport does not answer.
    outage: Option<Instant>,
    /// By partition, the offset that everything was published up to, and since when.
    confirmed: BTreeMap<i32, (i64, Instant)>,
    /// By partition, the offset to reach for being ready.
    goals: BTreeMap<i32, i64>,
    /// Partitions that have reached it.
    reached: BTreeSet<i32>,
}

impl Watch {
    fn new(contact: ContactWatch) -> Self {
        Self { contact, outage: None, confirmed: BTreeMap::new(), goals: BTreeMap::new(), reached: BTreeSet::new() }
    }

    fn look<T: Transport>(&mut self, transport: &T, workers: &BTreeMap<i32, View>, ends: &PartitionEnds) -> Health {
        let now = Instant::now();
        let contact = self.contact.look(transport, workers, ends, true);
        self.outage = (contact == contact::Contact::Outage).then(|| self.outage.unwrap_or(now));
        let mut trouble = self
            .outage
            .filter(|since| now - *since >= STALLED_AFTER)
            .map(|since| format!("the transport has not answered for {} s", (now - since).as_secs()));
        self.confirmed.retain(|partition, _| workers.contains_key(partition));
        for (&partition, view) in workers {
            let Some(snapshot) = view.snapshot() else { continue };
            let confirmed = view.confirmed();
            // A worker's first snapshot is from before it has asked for records.
            if snapshot.is_end_known {
                let goal = *self.goals.entry(partition).or_insert(snapshot.high_watermark);
                if confirmed >= goal {
                    self.reached.insert(partition);
                }
            }
            let (lag, undecided) = lag_of(partition, &snapshot, confirmed, ends);
            let (at, since) = self.confirmed.entry(partition).or_insert((confirmed, now));
            if *at != confirmed || lag == undecided {
                (*at, *since) = (confirmed, now);
            }
            if trouble.is_none() && now - *since >= STALLED_AFTER {
                let idle = (now - *since).as_secs();
                trouble =
                    Some(format!("partition {partition}: {lag} records wait, and none was published for {idle} s"));
            }
        }
        let is_held = workers.values().any(View::waits_for_registry);
        if is_held && let Some(told) = &mut trouble {
            "the schema registry does not answer, and records wait for it; the log says what is in the way"
                .clone_into(told);
        }
        let has_caught_up = !workers.is_empty() && workers.keys().all(|partition| self.reached.contains(partition));
        let ready = has_caught_up && !is_held;
        let contact = match contact {
            contact::Contact::Answers => Contact::Answers,
            contact::Contact::Throttled => Contact::Throttled,
            contact::Contact::Outage => Contact::Outage,
        };
        Health { contact, ready, waits_for_registry: is_held, trouble }
    }
}

impl Observe for Observer {
    fn status(&self) -> Status {
        let opened = self.open.get();
        let partitions: Vec<Partition> = opened.map(|open| open.partitions(&self.timeline)).unwrap_or_default();
        let health = opened.map_or_else(|| self.opening(), |open| open.health.borrow().clone());
        Status {
            version: env!("CARGO_PKG_VERSION"),
            summary: summary(&health, &partitions),
            healthy: health.trouble.is_none(),
            ready: health.ready,
            waits_for_registry: health.waits_for_registry,
            contact: health.contact,
            topic: self.topics.samples.clone(),
            topics: self.topics.clone(),
            transport: self.transport,
            started: self.started,
            time: now().as_secs_f64(),
            process: process(),
            partitions,
        }
    }

    fn partitions(&self) -> Vec<i32> {
        self.views().map(|views| views.borrow().keys().copied().collect()).unwrap_or_default()
    }

    fn history(&self, query: &HistoryQuery) -> Result<History, String> {
        let open = self.open.get().ok_or("the transport is being opened; ask again")?;
        self.timeline.history(&open.store, query)
    }

    fn features(&self, partition: i32, model: Option<&str>) -> Result<Features, String> {
        let open = self.open.get().ok_or("the transport is being opened; ask again")?;
        features::of(&open.store, &self.topics.samples, partition, model)
    }

    fn tail(self: Arc<Self>) -> Box<dyn http::Tail> {
        Box::new(Tail::new(self))
    }
}

/// Returns how it is in one sentence.
fn summary(health: &Health, partitions: &[Partition]) -> String {
    if let Some(trouble) = &health.trouble {
        return trouble.clone();
    }
    if health.contact == Contact::Opening && health.waits_for_registry {
        return "waiting for the schema registry, which has to know the schema of predictions first".to_owned();
    }
    if health.contact == Contact::Opening {
        return "the transport is being opened".to_owned();
    }
    let records: u64 = partitions.iter().map(|it| it.records).sum();
    let lag: u64 = partitions.iter().map(|it| it.lag).sum();
    let late = match health.contact {
        Contact::Throttled => ", held back by a quota of the broker's",
        Contact::Outage => ", and the transport does not answer",
        Contact::Opening | Contact::Answers => "",
    };
    let plural = if partitions.len() == 1 { "" } else { "s" };
    format!("learning from {} partition{plural}: {records} records, {lag} waiting{late}", partitions.len())
}

impl Open {
    fn partitions(&self, timeline: &Timeline) -> Vec<Partition> {
        let views = self.views.borrow().clone();
        let of = |(&number, view): (&i32, &View)| {
            let snapshot = view.snapshot()?;
            let rate = timeline.rate(number);
            Some(Partition { records_per_second: rate, ..self.partition(number, &snapshot, view.confirmed()) })
        };
        views.iter().filter_map(of).collect()
    }

    fn partition(&self, number: i32, snapshot: &Snapshot, confirmed: i64) -> Partition {
        let (lag, undecided) = lag_of(number, snapshot, confirmed, &self.ends);
        let saved = self.store.saved(number);
        let models = snapshot.models.iter().enumerate();
        let coverage = snapshot.coverage.filter(|coverage| coverage.n() > 0);
        Partition {
            partition: number,
            records: snapshot.records,
            predictions: snapshot.records - snapshot.dead_letters - snapshot.skipped - snapshot.labels,
            dead_letters: snapshot.dead_letters,
            dead_letters_by_reason: snapshot.rejected.clone(),
            skipped: snapshot.skipped,
            missed: snapshot.missed,
            remembered_keys: snapshot.remembered.keys,
            remembered_bytes: snapshot.remembered.bytes,
            forgotten_keys: snapshot.remembered.forgotten,
            late_values: snapshot.remembered.late,
            labels: snapshot.labels,
            late: snapshot.late.as_ref().map(late),
            confirmed,
            lag: lag.unsigned_abs(),
            undecided: undecided.unsigned_abs(),
            lag_seconds: lag_seconds(lag, snapshot),
            checkpoint_age_seconds: saved.map(|saved| saved.at.elapsed().as_secs_f64()),
            checkpoint_bytes: saved.map(|saved| saved.bytes as u64),
            unsaved: saved.map_or(0, |saved| (snapshot.position - saved.position).max(0).unsigned_abs()),
            version: snapshot.version,
            champion: snapshot.champion_name().into(),
            coverage: coverage.map(|coverage| coverage.recent()),
            wanted_coverage: coverage.map(|coverage| coverage.target()),
            width: coverage.map(|coverage| coverage.recent_width()),
            records_per_second: None,
            models: models.map(|(at, model)| standing(model, at == snapshot.champion)).collect(),
            published: standing(&snapshot.published, false),
        }
    }
}

fn late(late: &snapshot::Late) -> Late {
    let snapshot::Late { waiting, bytes, labelled, corrected, expired, no_room, unmatched, unread, delays } = *late;
    let delay = |i: usize| delays.map(|delays| delays[i]);
    Late {
        labelled,
        corrected,
        waiting,
        waiting_bytes: bytes,
        expired,
        no_room,
        unmatched,
        unread,
        delay_p50_seconds: delay(0),
        delay_p90_seconds: delay(1),
        delay_p99_seconds: delay(2),
    }
}

fn standing(model: &ModelSnapshot, champion: bool) -> Model {
    let ModelSnapshot { name, kind, total, rolling, rolling_errors, skill, counts, memory, keys, .. } = model;
    let [rmse, mae, bias] = [Scores::rmse, Scores::mae, Scores::bias].map(|it| rolling.known(it));
    let [error_p50, error_p90, error_p99] = [0.5, 0.9, 0.99].map(|q| rolling_errors.known(q));
    let [total_rmse, total_mae] = [Scores::rmse, Scores::mae].map(|it| total.known(it));
    Model {
        name: Arc::clone(name),
        kind,
        champion,
        rmse,
        mae,
        r2: rolling.known_r2(),
        bias,
        skill: *skill,
        error_p50,
        error_p90,
        error_p99,
        total_rmse,
        total_mae,
        scored: total.n(),
        refused: counts.refused,
        implausible: counts.implausible,
        drifts: counts.drifts,
        rescues: counts.rescues,
        memory_bytes: *memory as u64,
        keys: keys.map(|[keys, _]| keys),
        forgotten_keys: keys.map(|[_, forgotten]| forgotten),
    }
}

/// Returns what the process takes, as Linux tells it.
fn process() -> Process {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let statm = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = statm.as_deref().and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    Process {
        resident_memory_bytes: pages.map(|pages| pages * rustix::param::page_size() as u64),
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
    }
}
