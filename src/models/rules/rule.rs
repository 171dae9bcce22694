//! One rule: its tests, and what it has learned of the samples that pass them.
//!
//! Invariant: some sample can pass all tests. A rule that has drifted learns nothing more and is about to be removed.

use serde::{Deserialize, Serialize};

use crate::Features;
use thalweg_metrics::{drift::Detector, statistics::Var};

use super::{
    feature_statistics::FeatureStatistics,
    learner::{Learner, Scratch},
    literal::Literal,
    params::Params,
};
use thalweg_metrics::checked;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    literals: Vec<Literal>,
    learner: Learner,
    usual: FeatureStatistics,
    detector: Option<Detector>,
    /// Number of the sample that it covered last.
    last_covered: u64,
    drifted: bool,
}

checked!(Rule { literals, learner, usual, detector, last_covered, drifted } then fits);

impl Rule {
    fn fits(&self) -> Result<(), &'static str> {
        if self.literals.is_empty() { Err("a rule has no test") } else { Ok(()) }
    }
}

/// The outcome of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is too unlike what the rule covers to be learned.
    Anomaly,
    /// It has shown that the rule does not hold any more.
    Drift,
    Learned,
}

impl Rule {
    /// Makes a rule with one test that takes over a predictor.
    pub(super) fn new(literal: Literal, mut learner: Learner, now: u64, params: &Params) -> Self {
        learner.begin_anew();
        let detector = params.drift_detector.map(Detector::new);
        Self {
            literals: vec![literal],
            learner,
            usual: FeatureStatistics::default(),
            detector,
            last_covered: now,
            drifted: false,
        }
    }

    pub(super) fn literals(&self) -> &[Literal] {
        &self.literals
    }

    pub(super) fn learner(&self) -> &Learner {
        &self.learner
    }

    pub(super) fn last_covered(&self) -> u64 {
        self.last_covered
    }

    pub(super) fn has_drifted(&self) -> bool {
        self.drifted
    }

    #[inline]
    pub(super) fn covers(&self, x: Features<'_>) -> bool {
        self.literals.iter().all(|literal| literal.covers(x))
    }

    #[inline]
    pub(super) fn predict(&self, x: Features<'_>, params: &Params, usual: &Var) -> f64 {
        self.learner.predict(x, params, usual)
    }

    /// Learns a sample that it covers, number `now` of the set, and expands if that is due.
    #[expect(clippy::too_many_arguments, reason = "a sample, and three parts of the set that is being borrowed")]
    pub(super) fn learn(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        now: u64,
        params: &Params,
        usual: &Var,
        scratch: &mut Scratch,
    ) -> Outcome {
        self.last_covered = now;
        let warm = self.learner.target().n > f64::from(params.m_min);
        if warm && self.usual.score(x) < params.anomaly_threshold {
            return Outcome::Anomaly;
        }
        let predictor = self.learner.predictor();
        let said = predictor.ask_model(x);
        let error = (y - predictor.choose(said, params, usual)).abs();
        if self.detector.as_mut().is_some_and(|detector| detector.update(error)) {
            self.drifted = true;
            return Outcome::Drift;
        }
        self.learner.learn_knowing(x, y, weight, said, params);
        self.usual.update(x, weight);
        if self.learner.is_due(params) {
            self.expand(params, scratch);
        }
        Outcome::Learned
    }

    /// Adds another test, if one is certain enough and narrows the rule; all but the predictor then begins anew.
    fn expand(&mut self, params: &Params, scratch: &mut Scratch) {
        let literal = self.learner.attempt(params, scratch);
        if literal.is_some_and(|literal| literal.narrow(&mut self.literals)) {
            self.learner.begin_anew();
            self.usual.clear();
            self.detector = params.drift_detector.map(Detector::new);
        } else {
            self.learner.attempt_failed();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let detector = self.detector.as_ref().map_or(0, Detector::heap_bytes);
        size_of_val(self.literals.as_slice()) + self.learner.heap_bytes() + self.usual.heap_bytes() + detector
    }
}
