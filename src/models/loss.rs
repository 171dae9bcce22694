//! Losses of a prediction `p` against a target `y`, and the derivative that gradient descent follows.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// A loss function with its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// (p − y)²
    #[default]
    Squared,
    /// |p − y|
    Absolute,
    /// Squared within `epsilon` of the target, linear beyond it (Huber 1964). `epsilon` > 0, in the target's unit.
    Huber {
        /// Half-width of the squared zone.
        epsilon: f64,
    },
    /// Pinball loss: its minimiser is the `alpha` quantile, 0 < `alpha` < 1 (Koenker and Bassett 1978).
    Quantile {
        /// The quantile.
        alpha: f64,
    },
    /// Cauchy (Lorentzian) loss with scale `c` > 0: far outliers pull less.
    Cauchy {
        /// The scale, in the target's unit.
        c: f64,
    },
    /// |p − y| − `epsilon` where positive, else nothing (Vapnik 1995). `epsilon` ≥ 0, in the target's unit. River's
    /// `EpsilonInsensitiveHinge` is of 2y − 1 instead of y, which is meant for classes; here it is of the target itself.
    EpsilonInsensitive {
        /// Half-width of the zone without loss.
        epsilon: f64,
    },
}

checked!(enum Loss {
    Squared, Absolute, Huber { epsilon }, Quantile { alpha }, Cauchy { c }, EpsilonInsensitive { epsilon },
});

impl Loss {
    /// Returns ∂loss/∂p at the prediction `p` of the target `y`.
    #[inline]
    pub fn gradient(&self, y: f64, p: f64) -> f64 {
        let error = p - y;
        match *self {
            Loss::Squared => 2.0 * error,
            Loss::Absolute => {
                if p > y {
                    1.0
                } else {
                    -1.0
                }
            }
            Loss::Huber { epsilon } => {
                if error.abs() <= epsilon {
                    error
                } else {
                    epsilon * error.signum()
                }
            }
            Loss::Quantile { alpha } => f64::from(u8::from(y < p)) - alpha,
            Loss::Cauchy { c } => error / ((error / c) * (error / c) + 1.0),
            Loss::EpsilonInsensitive { epsilon } => {
                if error > epsilon {
                    1.0
                } else if error < -epsilon {
                    -1.0
                } else {
                    0.0
                }
            }
        }
    }

    /// Returns the loss of the prediction `p` of the target `y`.
    #[inline]
    pub fn loss(&self, y: f64, p: f64) -> f64 {
        let error = p - y;
        match *self {
            Loss::Squared => error * error,
            Loss::Absolute => error.abs(),
            Loss::Huber { epsilon } => {
                let square = error.abs().min(epsilon);
                square * (error.abs() - square / 2.0)
            }
            Loss::Quantile { alpha } => error * (f64::from(u8::from(y < p)) - alpha),
            Loss::Cauchy { c } => 0.5 * c * c * ((error / c) * (error / c)).ln_1p(),
            Loss::EpsilonInsensitive { epsilon } => (error.abs() - epsilon).max(0.0),
        }
    }

    /// Returns the Newton step from the prediction `p` to the target `y`. `scale` is the usual size of errors, `clip`
    /// bounds the derivative; a `share` of the step, over 0 and at most 1, does not lead past the target.
    #[inline]
    pub(super) fn residual(&self, y: f64, p: f64, scale: f64, clip: f64, share: f64) -> f64 {
        let step = -self.gradient(y, p).clamp(-clip, clip) * self.stretch(scale);
        let most = match *self {
            Loss::Absolute | Loss::Quantile { .. } => (y - p).abs(),
            Loss::EpsilonInsensitive { epsilon } => ((y - p).abs() - epsilon).max(0.0),
            // These are no steeper than their curvature allows.
            Loss::Squared | Loss::Huber { .. } | Loss::Cauchy { .. } => return step,
        };
        // Unlike `clamp`, these panic at no share that a damaged state could lead to.
        step.max(-most / share).min(most / share)
    }

    /// Returns the inverse of the loss's curvature near the target. A loss with a kink there is treated as curved over
    /// the width `scale`.
    #[inline]
    pub(super) fn stretch(&self, scale: f64) -> f64 {
        match self {
            Loss::Squared => 0.5,
            Loss::Huber { .. } | Loss::Cauchy { .. } => 1.0,
            Loss::Absolute | Loss::Quantile { .. } | Loss::EpsilonInsensitive { .. } => scale,
        }
    }
}
