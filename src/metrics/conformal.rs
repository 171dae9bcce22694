//! Intervals around predictions that hold a given share of the targets, whatever the stream does.
//!
//! Invariant: an interval is finite and holds its prediction, and was made before its target was known. Nothing is
//! assumed of the errors, neither their distribution nor that it stays the same.
//! What this does not do: cover each kind of sample equally well. The share holds over time, not given the features.

use serde::{Deserialize, Serialize};

use crate::checked;

/// Rate at which the usual error follows the latest one: it looks back about 50 samples.
const SCALE_RATE: f64 = 0.02;

/// Rate at which the width's logarithm follows a target missed or held.
const WIDTH_RATE: f64 = 0.04;

/// The same rate while few samples were scored, over the root of their number.
const WARM_UP_WIDTH_RATE: f64 = 0.3;

/// Number of samples after which both rates are the constant ones.
const WARM_UP_SAMPLES: u64 = 60;

/// Rate at which the centre, in half widths, follows a target that was missed on one side.
const CENTRE_RATE: f64 = 0.01;

/// Maximum size of the centre: the prediction keeps a twentieth of the half width from either end, so that both sides
/// widen.
const MAX_CENTRE: f64 = 0.95;

/// Minimum logarithm of the half width over the usual error, for predictions that are always perfect.
const MIN_LOG_WIDTH: f64 = -4.0;

/// Maximum logarithm, beyond which eᶿ overflows. No stream leads there.
const MAX_LOG_WIDTH: f64 = 700.0;

/// An interval in which the target is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end, in the target's unit; at most the prediction.
    pub lower: f64,
    /// Upper end, in the target's unit; at least the prediction.
    pub upper: f64,
}

impl Interval {
    /// Returns true if the target `y` is in it; the ends are.
    #[inline]
    pub fn holds(&self, y: f64) -> bool {
        self.lower <= y && y <= self.upper
    }

    /// Returns the width, in the target's unit.
    pub fn width(&self) -> f64 {
        // Halves first: the whole may be beyond the largest number.
        2.0 * (0.5 * self.upper - 0.5 * self.lower).min(f64::MAX / 2.0)
    }
}

/// Adaptive conformal inference (Gibbs and Candès 2021, "Adaptive conformal inference under distribution shift") as
/// quantile tracking (Angelopoulos, Candès and Tibshirani 2023, "Conformal PID control for time series prediction").
///
/// The interval reaches from p + w (c − 1) to p + w (c + 1), w = s eᶿ. The usual error s is a faded mean of |y − p|, so that
/// the width follows a change of the errors within some tens of samples. θ rises by η times the share wanted where a target
/// is missed, and falls by η times the rest where it is held, so that after T samples the share held differs from the one
/// wanted by |θ_T − θ_0| / (η T), and θ is bounded: each miss at a large θ raises s by at least e^θ / 1000, while s falls by
/// a fiftieth a sample at most. The centre c moves towards the side on which targets are missed, so that skewed errors have
/// skewed intervals. Where errors vanish for ever, more than the share is held.
///
/// Five numbers; scaling errors scales intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    coverage: f64,
    /// Number of predictions scored.
    n: u64,
    /// Usual absolute error, s.
    scale: f64,
    /// Logarithm of the half width in usual errors, θ.
    log_width: f64,
    /// Middle of the interval, in half widths from the prediction, c.
    centre: f64,
    /// Half width, w; follows from the others.
    #[serde(skip)]
    half: f64,
}

fn half(scale: f64, log_width: f64) -> f64 {
    // Near 0, where a quarter of θ usually is, [`libm::exp`] needs no power of two, which takes it most of its
    // instructions.
    let root = libm::exp(0.25 * log_width);
    scale * ((root * root) * (root * root))
}

checked!(Conformal { coverage, n, scale, log_width, centre, half: skipped } then fits);

