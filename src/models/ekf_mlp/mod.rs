//! A small neural network that learns by an extended Kalman filter, at O(weights²) a sample.
//!
//! Reading order: [`Params`], this file, `network` (weights, output, derivatives), `target` (the scale of targets).
//!
//! Invariant: weights and covariance are finite; an update that would change this is refused as a whole. At most 12
//! inputs take part; where there are more, those that correlate most with the target.

mod network;
mod target;

use serde::{Deserialize, Serialize};

use self::{
    network::{Activations, Network},
    target::Target,
};
use super::{
    Description, NamedColumn, Refused,
    least_squares::{Covariance, Expert, Screening, Standalone},
};
use thalweg_metrics::{
    checked,
    drift::{Cusum, CusumParams},
};

/// Maximum number of hidden units.
pub const MAX_HIDDEN: usize = network::MAX_HIDDEN;

/// Parameters of [`EkfMlp`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Number of hidden units, 1 to [`MAX_HIDDEN`].
    pub hidden: u32,
    /// Share of its weight that a sample keeps from each to the next, 0 < `forgetting` ≤ 1.
    pub forgetting: f64,
    /// Seed of the initial weights.
    pub seed: u64,
}

checked!(Params { hidden, forgetting, seed: any });

impl Default for Params {
    fn default() -> Self {
        Self { hidden: 20, forgetting: 0.9995, seed: 42 }
    }
}

/// A network with one layer of tanh units beside a linear regression, all of whose weights an extended Kalman filter estimates
/// jointly (Singhal and Wu 1989, "Training multilayer perceptrons with the extended Kalman algorithm").
///
/// Forgetting (Sorenson and Sacks 1971, "Recursive fading memory filtering") keeps it able to learn, for which
/// Puskorius and Feldkamp ("Neurocontrol of nonlinear dynamical systems with Kalman filter trained recurrent networks",
/// 1994) add artificial process noise. The variance of the target around the network follows from its errors
/// (covariance matching: Mehra 1972, "Approaches to adaptive filtering"). When squared errors stay above the usual
/// (CUSUM: Page 1954), the filter raises the variances of its weights.
pub type EkfMlp = Standalone<Filter>;

impl EkfMlp {
    /// A network that has learned nothing.
    pub fn new(params: Params) -> Self {
        Self::around(Filter::new(params))
    }
}

/// Maximum number of inputs that take part.
const MAX_SLOTS: usize = 12;

/// Maximum variance of a weight.
const MAX_VARIANCE: f64 = 10.0;

/// Minimum variance of a weight after a drift, as a share of its variance at the start.
const MIN_REOPENED_SHARE: f64 = 0.1;

/// Errors are clipped at this many standard deviations.
const MAX_ERROR_DEVIATIONS: f64 = 6.0;

/// Minimum rate at which the noise follows a sample, and the number of samples that the first guess, that all is noise,
/// counts as.
const MIN_NOISE_RATE: f64 = 0.005;
const NOISE_PRIOR_SAMPLES: f64 = 20.0;

/// Bound on the noise that one sample may indicate, in times the noise before; and the minimum noise.
const MAX_NOISE_RATIO: f64 = 9.0;
const MIN_NOISE: f64 = 1e-4;

/// A step that changes a weight by this much or more is refused.
const MAX_WEIGHT_STEP: f64 = 1e100;

/// See [`EkfMlp`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Filter {
    params: Params,
    network: Network,
    covariance: Covariance,
    /// Variance of the target around the network, in variances of the target.
    noise: f64,
    target: Target,
    cusum: Cusum,
    /// Input of each slot.
    slots: Vec<usize>,
    /// Present once there are more inputs than slots.
    screening: Option<Screening>,
    /// Buffers for derivatives and gain.
    #[serde(skip)]
    slopes: Vec<f64>,
    #[serde(skip)]
    gain: Vec<f64>,
}

checked!(Filter {
    params,
    network,
    covariance,
    noise,
    target,
    cusum,
    slots,
    screening,
    slopes: skipped,
    gain: skipped,
} then fits);

impl Filter {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { network, covariance, noise, slots, .. } = self;
        if network.len() != covariance.len() || network.inputs() != slots.len() || slots.len() > MAX_SLOTS {
            return Err("the parts of a network do not fit together");
        }
        if *noise > 0.0 { Ok(()) } else { Err("a network knows of no noise") }
    }
}

impl Filter {
    /// An expert that has learned nothing.
    pub(super) fn new(params: Params) -> Self {
        Self {
            params,
            network: Network::new(params.hidden as usize, params.seed),
            covariance: Covariance::with_diagonal([]),
            noise: 1.0,
            target: Target::default(),
            cusum: Cusum::new(CusumParams::default()),
            slots: Vec::new(),
            screening: None,
            slopes: Vec::new(),
            gain: Vec::new(),
        }
    }

