//! Fictitious samples: functions of random features, with noise and drift, for trying models before there is a stream.
//!
//! Reading order: [`Config`] (what to generate), [`Function`] (the closed set, a file each), [`noise`], [`drift`],
//! [`Stream`] (samples by number), [`encode`] (as JSON or CSV), [`task`] (sends them at a rate).
//!
//! Invariant: sample `i` is a pure function of the settings and `i`. A run that goes on at `i` after a restart gets the
//! bits of a run that never stopped. The randomness is the same on every machine; sine, cosine and exponential are
//! those of the platform's mathematics library.
//!
//! To add a function: one file with its `Source`, one variant of [`Function`] with its arms below.

pub mod drift;
pub mod encode;
mod expression;
mod friedman;
mod friedman_drift;
mod geometric;
mod mv;
pub mod noise;
mod planes2d;
mod sine;
mod stream;
pub mod task;

use rand_chacha::ChaCha8Rng;

pub use drift::{Drift, Transition};
pub use expression::{Distribution, Expression};
pub use friedman_drift::{DriftType, FriedmanDrift};
pub use noise::Noise;
pub use sine::Sine;
pub use stream::Stream;

/// A problem with a generator's settings. `key` is relative to `[generator]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("generator.{key}: {problem}")]
pub struct Error {
    /// Key of the setting.
    pub key: String,
    /// The problem, and the remedy.
    pub problem: String,
}

impl Error {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// The configuration of the generator (`[generator]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// True if the daemon generates samples. By default it does on the embedded transport only, so that nothing is made
    /// up in a topic of a cluster without being asked for.
    pub enabled: bool,
    /// True if the settings say so, rather than the default.
    pub asked_for: bool,
    /// True if it may write among samples that it did not generate.
    pub into_foreign_topic: bool,
    /// Function of the features that gives the target.
    pub function: Function,
    /// Samples per second, ≥ 0; 0 is as fast as the transport takes them.
    pub rate: f64,
    /// Seed; the same one gives the same samples.
    pub seed: u64,
    /// Number of samples in all, over all runs; 0 is endless.
    pub count: u64,
    /// Noise that is added to the target.
    pub noise: Noise,
    /// Changes of the concept on top of the function's own.
    pub drift: Option<Drift>,
}

impl Default for Config {
    /// Friedman's function with abrupt drifts that come again every 45,000 samples, 1,000 samples a second.
    fn default() -> Self {
        Self {
            enabled: true,
            asked_for: false,
            into_foreign_topic: false,
            function: Function::FriedmanDrift(FriedmanDrift::default()),
            rate: 1000.0,
            seed: 42,
            count: 0,
            noise: Noise::Normal { sd: 1.0 },
            drift: None,
        }
    }
}

impl Config {
    /// Returns the changes of the concept before sample `until`, in order; at most a thousand of the function's own and
    /// as many of the drift on top.
    pub fn transitions(&self, until: u64) -> Vec<Transition> {
        let own = if let Function::FriedmanDrift(drifting) = &self.function { Some(drifting) } else { None };
        let own = own.map(|drifting| drifting.transitions(until));
        let on_top = self.drift.iter().flat_map(|drift| drift.transitions(until));
        let mut all: Vec<Transition> = own.into_iter().flatten().chain(on_top).collect();
        all.sort_by_key(|transition| transition.at);
        all
    }
}

/// The closed set of functions.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// Friedman's benchmark (1991): 10 features, 5 of which matter.
    Friedman,
    /// The same with concept drift (Ikonomovska, Gama and Džeroski 2011).
    FriedmanDrift(FriedmanDrift),
    /// Two planes chosen by one feature (Breiman, Friedman, Olshen and Stone 1984).
    Planes2d,
    /// Ten features of mixed kinds that depend on each other (Torgo's MV).
    Mv,
    /// A sine wave over its phase.
    Sine(Sine),
    /// Three values that grow by 1.4, 1.2 and 1.3 a step until they overflow.
    Geometric,
    /// A formula over features of one's own.
    Expression(Expression),
}

impl Function {
    /// Returns every function, with default parameters.
    pub fn all() -> [Self; 7] {
        [
            Function::Friedman,
            Function::FriedmanDrift(FriedmanDrift::default()),
            Function::Planes2d,
            Function::Mv,
            Function::Sine(Sine::default()),
            Function::Geometric,
            Function::Expression(Expression::default()),
        ]
    }

    /// Returns the function of this name with its default parameters. `friedman_drift:lea` names the type of drift,
    /// too.
    ///
    /// # Errors
    /// For an unknown name, and for `expression`, which has no defaults.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        let drift_types = [DriftType::Lea, DriftType::Gra, DriftType::Gsg];
        let drifting = name.strip_prefix("friedman_drift:");
        if let Some(drift_type) = drift_types.into_iter().find(|it| drifting == Some(it.name())) {
            let position = drift_type.default_positions();
            return Ok(Function::FriedmanDrift(FriedmanDrift { drift_type, position, ..FriedmanDrift::default() }));
        }
        match Self::all().into_iter().find(|function| function.name() == name) {
            Some(Function::Expression(_)) => {
                let problem = "an expression needs a table with `formula` and `features`; see settings.toml";
                Err(Error::new("function", problem))
            }
            Some(function) => Ok(function),
            None => {
                let names = Self::all().map(|function| function.name()).join(", ");
                let problem = format!(
                    "there is no function `{name}`; there are {names}, and for other drifts friedman_drift:lea, :gra, :gsg"
                );
                Err(Error::new("function", problem))
            }
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Function::Friedman => "friedman",
            Function::FriedmanDrift(_) => "friedman_drift",
            Function::Planes2d => "planes2d",
            Function::Mv => "mv",
            Function::Sine(_) => "sine",
            Function::Geometric => "geometric",
            Function::Expression(_) => "expression",
        }
    }

    fn source(&self) -> Result<Box<dyn Source + Send>, Error> {
        Ok(match self {
            Function::Friedman => Box::new(friedman::Friedman),
            Function::FriedmanDrift(drifting) => Box::new(drifting.checked()?),
            Function::Planes2d => Box::new(planes2d::Planes2d),
            Function::Mv => Box::new(mv::Mv),
            Function::Sine(sine) => Box::new(sine.checked()?),
            Function::Geometric => Box::new(geometric::Geometric::default()),
            Function::Expression(expression) => Box::new(expression.compiled()?),
        })
    }
}

/// A function: it draws features and computes the target.
trait Source {
    /// Returns the names of the features, in order.
    fn features(&self) -> Vec<String>;

    /// Draws the features of sample `index` into `x`, which is empty. `rng` is the sample's own.
    fn draw(&mut self, index: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>);

    /// Computes the target of features `x` at sample `index`, without noise.
    fn target(&self, index: u64, x: &[f64], rng: &mut ChaCha8Rng) -> f64;
}

/// Returns x0, x1, … as names of features that have none of their own.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("x{i}")).collect()
}
