//! Describes what a model has learned, by name: for a person to read and a program to export.
//!
//! Reading order: [`NamedColumn`] (a column's meaning), [`Description`] (the closed set of forms that models take),
//! then its parts. Each model fills in a form beside its own code, in
//! [`Regressor::describe`](super::Regressor::describe).
//!
//! Invariant: read-only and owned, numbers exactly as they are in the state. What this does not do: lay anything out.
//! To add a form: a variant of [`Description`] made of these parts.

use serde::Serialize;

/// A column with its name, at any place among the feature steps.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedColumn {
    /// Name of the field, or of what a step made of fields: `x0*x1`, `x0^2`, `city=Paris`.
    pub name: String,
    /// Categories of a nominal column, in order of their index.
    pub categories: Option<Vec<String>>,
    /// Conversion to the field's own unit: `shift` + `scale` · value. `None` if it is not known.
    pub origin: Option<Origin>,
}

/// Converts a column's value to that of the field it was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Origin {
    /// The field's value where the column's is 0.
    pub shift: f64,
    /// The field's unit over the column's.
    pub scale: f64,
}

impl Origin {
    /// Conversion of a column that is the field itself.
    pub const IDENTITY: Self = Self { shift: 0.0, scale: 1.0 };

    /// Converts a column's `value` to the field's.
    pub fn value(self, value: f64) -> f64 {
        self.shift + self.scale * value
    }
}

impl NamedColumn {
    /// Makes the column of a field; a nominal one has `categories`.
    pub fn new(name: &str, categories: Option<Vec<String>>) -> Self {
        Self { name: name.to_owned(), categories, origin: Some(Origin::IDENTITY) }
    }

    /// Makes a numeric column that a step derived.
    pub(super) fn derived(name: String) -> Self {
        Self { name, categories: None, origin: None }
    }

    /// Returns true if it holds categories.
    pub fn is_nominal(&self) -> bool {
        self.categories.is_some()
    }

    /// Returns the name of a category by its index; `#` and the index if the column has none of that index.
    pub fn category(&self, index: f64) -> String {
        let known = self.categories.as_ref().and_then(|categories| categories.get(index as usize));
        known.cloned().unwrap_or_else(|| format!("#{index}"))
    }

    /// Applies a step that maps a value to (value − `shift`) / `scale`.
    pub(super) fn rescale(&mut self, shift: f64, scale: f64) {
        self.origin = self
            .origin
            .map(|origin| Origin { shift: origin.value(shift), scale: origin.scale * scale })
            .filter(|origin| origin.shift.is_finite() && origin.scale.is_finite() && origin.scale > 0.0);
    }
}

/// Returns the column of that index, or one named after its place if there is none.
pub(super) fn column(columns: &[NamedColumn], i: usize) -> NamedColumn {
    columns.get(i).cloned().unwrap_or_else(|| NamedColumn::derived(format!("column {i}")))
}

/// Everything a model has learned that a prediction depends on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Description {
    /// One number, whatever the features.
    Constant(Constant),
    /// A weighted sum.
    Linear(Linear),
    /// A layer of units beside a weighted sum.
    Network(Network),
    /// A tree with a linear model or a mean in each leaf.
    Tree(Tree),
    /// Trees that predict together.
    Forest(Forest),
    /// Rules that each predict for the samples they cover.
    Rules(Rules),
    /// Members whose predictions become one.
    Mixture(Mixture),
    /// Models of each key's own.
    PerKey(PerKey),
}

impl Description {
    /// Describes a constant prediction, in the target's unit.
    pub(super) fn constant(prediction: f64) -> Self {
        Description::Constant(Constant { prediction })
    }

    /// Describes a weighted sum of these columns.
    pub(super) fn linear(intercept: f64, weights: &[f64], columns: &[NamedColumn]) -> Self {
        Description::Linear(Linear::new(intercept, weights, columns))
    }
}

/// The prediction of a model that looks at no feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Constant {
    /// Value, in the target's unit.
    pub prediction: f64,
}

/// The intercept, plus the sum of weight times value over the known numeric features, added up in this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Linear {
    /// Value, in the target's unit.
    pub intercept: f64,
    /// Weights by column. Nominal columns have a weight that never counts.
    pub weights: Vec<Weight>,
}

/// A feature with its weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// The column's name.
    pub feature: String,
    /// Weight, in the target's unit over the column's.
    pub weight: f64,
}

impl Linear {
    /// Names weights by column. A nominal column takes no part and is left out.
    pub(super) fn new(intercept: f64, weights: &[f64], columns: &[NamedColumn]) -> Self {
        let named = weights.iter().enumerate().map(|(i, weight)| (column(columns, i), *weight));
        let numeric = named.filter(|(column, _)| !column.is_nominal());
        Self { intercept, weights: numeric.map(|(column, weight)| Weight { feature: column.name, weight }).collect() }
    }
}

/// The weighted sum, plus each unit's weight times the tanh of its own weighted sum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Value, in the target's unit.
    pub linear: Linear,
    /// In a fixed order.
    pub units: Vec<Unit>,
}

/// A hidden unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// Weight of its output, which is from −1 to 1; in the target's unit.
    pub weight: f64,
    /// Weighted sum that it takes the tanh of.
    pub input: Linear,
}

