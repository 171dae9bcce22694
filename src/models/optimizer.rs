//! Optimizers: how a gradient becomes a change of the weights, and schedules of the learning rate.

use serde::{Deserialize, Serialize};

/// The learning rate as a function of the number of steps `t` taken before, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// Always `lr` ≥ 0.
    Constant {
        /// The learning rate.
        lr: f64,
    },
    /// `lr` / (t + 1)^`power`.
    InverseScaling {
        /// The learning rate of the first step.
        lr: f64,
        /// How fast it falls, ≥ 0.
        power: f64,
    },
    /// Bottou's optimal rate 1 / (`alpha` · (t₀ + t)) with t₀ from the loss (River's `optim.schedulers.Optimal`).
    Optimal {
        /// The regularisation it is optimal for, > 0.
        alpha: f64,
    },
}

/// An optimizer with its parameters (River's names and defaults).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Learning rate, default 0.01.
        lr: Schedule,
    },
    /// SGD with momentum (Polyak 1964).
    Momentum {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Share of the last step that is kept, default 0.9.
        rho: f64,
    },
    /// Nesterov momentum (Nesterov 1983).
    Nesterov {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Share of the last step that is kept, default 0.9.
        rho: f64,
    },
    /// AdaGrad (Duchi, Hazan and Singer 2011).
    AdaGrad {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Keeps the root away from zero, default 1e-8.
        eps: f64,
    },
    /// RMSProp (Hinton 2012, lecture 6e).
    RmsProp {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Share of the old mean square, default 0.9.
        rho: f64,
        /// Keeps the root away from zero, default 1e-8.
        eps: f64,
    },
    /// Adam (Kingma and Ba 2015).
    Adam {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Decay of the first moment, default 0.9.
        beta_1: f64,
        /// Decay of the second moment, default 0.999.
        beta_2: f64,
        /// Keeps the root away from zero, default 1e-8.
        eps: f64,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Sgd { lr: Schedule::Constant { lr: 0.01 } }
    }
}

impl Schedule {
    /// The learning rate after `t` steps.
    #[inline]
    pub fn rate(&self, t: u64) -> f64 {
        match *self {
            Schedule::Constant { lr } => lr,
            Schedule::InverseScaling { lr, power } => lr / (t as f64 + 1.0).powf(power),
            Schedule::Optimal { alpha } => {
                // Bottou's heuristic for where to start: the typical weight, 1/√√α, over the loss's slope there,
                // which is at least 1.
                let typical = (1.0 / alpha.sqrt()).sqrt();
                1.0 / (alpha * (1.0 / (typical * alpha) + t as f64))
            }
        }
    }
}

impl Optimizer {
    /// The learning rate after `t` steps.
    #[inline]
    pub fn rate(&self, t: u64) -> f64 {
        match self {
            Optimizer::Sgd { lr }
            | Optimizer::Momentum { lr, .. }
            | Optimizer::Nesterov { lr, .. }
            | Optimizer::AdaGrad { lr, .. }
            | Optimizer::RmsProp { lr, .. }
            | Optimizer::Adam { lr, .. } => lr.rate(t),
        }
    }

    /// The weight after one step along `slope`, with `rate` as of [`Optimizer::rate`] and `t` steps before.
    #[inline]
    pub(super) fn step(&self, weight: f64, memory: &mut [f64; 2], slope: f64, rate: f64, t: u64) -> f64 {
        match *self {
            Optimizer::Sgd { .. } => weight - rate * slope,
            Optimizer::Momentum { rho, .. } | Optimizer::Nesterov { rho, .. } => {
                memory[0] = rho * memory[0] + rate * slope;
                weight - memory[0]
            }
            Optimizer::AdaGrad { eps, .. } => {
                memory[0] += slope * slope;
                weight - (rate / (memory[0] + eps).sqrt()) * slope
            }
            Optimizer::RmsProp { rho, eps, .. } => {
                memory[0] = rho * memory[0] + (1.0 - rho) * slope * slope;
                weight - (rate / (memory[0] + eps).sqrt()) * slope
            }
            Optimizer::Adam { beta_1, beta_2, eps, .. } => {
                memory[0] = beta_1 * memory[0] + (1.0 - beta_1) * slope;
                memory[1] = beta_2 * memory[1] + (1.0 - beta_2) * slope * slope;
                let t = t as f64 + 1.0;
                let rate = rate * (1.0 - beta_2.powf(t)).sqrt() / (1.0 - beta_1.powf(t));
                weight - (rate * memory[0]) / (memory[1].sqrt() + eps)
            }
        }
    }
}
