//! Coefficient of determination.

use serde::{Deserialize, Serialize};

use super::statistics::Var;

/// 1 − Σ(y − p)² / Σ(y − ȳ)².
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct R2 {
    residual: f64,
    target: Var,
}

impl R2 {
    /// Scores the prediction `p` of the target `y`.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.residual += (y - p) * (y - p);
        self.target.update(y, 1.0);
    }

    /// What both have scored, as one.
    #[inline]
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { residual: self.residual + other.residual, target: self.target.merged(other.target) }
    }

    /// The coefficient; 0 for fewer than two targets or targets that are all the same.
    pub fn get(&self) -> f64 {
        self.known().unwrap_or(0.0)
    }

    /// The same; `None` while it is undefined.
    pub fn known(&self) -> Option<f64> {
        let total = (self.target.n - 1.0) * self.target.get();
        (total > 0.0).then(|| 1.0 - self.residual / total)
    }
}
