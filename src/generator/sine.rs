//! A sine wave, the simplest function that no straight line follows.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;

use super::{Error, Source, numbered};

/// y = amplitude · sin(2π x0), where x0 runs from 0 to 1 in `period` samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sine {
    /// Height of the wave, finite.
    pub amplitude: f64,
    /// Number of samples in a wave, ≥ 2.
    pub period: u64,
}

impl Default for Sine {
    fn default() -> Self {
        Self { amplitude: 10.0, period: 1000 }
    }
}

impl Sine {
    /// Returns itself if the parameters are in range.
    ///
    /// # Errors
    /// Errors name the parameter that is not.
    pub fn checked(&self) -> Result<Self, Error> {
        if !self.amplitude.is_finite() {
            return Err(Error::new("function.amplitude", "must be finite"));
        }
        if self.period < 2 {
            return Err(Error::new("function.period", "must be 2 samples or more"));
        }
        Ok(*self)
    }
}

impl Source for Sine {
    fn features(&self) -> Vec<String> {
        numbered(1)
    }

    fn draw(&mut self, index: u64, _: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        x.push((index % self.period) as f64 / self.period as f64);
    }

    fn target(&self, _: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        self.amplitude * (TAU * x[0]).sin()
    }
}
