//! Predict, score, learn: the order is written here and nowhere else.
//!
//! Invariant: every model predicts a sample before any of them learns from it, and is scored on that prediction. The
//! daemon, `replay`, tests and benchmarks all call [`Prequential::step`]. It knows no transport, clock or entropy: the
//! same samples give the same bits.
//! What this does not do: decode, publish, or decide when to save.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::snapshot::ModelSnapshot;
use crate::{
    metrics::{Rolling, Scores, skill},
    models::{Features, ModelConfig, ModelKind, Pipeline, Scratch},
};

/// Scored samples between two elections of the champion: often enough to follow a drift, seldom enough not to flap.
const ELECTION_EVERY: u64 = 100;

/// All models of one partition with their metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prequential {
    contenders: Vec<Contender>,
    /// What skill is measured against; one of its own where no configured model is `mean`.
    baseline: Baseline,
    champion: usize,
    /// Samples learned from.
    version: u64,
    window: usize,
    #[serde(skip)]
    predictions: Vec<f64>,
    #[serde(skip)]
    scratch: Scratch,
}

/// A model in the race.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contender {
    config: ModelConfig,
    name: Arc<str>,
    pipeline: Pipeline,
    total: Scores,
    rolling: Rolling,
    refused: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Baseline {
    /// Index of the configured one.
    Configured(usize),
    Own(Box<Contender>),
}

/// What one sample brought.
#[derive(Debug)]
pub struct Step<'a> {
    /// A prediction per model, in configured order, made before anything was learned from the sample.
    pub predictions: &'a [f64],
    /// Index of the model whose prediction is the published one.
    pub champion: usize,
    /// Samples the models had learned from when they predicted.
    pub version: u64,
    /// The champion before, where this sample brought a change that counts from the next one on.
    pub dethroned: Option<usize>,
}

impl Prequential {
    /// Models that have learned nothing, in the order given (at least one); `window` scored samples make the rolling
    /// metrics.
    pub fn new(models: &[ModelConfig], window: usize) -> Self {
        let contenders: Vec<Contender> = models.iter().map(|config| Contender::new(config, window)).collect();
        let baseline = match models.iter().position(|config| config.kind == ModelKind::Mean) {
            Some(i) => Baseline::Configured(i),
            None => {
                let config = ModelConfig { name: "mean".into(), scale: false, kind: ModelKind::Mean };
                Baseline::Own(Box::new(Contender::new(&config, window)))
            }
        };
        Self {
            predictions: vec![0.0; contenders.len()],
            contenders,
            baseline,
            champion: 0,
            version: 0,
            window,
            scratch: Scratch::default(),
        }
    }

    /// Goes on from a stored state under today's settings: a model that is configured exactly as it was keeps what it
    /// has learned, any other starts afresh. Names those that do.
    pub fn restored(stored: Self, models: &[ModelConfig], window: usize) -> (Self, Vec<String>) {
        let unchanged = stored.window == window
            && stored.contenders.len() == models.len()
            && stored.contenders.iter().zip(models).all(|(contender, config)| contender.config == *config);
        if unchanged {
            let predictions = vec![0.0; models.len()];
            return (Self { predictions, ..stored }, Vec::new());
        }
        let mut fresh = Self::new(models, window);
        fresh.version = stored.version;
        let champion = stored.contenders.get(stored.champion).map(|contender| contender.name.clone());
        let mut kept: Vec<Contender> = stored.contenders;
        if let Baseline::Own(own) = stored.baseline {
            kept.push(*own);
        }
        let mut afresh = Vec::new();
        for contender in fresh.all_mut() {
            match kept.iter().position(|old| old.config == contender.config) {
                Some(i) => {
                    let mut old = kept.swap_remove(i);
                    if stored.window != window {
                        old.rolling = Rolling::new(window);
                    }
                    *contender = old;
                }
                None => afresh.push(contender.config.name.clone()),
            }
        }
        fresh.champion =
            fresh.contenders.iter().position(|contender| Some(&contender.name) == champion.as_ref()).unwrap_or(0);
        (fresh, afresh)
    }

