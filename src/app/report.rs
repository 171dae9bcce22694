//! Reports what the daemon is doing: log lines at intervals, and systemd's status line.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    contact::{Contact, ContactWatch},
    fields::FieldsLog,
    partition_ends::PartitionEnds,
    table::{self, Partition, Totals},
    tasks::Views,
};
use thalweg_logging::figures::rounded;
use thalweg_logging::{self as logging, Screen};
use thalweg_metrics::{Coverage, Faded, Scores};
use thalweg_pipeline::{
    decode::Fields,
    prequential::{PUBLISHED, skill_against},
    snapshot::{BaselineSnapshot, Late, ModelSnapshot, Snapshot},
    worker::View,
};
use thalweg_store::Store;
use thalweg_topic::Transport;

/// Time until the first report, short so that one sees at once that it works.
const FIRST_REPORT_DELAY: Duration = Duration::from_millis(500);

/// Maximum interval between changes of the rows on a terminal.
const ROW_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// All partitions as one.
struct Overview {
    records: u64,
    dead_letters: u64,
    skipped: u64,
    missed: u64,
    /// Samples whose targets come late, if any do.
    late: Option<Late>,
    /// Records that were labels.
    labels: u64,
    /// Number of records without a published prediction or dead letter; `None` if unknown.
    lag: Option<i64>,
    /// Number of records of the lag that an open transaction keeps from being read.
    undecided: i64,
    contact: Contact,
    /// Number of records processed since the last checkpoint.
    unsaved: i64,
    /// Each champion with its partitions.
    champions: Vec<(String, Vec<i32>)>,
    models: Vec<ModelSnapshot>,
    published: ModelSnapshot,
    baseline: BaselineSnapshot,
    /// Coverage of the published intervals, if there are any.
    coverage: Option<Coverage>,
    /// Address of the dashboard, where there is one.
    page: Option<SocketAddr>,
}

/// The sources of a report.
pub(super) struct Sources<T> {
    pub(super) views: Views,
    pub(super) transport: Arc<T>,
    pub(super) store: Arc<Store>,
    pub(super) ends: Arc<PartitionEnds>,
    pub(super) page: Option<SocketAddr>,
}

/// Logs a line with figures between its subject and its other fields.
macro_rules! log_figures {
    ($figures:expr, $($about:ident = $value:expr),+; $($rest:tt)+) => {{
        let figures = $figures;
        tracing::info!(
            $($about = $value,)+
            mae = figures.mae,
            rmse = figures.rmse,
            r2 = figures.r2,
            bias = figures.bias,
            smape = figures.smape,
            error_p50 = figures.error_p50,
            error_p90 = figures.error_p90,
            error_p99 = figures.error_p99,
            skill = figures.skill,
            faded_rmse = figures.faded_rmse,
            total_mae = figures.total_mae,
            total_rmse = figures.total_rmse,
            total_r2 = figures.total_r2,
            $($rest)+
        );
    }};
}

