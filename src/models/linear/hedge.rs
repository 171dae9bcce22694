//! The optimizer that needs no tuning: several normalised step sizes at once, hedged.
//!
//! Four vectors of weights (lanes) learn from every sample, each by steps of another size: as if every sample counted
//! the same, as if the last hundred did, and by a third of, or all of, the sample's error. A fifth expert predicts the
//! mean of the targets (or what else minimises the loss). The prediction is their mean, weighted by how much smaller
//! each one's loss was lately
//! Erven 2014, faded), which is a linear model again.
//!
//! - A step is implicit: it never passes the target it aims at (Kulis and Bartlett 2010; Karampatziakis and Langford
//!   2011), and a sample of weight h is as h samples. Every weight has its own scale: the sum of squares of its feature
//!   (diagonal second order: Orabona and Crammer 2010), never under the feature's mean square (Ross, Mineiro and Langford
//!   2013), so that neither the features' nor the target's unit matters.
//! - The influence of a single sample is bounded: its target counts as at most `MAX_ERROR_RATIO` usual errors from what was
//!   predicted (Huber 1964), its features as at most `MAX_VALUE_RATIO` root mean squares or the largest before. What
//!   lasts is followed, since errors and squares are measured over some hundred samples.
//! - Where that predicts better, by the losses so far, a value counts in a prediction as at most what it was learned as: a
//!   straight line may go on beyond what was seen, and a rare value may be no more than a surprise.
//! - A prediction stays within what targets were, and beyond on the side on which they have the longer tail.
//!
//! Invariant: all numbers are finite. What this does not do: unknown features, nominal ones and zeros cost nothing, and
//! change nothing.

use serde::{Deserialize, Serialize};

use super::{MAX_STEP, Params};
use crate::{Features, Refused, compact_vec::lengthen, loss::Loss};
use thalweg_metrics::checked;

/// Number of weight vectors. The first two learn by sums of squares, the others by shares of the error.
const LANES: usize = 4;

/// Number of lanes that learn by sums of squares.
const SUM_LANES: usize = 2;

/// Number of experts: the lanes and the mean.
const EXPERTS: usize = LANES + 1;

/// Share of its weight that a sample keeps per later sample in sums of squares.
const FORGETTING: [f64; SUM_LANES] = [1.0, 0.99];

/// Share of the error on a sample that a step removes.
const ERROR_SHARES: [f64; LANES - SUM_LANES] = [0.3, 1.0];

/// Share of its weight that a difference of losses keeps per later sample.
const LOSS_FADING: f64 = 0.999;

/// Number of samples that a feature's mean square looks back, about.
const SQUARE_WINDOW: f64 = 1000.0;

/// Number of values of a feature before its values are bounded.
const MIN_VALUES_TO_BOUND: f64 = 4.0;

/// Bound on a value, in root mean squares; the largest value so far is allowed, too.
const MAX_VALUE_RATIO: f64 = 10.0;

/// Bound on an error, in root mean squared errors.
const MAX_ERROR_RATIO: f64 = 5.0;

/// Number of samples that the mean squared error looks back, about.
const ERROR_WINDOW: f64 = 200.0;

/// Number of samples during which the first ones lose weight, so that a wild first sample does not count for ever.
const WARM_UP_SAMPLES: f64 = 100.0;

/// Power of time with which a sample's weight falls meanwhile, about.
const WARM_UP_EXPONENT: f64 = 3.0;

/// The same power for the mean square of a feature, where more would cost accuracy.
const SQUARE_WARM_UP_EXPONENT: f64 = 1.0;

/// Minimum rate of the fifth expert where the loss is not squared.
const MIN_MEAN_RATE: f64 = 0.01;

/// Factor on an expert's advantage in standard errors before it becomes a weight.
const TRUST_SHARPNESS: f64 = 1.0;

/// Number of targets before a single one can at most double the range of predictions.
const RANGE_WARM_UP_TARGETS: f64 = 20.0;