impl Conformal {
    fn fits(&mut self) -> Result<(), &'static str> {
        let Self { coverage, scale, log_width, centre, .. } = *self;
        if !(coverage > 0.0 && coverage < 1.0) {
            return Err("intervals cannot hold that share of the targets");
        }
        if scale < 0.0 || centre.abs() > MAX_CENTRE || !(MIN_LOG_WIDTH..=MAX_LOG_WIDTH).contains(&log_width) {
            return Err("intervals have an impossible shape");
        }
        self.half = half(scale, log_width);
        Ok(())
    }

    /// Makes intervals with nothing scored. `coverage` is the share of the targets that they are to hold, 0 <
    /// `coverage` < 1.
    pub fn new(coverage: f64) -> Self {
        // Exact from the start for errors of a Laplace distribution.
        let log_width = libm::log(-libm::log(1.0 - coverage)).max(MIN_LOG_WIDTH);
        Self { coverage, n: 0, scale: 0.0, log_width, centre: 0.0, half: 0.0 }
    }

    /// Returns the share of the targets that is to be held.
    pub fn coverage(&self) -> f64 {
        self.coverage
    }

    /// Returns the interval around a finite prediction; `None` before the first score, since nothing is known of errors
    /// then.
    #[inline]
    pub fn around(&self, prediction: f64) -> Option<Interval> {
        let lower = (prediction + self.half * (self.centre - 1.0)).max(-f64::MAX);
        let upper = (prediction + self.half * (self.centre + 1.0)).min(f64::MAX);
        (self.n > 0).then_some(Interval { lower, upper })
    }

    /// Learns from the target `y` of the prediction `p`, both finite, around which [`Conformal::around`] was the interval.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.learn(y, p, self.around(p));
    }

    /// Learns as [`Conformal::update`], with the interval at hand.
    #[inline]
    pub fn learn(&mut self, y: f64, p: f64, around: Option<Interval>) {
        if let Some(interval) = around {
            let (below, above) = (f64::from(y < interval.lower), f64::from(y > interval.upper));
            let first = if self.n < WARM_UP_SAMPLES { WARM_UP_WIDTH_RATE / (self.n as f64).sqrt() } else { 0.0 };
            let rate = if first > WIDTH_RATE { first } else { WIDTH_RATE };
            let missed = below + above;
            self.log_width =
                (self.log_width + rate * (missed - (1.0 - self.coverage))).clamp(MIN_LOG_WIDTH, MAX_LOG_WIDTH);
            self.centre = (self.centre + CENTRE_RATE * (above - below)).clamp(-MAX_CENTRE, MAX_CENTRE);
        }
        self.n += 1;
        let error = (y - p).abs().min(f64::MAX);
        let first = if self.n < WARM_UP_SAMPLES { 1.0 / self.n as f64 } else { 0.0 };
        self.scale += if first > SCALE_RATE { first } else { SCALE_RATE } * (error - self.scale);
        self.half = half(self.scale, self.log_width);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::Checked;

    /// Returns the share held of the targets of `errors`, of samples `from` on.
    fn held(coverage: f64, from: usize, errors: impl IntoIterator<Item = f64>) -> f64 {
        let mut conformal = Conformal::new(coverage);
        let (mut held, mut n) = (0_u32, 0_u32);
        for (i, error) in errors.into_iter().enumerate() {
            let interval = conformal.around(5.0);
            assert_eq!(interval.is_none(), i == 0);
            if let Some(Interval { lower, upper }) = interval {
                assert!(lower.is_finite() && upper.is_finite() && lower <= 5.0 && 5.0 <= upper, "{lower} {upper}");
            }
            if i >= from {
                n += 1;
                held += u32::from(interval.is_some_and(|interval| interval.holds(5.0 + error)));
            }
            conformal.update(5.0 + error, 5.0);
        }
        f64::from(held) / f64::from(n)
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn the_share_wanted_is_held_whatever_the_distribution() {
        for coverage in [0.5, 0.8, 0.9, 0.99] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let skewed = (0..20_000).map(|_| -rng.random::<f64>().ln() - 0.3);
            assert!((held(coverage, 0, skewed) - coverage).abs() < 0.005, "skewed, {coverage}");
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let heavy = (0..20_000).map(|_| normal(&mut rng) / normal(&mut rng).abs().max(1e-9));
            assert!((held(coverage, 0, heavy) - coverage).abs() < 0.005, "heavy tails, {coverage}");
            let walking = (0..20_000).map(|i| (f64::from(i) / 300.0).sin() * f64::from(i % 7));
            assert!((held(coverage, 0, walking) - coverage).abs() < 0.005, "periodic, {coverage}");
        }
    }

    /// Knows the interval and misses it wherever it can, up to errors of 1.
    #[test]
    fn an_adversary_cannot_keep_the_share_from_being_held() {
        type Adversary = fn(Interval, usize) -> f64;
        let adversaries: [(&str, Adversary); 5] = [
            ("just outside", |interval, _| if interval.upper < 1.0 { interval.upper * 1.000_001 + 1e-12 } else { 0.0 }),
            ("either side", |Interval { lower, upper }, i| match i % 2 {
                0 if upper < 1.0 => upper * 1.01 + 1e-12,
                1 if lower > -1.0 => lower * 1.01 - 1e-12,
                _ => 0.0,
            }),
            ("as far as it may", |interval, i| if interval.holds(1.0) { 0.0 } else { [1.0, -1.0][i / 500 % 2] }),
            ("rests until nothing is known", |_, i| if i % 700 < 600 { 0.0 } else { 1.0 }),
            ("grows", |interval, i| if i % 20_000 < 10_000 { 1.5 * interval.upper.min(1e200) + 1e-9 } else { 1e-9 }),
        ];
        for (name, adversary) in adversaries {
            for coverage in [0.5, 0.9] {
                let mut conformal = Conformal::new(coverage);
                let (n, mut missed) = (100_000, 0);
                for i in 0..n {
                    let interval = conformal.around(0.0).unwrap_or(Interval { lower: 0.0, upper: 0.0 });
                    let y = adversary(interval, i);
                    missed += usize::from(!interval.holds(y));
                    conformal.update(y, 0.0);
                }
                let share = 1.0 - missed as f64 / n as f64;
                assert!(share > coverage - 0.01, "{name}: {share} of {coverage}");
            }
        }
    }

    #[test]
    fn the_share_is_held_again_soon_after_errors_grow_or_shrink() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let errors: Vec<f64> = (0..40)
            .flat_map(|block| vec![if block % 2 == 0 { 1.0 } else { 8.0 }; 1000])
            .map(|s| s * normal(&mut rng))
            .collect();
        let mut conformal = Conformal::new(0.9);
        // Of the 500 samples after each change.
        let mut after = [0_u32; 2];
        for (i, error) in errors.iter().enumerate() {
            if i % 1000 < 500 {
                after[i / 1000 % 2] += u32::from(conformal.around(0.0).is_some_and(|interval| interval.holds(*error)));
            }
            conformal.update(*error, 0.0);
        }
        for (what, held) in [("shrink", after[0]), ("grow", after[1])] {
            let share = f64::from(held) / 10_000.0;
            assert!((share - 0.9).abs() < 0.02, "{what}: {share}");
        }
    }

    #[test]
    fn skewed_errors_have_skewed_intervals_missed_as_often_on_either_side() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut conformal = Conformal::new(0.9);
        let (mut below, mut above, mut skew) = (0, 0, 0.0);
        for i in 0..20_000 {
            let error = -rng.random::<f64>().ln() - 1.0;
            if let Some(interval) = conformal.around(0.0).filter(|_| i >= 2000) {
                below += i32::from(error < interval.lower);
                above += i32::from(error > interval.upper);
                skew += interval.upper / -interval.lower;
            }
            conformal.update(error, 0.0);
        }
        assert!((below - above).abs() < 200, "{below} below, {above} above");
        assert!(skew / 18_000.0 > 1.5, "upper over lower: {}", skew / 18_000.0);
    }

    #[test]
    fn intervals_scale_and_turn_with_the_errors_to_the_bit() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut plain = Conformal::new(0.9);
        let mut others = [2_f64.powi(-600), 1024.0, -2_f64.powi(400)].map(|factor| (factor, Conformal::new(0.9)));
        for _ in 0..3000 {
            let (error, at) = (normal(&mut rng), plain.around(0.0));
            for (factor, other) in &mut others {
                let ends = at.map(|it| {
                    let [a, b] = [it.lower * *factor, it.upper * *factor];
                    Interval { lower: a.min(b), upper: a.max(b) }
                });
                assert_eq!(other.around(0.0), ends, "{factor}");
                other.update(error * *factor, 0.0);
            }
            plain.update(error, 0.0);
        }
    }

    #[test]
    fn one_that_was_saved_goes_on_to_the_bit() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut straight = Conformal::new(0.9);
        for _ in 0..2000 {
            let saved = rmp_serde::to_vec_named(&straight).expect("saved");
            let mut restored: Conformal = rmp_serde::from_slice(&saved).expect("restored");
            restored.check().expect("sound");
            assert_eq!(restored, straight);
            straight.update(normal(&mut rng), 0.1);
        }
    }

    #[test]
    fn the_largest_numbers_give_finite_intervals() {
        let mut conformal = Conformal::new(0.99);
        for i in 0..2000 {
            let [y, p] = [[f64::MAX, -f64::MAX], [-f64::MAX, f64::MAX], [0.0, 0.0], [1e-308, 0.0]][i % 4];
            conformal.update(y, p);
            let Interval { lower, upper } = conformal.around(p).expect("an interval");
            assert!(lower.is_finite() && upper.is_finite() && lower <= p && p <= upper, "{lower} {upper}");
        }
    }

    #[test]
    fn after_ages_without_an_error_the_first_ones_are_held_soon() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let errors = (0..101_000).map(|i| if i < 100_000 { 0.0 } else { normal(&mut rng) });
        let share = held(0.9, 100_500, errors);
        assert!((share - 0.9).abs() < 0.03, "{share}");
    }

    #[test]
    fn errors_on_one_side_leave_room_on_the_other() {
        let mut conformal = Conformal::new(0.9);
        for i in 0..2000 {
            conformal.update(1.0 + f64::from(i % 10), 0.0);
        }
        let Interval { lower, upper } = conformal.around(0.0).expect("an interval");
        assert!(lower < 0.0 && -lower < 0.1 * upper, "{lower} {upper}");
    }

    #[test]
    fn a_constant_that_is_always_right_has_no_width() {
        let mut conformal = Conformal::new(0.9);
        for _ in 0..1000 {
            conformal.update(3.0, 3.0);
        }
        assert_eq!(conformal.around(3.0), Some(Interval { lower: 3.0, upper: 3.0 }));
    }
}
