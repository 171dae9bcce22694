//! Whose prediction is published.
//!
//! Invariant: what is published is what the first configured champion follows, from the first sample on; where there is
//! none, a model of the race, chosen in the same way among all. It changes between two samples only.

use super::{Contender, Event, Prequential};
use crate::models::champion;

/// Scored samples between two elections: often enough to follow a drift, seldom enough not to flap.
const EVERY: u64 = 100;

impl Prequential {
    /// The model that the first configured champion follows; `None` where none is configured.
    pub(super) fn followed(&self) -> Option<usize> {
        let followed = |(i, contender): (usize, &Contender)| {
            let champion = contender.pipeline.champion()?;
            self.wiring.members(i)?.get(champion.current()).copied()
        };
        self.contenders.iter().enumerate().find_map(followed)
    }

    /// After every hundredth scored sample, champions look whom to follow: the member with the lowest rolling RMSE, unless the
    /// present one is hardly worse.
    #[inline]
    pub(super) fn elect_when_due(&mut self) {
        if self.version.is_multiple_of(EVERY) {
            self.elect();
        }
    }

    fn elect(&mut self) {
        let mut rmses = std::mem::take(&mut self.row);
        rmses.clear();
        rmses.extend(self.contenders.iter().map(|contender| contender.scores.rolling.scores().rmse()));
        let Self { contenders, wiring, events, .. } = self;
        for (of, contender) in contenders.iter_mut().enumerate() {
            let (Some(champion), Some(members)) = (contender.pipeline.champion_mut(), wiring.members(of)) else {
                continue;
            };
            let from = champion.current();
            if champion.elect(members.iter().map(|member| rmses[*member]))
                && let (Some(&from), Some(&to)) = (members.get(from), members.get(champion.current()))
            {
                events.push(Event::ChampionChanged { of: Some(of), from, to });
            }
        }
        let from = self.champion;
        self.champion = self.followed().unwrap_or_else(|| {
            let to = champion::best(from, rmses.iter().copied(), champion::Params::MARGIN);
            if to != from {
                self.events.push(Event::ChampionChanged { of: None, from, to });
            }
            to
        });
        self.row = rmses;
    }
}
