//! A model per key: each key has models of its own, beside a model of all keys.
//!
//! A key begins with the predictions of that model, its prior. Its own models learn what the prior leaves (as stagewise additive models
//! do: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, 10.2), or the target itself, and one of them is
//! followed where it is better by its errors of late. What a key's few samples say of that is shrunk towards what all keys say
//! (Efron and Morris 1975, "Data analysis using Stein's estimator and its generalizations"), so that a new key follows soon what helps
//! the others, and none is misled by a few lucky samples.
//!
//! Invariant: a key's own models have seen the samples of that key alone, and predict within the range of what these have left. All keys
//! are within a budget of bytes; those that came up least recently give way, and begin anew when they come back.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::{
    Description, Features, ModelConfig, ModelKind, NamedColumn, Pipeline, Refused, Regressor, Scratch, champion,
    describe::{self, Followed, KeyStanding, Predictor},
    keyed::{Keyed, State},
    least_squares::TargetRange,
    steps::StepDescription,
};
use thalweg_metrics::checked;

/// Parameters of [`PerKey`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Field by which models are kept apart; `$key` is the record's own key.
    pub by: String,
    /// Name of the model whose predictions are the prior, which is 0 where there is none.
    pub base: Option<String>,
    /// Models that each key has one of, at least one; none of them goes by other models' predictions.
    pub models: Vec<ModelConfig>,
    /// What each of them learns, at least one of both: a key has one for each.
    pub learns: Vec<Learns>,
    /// Share of the prior's RMSE by which another one must be better, 0 or more and under 1.
    pub margin: f64,
    /// Bytes that all keys may take.
    pub budget: usize,
}

checked!(Params { by, base, models, learns, margin, budget });

/// What a model of a key's own learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learns {
    /// What the prior leaves of the target.
    Residual,
    /// The target.
    Target,
}

checked!(enum Learns = Residual | Target);

impl Learns {
    /// Returns what is to be learned of a target, and what is added to a prediction.
    fn of(self, prior: f64) -> f64 {
        match self {
            Self::Residual => prior,
            Self::Target => 0.0,
        }
    }
}

impl Params {
    /// Bytes that all keys may take unless the settings say otherwise.
    pub const DEFAULT_BUDGET: usize = 64 << 20;
}

impl Default for Params {
    /// Returns parameters without a key and a prior, which the settings ask for.
    fn default() -> Self {
        Self {
            by: String::new(),
            base: None,
            models: vec![ModelConfig::with_default_steps(ModelKind::Linear(Default::default()))],
            learns: vec![Learns::Residual, Learns::Target],
            margin: champion::Params::DEFAULT_MARGIN,
            budget: Self::DEFAULT_BUDGET,
        }
    }
}

thread_local! {
    /// Predicting changes no model, and any number of threads may do so at once.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A model per key. See the [module's documentation](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PerKey {
    base: Option<String>,
    models: Vec<ModelConfig>,
    learns: Vec<Learns>,
    margin: f64,
    budget: usize,
    /// By how much each own model is ahead of the prior, over all keys.
    leads: Vec<Lead>,
    keys: Keyed<Local>,
}

checked!(PerKey { base, models, learns, margin, budget, leads, keys } then fits);

/// What is known of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Local {
    /// Faded mean of the prior's squared errors.
    error: f64,
    /// Samples learned.
    n: u64,
    own: Box<[Own]>,
    /// Place of the one that is followed; none where that is the prior.
    followed: Option<u32>,
    /// Bytes that it took when it had learned last. Buffers that are not saved count in these, and keys must give way alike after a
    /// restart. So small that no number of damaged ones overflows a sum.
    bytes: u32,
}

checked!(Local { error, n, own, followed, bytes });

/// A model of a key's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Own {
    pipeline: Pipeline,
    /// Range of what it has learned.
    range: TargetRange,
    /// Faded mean of its squared errors.
    error: f64,
}

checked!(Own { pipeline, range, error });

