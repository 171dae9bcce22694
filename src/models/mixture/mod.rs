//! Mixtures: the default one, of ten experts of different kinds, whose predictions become one; and those of named models.
//!
//! Reading order: [`Params`], this file, `experts` (who they are), [`super::aggregation`] (how they become one), [`Blend`]
//! (the same over models of the race).
//!
//! Invariant: features are standardised once, for all experts; every expert's prediction is within what targets seen so
//! far allow, and so is the mixture's.

mod blend;
mod experts;

use serde::{Deserialize, Serialize};

pub use self::blend::Blend;
use self::experts::{Experts, MEMBERS, NAMES, Predictions};
use super::{
    Description, Features, NamedColumn, Refused, Regressor,
    aggregation::{Aggregation, Rule},
    describe::{self, Member},
    least_squares::{Room, Standardizer, TargetRange},
};
use thalweg_metrics::checked;

/// Parameters of a mixture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// How predictions become one.
    pub rule: Rule,
    /// The names of the models that it is made of; empty for experts of its own.
    pub members: Vec<String>,
}

checked!(Params { rule, members });

/// A mixture of experts of its own.
///
/// Least squares on polynomials of three degrees and memories, a network that learns by an extended Kalman filter, model
/// trees, trees on what the polynomial and the network leave over, and two regressions on the target's own past: for what
/// is smooth, what has edges, what drifts and what moves slowly. None of them is tuned to a stream; the rule finds out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mixture {
    /// Samples learned from.
    n: u64,
    standardizer: Standardizer,
    range: TargetRange,
    experts: Experts,
    aggregation: Aggregation,
    /// Each member's mean squared error over about 1 / [`RATE`] samples.
    errors: Predictions,
    /// The mixture's own, of which no target counts as more than [`FURTHEST`] away.
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

/// The least share by which the members' mean squared errors follow the latest ones.
const RATE: f64 = 0.01;

/// How many usual errors a target is from its prediction at most, for those who learn it. A single outlier then moves no
/// weight for long, while a jump to another level is believed within a few samples, as each of them makes five times the
/// error usual.
const FURTHEST: f64 = 50.0;

/// Samples before it is known what is usual.
const SETTLED: u64 = 50;

impl Mixture {
    /// A mixture that has learned nothing.
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

    /// Counts a sample's squared errors into their means of late; it was the `n`th.
    fn follow(means: &mut [f64], predictions: &[f64], y: f64, n: u64) {
        let rate = (1.0 / n as f64).max(RATE);
        for (mean, prediction) in means.iter_mut().zip(predictions) {
            *mean += rate * ((prediction - y) * (prediction - y)).min(f64::MAX) - rate * *mean;
        }
    }
}

impl Regressor for Mixture {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let mut room: Room = [0.0; _];
        let predictions = self.experts.predict(self.standardizer.row(x, &mut room), self.range, self.n);
        self.range.clip(self.aggregation.predict(&predictions))
    }

    /// Refuses targets beyond 1e150. What a single expert refuses is learned by the others.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        if !TargetRange::accepts(y) {
            return Err(Refused);
        }
        if weight == 0.0 {
            return Ok(());
        }
        let mut room: Room = [0.0; _];
        let z = self.standardizer.row(x, &mut room);
        let predictions = self.experts.predict(z, self.range, self.n);
        let together = self.range.clip(self.aggregation.predict(&predictions));
        let furthest = if self.n >= SETTLED && self.usual > 0.0 { FURTHEST * self.usual.sqrt() } else { f64::INFINITY };
        let last = y;
        let y = y.clamp(together - furthest, together + furthest);
        self.aggregation.learn(&predictions, y);
        self.experts.learn(z, &predictions, y, last, weight, self.n);
        self.n += 1;
        Self::follow(std::slice::from_mut(&mut self.usual), &[together], y, self.n);
        Self::follow(&mut self.errors, &predictions, y, self.n);
        self.range.learn(y);
        if let Some(i) = self.standardizer.learn(x, y) {
            self.experts.renew(i);
        }
        Ok(())
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
        let members = NAMES.iter().enumerate().map(member).collect();
        Description::Mixture(describe::Mixture { rule: self.aggregation.rule().name(), members })
    }
}
