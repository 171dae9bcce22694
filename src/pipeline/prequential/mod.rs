//! Predict, score, learn: the order is written here and nowhere else.
//!
//! Invariant: every model predicts a sample before any of them learns from it, and is scored on that prediction. The
//! daemon, `replay`, tests and benchmarks all call [`Prequential::step`]. It knows no transport, clock or entropy: the
//! same samples give the same bits.
//! What this does not do: decode, publish, or decide when to save.
//!
//! Reading order: this file, `candidate` (a model with its scores and guard), `guard` (against diverging models),
//! `absurd` (values that are not believed), `bounds` (limits of the target), `drifts` (one event for detections of
//! several models), `member_graph` (models over others' predictions), `election` (whose prediction is published),
//! `predict` (what all of them predict), `forecasts` (predictions whose targets come late), `published` (its scores), `intervals` (around it), `standings` (views of all models), `restore` (continuing from a
//! stored state).

mod absurd;
mod bounds;
mod candidate;
mod drifts;
mod election;
mod forecasts;
mod guard;
mod intervals;
mod member_graph;
mod predict;
mod published;
mod restore;
mod standings;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use bounds::Bounds;
use candidate::Candidate;
use drifts::Drifts;
use forecasts::Forecasts;
use guard::{Act, Limits, TargetScale};
use intervals::Intervals;
use member_graph::MemberGraph;
use predict::Predictors;
use published::Published;
use thalweg_metrics::{Coverage, Interval, Miss, checked, drift::DetectorKind};
use thalweg_models::{
    Description, Features, Fence, ModelConfig, ModelKind, NamedColumn, Outlier, Pipeline, SampleWindow,
    champion::Track,
    explain::{Explanation, explain},
    per_key::Given,
    steps::StepDescription,
};
use thalweg_state::nested;

pub use candidate::{Counts, Drift};
pub use forecasts::Settlement;
pub use guard::{Action, Config as GuardConfig, Rescue};
pub use member_graph::{Misfit, check};
pub use predict::{Buffers, Prediction};
pub use standings::{PUBLISHED, skill_against};

/// The models of a race, and how they are watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The models, at least one, with distinct names.
    #[serde(deserialize_with = "nested")]
    pub models: Vec<ModelConfig>,
    /// Scored samples in the rolling metrics, ≥ 1.
    pub window: usize,
    /// Factor by which each sample fades the earlier ones in the faded metrics, over 0 and at most 1.
    pub fading: f64,
    /// Drift detector of each model's squared error; `None` for none.
    #[serde(deserialize_with = "nested")]
    pub drift: Option<DetectorKind>,
    /// Settings of the guard against diverging models.
    pub guard: GuardConfig,
    /// Share of the targets that the interval around the published prediction shall hold, over 0 and under 1; `None`
    /// for no intervals.
    #[serde(default)]
    pub intervals: Option<f64>,
    /// Least value that the target can have, in its unit, where it is known: predictions and intervals are cut to it.
    #[serde(default)]
    pub target_min: Option<f64>,
    /// Greatest value, likewise; no smaller than `target_min`.
    #[serde(default)]
    pub target_max: Option<f64>,
    /// Names of the keys that samples have, in order, where models are kept apart by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

checked!(Config { models, window, fading, drift, guard, intervals, target_min, target_max, keys });

impl Config {
    /// Returns the default settings for a race of these models.
    pub fn of(models: Vec<ModelConfig>) -> Self {
        Self {
            models,
            window: 1000,
            fading: 0.99,
            drift: Some(DetectorKind::default()),
            guard: GuardConfig::default(),
            intervals: Some(0.9),
            target_min: None,
            target_max: None,
            keys: Vec::new(),
        }
    }
}