/// By how much a model is ahead of the prior: a faded mean over samples of the prior's squared error less the model's, as shares of
/// what the prior's usually is for the key.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Lead {
    n: u64,
    mean: f64,
}

checked!(Lead { n, mean });

/// Samples of a key, of which half are behind it, that its errors of late cover at most.
const MAX_MEMORY_SAMPLES: f64 = 2000.0;

/// Samples that the lead over all keys covers.
const MAX_LEAD_SAMPLES: f64 = 1000.0;

/// Samples of a key that count as much as what all keys say.
const PRIOR_SAMPLES: f64 = 20.0;

/// A single sample counts no more than this in a lead.
const MAX_LEAD: f64 = 10.0;

/// Squared errors are capped here, so that no sum of them overflows.
const MAX_SQUARED_ERROR: f64 = 1e150;

impl Own {
    fn new(config: &ModelConfig) -> Self {
        Self { pipeline: Pipeline::new(config), range: TargetRange::default(), error: 0.0 }
    }

    fn predict(&self, x: Features<'_>, learns: Learns, prior: f64, scratch: &mut Scratch) -> f64 {
        learns.of(prior) + self.range.clip(self.pipeline.predict_one(x, scratch))
    }
}

impl Lead {
    fn update(&mut self, lead: f64) {
        self.n += 1;
        self.mean += (lead - self.mean) / (self.n as f64).min(MAX_LEAD_SAMPLES);
    }
}

impl Local {
    fn new(of: Of<'_>) -> Self {
        let own = of.own().map(|(config, _)| Own::new(config)).collect();
        Self { error: 0.0, n: 0, own, followed: None, bytes: 0 }
    }

    /// Returns the place of the one that is followed, where the prior has the first one.
    fn place(&self) -> usize {
        self.followed.map_or(0, |i| i as usize + 1)
    }

    fn predict(&self, x: Features<'_>, prior: f64, of: Of<'_>, scratch: &mut Scratch) -> f64 {
        let followed = self.followed.and_then(|i| self.own.get(i as usize).zip(of.own().nth(i as usize)));
        followed.map_or(prior, |(own, (_, learns))| own.predict(x, learns, prior, scratch))
    }

    /// Appends what each of its own models predicts.
    fn predictions(&self, x: Features<'_>, prior: f64, of: Of<'_>, scratch: &mut Scratch, predictions: &mut Vec<f64>) {
        let own = self.own.iter().zip(of.own());
        predictions.extend(own.map(|(own, (_, learns))| own.predict(x, learns, prior, scratch)));
    }

    /// Learns a sample. `said` is what its own models had predicted for it, where that is long ago.
    fn learn(
        &mut self,
        x: Features<'_>,
        [prior, y]: [f64; 2],
        said: &[f64],
        of: Of<'_>,
        leads: &mut [Lead],
        scratch: &mut Scratch,
    ) {
        let squared = |prediction: f64| ((y - prediction) * (y - prediction)).min(MAX_SQUARED_ERROR);
        let default = squared(prior);
        self.n += 1;
        let memory = (0.5 * self.n as f64).clamp(1.0, MAX_MEMORY_SAMPLES);
        self.error += (default - self.error) / memory;
        let mut best = of.margin * (2.0 - of.margin);
        self.followed = None;
        for (i, ((own, lead), (config, learns))) in self.own.iter_mut().zip(leads).zip(of.own()).enumerate() {
            let prediction = said.get(i).copied().unwrap_or_else(|| own.predict(x, learns, prior, scratch));
            let error = squared(prediction);
            own.error += (error - own.error) / memory;
            if self.error > 0.0 {
                lead.update(((default - error) / self.error).clamp(-MAX_LEAD, MAX_LEAD));
                let own_lead = 1.0 - own.error / self.error;
                let shrunk = (memory * own_lead + PRIOR_SAMPLES * lead.mean) / (memory + PRIOR_SAMPLES);
                if shrunk > best {
                    (best, self.followed) = (shrunk, Some(i as u32));
                }
            }
            let learned = y - learns.of(prior);
            own.range.learn(learned);
            // One that would not be finite has run away, and nothing of it is worth keeping.
            if own.pipeline.learn_one(x, learned, scratch).is_err() {
                own.pipeline = Pipeline::new(config);
            }
        }
        let bytes = |own: &Own| size_of::<Own>() - size_of::<Pipeline>() + own.pipeline.memory_bytes();
        let bytes = size_of::<Self>() + self.own.iter().map(bytes).sum::<usize>();
        self.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    }
}

