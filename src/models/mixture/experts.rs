//! The experts of the default mixture, in one fixed configuration for every stream.
//!
//! Invariant: experts are independent of each other, except that trees learn what a polynomial and a network leave over.
//! What an expert refuses to learn, the others learn all the same.

use serde::{Deserialize, Serialize};

use crate::{
    ekf_mlp, innovation,
    least_squares::{Expert, TargetRange},
    model_tree, rls_poly,
};
use thalweg_metrics::checked;

/// Number of members.
pub(super) const MEMBERS: usize = 10;

/// What each member predicts.
pub(super) type Predictions = [f64; MEMBERS];

/// The members' names, in the order of their predictions.
pub(super) const NAMES: [&str; MEMBERS] = [
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

/// Samples before trees learn what is left over: an expert that knows nothing yet leaves over what it will soon explain.
const SETTLED: u64 = 200;

/// The experts with what they have learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Experts {
    /// The last target.
    last: f64,
    /// A short memory, for what the last steps say about the next one.
    innovation: innovation::Differences,
    /// The same over a day of hours or two years of months.
    autoregression: innovation::Differences,
    linear: rls_poly::Polynomial,
    quadratic: rls_poly::Polynomial,
    cubic: rls_poly::Polynomial,
    network: ekf_mlp::Filter,
    trees: model_tree::Forest,
    /// What the polynomial and the network leave over.
    cubic_rest: model_tree::Forest,
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
            cubic: polynomial(Form::Pair3, 0.999_95, 2.0, rls_poly::MOST_KEPT as u32),
            network: ekf_mlp::Filter::new(ekf_mlp::Params::default()),
            trees: trees(1),
            cubic_rest: trees(2),
            network_rest: trees(3),
        }
    }
}

impl Experts {
    /// Each member's prediction, within `range`, where `n` samples have been learned from.
    pub(super) fn predict(&self, z: &[f64], range: TargetRange, n: u64) -> Predictions {
        let of = |expert: &dyn Expert| range.clip(expert.predict(z));
        let (cubic, network) = (of(&self.cubic), of(&self.network));
        let with_rest =
            |base: f64, rest: &dyn Expert| if n < SETTLED { base } else { range.clip(base + rest.predict(z)) };
        [
            range.clip(self.last),
            of(&self.innovation),
            of(&self.autoregression),
            of(&self.linear),
            of(&self.quadratic),
            cubic,
            network,
            of(&self.trees),
            with_rest(cubic, &self.cubic_rest),
            with_rest(network, &self.network_rest),
        ]
    }

    /// Learns that `z`, which made these predictions, had the target `last`, or `y` for those that an outlier could mislead.
    pub(super) fn learn(&mut self, z: &[f64], predictions: &Predictions, y: f64, last: f64, weight: f64, n: u64) {
        let [.., cubic, network, _, _, _] = *predictions;
        let rests: [(&mut dyn Expert, f64); 2] =
            [(&mut self.cubic_rest, y - cubic), (&mut self.network_rest, y - network)];
        for (rest, left) in rests {
            if n >= SETTLED {
                let _ = rest.learn(z, left, weight);
            }
        }
        for expert in self.by_themselves() {
            // What one refuses leaves it as it was.
            let _ = expert.learn(z, y, weight);
        }
        self.last = last;
    }

    /// Place `i` of a row holds another feature from now on.
    pub(super) fn renew(&mut self, i: usize) {
        self.by_themselves().into_iter().for_each(|expert| expert.renew(i));
        self.cubic_rest.renew(i);
        self.network_rest.renew(i);
    }

    /// Those that learn the target itself.
    fn by_themselves(&mut self) -> [&mut dyn Expert; 7] {
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

    /// Bytes on the heap.
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
