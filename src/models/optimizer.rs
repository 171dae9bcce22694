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
