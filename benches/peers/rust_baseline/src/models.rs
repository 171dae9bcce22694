//! The mean, and linear regression by gradient descent behind a standard scaler, as River and the daemon's `mean` and `linear`
//! compute them; predict, score, learn.

use std::collections::VecDeque;

use crate::parse::FEATURES;

pub const NAMES: [&str; 2] = ["mean", "linear"];
/// Learning rate of weights and intercept.
const RATE: f64 = 0.01;
/// Bound on the gradient.
const CLIP: f64 = 1e12;
/// Errors that the rolling figures look back on.
const WINDOW: usize = 1000;
const ELECTION_EVERY: u64 = 100;

#[derive(Default)]
struct Mean {
    count: f64,
    mean: f64,
}

impl Mean {
    fn learn(&mut self, y: f64) {
        self.count += 1.0;
        self.mean += (y - self.mean) / self.count;
    }
}

#[derive(Default)]
struct Linear {
    count: f64,
    means: [f64; FEATURES],
    variances: [f64; FEATURES],
    weights: [f64; FEATURES],
    intercept: f64,
}

impl Linear {
    fn scaled(&self, x: &[f64; FEATURES]) -> [f64; FEATURES] {
        std::array::from_fn(|i| {
            let deviation = self.variances[i].sqrt();
            if deviation > 0.0 { (x[i] - self.means[i]) / deviation } else { 0.0 }
        })
    }

    fn sum(&self, scaled: &[f64; FEATURES]) -> f64 {
        let products = self.weights.iter().zip(scaled).map(|(weight, value)| weight * value);
        products.sum::<f64>() + self.intercept
    }

    fn predict(&self, x: &[f64; FEATURES]) -> f64 {
        self.sum(&self.scaled(x))
    }

    fn learn(&mut self, x: &[f64; FEATURES], y: f64) {
        self.count += 1.0;
        for ((mean, variance), value) in self.means.iter_mut().zip(&mut self.variances).zip(x) {
            let before = *mean;
            *mean += (value - before) / self.count;
            *variance += ((value - before) * (value - *mean) - *variance) / self.count;
        }
        let scaled = self.scaled(x);
        let step = RATE * (2.0 * (self.sum(&scaled) - y)).clamp(-CLIP, CLIP);
        self.intercept -= step;
        for (weight, value) in self.weights.iter_mut().zip(scaled) {
            *weight -= step * value;
        }
    }
}

/// Errors over all records and over the last ones.
#[derive(Default)]
struct Scores {
    count: u64,
    squared: f64,
    absolute: f64,
    window: VecDeque<f64>,
    rolling_squared: f64,
    rolling_absolute: f64,
}

impl Scores {
    fn update(&mut self, error: f64) {
        self.count += 1;
        self.squared += error * error;
        self.absolute += error.abs();
        self.rolling_squared += error * error;
        self.rolling_absolute += error.abs();
        self.window.push_back(error);
        if self.window.len() > WINDOW
            && let Some(oldest) = self.window.pop_front()
        {
            self.rolling_squared -= oldest * oldest;
            self.rolling_absolute -= oldest.abs();
        }
    }
}

/// Both models, and the one that counts.
#[derive(Default)]
pub struct Race {
    mean: Mean,
    linear: Linear,
    scores: [Scores; 2],
    champion: usize,
    pub version: u64,
}

impl Race {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the predictions for a sample, whose counts, and how many samples had been learned; then learns it.
    pub fn step(&mut self, x: &[f64; FEATURES], y: f64) -> ([f64; 2], usize, u64) {
        let predictions = [self.mean.mean, self.linear.predict(x)];
        let said = (predictions, self.champion, self.version);
        for (scores, prediction) in self.scores.iter_mut().zip(predictions) {
            scores.update(y - prediction);
        }
        self.mean.learn(y);
        self.linear.learn(x, y);
        self.version += 1;
        if self.version.is_multiple_of(ELECTION_EVERY) {
            let other = 1 - self.champion;
            if self.scores[other].rolling_squared < self.scores[self.champion].rolling_squared {
                self.champion = other;
            }
        }
        said
    }

    pub fn rmse(&self) -> [f64; 2] {
        self.scores.each_ref().map(|scores| (scores.squared / scores.count.max(1) as f64).sqrt())
    }
}
