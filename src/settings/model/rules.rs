//! The parameters of adaptive model rules.

use super::{super::Section, linear_params, tree::splitter};
use crate::{
    models::rules::{Params, PredType},
    settings::detector,
};

pub(super) fn read(section: &mut Section) -> Params {
    let default = Params::default();
    let share = |share: f64| share > 0.0 && share <= 1.0;
    Params {
        pred_type: match section.one_of("pred_type", "adaptive", &["mean", "model", "adaptive"]) {
            "mean" => PredType::Mean,
            "model" => PredType::Model,
            _ => PredType::Adaptive,
        },
        pred_model: linear_params(&mut section.section("pred_model"), default.pred_model.clone()),
        splitter: splitter(section, default.splitter),
        drift_detector: detector::read(section, "drift_detector", default.drift_detector),
        delta: section.number("delta", default.delta, "over 0 and under 1", |delta| delta > 0.0 && delta < 1.0),
        tau: section.number("tau", default.tau, "from 0 to 1", |tau| (0.0..=1.0).contains(&tau)),
        fading_factor: section.number("fading_factor", default.fading_factor, "over 0 and at most 1", share),
        anomaly_threshold: section.number(
            "anomaly_threshold",
            default.anomaly_threshold,
            "a finite number",
            f64::is_finite,
        ),
        ordered_rule_set: section.boolean("ordered_rule_set", default.ordered_rule_set),
        n_min: section.integer("n_min", u64::from(default.n_min), 1..=1_000_000) as u32,
        m_min: section.integer("m_min", u64::from(default.m_min), 0..=1_000_000) as u32,
        min_samples_split: section.integer("min_samples_split", u64::from(default.min_samples_split), 1..=1_000_000)
            as u32,
        max_rules: section.integer("max_rules", u64::from(default.max_rules), 1..=10_000) as u32,
    }
}
