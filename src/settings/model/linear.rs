//! Reads the parameters of linear regression: optimizers, schedules and losses.

use super::super::{
    Section,
    choices::{Choices, Reader, choices},
    range::{BETWEEN_0_AND_1, FINITE, NOT_NEGATIVE, POSITIVE, UNDER_1},
};
use thalweg_models::{
    linear::Params,
    loss::Loss,
    optimizer::{Optimizer, Schedule},
};

/// Default learning rates, as in River: of plain gradient descent and the intercept, and of the others.
const DEFAULT_SGD_RATE: f64 = 0.01;
const DEFAULT_RATE: f64 = 0.1;

const OPTIMIZERS: &Choices<Reader<Optimizer>> = &choices!(Optimizer {
    "hedge": Hedge => |_| Optimizer::Hedge,
    "sgd": Sgd => |section| Optimizer::Sgd { lr: schedule(section, "lr", DEFAULT_SGD_RATE) },
    "momentum": Momentum => |section| Optimizer::Momentum {
        lr: rate(section),
        rho: section.number("rho", 0.9, UNDER_1),
    },
    "nesterov": Nesterov => |section| Optimizer::Nesterov {
        lr: rate(section),
        rho: section.number("rho", 0.9, UNDER_1),
    },
    "adagrad": AdaGrad => |section| Optimizer::AdaGrad { lr: rate(section), eps: eps(section) },
    "rmsprop": RmsProp => |section| Optimizer::RmsProp {
        lr: rate(section),
        rho: section.number("rho", 0.9, UNDER_1),
        eps: eps(section),
    },
    "adam": Adam => |section| Optimizer::Adam {
        lr: rate(section),
        beta_1: beta_1(section),
        beta_2: beta_2(section),
        eps: eps(section),
    },
    "ams_grad": AmsGrad => |section| Optimizer::AmsGrad {
        lr: rate(section),
        correct_bias: section.boolean("correct_bias", true),
        beta_1: beta_1(section),
        beta_2: beta_2(section),
        eps: eps(section),
    },
    "ada_max": AdaMax => |section| Optimizer::AdaMax {
        lr: rate(section),
        beta_1: beta_1(section),
        beta_2: beta_2(section),
        eps: eps(section),
    },
    "nadam": Nadam => |section| Optimizer::Nadam {
        lr: rate(section),
        beta_1: beta_1(section),
        beta_2: beta_2(section),
        eps: eps(section),
    },
    "ada_delta": AdaDelta => |section| Optimizer::AdaDelta { rho: section.number("rho", 0.95, UNDER_1), eps: eps(section) },
    "ftrl": Ftrl => |section| Optimizer::Ftrl {
        alpha: section.number("alpha", 0.05, POSITIVE),
        beta: section.number("beta", 1.0, NOT_NEGATIVE),
        l1: section.number("l1", 0.0, NOT_NEGATIVE),
        l2: section.number("l2", 1.0, NOT_NEGATIVE),
    },
});

const SCHEDULES: &Choices<fn(&mut Section, f64) -> Schedule> = &choices!(Schedule {
    "constant": Constant => |section, lr| Schedule::Constant { lr: section.number("lr", lr, NOT_NEGATIVE) },
    "inverse_scaling": InverseScaling => |section, lr| Schedule::InverseScaling {
        lr: section.number("lr", lr, NOT_NEGATIVE),
        power: section.number("power", 0.5, NOT_NEGATIVE),
    },
    "optimal": Optimal => |section, _| Schedule::Optimal { alpha: section.number("alpha", 1e-4, POSITIVE) },
});

const LOSSES: &Choices<Reader<Loss>> = &choices!(Loss {
    "squared": Squared => |_| Loss::Squared,
    "absolute": Absolute => |_| Loss::Absolute,
    "huber": Huber => |section| Loss::Huber { epsilon: section.number("epsilon", 0.1, POSITIVE) },
    "quantile": Quantile => |section| Loss::Quantile { alpha: section.number("alpha", 0.5, BETWEEN_0_AND_1) },
    "cauchy": Cauchy => |section| Loss::Cauchy { c: section.number("c", 80.0, POSITIVE) },
    "epsilon_insensitive": EpsilonInsensitive => |section| Loss::EpsilonInsensitive {
        epsilon: section.number("epsilon", 0.1, NOT_NEGATIVE),
    },
});

pub(super) fn params(section: &mut Section, default: Params) -> Params {
    // People look for these beside the model's own keys, where other tools have them.
    section.holds("optimizer", &["lr", "rho", "beta_1", "beta_2", "eps", "alpha", "beta"]);
    section.holds("loss", &["epsilon", "c"]);
    let intercept_lr_is_set = section.has("intercept_lr");
    let params = Params {
        optimizer: optimizer(section, default.optimizer),
        loss: loss(section),
        l2: section.number("l2", default.l2, NOT_NEGATIVE),
        l1: section.number("l1", default.l1, NOT_NEGATIVE),
        intercept_init: section.number("intercept_init", default.intercept_init, FINITE),
        intercept_lr: schedule(section, "intercept_lr", DEFAULT_SGD_RATE),
        clip_gradient: section.number("clip_gradient", default.clip_gradient, POSITIVE),
    };
    if intercept_lr_is_set && params.optimizer == Optimizer::Hedge {
        section.problem(
            "intercept_lr",
            "does nothing with optimizer = \"hedge\"; leave it out, or take another, e.g. \"sgd\"",
        );
    }
    if params.l1 > 0.0 && params.l2 > 0.0 {
        section.problem("l1", "and l2 cannot both be over 0; leave one of them out");
    }
    params
}

/// Reads the optimizer; a table that names no kind is plain gradient descent.
fn optimizer(section: &mut Section, default: Optimizer) -> Optimizer {
    let chosen = section.choice_or("optimizer", "sgd", OPTIMIZERS);
    chosen.map_or(default, |(read, mut section)| read(&mut section))
}

fn loss(section: &mut Section) -> Loss {
    section.choice("loss", LOSSES).map_or_else(Loss::default, |(read, mut section)| read(&mut section))
}

/// Reads a learning rate: a number, or a table with `kind`.
fn schedule(section: &mut Section, key: &str, default: f64) -> Schedule {
    if !section.is_table(key) {
        return Schedule::Constant { lr: section.number(key, default, NOT_NEGATIVE) };
    }
    let chosen = section.choice(key, SCHEDULES);
    chosen.map_or(Schedule::Constant { lr: default }, |(read, mut section)| read(&mut section, default))
}

fn rate(section: &mut Section) -> Schedule {
    schedule(section, "lr", DEFAULT_RATE)
}

fn beta_1(section: &mut Section) -> f64 {
    section.number("beta_1", 0.9, UNDER_1)
}

fn beta_2(section: &mut Section) -> f64 {
    section.number("beta_2", 0.999, UNDER_1)
}

fn eps(section: &mut Section) -> f64 {
    section.number("eps", 1e-8, POSITIVE)
}
