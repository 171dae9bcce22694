//! Reads `[[models]]`: which models race, and their parameters under River's names.

mod experts;
mod linear;
mod members;
mod per_key;
mod rules;
mod steps;
mod tree;

use std::collections::HashSet;

use super::{
    Section,
    choices::choices,
    range::{NOT_NEGATIVE, POSITIVE, UP_TO_1},
};
use per_key::Own;
use thalweg_models::{
    ModelConfig, ModelKind,
    passive_aggressive::{self, Mode},
    rls,
};

/// Returns the models that race if the settings name none.
pub(super) fn default_race() -> Vec<ModelConfig> {
    vec![
        ModelConfig::with_default_steps(ModelKind::Mean),
        ModelConfig::with_default_steps(ModelKind::Last),
        ModelConfig::with_default_steps(ModelKind::Linear(Default::default())),
        ModelConfig::with_default_steps(ModelKind::HoeffdingTree(Default::default())).scaled(true),
        ModelConfig::with_default_steps(ModelKind::Mixture(Default::default())),
    ]
}

pub(super) fn read_all(root: &mut Section) -> Vec<ModelConfig> {
    let Some(sections) = root.sections("models") else { return default_race() };
    if sections.is_empty() {
        root.problem("models", "must hold at least one model, e.g. [[models]] with kind = \"linear\"");
    }
    let (mut models, own): (Vec<ModelConfig>, Vec<Own>) = sections.into_iter().filter_map(read).unzip();
    let mut names = HashSet::new();
    for (i, model) in models.iter().enumerate().filter(|(_, model)| !names.insert(model.name.as_str())) {
        let problem =
            format!("`{}` is the name of another model, too; give one of them another `name = \"…\"`", model.name);
        root.problem(&format!("models[{i}].name"), &problem);
    }
    per_key::resolve(root, &mut models, &own);
    members::resolve(root, &mut models);
    models
}

/// Returns the fields by which models are kept apart, none of which may be the target.
pub(super) fn keys(root: &mut Section, models: &[ModelConfig], target: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (i, key) in models.iter().enumerate().filter_map(|(i, model)| Some((i, model.kind.key()?))) {
        if key == target {
            let problem = format!("must not be the target `{target}`: it is not known when predicting");
            root.problem(&format!("models[{i}].by"), &problem);
        } else if !key.is_empty() && !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

fn read(mut section: Section) -> Option<(ModelConfig, Own)> {
    let kinds: Vec<_> = ModelKind::all().into_iter().map(|kind| (kind.name(), kind)).collect();
    let kind = section.kind(&kinds)?;
    let name = section.text("name", kind.name());
    if name.is_empty() {
        section.problem("name", "must not be empty");
    }
    let own = if kind.key().is_some() { per_key::own(&mut section) } else { Own::default() };
    let kind = params(&mut section, kind);
    let steps = kind.default_steps().map_or_else(Vec::new, |default| steps::read(&mut section, default));
    let robust = section.boolean("robust", true);
    Some((ModelConfig { name, steps, kind, robust }, own))
}

/// Returns the chosen kind with the parameters that are given.
fn params(section: &mut Section, chosen: ModelKind) -> ModelKind {
    match chosen {
        ModelKind::Mean | ModelKind::Last => chosen,
        ModelKind::Linear(default) => ModelKind::Linear(linear::params(section, default)),
        ModelKind::PassiveAggressive(default) => ModelKind::PassiveAggressive(passive_aggressive(section, default)),
        ModelKind::Rls(default) => ModelKind::Rls(rls(section, default)),
        ModelKind::RlsPoly(default) => ModelKind::RlsPoly(experts::rls_poly(section, default)),
        ModelKind::EkfMlp(default) => ModelKind::EkfMlp(experts::ekf_mlp(section, default)),
        ModelKind::Innovation(default) => ModelKind::Innovation(experts::innovation(section, default)),
        ModelKind::ModelTree(default) => ModelKind::ModelTree(tree::model_tree(section, default)),
        ModelKind::Mixture(default) => ModelKind::Mixture(members::mixture(section, default)),
        ModelKind::HoeffdingTree(default) => ModelKind::HoeffdingTree(tree::params(section, default)),
        ModelKind::AdaptiveTree(default) => ModelKind::AdaptiveTree(Box::new(tree::adaptive(section, *default))),
        ModelKind::AdaptiveRandomForest(default) => {
            ModelKind::AdaptiveRandomForest(Box::new(tree::forest(section, *default)))
        }
        ModelKind::AmRules(default) => ModelKind::AmRules(rules::read(section, default)),
        ModelKind::Champion(default) => ModelKind::Champion(members::champion(section, default)),
        ModelKind::PerKey(default) => ModelKind::PerKey(per_key::params(section, default)),
    }
}

fn passive_aggressive(section: &mut Section, default: passive_aggressive::Params) -> passive_aggressive::Params {
    let modes = choices!(Mode { "pa": Pa, "pa1": PaI, "pa2": PaII });
    passive_aggressive::Params {
        c: section.number("c", default.c, POSITIVE),
        mode: section.one_of("mode", default.mode, &modes),
        eps: section.number("eps", default.eps, NOT_NEGATIVE),
        learn_intercept: section.boolean("learn_intercept", default.learn_intercept),
    }
}

fn rls(section: &mut Section, default: rls::Params) -> rls::Params {
    rls::Params {
        forgetting: section.number("forgetting", default.forgetting, UP_TO_1),
        regularization: section.number("regularization", default.regularization, POSITIVE),
    }
}
