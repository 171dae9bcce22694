//! Standings of the models and of the published predictions.
//!
//! Invariant: no figure before there is one. Without a scored sample there is no skill, nor on other samples than those
//! that the baseline was scored on.

use super::{Baseline, Candidate, Counts, Prequential, Published};
use crate::snapshot::{BaselineSnapshot, ModelSnapshot};
use thalweg_metrics::{Scorecard, Scores, skill};

/// Name of the published predictions among the models.
pub const PUBLISHED: &str = "published";

/// Returns 1 − RMSE / RMSE(mean); `None` where the two have not scored the same number of samples, or none.
pub fn skill_against(scores: &Scores, baseline: &Scores) -> Option<f64> {
    (scores.n() > 0 && scores.n() == baseline.n()).then(|| skill(scores.rmse(), baseline.rmse()))
}

impl Prequential {
    /// Returns every model's standing, in configured order.
    pub fn standings(&self) -> Vec<ModelSnapshot> {
        let baseline = self.baseline();
        let standing = |contender: &Candidate| ModelSnapshot {
            counts: contender.counts,
            memory: contender.pipeline.memory_bytes(),
            keys: contender.pipeline.per_key().map(|it| [it.keys() as u64, it.evicted()]),
            ..scored(&contender.name, contender.config.kind.name(), &contender.scores, &baseline)
        };
        self.contenders.iter().map(standing).collect()
    }

    /// Returns the models per key that have had to forget keys, with the bytes that they may take.
    pub fn forgetful(&self) -> impl Iterator<Item = (&std::sync::Arc<str>, usize)> {
        let contenders = self.contenders.iter();
        contenders.filter_map(|it| Some((&it.name, it.pipeline.per_key().filter(|it| it.evicted() > 0)?.budget())))
    }

    /// Returns the standing of the published predictions, whichever model made them.
    pub fn published(&self) -> ModelSnapshot {
        let Published { implausible, stood_in, .. } = self.published;
        ModelSnapshot {
            counts: Counts { implausible, stood_in, ..Counts::default() },
            ..scored(&PUBLISHED.into(), PUBLISHED, &self.published.scores, &self.baseline())
        }
    }

    /// Returns the baseline that skill is measured against.
    pub fn baseline(&self) -> BaselineSnapshot {
        let scores = match &self.baseline {
            Baseline::Configured(i) => &self.contenders[*i].scores,
            Baseline::Own(own) => &own.scores,
        };
        BaselineSnapshot { total: scores.total, rolling: scores.rolling.scores() }
    }
}

fn scored(
    name: &std::sync::Arc<str>,
    kind: &'static str,
    scores: &Scorecard,
    baseline: &BaselineSnapshot,
) -> ModelSnapshot {
    let rolling = scores.rolling.scores();
    ModelSnapshot {
        name: name.clone(),
        kind,
        total: scores.total,
        total_errors: scores.errors.clone(),
        rolling,
        rolling_errors: scores.rolling.errors().clone(),
        faded: scores.faded,
        skill: skill_against(&rolling, &baseline.rolling),
        total_skill: skill_against(&scores.total, &baseline.total),
        counts: Counts::default(),
        memory: 0,
        keys: None,
    }
}
