//! Learns the samples that a rule, or the default rule, covers: its predictor and, in search of the next test, the
//! statistics of the target and of each feature.
//!
//! Invariant: statistics are finite, and observers take at most [`MAX_SEARCH_BYTES`] plus the growth between two
//! attempts to expand. A search that outgrows this without a result starts anew. What this does not do: know the rule's
//! tests, or whether the next one fits them.

use serde::{Deserialize, Serialize};

use crate::{
    Features,
    tree::{Candidate, Criterion, Observers, Parts, WalkScratch, hoeffding_bound, two_best},
};
use thalweg_metrics::statistics::Var;

use super::{literal::Literal, params::Params, predictor::Predictor};
use thalweg_metrics::checked;

/// Maximum number of bytes of the observers of one rule after an attempt to expand has failed. A rule of ten features
/// whose values are never twice the same takes a fifth of it before it is to expand.
const MAX_SEARCH_BYTES: usize = 8 << 20;

/// Buffers for an attempt to expand, kept so that attempts do not allocate.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    walk: WalkScratch,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Learner {
    /// Statistics of the target since the search began.
    target: Var,
    /// `target.n` at the last attempt to expand.
    last_attempt: f64,
    observers: Observers,
    predictor: Predictor,
}

checked!(Learner { target, last_attempt, observers, predictor } then fits);

impl Learner {
    fn fits(&self) -> Result<(), &'static str> {
        if self.target.n >= 0.0 { Ok(()) } else { Err("a rule has learned less than nothing") }
    }
}

impl Learner {
    pub(super) fn new(params: &Params) -> Self {
        let predictor = Predictor::new(params);
        Self { target: Var::default(), last_attempt: 0.0, observers: Observers::default(), predictor }
    }

    pub(super) fn target(&self) -> &Var {
        &self.target
    }

    pub(super) fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    #[inline]
    pub(super) fn predict(&self, x: Features<'_>, params: &Params, usual: &Var) -> f64 {
        let model = if self.predictor.predicts_mean(params) { None } else { self.predictor.ask_model(x) };
        self.predictor.choose(model, params, usual)
    }

    #[inline]
    pub(super) fn learn(&mut self, x: Features<'_>, y: f64, weight: f64, params: &Params) {
        let said = self.predictor.ask_model(x);
        self.learn_knowing(x, y, weight, said, params);
    }

    /// As [`Learner::learn`], with the prediction of the linear model, `said`.
    #[inline]
    pub(super) fn learn_knowing(&mut self, x: Features<'_>, y: f64, weight: f64, said: Option<f64>, params: &Params) {
        self.target.update(y, weight);
        self.observers.update(x, y, weight, params.splitter, None);
        self.predictor.learn(x, y, weight, said, params);
    }

    /// Returns true if enough has been learned since the last attempt to expand.
    #[inline]
    pub(super) fn is_due(&self, params: &Params) -> bool {
        self.target.n - self.last_attempt >= f64::from(params.n_min)
    }

    /// Returns the test to add, if it is certain enough. Follow it with [`Learner::begin_anew`] or
    /// [`Learner::attempt_failed`].
    pub(super) fn attempt(&self, params: &Params, scratch: &mut Scratch) -> Option<Literal> {
        let Scratch { walk, candidates } = scratch;
        let criterion = Criterion::ratio(self.target, params.min_samples_split)?;
        self.observers.propose(&criterion, true, walk, candidates);
        let (best, second) = two_best(candidates);
        let best = best.filter(|best| best.merit > 0.0)?;
        let bound = hoeffding_bound(params.delta, self.target.n);
        let certain = match second {
            Some(second) => best.merit - second.merit > bound || bound < params.tau,
            None => best.merit > bound,
        };
        certain.then(|| better_side(best)).flatten()
    }

    /// Forgets all but the predictor.
    pub(super) fn begin_anew(&mut self) {
        (self.target, self.last_attempt, self.observers) = (Var::default(), 0.0, Observers::default());
    }

    /// Goes on with the search, within its bound.
    pub(super) fn attempt_failed(&mut self) {
        self.last_attempt = self.target.n;
        if self.observers.heap_bytes() > MAX_SEARCH_BYTES {
            self.begin_anew();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.observers.heap_bytes() + self.predictor.heap_bytes()
    }
}

/// Returns the side of a split with less of the variance, as a test. That favours the smaller side, as in River.
fn better_side(best: &Candidate) -> Option<Literal> {
    let feature = u32::try_from(best.feature).ok()?;
    let lower_is_better = |[lower, upper]: &[Var; 2]| {
        let n = lower.n + upper.n;
        lower.n / n * lower.get() <= upper.n / n * upper.get()
    };
    match best.parts {
        Parts::Threshold { threshold, ref targets } => Some(match lower_is_better(targets) {
            true => Literal::AtMost { feature, threshold },
            false => Literal::Above { feature, threshold },
        }),
        Parts::Category { category, ref targets } => Some(match lower_is_better(targets) {
            true => Literal::Is { feature, category },
            false => Literal::IsNot { feature, category },
        }),
        // Not proposed where splits are binary.
        Parts::Categories(_) => None,
    }
}
