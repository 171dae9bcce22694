//! Keeps a model that runs away from doing harm: its predictions are stood in for, and it is put back on its feet.
//!
//! It does two independent things. The mean stands in for a model that has cost more than the mean, until the model has
//! earned that back; the model does not change. A model that gives only implausible predictions, so that the mean is
//! published in any case, goes back to good weights or starts anew; its steps keep their statistics of the features,
//! without which it would run away again.
//!
//! Invariant: published predictions are finite and plausible whatever a model predicts, and hardly worse than the
//! better of the mean and the model without a guard. The guard judges the model's own prediction, so that a stand-in
//! does not hide a diverging model. It never changes a healthy model. What this does not do: refuse single samples,
//! which is every model's own duty.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;
use thalweg_models::{ModelConfig, Pipeline};
use thalweg_state::nested;

/// Action for a model that diverges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// None; the mean still stands in for implausible predictions.
    Off,
    /// It goes back to its last good weights; where it diverges again, or there are none, it starts anew.
    #[default]
    RollBack,
    /// It starts anew.
    Reset,
}

checked!(enum Action = Off | RollBack | Reset);

/// Settings of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Action for a model that diverges.
    pub action: Action,
    /// A model has diverged when its predictions are implausible and its RMSE is this many times the mean baseline's,
    /// over about the last 100 samples; > 1.
    pub factor: f64,
    /// Samples between two checks whether the state is good enough to go back to, ≥ 1.
    pub every: u32,
}

checked!(Config { action, factor, every });

impl Default for Config {
    fn default() -> Self {
        Self { action: Action::RollBack, factor: 10.0, every: 1000 }
    }
}

/// Approximate number of samples that the faded errors of the divergence test cover.
const DIVERGENCE_MEMORY_SAMPLES: f64 = 100.0;

/// Samples without a rescue: at the beginning, and at least after each rescue.
const WARM_UP_SAMPLES: u64 = 100;

/// Implausible predictions in a row of a model that has diverged: gradient descent overshoots at first, and a model
/// that is on its way back must not be stopped.
const MIN_IMPLAUSIBLE_IN_A_ROW: u32 = 10;

/// Samples before the first judgement of whether a model costs more than the mean.
const MIN_ACCOUNT_SAMPLES: f64 = 50.0;

/// Approximate number of samples whose costs are compared.
const ACCOUNT_MEMORY_SAMPLES: f64 = 10_000.0;

/// Share of the mean's squared errors by which a model's may exceed them before the mean stands in.
const CREDIT_SHARE: f64 = 0.02;

/// Credit at least, in mean squared errors of the mean: a single sample condemns no model.
const MIN_CREDIT_ERRORS: f64 = 3.0;

/// Factor of the credit of hedged models: their cost is seldom more than a bad moment.
const HEDGED_CREDIT_FACTOR: f64 = 5.0;

/// The model is published again once its squared errors since then fell short of the mean's by this share of these ...
const RETURN_SHARE_OF_MEAN: f64 = 0.005;

/// ... and by this share of its cost.
const RETURN_SHARE_OF_HARM: f64 = 0.5;

/// A prediction is bold when it is beyond the targets so far by this share of their range.
const BOLD_RANGE_SHARE: f64 = 0.25;

/// A bold prediction may be off by so many times what the model has earned.
const BOLD_STAKE_FACTOR: f64 = 2.0;

/// Targets after which their range limits the predictions.
const MIN_RANGE_SAMPLES: u64 = 20;

/// Approximate number of samples that set the usual size of targets.
const SCALE_MEMORY_SAMPLES: f64 = 1000.0;

/// A prediction beyond this many times the usual size of targets is implausible.
const IMPLAUSIBLE_FACTOR: f64 = 100.0;

/// Errors below this share of the targets' usual size are no divergence, however small the baseline's are: the mean of
/// a constant is perfect.
const NEGLIGIBLE_ERROR_SHARE: f64 = 1e-3;

/// Factor by which a model's RMSE must have grown since its least: a model that was always bad may still improve.
const MIN_RMSE_GROWTH: f64 = 2.0;

/// Bytes up to which a model is kept twice; larger ones start anew instead of going back.
const MAX_COPY_BYTES: usize = 1 << 20;

