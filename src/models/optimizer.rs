//! Optimizers, which turn a gradient into a change of the weights, and schedules of the learning rate.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// The learning rate as a function of the number of steps `t` taken before, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// Constant `lr` ≥ 0.
    Constant {
        /// The learning rate.
        lr: f64,
    },
    /// `lr` / (t + 1)^`power`.
    InverseScaling {
        /// The learning rate of the first step.
        lr: f64,
        /// Exponent of its fall, ≥ 0.
        power: f64,
    },
    /// Bottou's optimal rate 1 / (`alpha` · (t₀ + t)) with t₀ from the loss (River's `optim.schedulers.Optimal`).
    Optimal {
        /// The regularisation it is optimal for, > 0.
        alpha: f64,
    },
}

checked!(enum Schedule { Constant { lr }, InverseScaling { lr, power }, Optimal { alpha } });

/// State of an optimizer for one weight: velocity, sums of squares, moments.
pub(super) type Memory = [f64; 3];

/// An optimizer with its parameters (all but the first with River's names and defaults).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    /// Several normalised, implicit step sizes at once, hedged: nothing to tune, and nothing overshoots (see
    /// `linear::hedge`).
    #[default]
    Hedge,
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
    /// AMSGrad: Adam whose second moment never falls (Reddi, Kale and Kumar 2018).
    AmsGrad {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Decay of the first moment, default 0.9.
        beta_1: f64,
        /// Decay of the second moment, default 0.999.
        beta_2: f64,
        /// Keeps the root away from zero, default 1e-8.
        eps: f64,
        /// True if both moments are corrected for their start at zero, default true.
        correct_bias: bool,
    },
    /// AdaMax: Adam by the largest slope (Kingma and Ba 2015).
    AdaMax {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Decay of the first moment, default 0.9.
        beta_1: f64,
        /// Decay of the largest slope, default 0.999.
        beta_2: f64,
        /// Keeps the divisor away from zero, default 1e-8.
        eps: f64,
    },
    /// Adam with Nesterov momentum (Dozat 2016).
    Nadam {
        /// Learning rate, default 0.1.
        lr: Schedule,
        /// Decay of the first moment, default 0.9.
        beta_1: f64,
        /// Decay of the second moment, default 0.999.
        beta_2: f64,
        /// Keeps the root away from zero, default 1e-8.
        eps: f64,
    },
    /// AdaDelta (Zeiler 2012): without a learning rate.
    AdaDelta {
        /// Share of the old mean squares, default 0.95.
        rho: f64,
        /// Keeps the roots away from zero, default 1e-8.
        eps: f64,
    },
    /// FTRL-Proximal (McMahan et al. 2013), in River's order: a step takes the weight that the slopes before it ask for.
    /// A weight whose sum of slopes is within `l1` becomes 0; River leaves it as it was.
    Ftrl {
        /// Learning rate, default 0.05, > 0.
        alpha: f64,
        /// Slows the first steps, default 1.0, ≥ 0.
        beta: f64,
        /// L1 penalty, default 0.0, ≥ 0.
        l1: f64,
        /// L2 penalty, default 1.0, ≥ 0.
        l2: f64,
    },
}

checked!(enum Optimizer {
    Hedge,
    Sgd { lr },
    Momentum { lr, rho },
    Nesterov { lr, rho },
    AdaGrad { lr, eps },
    RmsProp { lr, rho, eps },
    Adam { lr, beta_1, beta_2, eps },
    AmsGrad { lr, beta_1, beta_2, eps, correct_bias },
    AdaMax { lr, beta_1, beta_2, eps },
    Nadam { lr, beta_1, beta_2, eps },
    AdaDelta { rho, eps },
    Ftrl { alpha, beta, l1, l2 },
});

impl Schedule {
    /// Returns the learning rate after `t` steps.
    #[inline]
    pub fn rate(&self, t: u64) -> f64 {
        match *self {
            Schedule::Constant { lr } => lr,
            Schedule::InverseScaling { lr, power } => lr / (t as f64 + 1.0).powf(power),
            Schedule::Optimal { alpha } => {
                // Bottou's heuristic for the start: the typical weight, 1/√√α, over the loss's slope there, which is at
                // least 1.
                let typical = (1.0 / alpha.sqrt()).sqrt();
                1.0 / (alpha * (1.0 / (typical * alpha) + t as f64))
            }
        }
    }
}

