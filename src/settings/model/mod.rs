//! `[[models]]`: which models race, and their parameters under River's names.

mod experts;
mod members;
mod rules;
mod steps;
mod tree;

use std::collections::HashSet;

use super::{
    Section,
    range::{BETWEEN, FINITE, NOT_NEGATIVE, PART, POSITIVE, SHARE},
};
use crate::models::{
    ModelConfig, ModelKind, linear,
    loss::Loss,
    optimizer::{Optimizer, Schedule},
    passive_aggressive::{self, Mode},
    rls,
    steps::StepKind,
};

const KINDS: [&str; 15] = [
    "mean",
    "last",
    "linear",
    "passive_aggressive",
    "rls",
    "rls_poly",
    "ekf_mlp",
    "innovation",
    "model_tree",
    "mixture",
    "hoeffding_tree",
    "adaptive_tree",
    "adaptive_random_forest",
    "amrules",
    "champion",
];
const OPTIMIZERS: [&str; 12] = [
    "hedge",
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adam",
    "ams_grad",
    "ada_max",
    "nadam",
    "ada_delta",
    "ftrl",
];
const LOSSES: [&str; 6] = ["squared", "absolute", "huber", "quantile", "cauchy", "epsilon_insensitive"];
const SCHEDULES: [&str; 3] = ["constant", "inverse_scaling", "optimal"];

/// The models that race where the settings name none.
pub(super) fn default_race() -> Vec<ModelConfig> {
    let model = |scale, kind: ModelKind| ModelConfig::new(kind.name(), kind).scaled(scale);
    vec![
        model(false, ModelKind::Mean),
        model(false, ModelKind::Last),
        ModelConfig {
            steps: experts::ENCODED_AND_SCALED.to_vec(),
            ..model(false, ModelKind::Linear(linear::Params::default()))
        },
        model(true, ModelKind::HoeffdingTree(crate::models::tree::Params::default())),
        experts::default_mixture(),
    ]
}

pub(super) fn read_all(root: &mut Section) -> Vec<ModelConfig> {
    let Some(sections) = root.sections("models") else { return default_race() };
    if sections.is_empty() {
        root.problem("models", "must hold at least one model, e.g. [[models]] with kind = \"linear\"");
    }
    let mut models: Vec<ModelConfig> = sections.into_iter().filter_map(read).collect();
    let mut names = HashSet::new();
    for (i, model) in models.iter().enumerate().filter(|(_, model)| !names.insert(model.name.as_str())) {
        let problem =
            format!("`{}` is the name of another model, too; give one of them another `name = \"…\"`", model.name);
        root.problem(&format!("models[{i}].name"), &problem);
    }
    members::resolve(root, &mut models);
    models
}

fn read(mut section: Section) -> Option<ModelConfig> {
    let kind = match section.optional_text("kind") {
        Some(text) => section.chosen("kind", &text, &KINDS),
        None => {
            section.problem("kind", &format!("is missing; it is one of {}", KINDS.join(", ")));
            None
        }
    };
    let Some(kind) = kind else {
        section.forget();
        return None;
    };
    let name = section.text("name", kind);
    if name.is_empty() {
        section.problem("name", "must not be empty");
    }
    let kind = match kind {
        "mean" => ModelKind::Mean,
        "last" => ModelKind::Last,
        "linear" => ModelKind::Linear(linear_params(&mut section, linear::Params::default())),
        "passive_aggressive" => ModelKind::PassiveAggressive(passive_aggressive_params(&mut section)),
        "rls" => ModelKind::Rls(rls_params(&mut section)),
        "rls_poly" => ModelKind::RlsPoly(experts::rls_poly(&mut section)),
        "ekf_mlp" => ModelKind::EkfMlp(experts::ekf_mlp(&mut section)),
        "innovation" => ModelKind::Innovation(experts::innovation(&mut section)),
        "model_tree" => ModelKind::ModelTree(tree::model_tree(&mut section)),
        "mixture" => ModelKind::Mixture(experts::mixture(&mut section)),
        "adaptive_tree" => ModelKind::AdaptiveTree(Box::new(tree::adaptive(&mut section))),
        "adaptive_random_forest" => ModelKind::AdaptiveRandomForest(Box::new(tree::forest(&mut section))),
        "amrules" => ModelKind::AmRules(rules::read(&mut section)),
        "champion" => ModelKind::Champion(members::champion(&mut section)),
        _ => ModelKind::HoeffdingTree(tree::params(&mut section, crate::models::tree::Params::default())),
    };
    let steps = match kind {
        // Baselines look at no feature, and a champion at predictions, so there is nothing to prepare.
        ModelKind::Mean | ModelKind::Last | ModelKind::Champion(_) => Vec::new(),
        ModelKind::Mixture(ref params) if !params.members.is_empty() => Vec::new(),
        // As River has it.
        ModelKind::Linear(ref params) if params.optimizer != Optimizer::Hedge => steps::read(&mut section, true),
        ModelKind::Linear(_) | ModelKind::PassiveAggressive(_) | ModelKind::Rls(_) => steps::read_encoded(&mut section),
        ModelKind::HoeffdingTree(_) | ModelKind::AdaptiveTree(_) | ModelKind::AdaptiveRandomForest(_) => {
            steps::read(&mut section, false)
        }
        // They standardise what they get.
        ModelKind::RlsPoly(_) | ModelKind::EkfMlp(_) | ModelKind::Innovation(_) | ModelKind::ModelTree(_) => {
            steps::read(&mut section, false)
        }
        ModelKind::Mixture(_) => steps::read_or(&mut section, false, &[StepKind::SCALE], &experts::ENCODED),
        // Anomalies and ties are told by standard deviations, and linear models need no less.
        ModelKind::AmRules(_) => steps::read(&mut section, true),
    };
    let robust = section.boolean("robust", true);
    Some(ModelConfig { name, steps, kind, robust })
}

