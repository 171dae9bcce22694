//! Several models' predictions as one: rules of prediction with expert advice.
//!
//! Reading order: [`Rule`] (the closed set, as configured), [`Aggregation`] (a rule with what it has learned), then a
//! file per rule; [`Rule::Combined`] is made of the others and is what a mixture uses by default.
//!
//! Invariant: everything depends on differences and on ratios of differences alone, so that predictions and target in
//! another unit, or moved by a constant, give the same weights. Weights sum to 1. The order of members never changes;
//! new ones are appended. A member whose prediction is not finite sleeps for that record: it is left out, and counts as
//! having predicted what the others did together (Freund, Schapire, Singer and Warmuth 1997, "Using and combining
//! predictors that specialize").
//! What this does not do: hold the members. The caller asks each once per record and passes in all predictions.

mod boa;
mod combined;
mod exponential;
mod fixed_share;
mod ml_poly;
mod recent_errors;
mod stacking;
mod weights;

use serde::{Deserialize, Serialize};

use self::{
    boa::Boa, combined::Combined, exponential::Exponential, fixed_share::FixedShare, ml_poly::MlPoly,
    stacking::Stacked, weights::Weights,
};
use thalweg_metrics::checked;

/// A rule that makes one prediction of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// ML-Poly and recent errors, each with stacking on top, and ML-Poly over these: the most accurate one.
    #[default]
    Combined,
    /// The exponentially weighted average with AdaHedge's learning rate: as good as the best member in the long run.
    Exponential,
    /// The same with a share of weight that is redistributed, so that it follows when another member becomes the best.
    FixedShare,
    /// Bernstein online aggregation: fast when one member is clearly better.
    Boa,
    /// Polynomially weighted average with a learning rate per member: no parameter, a regret bound on any sequence.
    MlPoly,
    /// ML-Poly corrected by a least-squares regression on the members' deviations from it; its weights may be negative.
    Stacking,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 6] =
        [Self::Combined, Self::Exponential, Self::FixedShare, Self::Boa, Self::MlPoly, Self::Stacking];

    /// Returns the name in `rule = "…"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Exponential => "exponential",
            Self::FixedShare => "fixed_share",
            Self::Boa => "boa",
            Self::MlPoly => "ml_poly",
            Self::Stacking => "stacking",
        }
    }
}

/// Largest distance between prediction and target that is learned from, so that no product of them overflows.
const MAX_DISTANCE: f64 = 1e70;

/// A rule with what it has learned of its members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aggregation {
    state: State,
    /// The members' predictions, those of sleeping members filled in.
    #[serde(skip)]
    buffer: Vec<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Combined(Box<Combined>),
    Exponential(Exponential),
    FixedShare(FixedShare),
    Boa(Boa),
    MlPoly(MlPoly),
    Stacking(Box<Stacked<MlPoly>>),
}

/// The interface of a rule. Predictions passed to `learn` are finite.
trait Aggregate {
    /// Predicts; the plain mean before anything was learned.
    fn predict(&self, members: &[f64]) -> f64;

    /// Learns the target `y`, for which the members (all known ones, then any new ones) predicted `members` and the
    /// rule itself `prediction`.
    fn learn(&mut self, members: &[f64], prediction: f64, y: f64);

    /// Returns the weights by which members are averaged; empty before anything was learned.
    fn weights(&self) -> &Weights;

    /// Returns the bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

checked!(enum Rule = Combined | Exponential | FixedShare | Boa | MlPoly | Stacking);

checked!(Aggregation { state, buffer: skipped });

checked!(
    enum State {
        Combined(state),
        Exponential(state),
        FixedShare(state),
        Boa(state),
        MlPoly(state),
        Stacking(state),
    }
);

impl Aggregation {
    /// Returns a rule that has learned nothing.
    pub fn new(rule: Rule) -> Self {
        let state = match rule {
            Rule::Combined => State::Combined(Box::default()),
            Rule::Exponential => State::Exponential(Exponential::default()),
            Rule::FixedShare => State::FixedShare(FixedShare::default()),
            Rule::Boa => State::Boa(Boa::default()),
            Rule::MlPoly => State::MlPoly(MlPoly::default()),
            Rule::Stacking => State::Stacking(Box::new(Stacked::new(MlPoly::default()))),
        };
        Self { state, buffer: Vec::new() }
    }

    /// Returns the configured rule.
    pub fn rule(&self) -> Rule {
        match self.state {
            State::Combined(_) => Rule::Combined,
            State::Exponential(_) => Rule::Exponential,
            State::FixedShare(_) => Rule::FixedShare,
            State::Boa(_) => Rule::Boa,
            State::MlPoly(_) => Rule::MlPoly,
            State::Stacking(_) => Rule::Stacking,
        }
    }

    /// Makes one prediction of the members'; their plain mean before anything was learned, 0.0 if none of them is
    /// finite. Members beyond those learned from count once [`Self::learn`] has seen them.
    pub fn predict(&self, members: &[f64]) -> f64 {
        let awake = members.iter().any(|member| member.is_finite());
        if awake { self.aggregate().predict(members) } else { 0.0 }
    }

    /// Learns the target `y`, for which the members predicted `members`: the predictions that [`Self::predict`] saw for
    /// this record, each made before its member learned from it. A target that is not finite, or 10⁷⁰ away from a
    /// prediction, is skipped.
    pub fn learn(&mut self, members: &[f64], y: f64) {
        let prediction = self.predict(members);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        // A member without a prediction sleeps, too.
        let n = members.len().max(self.weights().len());
        buffer.reserve_exact(n);
        buffer.extend(members.iter().map(|member| if member.is_finite() { *member } else { prediction }));
        buffer.resize(n, prediction);
        // False for NaN, too.
        if buffer.iter().chain([&prediction]).all(|member| (member - y).abs() < MAX_DISTANCE) && !buffer.is_empty() {
            self.aggregate_mut().learn(&buffer, prediction, y);
        }
        self.buffer = buffer;
    }

    /// Returns the members' weights in the average that the rule is or begins with; they sum to 1. Empty before
    /// anything was learned. They do not include the correction that stacking makes.
    pub fn weights(&self) -> &[f64] {
        self.aggregate().weights().as_slice()
    }

    /// Returns the bytes on the heap, which depend only on what was learned.
    pub fn heap_bytes(&self) -> usize {
        let boxed = match &self.state {
            State::Combined(_) => size_of::<Combined>(),
            State::Stacking(_) => size_of::<Stacked<MlPoly>>(),
            State::Exponential(_) | State::FixedShare(_) | State::Boa(_) | State::MlPoly(_) => 0,
        };
        // Weights and buffer are equally long.
        boxed + self.aggregate().heap_bytes() + 2 * size_of_val(self.weights())
    }

    fn aggregate(&self) -> &dyn Aggregate {
        match &self.state {
            State::Combined(rule) => rule.as_ref(),
            State::Exponential(rule) => rule,
            State::FixedShare(rule) => rule,
            State::Boa(rule) => rule,
            State::MlPoly(rule) => rule,
            State::Stacking(rule) => rule.as_ref(),
        }
    }

    fn aggregate_mut(&mut self) -> &mut dyn Aggregate {
        match &mut self.state {
            State::Combined(rule) => rule.as_mut(),
            State::Exponential(rule) => rule,
            State::FixedShare(rule) => rule,
            State::Boa(rule) => rule,
            State::MlPoly(rule) => rule,
            State::Stacking(rule) => rule.as_mut(),
        }
    }
}

#[cfg(test)]
mod tests;
