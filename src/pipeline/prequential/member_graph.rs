//! Graph of the models that see the predictions of others instead of the sample's features.
//!
//! Invariant: they come after all their members, so that every member predicts exactly once, however many models use
//! it. They see the members' published predictions, stand-ins included, so these are always finite.

use thalweg_models::ModelConfig;

/// Models that see others' predictions, in an order in which they can predict.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberGraph {
    pub(super) ensembles: Vec<MemberInputs>,
    /// Per model, true where it sees the sample's features.
    plain: Vec<bool>,
}

/// A model that sees others' predictions.
#[derive(Clone, Debug)]
pub(super) struct MemberInputs {
    pub(super) model: usize,
    /// Index of the model behind each of its columns.
    pub(super) members: Vec<usize>,
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
    MemberGraph::new(models).map(|_| ())
}

impl MemberGraph {
    pub(super) fn new(models: &[ModelConfig]) -> Result<Self, Misfit> {
        let plain: Vec<bool> = models.iter().map(|model| model.kind.members().is_empty()).collect();
        let mut waiting = Vec::new();
        for (model, config) in models.iter().enumerate().filter(|(model, _)| !plain[*model]) {
            let index = |name: &String| {
                let found = models.iter().position(|other| other.name == *name);
                found.ok_or_else(|| Misfit::Unknown { model, name: name.clone() })
            };
            let members = config.kind.members().iter().map(index).collect::<Result<_, _>>()?;
            waiting.push(MemberInputs { model, members });
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

    /// Returns `true` where a model sees the sample's features.
    #[inline]
    pub(super) fn sees_features(&self, model: usize) -> bool {
        self.plain.get(model).copied().unwrap_or(true)
    }

    /// Returns the members of a model; `None` for one that sees the sample's features.
    pub(super) fn members(&self, model: usize) -> Option<&[usize]> {
        self.ensembles.iter().find(|ensemble| ensemble.model == model).map(|ensemble| &*ensemble.members)
    }
}

impl MemberInputs {
    /// Returns the columns that the model sees: the predictions of its members.
    #[inline]
    pub(super) fn columns<'a>(&self, predictions: &[f64], row: &'a mut Vec<f64>) -> &'a [f64] {
        row.clear();
        row.extend(self.members.iter().map(|member| predictions[*member]));
        row
    }
}