impl Optimizer {
    /// River's default: gradient descent with a learning rate of 0.01.
    pub const RIVER: Self = Optimizer::Sgd { lr: Schedule::Constant { lr: 0.01 } };

    /// Returns the learning rate after `t` steps.
    #[inline]
    pub fn rate(&self, t: u64) -> f64 {
        match self {
            Optimizer::Sgd { lr }
            | Optimizer::Momentum { lr, .. }
            | Optimizer::Nesterov { lr, .. }
            | Optimizer::AdaGrad { lr, .. }
            | Optimizer::RmsProp { lr, .. }
            | Optimizer::Adam { lr, .. }
            | Optimizer::AmsGrad { lr, .. }
            | Optimizer::AdaMax { lr, .. }
            | Optimizer::Nadam { lr, .. } => lr.rate(t),
            Optimizer::Hedge | Optimizer::AdaDelta { .. } | Optimizer::Ftrl { .. } => 0.0,
        }
    }

    /// Returns the weight after one step along `slope`, with `rate` as of [`Optimizer::rate`] and `t` steps before.
    #[inline]
    pub(super) fn step(&self, weight: f64, memory: &mut Memory, slope: f64, rate: f64, t: u64) -> f64 {
        match *self {
            // `Hedge` takes its steps for all weights at once.
            Optimizer::Hedge => weight,
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
            Optimizer::AmsGrad { beta_1, beta_2, eps, correct_bias, .. } => {
                let t = t as f64 + 1.0;
                let correction = (1.0 - beta_2.powf(t)).sqrt() / (1.0 - beta_1.powf(t));
                let rate = if correct_bias { rate * correction } else { rate };
                memory[0] = beta_1 * memory[0] + (1.0 - beta_1) * slope;
                memory[1] = beta_2 * memory[1] + (1.0 - beta_2) * slope * slope;
                memory[2] = memory[2].max(memory[1]);
                weight - rate * memory[0] / (memory[2].sqrt() + eps)
            }
            Optimizer::AdaMax { beta_1, beta_2, eps, .. } => {
                let rate = rate / (1.0 - beta_1.powf(t as f64 + 1.0));
                memory[0] = beta_1 * memory[0] + (1.0 - beta_1) * slope;
                memory[1] = (beta_2 * memory[1]).max(slope.abs());
                weight - rate * memory[0] / (memory[1] + eps)
            }
            Optimizer::Nadam { beta_1, beta_2, eps, .. } => {
                let t = t as f64 + 1.0;
                let (unbias_1, unbias_2) = (1.0 - beta_1.powf(t), 1.0 - beta_2.powf(t));
                memory[0] = beta_1 * memory[0] + (1.0 - beta_1) * slope;
                memory[1] = beta_2 * memory[1] + (1.0 - beta_2) * slope * slope;
                let ahead = beta_1 * (memory[0] / unbias_1) + (1.0 - beta_1) * slope / unbias_1;
                weight - rate * ahead / ((memory[1] / unbias_2).sqrt() + eps)
            }
            Optimizer::AdaDelta { rho, eps } => {
                memory[0] = rho * memory[0] + (1.0 - rho) * slope * slope;
                let step = (memory[1] + eps).sqrt() / (memory[0] + eps).sqrt() * slope;
                memory[1] = rho * memory[1] + (1.0 - rho) * step * step;
                weight - step
            }
            Optimizer::Ftrl { alpha, beta, l1, l2 } => {
                let [sum, squares, _] = *memory;
                let weight = if sum.abs() > l1 {
                    -(sum - l1.copysign(sum)) / ((beta + squares.sqrt()) / alpha + l2)
                } else if squares > 0.0 {
                    0.0
                } else {
                    weight
                };
                let sigma = ((squares + slope * slope).sqrt() - squares.sqrt()) / alpha;
                memory[0] += slope - sigma * weight;
                memory[1] += slope * slope;
                weight
            }
        }
    }
}
