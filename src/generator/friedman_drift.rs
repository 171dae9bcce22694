//! Friedman's function with concept drift (Ikonomovska, Gama and Džeroski, Learning model trees from evolving data
//! streams, 2011), as River's `FriedmanDrift` has it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Error, Source,
    drift::{Transition, transitions},
    friedman, numbered,
};

/// The kind of change of the concept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftType {
    /// Local and expanding abrupt: in two regions of the features, which grow at each of three positions.
    Lea,
    /// Global and recurring abrupt: features change roles at the first of two positions and back at the second.
    #[default]
    Gra,
    /// Global and slow gradual: at each of two positions the next concept takes over; within the transition window
    /// either holds with even chances.
    Gsg,
}

impl DriftType {
    /// Returns the name in `drift_type = "…"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lea => "lea",
            Self::Gra => "gra",
            Self::Gsg => "gsg",
        }
    }

    /// Returns the positions that the field's papers and our reference figures use.
    pub fn default_positions(self) -> Vec<u64> {
        match self {
            Self::Lea => vec![12_500, 25_000, 37_500],
            Self::Gra | Self::Gsg => vec![15_000, 30_000],
        }
    }
}

/// Parameters of `friedman_drift`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FriedmanDrift {
    /// The kind of change of the concept.
    pub drift_type: DriftType,
    /// Samples at which it changes, strictly increasing: three for `lea`, two for the others.
    pub position: Vec<u64>,
    /// Number of samples a gradual change takes (`gsg`).
    pub transition_window: u64,
    /// Number of samples after which everything begins anew; 0 is never.
    pub repeat: u64,
}

impl Default for FriedmanDrift {
    fn default() -> Self {
        let drift_type = DriftType::default();
        Self { drift_type, position: drift_type.default_positions(), transition_window: 5_000, repeat: 45_000 }
    }
}

impl FriedmanDrift {
    /// Returns itself if the parameters fit together.
    ///
    /// # Errors
    /// Errors name the parameter that does not.
    pub fn checked(&self) -> Result<Self, Error> {
        let wanted = if self.drift_type == DriftType::Lea { 3 } else { 2 };
        if self.position.len() != wanted || !self.position.is_sorted_by(|a, b| a < b) {
            return Err(Error::new("function.position", format!("needs {wanted} strictly increasing positions")));
        }
        let gap = self.position.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(u64::MAX);
        if self.drift_type == DriftType::Gsg && self.transition_window > gap {
            let problem = format!("must not be over {gap}, the samples between two positions");
            return Err(Error::new("function.transition_window", problem));
        }
        if self.repeat != 0 && self.position.last().is_some_and(|last| self.repeat <= *last) {
            return Err(Error::new("function.repeat", "must be 0 or beyond the last position"));
        }
        Ok(self.clone())
    }

    /// Iterates over the changes of the concept before sample `until`, at most a thousand.
    pub(super) fn transitions(&self, until: u64) -> impl Iterator<Item = Transition> {
        let width = if self.drift_type == DriftType::Gsg { self.transition_window } else { 0 };
        // The recurring drift ends with the first concept, so beginning anew changes nothing.
        let returns = self.drift_type != DriftType::Gra;
        transitions(&self.position, width, self.repeat, returns, until)
    }

    fn expanding(&self, i: u64, x: &[f64]) -> f64 {
        let stage = self.position.iter().filter(|position| i >= **position).count();
        // Each stage drops a condition, so the regions expand.
        let low = [x[1] < 0.3 && x[2] < 0.3, x[3] > 0.7, x[4] < 0.3];
        let high = [x[1] > 0.7 && x[2] > 0.7, x[3] < 0.3, x[4] > 0.7];
        let inside = |conditions: [bool; 3]| stage > 0 && conditions[..4 - stage].iter().all(|holds| *holds);
        if inside(low) {
            10.0 * x[0] * x[1] + 20.0 * (x[2] - 0.5) + 10.0 * x[3] + 5.0 * x[4]
        } else if inside(high) {
            10.0 * (x[0] * x[1]).cos() + 20.0 * (x[2] - 0.5) + x[3].exp() + 5.0 * x[4] * x[4]
        } else {
            friedman::concept(x, [0, 1, 2, 3, 4])
        }
    }

    fn gradual(&self, i: u64, x: &[f64], rng: &mut ChaCha8Rng) -> f64 {
        const ROLES: [[usize; 5]; 3] = [[0, 1, 2, 3, 4], [3, 4, 1, 0, 2], [1, 4, 3, 2, 0]];
        let stage = self.position.iter().filter(|position| i >= **position).count();
        let fresh = stage > 0 && i < self.position[stage - 1] + self.transition_window;
        let stage = if fresh && rng.random::<bool>() { stage - 1 } else { stage };
        friedman::concept(x, ROLES[stage])
    }
}

impl Source for FriedmanDrift {
    fn features(&self) -> Vec<String> {
        numbered(10)
    }

    fn draw(&mut self, _: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        friedman::draw(rng, x);
    }

    fn target(&self, index: u64, x: &[f64], rng: &mut ChaCha8Rng) -> f64 {
        let i = if self.repeat == 0 { index } else { index % self.repeat };
        match self.drift_type {
            DriftType::Lea => self.expanding(i, x),
            DriftType::Gra if (self.position[0]..self.position[1]).contains(&i) => {
                friedman::concept(x, [3, 5, 1, 0, 2])
            }
            DriftType::Gra => friedman::concept(x, [0, 1, 2, 3, 4]),
            DriftType::Gsg => self.gradual(i, x, rng),
        }
    }
}
