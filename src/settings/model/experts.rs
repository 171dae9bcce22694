//! Reads the parameters of the experts that learn by least squares.

use super::super::{
    Section,
    choices::choices,
    range::{POSITIVE, UP_TO_1},
};
use thalweg_models::{
    ekf_mlp::{self, MAX_HIDDEN},
    innovation::{self, MAX_LAGS},
    rls_poly::{self, Form, MAX_KEPT_MODELS},
};

pub(super) fn rls_poly(section: &mut Section, default: rls_poly::Params) -> rls_poly::Params {
    let bases = choices!(Form { "linear": Linear, "degree2": Degree2, "pair3": Pair3 });
    rls_poly::Params {
        basis: section.one_of("basis", default.basis, &bases),
        forgetting: forgetting(section, default.forgetting),
        regularization: regularization(section, default.regularization),
        recall: section.integer("recall", default.recall, 0..=MAX_KEPT_MODELS as u32),
    }
}

pub(super) fn ekf_mlp(section: &mut Section, default: ekf_mlp::Params) -> ekf_mlp::Params {
    ekf_mlp::Params {
        hidden: section.integer("hidden", default.hidden, 1..=MAX_HIDDEN as u32),
        forgetting: forgetting(section, default.forgetting),
        seed: section.integer("seed", default.seed, 0..),
    }
}

pub(super) fn innovation(section: &mut Section, default: innovation::Params) -> innovation::Params {
    innovation::Params {
        lags: section.integer("lags", default.lags, 0..=MAX_LAGS as u32),
        forgetting: forgetting(section, default.forgetting),
        regularization: regularization(section, default.regularization),
    }
}

fn regularization(section: &mut Section, default: f64) -> f64 {
    section.number("regularization", default, POSITIVE)
}

fn forgetting(section: &mut Section, default: f64) -> f64 {
    section.number("forgetting", default, UP_TO_1)
}
