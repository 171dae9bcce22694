//! Leaderboards: the models by their errors, on each stream and over all, and which differences are more than noise.
//!
//! Invariant: a difference that could not be judged is never called beyond noise.

use serde::Serialize;

use super::{
    Problems,
    plan::{self, Plan, Stream},
    run::{Counts, Run},
    trace::Trace,
};
use crate::{
    generator::Transition,
    metrics::significance::{Friedman, alike, friedman, holm, mean_ranks, nemenyi},
    models::explain::Explanation,
    pipeline::{prequential, snapshot::ModelSnapshot},
};

/// Level of significance: a difference with a smaller p-value is beyond noise.
pub(super) const ALPHA: f64 = 0.05;

/// RMSEs whose ratio is at least this are not called within noise of each other.
const FAR_APART_FACTOR: f64 = 1.5;

/// Least number of streams for a test of the ranks.
pub(super) const MIN_STREAMS: usize = 5;

/// All results that are reported.
pub(super) struct Standings {
    pub(super) models: Vec<Model>,
    pub(super) streams: Vec<Board>,
    pub(super) overall: Overall,
}

/// Model that ran.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Settings of it and the models it needs, to be pasted.
    pub(super) toml: String,
}

/// Leaderboard of a stream. Models are given by index.
pub(super) struct Board {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) seeds: Vec<Option<u64>>,
    pub(super) transitions: Vec<Transition>,
    /// Records of the first run.
    pub(super) counts: Counts,
    pub(super) test: Test,
    /// Models, the best first.
    pub(super) order: Vec<usize>,
    pub(super) scores: Vec<Score>,
    /// Scores of the predictions that the daemon would have published from all models, outside the ranking; `None`
    /// where there is one model.
    pub(super) published: Option<Score>,
    /// All pairs of models, in the order of models.
    pub(super) pairs: Vec<Pair>,
    /// Traces of each model's first run.
    pub(super) traces: Vec<Trace>,
    /// Features that mattered to each model at the end of its first run; `None` for models that see no features.
    pub(super) importance: Vec<Option<Explanation>>,
}

/// Test that tells differences on a stream from noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Paired differences of the RMSE over so many seeds.
    Seeds(usize),
    /// Paired differences of the mean squared error over stretches of one run.
    Blocks,
    /// There is no test: too few records.
    TooShort,
}

/// Scores of a model on a stream.
pub(super) struct Score {
    /// Means over the runs; the most bytes, and all incidents.
    pub(super) mean: Figures,
    pub(super) runs: Vec<Figures>,
}

/// Figures of a run.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Figures {
    pub(super) rmse: f64,
    pub(super) mae: f64,
    pub(super) r2: f64,
    pub(super) skill: f64,
    /// Microseconds per record.
    pub(super) micros: f64,
    /// Memory at the end of the run.
    pub(super) bytes: usize,
    #[serde(flatten)]
    pub(super) incidents: prequential::Counts,
}

/// Comparison of two models on a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) a: usize,
    pub(super) b: usize,
    /// RMSE of `a` less that of `b`.
    pub(super) difference: f64,
    /// P-value of the difference, adjusted for the number of pairs; `None` where it cannot be computed.
    pub(super) p: Option<f64>,
    /// True where one RMSE is at least [`FAR_APART_FACTOR`] times the other.
    pub(super) apart: bool,
}

impl Pair {
    pub(super) fn beyond_noise(&self) -> bool {
        self.p.is_some_and(|p| p < ALPHA)
    }

    /// Returns `true` where errors differ greatly, but so irregularly that no test can exclude chance.
    pub(super) fn too_erratic(&self) -> bool {
        self.apart && self.p.is_some() && !self.beyond_noise()
    }
}

/// Comparison over all streams, by ranks of the RMSE.
pub(super) struct Overall {
    /// Models, the best first.
    pub(super) order: Vec<usize>,
    pub(super) mean_ranks: Vec<f64>,
    /// Number of streams on which each model is the first.
    pub(super) wins: Vec<usize>,
    /// Mean skill over streams.
    pub(super) skill: Vec<f64>,
    /// Test whether models differ at all; `None` for too few streams.
    pub(super) friedman: Option<Friedman>,
    /// Mean ranks further apart than this differ beyond noise; `None` for too few streams, or where they do not differ
    /// at all.
    pub(super) critical_difference: Option<f64>,
}