/// The models of a key, what they learn, and the margin by which one must be better.
#[derive(Clone, Copy)]
struct Of<'m> {
    models: &'m [ModelConfig],
    learns: &'m [Learns],
    margin: f64,
}

impl<'m> Of<'m> {
    /// Returns the own models in order, and what each learns.
    fn own(self) -> impl Iterator<Item = (&'m ModelConfig, Learns)> {
        self.models.iter().flat_map(move |model| self.learns.iter().map(move |learns| (model, *learns)))
    }
}

impl State for Local {
    fn memory_bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl PerKey {
    /// Makes one that knows no key yet.
    pub fn new(params: &Params) -> Self {
        let mut keys = Keyed::default();
        keys.set_budget(params.budget);
        let Params { base, models, learns, margin, budget, .. } = params.clone();
        let leads = vec![Lead::default(); models.len() * learns.len()];
        Self { base, models, learns, margin, budget, leads, keys }
    }

    /// Takes other limits: what keys may take, and the margin.
    pub(crate) fn adopt(&mut self, params: &Params) {
        (self.budget, self.margin) = (params.budget, params.margin);
        self.keys.set_budget(self.budget);
    }

    fn fits(&mut self) -> Result<(), &'static str> {
        self.keys.set_budget(self.budget);
        let own = self.of().own().count();
        let fits = |local: &Local| local.own.len() == own && local.followed.is_none_or(|i| (i as usize) < own);
        let fit = self.leads.len() == own && self.keys.iter().all(|(_, local)| fits(local));
        if fit { Ok(()) } else { Err("a key has other models than all") }
    }

