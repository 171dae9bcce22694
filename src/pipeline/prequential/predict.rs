//! What all models predict for one sample: the first third of a step, and all that is done where nothing is to be learned.
//!
//! Invariant: nothing but the buffers changes, so that any number of threads can predict from one race; what a step would
//! publish for a sample and what [`Prequential::predict_only`] gives for it are the same bits.

use super::{Baseline, Bounds, Candidate, MemberGraph, Prequential, TargetScale};
use thalweg_metrics::Interval;
use thalweg_models::{Features, Scratch};

/// Predictions of one sample, and what making them needs.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Each model's own prediction, in configured order.
    pub(super) raw: Vec<f64>,
    /// What is published for it.
    pub(super) predictions: Vec<f64>,
    /// Columns of a model over others' predictions.
    pub(super) row: Vec<f64>,
    /// The row that robust models see.
    pub(super) fenced: Vec<f64>,
    pub(super) scratch: Scratch,
}

impl Buffers {
    /// Creates buffers for so many models.
    pub(super) fn new(models: usize) -> Self {
        Self { raw: vec![0.0; models], predictions: vec![0.0; models], ..Self::default() }
    }
}

/// The parts of a race that predict.
#[derive(Clone, Copy)]
pub(super) struct Predictors<'r> {
    pub(super) contenders: &'r [Candidate],
    pub(super) baseline: &'r Baseline,
    pub(super) usual: &'r TargetScale,
    pub(super) bounds: Bounds,
    pub(super) wiring: &'r MemberGraph,
}

impl Predictors<'_> {
    /// Makes every model's own and published prediction, and returns the baseline's. `x` is the sample as it is, and as
    /// robust models see it, and `keys` are its keys.
    #[inline(always)]
    pub(super) fn predict(self, x: [Features<'_>; 2], keys: &[Option<String>], buffers: &mut Buffers) -> f64 {
        let Self { contenders, baseline, bounds, wiring, .. } = self;
        let Buffers { raw, predictions, scratch, .. } = buffers;
        for (i, (contender, own)) in contenders.iter().zip(&mut *raw).enumerate() {
            if wiring.sees_features(i) {
                *own = contender.pipeline.predict_one(contender.sees(x), scratch);
            }
        }
        let mean = match baseline {
            Baseline::Configured(i) => raw[*i],
            Baseline::Own(own) => own.pipeline.predict_one(own.sees(x), scratch),
        };
        for ((prediction, &own), contender) in predictions.iter_mut().zip(&*raw).zip(contenders) {
            *prediction = self.published(contender, own, mean);
        }
        if !wiring.ensembles.is_empty() {
            self.predict_ensembles(x, keys, mean, buffers);
        }
        bounds.cut(mean)
    }

    /// Returns what is published of a model's own prediction.
    #[inline(always)]
    fn published(&self, contender: &Candidate, own: f64, mean: f64) -> f64 {
        // Finite weights can still give absurd predictions, and a model can do worse than the mean; then the mean is
        // the honest guess.
        let sound = contender.guard.as_ref().map_or(own.is_finite(), |guard| guard.believes(own, mean, self.usual));
        self.bounds.cut(if sound { own } else { mean })
    }

    /// Makes the predictions of models that see others', in an order in which they can.
    #[inline(never)]
    fn predict_ensembles(&self, x: [Features<'_>; 2], keys: &[Option<String>], mean: f64, buffers: &mut Buffers) {
        let Buffers { raw, predictions, row, scratch, .. } = buffers;
        for ensemble in &self.wiring.ensembles {
            let (i, contender) = (ensemble.model, &self.contenders[ensemble.model]);
            raw[i] = match ensemble.given(keys, predictions).zip(contender.pipeline.per_key()) {
                Some((given, model)) => model.predict(contender.sees(x), given),
                None => {
                    let columns = Features::new(ensemble.columns(predictions, row));
                    contender.pipeline.predict_one(columns, scratch)
                }
            };
            predictions[i] = self.published(contender, raw[i], mean);
        }
    }
}

/// What a race predicts for one sample.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'b> {
    /// A prediction per model, in configured order.
    pub predictions: &'b [f64],
    /// Interval around the champion's; `None` where none is configured, and before anything was scored.
    pub interval: Option<Interval>,
}

impl Prequential {
    /// Returns buffers for [`Prequential::predict_only`].
    pub fn buffers(&self) -> Buffers {
        Buffers::new(self.contenders.len())
    }

    fn predictors(&self) -> Predictors<'_> {
        let Self { contenders, baseline, usual, bounds, wiring, .. } = self;
        Predictors { contenders, baseline, usual, bounds: *bounds, wiring }
    }

    /// Predicts what [`Prequential::step`] would publish for a sample, and changes nothing. `has_target` says whether the
    /// sample has one, since a step then also judges whether an unusual row has become usual.
    pub fn predict_only<'b>(
        &self,
        x: Features<'_>,
        keys: &[Option<String>],
        has_target: bool,
        buffers: &'b mut Buffers,
    ) -> Prediction<'b> {
        if self.is_usual(x) {
            self.predictors().predict([x; 2], keys, buffers);
        } else {
            let mut row = std::mem::take(&mut buffers.fenced);
            if has_target {
                self.fence.clone().admit(x, &mut row, |_| {});
            } else {
                self.fence.peek(x, &mut row);
            }
            self.predictors().predict([x, x.replaced(&row)], keys, buffers);
            buffers.fenced = row;
        }
        let published = buffers.predictions[self.champion];
        let around = self.intervals.as_ref().and_then(|intervals| intervals.around(published));
        Prediction { predictions: &buffers.predictions, interval: around.map(|interval| self.bounds.within(interval)) }
    }
}
