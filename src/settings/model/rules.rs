//! Reads the parameters of adaptive model rules.

use super::{
    super::{
        Section,
        choices::choices,
        detector,
        range::{BETWEEN_0_AND_1, FINITE, UP_TO_1},
    },
    linear,
    tree::splitter,
};
use thalweg_models::rules::{Params, PredType};

pub(super) fn read(section: &mut Section, default: Params) -> Params {
    let pred_types = choices!(PredType { "mean": Mean, "model": Model, "adaptive": Adaptive });
    Params {
        pred_type: section.one_of("pred_type", default.pred_type, &pred_types),
        pred_model: linear::params(&mut section.section("pred_model"), default.pred_model.clone()),
        splitter: splitter(section, default.splitter),
        drift_detector: detector::read(section, "drift_detector", default.drift_detector),
        delta: section.number("delta", default.delta, BETWEEN_0_AND_1),
        tau: section.number("tau", default.tau, 0.0..=1.0),
        fading_factor: section.number("fading_factor", default.fading_factor, UP_TO_1),
        anomaly_threshold: section.number("anomaly_threshold", default.anomaly_threshold, FINITE),
        ordered_rule_set: section.boolean("ordered_rule_set", default.ordered_rule_set),
        n_min: section.integer("n_min", default.n_min, 1..=1_000_000),
        m_min: section.integer("m_min", default.m_min, 0..=1_000_000),
        min_samples_split: section.integer("min_samples_split", default.min_samples_split, 1..=1_000_000),
        max_rules: section.integer("max_rules", default.max_rules, 1..=10_000),
    }
}
