//! The closed set of models, with their parameters.
//!
//! Invariant: the set is closed, and code that lists it lists all of it, or does not compile.
//! What this does not do: learn.

use serde::{Deserialize, Serialize};

use super::{
    champion, ekf_mlp, forest, innovation, linear, mixture, model_tree, passive_aggressive, per_key, rls, rls_poly,
    rules, steps::StepKind, tree,
};
use thalweg_metrics::checked;

/// One checked entry of `[[models]]`: the model to build, and its name in predictions and metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name, unique among the configured models.
    pub name: String,
    /// Steps that prepare the features, in order.
    pub steps: Vec<StepKind>,
    /// The model and its own parameters.
    pub kind: ModelKind,
    /// True if the model learns an absurd value as the furthest usual one (see [`Fence`](super::Fence)) and not as it
    /// is.
    #[serde(default = "robust")]
    pub robust: bool,
}

checked!(ModelConfig { name, steps, kind, robust });

/// Returns true: states saved before the field existed were learned that way.
fn robust() -> bool {
    true
}

impl ModelConfig {
    /// Returns a model that sees the features as they come.
    pub fn new(name: &str, kind: ModelKind) -> Self {
        Self { name: name.to_owned(), steps: Vec::new(), kind, robust: true }
    }

    /// Returns a model named after its kind, behind the default steps of that kind.
    pub fn with_default_steps(kind: ModelKind) -> Self {
        let steps = kind.default_steps().map_or_else(Vec::new, |default| default.steps(default.scale));
        Self { steps, ..Self::new(kind.name(), kind) }
    }

    /// Returns whether a model that was made with `before` can go on with this: it is the same, or differs in no more than what keys may
    /// take, and what it takes for one of their own models to be followed.
    pub fn continues(&self, before: &Self) -> bool {
        let (ModelKind::PerKey(params), ModelKind::PerKey(other)) = (&self.kind, &before.kind) else {
            return self == before;
        };
        let other = per_key::Params { budget: params.budget, margin: params.margin, ..other.clone() };
        *self == Self { kind: ModelKind::PerKey(other), ..before.clone() }
    }

    /// Replaces the steps: by one that standardises the features if `scale` is true, else by none.
    #[must_use]
    pub fn scaled(mut self, scale: bool) -> Self {
        self.steps = if scale { vec![StepKind::SCALE] } else { Vec::new() };
        self
    }
}

/// The steps in front of a model for which the settings list none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DefaultSteps {
    /// True if features are scaled unless the settings say otherwise.
    pub scale: bool,
    scaled: &'static [StepKind],
    unscaled: &'static [StepKind],
}

impl DefaultSteps {
    /// Returns the steps, in order, with or without scaling.
    pub fn steps(self, scale: bool) -> Vec<StepKind> {
        if scale { self.scaled } else { self.unscaled }.to_vec()
    }
}

/// The closed set of models with their checked parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ModelKind {
    /// The mean of all targets so far: the baseline that skill is measured against.
    Mean,
    /// The last target: the baseline of anything that moves slowly.
    Last,
    /// Linear regression by stochastic gradient descent.
    Linear(linear::Params),
    /// Passive-aggressive regression.
    PassiveAggressive(passive_aggressive::Params),
    /// Linear regression by recursive least squares.
    Rls(rls::Params),
    /// Recursive least squares on polynomials of the features.
    RlsPoly(rls_poly::Params),
    /// Trees with linear models, split by the models' residuals.
    ModelTree(model_tree::Params),
    /// A small neural network that learns by an extended Kalman filter.
    EkfMlp(ekf_mlp::Params),
    /// The last target plus its expected change.
    Innovation(innovation::Params),
    /// A mixture of models.
    Mixture(mixture::Params),
    /// A Hoeffding tree regressor.
    HoeffdingTree(tree::Params),
    /// A Hoeffding tree that follows drift.
    AdaptiveTree(Box<tree::adaptive::Params>),
    /// A forest of Hoeffding trees that follow drift.
    AdaptiveRandomForest(Box<forest::Params>),
    /// Adaptive model rules.
    AmRules(rules::Params),
    /// The model of the race with the lowest recent error.
    Champion(champion::Params),
    /// Models of each key's own, behind a model of all keys.
    PerKey(per_key::Params),
}

checked!(
    enum ModelKind {
        Mean,
        Last,
        Linear(params),
        PassiveAggressive(params),
        Rls(params),
        RlsPoly(params),
        ModelTree(params),
        EkfMlp(params),
        Innovation(params),
        Mixture(params),
        HoeffdingTree(params),
        AdaptiveTree(params),
        AdaptiveRandomForest(params),
        AmRules(params),
        Champion(params),
        PerKey(params),
    }
);

impl ModelKind {
    /// Returns whether the model only repeats past targets or predictions of others, so that it cannot diverge.
    pub fn cannot_diverge(&self) -> bool {
        matches!(self, ModelKind::Mean | ModelKind::Last | ModelKind::Champion(_))
    }

    /// Returns whether the model weighs its candidates by their past errors, so that no learning rate is too large for
    /// the data.
    pub fn is_hedged(&self) -> bool {
        match self {
            ModelKind::Linear(params) => params.is_hedged(),
            ModelKind::Mixture(_) | ModelKind::PerKey(_) => true,
            _ => false,
        }
    }