/// Limit of a squared error, so that no sum of them ever becomes, and stays, infinite.
const MAX_SQUARED_ERROR: f64 = 1e302;

/// Returns the lesser one; the second where one is NaN. [`f64::min`] takes four times the instructions.
#[inline]
fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// Returns the greater one; the second where one is NaN.
#[inline]
fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// State of the guard of one model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Guard {
    config: Config,
    /// Faded sums of squared errors, of the model's own predictions and of the baseline's, and of ones.
    model: f64,
    baseline: f64,
    weight: f64,
    /// The least mean squared error the model has had.
    least: f64,
    /// Samples seen since the model started, or started anew.
    seen: u64,
    /// Samples until the guard may step in again.
    rest: u64,
    good: Option<Good>,
    /// Implausible predictions in a row.
    #[serde(default)]
    astray: u32,
    #[serde(default)]
    account: Account,
}

checked!(Guard { config, model, baseline, weight, least, seen, rest, good, astray, account });

/// Account that decides whether a model's prediction is published or the mean instead.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    /// Excess of the published one's squared errors over the other's, since that excess was at its least.
    regret: f64,
    /// Cost of the model when the mean last began to stand in; 0 where it never did.
    harm: f64,
    /// True while the mean stands in.
    replaced: bool,
    /// Gain of the model over the mean: a faded sum of differences of squared errors.
    earned: f64,
    /// The same of its bold predictions alone.
    earned_boldly: f64,
}

checked!(Account { regret, harm, replaced, earned, earned_boldly });

impl Account {
    /// Updates the account; returns `true` where the other one is published from now on.
    #[inline]
    fn settle(&mut self, squared: f64, bold: bool, credit: f64, limits: &Limits) -> bool {
        let cost = greater(lesser(squared, limits.most_in_range), limits.negligible) - limits.stand_in;
        let fading = 1.0 - 1.0 / ACCOUNT_MEMORY_SAMPLES;
        self.earned = fading * self.earned - cost;
        if bold {
            self.earned_boldly = fading * self.earned_boldly - cost;
        }
        let (regret, limit) = if self.replaced {
            (self.regret - cost, greater(limits.proof, RETURN_SHARE_OF_HARM * self.harm))
        } else {
            (self.regret + cost, credit)
        };
        self.regret = greater(regret, 0.0);
        let turned = regret > limit;
        if turned {
            self.turn();
        }
        turned
    }

    /// Returns `true` where a bold prediction may differ this much from the mean.
    fn covers(&self, difference: f64) -> bool {
        self.earned_boldly > 0.0 && difference * difference <= BOLD_STAKE_FACTOR * self.earned
    }

    #[cold]
    fn turn(&mut self) {
        if !self.replaced {
            self.harm = self.regret;
        }
        (self.replaced, self.regret) = (!self.replaced, 0.0);
    }
}

/// A state worth going back to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Good {
    #[serde(deserialize_with = "nested")]
    pipeline: Box<Pipeline>,
    /// True once the model has gone back to it.
    tried: bool,
    /// Samples the models had learned from.
    version: u64,
}

checked!(Good { pipeline, tried, version });

/// A rescue of a model by the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// The model is as it was after so many samples.
    RolledBack {
        /// Samples that the models had learned from then.
        to: u64,
    },
    /// The model has learned nothing.
    Reset,
}

/// An act of the guard on a model or on what is published of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Rescued(Rescue),
    /// True where the mean is published in its stead from the next sample on, false where no longer.
    StandIn(bool),
}

