//! Drifts of the stream, out of what each model's detector sees.
//!
//! A change of the stream shows in the errors of several models, in some again and again until they have learned it: that is
//! one drift. Baselines raise none, since they cannot follow anything; their detections are counted as any model's.
//!
//! Invariant: from one drift to the next at least [`MIN_DRIFT_DISTANCE_SAMPLES`] samples are scored, and each is told once.

use serde::{Deserialize, Serialize};

use super::Drift;
use thalweg_metrics::checked;

/// Scored samples within which whatever is detected belongs to the same drift.
pub(super) const MIN_DRIFT_DISTANCE_SAMPLES: u64 = 1000;

/// Scored samples for which a drift is waited with for further models, so that its event names them.
pub(super) const GATHERING_SAMPLES: u64 = 100;

/// The latest drift.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Drifts {
    /// Samples scored when it was first seen; `None` before the first one.
    began: Option<u64>,
    /// What was detected before it was told, a model once.
    seen: Vec<Seen>,
    told: bool,
}

checked!(Drifts { began, seen, told });

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    model: u64,
    drift: Drift,
}

checked!(Seen { model, drift });

impl Drifts {
    /// A model's detector has seen a change at sample `now`.
    pub(super) fn detected(&mut self, model: usize, drift: Drift, now: u64) {
        if self.began.is_none_or(|began| now.saturating_sub(began) >= MIN_DRIFT_DISTANCE_SAMPLES) {
            (self.began, self.told) = (Some(now), false);
            self.seen.clear();
        }
        let model = model as u64;
        if !self.told && self.seen.iter().all(|seen| seen.model != model) {
            self.seen.push(Seen { model, drift });
        }
    }

    /// Whether there is one that was not told.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.began.is_some() && !self.told
    }

    /// The drift that is to be told now, once: how the first model saw it. That is when all of the `watched` models have
    /// seen it, or when the time to gather them is over.
    pub(super) fn due(&mut self, watched: usize, now: u64) -> Option<(usize, Drift)> {
        let began = self.began.filter(|_| self.is_open())?;
        if self.seen.len() < watched && now.saturating_sub(began) < GATHERING_SAMPLES {
            return None;
        }
        self.told = true;
        self.seen.first().map(|first| (first.model as usize, first.drift))
    }

    /// The models that had seen the latest drift when it was told.
    pub(super) fn models(&self) -> impl Iterator<Item = usize> {
        self.seen.iter().map(|seen| seen.model as usize)
    }

    /// Samples scored between the first detection and `now`.
    pub(super) fn age(&self, now: u64) -> u64 {
        self.began.map_or(0, |began| now.saturating_sub(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: Drift = Drift { before: 1.0, after: 2.0 };

    /// When drifts are told, with their models, of these detections (sample, model) of three models.
    fn told(detections: &[(u64, usize)]) -> Vec<(u64, Vec<usize>)> {
        let (mut drifts, mut told) = (Drifts::default(), Vec::new());
        for now in 0..5000 {
            for (_, model) in detections.iter().filter(|(at, _)| *at == now) {
                drifts.detected(*model, DRIFT, now);
            }
            if drifts.due(3, now).is_some() {
                told.push((now, drifts.models().collect()));
            }
        }
        told
    }

    #[test]
    fn what_several_models_see_within_a_while_is_one_drift_that_names_them() {
        assert_eq!(told(&[(10, 2), (40, 0), (109, 1)]), [(109, vec![2, 0, 1])]);
        assert_eq!(told(&[(10, 2), (40, 0), (40, 2), (111, 1), (900, 0)]), [(110, vec![2, 0])]);
    }

    #[test]
    fn what_is_seen_after_that_is_the_next_one() {
        assert_eq!(told(&[(10, 2), (1010, 2)]), [(110, vec![2]), (1110, vec![2])]);
        assert_eq!(told(&[]), []);
    }
}