/// All models of one partition with their metrics.
///
/// ```
/// use thalweg_models::{Features, ModelConfig, ModelKind};
/// use thalweg_pipeline::prequential::{Config, Prequential};
///
/// let line = ModelConfig::new("line", ModelKind::Linear(Default::default())).scaled(true);
/// let mut race = Prequential::new(&Config::of(vec![ModelConfig::new("mean", ModelKind::Mean), line]));
/// for i in 0..2000 {
///     let x = [f64::from(i % 7)];
///     // Predicted before it is learned.
///     let step = race.step(Features::new(&x), Some(2.0 * x[0]));
///     assert_eq!(step.version, i as u64);
/// }
/// assert!(race.standings()[1].rolling.rmse() < 0.1 * race.standings()[0].rolling.rmse());
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prequential {
    config: Config,
    contenders: Vec<Candidate>,
    /// Baseline that skill is measured against; one of its own where no configured model is `mean`.
    baseline: Baseline,
    champion: usize,
    /// Scores of the published predictions, whichever model made them.
    #[serde(default = "Published::unknown")]
    published: Published,
    /// Samples learned from.
    version: u64,
    usual: TargetScale,
    /// `None` in states older than intervals, too.
    #[serde(default)]
    intervals: Option<Intervals>,
    /// The latest drift that the models' detectors saw.
    #[serde(default)]
    drifts: Drifts,
    /// Latest samples, which explanations use.
    #[serde(default, deserialize_with = "nested")]
    recent: SampleWindow,
    /// Judge of values that are not believed; it starts anew in states older than it.
    #[serde(default, deserialize_with = "nested")]
    fence: Fence,
    /// Predictions whose targets are not known yet.
    #[serde(default, skip_serializing_if = "Forecasts::is_empty")]
    forecasts: Forecasts,
    /// Samples that had been learned from when a model was rescued last.
    #[serde(default, skip_serializing_if = "is_none")]
    rescued_at: u64,
    #[serde(skip)]
    bounds: Bounds,
    /// The model that is followed until another has proved to be better.
    #[serde(skip)]
    default: Option<usize>,
    #[serde(skip)]
    wiring: MemberGraph,
    #[serde(skip)]
    tracks: Vec<Track>,
    #[serde(skip)]
    buffers: Buffers,
    /// What was made for the last sample without a target.
    #[serde(skip)]
    latest: Made,
    #[serde(skip)]
    events: Vec<Event>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What each model's members had predicted for a sample whose target came late; `None` for one that has it.
type Members<'f> = Option<&'f [Box<[f64]>]>;

/// What was made for a sample besides each model's prediction.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    /// The model whose prediction was published; `None` where it has left the race.
    champion: Option<usize>,
    /// That prediction.
    prediction: f64,
    /// The baseline's.
    baseline: f64,
    /// Interval around what was published, before and after it was cut to the target's bounds.
    around: Option<Interval>,
    interval: Option<Interval>,
    /// True where it was predicted before a model was rescued, which says nothing of what that model is now.
    is_before_rescue: bool,
    /// Samples that were learned since it was predicted, where its target came late.
    behind: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Baseline {
    /// Index of the configured model.
    Configured(usize),
    Own(Box<Candidate>),
}

checked!(
    enum Baseline {
        Configured(model),
        Own(model),
    }
);

/// Result of one sample.
#[derive(Debug)]
pub struct Step<'a> {
    /// A prediction per model, in configured order, made before anything was learned from the sample.
    pub predictions: &'a [f64],
    /// Index of the model whose prediction is the published one.
    pub champion: usize,
    /// Samples the models had learned from when they predicted.
    pub version: u64,
    /// Interval around the published prediction in which the target was expected; `None` where none is configured, and
    /// before anything was scored.
    pub interval: Option<Interval>,
    /// Events of the sample, in order.
    pub events: &'a [Event],
}

/// Event of the race. Models are given by index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The stream has changed: the errors of one model or of several have, see [`Prequential::drifted`].
    Drift {
        /// The model that noticed first.
        model: usize,
        /// Change of its error.
        drift: Drift,
    },
    /// The guard rescued a diverging model.
    Rescued {
        /// The model.
        model: usize,
        /// Kind of the rescue.
        rescue: Rescue,
    },
    /// The mean is published in a model's stead from the next sample on, or no longer.
    StandIn {
        /// The model.
        model: usize,
        /// True where the mean is published.
        active: bool,
    },
    /// A value that robust models do not learn as it is.
    Outlier(Outlier),
    /// Another model is champion from the next sample on.
    ChampionChanged {
        /// The configured champion that follows it; `None` where none is configured.
        of: Option<usize>,
        /// The champion before.
        from: usize,
        /// The champion now.
        to: usize,
    },
}

