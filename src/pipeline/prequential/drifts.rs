//! Drifts of the stream, from the detections of each model's detector.
//!
//! A change of the stream shows in the errors of several models, in some again and again until they have learned it:
//! that is one drift. Baselines raise none, since they cannot follow anything; their detections are counted as any
//! model's.
//!
//! Invariant: from one drift to the next at least [`MIN_DRIFT_DISTANCE_SAMPLES`] samples are scored, and each is
//! reported once.

use serde::{Deserialize, Serialize};

use super::Drift;
use thalweg_metrics::checked;

/// Scored samples within which all detections belong to the same drift.
pub(super) const MIN_DRIFT_DISTANCE_SAMPLES: u64 = 1000;

/// Scored samples for which the report of a drift waits for further models, so that its event names them.
pub(super) const GATHERING_SAMPLES: u64 = 100;

/// The latest drift.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Drifts {
    /// Number of samples scored when it was first seen; `None` before the first drift.
    began: Option<u64>,
    /// Detections before it was reported, one per model.
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
    /// Takes a change that a model's detector has seen at sample `now`.
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

    /// Returns `true` where there is a drift that was not reported.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.began.is_some() && !self.told
    }

    /// Returns the drift to be reported now, once, as the first model saw it. It is due when all of the `watched`
    /// models have seen it, or when the time to gather them is over.
    pub(super) fn due(&mut self, watched: usize, now: u64) -> Option<(usize, Drift)> {
        let began = self.began.filter(|_| self.is_open())?;
        if self.seen.len() < watched && now.saturating_sub(began) < GATHERING_SAMPLES {
            return None;
        }
        self.told = true;
        self.seen.first().map(|first| (first.model as usize, first.drift))
    }

    /// Returns the models that had seen the latest drift when it was reported.
    pub(super) fn models(&self) -> impl Iterator<Item = usize> {
        self.seen.iter().map(|seen| seen.model as usize)
    }

    /// Returns the number of samples scored between the first detection and `now`.
    pub(super) fn age(&self, now: u64) -> u64 {
        self.began.map_or(0, |began| now.saturating_sub(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: Drift = Drift { before: 1.0, after: 2.0 };

    /// Returns the reports of drifts, with their models, for these detections (sample, model) of three models.
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
