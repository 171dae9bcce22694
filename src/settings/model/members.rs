//! Reads the members of models over the predictions of others.

use super::super::{Section, choices::every, range::UNDER_1, suggestion};
use thalweg_models::{ModelConfig, ModelKind, aggregation::Rule, champion, mixture};
use thalweg_pipeline::prequential::{self, Misfit};

fn rules() -> [Rule; 6] {
    every!(Rule { Combined, Exponential, FixedShare, Boa, MlPoly, Stacking })
}

pub(super) fn mixture(section: &mut Section, default: mixture::Params) -> mixture::Params {
    let named = rules().map(|rule| (rule.name(), rule));
    mixture::Params { rule: section.one_of("rule", default.rule, &named), members: section.texts("members") }
}

pub(super) fn champion(section: &mut Section, default: champion::Params) -> champion::Params {
    champion::Params { members: section.texts("members"), margin: section.number("margin", default.margin, UNDER_1) }
}

/// Gives champions without members all models that are no champions, and checks that every member exists.
pub(super) fn resolve(root: &mut Section, models: &mut [ModelConfig]) {
    let others: Vec<String> = models
        .iter()
        .filter(|model| !matches!(model.kind, ModelKind::Champion(_)))
        .map(|model| model.name.clone())
        .collect();
    for (i, model) in models.iter_mut().enumerate() {
        if let ModelKind::Champion(params) = &mut model.kind
            && params.members.is_empty()
        {
            params.members.clone_from(&others);
            if others.is_empty() {
                root.problem(&format!("models[{i}].members"), "would be empty; there is no other model to choose from");
            }
        }
    }
    match prequential::check(models) {
        Ok(()) => {}
        Err(Misfit::Unknown { model, name }) => {
            let meant = suggestion(&name, models.iter().map(|model| model.name.as_str()));
            let path = format!("models[{model}].{}", key_of(&models[model].kind));
            root.problem(&path, &format!("names `{name}`, which is no model{meant}"));
        }
        Err(Misfit::Circle { model }) => {
            let problem = "leads back to the model itself; a model cannot wait for its own prediction";
            root.problem(&format!("models[{model}].{}", key_of(&models[model].kind)), problem);
        }
    }
}

/// Returns the key that names the models whose predictions a model sees.
fn key_of(kind: &ModelKind) -> &'static str {
    if kind.key().is_some() { "base" } else { "members" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suites go over [`Rule::ALL`].
    #[test]
    fn a_rule_of_the_settings_is_tested() {
        assert_eq!(rules(), Rule::ALL);
    }
}