impl Standings {
    /// Makes the leaderboards from the results of a plan's jobs.
    ///
    /// # Errors
    /// When a stream changed while it was read.
    pub(super) fn new(plan: &Plan, runs: Vec<Run>) -> anyhow::Result<Self> {
        let models = plan.models.iter().enumerate().map(|(i, entry)| Model {
            name: entry.config.name.clone(),
            kind: entry.config.kind.name(),
            toml: plan::needed(&plan.models, i)
                .into_iter()
                .map(|i| plan.models[i].toml.as_str())
                .collect::<Vec<_>>()
                .join("\n"),
        });
        let mut problems = Vec::new();
        let mut runs = runs.into_iter();
        let mut streams = Vec::new();
        for stream in &plan.streams {
            // Results come run by run, each with all models.
            let of_stream = (&mut runs).take(stream.seeds.len() * jobs_in_run(plan.models.len())).collect();
            match Board::new(stream, of_stream, plan.models.len()) {
                Some(board) => streams.push(board),
                None => {
                    problems.push(format!("{}: it changed while it was read; try again when it rests", stream.name))
                }
            }
        }
        let overall = Overall::new(&streams, plan.models.len());
        Problems(problems).none(Self { models: models.collect(), streams, overall })
    }
}

impl Board {
    fn new(stream: &Stream, runs: Vec<Run>, models: usize) -> Option<Self> {
        let counts = runs.first()?.counts.clone();
        let in_run = jobs_in_run(models);
        if runs.chunks(in_run).any(|run| run.iter().any(|it| !it.counts.agree(&run[0].counts))) {
            return None;
        }
        let mut scores: Vec<Vec<Figures>> = (0..models).map(|_| Vec::new()).collect();
        let mut published = Vec::new();
        let (mut traces, mut importance) = (Vec::new(), Vec::new());
        for (i, run) in runs.into_iter().enumerate() {
            scores.get_mut(i % in_run).unwrap_or(&mut published).push(Figures::new(&run));
            if i < models {
                traces.push(run.trace);
                importance.push(run.importance);
            }
        }
        let scores: Vec<Score> = scores.into_iter().map(Score::new).collect();
        let rmse: Vec<f64> = scores.iter().map(|score| score.mean.rmse).collect();
        let (test, pairs) = compared(&scores, &traces);
        Some(Self {
            name: stream.name.clone(),
            kind: stream.kind(),
            seeds: stream.seeds.clone(),
            transitions: stream.transitions.clone(),
            counts,
            test,
            order: ascending(&rmse),
            scores,
            published: (!published.is_empty()).then(|| Score::new(published)),
            pairs,
            traces,
            importance,
        })
    }

    /// Returns the model with the smallest error.
    pub(super) fn winner(&self) -> usize {
        self.order.first().copied().unwrap_or(0)
    }

    /// Returns the comparison of two models, in either order.
    pub(super) fn pair(&self, a: usize, b: usize) -> Option<&Pair> {
        self.pairs.iter().find(|pair| (pair.a, pair.b) == (a.min(b), a.max(b)))
    }

    /// Returns the models that the winner does not beat beyond noise, the best first.
    pub(super) fn level(&self) -> Vec<usize> {
        let winner = self.winner();
        let is_level =
            |model: &usize| self.pair(winner, *model).is_some_and(|pair| !pair.beyond_noise() && !pair.too_erratic());
        self.order.iter().copied().filter(is_level).collect()
    }
}

impl Board {
    /// Returns the models that are far behind the winner, but too erratic to be judged, the best first.
    pub(super) fn erratic(&self) -> Vec<usize> {
        let winner = self.winner();
        let is_erratic = |model: &usize| self.pair(winner, *model).is_some_and(Pair::too_erratic);
        self.order.iter().copied().filter(is_erratic).collect()
    }
}

impl Figures {
    fn new(run: &Run) -> Self {
        let ModelSnapshot { total, total_skill, counts, memory, .. } = &run.model;
        Self {
            rmse: total.rmse(),
            mae: total.mae(),
            r2: total.r2(),
            // NaN becomes null in JSON and a dash elsewhere.
            skill: total_skill.unwrap_or(f64::NAN),
            micros: run.time.as_secs_f64() * 1e6
                / (run.counts.records - run.counts.rejected - run.counts.skipped - run.counts.labels).max(1) as f64,
            bytes: *memory,
            incidents: *counts,
        }
    }
}