/// Factor on the excess of the longer tail; a prediction may leave the targets' range there by the product.
const TAIL_EXTENSION: f64 = 2.0;

/// Bound on a loss, or a gain, of an expert, in mean losses.
const MAX_LOSS_RATIO: f64 = 25.0;

/// Squares below this are zeros; sums of squares stay below its inverse.
const MIN_SQUARE: f64 = 1e-300;

/// Numbers beyond this, as of decoded samples, are refused: their squares must be numbers, too.
const MAX_MAGNITUDE: f64 = 1e150;

/// State beside the weights that predict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hedge {
    columns: Vec<Column>,
    /// The intercept's: its feature is always 1.
    constant: Column,
    shared: Shared,
}

checked!(Hedge { columns, constant, shared });

/// State of the targets and the experts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Shared {
    /// Samples learned from.
    seen: u64,
    /// Prediction of the fifth expert, and the weight of the targets it is the mean of.
    mean: f64,
    mean_of: f64,
    /// Mean over rows of the number of features, each by its square over its mean square.
    energy: f64,
    /// Mean squared error, of bounded errors.
    error: f64,
    /// Mean loss, of bounded errors.
    loss: f64,
    /// The range of the targets.
    range: [f64; 2],
    /// Bounds of predictions.
    reach: [f64; 2],
    /// Per expert, the faded sum of the prediction's loss minus the expert's, in mean losses.
    gains: [f64; EXPERTS],
    /// Per expert, the faded sum of the squares of those differences.
    squares: [f64; EXPERTS],
    /// Faded sum of the advantage of predictions with bounded values over those without, in mean losses.
    #[serde(default)]
    bounded: f64,
    /// Weights of the experts' predictions; their sum is 1.
    trust: [f64; EXPERTS],
}

checked!(Shared { seen, mean, mean_of, energy, error, loss, range, reach, gains, squares, bounded, trust });

/// State of a column.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Column {
    weights: [f64; LANES],
    sums: [f64; SUM_LANES],
    /// Mean of squares, without zeros.
    square: f64,
    /// Number of values in that mean.
    n: f64,
    /// Largest square that was learned from.
    largest: f64,
}

checked!(Column { weights, sums, square, n, largest });

/// A column of a sample, before the step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// 0 where it is unknown, nominal or 0.
    value: f64,
    square: f64,
    /// Per lane, the value over the divisor of the lane's steps.
    slopes: [f64; LANES],
}

impl Column {
    /// Bounds a value. A value as large as one before is no surprise: a rare category, standardised, is many root mean
    /// squares each time.
    #[inline]
    fn bounded(&self, value: f64) -> f64 {
        let widest = (MAX_VALUE_RATIO * MAX_VALUE_RATIO * self.square).max(self.largest);
        if value * value > widest && self.n >= MIN_VALUES_TO_BOUND { widest.sqrt().copysign(value) } else { value }
    }

    /// Prepares to learn a value other than 0.
    #[inline]
    fn see(&self, value: f64) -> Seen {
        let value = self.bounded(value);
        let rate =
            ((SQUARE_WARM_UP_EXPONENT + 1.0) / (self.n + 1.0 + SQUARE_WARM_UP_EXPONENT)).max(1.0 / SQUARE_WINDOW);
        let square = self.square + rate * (value * value - self.square);
        let sum = |sum: f64| value / if sum > 0.0 { sum } else { square };
        let slope = value / square;
        Seen { value, square, slopes: [sum(self.sums[0]), sum(self.sums[1]), slope, slope] }
    }

    /// Takes a step per lane; `kept` is the share that earlier sums keep, `weight` the sample's.
    #[inline]
    fn step(&mut self, seen: &Seen, steps: &[f64; LANES], kept: f64, weight: f64) {
        for ((own, slope), step) in self.weights.iter_mut().zip(&seen.slopes).zip(steps) {
            *own += step * slope;
        }
        self.n += 1.0;
        self.square = seen.square;
        self.largest = self.largest.max(seen.value * seen.value);
        let new = weight * seen.value * seen.value;
        for (sum, forgetting) in self.sums.iter_mut().zip(FORGETTING) {
            // A sum that is empty begins with the prior: one value of the usual size.
            let before = if *sum > 0.0 { *sum } else { seen.square };
            *sum = (kept * forgetting * before + new).max(seen.square).min(1.0 / MIN_SQUARE);
        }
    }

