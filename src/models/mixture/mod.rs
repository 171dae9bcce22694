//! Mixtures: the default one, which makes one prediction of those of ten different experts; and those of named models.
//!
//! Reading order: [`Params`], this file, `experts` (the members), [`super::aggregation`] (the rules), [`Blend`] (a
//! mixture of models of the race).
//!
//! Invariant: features are standardised once, for all experts; every expert's prediction is within the range that
//! targets so far allow, and so is the mixture's.

mod blend;
mod experts;

use serde::{Deserialize, Serialize};

pub use self::blend::Blend;
use self::experts::{Experts, MEMBER_NAMES, MEMBERS, Predictions};
use super::{
    Description, Features, NamedColumn, Refused, Regressor,
    aggregation::{Aggregation, Rule},
    describe::{self, Member},
    least_squares::{RowBuffer, Standardizer, TargetRange},
};
use thalweg_metrics::checked;

/// Parameters of a mixture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Rule that makes one prediction of several.
    pub rule: Rule,
    /// Names of the models that it combines; empty for its own experts.
    pub members: Vec<String>,
}

checked!(Params { rule, members });

/// A mixture of its own experts.
///
/// Least squares on polynomials of three degrees and memories, a network that learns by an extended Kalman filter,
/// model trees, trees on the residuals of the polynomial and the network, and two regressions on the target's own past:
/// for targets that are smooth, have edges, drift or move slowly. None of them is tuned to a stream; the rule weighs
/// them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mixture {
    /// Number of samples learned from.
    n: u64,
    standardizer: Standardizer,
    range: TargetRange,
    experts: Experts,
    aggregation: Aggregation,
    /// Each member's mean squared error over about 1 / [`MIN_RATE`] samples.
    errors: Predictions,
    /// Recent mean squared error of the mixture, which limits the targets that are learned: see [`MAX_TARGET_RMSES`].
    usual: f64,
}

checked!(Mixture { n, standardizer, range, experts, aggregation, errors, usual } then fits);

impl Mixture {
    fn fits(&self) -> Result<(), &'static str> {
        if self.aggregation.weights().len() > MEMBERS {
            return Err("a mixture weighs more members than it has");
        }
        Ok(())
    }
}

/// Smallest share of the latest squared errors in their recent means.
const MIN_RATE: f64 = 0.01;

/// Largest distance of a target from its prediction that is learned, in RMSEs of the mixture. A single outlier then
/// moves no weight for long, while a jump to another level is believed within a few samples, each of which raises the
/// RMSE fivefold.
const MAX_TARGET_RMSES: f64 = 50.0;

/// Samples before the RMSE is reliable enough to limit targets.
const WARM_UP_SAMPLES: u64 = 50;

impl Mixture {
    /// Returns a mixture that has learned nothing.
    pub fn new(rule: Rule) -> Self {
        Self {
            n: 0,
            standardizer: Standardizer::default(),
            range: TargetRange::default(),
            experts: Experts::default(),
            aggregation: Aggregation::new(rule),
            errors: [0.0; MEMBERS],
            usual: 0.0,
        }
    }

    /// Adds the squared errors of the `n`th sample to their recent means.
    fn update_errors(means: &mut [f64], predictions: &[f64], y: f64, n: u64) {
        let rate = (1.0 / n as f64).max(MIN_RATE);
        for (mean, prediction) in means.iter_mut().zip(predictions) {
            *mean += rate * ((prediction - y) * (prediction - y)).min(f64::MAX) - rate * *mean;
        }
    }
}

impl Regressor for Mixture {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let mut room: RowBuffer = [0.0; _];
        let predictions = self.experts.predict(self.standardizer.row(x, &mut room), self.range, self.n);
        self.range.clip(self.aggregation.predict(&predictions))
    }

    /// Refuses targets beyond 1e150. A sample that a single expert refuses is still learned by the others.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        self.learn_judging(x, y, weight, None)
    }

    fn members(&self, x: Features<'_>, predictions: &mut Vec<f64>) {
        let mut room: RowBuffer = [0.0; _];
        let z = self.standardizer.row(x, &mut room);
        predictions.extend_from_slice(&self.experts.predict(z, self.range, self.n));
    }

    fn learn_late(&mut self, x: Features<'_>, y: f64, weight: f64, members: &[f64]) -> Result<(), Refused> {
        self.learn_judging(x, y, weight, members.try_into().ok())
    }

    fn memory_bytes(&self) -> usize {
        let heap = self.standardizer.heap_bytes() + self.experts.heap_bytes() + self.aggregation.heap_bytes();
        size_of::<Self>() + heap
    }

    fn describe(&self, _: &[NamedColumn]) -> Description {
        let weights = self.aggregation.weights();
        let member = |(i, name): (usize, &&str)| Member {
            name: (*name).to_owned(),
            weight: weights.get(i).copied().unwrap_or(1.0 / MEMBERS as f64),
            recent_rmse: self.errors[i].sqrt(),
        };
        let members = MEMBER_NAMES.iter().enumerate().map(member).collect();
        Description::Mixture(describe::Mixture { rule: self.aggregation.rule().name(), members })
    }
}

impl Mixture {
    /// Learns a sample, and judges the experts by what they said of it: by `judged` where its target came late, else by what they say
    /// now.
    #[inline(always)]
    fn learn_judging(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        judged: Option<Predictions>,
    ) -> Result<(), Refused> {
        if !TargetRange::accepts(y) {
            return Err(Refused);
        }
        if weight == 0.0 {
            return Ok(());
        }
        let mut room: RowBuffer = [0.0; _];
        let z = self.standardizer.row(x, &mut room);
        let current = self.experts.predict(z, self.range, self.n);
        let predictions = judged.unwrap_or(current);
        let together = self.range.clip(self.aggregation.predict(&predictions));
        let max_distance = if self.n >= WARM_UP_SAMPLES && self.usual > 0.0 {
            MAX_TARGET_RMSES * self.usual.sqrt()
        } else {
            f64::INFINITY
        };
        let last = y;
        let y = y.clamp(together - max_distance, together + max_distance);
        self.aggregation.learn(&predictions, y);
        // Those that learn what others leave learn what is left now.
        self.experts.learn(z, &current, y, last, weight, self.n);
        self.n += 1;
        Self::update_errors(std::slice::from_mut(&mut self.usual), &[together], y, self.n);
        Self::update_errors(&mut self.errors, &predictions, y, self.n);
        self.range.learn(y);
        if let Some(i) = self.standardizer.learn(x, y) {
            self.experts.renew(i);
        }
        Ok(())
    }
}
