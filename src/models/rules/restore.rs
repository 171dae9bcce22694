//! Reading a saved set of rules: its parts as they were written, checked before they become one.
//!
//! Invariant: what passes can be walked without a failing index or an endless loop, and is as bounded as its parameters
//! say. Linear models and detectors check themselves.

use serde::Deserialize;

use thalweg_metrics::statistics::Var;

use super::{
    AmRules,
    learner::{Learner, Scratch},
    params::Params,
    rule::Rule,
};

/// The fields of [`AmRules`] as serialised.
#[derive(Deserialize)]
pub(super) struct Saved {
    params: Params,
    targets: Var,
    rules: Vec<Rule>,
    default_rule: Learner,
    seen: u64,
    drifts: u64,
    anomalies: u64,
}

/// A saved state that no set of rules can have.
#[derive(Debug, thiserror::Error)]
#[error("the saved rules are damaged: there are too many of them, or they hold impossible tests or statistics")]
pub(super) struct Damaged;

/// Samples that nobody lives to see.
const MOST_SAMPLES: u64 = 1 << 62;

impl TryFrom<Saved> for AmRules {
    type Error = Damaged;

    fn try_from(saved: Saved) -> Result<Self, Damaged> {
        let Saved { params, targets, rules, default_rule, seen, drifts, anomalies } = saved;
        let finite = [targets.n, targets.mean, targets.s].iter().all(|number| number.is_finite());
        let counted = seen.max(drifts).max(anomalies) < MOST_SAMPLES;
        let bounded = rules.len() <= params.max_rules as usize;
        if !(finite && counted && bounded && default_rule.is_sound() && rules.iter().all(Rule::is_sound)) {
            return Err(Damaged);
        }
        Ok(Self { params, targets, rules, default_rule, seen, drifts, anomalies, scratch: Scratch::default() })
    }
}