/// Reports at the interval that `intervals` holds until `stop`, and then once more; on the screen if there is one.
pub(super) async fn run<T: Transport>(
    sources: Sources<T>,
    mut intervals: watch::Receiver<Duration>,
    stop: CancellationToken,
) {
    let Sources { views, transport, store, ends, page } = sources;
    let screen = logging::screen();
    let shown = |every: Duration| if screen.is_some() { every.min(ROW_REFRESH_INTERVAL) } else { every };
    let mut every = shown(*intervals.borrow_and_update());
    let mut last: Option<(Instant, u64)> = None;
    let mut fields_log = FieldsLog::default();
    let mut contact = ContactWatch::new(&*transport);
    let mut next = Instant::now() + FIRST_REPORT_DELAY.min(every);
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => true,
            () = sleep_until(next) => false,
            Ok(()) = intervals.changed() => {
                every = shown(*intervals.borrow_and_update());
                next = next.min(Instant::now() + every);
                continue;
            }
        };
        let workers: BTreeMap<i32, View> = views.borrow().clone();
        let snapshots: Vec<_> = workers.values().filter_map(View::snapshot).collect();
        let now = Instant::now();
        let unsaved = |snapshot: &Snapshot| {
            store.saved(snapshot.partition).map_or(0, |saved| (snapshot.position - saved.position).max(0))
        };
        let unsaved = snapshots.iter().map(|snapshot| unsaved(snapshot)).sum();
        let pause = workers.values().map(View::longest_pause).max().unwrap_or_default();
        if let Some(overview) = Overview::of(snapshots.iter().map(AsRef::as_ref)) {
            // Before the first report the workers may have restored any number of records, so there is no rate yet.
            let rate = last.map_or(0.0, |(then, records)| {
                overview.records.saturating_sub(records) as f64 / (now - then).as_secs_f64().max(1e-3)
            });
            let is_open = last.replace((now, overview.records)).is_some();
            let contact = contact.look(&*transport, &workers, &ends, is_open);
            let lag = lag(&workers, &ends).filter(|lag| contact == Contact::Answers || *lag > 0);
            let partitions = partitions(&workers, &ends);
            let undecided = partitions.iter().map(|partition| partition.undecided).sum();
            let overview = Overview { unsaved, lag, undecided, contact, page, ..overview };
            match screen {
                Some(screen) => overview.show(screen, &partitions, rate),
                None => overview.report(rate, pause),
            }
            overview.tell_systemd(rate);
        }
        if let Some(fields) = all_fields(&snapshots) {
            let idle = snapshots.len() == workers.len() && snapshots.iter().all(|it| it.high_watermark <= it.position);
            let learned = snapshots.iter().any(|snapshot| snapshot.version > 0);
            fields_log.are_late = snapshots.iter().any(|snapshot| snapshot.late.is_some());
            fields_log.log(&fields, idle, done, learned);
        }
        if done {
            if let Some(screen) = screen {
                screen.leave();
            }
            return;
        }
        next = now + every;
    }
}

/// Merges the fields of the samples of all partitions.
fn all_fields(snapshots: &[Arc<Snapshot>]) -> Option<Fields> {
    let (first, others) = snapshots.split_first()?;
    Some(others.iter().fold((*first.fields).clone(), |all, snapshot| all.merged(&snapshot.fields)))
}

/// Returns the lag of a partition, and the part of it that an open transaction keeps from being read.
pub(super) fn lag_of(number: i32, snapshot: &Snapshot, confirmed: i64, ends: &PartitionEnds) -> (i64, i64) {
    let end = snapshot.end.max(ends.end(number));
    let lag = (end - confirmed).max(0);
    (lag, (snapshot.end - snapshot.high_watermark).clamp(0, lag))
}

/// Sums the lag of all partitions; `None` as long as a worker has not started.
fn lag(workers: &BTreeMap<i32, View>, ends: &PartitionEnds) -> Option<i64> {
    let partitions = partitions(workers, ends);
    (partitions.len() == workers.len()).then(|| partitions.iter().map(|it| it.lag).sum())
}

/// Returns the partitions whose worker has started.
fn partitions(workers: &BTreeMap<i32, View>, ends: &PartitionEnds) -> Vec<Partition> {
    let of = |(&number, view): (&i32, &View)| {
        let snapshot = view.snapshot()?;
        let (lag, undecided) = lag_of(number, &snapshot, view.confirmed(), ends);
        let (records, champion) = (snapshot.records, snapshot.champion_name().to_owned());
        Some(Partition { number, lag, undecided, records, champion })
    };
    workers.iter().filter_map(of).collect()
}

