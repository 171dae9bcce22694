//! Reads models per key: what they go by, what they begin with, and which ones a key has.

use super::super::{Section, choices::choices, range::UNDER_1, suggestion};
use thalweg_models::{
    ModelConfig, ModelKind,
    per_key::{self, Learns},
};

/// Names of the models that each key has; empty for the usual ones.
pub(super) type Own = Vec<String>;

pub(super) fn own(section: &mut Section) -> Own {
    let is_given = section.has("models");
    let own = section.names("models");
    if is_given && own.is_empty() {
        section.problem("models", "must name at least one model, such as \"linear\"; leave it out for the usual ones");
    }
    own
}

pub(super) fn params(section: &mut Section, default: per_key::Params) -> per_key::Params {
    let by = section.text("by", &default.by);
    if by.is_empty() {
        let problem =
            "must name the field by which models are kept apart, such as \"device\", or \"$key\" for the records' key";
        section.problem("by", problem);
    }
    per_key::Params {
        by,
        base: section.optional_text("base"),
        learns: learns(section, default.learns),
        margin: section.number("margin", default.margin, UNDER_1),
        budget: section.bytes("budget", default.budget, 1 << 16..=1 << 40),
        ..default
    }
}

fn learns(section: &mut Section, default: Vec<Learns>) -> Vec<Learns> {
    let texts = if section.has("learns") { section.names("learns") } else { return default };
    if texts.is_empty() {
        section.problem("learns", "must hold \"residual\", \"target\" or both");
    }
    let choices = choices!(Learns { "residual": Residual, "target": Target });
    let learns: Vec<Learns> = texts.iter().filter_map(|text| section.chosen("learns", text, &choices)).collect();
    if learns.len() > 1 && learns[1..].contains(&learns[0]) {
        section.problem("learns", "names the same twice");
    }
    learns
}

/// Finds the models that keys begin with and those that each has of its own; `own` are their names, by model.
pub(super) fn resolve(root: &mut Section, models: &mut [ModelConfig], own: &[Own]) {
    let usual = usual_base(models).map(|model| model.name.clone());
    let known = models.to_vec();
    for (i, (model, own)) in models.iter_mut().zip(own).enumerate() {
        let ModelKind::PerKey(params) = &mut model.kind else { continue };
        if params.base.is_none() {
            params.base.clone_from(&usual);
        }
        if params.base.is_none() {
            root.problem(
                &format!("models[{i}].base"),
                "would be none; there is no other model that keys can begin with",
            );
        }
        if own.is_empty() {
            continue;
        }
        params.models.clear();
        for name in own {
            match find(name, &known) {
                Ok(model) if params.models.contains(&model) => {
                    root.problem(&format!("models[{i}].models"), &format!("names `{name}` twice"));
                }
                Ok(model) => params.models.push(model),
                Err(problem) => root.problem(&format!("models[{i}].models"), &problem),
            }
        }
    }
}

/// Returns the first mixture; where there is none, the last model that sees features, and else a baseline.
fn usual_base(models: &[ModelConfig]) -> Option<&ModelConfig> {
    let plain = || models.iter().filter(|model| is_plain(&model.kind));
    let mixture = plain().find(|model| matches!(model.kind, ModelKind::Mixture(_)));
    mixture.or_else(|| plain().rfind(|model| !model.kind.cannot_diverge())).or_else(|| plain().next_back())
}

/// Returns true where a model sees features alone. A champion without members chooses among all others.
fn is_plain(kind: &ModelKind) -> bool {
    kind.members().is_empty() && kind.key().is_none() && !matches!(kind, ModelKind::Champion(_))
}

/// Returns the model of that name, or of that kind, where there is no such name.
fn find(name: &str, known: &[ModelConfig]) -> Result<ModelConfig, String> {
    let kinds: Vec<ModelConfig> = ModelKind::all().into_iter().map(ModelConfig::with_default_steps).collect();
    let Some(model) = known.iter().chain(&kinds).find(|model| model.name == name) else {
        let meant = suggestion(name, known.iter().chain(&kinds).map(|model| model.name.as_str()));
        return Err(format!("names `{name}`, which is neither a model nor a kind of model{meant}"));
    };
    if !is_plain(&model.kind) {
        return Err(format!(
            "names `{name}`, which goes by what others predict; a key's own models see features alone"
        ));
    }
    Ok(model.clone())
}
