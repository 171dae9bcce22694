//! The network: f(z) = vᵀ tanh(Wz + b) + uᵀz + c.
//!
//! Invariant: weights are appended input by input, so that earlier ones keep their places: b, v, c, then for each input
//! its column of W and its u. What this does not do: learn.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::target::{Change, Target};
use crate::{
    NamedColumn,
    describe::{self, Linear},
};
use thalweg_metrics::checked;

/// Maximum number of hidden units.
pub(super) const MAX_HIDDEN: usize = 32;

/// Outputs of the hidden units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Activations {
    outputs: [f64; MAX_HIDDEN],
}

/// Initial variance of v as a weight and as an estimate, and of u and c as an estimate.
const OUTER_VARIANCES: (f64, f64) = (0.01, 1.0);
const LINEAR_VARIANCE: f64 = 10.0;

/// The weights, and the generator of those to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    hidden: usize,
    inputs: usize,
    weights: Vec<f64>,
    /// Variance of W and b at the start.
    inner: f64,
    rng: ChaCha8Rng,
}

checked!(Network { hidden, inputs, weights, inner, rng } then fits);

impl Network {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { hidden, inputs, weights, inner, .. } = self;
        let sizes = (1..=MAX_HIDDEN).contains(hidden) && *inputs <= super::MAX_SLOTS;
        if !sizes || !(weights.len() == self.size() || (*inputs == 0 && weights.is_empty())) {
            return Err("a network has another number of weights than it should");
        }
        if *inner > 0.0 { Ok(()) } else { Err("a network is to be surer of a weight than can be") }
    }
}

/// tanh as its continued fraction (Lambert 1768), cut off: good to 1e-4, and the same bits everywhere.
fn tanh(x: f64) -> f64 {
    // The fraction reaches 1 here.
    let x = x.clamp(-4.971_786_858_528_018, 4.971_786_858_528_018);
    let s = x * x;
    let above = x * (135_135.0 + s * (17_325.0 + s * (378.0 + s)));
    above / (135_135.0 + s * (62_370.0 + s * (3_150.0 + s * 28.0)))
}