    /// Returns the names of the models whose predictions it sees; empty if it sees the sample's features alone.
    pub fn members(&self) -> &[String] {
        match self {
            ModelKind::Champion(champion::Params { members, .. })
            | ModelKind::Mixture(mixture::Params { members, .. }) => members,
            ModelKind::PerKey(per_key::Params { base, .. }) => base.as_slice(),
            _ => &[],
        }
    }

    /// Returns the field by which models are kept apart; `None` if there is one for all samples.
    pub fn key(&self) -> Option<&str> {
        match self {
            ModelKind::PerKey(params) => Some(&params.by),
            _ => None,
        }
    }

    /// Returns the steps in front of it if the settings list none; `None` if it uses no feature, so that there is
    /// nothing to prepare.
    pub fn default_steps(&self) -> Option<DefaultSteps> {
        const NONE: &[StepKind] = &[];
        const SCALE: &[StepKind] = &[StepKind::SCALE];
        const ENCODE: &[StepKind] = &[StepKind::ENCODE];
        const ENCODE_AND_SCALE: &[StepKind] = &[StepKind::ENCODE, StepKind::SCALE_KEEPING_ZEROS];
        let (scale, scaled, unscaled) = match self {
            ModelKind::Mean | ModelKind::Last | ModelKind::Champion(_) | ModelKind::PerKey(_) => return None,
            ModelKind::Mixture(params) if !params.members.is_empty() => return None,
            // As in River.
            ModelKind::Linear(params) if !params.is_hedged() => (true, SCALE, NONE),
            ModelKind::Linear(_) | ModelKind::PassiveAggressive(_) | ModelKind::Rls(_) => {
                (true, ENCODE_AND_SCALE, NONE)
            }
            ModelKind::HoeffdingTree(_) | ModelKind::AdaptiveTree(_) | ModelKind::AdaptiveRandomForest(_) => {
                (false, SCALE, NONE)
            }
            // They standardise their inputs themselves.
            ModelKind::RlsPoly(_) | ModelKind::EkfMlp(_) | ModelKind::Innovation(_) | ModelKind::ModelTree(_) => {
                (false, SCALE, NONE)
            }
            ModelKind::Mixture(_) => (false, SCALE, ENCODE),
            // Anomalies and ties are measured in standard deviations, and the linear models need scaled features.
            ModelKind::AmRules(_) => (true, SCALE, NONE),
        };
        Some(DefaultSteps { scale, scaled, unscaled })
    }
}

/// Names each kind and gives its default parameters. A kind that is not listed does not compile.
macro_rules! kinds {
    ($($name:literal: $Kind:ident $(($params:expr))?),+ $(,)?) => {
        impl ModelKind {
            /// Returns every kind with its default parameters.
            ///
            /// ```
            /// use thalweg_models::{Features, ModelConfig, ModelKind, Pipeline, Scratch};
            ///
            /// let target = |x: f64| if x < 5.0 { 1.0 } else { 9.0 };
            /// // A champion chooses among the predictions of others, of which there are none here.
            /// for kind in ModelKind::all().into_iter().filter(|kind| kind.name() != "champion") {
            ///     let name = kind.name();
            ///     let config = ModelConfig::with_default_steps(kind);
            ///     let (mut model, mut scratch) = (Pipeline::new(&config), Scratch::default());
            ///     for i in 0..2000 {
            ///         let x = f64::from(i * i % 1009 % 10);
            ///         model.learn_one(Features::new(&[x]), target(x), &mut scratch).expect("nothing here is refused");
            ///     }
            ///     let errors = [0.0, 9.0].map(|x| (model.predict_one(Features::new(&[x]), &mut scratch) - target(x)).abs());
            ///     // A baseline is off by eight in all.
            ///     let sees_features = !["mean", "last"].contains(&name);
            ///     assert_eq!(errors[0] + errors[1] < 6.0, sees_features, "{name}: {errors:?}");
            /// }
            /// ```
            pub fn all() -> Vec<Self> {
                vec![$(ModelKind::$Kind $(($params))?),+]
            }

            /// Returns the name in `kind = "…"`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(ModelKind::$Kind { .. } => $name,)+
                }
            }
        }
    };
}

kinds! {
    "mean": Mean,
    "last": Last,
    "linear": Linear(linear::Params::default()),
    "passive_aggressive": PassiveAggressive(passive_aggressive::Params::default()),
    "rls": Rls(rls::Params::default()),
    "rls_poly": RlsPoly(rls_poly::Params::default()),
    "ekf_mlp": EkfMlp(ekf_mlp::Params::default()),
    "innovation": Innovation(innovation::Params::default()),
    "model_tree": ModelTree(model_tree::Params::default()),
    "mixture": Mixture(mixture::Params::default()),
    "hoeffding_tree": HoeffdingTree(tree::Params::default()),
    "adaptive_tree": AdaptiveTree(Box::default()),
    "adaptive_random_forest": AdaptiveRandomForest(Box::default()),
    "amrules": AmRules(rules::Params::default()),
    "champion": Champion(champion::Params::default()),
    "per_key": PerKey(per_key::Params::default()),
}
