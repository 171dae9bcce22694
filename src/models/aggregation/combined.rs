//! The default rule of mixtures.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Boa, MlPoly, Weights, recent_errors::RecentErrors, stacking::Stacked};
use thalweg_metrics::checked;

/// ML-Poly m; stacking on top of m, and on top of an average by recent errors; BOA; ML-Poly over these four. m has the
/// regret bound (on faded regret), stacking can be better than any average, recent errors recover quickly after a
/// change, BOA is reliable on short series, and the last ML-Poly prevents lasting harm by any of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Combined {
    long: Stacked<MlPoly>,
    short: Stacked<RecentErrors>,
    steady: Boa,
    last: MlPoly,
}

/// Weight of a record in the sums of regrets, relative to the one after it.
const REGRET_FADING: f64 = 0.9995;

checked!(Combined { long, short, steady, last });

impl Default for Combined {
    fn default() -> Self {
        Self {
            long: Stacked::new(MlPoly::fading(REGRET_FADING)),
            short: Stacked::new(RecentErrors::default()),
            steady: Boa::default(),
            last: MlPoly::fading(REGRET_FADING),
        }
    }
}

/// The averages, and the candidate predictions that the last rule averages.
struct Candidates {
    long: f64,
    short: f64,
    steady: f64,
    all: [f64; 4],
}

impl Combined {
    fn candidates(&self, members: &[f64]) -> Candidates {
        let (long, short) = (self.long.base().predict(members), self.short.base().predict(members));
        let steady = self.steady.predict(members);
        let all = [long, self.long.correct(members, long), self.short.correct(members, short), steady];
        Candidates { long, short, steady, all }
    }
}

impl Aggregate for Combined {
    fn predict(&self, members: &[f64]) -> f64 {
        self.last.predict(&self.candidates(members).all)
    }

    fn learn(&mut self, members: &[f64], prediction: f64, y: f64) {
        let Candidates { long, short, steady, all } = self.candidates(members);
        self.last.learn(&all, prediction, y);
        self.long.learn_with(members, long, y);
        self.short.learn_with(members, short, y);
        self.steady.learn(members, steady, y);
    }

    fn weights(&self) -> &Weights {
        self.long.weights()
    }

    fn heap_bytes(&self) -> usize {
        let weights = |of: &Weights| size_of_val(of.as_slice());
        let inner = [&self.short as &dyn Aggregate, &self.steady, &self.last];
        let inner = inner.iter().map(|rule| rule.heap_bytes() + weights(rule.weights())).sum::<usize>();
        inner + self.long.heap_bytes()
    }
}