    fn of(&self) -> Of<'_> {
        Of { models: &self.models, learns: &self.learns, margin: self.margin }
    }

    /// Predicts for `x`; never learns.
    pub fn predict(&self, x: Features<'_>, given: Given<'_>) -> f64 {
        let local = self.keys.get(given.bytes());
        let predict =
            |local: &Local| SCRATCH.with_borrow_mut(|scratch| local.predict(x, given.prior, self.of(), scratch));
        local.map_or(given.prior, predict)
    }

    /// Appends the predictions for `x` of the key's own models.
    pub fn predictions(&self, x: Features<'_>, given: Given<'_>, predictions: &mut Vec<f64>) {
        SCRATCH.with_borrow_mut(|scratch| match self.keys.get(given.bytes()) {
            Some(local) => local.predictions(x, given.prior, self.of(), scratch, predictions),
            None => Local::new(self.of()).predictions(x, given.prior, self.of(), scratch, predictions),
        });
    }

    /// Learns that `x` had the target `y`. `said` is what [`predictions`](Self::predictions) said when it was predicted, where its
    /// target came late, and else empty.
    ///
    /// # Errors
    /// [`Refused`] where the target, the prior or their difference is beyond what can be learned; nothing has changed then.
    pub fn learn(&mut self, x: Features<'_>, given: Given<'_>, y: f64, said: &[f64]) -> Result<(), Refused> {
        if ![y, given.prior, y - given.prior].into_iter().all(TargetRange::accepts) {
            return Err(Refused);
        }
        let Self { models, learns, margin, leads, keys, .. } = self;
        let of = Of { models, learns, margin: *margin };
        SCRATCH.with_borrow_mut(|scratch| {
            let learn = |local: &mut Local| local.learn(x, [given.prior, y], said, of, leads, scratch);
            keys.update(given.bytes(), || Local::new(of), learn);
        });
        Ok(())
    }

    /// Returns how many keys have a model.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Returns the bytes that all keys may take.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Returns true where a key has a model.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.get(key.as_bytes()).is_some()
    }

    /// Returns how many keys had to give way to others.
    pub fn evicted(&self) -> u64 {
        self.keys.evicted()
    }

    /// Returns the standing of a key, and what each of its own models has learned; `None` where it has none. `columns` are those of
    /// the samples.
    pub fn of_key(&self, key: &str, columns: &[NamedColumn]) -> Option<(KeyStanding, Vec<OwnDescription>)> {
        let local = self.keys.get(key.as_bytes())?;
        let describe = |(own, name): (&Own, String)| {
            let (steps, learned) = own.pipeline.describe(columns.to_vec());
            OwnDescription { name, steps, learned }
        };
        Some((self.standing(key.as_bytes(), local), local.own.iter().zip(self.names()).map(describe).collect()))
    }

    /// Returns the names of all that may predict for a key, the prior's first.
    fn predictors(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.base.clone().unwrap_or_else(|| "0".to_owned())).chain(self.names())
    }

    /// Returns the names of the own models.
    fn names(&self) -> impl Iterator<Item = String> {
        self.of().own().map(|(model, learns)| match (learns, &self.base) {
            (Learns::Residual, Some(base)) => format!("{base} + {}", model.name),
            (Learns::Residual, None) => model.name.clone(),
            (Learns::Target, _) => format!("{} alone", model.name),
        })
    }

    fn standing(&self, key: &[u8], local: &Local) -> KeyStanding {
        let errors = std::iter::once(local.error).chain(local.own.iter().map(|own| own.error));
        let predictor = |(name, error): (String, f64)| Predictor { name, recent_rmse: error.sqrt() };
        let predictors: Vec<Predictor> = self.predictors().zip(errors).map(predictor).collect();
        KeyStanding {
            key: String::from_utf8_lossy(key).into_owned(),
            n: local.n,
            followed: predictors.get(local.place()).map_or_else(String::new, |it| it.name.clone()),
            predictors,
        }
    }
}

/// What a model of a key's own has learned: of the residuals, in the target's unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnDescription {
    /// Name of the model.
    pub name: String,
    /// What its steps have learned.
    pub steps: Vec<StepDescription>,
    /// What it has learned itself.
    pub learned: Description,
}

/// What a model per key is given beside the features.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// The sample's key; samples without one share a model.
    pub key: Option<&'a str>,
    /// What the model of all keys predicts, in the target's unit.
    pub prior: f64,
}

impl<'a> Given<'a> {
    fn bytes(self) -> &'a [u8] {
        self.key.unwrap_or_default().as_bytes()
    }
}

/// It is the model of samples without a key and a prior. A race calls none of these. All other models would pay for them where they
/// are inlined, and where it is not plain that they only read the row, which each caller then copies.
impl Regressor for PerKey {
    #[cold]
    #[inline(never)]
    fn predict_one(&self, x: Features<'_>) -> f64 {
        self.predict(x.replaced(x.values()), Given::default())
    }

    #[cold]
    #[inline(never)]
    fn learn_one(&mut self, x: Features<'_>, y: f64, _weight: f64) -> Result<(), Refused> {
        self.learn(x.replaced(x.values()), Given::default(), y, &[])
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.keys.bytes()
    }

    fn describe(&self, _columns: &[NamedColumn]) -> Description {
        let mut counts = vec![0; self.leads.len() + 1];
        self.keys.iter().for_each(|(_, local)| counts[local.place()] += 1);
        let followed = self.predictors().zip(counts).map(|(name, keys)| Followed { name, keys }).collect();
        let keys = self.keys.iter().map(|(key, local)| self.standing(key, local)).collect();
        let (count, evicted) = (self.keys(), self.keys.evicted());
        Description::PerKey(describe::PerKey { keys, count, evicted, followed })
    }
}
