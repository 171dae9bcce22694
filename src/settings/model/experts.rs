//! The parameters of the experts that learn by least squares.

use super::super::{
    Section,
    range::{POSITIVE, SHARE},
};
use crate::models::{
    ModelConfig, ModelKind,
    aggregation::Rule,
    ekf_mlp::{self, MOST_HIDDEN},
    innovation::{self, MOST_LAGS},
    mixture,
    rls_poly::{self, Form, MOST_KEPT},
    steps::StepKind,
};

pub(super) fn rls_poly(section: &mut Section) -> rls_poly::Params {
    let default = rls_poly::Params::default();
    rls_poly::Params {
        basis: match section.one_of("basis", "pair3", &["linear", "degree2", "pair3"]) {
            "linear" => Form::Linear,
            "degree2" => Form::Degree2,
            _ => Form::Pair3,
        },
        forgetting: forgetting(section, default.forgetting),
        regularization: regularization(section, default.regularization),
        recall: section.integer("recall", default.recall, 0..=MOST_KEPT as u32),
    }
}

pub(super) fn ekf_mlp(section: &mut Section) -> ekf_mlp::Params {
    let default = ekf_mlp::Params::default();
    ekf_mlp::Params {
        hidden: section.integer("hidden", default.hidden, 1..=MOST_HIDDEN as u32),
        forgetting: forgetting(section, default.forgetting),
        seed: section.integer("seed", default.seed, 0..),
    }
}

pub(super) fn innovation(section: &mut Section) -> innovation::Params {
    let default = innovation::Params::default();
    innovation::Params {
        lags: section.integer("lags", default.lags, 0..=MOST_LAGS as u32),
        forgetting: forgetting(section, default.forgetting),
        regularization: regularization(section, default.regularization),
    }
}

/// Least squares makes nothing of a category, and much of its mean target.
pub(super) const ENCODED: [StepKind; 1] = [StepKind::TargetEncoder { smoothing: 10.0 }];

/// The same in front of what looks at the size of its features.
pub(super) const ENCODED_AND_SCALED: [StepKind; 2] = [ENCODED[0], StepKind::SCALE_KEEPING_ZEROS];

/// The mixture that races where the settings name no models.
pub(super) fn default_mixture() -> ModelConfig {
    let kind = ModelKind::Mixture(mixture::Params::default());
    ModelConfig { steps: ENCODED.to_vec(), ..ModelConfig::new(kind.name(), kind) }
}

pub(super) fn mixture(section: &mut Section) -> mixture::Params {
    let rule = section.one_of("rule", Rule::default().name(), &Rule::ALL.map(Rule::name));
    let rule = Rule::ALL.into_iter().find(|known| known.name() == rule).unwrap_or_default();
    mixture::Params { rule, members: section.texts("members") }
}

fn regularization(section: &mut Section, default: f64) -> f64 {
    section.number("regularization", default, POSITIVE)
}

fn forgetting(section: &mut Section, default: f64) -> f64 {
    section.number("forgetting", default, SHARE)
}