/// Trees whose predictions become one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forest {
    /// In a fixed order.
    pub trees: Vec<Tree>,
}

/// Members whose predictions become one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mixture {
    /// Rule that combines their predictions.
    pub rule: &'static str,
    /// In a fixed order.
    pub members: Vec<Member>,
}

/// A member of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Name of the member.
    pub name: String,
    /// Weight in the average that the rule begins with; all sum to 1.
    pub weight: f64,
    /// Root of its mean squared error over about the last 100 samples.
    pub recent_rmse: f64,
}

/// Keys with models of their own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerKey {
    /// Keys, the one that came up least recently first.
    pub keys: Vec<KeyStanding>,
    /// How many keys there are.
    pub count: usize,
    /// Keys that were forgotten for want of room.
    pub evicted: u64,
    /// How many keys follow each of what may predict for them.
    pub followed: Vec<Followed>,
}

/// How many keys follow a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Followed {
    /// Name of the model.
    pub name: String,
    /// Number of keys.
    pub keys: usize,
}

impl PerKey {
    /// Keeps the keys with the largest recent errors and those with the least, so many of each, the largest first.
    pub fn keep_ends(&mut self, count: usize) {
        self.keys.sort_by(|one, other| other.recent_rmse().total_cmp(&one.recent_rmse()));
        if self.keys.len() > count.saturating_mul(2) {
            self.keys.drain(count..self.keys.len() - count);
        }
    }
}

/// How good the models of a key are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyStanding {
    /// The key; empty for samples without one.
    pub key: String,
    /// Samples scored.
    pub n: u64,
    /// Name of the one whose predictions count.
    pub followed: String,
    /// The model that the key began with, and its own ones.
    pub predictors: Vec<Predictor>,
}

impl KeyStanding {
    /// Returns the recent RMSE of the one that is followed, in the target's unit.
    pub fn recent_rmse(&self) -> f64 {
        self.predictors.iter().find(|it| it.name == self.followed).map_or(0.0, |it| it.recent_rmse)
    }
}

/// What may predict for a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predictor {
    /// Name of the model.
    pub name: String,
    /// Root of its mean squared error over about the last half of the key's samples, and no more than 2,000 of them.
    pub recent_rmse: f64,
}

/// Rules, and the prediction for samples that none covers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Prediction for samples that no rule covers.
    pub default: Leaf,
}

/// A rule predicts for samples that pass all of its literals.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Literals, all of which must hold.
    pub literals: Vec<Literal>,
    /// Its prediction.
    pub predicts: Leaf,
}

/// A test of one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Literal {
    /// The column's name.
    pub feature: String,
    /// The test.
    #[serde(flatten)]
    pub test: Test,
    /// True if the test must hold, false if it must not (for a category and any other).
    pub holds: bool,
}

/// A decision tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tree {
    /// Number of branches and leaves.
    pub n_nodes: usize,
    /// Number of leaves.
    pub n_leaves: usize,
    /// Number of leaves that may still split.
    pub n_active_leaves: usize,
    /// Number of levels, counting the root's.
    pub height: u32,
    /// Node where every sample starts.
    pub root: Node,
}

/// A node with all below it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "node", rename_all = "snake_case")]
pub enum Node {
    /// Divides samples.
    Branch(Branch),
    /// Predicts.
    Leaf(Leaf),
}

/// A node that divides samples by one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Branch {
    /// Weight of the samples seen below.
    pub n: f64,
    /// The column's name.
    pub feature: String,
    /// Division of its values.
    #[serde(flatten)]
    pub test: Test,
    /// Children, in the order of the test's parts. A sample that does not know the feature takes the one with most `n`.
    pub children: Vec<Node>,
}

/// Division of a feature's values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "test", rename_all = "snake_case")]
pub enum Test {
    /// Values at or below the threshold, and those above.
    AtMost {
        /// Threshold of the column, as the model compares it.
        threshold: f64,
        /// The same in the field's own unit, by the current statistics of the steps; `None` if there is no such thing.
        in_feature_unit: Option<f64>,
    },
    /// A category, and any other.
    Is {
        /// The category.
        category: String,
    },
    /// A part for each category.
    OneOf {
        /// Categories, in the order of the children.
        categories: Vec<String>,
    },
}

impl Test {
    /// Makes the test of values at or below `threshold`.
    pub(super) fn at_most(threshold: f64, column: &NamedColumn) -> Self {
        let own = column.origin.map(|origin| origin.value(threshold)).filter(|own| own.is_finite());
        Test::AtMost { threshold, in_feature_unit: own }
    }
}

/// The leaf that predicts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaf {
    /// Weight of the samples seen here, with the share of those before the split that made it.
    pub n: f64,
    /// Mean of the targets, in their unit.
    pub mean: f64,
    /// Sample standard deviation of the targets.
    pub deviation: f64,
    /// True if it may still split.
    pub active: bool,
    /// True if the linear model predicts rather than the mean. An implausible prediction gives way to the mean.
    pub uses_model: bool,
    /// Linear model, unless leaves predict means only.
    pub model: Option<Linear>,
}