    /// Draws the weights towards 0 by penalties on them (a proximal step: Duchi and Singer 2009).
    fn shrink(&mut self, seen: &Seen, rates: &[f64; LANES], l1: f64, l2: f64) {
        for ((own, slope), rate) in self.weights.iter_mut().zip(&seen.slopes).zip(rates) {
            let rate = rate * (slope / seen.value);
            *own = (own.abs() - rate * l1).max(0.0).copysign(*own) / (1.0 + rate * l2);
        }
    }

    /// Returns the weight that predicts.
    #[inline]
    fn trusted(&self, trust: &[f64; EXPERTS]) -> f64 {
        self.weights.iter().zip(trust).map(|(weight, trust)| weight * trust).sum()
    }
}

impl Hedge {
    pub(super) fn new(intercept: f64) -> Self {
        let mut trust = [0.0; EXPERTS];
        trust[..LANES].fill(1.0 / LANES as f64);
        Self {
            columns: Vec::new(),
            constant: Column { weights: [intercept; LANES], ..Column::default() },
            shared: Shared {
                seen: 0,
                mean: intercept,
                mean_of: 0.0,
                energy: 0.0,
                error: 0.0,
                loss: 0.0,
                range: [0.0; 2],
                reach: [f64::MIN, f64::MAX],
                gains: [0.0; EXPERTS],
                squares: [0.0; EXPERTS],
                bounded: 0.0,
                trust,
            },
        }
    }

    /// Bytes per column, with the buffer to learn in.
    pub(super) const PER_COLUMN: usize = size_of::<Column>() + size_of::<Seen>();

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.columns.as_slice())
    }

    /// Returns true if predictions use values bounded as in learning.
    #[inline]
    pub(super) fn bounds_values(&self) -> bool {
        self.shared.bounded > 0.0
    }

    /// Returns the weighted sum of `x`, with values bounded as in learning.
    pub(super) fn bounded_sum(&self, weights: &[f64], x: Features<'_>) -> f64 {
        let columns = weights.iter().zip(&self.columns).zip(x.values()).enumerate();
        let known = columns.filter(|(i, (_, value))| !value.is_nan() && !x.is_nominal(*i));
        known.fold(0.0, |sum, (_, ((weight, column), &value))| sum + weight * column.bounded(value))
    }

    /// Clips a prediction of the weights, `sum`.
    #[inline]
    pub(super) fn within_reach(&self, sum: f64) -> f64 {
        let [low, high] = self.shared.reach;
        sum.max(low).min(high)
    }

    /// Learns a sample; updates `weights` and returns the intercept, both of which predict.
    pub(super) fn learn(
        &mut self,
        weights: &mut [f64],
        x: Features<'_>,
        y: f64,
        weight: f64,
        params: &Params,
        buffer: &mut Vec<Seen>,
    ) -> Result<f64, Refused> {
        lengthen(&mut self.columns, weights.len(), Column::default());
        lengthen(buffer, self.columns.len(), Seen::default());
        if y.is_nan() || y.abs() > MAX_MAGNITUDE || !weight.is_finite() || weight < 0.0 {
            return Err(Refused);
        }
        if weight == 0.0 {
            return Ok(self.intercept());
        }
        let constant = self.constant.see(1.0);
        let (mut sums, mut energies) = (self.constant.weights, constant.slopes);
        let (mut steepest, mut beyond) = (1.0_f64, 0.0);
        for (i, (((column, seen), &value), own)) in
            self.columns.iter().zip(&mut *buffer).zip(x.values()).zip(&*weights).enumerate()
        {
            if value.is_nan() || value * value <= MIN_SQUARE || x.is_nominal(i) {
                seen.value = 0.0;
                continue;
            }
            if value.abs() > MAX_MAGNITUDE {
                return Err(Refused);
            }
            *seen = column.see(value);
            if seen.value != value {
                beyond += own * (value - seen.value);
            }
            for lane in 0..LANES {
                sums[lane] += column.weights[lane] * seen.value;
                energies[lane] += seen.slopes[lane] * seen.value;
                steepest = steepest.max(seen.slopes[lane].abs());
            }
        }
        // Columns past the end of the row are unknown; `buffer` still holds an earlier row there.
        buffer.iter_mut().skip(x.len()).for_each(|seen| seen.value = 0.0);
        let Plan { shared, steps, rates } = self.shared.plan(sums, energies, beyond, y, weight, params);
        let largest = steps.iter().chain(&rates).fold(0.0_f64, |largest, step| largest.max(step.abs()));
        // False for NaN.
        if !(shared.is_finite() && largest * steepest <= MAX_STEP) {
            return Err(Refused);
        }
        let kept = warm_up_share(self.shared.seen);
        self.shared = shared;
        let (&Params { l1, l2, .. }, trust) = (params, &self.shared.trust);
        for ((column, seen), own) in self.columns.iter_mut().zip(&*buffer).zip(weights) {
            if seen.value != 0.0 {
                column.step(seen, &steps, kept, weight);
                if l1 > 0.0 || l2 > 0.0 {
                    column.shrink(seen, &rates, l1, l2);
                }
            }
            *own = column.trusted(trust);
        }
        self.constant.step(&constant, &steps, kept, weight);
        Ok(self.intercept())
    }

    fn intercept(&self) -> f64 {
        let Shared { trust, mean, .. } = &self.shared;
        self.constant.trusted(trust) + trust[LANES] * mean
    }
}

