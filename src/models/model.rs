//! A model of any kind, as plain data.
//!
//! Invariant: nothing here learns; every call goes to the one model there is. An enum and no trait object, so that a model
//! is saved as what it is, and the compiler lists what a new kind still lacks.

use serde::{Deserialize, Serialize};

use super::{
    Description, Features, Last, Mean, ModelKind, NamedColumn, Refused, Regressor, champion, describe, ekf_mlp, forest,
    innovation, linear, mixture, model_tree, passive_aggressive, rls, rls_poly, rules, tree,
};

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