impl Prequential {
    /// Creates a race of models that have learned nothing, in the order given.
    pub fn new(config: &Config) -> Self {
        let models = &config.models;
        let contenders: Vec<Candidate> = models.iter().map(|model| Candidate::new(model, config)).collect();
        let baseline = match models.iter().position(|model| model.kind == ModelKind::Mean) {
            Some(i) => Baseline::Configured(i),
            None => Baseline::Own(Box::new(Candidate::new(&ModelConfig::new("mean", ModelKind::Mean), config))),
        };
        let mut race = Self {
            // The settings are checked; models whose members do not exist would see features.
            wiring: MemberGraph::new(models, &config.keys).unwrap_or_default(),
            default: election::default_of(models),
            tracks: Vec::new(),
            config: config.clone(),
            buffers: Buffers::new(contenders.len()),
            events: Vec::new(),
            contenders,
            baseline,
            champion: 0,
            published: Published::new(config),
            version: 0,
            usual: TargetScale::default(),
            intervals: config.intervals.map(|coverage| Intervals::new(coverage, config.window)),
            drifts: Drifts::default(),
            bounds: Bounds::of(config),
            recent: SampleWindow::default(),
            fence: Fence::default(),
            forecasts: Forecasts::default(),
            rescued_at: 0,
            latest: Made::default(),
        };
        (0..models.len()).for_each(|model| race.begin(model));
        race.champion = race.first();
        race
    }

