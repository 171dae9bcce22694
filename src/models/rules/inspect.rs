//! What a person may see of a set of rules: its rules one by one, and what has happened to it.
//!
//! Invariant: read-only, and costs nothing until asked.

use crate::linear::LinearRegression;

use super::{AmRules, Params, learner::Learner, literal::Literal};

/// A rule, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct RuleView<'a> {
    /// The tests that its samples pass, all of them; none for the default rule.
    pub literals: &'a [Literal],
    /// Weight of the samples learned since it took on its last test.
    pub n: f64,
    /// Mean of the targets of these samples, in the target's unit; 0 where there are none.
    pub mean: f64,
    /// Sample variance of the targets of these samples.
    pub variance: f64,
    /// What it predicts where it predicts a mean: that of all targets its predictor has learned, before its last test,
    /// too.
    pub prediction: f64,
    /// Its linear regression, unless rules predict means only.
    pub model: Option<&'a LinearRegression>,
    /// Whether it is the mean that it predicts at the moment, rather than the model.
    pub predicts_mean: bool,
    /// Samples that the set has learned since the rule covered one.
    pub idle: u64,
}

impl AmRules {
    /// What the set was configured with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The rules, in the order in which they were made and are tried; without the default rule.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = RuleView<'_>> {
        self.rules.iter().map(|rule| {
            let idle = self.seen.saturating_sub(rule.last_covered());
            self.view(rule.literals(), rule.learner(), idle)
        })
    }

    /// The rule for what no other covers.
    pub fn default_rule(&self) -> RuleView<'_> {
        self.view(&[], &self.default_rule, 0)
    }

    /// Rules that went because their error had drifted.
    pub fn n_drifts_detected(&self) -> u64 {
        self.drifts
    }

    /// How often a rule has not learned a sample that it covered, because it found it anomalous.
    pub fn n_anomalies(&self) -> u64 {
        self.anomalies
    }

    fn view<'a>(&self, literals: &'a [Literal], learner: &'a Learner, idle: u64) -> RuleView<'a> {
        let (target, predictor) = (learner.target(), learner.predictor());
        RuleView {
            literals,
            n: target.n,
            mean: target.mean,
            variance: target.get(),
            prediction: predictor.mean(),
            model: predictor.model(),
            predicts_mean: predictor.predicts_mean(&self.params),
            idle,
        }
    }
}
