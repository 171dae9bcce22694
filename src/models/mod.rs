//! The learning engine: online regression models behind one seam.
//!
//! Reading order: [`features`] (what a model sees), [`fence`] (what is too absurd to be learned), [`Regressor`] (what a model does), [`Model`] (the closed set),
//! [`Pipeline`] (feature steps in front of a model), [`describe`] (what it all looks like to a person), [`explain`] (which
//! features matter to it), then a file or folder per family.
//!
//! Invariant: nothing here knows a runtime, a transport, a clock or entropy. The same settings and the same samples
//! give the same bits on every run; a model whose state could become non-finite refuses the sample instead.
//! To add a model: one file or folder, one variant of [`ModelKind`] and of [`Model`], one arm in each `match` below.

pub mod aggregation;
mod baseline;
mod bootstrap;
pub mod champion;
mod collinear;
pub mod describe;
pub mod ekf_mlp;
pub mod explain;
pub mod features;
pub mod fence;
pub mod forest;
pub mod innovation;
mod least_squares;
pub mod linear;
pub mod loss;
pub mod mixture;
pub mod model_tree;
pub mod optimizer;
pub mod passive_aggressive;
mod pipeline;
mod recent;
pub mod rls;
pub mod rls_poly;
mod room;
pub mod rules;
pub mod steps;
pub mod tree;

use serde::{Deserialize, Serialize};

pub use describe::{Description, NamedColumn};

pub use baseline::{Last, Mean};
pub use features::Features;
pub use fence::{Fence, Outlier};
pub use pipeline::{Pipeline, Scratch};
pub use recent::Recent;

/// What every model does, one sample at a time.
pub trait Regressor {
    /// The prediction for `x`, in the target's unit; 0.0 before anything was learned. Never learns.
    fn predict_one(&self, x: Features<'_>) -> f64;

    /// Learns that `x` had the target `y`, counted `weight` times (1.0 for an ordinary sample).
    ///
    /// # Errors
    /// [`Refused`] when learning this sample would leave a state that is not finite; the state is then unchanged.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused>;

    /// Bytes that it takes, within a fifth. Follows from what was learned alone, so that it is the same after a restart.
    fn memory_bytes(&self) -> usize;
}

/// A sample that was not learned, because it would have left weights or statistics that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learning this sample would leave a state that is not finite")]
pub struct Refused;

/// One entry of `[[models]]`, checked: what to build, and the name it goes by in predictions and metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Unique among the configured models.
    pub name: String,
    /// What prepares the features, in order.
    pub steps: Vec<steps::StepKind>,
    /// The model and its own parameters.
    pub kind: ModelKind,
    /// Whether it learns an absurd value as the furthest usual one (see [`fence`]), or as it is.
    #[serde(default = "robust")]
    pub robust: bool,
}

/// Models of states from before knew nothing else, and go on.
fn robust() -> bool {
    true
}

impl ModelConfig {
    /// A model that sees the features as they come.
    pub fn new(name: &str, kind: ModelKind) -> Self {
        Self { name: name.to_owned(), steps: Vec::new(), kind, robust: true }
    }

    /// The same with standardised features, where `scale` is true.
    #[must_use]
    pub fn scaled(mut self, scale: bool) -> Self {
        self.steps = if scale { vec![steps::StepKind::SCALE] } else { Vec::new() };
        self
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
    /// Trees with linear models, split by what these get wrong.
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
    /// The best of other models, of late.
    Champion(champion::Params),
}

impl ModelKind {
    /// Whether it only repeats what others have said or what targets were, so that it cannot diverge.
    pub fn is_tame(&self) -> bool {
        matches!(self, ModelKind::Mean | ModelKind::Last | ModelKind::Champion(_))
    }

    /// Whether it weighs what it says by how good that was, so that no rate is too large for the data.
    pub fn is_cautious(&self) -> bool {
        match self {
            ModelKind::Linear(params) => params.is_hedged(),
            ModelKind::Mixture(_) => true,
            _ => false,
        }
    }

    /// The models whose predictions are its columns, by name; none where these are the sample's features.
    pub fn members(&self) -> &[String] {
        match self {
            ModelKind::Champion(params) => &params.members,
            ModelKind::Mixture(params) => &params.members,
            _ => &[],
        }
    }

    /// The name in `kind = "…"`.
    pub fn name(&self) -> &'static str {
        match self {
            ModelKind::Mean => "mean",
            ModelKind::Last => "last",
            ModelKind::Linear(_) => "linear",
            ModelKind::PassiveAggressive(_) => "passive_aggressive",
            ModelKind::Rls(_) => "rls",
            ModelKind::RlsPoly(_) => "rls_poly",
            ModelKind::ModelTree(_) => "model_tree",
            ModelKind::EkfMlp(_) => "ekf_mlp",
            ModelKind::Innovation(_) => "innovation",
            ModelKind::Mixture(_) => "mixture",
            ModelKind::HoeffdingTree(_) => "hoeffding_tree",
            ModelKind::AdaptiveTree(_) => "adaptive_tree",
            ModelKind::AdaptiveRandomForest(_) => "adaptive_random_forest",
            ModelKind::AmRules(_) => "amrules",
            ModelKind::Champion(_) => "champion",
        }
    }
}