    /// Takes one sample: all models predict; where there is a target they are scored, then they learn.
    pub fn step(&mut self, x: Features<'_>, target: Option<f64>) -> Step<'_> {
        self.step_with_keys(x, &[], target)
    }

    /// The same for a sample with these keys, in the order of [`Config::keys`], by which models are kept apart; `None` is one that it
    /// does not have.
    #[inline(always)]
    pub fn step_with_keys(&mut self, x: Features<'_>, keys: &[Option<String>], target: Option<f64>) -> Step<'_> {
        self.events.clear();
        let (champion, version) = (self.champion, self.version);
        let interval = if self.is_usual(x) {
            self.predict_score_learn([x; 2], keys, target)
        } else {
            let row = self.admit(x, target.is_some());
            let interval = self.predict_score_learn([x, x.replaced(&row)], keys, target);
            self.buffers.fenced = row;
            interval
        };
        Step { predictions: &self.buffers.predictions, champion, version, interval, events: &self.events }
    }

    /// Predicts, scores and learns, and returns the interval around the published prediction. `x` is the sample as it
    /// is, and as robust models see it.
    #[inline]
    fn predict_score_learn(
        &mut self,
        x: [Features<'_>; 2],
        keys: &[Option<String>],
        target: Option<f64>,
    ) -> Option<Interval> {
        let baseline = self.predict(x, keys);
        let prediction = self.buffers.predictions[self.champion];
        let around = self.intervals.as_ref().and_then(|intervals| intervals.around(prediction));
        let interval = around.map(|interval| self.bounds.within(interval));
        let champion = Some(self.champion);
        let made = Made { champion, prediction, baseline, around, interval, is_before_rescue: false, behind: None };
        match target {
            Some(y) => self.score_and_learn(x, keys, y, made, None),
            None => self.latest = made,
        }
        interval
    }

    // Both for samples with their targets and for late ones these would be calls, which costs the former 4 %.
    /// Makes every model's own and published prediction, and returns the baseline's.
    #[inline(always)]
    fn predict(&mut self, x: [Features<'_>; 2], keys: &[Option<String>]) -> f64 {
        let Self { contenders, baseline, usual, bounds, wiring, buffers, .. } = self;
        Predictors { contenders, baseline, usual, bounds: *bounds, wiring }.predict(x, keys, buffers)
    }

    /// Scores what was published for a sample, and learns the sample.
    #[inline(always)]
    fn score_and_learn(
        &mut self,
        x: [Features<'_>; 2],
        keys: &[Option<String>],
        y: f64,
        made: Made,
        members: Members<'_>,
    ) {
        let Made { champion, prediction, baseline, around, interval, is_before_rescue, behind } = made;
        let learned = self.admit_target(y);
        if champion.is_none() {
            self.published.scores.add(Miss::of(y, prediction));
        }
        let limits = self.score([y, learned], champion, baseline);
        if let Some(intervals) = &mut self.intervals {
            intervals.score(y, interval);
            match behind {
                None => intervals.learn(learned, prediction, around),
                Some(behind) => intervals.learn_late(learned, prediction, interval, behind),
            }
        }
        let limits = if is_before_rescue { None } else { Some(limits) };
        self.learn_from(x, keys, [y, learned], limits.as_ref(), members);
    }

    /// Has all models learn a sample, and elects.
    #[inline(always)]
    fn learn_from(
        &mut self,
        x: [Features<'_>; 2],
        keys: &[Option<String>],
        y: [f64; 2],
        limits: Option<&Limits>,
        members: Members<'_>,
    ) {
        self.learn(x, keys, y, limits, members);
        let ([_, usual], [_, learned]) = (x, y);
        self.recent.push(usual, learned);
        self.version += 1;
        self.begin_to_judge_when_due();
        self.elect();
    }

    /// Scores all models and returns the limits by which guards judge them. `y` is the target as it is, and as robust
    /// models learn it, and `champion` the model whose prediction was published.
    #[inline(always)]
    fn score(&mut self, [y, learned]: [f64; 2], champion: Option<usize>, baseline: f64) -> Limits {
        let default =
            self.default.map(|default| learned - self.buffers.predictions[default]).map(|error| error * error);
        let Self { drifts, bounds, version, usual, published, .. } = self;
        let pairs = self.contenders.iter_mut().zip(self.buffers.predictions.iter().zip(&self.buffers.raw));
        for (model, (contender, (&prediction, &own))) in pairs.enumerate() {
            let (miss, replaced) = (Miss::of(y, prediction), bounds.replaced(own, prediction));
            if replaced {
                contender.counts.replaced(usual.is_plausible(own));
            }
            if Some(model) == champion {
                published.scores.add(miss);
                if replaced {
                    published.replaced(usual.is_plausible(own));
                }
            }
            // Models without a guard are baselines, and champions, whose errors are those of their members.
            if let Some(drift) = contender.score(miss, learned - prediction, default)
                && contender.guard.is_some()
            {
                drifts.detected(model, drift, *version);
            }
        }
        if drifts.is_open()
            && let Some((model, drift)) =
                drifts.due(self.contenders.iter().filter(|contender| contender.guard.is_some()).count(), *version)
        {
            self.events.push(Event::Drift { model, drift });
        }
        if let Baseline::Own(own) = &mut self.baseline {
            own.score(Miss::of(y, baseline), learned - baseline, None);
        }
        self.usual.judge(learned, baseline)
    }

    #[inline(always)]
    fn learn(
        &mut self,
        x: [Features<'_>; 2],
        keys: &[Option<String>],
        y: [f64; 2],
        limits: Option<&Limits>,
        members: Members<'_>,
    ) {
        let Self { contenders, buffers, events, version, wiring, rescued_at, forecasts, .. } = self;
        let Buffers { raw, predictions, scratch, row, .. } = buffers;
        let members_of = |model: usize| members?.get(model).map(|members| &**members);
        let mut learn =
            |model: usize, contender: &mut Candidate, x: Features<'_>, given: Option<Given<'_>>, own: f64| {
                let learned = contender.sees(y);
                match (given, members) {
                    (None, None) => contender.learn(x, learned, scratch),
                    (None, Some(_)) => contender.learn_late(x, learned, members_of(model).unwrap_or_default(), scratch),
                    (Some(given), _) => {
                        contender.learn_of_key(x, given, learned, members_of(model).unwrap_or_default())
                    }
                }
                let act = limits.and_then(|limits| contender.guard(own, limits, *version + 1));
                match act {
                    Some(Act::Rescued(rescue)) => {
                        // It is asked for only of samples that wait.
                        if !forecasts.is_empty() {
                            *rescued_at = *version + 1;
                        }
                        events.push(Event::Rescued { model, rescue });
                    }
                    Some(Act::StandIn(active)) => events.push(Event::StandIn { model, active }),
                    None => {}
                }
            };
        for (model, (contender, &own)) in contenders.iter_mut().zip(&*raw).enumerate() {
            if wiring.sees_features(model) {
                let seen = contender.sees(x);
                learn(model, contender, seen, None, own);
            }
        }
        for ensemble in &wiring.ensembles {
            let (contender, own) = (&mut contenders[ensemble.model], raw[ensemble.model]);
            let given = ensemble.given(keys, predictions);
            let seen = match given {
                Some(_) => contender.sees(x),
                None => Features::new(ensemble.columns(predictions, row)),
            };
            learn(ensemble.model, contender, seen, given, own);
        }
        if let Baseline::Own(own) = &mut self.baseline {
            let (x, y) = (own.sees(x), own.sees(y));
            own.learn(x, y, scratch);
        }
    }

    /// Returns the models' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.contenders.iter().map(|contender| &contender.name)
    }

    /// Returns the index of the champion.
    pub fn champion(&self) -> usize {
        self.champion
    }

    /// Samples learned from.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns model `i` with all that it has learned.
    pub fn pipeline(&self, i: usize) -> Option<&Pipeline> {
        self.contenders.get(i).map(|contender| &contender.pipeline)
    }

    /// Describes what model `i` and its steps have learned, by name; `columns` are those of the samples.
    pub fn describe(&self, i: usize, columns: &[NamedColumn]) -> Option<(Vec<StepDescription>, Description)> {
        let columns = match self.wiring.members(i) {
            Some(members) => {
                members.iter().map(|member| NamedColumn::new(&self.contenders[*member].name, None)).collect()
            }
            None => columns.to_vec(),
        };
        Some(self.contenders.get(i)?.pipeline.describe(columns))
    }

    /// Returns the latest samples that were learned from.
    pub fn recent(&self) -> &SampleWindow {
        &self.recent
    }

    /// Explains which features matter to model `i` now; `columns` are those of the samples. Returns `None` for a model
    /// that sees no features, and while too few samples were learned from.
    pub fn explain(&self, i: usize, columns: Vec<NamedColumn>) -> Option<Explanation> {
        // Models over others' predictions see none of the columns.
        let pipeline = self.pipeline(i).filter(|_| self.wiring.sees_features(i))?;
        explain(pipeline, columns, &self.recent)
    }

    /// Returns the models that had noticed the latest drift when it was reported, the first one first, and the samples
    /// scored since its first sign.
    pub fn drifted(&self) -> (impl Iterator<Item = usize>, u64) {
        // The sample that brought the event is counted already.
        (self.drifts.models(), self.drifts.age(self.version.saturating_sub(1)))
    }

    /// Returns the track of model `i`, which elections compare.
    pub fn track(&self, i: usize) -> Track {
        self.contenders.get(i).map_or_else(Track::default, |contender| contender.track)
    }

    /// Returns the rolling RMSE of model `i`, in the target's unit.
    pub fn rolling_rmse(&self, i: usize) -> f64 {
        self.contenders.get(i).map_or(0.0, |contender| contender.scores.rolling.scores().rmse())
    }

    /// Returns the faded RMSE of model `i`, in the target's unit.
    pub fn faded_rmse(&self, i: usize) -> f64 {
        self.contenders.get(i).map_or(0.0, |contender| contender.scores.faded.rmse())
    }

    /// Returns the coverage of the intervals; `None` where none are configured.
    pub fn coverage(&self) -> Option<Coverage> {
        self.intervals.as_ref().map(Intervals::coverage)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Candidate> {
        let own = match &mut self.baseline {
            Baseline::Configured(_) => None,
            Baseline::Own(own) => Some(own.as_mut()),
        };
        self.contenders.iter_mut().chain(own)
    }
}