impl Guard {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            model: 0.0,
            baseline: 0.0,
            weight: 0.0,
            least: f64::MAX,
            seen: 0,
            rest: WARM_UP_SAMPLES,
            good: None,
            astray: 0,
            account: Account::default(),
        }
    }

    /// Returns `true` where the model's prediction is published rather than the mean.
    #[inline]
    pub(super) fn believes(&self, prediction: f64, mean: f64, usual: &TargetScale) -> bool {
        let Account { replaced, harm, .. } = self.account;
        let sound = !replaced && usual.is_plausible(prediction);
        sound && (harm == 0.0 || !usual.is_bold(prediction) || self.account.covers(prediction - mean))
    }

    /// Takes note of what the model itself predicted, and steps in where it has diverged. `pipeline` has learned the
    /// sample already.
    // A call for each model and sample would cost a race of two models 2 %.
    #[inline(always)]
    pub(super) fn watch(
        &mut self,
        prediction: f64,
        limits: &Limits,
        version: u64,
        model: &ModelConfig,
        pipeline: &mut Pipeline,
    ) -> Option<Act> {
        if self.config.action == Action::Off {
            return None;
        }
        let (squared, implausible) = limits.judge(prediction);
        self.astray = if implausible { self.astray.saturating_add(1) } else { 0 };
        let fading = 1.0 - 1.0 / DIVERGENCE_MEMORY_SAMPLES;
        self.model = fading * self.model + squared;
        self.baseline = fading * self.baseline + limits.mean;
        self.weight = fading * self.weight + 1.0;
        self.seen += 1;
        self.rest = self.rest.saturating_sub(1);
        self.least = lesser(self.least, self.model / self.weight);
        if self.astray >= MIN_IMPLAUSIBLE_IN_A_ROW && self.rest == 0 && self.has_diverged(limits) {
            return Some(Act::Rescued(self.step_in(model, pipeline)));
        }
        // The copy must be worth going back to: no worse than the baseline.
        if self.config.action == Action::RollBack
            && self.seen.is_multiple_of(u64::from(self.config.every))
            && self.model <= self.baseline
            && is_worth_a_copy(model, pipeline)
        {
            self.good = Some(Good { pipeline: Box::new(pipeline.clone()), tried: false, version });
        }
        let credit = if model.kind.is_hedged() { HEDGED_CREDIT_FACTOR * limits.credit } else { limits.credit };
        let turned = limits.acquainted && self.account.settle(squared, limits.is_bold(prediction), credit, limits);
        turned.then_some(Act::StandIn(self.account.replaced))
    }

    #[cold]
    fn has_diverged(&self, limits: &Limits) -> bool {
        let (error, baseline) = (self.model / self.weight, self.baseline / self.weight);
        let far = self.config.factor * self.config.factor * baseline.max(limits.negligible);
        error > far && error > MIN_RMSE_GROWTH * MIN_RMSE_GROWTH * self.least
    }

    #[cold]
    fn step_in(&mut self, model: &ModelConfig, pipeline: &mut Pipeline) -> Rescue {
        (self.model, self.baseline, self.weight) = (0.0, 0.0, 0.0);
        self.rest = u64::from(self.config.every).max(WARM_UP_SAMPLES);
        match &mut self.good {
            Some(good) if !good.tried => {
                good.tried = true;
                pipeline.take_model_of(&good.pipeline);
                Rescue::RolledBack { to: good.version }
            }
            _ => {
                self.good = None;
                (self.seen, self.least) = (0, f64::MAX);
                pipeline.forget_model(model);
                Rescue::Reset
            }
        }
    }
}

/// Returns true where a model is small enough to be kept twice.
#[cold]
#[inline(never)]
fn is_worth_a_copy(model: &ModelConfig, pipeline: &Pipeline) -> bool {
    // Of a model per key each key would be copied once more when it comes up next, and what it predicts is kept within a range.
    model.kind.key().is_none() && pipeline.memory_bytes() <= MAX_COPY_BYTES
}

/// Limits by which all models' predictions of a sample are judged. Errors are squared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    y: f64,
    /// Predictions outside `low` to `high` are bold.
    low: f64,
    high: f64,
    /// The largest square of a plausible prediction.
    reach: f64,
    /// Largest error that counts, that of a barely plausible prediction: a single sample must not condemn a model.
    most: f64,
    /// The same where the targets' range is known, which limits it more closely.
    most_in_range: f64,
    /// The baseline's error.
    mean: f64,
    /// Error up to which none matters.
    negligible: f64,
    /// The baseline's error, no less than the negligible one.
    stand_in: f64,
    /// Excess over the baseline above which the mean stands in.
    credit: f64,
    /// Gain over the baseline above which the model is published again.
    proof: f64,
    /// True once the account is judged.
    acquainted: bool,
}

