//! Adaptive model rules: an ordered list of rules, each a conjunction of tests with a predictor of its own, that grow,
//! go when they drift, and pass over anomalies; and a default rule for what none of them covers.
//!
//! Reading order: [`Params`], this file (which rules learn a sample, how the set grows and shrinks), `rule` (one rule),
//! [`Literal`] (one test), `learner` (what is learned of the samples covered), `predictor` (mean, model or either),
//! `feature_statistics` (anomalies), `inspect` and `describe` (what a person may see).
//!
//! Invariant: all numbers in the state are finite, and so is every prediction: targets and weights are bounded as in a
//! tree. Rules keep the order in which they were made. The set, and what each rule keeps, are bounded. What this does
//! not do: observe features itself, or measure splits; that is what it shares with the trees.

mod describe;
mod feature_statistics;
mod inspect;
mod learner;
mod literal;
mod params;
mod predictor;
mod rule;

use serde::{Deserialize, Serialize};

pub use inspect::RuleView;
pub use literal::Literal;
pub use params::{Params, PredType};

use thalweg_metrics::statistics::Var;

use self::{
    learner::{Learner, Scratch},
    rule::{Outcome, Rule},
};
use super::{Description, Features, NamedColumn, Refused, Regressor, tree::HoeffdingTree};
use thalweg_metrics::checked;

/// Adaptive model rules (Almeida, Ferreira and Gama 2013, "Adaptive model rules from data streams"; Duarte, Gama and
/// Bifet 2016, "Adaptive model rules from high-speed data streams"), with the results of River's `AMRules` of 0.26.1.
///
/// A rule that covers a sample, and does not find it anomalous, learns it; once the Hoeffding bound makes it certain
/// enough which test removes most of the target's variance, it takes on that test, keeps its predictor and gathers
/// everything else anew. The default rule learns what no rule does, and becomes a rule where others would take on a
/// test. A rule whose error has drifted goes. With the default detector, ADWIN, that includes errors that fall, as in
/// River; Page-Hinkley with `mode = "up"` only counts rises.
///
/// A test is false of a sample that does not know its feature. Linear models take no part of nominal features.
///
/// Where River fails, this differs:
/// - A default rule that has just become a rule knows nothing; River then predicts 0, however far targets are from it,
///   and this predicts the mean of all targets so far.
/// - River expands a rule on noise where only one feature can be split, and fails where that one has a single value.
///   Here such a split has to remove more of the variance than the Hoeffding bound. Where the target does not vary,
///   River divides by zero.
/// - Values are tested as they are but observed rounded (`tebst`), so a split may give a rule a test that it has, or one
///   that nothing it covers can pass. River forgets the rule's statistics for the first and keeps a dead rule for the
///   second; here the attempt counts as failed.
/// - River ends at the first nominal feature, for want of an import; here they are observed as in a tree.
/// - River knows rules by the address of an object that may be gone, so a new rule can take the place of another.
/// - A value whose distance from the mean overflows ends River; here it is an anomaly, as far as can be.
/// - River's rules are without number, and so is what one keeps that never expands: see [`Params::max_rules`] and
///   `learner`.
/// - Predictions of a linear model that are implausible are replaced as in a tree.
/// - A weight scales the step of a linear model, River takes ⌊weight⌋ steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AmRules {
    params: Params,
    /// Statistics of all targets so far.
    targets: Var,
    /// Rules in the order in which they were made.
    rules: Vec<Rule>,
    /// Learns the samples that no rule has learned.
    default_rule: Learner,
    /// Number of samples learned.
    seen: u64,
    drifts: u64,
    anomalies: u64,
    #[serde(skip)]
    scratch: Scratch,
}

checked!(AmRules { params, targets, rules, default_rule, seen, drifts, anomalies, scratch: skipped } then fits);

impl AmRules {
    fn fits(&self) -> Result<(), &'static str> {
        let bounded = self.rules.len() <= self.params.max_rules as usize;
        if bounded { Ok(()) } else { Err("there are more rules than may be") }
    }
}

impl AmRules {
    /// Makes a set without rules, with a default rule that has learned nothing.
    pub fn new(params: Params) -> Self {
        let default_rule = Learner::new(&params);
        Self {
            params,
            targets: Var::default(),
            rules: Vec::new(),
            default_rule,
            seen: 0,
            drifts: 0,
            anomalies: 0,
            scratch: Scratch::default(),
        }
    }

    /// Learns with the rules that cover `x` (the first one, where they are ordered); returns true if any has.
    fn learn_with_rules(&mut self, x: Features<'_>, y: f64, weight: f64) -> bool {
        let Self { params, targets, rules, seen, drifts, anomalies, scratch, .. } = self;
        let mut learned = false;
        let before = *drifts;
        for rule in rules.iter_mut().filter(|rule| rule.covers(x)) {
            match rule.learn(x, y, weight, *seen, params, targets, scratch) {
                Outcome::Anomaly => *anomalies += 1,
                Outcome::Drift => *drifts += 1,
                Outcome::Learned => {
                    learned = true;
                    if params.ordered_rule_set {
                        break;
                    }
                }
            }
        }
        if *drifts > before {
            rules.retain(|rule| !rule.has_drifted());
            rules.shrink_to_fit();
        }
        learned
    }

    /// Makes a rule of the default rule, where it is due and there is place.
    fn grow(&mut self) {
        if !self.default_rule.is_due(&self.params) {
            return;
        }
        match self.default_rule.attempt(&self.params, &mut self.scratch).filter(|_| self.make_place()) {
            Some(literal) => {
                let learner = std::mem::replace(&mut self.default_rule, Learner::new(&self.params));
                self.rules.reserve_exact(1);
                self.rules.push(Rule::new(literal, learner, self.seen, &self.params));
            }
            None => self.default_rule.attempt_failed(),
        }
    }

    /// Returns true if the set may grow. When it is full, the rule that has been idle for longest is removed, if that
    /// is longer than an average rule takes to become due.
    fn make_place(&mut self) -> bool {
        let most = self.params.max_rules as usize;
        if self.rules.len() < most {
            return true;
        }
        let long = u64::from(self.params.max_rules) * u64::from(self.params.n_min);
        let idle = self.rules.iter().map(Rule::last_covered).enumerate().min_by_key(|(_, last)| *last);
        match idle {
            Some((at, last)) if self.seen.saturating_sub(last) > long => {
                self.rules.remove(at);
                true
            }
            _ => false,
        }
    }
}

impl Regressor for AmRules {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let covering = self.rules.iter().filter(|rule| rule.covers(x));
        let most = if self.params.ordered_rule_set { 1 } else { usize::MAX };
        let (mut sum, mut n) = (0.0, 0.0);
        for rule in covering.take(most) {
            sum += rule.predict(x, &self.params, &self.targets);
            n += 1.0;
        }
        if n > 0.0 { sum / n } else { self.default_rule.predict(x, &self.params, &self.targets) }
    }

    /// Refuses what a [`HoeffdingTree`] refuses. A weight of 0 changes nothing. Where only a linear model refuses, the rest
    /// of its rule learns.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        HoeffdingTree::accepts(y, weight)?;
        if weight == 0.0 {
            return Ok(());
        }
        self.seen += 1;
        if !self.learn_with_rules(x, y, weight) {
            self.default_rule.learn(x, y, weight, &self.params);
            self.grow();
        }
        self.targets.update(y, weight);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let heaps = self.rules.iter().map(Rule::heap_bytes).sum::<usize>() + self.default_rule.heap_bytes();
        size_of::<Self>() + size_of_val(self.rules.as_slice()) + heaps
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::Rules(self.described(columns))
    }
}
