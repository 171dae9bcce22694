//! Reads `[generator]`: which samples are made up.

use super::{
    Section,
    choices::{Choices, Reader, choices, every},
    range::{FINITE, NOT_NEGATIVE, POSITIVE, Range},
};
use thalweg_generator::{
    Config, Distribution, Drift, DriftType, Expression, FriedmanDrift, Function, Noise, Sine, Stream, drift::Change,
};

/// Reads the section; `by_default` is the default of `enabled`.
pub(super) fn read(mut section: Section, by_default: bool) -> Config {
    let default = Config::default();
    let config = Config {
        asked_for: section.has("enabled"),
        enabled: section.boolean("enabled", by_default),
        into_foreign_topic: section.boolean("into_foreign_topic", default.into_foreign_topic),
        rate: section.number(
            "rate",
            default.rate,
            Range::from(0.0..=1e9).described_as("0 (as fast as possible) or more"),
        ),
        seed: section.integer("seed", default.seed, 0..),
        count: section.integer("count", default.count, 0..),
        noise: noise(&mut section),
        function: function(&mut section),
        drift: drift(&mut section),
    };
    // The generator knows best which settings fit together.
    if let Err(error) = Stream::new(&config) {
        section.problem(&error.key, &error.problem);
    }
    config
}

/// Returns every function with its default parameters, in the order in which messages list them.
fn functions() -> [Function; 7] {
    every!(Function {
        Friedman,
        FriedmanDrift(FriedmanDrift::default()),
        Planes2d,
        Mv,
        Sine(Sine::default()),
        Geometric,
        Expression(Expression::default()),
    })
}

fn function(section: &mut Section) -> Function {
    let default = Config::default().function;
    let named = functions().map(|function| (function.name(), function));
    let Some((chosen, mut section)) = section.choice("function", &named) else { return default };
    match chosen {
        Function::Friedman | Function::Planes2d | Function::Mv | Function::Geometric => chosen,
        Function::FriedmanDrift(default) => Function::FriedmanDrift(friedman_drift(&mut section, &default)),
        Function::Sine(default) => Function::Sine(Sine {
            amplitude: section.number("amplitude", default.amplitude, FINITE),
            period: section.integer("period", default.period, 2..),
        }),
        Function::Expression(_) => Function::Expression(expression(&mut section)),
    }
}

fn friedman_drift(section: &mut Section, default: &FriedmanDrift) -> FriedmanDrift {
    let named = every!(DriftType { Lea, Gra, Gsg }).map(|drift_type| (drift_type.name(), drift_type));
    let drift_type = section.one_of("drift_type", default.drift_type, &named);
    let position = section.integers("position");
    FriedmanDrift {
        drift_type,
        transition_window: section.integer("transition_window", default.transition_window, 0..),
        // Configured positions need not lie within the default's period.
        repeat: section.integer("repeat", if position.is_some() { 0 } else { default.repeat }, 0..),
        position: position.unwrap_or_else(|| drift_type.default_positions()),
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
        let (read, mut section) = features.choice(&name, DISTRIBUTIONS)?;
        Some((name, read(&mut section)))
    });
    Expression { formula, features: features.collect() }
}

const DISTRIBUTIONS: &Choices<Reader<Distribution>> = &choices!(Distribution {
    "uniform": Uniform => |section| Distribution::Uniform {
        low: section.number("low", 0.0, FINITE),
        high: section.number("high", 1.0, FINITE),
    },
    "normal": Normal => |section| Distribution::Normal {
        mean: section.number("mean", 0.0, FINITE),
        sd: section.number("sd", 1.0, FINITE),
    },
    "exponential": Exponential => |section| Distribution::Exponential { rate: section.number("rate", 1.0, FINITE) },
    "constant": Constant => |section| Distribution::Constant { value: section.number("value", 1.0, FINITE) },
});

const NOISES: &Choices<Reader<Noise>> = &choices!(Noise {
    "none": None => |_| Noise::None,
    "normal": Normal => |section| Noise::Normal { sd: section.number("sd", 1.0, POSITIVE) },
    "uniform": Uniform => |section| Noise::Uniform { half_width: section.number("half_width", 1.0, POSITIVE) },
    "student_t": StudentT => |section| Noise::StudentT {
        freedom: section.number("freedom", 3.0, POSITIVE),
        scale: section.number("scale", 1.0, POSITIVE),
    },
});

/// Reads the noise; a number is the standard deviation of normal noise.
fn noise(section: &mut Section) -> Noise {
    if section.is_number("noise") {
        let sd = section.number("noise", 1.0, NOT_NEGATIVE);
        return if sd == 0.0 { Noise::None } else { Noise::Normal { sd } };
    }
    match section.choice("noise", NOISES) {
        Some((read, mut section)) => read(&mut section),
        None => Config::default().noise,
    }
}

/// Readers of the number of samples that a drift takes, by name.
const DRIFTS: &Choices<Option<Reader<u64>>> =
    &[("none", None), ("abrupt", Some(|_| 0)), ("gradual", Some(|section| section.integer("width", 1000, 1..)))];

fn drift(section: &mut Section) -> Option<Drift> {
    let (width, mut section) = section.choice("drift", DRIFTS)?;
    let width = width?;
    Some(Drift {
        positions: section.integers("positions").unwrap_or_default(),
        width: width(&mut section),
        change: section.one_of("change", Change::default(), &choices!(Change { "rotate": Rotate, "negate": Negate })),
        repeat: section.integer("repeat", 0, 0..),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_the_settings_is_one_of_the_command_line() {
        assert_eq!(functions(), Function::all());
    }
}
