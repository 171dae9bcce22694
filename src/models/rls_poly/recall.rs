//! Keeps models from before a drift, for when their concept recurs.
//!
//! Invariant: all have as many weights as the current one.

use serde::{Deserialize, Serialize};

use super::MAX_KEPT_MODELS;
use crate::least_squares::Regression;
use thalweg_metrics::checked;

/// Minimum rate at which a recent squared error follows the latest one. Errors from before a drift do not count.
const MIN_ERROR_RATE: f64 = 0.03;

/// Number of samples after a drift, or after an exchange, before models are compared.
const MIN_SAMPLES_TO_COMPARE: u64 = 30;

/// Number of samples after which a model is worth keeping. A large drift is detected again and again until its errors
/// are usual.
const MIN_SAMPLES_TO_KEEP: u64 = 200;

/// An earlier model comes back when its recent squared error is below these multiples: of the current model's, and of
/// its own usual one.
const MAX_RATIO_TO_CURRENT: f64 = 0.6;
const MAX_RATIO_TO_USUAL: f64 = 2.0;

/// Earlier models, with their recent errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recall {
    most: usize,
    kept: Vec<Kept>,
    /// Number of samples since the last drift or exchange.
    n: u64,
    /// Recent squared error of the current model.
    recent: f64,
}

checked!(Recall { most, kept, n, recent } then fits);

impl Recall {
    fn fits(&self) -> Result<(), &'static str> {
        if self.kept.len() > self.most || self.most > MAX_KEPT_MODELS {
            return Err("a polynomial keeps more models than it may");
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    regression: Regression,
    /// Usual squared error while it was the current model.
    usual: f64,
    /// Recent squared error.
    recent: f64,
}

checked!(Kept { regression, usual, recent });

impl Recall {
    /// Makes a memory of at most `most` models.
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), n: 0, recent: 0.0 }
    }

    /// Returns true if all models have `n` weights.
    pub(super) fn fits_terms(&self, n: usize) -> bool {
        self.kept.iter().all(|kept| kept.regression.len() == n)
    }

    /// Iterates over the kept models.
    pub(super) fn regressions(&mut self) -> impl Iterator<Item = &mut Regression> {
        self.kept.iter_mut().map(|kept| &mut kept.regression)
    }

    /// Learns the error of the current model, and those of the others.
    pub(super) fn score(&mut self, terms: &[f64], y: f64, error: f64) {
        self.n += 1;
        let rate = (1.0 / self.n as f64).max(MIN_ERROR_RATE);
        self.recent = (self.recent + rate * (error * error - self.recent)).min(f64::MAX);
        for kept in &mut self.kept {
            let error = y - kept.regression.predict(terms);
            // Huge weights would make it infinite, which compares well, but cannot be saved.
            kept.recent = (kept.recent + rate * (error * error - kept.recent)).min(f64::MAX);
        }
    }

    /// Keeps a copy of a model in place of the oldest where there are too many.
    pub(super) fn keep(&mut self, regression: &Regression, usual: f64) {
        if self.n < MIN_SAMPLES_TO_KEEP {
            return;
        }
        self.n = 0;
        if self.most == 0 {
            return;
        }
        if self.kept.len() < self.most {
            self.kept.reserve_exact(1);
        } else {
            self.kept.remove(0);
        }
        self.kept.push(Kept { regression: regression.clone(), usual, recent: self.recent });
    }

    /// Exchanges the current model, whose usual squared error is `usual`, for an earlier one that does clearly better;
    /// returns the usual squared error of that one.
    pub(super) fn swap(&mut self, current: &mut Regression, usual: f64) -> Option<f64> {
        if self.n < MIN_SAMPLES_TO_COMPARE {
            return None;
        }
        let best = self.kept.iter_mut().min_by(|a, b| a.recent.total_cmp(&b.recent))?;
        if !(best.recent < MAX_RATIO_TO_CURRENT * self.recent && best.recent < MAX_RATIO_TO_USUAL * best.usual) {
            return None;
        }
        self.n = 0;
        std::mem::swap(&mut best.regression, current);
        std::mem::swap(&mut best.recent, &mut self.recent);
        Some(std::mem::replace(&mut best.usual, usual))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.kept.as_slice()) + self.kept.iter().map(|kept| kept.regression.heap_bytes()).sum::<usize>()
    }
}
