//! The experts of the default mixture, in one fixed configuration for every stream.
//!
//! Invariant: experts are independent of each other, except that trees learn the residuals of a polynomial and a
//! network. A sample that one expert refuses is still learned by the others.

use serde::{Deserialize, Serialize};

use crate::{
    ekf_mlp, innovation,
    least_squares::{Expert, TargetRange},
    model_tree, rls_poly,
};
use thalweg_metrics::checked;

/// Number of members.
pub(super) const MEMBERS: usize = 10;

/// The members' predictions.
pub(super) type Predictions = [f64; MEMBERS];

/// The members' names, in the order of their predictions.
pub(super) const MEMBER_NAMES: [&str; MEMBERS] = [
    "last",
    "innovation",
    "autoregression",
    "linear",
    "quadratic",
    "cubic",
    "network",
    "trees",
    "cubic + trees",
    "network + trees",
];

/// Samples before trees learn residuals: a new expert will soon explain most of its early ones itself.
const RESIDUAL_WARM_UP_SAMPLES: u64 = 200;

/// The experts with what they have learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Experts {
    /// The last target.
    last: f64,
    /// Autoregression on few lags with a short memory.
    innovation: innovation::Differences,
    /// Autoregression on 24 lags: a day of hours or two years of months.
    autoregression: innovation::Differences,
    linear: rls_poly::Polynomial,
    quadratic: rls_poly::Polynomial,
    cubic: rls_poly::Polynomial,
    network: ekf_mlp::Filter,
    trees: model_tree::Forest,
    /// Trees on the residuals of the cubic polynomial.
    cubic_rest: model_tree::Forest,
    /// Trees on the residuals of the network.
    network_rest: model_tree::Forest,
}

checked!(Experts {
    last,
    innovation,
    autoregression,
    linear,
    quadratic,
    cubic,
    network,
    trees,
    cubic_rest,
    network_rest,
});

fn polynomial(basis: rls_poly::Form, forgetting: f64, regularization: f64, recall: u32) -> rls_poly::Polynomial {
    rls_poly::Polynomial::new(rls_poly::Params { basis, forgetting, regularization, recall })
}

fn trees(seed: u64) -> model_tree::Forest {
    model_tree::Forest::new(model_tree::Params { seed, ..model_tree::Params::default() })
}

impl Default for Experts {
    fn default() -> Self {
        use rls_poly::Form;
        let steps = |lags, forgetting, regularization| {
            innovation::Differences::new(innovation::Params { lags, forgetting, regularization })
        };
        Self {
            last: 0.0,
            innovation: steps(2, 0.99, 1.0),
            autoregression: steps(24, 0.995, 10.0),
            linear: polynomial(Form::Linear, 0.999, 1.0, 0),
            quadratic: polynomial(Form::Degree2, 0.99, 3.0, 0),
            cubic: polynomial(Form::Pair3, 0.999_95, 2.0, rls_poly::MAX_KEPT_MODELS as u32),
            network: ekf_mlp::Filter::new(ekf_mlp::Params::default()),
            trees: trees(1),
            cubic_rest: trees(2),
            network_rest: trees(3),
        }
    }
}

impl Experts {
    /// Returns each member's prediction, within `range`, after `n` samples were learned.
    pub(super) fn predict(&self, z: &[f64], range: TargetRange, n: u64) -> Predictions {
        let clipped = |expert: &dyn Expert| range.clip(expert.predict(z));
        let (cubic, network) = (clipped(&self.cubic), clipped(&self.network));
        let with_rest = |base: f64, rest: &dyn Expert| {
            if n < RESIDUAL_WARM_UP_SAMPLES { base } else { range.clip(base + rest.predict(z)) }
        };
        [
            range.clip(self.last),
            clipped(&self.innovation),
            clipped(&self.autoregression),
            clipped(&self.linear),
            clipped(&self.quadratic),
            cubic,
            network,
            clipped(&self.trees),
            with_rest(cubic, &self.cubic_rest),
            with_rest(network, &self.network_rest),
        ]
    }

    /// Learns that `z`, which gave these predictions, had the target `last`. Experts that an outlier could mislead
    /// learn `y`.
    pub(super) fn learn(&mut self, z: &[f64], predictions: &Predictions, y: f64, last: f64, weight: f64, n: u64) {
        let [.., cubic, network, _, _, _] = *predictions;
        let rests: [(&mut dyn Expert, f64); 2] =
            [(&mut self.cubic_rest, y - cubic), (&mut self.network_rest, y - network)];
        for (rest, residual) in rests {
            if n >= RESIDUAL_WARM_UP_SAMPLES {
                let _ = rest.learn(z, residual, weight);
            }
        }
        for expert in self.target_learners() {
            // A refused sample leaves the expert unchanged.
            let _ = expert.learn(z, y, weight);
        }
        self.last = last;
    }

    /// Forgets input `i` of a row, which holds another feature from now on.
    pub(super) fn renew(&mut self, i: usize) {
        self.target_learners().into_iter().for_each(|expert| expert.renew(i));
        self.cubic_rest.renew(i);
        self.network_rest.renew(i);
    }

    /// Returns the experts that learn the target itself.
    fn target_learners(&mut self) -> [&mut dyn Expert; 7] {
        [
            &mut self.innovation,
            &mut self.autoregression,
            &mut self.linear,
            &mut self.quadratic,
            &mut self.cubic,
            &mut self.network,
            &mut self.trees,
        ]
    }

    /// Returns the bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let all: [&dyn Expert; 9] = [
            &self.innovation,
            &self.autoregression,
            &self.linear,
            &self.quadratic,
            &self.cubic,
            &self.network,
            &self.trees,
            &self.cubic_rest,
            &self.network_rest,
        ];
        all.iter().map(|expert| expert.heap_bytes()).sum()
    }
}