impl Limits {
    /// Returns the squared error of a prediction, and whether the prediction is implausible.
    #[inline]
    fn judge(&self, prediction: f64) -> (f64, bool) {
        let error = self.y - prediction;
        // NaN is the worst, and no comparison with it holds.
        let plausible = prediction * prediction <= self.reach;
        (lesser(error * error, self.most), !plausible)
    }

    #[inline]
    fn is_bold(&self, prediction: f64) -> bool {
        !(prediction >= self.low && prediction <= self.high)
    }
}

/// Scale of the targets: their faded mean square and their range; and the errors of the mean.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct TargetScale {
    sum: f64,
    weight: f64,
    /// Range of the targets, and their number; it begins anew in states older than it.
    #[serde(default)]
    low: f64,
    #[serde(default)]
    high: f64,
    #[serde(default)]
    seen: u64,
    /// Faded sums of the mean's squared errors, and of ones.
    #[serde(default)]
    mean: f64,
    #[serde(default)]
    mean_weight: f64,
}

checked!(TargetScale { sum, weight, low, high, seen, mean, mean_weight });

impl TargetScale {
    /// Takes note of a target.
    #[inline]
    pub(super) fn update(&mut self, y: f64) {
        let fading = 1.0 - 1.0 / SCALE_MEMORY_SAMPLES;
        self.sum = (fading * self.sum + y * y).min(f64::MAX);
        self.weight = fading * self.weight + 1.0;
        (self.low, self.high) = if self.seen == 0 { (y, y) } else { (lesser(self.low, y), greater(self.high, y)) };
        self.seen += 1;
    }

    /// Takes note of a target and of the mean's error, and returns the limits by which predictions of it are judged.
    #[inline]
    pub(super) fn judge(&mut self, y: f64, mean: f64) -> Limits {
        let [low, high] = self.near();
        self.update(y);
        let reach = self.reach();
        let most = lesser(greater(reach, y * y), MAX_SQUARED_ERROR);
        let negligible = NEGLIGIBLE_ERROR_SHARE * NEGLIGIBLE_ERROR_SHARE * (self.sum / self.weight);
        let mean = lesser((y - mean) * (y - mean), most);
        let stand_in = greater(mean, negligible);
        let fading = 1.0 - 1.0 / ACCOUNT_MEMORY_SAMPLES;
        self.mean = fading * self.mean + stand_in;
        self.mean_weight = fading * self.mean_weight + 1.0;
        let wide = 2.0 * (self.high - self.low);
        Limits {
            y,
            low,
            high,
            reach,
            most,
            most_in_range: if self.seen < MIN_RANGE_SAMPLES { most } else { lesser(greater(wide * wide, mean), most) },
            mean,
            negligible,
            stand_in,
            credit: self.mean * greater(CREDIT_SHARE, MIN_CREDIT_ERRORS / self.mean_weight),
            proof: RETURN_SHARE_OF_MEAN * self.mean,
            acquainted: self.mean_weight > MIN_ACCOUNT_SAMPLES,
        }
    }

    /// Returns the range in which predictions are not bold.
    #[inline]
    fn near(&self) -> [f64; 2] {
        let beyond = BOLD_RANGE_SHARE * (self.high - self.low);
        if self.seen < MIN_RANGE_SAMPLES { [f64::MIN, f64::MAX] } else { [self.low - beyond, self.high + beyond] }
    }

    #[inline]
    fn is_bold(&self, prediction: f64) -> bool {
        let [low, high] = self.near();
        !(prediction >= low && prediction <= high)
    }

    /// Returns the largest square of a plausible prediction. Before there is a target that is not 0, nothing is
    /// implausible.
    #[inline]
    fn reach(&self) -> f64 {
        if self.sum > 0.0 { IMPLAUSIBLE_FACTOR * IMPLAUSIBLE_FACTOR * (self.sum / self.weight) } else { f64::MAX }
    }

    /// Returns `true` where a prediction may be published.
    #[inline]
    pub(super) fn is_plausible(&self, prediction: f64) -> bool {
        // False for NaN, and for what is not finite.
        prediction * prediction <= self.reach()
    }
}
