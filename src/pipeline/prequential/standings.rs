//! What is told of the models and of what is published.
//!
//! Invariant: no figure before there is one. What has scored nothing has no skill, and neither has what was not scored on
//! the samples that the baseline was scored on.

use super::{Baseline, Candidate, Counts, Prequential, Published};
use crate::snapshot::{BaselineSnapshot, ModelSnapshot};
use thalweg_metrics::{Scorecard, Scores, skill};

/// How what is published is called among the models.
pub const PUBLISHED: &str = "published";

/// 1 − RMSE / RMSE(mean); `None` where the two have not scored as many samples, or none.
pub fn skill_against(scores: &Scores, baseline: &Scores) -> Option<f64> {
    (scores.n() > 0 && scores.n() == baseline.n()).then(|| skill(scores.rmse(), baseline.rmse()))
}

impl Prequential {
    /// Every model's standing, in configured order.
    pub fn standings(&self) -> Vec<ModelSnapshot> {
        let baseline = self.baseline();
        let standing = |contender: &Candidate| ModelSnapshot {
            counts: contender.counts,
            memory: contender.pipeline.memory_bytes(),
            ..scored(&contender.name, contender.config.kind.name(), &contender.scores, &baseline)
        };
        self.contenders.iter().map(standing).collect()
    }

    /// The standing of what is published, whichever model it was of.
    pub fn published(&self) -> ModelSnapshot {
        let Published { implausible, stood_in, .. } = self.published;
        ModelSnapshot {
            counts: Counts { implausible, stood_in, ..Counts::default() },
            ..scored(&PUBLISHED.into(), PUBLISHED, &self.published.scores, &self.baseline())
        }
    }

    /// What skill is measured against.
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
    }
}
