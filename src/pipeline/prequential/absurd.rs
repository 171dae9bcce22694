//! Values that robust models do not learn as they are.
//!
//! Invariant: scores use the target as it came. A model that is not robust sees every value as it came. Samples learned
//! before values could be judged are learned anew where one held an absurd value.

use super::{Baseline, Event, Prequential, TargetScale};
use thalweg_models::{Features, Pipeline};

impl Prequential {
    /// Returns `true` where a sample is as usual, so that all models may see it as it is.
    #[inline]
    pub(super) fn is_usual(&self, x: Features<'_>) -> bool {
        !self.fence.judges() || self.fence.is_usual(x)
    }

    /// Returns the row that robust models see of an unusual sample; one without a target changes nothing.
    #[cold]
    pub(super) fn admit(&mut self, x: Features<'_>, learns: bool) -> Vec<f64> {
        let Self { fence, buffers, events, .. } = self;
        let fenced = &mut buffers.fenced;
        if learns {
            fence.admit(x, fenced, |outlier| events.push(Event::Outlier(outlier)));
        } else {
            fence.peek(x, fenced);
        }
        std::mem::take(fenced)
    }

    /// Returns the target that robust models learn.
    #[inline]
    pub(super) fn admit_target(&mut self, y: f64) -> f64 {
        let Self { fence, events, .. } = self;
        fence.next();
        if fence.judges() { fence.admit_target(y, |outlier| events.push(Event::Outlier(outlier))) } else { y }
    }

    /// Begins to judge values once enough are known, where a model is to be robust.
    #[inline]
    pub(super) fn begin_to_judge_when_due(&mut self) {
        if self.fence.is_due(self.version, &self.recent) && self.config.models.iter().any(|model| model.robust) {
            self.begin_to_judge();
        }
    }

    #[cold]
    fn begin_to_judge(&mut self) {
        let Self { fence, recent, events, contenders, baseline, wiring, config, buffers, usual, .. } = self;
        let scratch = &mut buffers.scratch;
        let before = events.len();
        fence.begin(recent, |outlier| events.push(Event::Outlier(outlier)));
        // Models that have learned more than these samples cannot learn them anew.
        if events.len() == before || self.version != recent.len() as u64 {
            return;
        }
        for (i, contender) in contenders.iter_mut().enumerate().filter(|(_, contender)| contender.config.robust) {
            if wiring.sees_features(i) {
                contender.relearn(recent, config, scratch);
            } else if contender.pipeline.champion().is_none() {
                // It learned from predictions of models that absurd values had misled.
                contender.pipeline = Pipeline::new(&contender.config);
            }
        }
        if let Baseline::Own(own) = baseline {
            own.relearn(recent, config, scratch);
        }
        *usual = TargetScale::default();
        recent.rows().for_each(|(_, y)| usual.update(y));
    }
}
