//! Runs the jobs of a plan, as many at once as there are cores.
//!
//! Invariant: a job reads its stream by itself and shares nothing with the others, so jobs that run at the same time
//! change no number except the time.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, stderr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::{
    super::samples::{MAX_REJECTIONS_SHOWN, Samples},
    Problems,
    plan::{Job, Plan},
    trace::Trace,
};
use crate::{
    app::fields,
    models::{Features, explain::Explanation},
    pipeline::{
        decode::Fields,
        labels::{Outcome, Role, Settled},
        prequential::{Config, Prequential},
        snapshot::{Late, ModelSnapshot},
    },
    settings::Settings,
};

/// Returns the processor time of this thread so far, which excludes other threads and waiting.
fn cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}

/// Records between two readings of the clock.
const CLOCK_CHECK_RECORDS: usize = 64;

/// Parts of a job on the progress bar.
const PROGRESS_PARTS: u64 = 100;

/// Result of a job.
pub(super) struct Run {
    pub(super) model: ModelSnapshot,
    pub(super) counts: Counts,
    /// Processor time of predicting, scoring and learning, without reading the stream.
    pub(super) time: Duration,
    pub(super) trace: Trace,
    /// Features that mattered to it at the end of a stream's first run; `None` for the other runs.
    pub(super) importance: Option<Explanation>,
}

/// Records of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) scored: u64,
    pub(super) rejected: u64,
    /// Those that only said that a row was deleted.
    pub(super) skipped: u64,
    /// Those that were labels of earlier samples.
    pub(super) labels: u64,
    /// What became of targets that come late, if any do.
    pub(super) late: Option<Late>,
    /// Reasons why the first ones could not be used.
    pub(super) rejections: Vec<String>,
    /// Notices about them.
    pub(super) notices: Vec<String>,
    /// Use of their fields.
    pub(super) fields: Fields,
}

impl Counts {
    /// Returns `true` where both count the same records. Notices are ignored: those about times depend on the clock.
    pub(super) fn agree(&self, other: &Self) -> bool {
        let [mine, theirs] = [self, other].map(|counts| Self { notices: Vec::new(), ..counts.clone() });
        mine == theirs
    }
}

/// Runs all jobs and returns their results, in their order.
///
/// # Errors
/// When streams cannot be read to their end; each is named once.
pub(super) fn all(plan: &Plan, settings: &Settings, at_once: usize) -> anyhow::Result<Vec<Run>> {
    let jobs = &plan.jobs;
    let progress = progress_bar(jobs.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed)
            && let Some((i, job)) = next_of(jobs, &next)
        {
            let result = one(plan, job, settings, &progress);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((i, result));
        }
        done
    };
    let mut runs = BTreeMap::new();
    let mut problems = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once.min(jobs.len()).max(1)).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            for (i, result) in thread.join().unwrap_or_default() {
                match result {
                    Ok(run) => drop(runs.insert(i, run)),
                    Err(error) => problems.push(format!("{}: {error:#}", plan.streams[jobs[i].stream].name)),
                }
            }
        }
    });
    progress.finish_and_clear();
    if problems.is_empty() && runs.len() < jobs.len() {
        // A thread that panicked has printed its message.
        let lost = (0..jobs.len()).find(|i| !runs.contains_key(i)).map(|i| &jobs[i]);
        problems.extend(lost.map(|job| {
            let model = job.own.map_or("the whole race", |own| job.race[own].name.as_str());
            let stream = &plan.streams[job.stream].name;
            format!("a model panicked, `{model}` on {stream} or one beside it. Please report this")
        }));
    }
    problems.sort();
    problems.dedup();
    Problems(problems).none(runs.into_values().collect())
}

fn next_of<'a>(jobs: &'a [Job], next: &AtomicUsize) -> Option<(usize, &'a Job)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    Some((i, jobs.get(i)?))
}

fn one(plan: &Plan, job: &Job, settings: &Settings, progress: &ProgressBar) -> anyhow::Result<Run> {
    let stream = &plan.streams[job.stream];
    let mut samples = stream.open(job.run, &settings.schema)?;
    let mut race = Prequential::new(&Config { models: job.race.clone(), ..settings.race.clone() });
    let (mut batch, mut counts, mut trace) = (Batch::default(), Counts::default(), Trace::default());
    let mut time = Duration::ZERO;
    let mut part = Part::new(progress, samples.size());
    while batch.fill(&mut samples, &mut counts)? {
        let began = cpu_time();
        batch.step(&mut race, samples.nominal(), job.own);
        time += cpu_time().saturating_sub(began);
        counts.scored += batch.scored.len() as u64;
        batch.scored.iter().for_each(|&(record, y, prediction)| trace.update(record, y, prediction));
        if let (Some((record, ..)), Some(own)) = (batch.scored.last(), job.own) {
            trace.curve.update(*record, race.rolling_rmse(own));
        }
        part.reached(samples.position());
    }
    let mut last = Vec::new();
    settle(&mut race, samples.settled(), samples.row(), counts.records.saturating_sub(1), job.own, &mut last);
    counts.scored += last.len() as u64;
    last.iter().for_each(|&(record, y, prediction)| trace.update(record, y, prediction));
    part.end();
    counts.late = samples.late();
    counts.fields = samples.fields();
    counts.notices = samples.take_notices();
    match counts {
        Counts { records: 0, .. } => anyhow::bail!("it holds no records"),
        Counts { scored: 0, .. } => {
            let hint = counts.rejections.first().map_or(String::new(), |first| format!("; {first}"));
            let what = match counts.fields.records {
                0 => format!("no record of {} has a target to score; look at schema.target", counts.records),
                _ => fields::no_target(&counts.fields),
            };
            anyhow::bail!("{what}{hint}")
        }
        _ => {}
    }
    let mut standings = race.standings();
    let Some(own) = job.own else {
        let memory = standings.iter().map(|model| model.memory).sum();
        let model = ModelSnapshot { memory, ..race.published() };
        return Ok(Run { model, counts, time, trace, importance: None });
    };
    let importance = if job.run == 0 { race.explain(own, samples.named_columns()) } else { None };
    Ok(Run { model: standings.swap_remove(own), counts, time, trace, importance })
}

