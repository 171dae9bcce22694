//! How good what is published was.
//!
//! A series of its own: the champion changes, and what a reader of predictions sees is the whole of what was published, the
//! mistakes of changing included.
//! What this does not do: choose what is published.

use serde::{Deserialize, Serialize};

use super::Config;
use thalweg_metrics::{Rolling, Scorecard, checked};
use thalweg_state::nested;

/// The scores of what was published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Published {
    #[serde(deserialize_with = "nested")]
    pub(super) scores: Scorecard,
    /// Times the mean stood in for the champion: what that said could not be, or it had cost more.
    pub(super) implausible: u64,
    #[serde(default)]
    pub(super) stood_in: u64,
}

checked!(Published { scores, implausible, stood_in });

impl Published {
    /// Nothing scored.
    pub(super) fn new(config: &Config) -> Self {
        Self { scores: Scorecard::new(config.window, config.fading), implausible: 0, stood_in: 0 }
    }

    /// What a state from before it was scored has; its settings are nobody's.
    pub(super) fn unknown() -> Self {
        Self { scores: Scorecard::new(1, 1.0), implausible: 0, stood_in: 0 }
    }

    /// Whether nothing was scored.
    pub(super) fn is_empty(&self) -> bool {
        self.scores.total.n() == 0
    }

    /// Counts a prediction of the champion that the mean stood in for.
    #[cold]
    pub(super) fn replaced(&mut self, plausible: bool) {
        self.stood_in += u64::from(plausible);
        self.implausible += u64::from(!plausible);
    }

    /// The same scores under today's settings; what another window or fading would have kept begins anew.
    pub(super) fn under(mut self, before: &Config, today: &Config) -> Self {
        let fresh = Scorecard::new(today.window, today.fading);
        if before.window != today.window {
            self.scores.rolling = Rolling::new(today.window);
        }
        if before.fading != today.fading {
            self.scores.faded = fresh.faded;
        }
        self
    }
}
