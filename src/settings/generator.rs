//! `[generator]`: which samples are made up.

use super::{
    Section,
    range::{FINITE, NOT_NEGATIVE, POSITIVE, Range},
};
use crate::generator::{
    Config, Distribution, Drift, DriftType, Expression, FriedmanDrift, Function, Noise, Sine, Stream, drift::Change,
};

/// `by_default`: whether there is a generator where the settings do not say.
pub(super) fn read(mut section: Section, by_default: bool) -> Config {
    let default = Config::default();
    let config = Config {
        asked_for: section.has("enabled"),
        enabled: section.boolean("enabled", by_default),
        into_foreign_topic: section.boolean("into_foreign_topic", default.into_foreign_topic),
        rate: section.number("rate", default.rate, Range::from(0.0..=1e9).said("0 (as fast as possible) or more")),
        seed: section.integer("seed", default.seed, 0..),
        count: section.integer("count", default.count, 0..),
        noise: noise(&mut section),
        function: function(&mut section),
        drift: drift(&mut section),
    };
    // The generator knows best what fits together.
    if let Err(error) = Stream::new(&config) {
        section.problem(&error.key, &error.problem);
    }
    config
}

fn function(section: &mut Section) -> Function {
    let default = Config::default().function;
    let Some((name, mut section)) = section.choice("function", &Function::NAMES) else { return default };
    match name {
        "friedman_drift" => Function::FriedmanDrift(friedman_drift(&mut section)),
        "sine" => {
            let default = Sine::default();
            Function::Sine(Sine {
                amplitude: section.number("amplitude", default.amplitude, FINITE),
                period: section.integer("period", default.period, 2..),
            })
        }
        "expression" => Function::Expression(expression(&mut section)),
        name => Function::from_name(name).unwrap_or(default),
    }
}

fn friedman_drift(section: &mut Section) -> FriedmanDrift {
    let default = FriedmanDrift::default();
    let drift_type = DriftType::from_name(section.one_of("drift_type", "gra", &DriftType::NAMES)).unwrap_or_default();
    let position = section.integers("position");
    FriedmanDrift {
        drift_type,
        transition_window: section.integer("transition_window", default.transition_window, 0..),
        // Positions of one's own need not lie within the default's period.
        repeat: section.integer("repeat", if position.is_some() { 0 } else { default.repeat }, 0..),
        position: position.unwrap_or_else(|| drift_type.usual_positions()),
    }
}

fn expression(section: &mut Section) -> Expression {
    let formula = section.text("formula", "");
    if formula.is_empty() {
        section.problem("formula", "is missing, e.g. formula = \"3*a + sin(b)\"");
    }
    let mut features = section.section("features");
    let names = features.rest();
    let features = names.into_iter().filter_map(|name| {
        let distribution = distribution(&mut features, &name)?;
        Some((name, distribution))
    });
    Expression { formula, features: features.collect() }
}

fn distribution(features: &mut Section, name: &str) -> Option<Distribution> {
    let (kind, mut section) = features.choice(name, &["uniform", "normal", "exponential", "constant"])?;
    let mut number = |key, default| section.number(key, default, FINITE);
    Some(match kind {
        "uniform" => Distribution::Uniform { low: number("low", 0.0), high: number("high", 1.0) },
        "normal" => Distribution::Normal { mean: number("mean", 0.0), sd: number("sd", 1.0) },
        "exponential" => Distribution::Exponential { rate: number("rate", 1.0) },
        _ => Distribution::Constant { value: number("value", 1.0) },
    })
}

/// A number is the standard deviation of normal noise.
fn noise(section: &mut Section) -> Noise {
    let default = Config::default().noise;
    if section.is_number("noise") {
        let sd = section.number("noise", 1.0, NOT_NEGATIVE);
        return if sd == 0.0 { Noise::None } else { Noise::Normal { sd } };
    }
    let Some((kind, mut section)) = section.choice("noise", &Noise::NAMES) else { return default };
    let mut positive = |key, default| section.number(key, default, POSITIVE);
    match kind {
        "none" => Noise::None,
        "uniform" => Noise::Uniform { half_width: positive("half_width", 1.0) },
        "student_t" => Noise::StudentT { freedom: positive("freedom", 3.0), scale: positive("scale", 1.0) },
        _ => Noise::Normal { sd: positive("sd", 1.0) },
    }
}

fn drift(section: &mut Section) -> Option<Drift> {
    let (kind, mut section) = section.choice("drift", &["none", "abrupt", "gradual"])?;
    if kind == "none" {
        return None;
    }
    Some(Drift {
        positions: section.integers("positions").unwrap_or_default(),
        width: if kind == "gradual" { section.integer("width", 1000, 1..) } else { 0 },
        change: match section.one_of("change", "rotate", &["rotate", "negate"]) {
            "negate" => Change::Negate,
            _ => Change::Rotate,
        },
        repeat: section.integer("repeat", 0, 0..),
    })
}
