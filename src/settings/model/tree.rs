//! Reads the parameters of trees and forests.

use super::{
    super::{
        Section,
        choices::{Choices, Reader, choices},
        detector,
        range::{BETWEEN_0_AND_1, POSITIVE, Range, UP_TO_1},
    },
    linear,
};
use thalweg_models::{
    forest::{self, Aggregation, MAX_LAMBDA, MAX_MODELS},
    model_tree::{self, MAX_DEPTH, MAX_NODES, MAX_TREES},
    tree::{LeafPrediction, MaxFeatures, Params, Splitter, adaptive},
};

const MIB: f64 = 1_048_576.0;

/// Reads the parameters of a tree, with River's names.
pub(super) fn params(section: &mut Section, default: Params) -> Params {
    let leaf_predictions = choices!(LeafPrediction { "mean": Mean, "model": Model, "adaptive": Adaptive });
    let leaf_prediction = section.one_of("leaf_prediction", default.leaf_prediction, &leaf_predictions);
    let max_depth = section.integer("max_depth", 0, 0..=980);
    Params {
        grace_period: section.integer("grace_period", default.grace_period, 1..=1_000_000),
        max_depth: (max_depth > 0).then_some(max_depth as u32),
        delta: section.number("delta", default.delta, BETWEEN_0_AND_1),
        tau: section.number("tau", default.tau, 0.0..=1.0),
        leaf_prediction,
        leaf_model: linear::params(&mut section.section("leaf_model"), default.leaf_model.clone()),
        model_selector_decay: section.number("model_selector_decay", default.model_selector_decay, UP_TO_1),
        splitter: splitter(section, default.splitter),
        min_samples_split: section.integer("min_samples_split", default.min_samples_split, 1..=1_000_000),
        binary_split: section.boolean("binary_split", default.binary_split),
        merit_preprune: section.boolean("merit_preprune", default.merit_preprune),
        remove_poor_attrs: section.boolean("remove_poor_attrs", default.remove_poor_attrs),
        max_bytes: (section.number("max_size", default.max_bytes as f64 / MIB, POSITIVE.described_as("over 0, in MiB"))
            * MIB) as usize,
    }
}

const SPLITTERS: &Choices<Reader<Splitter>> = &choices!(Splitter {
    "ebst": Ebst => |_| Splitter::Ebst,
    "tebst": Tebst => |section| Splitter::Tebst { digits: section.integer("digits", 1, 0..=15) },
    "qo": Qo => |section| Splitter::Qo { radius: section.number("radius", 0.25, POSITIVE) },
});

/// Reads the summary of features in search of a split.
pub(super) fn splitter(section: &mut Section, default: Splitter) -> Splitter {
    section.choice("splitter", SPLITTERS).map_or(default, |(read, mut section)| read(&mut section))
}

/// Reads the parameters of a Hoeffding adaptive tree.
pub(super) fn adaptive(section: &mut Section, default: adaptive::Params) -> adaptive::Params {
    let detector = detector::read(section, "drift_detector", Some(default.drift_detector));
    if detector.is_none() {
        section.problem("drift_detector", "cannot be \"none\" here; kind = \"hoeffding_tree\" is the tree without");
    }
    adaptive::Params {
        bootstrap_sampling: section.boolean("bootstrap_sampling", default.bootstrap_sampling),
        drift_window_threshold: section.integer(
            "drift_window_threshold",
            default.drift_window_threshold,
            1..=1_000_000,
        ),
        drift_detector: detector.unwrap_or(default.drift_detector),
        switch_significance: section.number("switch_significance", default.switch_significance, BETWEEN_0_AND_1),
        seed: section.integer("seed", default.seed, 0..),
        tree: params(section, default.tree),
    }
}

/// Reads the parameters of an adaptive random forest.
pub(super) fn forest(section: &mut Section, default: forest::Params) -> forest::Params {
    let aggregations = choices!(Aggregation { "median": Median, "mean": Mean });
    forest::Params {
        n_models: section.integer("n_models", default.n_models, 1..=MAX_MODELS as u32),
        max_features: max_features(section, default.max_features),
        aggregation_method: section.one_of("aggregation_method", default.aggregation_method, &aggregations),
        lambda_value: section.number("lambda_value", default.lambda_value, Range::over(0.0).to(MAX_LAMBDA)),
        disable_weighted_vote: section.boolean("disable_weighted_vote", default.disable_weighted_vote),
        drift_detector: detector::read(section, "drift_detector", default.drift_detector),
        warning_detector: detector::read(section, "warning_detector", default.warning_detector),
        seed: section.integer("seed", default.seed, 0..),
        tree: params(section, default.tree),
    }
}

/// Reads the parameters of model trees.
pub(super) fn model_tree(section: &mut Section, default: model_tree::Params) -> model_tree::Params {
    model_tree::Params {
        n_models: section.integer("n_models", default.n_models, 1..=MAX_TREES),
        max_depth: section.integer("max_depth", default.max_depth, 0..=MAX_DEPTH),
        max_nodes: section.integer("max_nodes", default.max_nodes, 1..=MAX_NODES),
        forgetting: section.number("forgetting", default.forgetting, UP_TO_1),
        regularization: section.number("regularization", default.regularization, POSITIVE),
        max_features: max_features(section, default.max_features),
        grace_period: section.integer("grace_period", default.grace_period, 1..=1_000_000),
        seed: section.integer("seed", default.seed, 0..),
    }
}

/// Reads a name, a share with a point in it, or a whole number.
fn max_features(section: &mut Section, default: MaxFeatures) -> MaxFeatures {
    if section.is_number("max_features") {
        let number = section.number("max_features", 1.0, POSITIVE);
        return if number.fract() == 0.0 && number > 1.0 {
            MaxFeatures::Count(number as u32)
        } else if number <= 1.0 {
            MaxFeatures::Share(number)
        } else {
            section.problem("max_features", "must be a whole number over 1, or a share over 0 and at most 1");
            default
        };
    }
    let named = [("sqrt", MaxFeatures::Sqrt), ("log2", MaxFeatures::Log2), ("all", MaxFeatures::All)];
    section.one_of("max_features", default, &named)
}
