//! `scale` and `steps`: what prepares a model's features.

use super::super::{
    Section,
    range::{NOT_NEGATIVE, SHARE},
};
use crate::models::steps::StepKind;

const STEPS: [&str; 5] = ["standard_scaler", "min_max_scaler", "one_hot", "target_encoder", "polynomial"];

/// The steps of a model that is scaled, or not, where the settings say nothing.
pub(super) fn read(section: &mut Section, scale: bool) -> Vec<StepKind> {
    read_or(section, scale, &[StepKind::SCALE], &[])
}

/// The same of a model that needs numbers for categories, too.
pub(super) fn read_encoded(section: &mut Section) -> Vec<StepKind> {
    read_or(section, true, &super::experts::ENCODED_AND_SCALED, &[])
}

/// The same, with these steps where it is scaled and these where it is not and the settings say nothing.
pub(super) fn read_or(section: &mut Section, scale: bool, scaled: &[StepKind], unscaled: &[StepKind]) -> Vec<StepKind> {
    let scale_is_set = section.has("scale");
    let scale = section.boolean("scale", scale);
    let Some(choices) = section.choices("steps", &STEPS) else {
        return if scale { scaled } else { unscaled }.to_vec();
    };
    if scale_is_set {
        section.problem("scale", "and steps cannot both be set; put \"standard_scaler\" among the steps");
    }
    choices.into_iter().map(|(kind, mut section)| step(kind, &mut section)).collect()
}

fn step(kind: &str, section: &mut Section) -> StepKind {
    match kind {
        "min_max_scaler" => StepKind::MinMaxScaler,
        "one_hot" => StepKind::OneHot,
        "target_encoder" => StepKind::TargetEncoder { smoothing: section.number("smoothing", 10.0, NOT_NEGATIVE) },
        "polynomial" => StepKind::Polynomial {
            interaction_only: section.boolean("interaction_only", false),
            max_columns: section.integer("max_columns", 64, 1..=1000),
        },
        _ => StepKind::StandardScaler {
            forgetting: section.number("forgetting", 1.0, SHARE),
            keep_zeros: section.boolean("keep_zeros", false),
        },
    }
}
