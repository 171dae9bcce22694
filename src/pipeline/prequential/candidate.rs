//! One model in the race, with its scores and its guard.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Config,
    guard::{Act, Guard, Limits},
};
use thalweg_metrics::{
    Miss, Scorecard, checked,
    drift::{Detector, Shift},
};
use thalweg_models::{Features, ModelConfig, Pipeline, SampleWindow, Scratch, champion::Track, per_key::Given};
use thalweg_state::nested;

/// A model, its scores, its drift detector and its guard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Candidate {
    #[serde(deserialize_with = "nested")]
    pub(super) config: ModelConfig,
    pub(super) name: Arc<str>,
    #[serde(deserialize_with = "nested")]
    pub(super) pipeline: Pipeline,
    #[serde(deserialize_with = "nested")]
    pub(super) scores: Scorecard,
    /// Track that elections compare; empty in states older than it.
    #[serde(default)]
    pub(super) track: Track,
    /// Detector of changes in the squared error; `None` where none is configured.
    #[serde(deserialize_with = "nested")]
    pub(super) detector: Option<Detector>,
    /// `None` for models that cannot diverge.
    pub(super) guard: Option<Guard>,
    pub(super) counts: Counts,
}

checked!(Candidate { config, name, pipeline, scores, track, detector, guard, counts });

/// Change of a model's error: RMSEs, in the target's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// RMSE of the errors that the detector had seen until the change.
    pub before: f64,
    /// RMSE since then, as far as the detector can tell.
    pub after: f64,
}

checked!(Drift { before, after });

/// Counts of a model since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples that it refused to learn.
    pub refused: u64,
    /// Implausible predictions: the mean stood in for them.
    pub implausible: u64,
    /// Other predictions that the mean stood in for, because the model had cost more than the mean.
    #[serde(default)]
    pub stood_in: u64,
    /// Changes of its error, by the drift detector.
    pub drifts: u64,
    /// Rescues by the guard.
    pub rescues: u64,
}

checked!(Counts { refused, implausible, stood_in, drifts, rescues });

impl Counts {
    /// Counts a prediction that the mean stood in for.
    #[cold]
    pub(super) fn replaced(&mut self, plausible: bool) {
        self.stood_in += u64::from(plausible);
        self.implausible += u64::from(!plausible);
    }

    /// Returns the sum of both counts.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            refused: self.refused + other.refused,
            implausible: self.implausible + other.implausible,
            stood_in: self.stood_in + other.stood_in,
            drifts: self.drifts + other.drifts,
            rescues: self.rescues + other.rescues,
        }
    }
}

impl Candidate {
    pub(super) fn new(model: &ModelConfig, config: &Config) -> Self {
        let guard = (!model.kind.cannot_diverge()).then(|| Guard::new(config.guard));
        Self {
            name: model.name.as_str().into(),
            pipeline: Pipeline::new(model),
            config: model.clone(),
            scores: Scorecard::new(config.window, config.fading),
            track: Track::default(),
            detector: config.drift.map(Detector::new),
            guard,
            counts: Counts::default(),
        }
    }

    /// Scores the prediction published for this model, and returns the drift where its squared error has changed. For a
    /// detector without a recent window the faded error stands for the error since. Detector and elections use `error`,
    /// taken from the target as robust models learn it: a single absurd value is no change and elects nobody. `default`
    /// is the squared error of the default model.
    #[inline]
    pub(super) fn score(&mut self, miss: Miss, error: f64, default: Option<f64>) -> Option<Drift> {
        self.scores.add(miss);
        self.track.update(error * error, default);
        let Shift { before, after } = self.detector.as_mut()?.watch_square(error)?;
        self.counts.drifts += 1;
        Some(Drift { before: before.sqrt(), after: after.map_or_else(|| self.scores.faded.rmse(), f64::sqrt) })
    }

    /// Returns the one that this model sees: the value as it came, or as robust models see it.
    #[inline]
    pub(super) fn sees<T>(&self, [as_it_is, usual]: [T; 2]) -> T {
        if self.config.robust { usual } else { as_it_is }
    }

    #[inline]
    pub(super) fn learn(&mut self, x: Features<'_>, y: f64, scratch: &mut Scratch) {
        // A refused sample leaves the model as it was; log and metrics show the count.
        if self.pipeline.learn_one(x, y, scratch).is_err() {
            self.counts.refused += 1;
        }
    }

    /// Learns a sample whose target came late; `members` is what the model's members had predicted for it.
    pub(super) fn learn_late(&mut self, x: Features<'_>, y: f64, members: &[f64], scratch: &mut Scratch) {
        if self.pipeline.learn_late(x, y, members, scratch).is_err() {
            self.counts.refused += 1;
        }
    }

    /// Learns a sample of a key; `members` is what its models had predicted for it, where its target came late.
    pub(super) fn learn_of_key(&mut self, x: Features<'_>, given: Given<'_>, y: f64, members: &[f64]) {
        let learned = self.pipeline.per_key_mut().map(|model| model.learn(x, given, y, members));
        if learned.is_some_and(|learned| learned.is_err()) {
            self.counts.refused += 1;
        }
    }

    /// Forgets everything and learns the latest samples.
    #[cold]
    pub(super) fn relearn(&mut self, recent: &SampleWindow, config: &Config, scratch: &mut Scratch) {
        self.pipeline = Pipeline::new(&self.config);
        self.detector = config.drift.map(Detector::new);
        self.guard = self.guard.as_ref().map(|_| Guard::new(config.guard));
        recent.rows().for_each(|(row, y)| self.learn(recent.features(row), y, scratch));
    }

    /// Lets the guard see the model's own prediction.
    #[inline]
    pub(super) fn guard(&mut self, prediction: f64, limits: &Limits, version: u64) -> Option<Act> {
        let act = self.guard.as_mut()?.watch(prediction, limits, version, &self.config, &mut self.pipeline)?;
        self.counts.rescues += u64::from(matches!(act, Act::Rescued(_)));
        Some(act)
    }
}