impl Score {
    fn new(runs: Vec<Figures>) -> Self {
        let of = |what: fn(&Figures) -> f64| mean(runs.iter().map(what));
        let mean = Figures {
            rmse: of(|run| run.rmse),
            mae: of(|run| run.mae),
            r2: of(|run| run.r2),
            skill: of(|run| run.skill),
            micros: of(|run| run.micros),
            bytes: runs.iter().map(|run| run.bytes).max().unwrap_or(0),
            incidents: runs.iter().fold(prequential::Counts::default(), |sum, run| sum.merged(run.incidents)),
        };
        Self { mean, runs }
    }
}

/// Returns the number of jobs of one run over a stream: every model, and the whole race where there is more than one.
pub(super) fn jobs_in_run(models: usize) -> usize {
    models + usize::from(models > 1)
}

/// Returns the mean, which does not overflow where none of the values does.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    values.zip(1_u32..).fold(0.0, |mean, (value, count)| mean + (value - mean) / f64::from(count))
}

/// Returns indices by value, the smallest first, equals in their order; NaN is last.
fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].is_nan().cmp(&values[*b].is_nan()).then(values[*a].total_cmp(&values[*b])));
    order
}

/// Compares all pairs of models of a stream, and returns the test that was used.
fn compared(scores: &[Score], traces: &[Trace]) -> (Test, Vec<Pair>) {
    let seeds = scores.first().map_or(0, |score| score.runs.len());
    let (test, series): (Test, Vec<Vec<f64>>) = if seeds > 1 {
        (Test::Seeds(seeds), scores.iter().map(|score| score.runs.iter().map(|run| run.rmse).collect()).collect())
    } else {
        match traces.iter().map(|trace| trace.losses.means()).collect() {
            Some(blocks) => (Test::Blocks, blocks),
            None => (Test::TooShort, vec![Vec::new(); scores.len()]),
        }
    };
    let mut pairs = Vec::new();
    for a in 0..scores.len() {
        for b in a + 1..scores.len() {
            let (first, second) = (scores[a].mean.rmse, scores[b].mean.rmse);
            let apart = first.max(second) >= FAR_APART_FACTOR * first.min(second);
            pairs.push(Pair { a, b, difference: first - second, apart, p: alike(&series[a], &series[b]) });
        }
    }
    let judged: Vec<f64> = pairs.iter().filter_map(|pair| pair.p).collect();
    let mut adjusted = holm(&judged).into_iter();
    for pair in pairs.iter_mut().filter(|pair| pair.p.is_some()) {
        pair.p = adjusted.next();
    }
    (test, pairs)
}

impl Overall {
    fn new(streams: &[Board], models: usize) -> Self {
        let errors: Vec<Vec<f64>> =
            streams.iter().map(|board| board.scores.iter().map(|score| score.mean.rmse).collect()).collect();
        let mean_ranks = mean_ranks(&errors);
        let wins = (0..models).map(|model| streams.iter().filter(|board| board.winner() == model).count());
        let skill = (0..models).map(|model| mean(streams.iter().map(|board| board.scores[model].mean.skill)));
        let friedman = if streams.len() < MIN_STREAMS { None } else { friedman(&mean_ranks, streams.len()) };
        Self {
            order: ascending(&mean_ranks),
            wins: wins.collect(),
            skill: skill.collect(),
            // Nemenyi's test follows Friedman's only where that finds a difference.
            critical_difference: friedman.filter(|it| it.p < ALPHA).map(|_| nemenyi(models, streams.len())),
            friedman,
            mean_ranks,
        }
    }

    /// Returns the model with the lowest mean rank.
    pub(super) fn winner(&self) -> usize {
        self.order.first().copied().unwrap_or(0)
    }

    /// Returns `true` where two models differ beyond noise.
    pub(super) fn beyond_noise(&self, a: usize, b: usize) -> bool {
        self.critical_difference.is_some_and(|critical| (self.mean_ranks[a] - self.mean_ranks[b]).abs() > critical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_last_and_equals_keep_their_order() {
        assert_eq!(ascending(&[f64::NAN, 2.0, 1.0, f64::INFINITY, 1.0]), [2, 4, 1, 3, 0]);
    }

    #[test]
    fn means_of_huge_errors_are_finite() {
        assert_eq!(mean([1.5e308, 1.5e308, 1.5e308].into_iter()), 1.5e308);
    }
}
