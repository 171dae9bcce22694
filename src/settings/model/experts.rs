//! The parameters of the experts that learn by least squares.

use super::super::Section;
use crate::models::rls_poly::{self, Form, MOST_KEPT};

pub(super) fn rls_poly(section: &mut Section) -> rls_poly::Params {
    let default = rls_poly::Params::default();
    rls_poly::Params {
        basis: match section.one_of("basis", "pair3", &["linear", "degree2", "pair3"]) {
            "linear" => Form::Linear,
            "degree2" => Form::Degree2,
            _ => Form::Pair3,
        },
        forgetting: forgetting(section, default.forgetting),
        regularization: section.number("regularization", default.regularization, "over 0", |strength| strength > 0.0),
        recall: section.integer("recall", u64::from(default.recall), 0..=MOST_KEPT as u64) as u32,
    }
}

fn forgetting(section: &mut Section, default: f64) -> f64 {
    section.number("forgetting", default, "over 0 and at most 1", |share| share > 0.0 && share <= 1.0)
}