/// A few decoded records, so that reading is not timed and the clock not asked too often.
#[derive(Default)]
struct Batch {
    /// Rows one behind the other.
    values: Vec<f64>,
    /// Keys by which models are kept apart, likewise.
    keys: Vec<Option<String>>,
    items: Vec<Item>,
    /// What they have settled, one behind the other.
    settled: Vec<Settled>,
    /// Number, target and prediction of each sample that was scored.
    scored: Vec<(u64, f64, f64)>,
}

/// A record of a batch, with the ends of its parts.
struct Item {
    record: u64,
    target: Option<f64>,
    role: Role,
    row_end: usize,
    keys_end: usize,
    settled_end: usize,
}

impl Batch {
    /// Reads the next records, and returns `true` where there are any or the stream goes on.
    fn fill(&mut self, samples: &mut Samples, counts: &mut Counts) -> anyhow::Result<bool> {
        self.values.clear();
        self.keys.clear();
        self.items.clear();
        self.settled.clear();
        self.scored.clear();
        while self.items.len() < CLOCK_CHECK_RECORDS
            && let Some(decoded) = samples.next_sample()?
        {
            let record = counts.records;
            counts.records += 1;
            match decoded {
                Ok(sample) => {
                    self.values.extend_from_slice(sample.features.values());
                    self.settled.extend_from_slice(sample.settled());
                    self.keys.extend_from_slice(sample.keys);
                    let (row_end, keys_end, settled_end) = (self.values.len(), self.keys.len(), self.settled.len());
                    let (target, role) = (sample.target, sample.role());
                    self.items.push(Item { record, target, role, row_end, keys_end, settled_end });
                    counts.labels += u64::from(sample.role() == Role::Label);
                }
                Err(rejection) if rejection.is_skipped() => counts.skipped += 1,
                Err(rejection) => {
                    counts.rejected += 1;
                    if counts.rejected <= MAX_REJECTIONS_SHOWN {
                        let reason = rejection.reason();
                        counts.rejections.push(format!("record {record} cannot be used ({reason}): {rejection}"));
                    }
                }
            }
        }
        Ok(!self.items.is_empty())
    }

    fn step(&mut self, race: &mut Prequential, nominal: &[bool], own: Option<usize>) {
        let Self { values, keys, items, settled, scored } = self;
        let (mut row_start, mut keys_start, mut settled_start) = (0, 0, 0);
        for Item { record, target, role, row_end, keys_end, settled_end } in items {
            let row = &values[row_start..*row_end];
            // The row has only the columns that existed when it was read.
            let x = Features::with_nominal(row, &nominal[..nominal.len().min(row.len())]);
            let keys = &keys[keys_start..*keys_end];
            settle(race, &settled[settled_start..*settled_end], x, *record, own, scored);
            (row_start, keys_start, settled_start) = (*row_end, *keys_end, *settled_end);
            if *role == Role::Label {
                continue;
            }
            let step = race.step_with_keys(x, keys, *target);
            let prediction = step.predictions[own.unwrap_or(step.champion)];
            scored.extend(target.map(|target| (*record, target, prediction)));
            if let Role::Waits { id, .. } = *role {
                race.keep(id, x, keys);
            }
        }
    }
}

/// Learns samples whose targets have come with a record, and adds those that were scored.
fn settle(
    race: &mut Prequential,
    settled: &[Settled],
    x: Features<'_>,
    record: u64,
    own: Option<usize>,
    scored: &mut Vec<(u64, f64, f64)>,
) {
    race.settle_all(settled, x, |settled, settlement| {
        let model = own.or(settlement.champion);
        let prediction = settlement.scored.zip(model).map(|(predictions, model)| predictions[model]);
        if let (Outcome::Labelled(target) | Outcome::Defaulted(target), Some(prediction)) =
            (settled.outcome, prediction)
        {
            scored.push((record, target, prediction));
        }
    });
}

fn progress_bar(jobs: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %, {eta} to go");
    // The template is a constant; if it were wrong, the default would do.
    ProgressBar::new(jobs as u64 * PROGRESS_PARTS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A job's part of the progress bar.
struct Part<'a> {
    progress: &'a ProgressBar,
    size: Option<u64>,
    done: u64,
}

impl<'a> Part<'a> {
    fn new(progress: &'a ProgressBar, size: Option<u64>) -> Self {
        Self { progress, size, done: 0 }
    }

    fn reached(&mut self, position: u64) {
        let Some(size) = self.size.filter(|size| *size > 0) else { return };
        let reached = (position as f64 / size as f64 * PROGRESS_PARTS as f64) as u64;
        let reached = reached.clamp(self.done, PROGRESS_PARTS);
        if reached > self.done {
            self.progress.inc(reached - self.done);
            self.done = reached;
        }
    }

    fn end(&mut self) {
        self.progress.inc(PROGRESS_PARTS - self.done);
        self.done = PROGRESS_PARTS;
    }
}
