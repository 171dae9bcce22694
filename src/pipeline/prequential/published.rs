//! Scores of the published predictions.
//!
//! They are a series of their own: the champion changes, and a reader of predictions sees all published ones, including
//! the mistakes of changing.
//! What this does not do: choose what is published.

use serde::{Deserialize, Serialize};

use super::Config;
use thalweg_metrics::{Rolling, Scorecard, checked};
use thalweg_state::nested;

/// Scores of the published predictions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Published {
    #[serde(deserialize_with = "nested")]
    pub(super) scores: Scorecard,
    /// Number of the champion's implausible predictions, and of others that the mean stood in for because it had cost
    /// more.
    pub(super) implausible: u64,
    #[serde(default)]
    pub(super) stood_in: u64,
}

checked!(Published { scores, implausible, stood_in });

impl Published {
    /// Creates scores without a sample.
    pub(super) fn new(config: &Config) -> Self {
        Self { scores: Scorecard::new(config.window, config.fading), implausible: 0, stood_in: 0 }
    }

    /// Creates the placeholder for states older than these scores; [`Prequential`](super::Prequential) replaces it on
    /// restore.
    pub(super) fn unknown() -> Self {
        Self { scores: Scorecard::new(1, 1.0), implausible: 0, stood_in: 0 }
    }

    /// Returns `true` where nothing was scored.
    pub(super) fn is_empty(&self) -> bool {
        self.scores.total.n() == 0
    }

    /// Counts a prediction of the champion that the mean stood in for.
    #[cold]
    pub(super) fn replaced(&mut self, plausible: bool) {
        self.stood_in += u64::from(plausible);
        self.implausible += u64::from(!plausible);
    }

    /// Returns the same scores under today's settings; those of another window or fading begin anew.
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
