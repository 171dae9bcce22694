//! The parameters of trees and forests.

use super::{super::detector, Section, linear_params};
use crate::models::{
    forest::{self, Aggregation, LARGEST_LAMBDA, MOST_MODELS},
    model_tree::{self, DEEPEST, MOST_NODES, MOST_TREES},
    tree::{LeafPrediction, MaxFeatures, Params, Splitter, adaptive},
};

const MIB: f64 = 1_048_576.0;

/// The parameters of a tree, with River's names.
pub(super) fn params(section: &mut Section, default: Params) -> Params {
    let leaf_prediction = match section.one_of("leaf_prediction", "adaptive", &["mean", "model", "adaptive"]) {
        "mean" => LeafPrediction::Mean,
        "model" => LeafPrediction::Model,
        _ => LeafPrediction::Adaptive,
    };
    let max_depth = section.integer("max_depth", 0, 0..=980);
    Params {
        grace_period: section.integer("grace_period", u64::from(default.grace_period), 1..=1_000_000) as u32,
        max_depth: (max_depth > 0).then_some(max_depth as u32),
        delta: section.number("delta", default.delta, "over 0 and under 1", |delta| delta > 0.0 && delta < 1.0),
        tau: section.number("tau", default.tau, "from 0 to 1", |tau| (0.0..=1.0).contains(&tau)),
        leaf_prediction,
        leaf_model: linear_params(&mut section.section("leaf_model"), default.leaf_model.clone()),
        model_selector_decay: section.number(
            "model_selector_decay",
            default.model_selector_decay,
            "over 0 and at most 1",
            |decay| decay > 0.0 && decay <= 1.0,
        ),
        splitter: splitter(section, default.splitter),
        min_samples_split: section.integer("min_samples_split", u64::from(default.min_samples_split), 1..=1_000_000)
            as u32,
        binary_split: section.boolean("binary_split", default.binary_split),
        merit_preprune: section.boolean("merit_preprune", default.merit_preprune),
        remove_poor_attrs: section.boolean("remove_poor_attrs", default.remove_poor_attrs),
        max_bytes: (section.number("max_size", default.max_bytes as f64 / MIB, "over 0, in MiB", |size| size > 0.0)
            * MIB) as usize,
    }
}

/// How features are summarised in search of a split.
pub(super) fn splitter(section: &mut Section, default: Splitter) -> Splitter {
    match section.choice("splitter", &["ebst", "tebst", "qo"]) {
        Some(("ebst", _)) => Splitter::Ebst,
        Some(("tebst", mut section)) => Splitter::Tebst { digits: section.integer("digits", 1, 0..=15) as u8 },
        Some((_, mut section)) => {
            Splitter::Qo { radius: section.number("radius", 0.25, "over 0", |radius| radius > 0.0) }
        }
        None => default,
    }
}

/// The parameters of a Hoeffding adaptive tree.
pub(super) fn adaptive(section: &mut Section) -> adaptive::Params {
    let default = adaptive::Params::default();
    let detector = detector::read(section, "drift_detector", Some(default.drift_detector));
    if detector.is_none() {
        section.problem("drift_detector", "cannot be \"none\" here; kind = \"hoeffding_tree\" is the tree without");
    }
    let window = u64::from(default.drift_window_threshold);
    adaptive::Params {
        bootstrap_sampling: section.boolean("bootstrap_sampling", default.bootstrap_sampling),
        drift_window_threshold: section.integer("drift_window_threshold", window, 1..=1_000_000) as u32,
        drift_detector: detector.unwrap_or(default.drift_detector),
        switch_significance: section.number(
            "switch_significance",
            default.switch_significance,
            "over 0 and under 1",
            |significance| significance > 0.0 && significance < 1.0,
        ),
        seed: section.integer("seed", default.seed, 0..=u64::MAX),
        tree: params(section, default.tree),
    }
}

/// The parameters of an adaptive random forest.
pub(super) fn forest(section: &mut Section) -> forest::Params {
    let default = forest::Params::default();
    forest::Params {
        n_models: section.integer("n_models", u64::from(default.n_models), 1..=MOST_MODELS as u64) as u32,
        max_features: max_features(section, default.max_features),
        aggregation_method: match section.one_of("aggregation_method", "median", &["median", "mean"]) {
            "mean" => Aggregation::Mean,
            _ => Aggregation::Median,
        },
        lambda_value: section.number("lambda_value", default.lambda_value, "over 0 and at most 50", |lambda| {
            lambda > 0.0 && lambda <= LARGEST_LAMBDA
        }),
        disable_weighted_vote: section.boolean("disable_weighted_vote", default.disable_weighted_vote),
        drift_detector: detector::read(section, "drift_detector", default.drift_detector),
        warning_detector: detector::read(section, "warning_detector", default.warning_detector),
        seed: section.integer("seed", default.seed, 0..=u64::MAX),
        tree: params(section, default.tree),
    }
}

/// The parameters of model trees.
pub(super) fn model_tree(section: &mut Section) -> model_tree::Params {
    let default = model_tree::Params::default();
    let share = |share: f64| share > 0.0 && share <= 1.0;
    model_tree::Params {
        n_models: section.integer("n_models", u64::from(default.n_models), 1..=u64::from(MOST_TREES)) as u32,
        max_depth: section.integer("max_depth", u64::from(default.max_depth), 0..=u64::from(DEEPEST)) as u32,
        max_nodes: section.integer("max_nodes", u64::from(default.max_nodes), 1..=u64::from(MOST_NODES)) as u32,
        forgetting: section.number("forgetting", default.forgetting, "over 0 and at most 1", share),
        regularization: section.number("regularization", default.regularization, "over 0", |strength| strength > 0.0),
        max_features: max_features(section, default.max_features),
        grace_period: section.integer("grace_period", u64::from(default.grace_period), 1..=1_000_000) as u32,
        seed: section.integer("seed", default.seed, 0..=u64::MAX),
    }
}

/// A name, a share with a point in it, or a whole number.
fn max_features(section: &mut Section, default: MaxFeatures) -> MaxFeatures {
    if section.is_number("max_features") {
        let number = section.number("max_features", 1.0, "over 0", |number| number > 0.0);
        return if number.fract() == 0.0 && number > 1.0 {
            MaxFeatures::Count(number as u32)
        } else if number <= 1.0 {
            MaxFeatures::Share(number)
        } else {
            section.problem("max_features", "must be a whole number over 1, or a share over 0 and at most 1");
            default
        };
    }
    let Some(name) = section.optional_text("max_features") else { return default };
    match section.chosen("max_features", &name, &["sqrt", "log2", "all"]) {
        Some("sqrt") => MaxFeatures::Sqrt,
        Some("log2") => MaxFeatures::Log2,
        Some(_) => MaxFeatures::All,
        None => default,
    }
}