    /// One sample: all models predict; where there is a target they are scored, then they learn.
    pub fn step(&mut self, x: Features<'_>, target: Option<f64>) -> Step<'_> {
        let (champion, version) = (self.champion, self.version);
        let Self { contenders, predictions, scratch, baseline, .. } = self;
        for (prediction, contender) in predictions.iter_mut().zip(contenders.iter()) {
            *prediction = contender.pipeline.predict_one(x, scratch);
        }
        if predictions.iter().any(|prediction| !prediction.is_finite()) {
            // Finite weights can still overflow on a runaway sample; then the mean is the honest guess.
            let mean = match &*baseline {
                Baseline::Configured(i) => predictions[*i],
                Baseline::Own(own) => own.pipeline.predict_one(x, scratch),
            };
            predictions
                .iter_mut()
                .filter(|prediction| !prediction.is_finite())
                .for_each(|prediction| *prediction = mean);
        }
        let mut dethroned = None;
        if let Some(y) = target {
            if let Baseline::Own(own) = baseline {
                let prediction = own.pipeline.predict_one(x, scratch);
                own.score(y, prediction);
                own.learn(x, y, scratch);
            }
            for (contender, prediction) in contenders.iter_mut().zip(predictions.iter()) {
                contender.score(y, *prediction);
            }
            for contender in contenders.iter_mut() {
                contender.learn(x, y, scratch);
            }
            self.version += 1;
            if self.version.is_multiple_of(ELECTION_EVERY) {
                dethroned = self.elect();
            }
        }
        Step { predictions: &self.predictions, champion, version, dethroned }
    }

    /// The names by which the models' predictions go, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.contenders.iter().map(|contender| &contender.name)
    }

    /// Index of the champion.
    pub fn champion(&self) -> usize {
        self.champion
    }

    /// Samples learned from.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Rolling RMSE of model `i`, in the target's unit.
    pub fn rolling_rmse(&self, i: usize) -> f64 {
        self.contenders.get(i).map_or(0.0, |contender| contender.rolling.scores().rmse())
    }

    /// Every model's standing, in configured order.
    pub fn standings(&self) -> Vec<ModelSnapshot> {
        let baseline = match &self.baseline {
            Baseline::Configured(i) => &self.contenders[*i],
            Baseline::Own(own) => own,
        };
        let (base_total, base_rolling) = (baseline.total.rmse(), baseline.rolling.scores().rmse());
        let standing = |contender: &Contender| {
            let rolling = contender.rolling.scores();
            ModelSnapshot {
                name: contender.name.clone(),
                kind: contender.config.kind.name(),
                total: contender.total,
                rolling,
                skill: skill(rolling.rmse(), base_rolling),
                total_skill: skill(contender.total.rmse(), base_total),
                refused: contender.refused,
            }
        };
        self.contenders.iter().map(standing).collect()
    }

    /// The model with the lowest rolling RMSE becomes champion; the first of equals, and the present one before others.
    fn elect(&mut self) -> Option<usize> {
        let present = self.champion;
        let mut best = self.rolling_rmse(present);
        for i in 0..self.contenders.len() {
            let rmse = self.rolling_rmse(i);
            if rmse < best {
                (self.champion, best) = (i, rmse);
            }
        }
        (self.champion != present).then_some(present)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Contender> {
        let own = match &mut self.baseline {
            Baseline::Configured(_) => None,
            Baseline::Own(own) => Some(own.as_mut()),
        };
        self.contenders.iter_mut().chain(own)
    }
}

impl Contender {
    fn new(config: &ModelConfig, window: usize) -> Self {
        Self {
            name: config.name.as_str().into(),
            pipeline: Pipeline::new(config),
            config: config.clone(),
            total: Scores::default(),
            rolling: Rolling::new(window),
            refused: 0,
        }
    }

    fn score(&mut self, y: f64, prediction: f64) {
        self.total.update(y, prediction);
        self.rolling.update(y, prediction);
    }

    fn learn(&mut self, x: Features<'_>, y: f64, scratch: &mut Scratch) {
        // The model is as it was; the count says that it refuses, which the log and the metrics show.
        if self.pipeline.learn_one(x, y, scratch).is_err() {
            self.refused += 1;
        }
    }
}
