//! `[[models]]`: which models race, and their parameters under River's names.

mod experts;
mod members;
mod rules;
mod steps;
mod tree;

use std::collections::HashSet;

use super::Section;
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
        l2: section.number("l2", default.l2, "0 or more", |l2| l2 >= 0.0),
        l1: section.number("l1", default.l1, "0 or more", |l1| l1 >= 0.0),
        intercept_init: section.number("intercept_init", default.intercept_init, "a finite number", |_| true),
        intercept_lr: schedule(section, "intercept_lr", 0.01),
        clip_gradient: section.number("clip_gradient", default.clip_gradient, "over 0", |clip| clip > 0.0),
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
        c: section.number("c", default.c, "over 0", |c| c > 0.0),
        mode: match section.one_of("mode", "pa1", &["pa", "pa1", "pa2"]) {
            "pa" => Mode::Pa,
            "pa2" => Mode::PaII,
            _ => Mode::PaI,
        },
        eps: section.number("eps", default.eps, "0 or more", |eps| eps >= 0.0),
        learn_intercept: section.boolean("learn_intercept", default.learn_intercept),
    }
}

fn rls_params(section: &mut Section) -> rls::Params {
    let default = rls::Params::default();
    let share = |share: f64| share > 0.0 && share <= 1.0;
    rls::Params {
        forgetting: section.number("forgetting", default.forgetting, "over 0 and at most 1", share),
        regularization: section.number("regularization", default.regularization, "over 0", |strength| strength > 0.0),
    }
}

fn optimizer(section: &mut Section, default: Optimizer) -> Optimizer {
    let Some((kind, mut section)) = section.choice_or("optimizer", "sgd", &OPTIMIZERS) else {
        return default;
    };
    let share = |value: f64| (0.0..1.0).contains(&value);
    let lr = match kind {
        // These have no learning rate to schedule.
        "hedge" | "ada_delta" | "ftrl" => Schedule::Constant { lr: 0.0 },
        "sgd" => schedule(&mut section, "lr", 0.01),
        _ => schedule(&mut section, "lr", 0.1),
    };
    let correct_bias = kind != "ams_grad" || section.boolean("correct_bias", true);
    let mut number = |key, default, wanted, fits: &dyn Fn(f64) -> bool| section.number(key, default, wanted, fits);
    const SHARE: &str = "0 or more and under 1";
    let eps = |value: f64| value > 0.0;
    match kind {
        "hedge" => Optimizer::Hedge,
        "momentum" => Optimizer::Momentum { lr, rho: number("rho", 0.9, SHARE, &share) },
        "nesterov" => Optimizer::Nesterov { lr, rho: number("rho", 0.9, SHARE, &share) },
        "adagrad" => Optimizer::AdaGrad { lr, eps: number("eps", 1e-8, "over 0", &eps) },
        "rmsprop" => {
            Optimizer::RmsProp { lr, rho: number("rho", 0.9, SHARE, &share), eps: number("eps", 1e-8, "over 0", &eps) }
        }
        "adam" | "ams_grad" | "ada_max" | "nadam" => {
            let beta_1 = number("beta_1", 0.9, SHARE, &share);
            let beta_2 = number("beta_2", 0.999, SHARE, &share);
            let eps = number("eps", 1e-8, "over 0", &eps);
            match kind {
                "ams_grad" => Optimizer::AmsGrad { lr, beta_1, beta_2, eps, correct_bias },
                "ada_max" => Optimizer::AdaMax { lr, beta_1, beta_2, eps },
                "nadam" => Optimizer::Nadam { lr, beta_1, beta_2, eps },
                _ => Optimizer::Adam { lr, beta_1, beta_2, eps },
            }
        }
        "ada_delta" => {
            Optimizer::AdaDelta { rho: number("rho", 0.95, SHARE, &share), eps: number("eps", 1e-8, "over 0", &eps) }
        }
        "ftrl" => Optimizer::Ftrl {
            alpha: number("alpha", 0.05, "over 0", &|alpha| alpha > 0.0),
            beta: number("beta", 1.0, "0 or more", &|beta| beta >= 0.0),
            l1: number("l1", 0.0, "0 or more", &|l1| l1 >= 0.0),
            l2: number("l2", 1.0, "0 or more", &|l2| l2 >= 0.0),
        },
        _ => Optimizer::Sgd { lr },
    }
}

/// A learning rate: a number, or a table with `kind`.
fn schedule(section: &mut Section, key: &str, default: f64) -> Schedule {
    if !section.is_table(key) {
        return Schedule::Constant { lr: section.number(key, default, "0 or more", |lr| lr >= 0.0) };
    }
    let Some((kind, mut section)) = section.choice(key, &SCHEDULES) else {
        return Schedule::Constant { lr: default };
    };
    match kind {
        "inverse_scaling" => Schedule::InverseScaling {
            lr: section.number("lr", default, "0 or more", |lr| lr >= 0.0),
            power: section.number("power", 0.5, "0 or more", |power| power >= 0.0),
        },
        "optimal" => Schedule::Optimal { alpha: section.number("alpha", 1e-4, "over 0", |alpha| alpha > 0.0) },
        _ => Schedule::Constant { lr: section.number("lr", default, "0 or more", |lr| lr >= 0.0) },
    }
}

fn loss(section: &mut Section) -> Loss {
    let Some((kind, mut section)) = section.choice("loss", &LOSSES) else { return Loss::default() };
    match kind {
        "absolute" => Loss::Absolute,
        "huber" => Loss::Huber { epsilon: section.number("epsilon", 0.1, "over 0", |epsilon| epsilon > 0.0) },
        "quantile" => {
            let inside = |alpha: f64| alpha > 0.0 && alpha < 1.0;
            Loss::Quantile { alpha: section.number("alpha", 0.5, "over 0 and under 1", inside) }
        }
        "cauchy" => Loss::Cauchy { c: section.number("c", 80.0, "over 0", |c| c > 0.0) },
        "epsilon_insensitive" => {
            Loss::EpsilonInsensitive { epsilon: section.number("epsilon", 0.1, "0 or more", |epsilon| epsilon >= 0.0) }
        }
        _ => Loss::Squared,
    }
}