/// The changes by a sample, apart from the columns.
struct Plan {
    shared: Shared,
    /// Step of each lane's weights, in slopes.
    steps: [f64; LANES],
    /// Step of each lane per unit of a penalty's slope.
    rates: [f64; LANES],
}

impl Shared {
    /// Plans the step for a sample: `sums` holds each lane's prediction, `beyond` is added to the prediction where
    /// values are not bounded, and `energies` holds the row's number of features by each lane's measure.
    #[inline]
    fn plan(
        mut self,
        sums: [f64; LANES],
        energies: [f64; LANES],
        beyond: f64,
        y: f64,
        weight: f64,
        params: &Params,
    ) -> Plan {
        let experts = [sums[0], sums[1], sums[2], sums[3], self.mean];
        let said = experts.iter().zip(&self.trust).map(|(expert, trust)| expert * trust).sum::<f64>();
        let within = |said: f64| said.max(self.reach[0]).min(self.reach[1]);
        let (unbounded, said) = (within(said + beyond), within(said));
        let usual = MAX_ERROR_RATIO * self.error.sqrt();
        let near = if usual > 0.0 { said + (y - said).clamp(-usual, usual) } else { y };

        let t = self.seen as f64 + 1.0;
        let rate = ((WARM_UP_EXPONENT + 1.0) / (t + WARM_UP_EXPONENT)).max(1.0 / ERROR_WINDOW);
        self.error += rate * ((near - said) * (near - said) - self.error);
        let scale = self.error.sqrt();
        let loss = params.loss.loss(near, said);
        self.loss += rate * (loss - self.loss);
        if beyond != 0.0 {
            // Compared on the raw target: a bounded one is never far from the prediction by bounded values.
            let [without, with] = [unbounded, said]
                .map(|said| (params.loss.loss(y, said) / self.loss.max(MIN_SQUARE)).min(MAX_LOSS_RATIO));
            self.bounded = LOSS_FADING * self.bounded + without - with;
        }
        self.weigh(experts.map(|expert| params.loss.loss(near, expert)), loss);

        self.energy += (energies[SUM_LANES] - self.energy) / t.min(SQUARE_WINDOW);
        let (mut steps, mut rates) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let part = match lane.checked_sub(SUM_LANES) {
                None => 1.0 / (1.0 / weight + energies[lane]),
                Some(i) => share(ERROR_SHARES[i], weight) / energies[lane].max(self.energy),
            };
            let way = part * energies[lane];
            steps[lane] = part * params.loss.residual(near, sums[lane], scale, params.clip_gradient, way);
            rates[lane] = part * params.loss.stretch(scale);
        }
        self.widen(y, (near - said).abs());
        self.mean_of = self.mean_of * warm_up_share(self.seen) + 1.0;
        let rate = match params.loss {
            Loss::Squared => 1.0 / self.mean_of,
            // Other losses have no formula for their minimiser.
            _ => (1.0 / self.mean_of).max(MIN_MEAN_RATE),
        };
        self.mean += rate * params.loss.residual(near, self.mean, scale, params.clip_gradient, rate);
        let [low, high] = self.range;
        let longer = (high - self.mean) - (self.mean - low);
        self.reach = [low - TAIL_EXTENSION * (-longer).max(0.0), high + TAIL_EXTENSION * longer.max(0.0)];
        self.seen += 1;
        Plan { shared: self, steps, rates }
    }

    /// Updates the experts' weights by their losses and that of the prediction.
    #[inline]
    fn weigh(&mut self, losses: [f64; EXPERTS], loss: f64) {
        let usual = self.loss.max(loss).max(MIN_SQUARE);
        let mut scores = [0.0; EXPERTS];
        for (i, score) in scores.iter_mut().enumerate() {
            let gain = ((loss - losses[i]) / usual).max(-MAX_LOSS_RATIO);
            self.gains[i] = LOSS_FADING * self.gains[i] + gain;
            self.squares[i] = LOSS_FADING * self.squares[i] + gain * gain;
            *score = TRUST_SHARPNESS * self.gains[i] / self.squares[i].max(MIN_SQUARE).sqrt();
        }
        let best = scores.iter().fold(f64::MIN, |best, score| best.max(*score));
        self.trust = scores.map(|score| power(score - best));
        let sum: f64 = self.trust.iter().sum();
        self.trust = self.trust.map(|trust| trust / sum);
    }

    /// Adds a target to the range, which one alone can at most double, or widen by a bounded error.
    #[inline]
    fn widen(&mut self, y: f64, error: f64) {
        let [low, high] = self.range;
        let width = if (self.seen as f64) < RANGE_WARM_UP_TARGETS { f64::MAX } else { (high - low).max(error) };
        self.range = if self.seen == 0 { [y, y] } else { [low.min(y.max(low - width)), high.max(y.min(high + width))] };
    }

    fn is_finite(&self) -> bool {
        let Self { mean, mean_of, energy, error, loss, range, reach, gains, squares, bounded, trust, .. } = self;
        let single = [mean, mean_of, energy, error, loss, bounded].into_iter();
        single.chain(range).chain(reach).chain(gains).chain(squares).chain(trust).all(|number| number.is_finite())
    }
}

/// Returns the share of their weight that earlier samples keep, less than 1 while fewer than `WARM_UP_SAMPLES` were
/// seen.
#[inline]
fn warm_up_share(seen: u64) -> f64 {
    let t = seen as f64 + 1.0;
    if t < WARM_UP_SAMPLES { t / (t + WARM_UP_EXPONENT) } else { 1.0 }
}

/// Returns the share of an error that `weight` steps remove, each `share` of the rest.
#[inline]
fn share(share: f64, weight: f64) -> f64 {
    if weight == 1.0 { share } else { 1.0 - (1.0 - share).powf(weight) }
}

/// About eˣ for x ≤ 0: (1 + x/64)⁶⁴, without a call.
#[inline]
fn power(x: f64) -> f64 {
    let mut power = (1.0 + x / 64.0).max(0.0);
    for _ in 0..6 {
        power *= power;
    }
    power
}
