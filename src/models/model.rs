//! A model of any kind, as plain data.
//!
//! Invariant: nothing here learns; every call goes to the model inside. It is an enum and not a trait object, so that a
//! model is saved as plain data, and the compiler lists what a new kind still lacks.

use serde::{Deserialize, Serialize};

use super::{
    Description, Features, Last, Mean, ModelKind, NamedColumn, Refused, Regressor, champion, ekf_mlp, forest,
    innovation, linear, mixture, model_tree, passive_aggressive, per_key, rls, rls_poly, rules, tree,
};
use thalweg_metrics::checked;

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
    /// See [`per_key::PerKey`].
    PerKey(Box<per_key::PerKey>),
}

checked!(
    enum Model {
        Mean(model),
        Last(model),
        Linear(model),
        PassiveAggressive(model),
        Rls(model),
        RlsPoly(model),
        ModelTree(model),
        EkfMlp(model),
        Innovation(model),
        Mixture(model),
        Blend(model),
        HoeffdingTree(model),
        AdaptiveTree(model),
        AdaptiveRandomForest(model),
        AmRules(model),
        Champion(model),
        PerKey(model),
    }
);

impl Model {
    /// Returns a model that has learned nothing yet.
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
            ModelKind::PerKey(params) => Model::PerKey(Box::new(per_key::PerKey::new(params))),
        }
    }
}

/// Evaluates `$body` with `$model` bound to the model inside `$of`.
macro_rules! on_each {
    ($of:expr, $model:ident => $body:expr) => {
        match $of {
            Model::Mean($model) => $body,
            Model::Last($model) => $body,
            Model::Linear($model) => $body,
            Model::PassiveAggressive($model) => $body,
            Model::Rls($model) => $body,
            Model::RlsPoly($model) => $body,
            Model::ModelTree($model) => $body,
            Model::EkfMlp($model) => $body,
            Model::Innovation($model) => $body,
            Model::Mixture($model) => $body,
            Model::Blend($model) => $body,
            Model::HoeffdingTree($model) => $body,
            Model::AdaptiveTree($model) => $body,
            Model::AdaptiveRandomForest($model) => $body,
            Model::AmRules($model) => $body,
            Model::Champion($model) => $body,
            Model::PerKey($model) => $body,
        }
    };
}

impl Regressor for Model {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        on_each!(self, model => model.predict_one(x))
    }

    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        on_each!(self, model => model.learn_one(x, y, weight))
    }

    fn members(&self, x: Features<'_>, predictions: &mut Vec<f64>) {
        on_each!(self, model => model.members(x, predictions));
    }

    fn learn_late(&mut self, x: Features<'_>, y: f64, weight: f64, members: &[f64]) -> Result<(), Refused> {
        on_each!(self, model => model.learn_late(x, y, weight, members))
    }

    fn memory_bytes(&self) -> usize {
        // Every variant takes the size of the largest.
        on_each!(self, model => model.memory_bytes() - size_of_val(model)) + size_of::<Self>()
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        on_each!(self, model => model.describe(columns))
    }

    fn weighs_columns(&self) -> bool {
        on_each!(self, model => model.weighs_columns())
    }
}
