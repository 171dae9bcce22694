//! The adaptive random forest: many trees, each on its own draw of samples and features, each replaced when its error
//! has risen.
//!
//! Reading order: [`Params`], this file, `member` (a tree with its detectors).
//!
//! Invariant: members are independent of each other but for the random generator they share, which is used in the order
//! of the members.

mod member;
mod params;

use serde::{Deserialize, Serialize};

pub use member::Counts;
pub use params::{Aggregation, MAX_LAMBDA, MAX_MODELS, Params};

use self::member::Member;
use super::{
    Description, Features, NamedColumn, Refused, Regressor, bootstrap::Bootstrap, describe::Forest, tree::HoeffdingTree,
};
use thalweg_metrics::checked;

/// An adaptive random forest for regression (Gomes et al. 2017, "Adaptive random forests for evolving data stream
/// classification"; for regression Gomes et al. 2018), with River's parameters (`ARFRegressor` of 0.26.1).
///
/// Each tree counts a sample a random number of times and looks, in each leaf, at a random subset of the features.
/// If the error of a tree seems to rise, a background tree begins to learn; once it has risen for certain, that tree
/// replaces it.
///
/// It differs from River in three things. River divides a weighted mean by the number of trees a second time; here it
/// is the weighted mean. River's detectors watch the signed error, whose mean need not move when the stream does; here
/// they watch the absolute one. And River replaces a tree whichever way its error has changed; here only a tree whose
/// error has risen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveRandomForest {
    params: Params,
    members: Vec<Member>,
    bootstrap: Bootstrap,
}

checked!(AdaptiveRandomForest { params, members, bootstrap } then fits);

impl AdaptiveRandomForest {
    fn fits(&self) -> Result<(), &'static str> {
        let n = self.members.len();
        if n == 0 || n > MAX_MODELS || n != self.params.n_models as usize {
            return Err("a forest holds another number of trees than it should");
        }
        Ok(())
    }
}

impl AdaptiveRandomForest {
    /// Returns a forest that has learned nothing.
    pub fn new(params: Params) -> Self {
        let mut bootstrap = Bootstrap::new(params.lambda_value, params.seed);
        let members = (0..params.n_models).map(|_| Member::new(&params, bootstrap.seed())).collect();
        Self { params, members, bootstrap }
    }

    /// Returns the forest's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Iterates over its trees.
    pub fn trees(&self) -> impl Iterator<Item = &HoeffdingTree> {
        self.members.iter().map(Member::tree)
    }

    /// Returns the warnings and drifts of all trees together.
    pub fn counts(&self) -> Counts {
        self.members.iter().map(Member::counts).fold(Counts::default(), Counts::merged)
    }
}

impl Regressor for AdaptiveRandomForest {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let mut buffer = [0.0; MAX_MODELS];
        let predictions = &mut buffer[..self.members.len()];
        HoeffdingTree::predict_all(|i| self.members.get(i).map(Member::tree), x, predictions);
        match self.params.aggregation_method {
            Aggregation::Median => median(predictions),
            Aggregation::Mean if self.params.disable_weighted_vote => mean(predictions.iter().map(|p| (*p, 1.0))),
            Aggregation::Mean => {
                // A tree's weight is the sum of the errors of the others, as in River: the larger its error, the less.
                let errors = || self.members.iter().map(Member::mse);
                let total: f64 = errors().sum();
                let weighted = predictions.iter().zip(errors()).map(|(p, error)| (*p, total - error));
                let voted = mean(weighted);
                if voted.is_finite() { voted } else { mean(predictions.iter().map(|p| (*p, 1.0))) }
            }
        }
    }

    /// Refuses the same samples as a [`HoeffdingTree`].
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        // A drawn sample may count more than once.
        HoeffdingTree::accepts(y, weight * f64::from(Bootstrap::MAX_COUNT))?;
        if weight == 0.0 {
            return Ok(());
        }
        for member in &mut self.members {
            member.learn_one(x, y, weight, &self.params, &mut self.bootstrap);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.members.iter().map(Member::memory_bytes).sum::<usize>()
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        Description::Forest(Forest { trees: self.trees().map(|tree| tree.described(columns)).collect() })
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}

/// Returns the weighted mean of (value, weight) pairs; NaN if all weights are 0.
fn mean(weighted: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, weight) = weighted.fold((0.0, 0.0), |(sum, total), (p, weight)| (sum + weight * p, total + weight));
    sum / weight
}

/// Returns the median of at least one value, reordering them.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if even { f64::midpoint(below.iter().copied().fold(f64::NEG_INFINITY, f64::max), *upper) } else { *upper }
}