    /// Adds slots and weights for up to `n` inputs.
    fn grow(&mut self, n: usize) {
        let slots = n.min(MAX_SLOTS);
        if slots > self.slots.len() || self.network.len() == 0 {
            self.slots.reserve_exact(slots - self.slots.len());
            self.slots.extend(self.slots.len()..slots);
            self.network.grow(slots);
            self.covariance.reserve(self.network.len());
            for i in self.covariance.len()..self.network.len() {
                self.covariance.push(self.network.variance(i));
            }
        }
        if n > slots {
            self.screening.get_or_insert_default();
        }
    }

    /// Writes the inputs that take part into `buffer`.
    fn inputs<'a>(&self, z: &[f64], buffer: &'a mut [f64; MAX_SLOTS]) -> &'a [f64] {
        let inputs = &mut buffer[..self.slots.len()];
        for (input, slot) in inputs.iter_mut().zip(&self.slots) {
            *input = z.get(*slot).copied().unwrap_or_default();
        }
        inputs
    }

    /// Forgets what was learned of a slot's input.
    fn forget(&mut self, slot: usize) {
        for i in self.network.renew(slot) {
            self.covariance.isolate(i, self.network.variance(i));
        }
    }

    /// Takes a step of the filter towards `y`; it and the network's `output` are in standard deviations of the target.
    fn step(&mut self, y: f64, output: f64, weight: f64) -> Result<(), Refused> {
        let reach = self.covariance.project(&self.slopes, &mut self.gain);
        let error = y - output;
        let q = self.noise / weight + reach;
        // `clamp` would panic at a bound that is NaN.
        let furthest = MAX_ERROR_DEVIATIONS * q.sqrt();
        let step = error.max(-furthest).min(furthest) / q;
        let largest = self.gain.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        // Also false of NaN.
        let sound = reach >= 0.0
            && q.is_finite()
            && error.is_finite()
            && largest.is_finite()
            && (step * largest).abs() < MAX_WEIGHT_STEP;
        if !sound {
            return Err(Refused);
        }
        self.network.step(&self.gain, step);
        self.covariance.shrink(&mut self.gain, q, self.params.forgetting);
        self.covariance.confine(|_| MAX_VARIANCE, &mut self.gain);
        let rate = (1.0 / (self.target.n() + NOISE_PRIOR_SAMPLES)).max(MIN_NOISE_RATE);
        let said = (error * error - reach).clamp(0.0, MAX_NOISE_RATIO * self.noise);
        self.noise = (self.noise + rate * (said - self.noise)).max(MIN_NOISE);
        Ok(())
    }
}

impl Expert for Filter {
    fn predict(&self, z: &[f64]) -> f64 {
        let (mut inputs, mut buffer) = ([0.0; _], Activations::default());
        self.target.restored(self.network.output(self.inputs(z, &mut inputs), &mut buffer))
    }

    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused> {
        self.grow(z.len());
        if let Some(share) = self.target.learn(y) {
            // The same function in another unit.
            self.gain.clear();
            self.gain.resize(self.network.len(), 1.0);
            self.network.rescale(share, &mut self.gain);
            self.covariance.scale(&self.gain);
            self.noise = (self.noise * share.scale * share.scale).clamp(MIN_NOISE, f64::MAX);
        }
        let (mut inputs, mut buffer) = ([0.0; _], Activations::default());
        let inputs = self.inputs(z, &mut inputs);
        let output = self.network.output(inputs, &mut buffer);
        self.network.slopes(inputs, &buffer, &mut self.slopes);
        self.step(self.target.scaled(y), output, weight)?;
        if self.cusum.update(y - self.target.restored(output)) {
            let network = &self.network;
            self.covariance.isolate_all(|i, variance| variance.max(MIN_REOPENED_SHARE * network.variance(i)));
        }
        if let Some(screening) = &mut self.screening {
            screening.learn(z.iter().copied(), y);
            if let Some((slot, input)) = screening.exchange(&self.slots) {
                self.slots[slot] = input;
                self.forget(slot);
            }
        }
        Ok(())
    }

    fn renew(&mut self, i: usize) {
        if let Some(screening) = &mut self.screening {
            screening.renew(i);
        }
        if let Some(slot) = self.slots.iter().position(|input| *input == i) {
            self.forget(slot);
        }
    }

    fn describe(&self, inputs: &[NamedColumn]) -> Description {
        let names: Vec<NamedColumn> = self.slots.iter().map(|i| super::describe::column(inputs, *i)).collect();
        Description::Network(self.network.describe(&names, &self.target))
    }

    fn heap_bytes(&self) -> usize {
        let screening = self.screening.as_ref().map_or(0, Screening::heap_bytes);
        // Slopes and gain are as long as the weights.
        3 * self.network.heap_bytes() + self.covariance.heap_bytes() + size_of_val(self.slots.as_slice()) + screening
    }
}
