//! Reads `scale` and `steps`: the preparation of a model's features.

use super::super::{
    Section,
    choices::{Choices, Reader, choices},
    range::{NOT_NEGATIVE, UP_TO_1},
};
use thalweg_models::{DefaultSteps, steps::StepKind};

const STEPS: &Choices<Reader<StepKind>> = &choices!(StepKind {
    "standard_scaler": StandardScaler => |section| StepKind::StandardScaler {
        forgetting: section.number("forgetting", 1.0, UP_TO_1),
        keep_zeros: section.boolean("keep_zeros", false),
    },
    "min_max_scaler": MinMaxScaler => |_| StepKind::MinMaxScaler,
    "one_hot": OneHot => |_| StepKind::OneHot,
    "target_encoder": TargetEncoder => |section| StepKind::TargetEncoder {
        smoothing: section.number("smoothing", 10.0, NOT_NEGATIVE),
    },
    "polynomial": Polynomial => |section| StepKind::Polynomial {
        interaction_only: section.boolean("interaction_only", false),
        max_columns: section.integer("max_columns", 64, 1..=1000),
    },
});

/// Returns the steps that are listed, or else the model's defaults.
pub(super) fn read(section: &mut Section, default: DefaultSteps) -> Vec<StepKind> {
    let scale_is_set = section.has("scale");
    let scale = section.boolean("scale", default.scale);
    let Some(listed) = section.choices("steps", STEPS) else { return default.steps(scale) };
    if scale_is_set {
        section.problem("scale", "and steps cannot both be set; put \"standard_scaler\" among the steps");
    }
    listed.into_iter().map(|(read, mut section)| read(&mut section)).collect()
}