/// A model with all that it has learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Model {
    /// See [`Mean`].
    Mean(Mean),
    /// See [`Last`].
    Last(Last),
    /// See [`linear::LinearRegression`].
    Linear(linear::LinearRegression),
    /// See [`passive_aggressive::PassiveAggressive`].
    PassiveAggressive(passive_aggressive::PassiveAggressive),
    /// See [`rls::RecursiveLeastSquares`].
    Rls(rls::RecursiveLeastSquares),
    /// See [`rls_poly::RlsPoly`].
    RlsPoly(Box<rls_poly::RlsPoly>),
    /// See [`model_tree::ModelTree`].
    ModelTree(Box<model_tree::ModelTree>),
    /// See [`ekf_mlp::EkfMlp`].
    EkfMlp(Box<ekf_mlp::EkfMlp>),
    /// See [`innovation::Innovation`].
    Innovation(Box<innovation::Innovation>),
    /// See [`mixture::Mixture`].
    Mixture(Box<mixture::Mixture>),
    /// See [`mixture::Blend`].
    Blend(mixture::Blend),
    /// See [`tree::HoeffdingTree`].
    HoeffdingTree(Box<tree::HoeffdingTree>),
    /// See [`tree::adaptive::AdaptiveTree`].
    AdaptiveTree(Box<tree::adaptive::AdaptiveTree>),
    /// See [`forest::AdaptiveRandomForest`].
    AdaptiveRandomForest(Box<forest::AdaptiveRandomForest>),
    /// See [`rules::AmRules`].
    AmRules(Box<rules::AmRules>),
    /// See [`champion::Champion`].
    Champion(champion::Champion),
}

impl Model {
    /// A model that has learned nothing yet.
    pub fn new(kind: &ModelKind) -> Self {
        match kind {
            ModelKind::Mean => Model::Mean(Mean::default()),
            ModelKind::Last => Model::Last(Last::default()),
            ModelKind::Linear(params) => Model::Linear(linear::LinearRegression::new(params.clone())),
            ModelKind::PassiveAggressive(params) => {
                Model::PassiveAggressive(passive_aggressive::PassiveAggressive::new(*params))
            }
            ModelKind::Rls(params) => Model::Rls(rls::RecursiveLeastSquares::new(*params)),
            ModelKind::RlsPoly(params) => Model::RlsPoly(Box::new(rls_poly::RlsPoly::new(*params))),
            ModelKind::ModelTree(params) => Model::ModelTree(Box::new(model_tree::ModelTree::new(*params))),
            ModelKind::EkfMlp(params) => Model::EkfMlp(Box::new(ekf_mlp::EkfMlp::new(*params))),
            ModelKind::Innovation(params) => Model::Innovation(Box::new(innovation::Innovation::new(*params))),
            ModelKind::Mixture(params) if params.members.is_empty() => {
                Model::Mixture(Box::new(mixture::Mixture::new(params.rule)))
            }
            ModelKind::Mixture(params) => Model::Blend(mixture::Blend::new(params.rule)),
            ModelKind::HoeffdingTree(params) => {
                Model::HoeffdingTree(Box::new(tree::HoeffdingTree::new(params.clone())))
            }
            ModelKind::AdaptiveTree(params) => {
                Model::AdaptiveTree(Box::new(tree::adaptive::AdaptiveTree::new(params.as_ref().clone())))
            }
            ModelKind::AdaptiveRandomForest(params) => {
                Model::AdaptiveRandomForest(Box::new(forest::AdaptiveRandomForest::new(params.as_ref().clone())))
            }
            ModelKind::AmRules(params) => Model::AmRules(Box::new(rules::AmRules::new(params.clone()))),
            ModelKind::Champion(params) => Model::Champion(champion::Champion::new(params)),
        }
    }
}

impl Model {
    /// Whether what it weighs is the columns that it sees, and not what it makes of them.
    pub fn weighs_columns(&self) -> bool {
        match self {
            Model::RlsPoly(_) | Model::EkfMlp(_) | Model::Innovation(_) | Model::ModelTree(_) | Model::Mixture(_) => {
                false
            }
            Model::Mean(_)
            | Model::Last(_)
            | Model::Linear(_)
            | Model::PassiveAggressive(_)
            | Model::Rls(_)
            | Model::HoeffdingTree(_)
            | Model::AdaptiveTree(_)
            | Model::AdaptiveRandomForest(_)
            | Model::AmRules(_)
            | Model::Champion(_)
            | Model::Blend(_) => true,
        }
    }

