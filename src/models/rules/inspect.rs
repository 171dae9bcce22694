//! Shows a set of rules to a person: its rules one by one, and its counts.
//! Invariant: read-only, and costs nothing until asked.

use crate::linear::LinearRegression;

use super::{AmRules, Params, learner::Learner, literal::Literal};

/// A rule, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct RuleView<'a> {
    /// Tests that its samples pass, all of them; none for the default rule.
    pub literals: &'a [Literal],
    /// Weight of the samples learned since it took on its last test.
    pub n: f64,
    /// Mean of the targets of these samples, in the target's unit; 0 where there are none.
    pub mean: f64,
    /// Sample variance of the targets of these samples.
    pub variance: f64,
    /// Prediction where it predicts a mean: the mean of all targets that its predictor has learned, also before its
    /// last test.
    pub prediction: f64,
    /// Linear regression, unless rules predict means only.
    pub model: Option<&'a LinearRegression>,
    /// True if it predicts the mean at the moment, rather than the model.
    pub predicts_mean: bool,
    /// Number of samples that the set has learned since the rule covered one.
    pub idle: u64,
}

impl AmRules {
    /// Returns the parameters of the set.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Iterates over the rules, in the order in which they were made and are tried; without the default rule.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = RuleView<'_>> {
        self.rules.iter().map(|rule| {
            let idle = self.seen.saturating_sub(rule.last_covered());
            self.view(rule.literals(), rule.learner(), idle)
        })
    }

    /// Returns the rule for samples that no other covers.
    pub fn default_rule(&self) -> RuleView<'_> {
        self.view(&[], &self.default_rule, 0)
    }

    /// Returns the number of rules that were removed because their error had drifted.
    pub fn n_drifts_detected(&self) -> u64 {
        self.drifts
    }

    /// Returns how often a rule did not learn a sample that it covered, because it found it anomalous.
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
