//! Election of the model whose prediction is published.
//!
//! Invariant: from the first sample on we publish the prediction of the model that the first configured champion
//! follows; where there is none, of a model chosen in the same way among all. It changes between two samples only.
//!
//! The first mixture of the race is the default: it is followed from the first sample on, and left only for a model
//! that has beaten it beyond chance. On real streams it is nearly always the best one, and a model that leads for a
//! while does so because it was spared the last large error.

use super::{Candidate, Event, Prequential};
use thalweg_models::{ModelConfig, ModelKind, champion};

/// Returns the model that is followed until another has proved to be better.
pub(super) fn default_of(models: &[ModelConfig]) -> Option<usize> {
    models.iter().position(|model| matches!(model.kind, ModelKind::Mixture(_)))
}

impl Prequential {
    /// Returns the model that the first configured champion follows; `None` where none is configured.
    pub(super) fn followed(&self) -> Option<usize> {
        self.wiring
            .ensembles
            .iter()
            .filter_map(|ensemble| {
                let champion = self.contenders.get(ensemble.model)?.pipeline.champion()?;
                Some((ensemble.model, ensemble.members.get(champion.current()).copied()?))
            })
            .min()
            .map(|(_, followed)| followed)
    }

    /// Returns the model to publish before anything is known of any.
    pub(super) fn first(&self) -> usize {
        self.followed().or(self.default).unwrap_or(0)
    }

    /// Lets a champion that has learned nothing begin with the default, where that is one of its members.
    pub(super) fn begin(&mut self, model: usize) {
        let member =
            self.wiring.members(model).and_then(|members| members.iter().position(|it| Some(*it) == self.default));
        if let (Some(member), Some(champion)) = (member, self.contenders[model].pipeline.champion_mut()) {
            champion.follow(member);
        }
    }

    /// Elects the models that champions follow, after every scored sample, by [`champion::best`].
    #[inline(always)]
    pub(super) fn elect(&mut self) {
        if !self.wiring.ensembles.is_empty() {
            self.elect_champions();
        }
        let from = self.champion;
        self.champion = self.followed().unwrap_or_else(|| {
            let tracks = self.contenders.iter().map(|contender| &contender.track);
            let to = champion::best(from, self.default, tracks, champion::Params::DEFAULT_MARGIN);
            if to != from {
                self.events.push(Event::ChampionChanged { of: None, from, to });
            }
            to
        });
    }

    fn elect_champions(&mut self) {
        let Self { contenders, wiring, events, default, tracks, .. } = self;
        tracks.clear();
        tracks.extend(contenders.iter().map(|contender: &Candidate| contender.track));
        for ensemble in &wiring.ensembles {
            let (of, members) = (ensemble.model, &ensemble.members);
            let Some(champion) = contenders[of].pipeline.champion_mut() else { continue };
            let from = champion.current();
            let default = members.iter().position(|member| Some(*member) == *default);
            if champion.elect(default, members.iter().map(|member| &tracks[*member]))
                && let (Some(&from), Some(&to)) = (members.get(from), members.get(champion.current()))
            {
                events.push(Event::ChampionChanged { of: Some(of), from, to });
            }
        }
    }
}
