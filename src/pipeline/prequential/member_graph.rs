//! Graph of the models that see the predictions of others, instead of the sample's features or beside them.
//!
//! Invariant: they come after all their members, so that every member predicts exactly once, however many models use
//! it. They see the members' published predictions, stand-ins included, so these are always finite.

use thalweg_models::{ModelConfig, per_key::Given};

/// Models that see others' predictions, in an order in which they can predict.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberGraph {
    pub(super) ensembles: Vec<MemberInputs>,
    /// Per model, true where it sees the sample's features alone.
    plain: Vec<bool>,
}

/// A model that sees others' predictions.
#[derive(Clone, Debug)]
pub(super) struct MemberInputs {
    pub(super) model: usize,
    /// Index of the model behind each of its columns.
    pub(super) members: Vec<usize>,
    /// Place of the key by which it is kept apart, where it is, and then sees the features; past all keys where samples have none.
    key: Option<usize>,
}

/// Reason why models cannot be raced together. Models are given by index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A member is none of the models.
    #[error("there is no model `{name}`")]
    Unknown {
        /// The model that names it as a member.
        model: usize,
        /// The member.
        name: String,
    },
    /// A model would wait for its own prediction.
    #[error("it would be its own member, if only by way of others")]
    Circle {
        /// A model of the circle.
        model: usize,
    },
}

/// Checks that every model can predict: all members exist, and no model waits for itself.
///
/// # Errors
/// The first [`Misfit`].
pub fn check(models: &[ModelConfig]) -> Result<(), Misfit> {
    MemberGraph::new(models, &[]).map(|_| ())
}

impl MemberGraph {
    /// Orders the models; `keys` are the names of the keys that samples have.
    pub(super) fn new(models: &[ModelConfig], keys: &[String]) -> Result<Self, Misfit> {
        let is_plain = |model: &ModelConfig| model.kind.members().is_empty() && model.kind.key().is_none();
        let plain: Vec<bool> = models.iter().map(is_plain).collect();
        let mut waiting = Vec::new();
        for (model, config) in models.iter().enumerate().filter(|(model, _)| !plain[*model]) {
            let index = |name: &String| {
                let found = models.iter().position(|other| other.name == *name);
                found.ok_or_else(|| Misfit::Unknown { model, name: name.clone() })
            };
            let members = config.kind.members().iter().map(index).collect::<Result<_, _>>()?;
            let place = |by| keys.iter().position(|key| key == by).unwrap_or(usize::MAX);
            waiting.push(MemberInputs { model, members, key: config.kind.key().map(place) });
        }
        let (mut ready, mut ensembles) = (plain.clone(), Vec::new());
        while !waiting.is_empty() {
            let next = waiting.iter().position(|ensemble| ensemble.members.iter().all(|member| ready[*member]));
            let Some(next) = next else { return Err(Misfit::Circle { model: waiting[0].model }) };
            let ensemble = waiting.remove(next);
            ready[ensemble.model] = true;
            ensembles.push(ensemble);
        }
        Ok(Self { ensembles, plain })
    }

    /// Returns `true` where a model sees the sample's features alone.
    #[inline]
    pub(super) fn sees_features(&self, model: usize) -> bool {
        self.plain.get(model).copied().unwrap_or(true)
    }

    /// Returns what a model sees; `None` for one that sees the sample's features alone.
    pub(super) fn of(&self, model: usize) -> Option<&MemberInputs> {
        self.ensembles.iter().find(|ensemble| ensemble.model == model)
    }

    /// Returns the members of a model; `None` for one that sees the sample's features alone.
    pub(super) fn members(&self, model: usize) -> Option<&[usize]> {
        self.of(model).map(|ensemble| &*ensemble.members)
    }
}

impl MemberInputs {
    /// Returns what the model is given beside the features, where it is kept apart by a key.
    #[inline]
    pub(super) fn given<'k>(&self, keys: &'k [Option<String>], predictions: &[f64]) -> Option<Given<'k>> {
        let key = keys.get(self.key?).and_then(Option::as_deref);
        Some(Given { key, prior: self.members.first().map_or(0.0, |member| predictions[*member]) })
    }

    /// Returns the columns that the model sees: the predictions of its members.
    #[inline]
    pub(super) fn columns<'a>(&self, predictions: &[f64], row: &'a mut Vec<f64>) -> &'a [f64] {
        row.clear();
        row.extend(self.members.iter().map(|member| predictions[*member]));
        row
    }
}