impl Network {
    /// A network without inputs or weights.
    pub(super) fn new(hidden: usize, seed: u64) -> Self {
        Self { hidden, inputs: 0, weights: Vec::new(), inner: 1.0, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Number of weights.
    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Number of inputs.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    fn size(&self) -> usize {
        2 * self.hidden + 1 + self.inputs * (self.hidden + 1)
    }

    /// Returns the places of the weights of input `j`: its column of W, then its u.
    fn of_input(&self, j: usize) -> Range<usize> {
        let start = 2 * self.hidden + 1 + j * (self.hidden + 1);
        start..start + self.hidden + 1
    }

    /// Adds weights for up to `n` inputs, drawn with a variance that keeps the units from saturation.
    pub(super) fn grow(&mut self, n: usize) {
        let h = self.hidden;
        let mut weights = std::mem::take(&mut self.weights);
        if weights.is_empty() {
            self.inner = 1.0 / n.max(1) as f64;
            weights.extend((0..h).map(|_| self.draw(self.inner)));
            weights.extend((0..h).map(|_| self.draw(OUTER_VARIANCES.0)));
            weights.push(0.0);
        }
        for _ in self.inputs..n {
            weights.extend((0..h).map(|_| self.draw(self.inner)));
            weights.push(0.0);
        }
        weights.shrink_to_fit();
        (self.weights, self.inputs) = (weights, n);
    }

    /// Draws a number with this variance around 0, uniform.
    fn draw(&mut self, variance: f64) -> f64 {
        let draw: f64 = self.rng.random();
        (draw - 0.5) * (12.0 * variance).sqrt()
    }

    /// Returns the variance of weight `i` as an estimate, at the start.
    pub(super) fn variance(&self, i: usize) -> f64 {
        let (h, h1) = (self.hidden, self.hidden + 1);
        let linear = i == 2 * h || (i > 2 * h && (i - 2 * h - 1) % h1 == h);
        match i {
            _ if linear => LINEAR_VARIANCE,
            _ if (h..2 * h).contains(&i) => OUTER_VARIANCES.1,
            _ => self.inner,
        }
    }

    /// Returns the output for these inputs, 0 without weights, and leaves the outputs of the hidden units in `activations`.
    pub(super) fn output(&self, z: &[f64], activations: &mut Activations) -> f64 {
        let h = self.hidden;
        let Some((b, rest)) = self.weights.split_at_checked(h) else { return 0.0 };
        let Some((v, rest)) = rest.split_at_checked(h) else { return 0.0 };
        let outputs = &mut activations.outputs[..h];
        outputs.copy_from_slice(b);
        let mut output = rest[0];
        for (z, column) in z.iter().zip(rest[1..].chunks_exact(h + 1)) {
            outputs.iter_mut().zip(column).for_each(|(s, w)| *s += w * z);
            output += column[h] * z;
        }
        outputs.iter_mut().for_each(|s| *s = tanh(*s));
        outputs.iter().zip(v).fold(output, |output, (s, v)| output + s * v)
    }

    /// Writes the derivatives of the output by the weights; `activations` holds the outputs of the hidden units for these
    /// inputs.
    pub(super) fn slopes(&self, z: &[f64], activations: &Activations, slopes: &mut Vec<f64>) {
        let h = self.hidden;
        let outputs = &activations.outputs[..h];
        slopes.clear();
        slopes.reserve_exact(self.weights.len());
        slopes.extend(outputs.iter().zip(&self.weights[h..2 * h]).map(|(s, v)| v * (1.0 - s * s)));
        slopes.extend_from_slice(outputs);
        slopes.push(1.0);
        let mut inner = [0.0; MAX_HIDDEN];
        inner[..h].copy_from_slice(&slopes[..h]);
        for z in z {
            slopes.extend(inner[..h].iter().map(|slope| slope * z));
            slopes.push(*z);
        }
    }

    /// Adds `step` times `gain` to the weights.
    pub(super) fn step(&mut self, gain: &[f64], step: f64) {
        self.weights.iter_mut().zip(gain).for_each(|(w, g)| *w += step * g);
    }

    /// Expresses the same function in another unit; `factors`, which are 1, become those of each weight.
    pub(super) fn rescale(&mut self, change: Change, factors: &mut [f64]) {
        let h = self.hidden;
        // v and c, then every u.
        for i in (h..2 * h + 1).chain((3 * h + 1..self.weights.len()).step_by(h + 1)) {
            self.weights[i] *= change.scale;
            factors[i] = change.scale;
        }
        self.weights[2 * h] += change.shift;
    }

    /// Forgets what was learned of input `j`; returns the places of its weights.
    pub(super) fn renew(&mut self, j: usize) -> Range<usize> {
        let of = self.of_input(j);
        self.weights[of.clone()].fill(0.0);
        of
    }

    /// Describes the network by the names of its inputs, in the target's unit.
    pub(super) fn describe(&self, inputs: &[NamedColumn], target: &Target) -> describe::Network {
        let h = self.hidden;
        let by_input = |k: usize| -> Vec<f64> { (0..self.inputs).map(|j| self.weights[self.of_input(j)][k]).collect() };
        let scale = target.restored(1.0) - target.restored(0.0);
        let linear: Vec<f64> = by_input(h).into_iter().map(|u| scale * u).collect();
        let weight = |i: usize| self.weights.get(i).copied().unwrap_or_default();
        let unit = |k: usize| describe::Unit {
            weight: scale * weight(h + k),
            input: Linear::new(weight(k), &by_input(k), inputs),
        };
        let units = if self.weights.is_empty() { Vec::new() } else { (0..h).map(unit).collect() };
        describe::Network { linear: Linear::new(target.restored(weight(2 * h)), &linear, inputs), units }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }
}