    /// What it has learned, by the names of the columns that it sees.
    pub fn describe(&self, columns: &[NamedColumn]) -> Description {
        let linear = |intercept, weights| Description::Linear(describe::Linear::new(intercept, weights, columns));
        let constant = |prediction| Description::Constant(describe::Constant { prediction });
        match self {
            Model::Mean(_) | Model::Last(_) => constant(self.predict_one(Features::new(&[]))),
            Model::Linear(model) => linear(model.intercept(), model.weights()),
            Model::PassiveAggressive(model) => linear(model.intercept(), model.weights()),
            Model::Rls(model) => linear(model.intercept(), model.weights()),
            Model::RlsPoly(model) => model.describe(columns),
            Model::ModelTree(model) => model.describe(columns),
            Model::EkfMlp(model) => model.describe(columns),
            Model::Innovation(model) => model.describe(columns),
            Model::Mixture(model) => Description::Mixture(model.describe()),
            Model::Blend(model) => Description::Mixture(model.describe(columns)),
            Model::HoeffdingTree(model) => Description::Tree(model.describe(columns)),
            Model::AdaptiveTree(model) => Description::Tree(model.describe(columns)),
            Model::AdaptiveRandomForest(model) => Description::Forest(describe::Forest {
                trees: model.trees().map(|tree| tree.describe(columns)).collect(),
            }),
            Model::AmRules(model) => Description::Rules(model.describe(columns)),
            Model::Champion(model) => {
                let weights: Vec<f64> = (0..columns.len()).map(|i| f64::from(i == model.current())).collect();
                linear(0.0, &weights)
            }
        }
    }
}

impl Regressor for Model {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        match self {
            Model::Mean(model) => model.predict_one(x),
            Model::Last(model) => model.predict_one(x),
            Model::Linear(model) => model.predict_one(x),
            Model::PassiveAggressive(model) => model.predict_one(x),
            Model::Rls(model) => model.predict_one(x),
            Model::RlsPoly(model) => model.predict_one(x),
            Model::ModelTree(model) => model.predict_one(x),
            Model::EkfMlp(model) => model.predict_one(x),
            Model::Innovation(model) => model.predict_one(x),
            Model::Mixture(model) => model.predict_one(x),
            Model::Blend(model) => model.predict_one(x),
            Model::HoeffdingTree(model) => model.predict_one(x),
            Model::AdaptiveTree(model) => model.predict_one(x),
            Model::AdaptiveRandomForest(model) => model.predict_one(x),
            Model::AmRules(model) => model.predict_one(x),
            Model::Champion(model) => model.predict_one(x),
        }
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        match self {
            Model::Mean(model) => model.learn_one(x, y, weight),
            Model::Last(model) => model.learn_one(x, y, weight),
            Model::Linear(model) => model.learn_one(x, y, weight),
            Model::PassiveAggressive(model) => model.learn_one(x, y, weight),
            Model::Rls(model) => model.learn_one(x, y, weight),
            Model::RlsPoly(model) => model.learn_one(x, y, weight),
            Model::ModelTree(model) => model.learn_one(x, y, weight),
            Model::EkfMlp(model) => model.learn_one(x, y, weight),
            Model::Innovation(model) => model.learn_one(x, y, weight),
            Model::Mixture(model) => model.learn_one(x, y, weight),
            Model::Blend(model) => model.learn_one(x, y, weight),
            Model::HoeffdingTree(model) => model.learn_one(x, y, weight),
            Model::AdaptiveTree(model) => model.learn_one(x, y, weight),
            Model::AdaptiveRandomForest(model) => model.learn_one(x, y, weight),
            Model::AmRules(model) => model.learn_one(x, y, weight),
            Model::Champion(model) => model.learn_one(x, y, weight),
        }
    }

    fn memory_bytes(&self) -> usize {
        let (bytes, inline) = match self {
            Model::Mean(model) => (model.memory_bytes(), size_of_val(model)),
            Model::Last(model) => (model.memory_bytes(), size_of_val(model)),
            Model::Linear(model) => (model.memory_bytes(), size_of_val(model)),
            Model::PassiveAggressive(model) => (model.memory_bytes(), size_of_val(model)),
            Model::Rls(model) => (model.memory_bytes(), size_of_val(model)),
            Model::RlsPoly(model) => (model.memory_bytes(), 0),
            Model::ModelTree(model) => (model.memory_bytes(), 0),
            Model::EkfMlp(model) => (model.memory_bytes(), 0),
            Model::Innovation(model) => (model.memory_bytes(), 0),
            Model::Mixture(model) => (model.memory_bytes(), 0),
            Model::Blend(model) => (model.memory_bytes(), size_of_val(model)),
            Model::HoeffdingTree(model) => (model.memory_bytes(), 0),
            Model::AdaptiveTree(model) => (model.memory_bytes(), 0),
            Model::AdaptiveRandomForest(model) => (model.memory_bytes(), 0),
            Model::AmRules(model) => (model.memory_bytes(), 0),
            Model::Champion(model) => (model.memory_bytes(), size_of_val(model)),
        };
        // Every variant takes the room of the largest.
        bytes - inline + size_of::<Self>()
    }
}