impl Overview {
    fn of<'s>(snapshots: impl Iterator<Item = &'s Snapshot>) -> Option<Self> {
        let mut all: Option<Self> = None;
        for snapshot in snapshots {
            let all = match &mut all {
                Some(all) => {
                    all.add(snapshot);
                    all
                }
                None => all.insert(Self {
                    records: snapshot.records,
                    dead_letters: snapshot.dead_letters,
                    skipped: snapshot.skipped,
                    missed: snapshot.missed,
                    late: snapshot.late.clone(),
                    labels: snapshot.labels,
                    lag: None,
                    undecided: 0,
                    contact: Contact::Answers,
                    unsaved: 0,
                    champions: Vec::new(),
                    models: snapshot.models.clone(),
                    published: snapshot.published.clone(),
                    baseline: snapshot.baseline,
                    coverage: snapshot.coverage,
                    page: None,
                }),
            };
            let name = snapshot.champion_name();
            match all.champions.iter_mut().find(|(champion, _)| champion == name) {
                Some((_, partitions)) => partitions.push(snapshot.partition),
                None => all.champions.push((name.to_owned(), vec![snapshot.partition])),
            }
        }
        all
    }

    fn add(&mut self, snapshot: &Snapshot) {
        self.records += snapshot.records;
        self.dead_letters += snapshot.dead_letters;
        self.skipped += snapshot.skipped;
        self.missed += snapshot.missed;
        self.labels += snapshot.labels;
        self.late = self.late.take().zip(snapshot.late.as_ref()).map(|(mine, other)| mine.merged(other));
        self.coverage = self.coverage.zip(snapshot.coverage).map(|(mine, other)| mine.merged(other));
        self.baseline.total = self.baseline.total.merged(snapshot.baseline.total);
        self.baseline.rolling = self.baseline.rolling.merged(snapshot.baseline.rolling);
        let baseline = self.baseline;
        let others = snapshot.models.iter().chain([&snapshot.published]);
        for (mine, other) in self.models.iter_mut().chain([&mut self.published]).zip(others) {
            mine.total = mine.total.merged(other.total);
            mine.rolling = mine.rolling.merged(other.rolling);
            mine.faded = mine.faded.merged(other.faded);
            mine.total_errors = std::mem::take(&mut mine.total_errors).merged(&other.total_errors);
            mine.rolling_errors = std::mem::take(&mut mine.rolling_errors).merged(&other.rolling_errors);
            mine.counts = mine.counts.merged(other.counts);
            mine.memory += other.memory;
            mine.skill = skill_against(&mine.rolling, &baseline.rolling);
            mine.total_skill = skill_against(&mine.total, &baseline.total);
        }
    }

    /// Returns the champion's name; where partitions have different ones, each with its partitions.
    fn champion(&self) -> String {
        if let [(name, _)] = &self.champions[..] {
            return name.clone();
        }
        let named = self.champions.iter().map(|(name, partitions)| {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{name} ({})", partitions.join(", "))
        });
        named.collect::<Vec<_>>().join(", ")
    }

    /// Shows the overview on the screen.
    fn show(&self, screen: &Screen, partitions: &[Partition], rate: f64) {
        let Self { records, dead_letters, skipped, missed, lag, undecided, contact, coverage, page, .. } = *self;
        let Self { champions, models, published, late, .. } = self;
        let champions: Vec<&str> = champions.iter().map(|(name, _)| name.as_str()).collect();
        let champion = &self.champion();
        let totals = Totals {
            records,
            rate,
            lag,
            undecided,
            contact,
            champion,
            champions,
            dead_letters,
            skipped,
            missed,
            waiting: late.as_ref().map_or(0, |late| late.waiting),
            coverage,
            page,
        };
        screen.show(table::rows(&totals, models, published, partitions, screen.columns()));
    }

    /// Reports the overview; `rate` in records/s.
    fn tell_systemd(&self, rate: f64) {
        let champion = self.champion();
        let skill = self.published.skill.map_or(String::new(), |skill| format!(", skill {skill:.3}"));
        let lag = self.lag.map_or("unknown".to_owned(), |lag| lag.to_string());
        let contact = self.contact.told();
        let undecided = match self.undecided {
            0 => String::new(),
            count => format!(" ({count} behind an open transaction)"),
        };
        tell_systemd_status(&format!("{contact}lag {lag}{undecided}, rate {rate:.0}/s, champion {champion}{skill}"));
    }

    /// Reports the overview; `rate` in records/s.
    fn report(&self, rate: f64, pause: Duration) {
        let coverage = self.coverage.filter(|coverage| coverage.n() > 0);
        let (champion, skill) = (self.champion(), self.published.skill);
        let late = self.late.as_ref();
        tracing::info!(
            event = "report",
            records = self.records,
            rate = rate.round(),
            lag = self.lag,
            undecided = (self.undecided > 0).then_some(self.undecided),
            outage = (self.contact == Contact::Outage).then_some(true),
            throttled = (self.contact == Contact::Throttled).then_some(true),
            champion,
            skill = skill.map(rounded),
            coverage = coverage.map(|coverage| rounded(coverage.recent())),
            width = coverage.map(|coverage| rounded(coverage.recent_width())),
            dead_letters = self.dead_letters,
            skipped = (self.skipped > 0).then_some(self.skipped),
            missed = self.missed,
            labels = late.map(|_| self.labels),
            waiting = late.map(|late| late.waiting),
            expired = late.map(|late| late.expired + late.no_room).filter(|count| *count > 0),
            unmatched = late.map(|late| late.unmatched).filter(|count| *count > 0),
            unread_labels = late.and_then(|late| late.unread).filter(|count| *count > 0),
            unsaved = self.unsaved,
            checkpoint_pause_ms = pause.as_micros() as f64 / 1e3,
            "progress"
        );
        for model in &self.models {
            let counts = model.counts;
            log_figures!(Figures::of(model), event = "model", model = &*model.name; refused = counts.refused,
                implausible = counts.implausible, stood_in = counts.stood_in, drifts = counts.drifts, rescues = counts.rescues, memory = model.memory,
                "standing");
        }
        let published = &self.published;
        log_figures!(Figures::of(published), event = PUBLISHED; scored = published.total.n(),
            implausible = published.counts.implausible, stood_in = published.counts.stood_in, "what was published");
    }
}