fn linear_params(section: &mut Section, default: linear::Params) -> linear::Params {
    // Where people look for them in vain: in other tools they stand beside the model's own.
    section.holds("optimizer", &["lr", "rho", "beta_1", "beta_2", "eps", "alpha", "beta"]);
    section.holds("loss", &["epsilon", "c"]);
    let intercept_lr_is_set = section.has("intercept_lr");
    let params = linear::Params {
        optimizer: optimizer(section, default.optimizer),
        loss: loss(section),
        l2: section.number("l2", default.l2, NOT_NEGATIVE),
        l1: section.number("l1", default.l1, NOT_NEGATIVE),
        intercept_init: section.number("intercept_init", default.intercept_init, FINITE),
        intercept_lr: schedule(section, "intercept_lr", 0.01),
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

fn passive_aggressive_params(section: &mut Section) -> passive_aggressive::Params {
    let default = passive_aggressive::Params::default();
    passive_aggressive::Params {
        c: section.number("c", default.c, POSITIVE),
        mode: match section.one_of("mode", "pa1", &["pa", "pa1", "pa2"]) {
            "pa" => Mode::Pa,
            "pa2" => Mode::PaII,
            _ => Mode::PaI,
        },
        eps: section.number("eps", default.eps, NOT_NEGATIVE),
        learn_intercept: section.boolean("learn_intercept", default.learn_intercept),
    }
}

fn rls_params(section: &mut Section) -> rls::Params {
    let default = rls::Params::default();
    rls::Params {
        forgetting: section.number("forgetting", default.forgetting, SHARE),
        regularization: section.number("regularization", default.regularization, POSITIVE),
    }
}

fn optimizer(section: &mut Section, default: Optimizer) -> Optimizer {
    let Some((kind, mut section)) = section.choice_or("optimizer", "sgd", &OPTIMIZERS) else {
        return default;
    };
    let lr = match kind {
        // These have no learning rate to schedule.
        "hedge" | "ada_delta" | "ftrl" => Schedule::Constant { lr: 0.0 },
        "sgd" => schedule(&mut section, "lr", 0.01),
        _ => schedule(&mut section, "lr", 0.1),
    };
    let correct_bias = kind != "ams_grad" || section.boolean("correct_bias", true);
    let mut number = |key, default, range| section.number(key, default, range);
    match kind {
        "hedge" => Optimizer::Hedge,
        "momentum" => Optimizer::Momentum { lr, rho: number("rho", 0.9, PART) },
        "nesterov" => Optimizer::Nesterov { lr, rho: number("rho", 0.9, PART) },
        "adagrad" => Optimizer::AdaGrad { lr, eps: number("eps", 1e-8, POSITIVE) },
        "rmsprop" => Optimizer::RmsProp { lr, rho: number("rho", 0.9, PART), eps: number("eps", 1e-8, POSITIVE) },
        "adam" | "ams_grad" | "ada_max" | "nadam" => {
            let beta_1 = number("beta_1", 0.9, PART);
            let beta_2 = number("beta_2", 0.999, PART);
            let eps = number("eps", 1e-8, POSITIVE);
            match kind {
                "ams_grad" => Optimizer::AmsGrad { lr, beta_1, beta_2, eps, correct_bias },
                "ada_max" => Optimizer::AdaMax { lr, beta_1, beta_2, eps },
                "nadam" => Optimizer::Nadam { lr, beta_1, beta_2, eps },
                _ => Optimizer::Adam { lr, beta_1, beta_2, eps },
            }
        }
        "ada_delta" => Optimizer::AdaDelta { rho: number("rho", 0.95, PART), eps: number("eps", 1e-8, POSITIVE) },
        "ftrl" => Optimizer::Ftrl {
            alpha: number("alpha", 0.05, POSITIVE),
            beta: number("beta", 1.0, NOT_NEGATIVE),
            l1: number("l1", 0.0, NOT_NEGATIVE),
            l2: number("l2", 1.0, NOT_NEGATIVE),
        },
        _ => Optimizer::Sgd { lr },
    }
}

/// A learning rate: a number, or a table with `kind`.
fn schedule(section: &mut Section, key: &str, default: f64) -> Schedule {
    if !section.is_table(key) {
        return Schedule::Constant { lr: section.number(key, default, NOT_NEGATIVE) };
    }
    let Some((kind, mut section)) = section.choice(key, &SCHEDULES) else {
        return Schedule::Constant { lr: default };
    };
    match kind {
        "inverse_scaling" => Schedule::InverseScaling {
            lr: section.number("lr", default, NOT_NEGATIVE),
            power: section.number("power", 0.5, NOT_NEGATIVE),
        },
        "optimal" => Schedule::Optimal { alpha: section.number("alpha", 1e-4, POSITIVE) },
        _ => Schedule::Constant { lr: section.number("lr", default, NOT_NEGATIVE) },
    }
}

fn loss(section: &mut Section) -> Loss {
    let Some((kind, mut section)) = section.choice("loss", &LOSSES) else { return Loss::default() };
    match kind {
        "absolute" => Loss::Absolute,
        "huber" => Loss::Huber { epsilon: section.number("epsilon", 0.1, POSITIVE) },
        "quantile" => Loss::Quantile { alpha: section.number("alpha", 0.5, BETWEEN) },
        "cauchy" => Loss::Cauchy { c: section.number("c", 80.0, POSITIVE) },
        "epsilon_insensitive" => Loss::EpsilonInsensitive { epsilon: section.number("epsilon", 0.1, NOT_NEGATIVE) },
        _ => Loss::Squared,
    }
}
