//! Generates a target by a formula over configured features.

use exmex::{Express, FlatEx};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp, Normal, Uniform};

use super::{Error, Source};

/// The distribution of a feature's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Uniform in [`low`, `high`).
    Uniform {
        /// Least value.
        low: f64,
        /// Bound above, beyond `low`.
        high: f64,
    },
    /// Normal (Gaussian).
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, ≥ 0.
        sd: f64,
    },
    /// Exponential with this many events per unit, so the mean is 1 / `rate`.
    Exponential {
        /// Rate, > 0.
        rate: f64,
    },
    /// Constant.
    Constant {
        /// The value.
        value: f64,
    },
}

/// Parameters of `expression`; there are no defaults, an empty formula is an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expression {
    /// The target: numbers, features, `t` (the sample's number), + − * / ^, and functions such as sin, cos, exp, ln, sqrt,
    /// abs, and constants such as PI.
    pub formula: String,
    /// The features by name.
    pub features: Vec<(String, Distribution)>,
}

/// Name of the sample's number in a formula.
const INDEX_VARIABLE: &str = "t";

/// An expression, ready to be evaluated.
pub(super) struct Compiled {
    formula: FlatEx<f64>,
    /// For each variable of the formula, in its order, the feature's index; `None` is the sample's number.
    variables: Vec<Option<usize>>,
    names: Vec<String>,
    draws: Vec<Draw>,
}

enum Draw {
    Uniform(Uniform<f64>),
    Normal(Normal<f64>),
    Exponential(Exp<f64>),
    Constant(f64),
}

impl Expression {
    /// Parses the formula and checks every feature.
    ///
    /// # Errors
    /// Errors name the feature, or the part of the formula that cannot be parsed.
    pub(super) fn compiled(&self) -> Result<Compiled, Error> {
        if self.features.is_empty() {
            return Err(Error::new("function.features", "an expression needs at least one feature"));
        }
        let mut draws = Vec::new();
        for (name, distribution) in &self.features {
            let key = format!("function.features.{name}");
            let mut letters = name.chars();
            let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if !starts
                || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
                || name == INDEX_VARIABLE
                || name == "y"
            {
                let problem = "a feature's name is of letters, digits and _, and neither `t` nor `y`";
                return Err(Error::new(key, problem));
            }
            draws.push(distribution.draw().map_err(|problem| Error::new(key, problem))?);
        }
        let formula = exmex::parse::<f64>(&self.formula)
            .map_err(|error| Error::new("function.formula", format!("`{}`: {error}", self.formula)))?;
        let place = |name: &String| match self.features.iter().position(|(feature, _)| feature == name) {
            Some(i) => Ok(Some(i)),
            None if name == INDEX_VARIABLE => Ok(None),
            None => Err(Error::new(
                "function.formula",
                format!("`{name}` is neither a feature nor `t` nor a function; add it to function.features"),
            )),
        };
        let variables = formula.var_names().iter().map(place).collect::<Result<_, _>>()?;
        let names = self.features.iter().map(|(name, _)| name.clone()).collect();
        Ok(Compiled { formula, variables, names, draws })
    }
}

impl Distribution {
    fn draw(&self) -> Result<Draw, String> {
        Ok(match *self {
            Self::Uniform { low, high } => {
                Draw::Uniform(Uniform::new(low, high).map_err(|_| "needs finite low < high".to_owned())?)
            }
            Self::Normal { mean, sd } if mean.is_finite() && sd >= 0.0 => {
                Draw::Normal(Normal::new(mean, sd).map_err(|error| error.to_string())?)
            }
            Self::Normal { .. } => return Err("needs a finite mean and sd ≥ 0".into()),
            Self::Exponential { rate } if rate > 0.0 && rate.is_finite() => {
                Draw::Exponential(Exp::new(rate).map_err(|error| error.to_string())?)
            }
            Self::Exponential { .. } => return Err("needs a finite rate > 0".into()),
            Self::Constant { value } if value.is_finite() => Draw::Constant(value),
            Self::Constant { .. } => return Err("needs a finite value".into()),
        })
    }
}

impl Source for Compiled {
    fn features(&self) -> Vec<String> {
        self.names.clone()
    }

    fn draw(&mut self, _: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        x.extend(self.draws.iter().map(|draw| match draw {
            Draw::Uniform(uniform) => uniform.sample(rng),
            Draw::Normal(normal) => normal.sample(rng),
            Draw::Exponential(exponential) => exponential.sample(rng),
            Draw::Constant(value) => *value,
        }));
    }

    fn target(&self, index: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        let value = |place: &Option<usize>| place.map_or(index as f64, |i| x[i]);
        let values: Vec<f64> = self.variables.iter().map(value).collect();
        // The only error is a wrong number of values, which the lines above rule out.
        self.formula.eval(&values).unwrap_or(f64::NAN)
    }
}