/// The figures of a line, rounded for people. A figure that does not exist yet is `None`.
struct Figures {
    mae: Option<f64>,
    rmse: Option<f64>,
    r2: Option<f64>,
    bias: Option<f64>,
    smape: Option<f64>,
    error_p50: Option<f64>,
    error_p90: Option<f64>,
    error_p99: Option<f64>,
    skill: Option<f64>,
    faded_rmse: Option<f64>,
    total_mae: Option<f64>,
    total_rmse: Option<f64>,
    total_r2: Option<f64>,
}

impl Figures {
    fn of(model: &ModelSnapshot) -> Self {
        let ModelSnapshot { total, rolling, rolling_errors, faded, skill, .. } = model;
        let [mae, rmse, bias, smape] =
            [Scores::mae, Scores::rmse, Scores::bias, Scores::smape].map(|it| rolling.known(it).map(rounded));
        let [error_p50, error_p90, error_p99] = [0.5, 0.9, 0.99].map(|q| rolling_errors.known(q).map(rounded));
        let [total_mae, total_rmse] = [Scores::mae, Scores::rmse].map(|it| total.known(it).map(rounded));
        Self {
            mae,
            rmse,
            r2: rolling.known_r2().map(rounded),
            bias,
            smape,
            error_p50,
            error_p90,
            error_p99,
            skill: skill.map(rounded),
            faded_rmse: faded.known(Faded::rmse).map(rounded),
            total_mae,
            total_rmse,
            total_r2: total.known_r2().map(rounded),
        }
    }
}

/// Tells systemd that the service is up.
pub(super) fn tell_systemd_ready() {
    tell_systemd(&[sd_notify::NotifyState::Ready]);
}

/// Shows a line in `systemctl status`.
pub(super) fn tell_systemd_status(status: &str) {
    tell_systemd(&[sd_notify::NotifyState::Status(status)]);
}

/// Tells systemd that the service stops on purpose.
pub(super) fn tell_systemd_stopping() {
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
}

/// Sends to systemd's socket; without one, as on a laptop, this does nothing.
pub(super) fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(event = "systemd_unreachable", %error, "systemd cannot be told how the service is");
    }
}
